"""What a container finds in its environment, and what of its command is expanded."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.local.node.environment import expand
from tests.local.node_lab import Lab, pod_spec

PRINT = ("python", "-c", "import json, os; print(json.dumps(dict(os.environ)))")


async def variables(lab: Lab, **spec: Any) -> dict[str, str]:
    code, text = await lab.run(*PRINT, **spec)
    assert code == 0
    found: dict[str, str] = json.loads(text)
    return found


async def test_nothing_of_the_launcher_gets_in(either: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the launcher's own environment a container gets PATH, HOME and LANG, and no secret."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    found = await variables(either)
    own = {"PATH", "HOME", "LANG", "HOSTNAME", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
    own |= {"PODLAUNCHER_NODE"}  # by which the node finds its processes again
    # PWD is set by bubblewrap, LC_CTYPE by Python itself in the C locale.
    assert set(found) - {"PWD", "LC_CTYPE"} == own
    assert found["PATH"].split(":")[0] == str(Path(sys.executable).parent)
    assert found["HOSTNAME"].startswith("pod-")
    assert found["KUBERNETES_SERVICE_HOST"] == "127.0.0.1"


async def test_sources(lab: Lab) -> None:
    """Variables come from values, secrets, config maps and the pod itself; later ones win, earlier ones expand."""
    await lab.put("secrets", "s", stringData={"PASSWORD": "geheim", "a.b": "dot"})
    await lab.put("configmaps", "m", data={"COLOUR": "blue"})
    env = [
        {"name": "COLOUR", "value": "red"},
        {"name": "BOTH", "value": "$(COLOUR)-$(X_PASSWORD)-$(LATER)-$$(COLOUR)"},
        {"name": "LATER", "value": "late"},
        {"name": "ONE", "valueFrom": {"secretKeyRef": {"name": "s", "key": "PASSWORD"}}},
        {"name": "TWO", "valueFrom": {"configMapKeyRef": {"name": "m", "key": "COLOUR"}}},
        {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "nope", "key": "x", "optional": True}}},
        {"name": "NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu"}}},
        {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
    ]
    sources = [
        {"configMapRef": {"name": "m"}},
        {"secretRef": {"name": "s"}, "prefix": "X_"},
        {"secretRef": {"name": "nope", "optional": True}},
    ]
    resources = {"requests": {"cpu": "100m"}, "limits": {"memory": "64Mi"}}
    found = await variables(lab, env=env, envFrom=sources, resources=resources)
    wanted = {
        "COLOUR": "red",
        "BOTH": "red-geheim-$(LATER)-$(COLOUR)",
        "X_a.b": "dot",
        "ONE": "geheim",
        "TWO": "blue",
        "NAMESPACE": "default",
        "NODE": "localhost",
        "CPU": "1",
        "MEMORY": "64",
    }
    assert {key: found.get(key) for key in wanted} == wanted
    assert "NONE" not in found


async def test_command_is_expanded(either: Lab) -> None:
    """Command and arguments are expanded from the container's own variables."""
    env = [{"name": "WHO", "value": "world"}]
    assert await either.run("echo", "hello $(WHO)", args=["$(NOBODY)", "$$(WHO)"], env=env) == (
        0,
        "hello world $(NOBODY) $(WHO)",
    )


async def test_configuration_is_tried_again(lab: Lab) -> None:
    """A container whose secret is missing starts as soon as there is one."""
    env = [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "late", "key": "a"}}}]
    name = await lab.create(pod_spec("sh", "-c", "echo $A", env=env))

    def refused(pod: dict[str, Any]) -> bool:
        status = (pod["status"].get("containerStatuses") or [{"state": {}}])[0]
        return bool(status["state"].get("waiting", {}).get("reason") == "CreateContainerConfigError")

    pod = await lab.until(name, refused)
    assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"] == 'secret "late" not found'
    await lab.put("secrets", "late", stringData={"a": "here"})
    assert (await lab.ended(name))["status"]["phase"] == "Succeeded"
    assert await lab.log(name) == "here"


async def test_working_directory(either: Lab, tmp_path: Path) -> None:
    """The working directory may be a mount, or a folder that isn't there and is then made, writable."""
    spec = {
        "volumes": [{"name": "v", "hostPath": {"path": str(tmp_path)}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }
    assert (await either.run("touch", "here", workingDir="/v", **spec))[0] == 0
    assert (tmp_path / "here").exists()
    assert (await either.run("touch", "here", workingDir="/no/such/folder"))[0] == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$(B)", "$(B)"),
        ("$A ${A} $", "$A ${A} $"),
        ("$(A", "$(A"),
        ("$(A)$(A)", "11"),
    ],
)
def test_expansion(text: str, wanted: str) -> None:
    """References are expanded as Kubernetes documents it."""
    assert expand(text, {"A": "1"}) == wanted


@given(st.text(alphabet="$()AB "))
def test_expansion_of_doubled_dollars(text: str) -> None:
    """Text whose dollars are all doubled comes out as it was, whatever else is in it."""
    assert expand(text.replace("$", "$$"), {"A": "1", "": "empty"}) == text
