"""kubectl on the local cluster: everyday commands do what they do on any cluster, and what can't work says why."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.kubectl import PATIENCE, Kubectl, Ran

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Goes on until it is told to end, and does so at once: a first process has no handlers but its own.
SLEEP = "trap 'exit 0' TERM; sleep 100 & wait"

# Processes at a time.
CORES = os.cpu_count() or 1

# kubectl's older protocol for exec and its like: with the newer one it refuses addresses with a password in them.
OLD = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}

# Two containers that run, after one that ended.
DUO = ("echo prepared", f"echo a1; echo a2; echo a3; {SLEEP}", f"echo b1; {SLEEP}")


def pod(name: str, *scripts: str, **metadata: Any) -> dict[str, Any]:
    """A pod with a container a letter, each a script."""
    containers = [
        {"name": letter, "image": "busybox", "command": ["sh", "-c", script]}
        for letter, script in zip("abc", scripts, strict=False)
    ]
    spec = {"restartPolicy": "Never", "containers": containers, "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **metadata}, "spec": spec}


def config_map(name: str, namespace: str = "default", **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def listed(*items: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def pods(kubectl: Kubectl) -> None:
    """The pods that the tests share: running and ended."""
    duo = pod("duo", *DUO[1:], labels={"app": "duo"})
    prep = {"name": "prep", "image": "busybox", "command": ["sh", "-c", DUO[0]]}
    duo["spec"]["initContainers"] = [prep]
    ended = pod("ended", "echo done", labels={"app": "ended"})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    pvc = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "disk"}, "spec": claim}
    await kubectl.ok("create", "-f", "-", manifest=listed(duo, ended, pvc))
    await asyncio.gather(
        kubectl.ok("wait", "--for=condition=Ready", "pod/duo", "--timeout=10s"),
        kubectl.ok("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/ended", "--timeout=10s"),
    )


async def test_get_as_a_table(kubectl: Kubectl) -> None:
    """The plain and the wide table of pods have the columns and values of a real server's."""
    plain, wide, labels = await asyncio.gather(
        kubectl.ok("get", "pods", "-l", "app in (duo,ended)"),
        kubectl.ok("get", "pod", "duo", "-o", "wide"),
        kubectl.ok("get", "pods", "--show-labels", "-L", "app", "-l", "app=duo"),
    )
    rows = {row["NAME"]: row for row in plain.rows}
    assert list(rows["duo"]) == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [rows["duo"][key] for key in ("READY", "STATUS", "RESTARTS")] == ["2/2", "Running", "0"]
    assert [rows["ended"][key] for key in ("READY", "STATUS")] == ["0/1", "Completed"]
    assert re.fullmatch(r"\d+s", rows["duo"]["AGE"])
    (row,) = wide.rows
    assert [row["IP"], row["NODE"], row["NOMINATED NODE"], row["READINESS GATES"]] == [
        "127.0.0.1",
        "localhost",
        "<none>",
        "<none>",
    ]
    assert labels.rows[0]["LABELS"] == "app=duo"
    assert labels.rows[0]["APP"] == "duo"


async def side_by_side(kubectl: Kubectl, commands: Iterable[tuple[str, ...]]) -> list[Ran]:
    """Each command to its end, as many at a time as there are cores to run them."""
    free = asyncio.Semaphore(CORES)

    async def one(command: tuple[str, ...]) -> Ran:
        async with free:
            return await kubectl(*command, **OLD)

    return await asyncio.gather(*(one(command) for command in commands))


FORMS = {
    "name": "pod/duo",
    "jsonpath={.spec.containers[*].name}": "a b",
    "go-template={{.metadata.labels.app}} {{.status.phase}}": "duo Running",
    "custom-columns=:.metadata.name,:.status.phase": "duo   Running",
}


async def test_get_in_other_forms(kubectl: Kubectl) -> None:
    """Each output that kubectl makes of the object itself holds its values."""
    ran = await side_by_side(kubectl, [("get", "pod", "duo", "-o", form) for form in FORMS])
    assert dict(zip(FORMS, [one.out.strip() for one in ran], strict=True)) == FORMS


async def test_get_whole_objects(kubectl: Kubectl) -> None:
    """YAML and JSON hold the same object, with its kind; a list of several kinds is a List."""
    yaml, one, both = await asyncio.gather(
        kubectl.ok("get", "pod", "ended", "-o", "yaml"),
        kubectl.json("get", "pod", "ended"),
        kubectl.json("get", "pods,pvc"),
    )
    assert (one["kind"], one["apiVersion"], one["status"]["phase"]) == ("Pod", "v1", "Succeeded")
    assert f"uid: {one['metadata']['uid']}" in yaml.out
    assert both["kind"] == "List"
    assert {item["kind"] for item in both["items"]} == {"Pod", "PersistentVolumeClaim"}


async def test_get_some(kubectl: Kubectl) -> None:
    """Selectors of labels and fields, all namespaces, sorting and pages give what they promise."""
    await kubectl.ok("create", "-f", "-", manifest=listed(config_map("other", "kube-system"), config_map("here")))
    running, ended, everywhere, down, paged, every = await asyncio.gather(
        kubectl.ok("get", "pods", "--field-selector=status.phase=Running", "-o", "name"),
        kubectl.ok("get", "pods", "-l", "app!=duo,app", "-o", "name"),
        kubectl.ok("get", "configmaps", "-A"),
        kubectl.ok("get", "pods", "--sort-by=.metadata.name", "-l", "app", "--no-headers"),
        kubectl.ok("get", "pods", "-l", "app", "--chunk-size=1", "-o", "name"),
        kubectl.ok("get", "all", "-l", "app", "-o", "name"),
    )
    assert "pod/duo" in running.lines
    assert "pod/ended" not in running.lines
    assert ended.lines == ["pod/ended"]
    assert {("default", "here"), ("kube-system", "other")} <= {
        (row["NAMESPACE"], row["NAME"]) for row in everywhere.rows
    }
    assert [line.split()[0] for line in down.lines] == ["duo", "ended"]
    assert paged.lines == every.lines == ["pod/duo", "pod/ended"]


async def test_get_nothing(kubectl: Kubectl) -> None:
    """What isn't there is not found, by its name; an empty list says so and succeeds."""
    one, none, kind = await asyncio.gather(
        kubectl("get", "pod", "nobody"), kubectl("get", "pods", "-n", "kube-system"), kubectl("get", "widgets")
    )
    assert (one.code, one.err.strip()) == (1, 'Error from server (NotFound): pods "nobody" not found')
    assert (none.code, none.err.strip()) == (0, "No resources found in kube-system namespace.")
    assert 'doesn\'t have a resource type "widgets"' in kind.err


async def test_get_watch(kubectl: Kubectl) -> None:
    """A watched pod is shown from Pending to Completed as it goes, and its deletion where asked for."""
    command = ("get", "pods", "-w", "-l", "watched", "--output-watch-events", "--no-headers")
    first, second = (pod(name, "true", labels={"watched": "yes"}) for name in ("there", "watched"))
    await kubectl.ok("create", "-f", "-", manifest=first)
    await kubectl.ok("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/there", "--timeout=10s")
    async with kubectl.started(*command) as watching, asyncio.timeout(PATIENCE):
        assert watching.stdout is not None
        seen = [(await watching.stdout.readline()).decode().split()]
        await kubectl.ok("create", "-f", "-", manifest=second)
        while "Completed" not in seen[-1] or len(seen) == 1:
            seen.append((await watching.stdout.readline()).decode().split())
        await kubectl.ok("delete", "pod", "watched")
        while seen[-1][0] != "DELETED":
            seen.append((await watching.stdout.readline()).decode().split())
    assert [line[:4] for line in seen[:2]] == [
        ["ADDED", "there", "0/1", "Completed"],
        ["ADDED", "watched", "0/1", "Pending"],
    ]
    assert {line[0] for line in seen[2:-1]} == {"MODIFIED"}
    assert {line[1] for line in seen[1:]} == {"watched"}


DESCRIBED = {
    "pod/duo": ["Status:           Running", "Node:             localhost/127.0.0.1", "Exit Code:    0", "Started"],
    "node/localhost": ["Roles:              <none>", "KubeletReady", "duo", "Allocated resources"],
    "pvc/disk": ["Status:", "Access Modes:", "disk"],
    "namespace/default": ["Status:       Active"],
    "serviceaccount/default": ["Namespace:           default"],
    "configmap/described": ["Data", "key:", "value of it"],
    "secret/described": ["Type:  Opaque", "key:  5 bytes"],
}


async def test_describe(kubectl: Kubectl) -> None:
    """Describing an object shows its fields, its relations and, of a pod, its events."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "described"}, "stringData": {"key": "value"}}
    described = listed(config_map("described", key="value of it"), secret)
    await kubectl.ok("create", "-f", "-", manifest=described)
    ran = await side_by_side(kubectl, [("describe", what) for what in DESCRIBED])
    shown = zip(DESCRIBED.items(), ran, strict=True)
    assert [(what, part) for (what, parts), one in shown for part in parts if part not in one.out] == []


LOGS = {
    ("duo", "-c", "a"): ["a1", "a2", "a3"],
    ("duo",): ["a1", "a2", "a3"],
    ("duo", "-c", "a", "--tail=1"): ["a3"],
    ("duo", "-c", "a", "--tail=0"): [],
    ("duo", "-c", "a", "--since=1h"): ["a1", "a2", "a3"],
    ("duo", "-c", "a", "--since-time=2100-01-01T00:00:00Z"): [],
    ("duo", "-c", "a", "--limit-bytes=4"): ["a", "a1"],
    ("duo", "-c", "prep"): ["prepared"],
    ("duo", "--all-containers"): ["a1", "a2", "a3", "b1", "prepared"],
    ("-l", "app in (duo,ended)", "--tail=1", "-c", "a", "--prefix"): ["[pod/duo/a] a3", "[pod/ended/a] done"],
    ("ended", "-f"): ["done"],
}


async def test_logs(kubectl: Kubectl) -> None:
    """Each way to choose lines of a log gives those lines."""
    ran = await side_by_side(kubectl, [("logs", *options) for options in LOGS])
    # kubectl takes several containers in any order; each one's own lines are in order here anyway.
    assert dict(zip(LOGS, [sorted(one.lines) for one in ran], strict=True)) == LOGS


async def test_logs_with_times(kubectl: Kubectl) -> None:
    """Times stand before the lines, in order."""
    lines = (await kubectl.ok("logs", "duo", "-c", "a", "--timestamps")).lines
    assert [line.split(" ", 1)[1] for line in lines] == ["a1", "a2", "a3"]
    times = [line.split(" ", 1)[0] for line in lines]
    assert times == sorted(times)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", moment) for moment in times)


async def test_logs_followed(kubectl: Kubectl) -> None:
    """A followed log comes line by line while the pod runs, and ends with it."""
    (kubectl.home / "signals").mkdir()
    talker = pod("talker", "echo first; until [ -e /signals/go ]; do sleep 0.02; done; echo last")
    talker["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": str(kubectl.home / "signals")}}]
    talker["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/signals"}]
    await kubectl.ok("create", "-f", "-", manifest=talker)
    await kubectl.ok("wait", "--for=condition=Ready", "pod/talker", "--timeout=10s")
    async with kubectl.started("logs", "-f", "talker") as following, asyncio.timeout(PATIENCE):
        assert following.stdout is not None
        assert await following.stdout.readline() == b"first\n"
        (kubectl.home / "signals" / "go").touch()
        assert await following.stdout.readline() == b"last\n"
        assert await following.wait() == 0


async def test_logs_of_the_attempt_before(kubectl: Kubectl) -> None:
    """-p is the log of the container's last attempt; without one it is refused; restarts are counted."""
    again = pod("again", "echo attempt $(date +%N); exit 3")
    again["spec"]["restartPolicy"] = "OnFailure"
    await kubectl.ok("create", "-f", "-", manifest=again)
    restarted = "--for=jsonpath={.status.containerStatuses[0].restartCount}=1"
    await kubectl.ok("wait", restarted, "pod/again", "--timeout=15s")
    before, refused, table = await asyncio.gather(
        kubectl.ok("logs", "again", "-p"), kubectl("logs", "duo", "-c", "a", "-p"), kubectl.ok("get", "pod", "again")
    )
    assert before.out.startswith("attempt ")
    assert 'previous terminated container "a" in pod "duo" not found' in refused.err
    assert re.fullmatch(r"1 \(\d+s ago\)", table.rows[0]["RESTARTS"])


async def test_run(kubectl: Kubectl) -> None:
    """kubectl run makes a pod that runs, with labels and environment; --rm can't: it needs attach."""
    command = ("--image=busybox", "--restart=Never", "--env=WHO=you", "--labels=a=b", "--command", "--")
    await kubectl.ok("run", "ran", *command, "sh", "-c", "echo hello $WHO")
    await kubectl.ok("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/ran", "--timeout=10s")
    log, pod = await asyncio.gather(kubectl.ok("logs", "ran"), kubectl.json("get", "pod", "ran"))
    assert log.lines == ["hello you"]
    assert pod["metadata"]["labels"] == {"a": "b"}


async def test_apply(kubectl: Kubectl) -> None:
    """apply creates, leaves alone, changes and prunes fields; diff shows what it would do."""
    first, second = config_map("applied", a="1", b="2"), config_map("applied", a="1", c="3")
    assert (await kubectl.ok("apply", "-f", "-", manifest=first)).out == "configmap/applied created\n"
    assert (await kubectl.ok("apply", "-f", "-", manifest=first)).out == "configmap/applied unchanged\n"
    diff = await kubectl("diff", "-f", "-", manifest=second)
    assert diff.code == 1
    assert {'-  b: "2"', '+  c: "3"'} <= set(diff.lines)
    assert (await kubectl.ok("apply", "-f", "-", manifest=second)).out == "configmap/applied configured\n"
    assert (await kubectl.json("get", "configmap", "applied"))["data"] == {"a": "1", "c": "3"}


async def test_apply_a_pod(kubectl: Kubectl) -> None:
    """A pod that is applied again is unchanged, its labels can be changed, its command can't."""
    manifest = pod("kept", SLEEP)
    labelled = pod("kept", SLEEP, labels={"new": "label"})
    other = pod("kept", "true")
    outs = [(await kubectl.ok("apply", "-f", "-", manifest=item)).out for item in (manifest, manifest, labelled)]
    assert outs == ["pod/kept created\n", "pod/kept unchanged\n", "pod/kept configured\n"]
    refused = await kubectl("apply", "-f", "-", manifest=other)
    assert refused.code == 1
    assert "pod updates may not change fields other than" in refused.err


async def test_apply_on_the_server(kubectl: Kubectl) -> None:
    """apply --server-side creates, then changes what it names."""
    for value in ("1", "2"):
        ran = await kubectl.ok("apply", "--server-side", "-f", "-", manifest=config_map("served", a=value))
        assert ran.out == "configmap/served serverside-applied\n"
    assert (await kubectl.json("get", "configmap", "served"))["data"] == {"a": "2"}


async def test_change_in_place(kubectl: Kubectl) -> None:
    """label, annotate, the three kinds of patch, and replace change what they name; versions are checked."""
    await kubectl.ok("create", "-f", "-", manifest=config_map("changed", a="1"))
    old = await kubectl.json("get", "cm", "changed")
    await kubectl.ok("label", "cm", "changed", "team=x")
    again = await kubectl("label", "cm", "changed", "team=y")
    await kubectl.ok("label", "cm", "changed", "team=z", "--overwrite")
    await kubectl.ok("annotate", "cm", "changed", "note=some words")
    for kind, patch in (
        ("merge", {"data": {"b": "2", "a": None}}),
        ("json", [{"op": "add", "path": "/data/c", "value": "3"}]),
        ("strategic", {"metadata": {"finalizers": []}, "data": {"d": "4"}}),
    ):
        await kubectl.ok("patch", "cm", "changed", f"--type={kind}", "-p", json.dumps(patch))
    stale = await kubectl("replace", "-f", "-", manifest=old)
    changed = await kubectl.json("get", "cm", "changed")
    await kubectl.ok("replace", "-f", "-", manifest=config_map("changed", z="9"))
    replaced = await kubectl.json("get", "cm", "changed")
    await kubectl.ok("label", "cm", "changed", "gone-")
    assert "already has a value" in again.err
    assert changed["metadata"]["labels"] == {"team": "z"}
    assert changed["metadata"]["annotations"] == {"note": "some words"}
    assert changed["data"] == {"b": "2", "c": "3", "d": "4"}
    assert "the object has been modified" in stale.err
    assert replaced["data"] == {"z": "9"}


async def test_delete(kubectl: Kubectl) -> None:
    """delete waits until it is gone; by label, now, forced, without waiting, in the foreground."""
    names = ("one", "two", "three", "four", "five")
    sleepers = [pod(name, SLEEP, labels={"mortal": name}) for name in names]
    await kubectl.ok("create", "-f", "-", manifest=listed(*sleepers))
    await kubectl.ok("wait", "--for=condition=Ready", "pod", "-l", "mortal", "--timeout=15s")
    waiting, *ran = await asyncio.gather(
        kubectl.ok("wait", "--for=delete", "pod/four", "--timeout=15s"),
        kubectl.ok("delete", "pods", "-l", "mortal=one"),
        kubectl.ok("delete", "pod", "two", "--now"),
        kubectl.ok("delete", "pod", "three", "--force", "--grace-period=0"),
        kubectl.ok("delete", "pod", "four", "--wait=false"),
        kubectl.ok("delete", "pod", "five", "--cascade=foreground", "--grace-period=1"),
    )
    assert [item.out.split()[1] for item in ran] == [f'"{name}"' for name in names]
    assert waiting.lines in ([], ["pod/four condition met"])
    assert (await kubectl.ok("get", "pods", "-l", "mortal", "-o", "name")).out == ""


async def test_wait_that_is_in_vain(kubectl: Kubectl) -> None:
    """A wait that isn't fulfilled in time fails by name."""
    ran = await kubectl("wait", "--for=condition=Ready", "pod/ended", "--timeout=100ms")
    assert (ran.code, "timed out waiting for the condition on pods/ended" in ran.err) == (1, True)


async def test_events(kubectl: Kubectl) -> None:
    """Both ways to list events show what happened to a pod, with the columns of a real server."""
    plain, wide, other = await asyncio.gather(
        kubectl.ok("get", "events", "--field-selector=involvedObject.name=ended"),
        kubectl.ok("get", "events", "-o", "wide", "--field-selector=involvedObject.name=ended"),
        kubectl.ok("events", "--for=pod/ended"),
    )
    assert list(plain.rows[0]) == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert {"Scheduled", "Pulled", "Created", "Started"} == {row["REASON"] for row in plain.rows}
    assert {"Scheduled", "Pulled", "Created", "Started"} == {row["REASON"] for row in other.rows}
    started = next(row for row in wide.rows if row["REASON"] == "Started")
    assert (started["SUBOBJECT"], started["SOURCE"]) == ("spec.containers{a}", "kubelet, localhost")
    assert started["COUNT"] == "1"


async def test_rights(kubectl: Kubectl) -> None:
    """Whoever has the token may do everything, and is told who they are."""
    can, rules, who = await asyncio.gather(
        kubectl.ok("auth", "can-i", "create", "pods"),
        kubectl.ok("auth", "can-i", "--list"),
        kubectl.json("auth", "whoami"),
    )
    assert can.out == "yes\n"
    assert "*.*" in rules.out
    assert "system:masters" in who["status"]["userInfo"]["groups"]


async def test_discovery(kubectl: Kubectl) -> None:
    """kubectl finds versions, kinds, short names and categories."""
    version, kinds, versions, every, ready = await asyncio.gather(
        kubectl.json("version"),
        kubectl.ok("api-resources", "-o", "wide"),
        kubectl.ok("api-versions"),
        kubectl.ok("api-resources", "--categories=all", "-o", "name"),
        kubectl.ok("get", "--raw", "/readyz"),
    )
    assert version["serverVersion"]["gitVersion"].endswith("+podlauncher")
    rows = {row["NAME"]: row for row in kinds.rows}
    assert [rows["pods"][key] for key in ("SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND")] == [
        "po",
        "v1",
        "true",
        "Pod",
    ]
    assert rows["pods"]["VERBS"] == "create,delete,deletecollection,get,list,patch,update,watch"
    assert rows["roles"]["APIVERSION"] == "rbac.authorization.k8s.io/v1"
    assert {"v1", "rbac.authorization.k8s.io/v1"} <= set(versions.lines)
    assert every.lines == ["pods"]
    assert ready.out == "ok"


# What `kubectl create` sends as protobuf, and what is then there.
CREATED: list[tuple[tuple[str, ...], tuple[str, str], Callable[[dict[str, Any]], Any], Any]] = [
    (("namespace", "made"), ("namespace", "made"), lambda o: o["status"]["phase"], "Active"),
    (("configmap", "made", "--from-literal=a=b"), ("configmap", "made"), lambda o: o["data"], {"a": "b"}),
    (
        ("secret", "generic", "made", "--from-literal=a=b"),
        ("secret", "made"),
        lambda o: (o["type"], o["data"]),
        ("Opaque", {"a": base64.b64encode(b"b").decode()}),
    ),
    (
        ("secret", "docker-registry", "pull", "--docker-username=u", "--docker-password=p", "--docker-server=r"),
        ("secret", "pull"),
        lambda o: json.loads(base64.b64decode(o["data"][".dockerconfigjson"]))["auths"]["r"]["username"],
        "u",
    ),
    (("serviceaccount", "made"), ("serviceaccount", "made"), lambda o: o["metadata"]["namespace"], "default"),
    (
        ("role", "made", "--verb=get,list", "--resource=pods,pods/log"),
        ("role", "made"),
        lambda o: o["rules"],
        [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods", "pods/log"]}],
    ),
    (
        ("rolebinding", "made", "--role=made", "--serviceaccount=default:made", "--user=eve"),
        ("rolebinding", "made"),
        lambda o: ([subject["name"] for subject in o["subjects"]], o["roleRef"]["name"]),
        (["eve", "made"], "made"),
    ),
]


@pytest.mark.parametrize(("command", "found", "part", "wanted"), CREATED, ids=[" ".join(row[0][:2]) for row in CREATED])
async def test_create(
    kubectl: Kubectl,
    command: tuple[str, ...],
    found: tuple[str, str],
    part: Callable[[dict[str, Any]], Any],
    wanted: Any,
) -> None:
    """What kubectl makes of its arguments arrives whole, though sent as protobuf; a second time it is there already."""
    dry = await kubectl.ok("create", *command, "--dry-run=server", "-o", "name")
    absent = await kubectl("get", *found)
    await kubectl.ok("create", *command)
    again = await kubectl("create", *command)
    assert dry.out.strip().endswith(f"/{found[1]}")
    assert absent.code == 1
    assert part(await kubectl.json("get", *found)) == wanted
    assert "already exists" in again.err


async def test_create_token(kubectl: Kubectl) -> None:
    """A token of a service account speaks for it; its life is checked."""
    await kubectl.ok("create", "serviceaccount", "speaker")
    token, short = await asyncio.gather(
        kubectl.ok("create", "token", "speaker", "--duration=20m"),
        kubectl("create", "token", "speaker", "--duration=1m"),
    )
    assert len(token.out.strip()) > 20
    assert "less than 10 minutes" in short.err


async def test_refusals_of_what_is_created(kubectl: Kubectl) -> None:
    """A bad name is refused in the API's words, whether it comes as protobuf or as JSON; so is an unknown field."""
    bad = "C_d"
    proto, plain = await asyncio.gather(
        kubectl("create", "configmap", bad), kubectl("create", "-f", "-", manifest=config_map(bad))
    )
    strange = await kubectl("create", "-f", "-", manifest={**config_map("strange"), "dtaa": {}})
    assert 'strict decoding error: unknown field "dtaa"' in strange.err
    for ran in (proto, plain):
        assert f'ConfigMap "{bad}" is invalid: metadata.name: Invalid value: "{bad}"' in ran.err


async def test_explain(kubectl: Kubectl) -> None:
    """explain tells a field's type, and of one that isn't there that it isn't."""
    field, nothing = await asyncio.gather(
        kubectl.ok("explain", "pod.spec.containers.command"), kubectl("explain", "pod.spec.nothing")
    )
    assert "FIELD: command <[]string>" in field.out
    assert 'field "nothing" does not exist' in nothing.err


async def test_nodes(kubectl: Kubectl) -> None:
    """The node's wide table says where and what it is."""
    (row,) = (await kubectl.ok("get", "nodes", "-o", "wide")).rows
    assert list(row)[:5] == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert (row["STATUS"], row["INTERNAL-IP"], row["EXTERNAL-IP"]) == ("Ready", "127.0.0.1", "<none>")
    assert row["OS-IMAGE"].startswith("Linux")


CANNOT = {
    "exec duo -c a -- ls": "Put what is to run into the pod's command",
    "cp duo:/etc/hosts /dev/null -c a": "Put what is to run into the pod's command",
    "debug duo --image=busybox --profile=general": "Put what is to run into the pod's command",
    "attach duo -c a": "Read them with kubectl logs -f",
    "port-forward pod/duo 0:80": "Connect to the port on 127.0.0.1",
    "create deployment d --image=busybox": "the local cluster has no deployments",
    "create job j --image=busybox": "Create a pod, or use another cluster",
    "create service clusterip s --tcp=80": "the local cluster has no services",
    "create clusterrole c --verb=get --resource=pods": "whoever has its token may do everything",
    "create quota q --hard=cpu=1": "the local cluster has no resourcequotas",
    "get deployments": 'the server doesn\'t have a resource type "deployments"',
    "cluster-info": 'the server doesn\'t have a resource type "services"',
    "top pods": "Metrics API not available",
}


async def test_what_cannot_work(kubectl: Kubectl) -> None:
    """Each command that needs more than a local cluster fails with a sentence about it."""
    ran = await side_by_side(kubectl, [tuple(command.split()) for command in CANNOT])
    told = zip(CANNOT.items(), ran, strict=True)
    assert [(command, one.err) for (command, text), one in told if one.code != 1 or text not in one.err] == []


async def test_drain(kubectl: Kubectl) -> None:
    """A cordoned node takes no pods, a drained one has none; then it is as before. Last, since it empties the node."""
    await kubectl.ok("cordon", "localhost")
    assert (await kubectl.ok("get", "nodes")).rows[0]["STATUS"] == "Ready,SchedulingDisabled"
    drained = await kubectl.ok("drain", "localhost", "--force", "--timeout=15s")
    assert "pod/duo evicted" in drained.out
    await kubectl.ok("uncordon", "localhost")
    assert (await kubectl.ok("get", "nodes")).rows[0]["STATUS"] == "Ready"
