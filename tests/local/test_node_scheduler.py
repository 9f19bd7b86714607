"""Which pods the node takes, which it refuses, and what it says of those."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from launcher.local.node.fitting import misfit, requests_of, selected
from tests.local.node_lab import PODS, Lab, pod_spec

LABELS = {"kubernetes.io/hostname": "localhost", "kubernetes.io/os": "linux", "size": "12"}


def amounts(**texts: int) -> dict[str, Decimal]:
    return {name: Decimal(value) for name, value in texts.items()}


def unschedulable(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions") or ()
    return any(c["type"] == "PodScheduled" and c["status"] == "False" for c in conditions)


async def test_node_object(lab: Lab) -> None:
    """The node registers itself as ready, with what the machine has."""
    node = await lab.session.get("/api/v1/nodes/localhost")
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert {c["type"]: c["status"] for c in node["status"]["conditions"]} == {"Ready": "True"}
    assert int(node["status"]["capacity"]["cpu"]) >= 1
    assert node["status"]["allocatable"]["pods"] == "110"


async def test_pod_waits_for_room(lab: Lab) -> None:
    """A pod that fits only once another has ended is told so, and then runs."""
    cpus = (await lab.session.get("/api/v1/nodes/localhost"))["status"]["allocatable"]["cpu"]
    whole = {"requests": {"cpu": cpus}}
    first = await lab.create(pod_spec("sleep", "100", resources=whole, terminationGracePeriodSeconds=0))
    await lab.running(first)
    second = await lab.create(pod_spec("true", resources={"requests": {"cpu": "100m"}}))
    pod = await lab.until(second, unschedulable)
    condition = next(c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled")
    assert condition["message"].startswith("0/1 nodes are available: 1 Insufficient cpu.")
    assert condition["message"].endswith("No preemption victims found for incoming pod.")
    await lab.session.delete(f"{PODS}/{first}")
    assert (await lab.ended(second))["status"]["phase"] == "Succeeded"


async def test_pod_waits_for_its_claim(lab: Lab) -> None:
    """A pod whose claim comes later runs then."""
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "late"}}]
    name = await lab.create(pod_spec("true", volumes=volumes))
    await lab.until(name, unschedulable)
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await lab.put("persistentvolumeclaims", "late", spec=claim)
    assert (await lab.ended(name))["status"]["phase"] == "Succeeded"


async def test_gate(lab: Lab) -> None:
    """A pod runs once its last scheduling gate is taken away."""
    name = await lab.create(pod_spec("true", schedulingGates=[{"name": "example.com/queue"}]))
    pod = await lab.until(name, unschedulable)
    assert pod["status"]["conditions"][0]["reason"] == "SchedulingGated"
    await lab.session.patch(f"{PODS}/{name}", {"spec": {"schedulingGates": []}})
    assert (await lab.ended(name))["status"]["phase"] == "Succeeded"


async def test_other_schedulers_pods(lab: Lab) -> None:
    """A pod for another scheduler is left alone; one that names its node needs no scheduler."""
    other = await lab.create(pod_spec("true", schedulerName="mine"))
    here = await lab.create(pod_spec("true", nodeName="localhost"))
    assert (await lab.ended(here))["status"]["phase"] == "Succeeded"
    assert "nodeName" not in (await lab.session.get(f"{PODS}/{other}"))["spec"]


async def test_deleting_a_refused_pod(lab: Lab) -> None:
    """A pod that was never scheduled goes at once and leaves nothing to schedule."""
    name = await lab.create(pod_spec("true", nodeSelector={"x": "y"}))
    await lab.until(name, unschedulable)
    await lab.session.delete(f"{PODS}/{name}")
    assert (await lab.run("true"))[0] == 0


def test_requests() -> None:
    """Sidecars count with the main containers, an init container only if it needs more than they do."""

    def asking(cpu: str, **more: Any) -> dict[str, Any]:
        return {"name": "x", "resources": {"requests": {"cpu": cpu}}, **more}

    spec = {"initContainers": [asking("1", restartPolicy="Always"), asking("5")], "containers": [asking("2")]}
    assert requests_of(spec) == amounts(pods=1, cpu=6)
    spec["initContainers"][1] = asking("1")
    assert requests_of(spec) == amounts(pods=1, cpu=3)
    limited = {"containers": [{"resources": {"limits": {"cpu": "3", "nvidia.com/gpu": "1"}}}]}
    assert requests_of(limited) == {**amounts(pods=1, cpu=3), "nvidia.com/gpu": Decimal(1)}


@pytest.mark.parametrize(
    ("asked", "used", "words"),
    [
        ({"cpu": 2}, {}, ""),
        (
            {"cpu": 2},
            {"cpu": 3},
            "1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 No",
        ),
        (
            {"cpu": 5},
            {},
            "1 Insufficient cpu. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption",
        ),
        ({"gpu": 1}, {}, "1 Insufficient gpu"),
        ({"cpu": 5, "memory": 9}, {}, "1 Insufficient cpu, 1 Insufficient memory"),
        ({"pods": 1}, {"pods": 110}, "1 Too many pods"),
        ({"gpu": 0}, {}, ""),
    ],
)
def test_room(asked: dict[str, int], used: dict[str, int], words: str) -> None:
    """A pod fits when all that it asks for is left over; the sentence names what isn't."""
    has = amounts(cpu=4, memory=8, pods=110)
    said = misfit({}, amounts(**asked), LABELS, has, amounts(**used))
    assert bool(said) == bool(words)
    assert words in said


def affinity(*expressions: tuple[str, str, list[str]]) -> dict[str, Any]:
    term = {"matchExpressions": [{"key": k, "operator": o, "values": v} for k, o, v in expressions]}
    required = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": []}, term]}
    }
    return {"affinity": {"nodeAffinity": required}}


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({}, True),
        ({"nodeSelector": {"kubernetes.io/os": "linux"}}, True),
        ({"nodeSelector": {"kubernetes.io/os": "plan9"}}, False),
        (affinity(("size", "In", ["12", "13"])), True),
        (affinity(("size", "NotIn", ["12"])), False),
        (affinity(("colour", "NotIn", ["red"])), True),
        (affinity(("size", "Exists", [])), True),
        (affinity(("colour", "Exists", [])), False),
        (affinity(("colour", "DoesNotExist", [])), True),
        (affinity(("size", "Gt", ["11"])), True),
        (affinity(("size", "Gt", ["12"])), False),
        (affinity(("size", "Lt", ["13"])), True),
        (affinity(("kubernetes.io/os", "Lt", ["13"])), False),
        (affinity(("size", "In", ["12"]), ("colour", "Exists", [])), False),
        (affinity(("size", "Sometimes", [])), False),
    ],
)
def test_selection(spec: dict[str, Any], wanted: bool) -> None:
    """Node selectors and required affinities are matched as Kubernetes matches them; an empty term matches nothing."""
    assert selected(spec, LABELS) is wanted
