"""What every pod holds: references to secrets alone, no token, restricted containers, labels, and texts as written."""

from __future__ import annotations

import json
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from launcher import Connection, Job, Resources, SecretKey, SecretRef, Use
from launcher.backend import Mode
from launcher.facts import Facts
from launcher.local.node.environment import expand
from tests import planning, strategies
from tests.planning import LOCAL, REAL, around, built, container, job, planned
from tests.pod import judge
from tests.pod.test_golden import CASES

RESTRICTED = Facts(pod_security="restricted")


def pods() -> list[Any]:
    return [pytest.param(planning.built(*case), planning.planned(*case), id=name) for name, case in CASES.items()]


@pytest.mark.parametrize(("manifest", "plan"), pods())
def test_every_pod_is_least_privileged(manifest: Any, plan: Any) -> None:
    """No pod has a token or credentials in a container of the user's, and none may run twice."""
    assert judge.faults(plan, manifest.pod, manifest.pod) == []
    assert manifest.pod["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize(("manifest", "plan"), pods())
def test_secrets_are_references(manifest: Any, plan: Any) -> None:
    """A secret's name stands in a pod only where Kubernetes looks a secret up, or where an agent names its folder."""
    for item in manifest.objects:
        assert item["kind"] == "ConfigMap"
    for volume in manifest.pod["spec"].get("volumes", []):
        if "secret" in volume:
            assert set(volume["secret"]) <= {"secretName", "items"}
    for group in judge.GROUPS:
        for item in manifest.pod["spec"].get(group, []):
            for entry in item.get("env", []):
                reference = entry.get("valueFrom", {}).get("secretKeyRef")
                assert reference is None or set(reference) <= {"name", "key", "optional"}


@pytest.mark.parametrize(("manifest", "plan"), pods())
def test_token_is_in_save_alone(manifest: Any, plan: Any) -> None:
    """The projected token is mounted by save and by no other container."""
    tokens = {
        volume["name"]
        for volume in manifest.pod["spec"].get("volumes", [])
        if "serviceAccountToken" in list(judge.walk(volume))
    }
    for group in judge.GROUPS:
        for item in manifest.pod["spec"].get(group, []):
            mounted = {mount["name"] for mount in item.get("volumeMounts", [])}
            assert item["name"] == "save" or not mounted & tokens


def restricted(pod: dict[str, Any]) -> list[str]:
    """What Pod Security "restricted" would say against a pod, by its published rules."""
    spec = pod["spec"]
    faults = [f"volume {v['name']}" for v in spec.get("volumes", []) if "hostPath" in v]
    outer = spec.get("securityContext", {})
    for group in judge.GROUPS:
        for item in spec.get(group, []):
            context = {**outer, **item.get("securityContext", {})}
            rules = {
                "privilege escalation": context.get("allowPrivilegeEscalation") is False,
                "capabilities": "ALL" in context.get("capabilities", {}).get("drop", []),
                "root": context.get("runAsNonRoot") is True and context.get("runAsUser") != 0,
                "seccomp": context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
                "privileged": not context.get("privileged"),
            }
            faults += [f"{item['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return faults


@pytest.mark.parametrize("uses", [["s3-bucket"], [Use("s3-bucket", read_only=False), "faces"], ["streamed"], []])
def test_restricted_namespaces_take_the_pod(uses: list[Any]) -> None:
    """In a restricted namespace every container of a job that isn't root meets Pod Security "restricted"."""
    context = {"runAsNonRoot": True, "runAsUser": 1000, "fsGroup": 1000}
    manifest = built(job(*uses, security_context=context), RESTRICTED, around(store=planning.BUCKET_STORE))
    assert restricted(manifest.pod) == []


def test_agents_are_restricted_everywhere() -> None:
    """The agents meet "restricted" in every namespace, but for root where the job is root."""
    manifest = built(job(Use("s3-bucket", read_only=False)), REAL, around(store=planning.BUCKET_STORE))
    assert [fault for fault in restricted(manifest.pod) if not fault.startswith("main")] == [
        "save: root",
        "fetch: root",
    ]


def test_agents_are_the_jobs_own_user() -> None:
    """The agents run under the job's uid and group, and what only a pod can have is the pod's."""
    context = {"runAsUser": 1000, "runAsGroup": 2000, "fsGroup": 3000, "readOnlyRootFilesystem": True}
    manifest = built(job("s3-bucket", security_context=context), REAL, around(store=planning.BUCKET_STORE))
    for name in ("main", "fetch", "save"):
        own = container(manifest, name)["securityContext"]
        assert (own["runAsUser"], own["runAsGroup"]) == (1000, 2000)
        assert "fsGroup" not in own
    assert manifest.pod["spec"]["securityContext"] == {"fsGroup": 3000}
    assert container(manifest)["securityContext"]["readOnlyRootFilesystem"] is True


def test_every_agent_has_requests_and_limits() -> None:
    """The agents have equal requests and limits, so that quotas take them and a Guaranteed pod stays one."""
    full = job("s3-bucket", resources=Resources(cpu=1, memory="1Gi"))
    manifest = built(full, REAL, around(store=planning.BUCKET_STORE))
    for name in ("main", "fetch", "save"):
        amounts = container(manifest, name)["resources"]
        assert amounts["requests"] == amounts["limits"]
        assert set(amounts["limits"]) >= {"cpu", "memory"}


@pytest.mark.parametrize(
    ("timeout", "store", "grace", "deadline"),
    [
        (None, planning.BUCKET_STORE, 600, None),
        ("2h", planning.BUCKET_STORE, 600, 7200 + 6 * 3600),
        (0.5, None, 30, 6 * 3600),
    ],
)
def test_grace_and_deadline(timeout: Any, store: Any, grace: int, deadline: int | None) -> None:
    """A pod that saves gets time to save, and the pod's own deadline is only a backstop behind the job's timeout."""
    spec = built(job(timeout=timeout), REAL, around(store=store)).pod["spec"]
    assert spec["terminationGracePeriodSeconds"] == grace
    assert spec.get("activeDeadlineSeconds") == deadline


def test_labels() -> None:
    """A pod is found by its run, job, attempt, launcher and connections, and the job's own labels stay."""
    used = Job(
        name="Count!", image="i", connections=["stdlib", Use("s3-bucket", read_only=False)], labels={"team": "v"}
    )
    meta = built(used).pod["metadata"]
    assert meta["labels"]["podlauncher.dev/run"] == "j-1"
    assert re.fullmatch("Count-[0-9a-f]{10}", meta["labels"]["podlauncher.dev/job"])
    assert meta["labels"]["podlauncher.dev/attempt"] == "1"
    assert meta["labels"]["podlauncher.dev/launcher"] == "0123456789"
    assert meta["labels"]["connection.podlauncher.dev/stdlib"] == "ro"
    assert meta["labels"]["connection.podlauncher.dev/s3-bucket"] == "rw"
    assert meta["labels"]["team"] == "v"
    assert meta["annotations"]["podlauncher.dev/job-name"] == "Count!"
    assert json.loads(meta["annotations"]["podlauncher.dev/record"])["run"] == "j-1"


def test_variables_of_the_job() -> None:
    """The user's container learns its run, its outputs and its connections from variables."""
    main = container(built(job("stdlib", "streamed", Use("s3-bucket", read_only=False))))
    variables = {entry["name"]: entry.get("value") for entry in main["env"]}
    assert variables["LAUNCHER_RUN_ID"] == "j-1"
    assert variables["LAUNCHER_ATTEMPT"] == "1"
    assert variables["LAUNCHER_OUTPUTS"] == "/launcher/outputs"
    assert json.loads(str(variables["LAUNCHER_CONNECTIONS"])) == {
        "stdlib": {"path": "/data/lib", "mode": "mount", "readOnly": True},
        "streamed": {"url": "s3://bucket", "mode": "stream", "readOnly": True},
        "s3-bucket": {"path": "/connections/s3-bucket", "mode": "copy", "readOnly": False},
    }


def test_no_outputs_no_variable() -> None:
    """A job that keeps nothing gets no outputs directory."""
    main = container(built(job(outputs=None)))
    assert "LAUNCHER_OUTPUTS" not in {entry["name"] for entry in main["env"]}
    assert "/launcher/outputs" not in {mount["mountPath"] for mount in main["volumeMounts"]}


def test_streamed_credentials() -> None:
    """A streamed connection's credentials are variables, or files where its administrator says so, and never both."""
    main = container(built(job("streamed", "filed")))
    references = {
        entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"] for entry in main["env"] if "valueFrom" in entry
    }
    assert set(references.values()) == {"stream-secret"}
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= set(references)
    assert {"name": "credentials-filed", "mountPath": "/secrets/gcs", "readOnly": True} in main["volumeMounts"]


def test_items_of_a_secret() -> None:
    """Only the keys that a connection names are shown, in variables and in files."""
    narrow = Connection(
        name="n",
        kind="s3",
        schema={"bucket": "s3://bucket/"},
        secret=SecretRef("s", items=["AWS_ACCESS_KEY_ID"]),
        modes=["stream", "copy"],
    )
    main = container(built(job("n"), REAL, around([narrow])))
    assert [entry["name"] for entry in main["env"] if "valueFrom" in entry] == ["AWS_ACCESS_KEY_ID"]
    volumes = built(job(Use("n", mode=Mode.COPY)), REAL, around([narrow])).pod["spec"]["volumes"]
    (credentials,) = [volume["secret"] for volume in volumes if "secret" in volume]
    assert credentials["items"] == [{"key": "AWS_ACCESS_KEY_ID", "path": "AWS_ACCESS_KEY_ID"}]


def test_the_jobs_word_wins() -> None:
    """A variable of the job comes before the same variable of a connection."""
    main = container(built(job("streamed", env={"AWS_REGION": "mine", "AWS_ACCESS_KEY_ID": SecretKey("own", "k")})))
    entries = [entry for entry in main["env"] if entry["name"] in ("AWS_REGION", "AWS_ACCESS_KEY_ID")]
    assert {"name": "AWS_REGION", "value": "mine"} in entries
    assert len(entries) == 2


dollars = st.text("$()AB x", max_size=12) | st.sampled_from(
    ["$$", "$(A)", "$$(A)", "$$$(A)", "pa$$word", "a$", "$(", "$)"]
)
SAID = {"A": "1", "B": "2", "AB": "3", "LAUNCHER_RUN_ID": "j-1"}


@hypothesis.given(dollars, st.lists(dollars, min_size=1, max_size=3))
def test_texts_arrive_as_written(text: str, words: list[str]) -> None:
    """Whatever dollars and brackets a variable, a command or an argument holds, they arrive as they were written."""
    main = container(built(job(env={"X": text}, command=words, args=words)))
    sent = next(entry["value"] for entry in main["env"] if entry["name"] == "X")
    assert expand(sent, SAID) == text
    for field in ("command", "args"):
        assert [expand(word, SAID) for word in main[field]] == words


@hypothesis.given(st.text('$()A"\\\n', max_size=10))
def test_orders_of_agents_arrive_as_written(text: str) -> None:
    """What an agent is told, and what the job learns of its connections, is JSON whatever dollars it holds."""
    odd = Connection(name="n", kind="host_path", schema={"hostPath": "/a"}, description=text, version=text)
    manifest = built(job("n", Use("s3-bucket", include=text)), REAL, around([odd, planning.S3]))
    orders = json.loads(expand(container(manifest, "fetch")["env"][0]["value"], SAID))
    assert orders["parts"][0]["include"] == [text]
    assert orders["record"]["uses"][0].get("version", "") == text


def test_everything_of_a_job_is_in_its_pod() -> None:
    """Each field of a job that is the pod's business stands where Kubernetes looks for it."""
    case = CASES["whole"]
    manifest = built(*case)
    spec, main = manifest.pod["spec"], container(manifest)
    assert main["resources"]["limits"] == {
        "cpu": "0.5",
        "memory": "8Gi",
        "ephemeral-storage": "20Gi",
        "nvidia.com/gpu": "1",
    }
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == ("runner", "low")
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"pool": "gpu"}, [{"key": "gpu", "operator": "Exists"}])
    assert (spec["affinity"], main["imagePullPolicy"]) == ({"podAntiAffinity": {}}, "Always")
    assert {"name": "launcher-shm", "mountPath": "/dev/shm"} in main["volumeMounts"]
    assert {"name": "launcher-shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}} in spec["volumes"]


def test_whole_manifest_is_plain_data() -> None:
    """A manifest is dicts, lists, texts, numbers and booleans, which JSON and YAML carry without loss."""
    for case in CASES.values():
        manifest = planning.built(*case)
        assert json.loads(json.dumps(manifest.pod)) == manifest.pod


def test_store_on_a_volume_shows_one_run_alone() -> None:
    """On a shared volume a job sees the outputs of its own run, and save the folder of its own run."""
    store = Connection(name="st", kind="volume_claim", schema={"volumeClaim": "runs"})
    manifest = built(job(), REAL, around(store=store))
    mounts = {
        name: [m.get("subPath") for m in container(manifest, name)["volumeMounts"] if m["name"] == "launcher-store"]
        for name in ("main", "save")
    }
    assert mounts == {"main": ["j-1/outputs"], "save": ["j-1"]}


@hypothesis.given(strategies.raw_names)
def test_any_job_name(name: str) -> None:
    """A job of any name has a valid label, and its raw name in an annotation."""
    meta = built(job(name=name)).pod["metadata"]
    assert strategies.LABEL.fullmatch(meta["labels"]["podlauncher.dev/job"])
    assert meta["annotations"]["podlauncher.dev/job-name"] == name
    assert planned(job(name=name), LOCAL).run_id == "j-1"
