"""The node beside a real kubelet: the same pods, status by status and event by event."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from launcher.kube.watch import watch
from launcher.local.node import Bubblewrap
from tests.local.node_lab import PODS, Lab, laboratory

_RECORDINGS = Path(__file__).parents[1] / "recordings"

RECORDED = {pod["name"]: pod for pod in map(json.loads, (_RECORDINGS / "kubelet.jsonl").read_text().splitlines())}

# The recorded pods that the node isn't compared with, and what each would need.
LEFT_OUT = {
    "image-never-pulled": "an image that isn't there: processes have none",
    "image-pull-fails": "an image registry that refuses",
    "image-name-invalid": "a container runtime that reads image names",
    "oom": "a memory limit that the kernel holds, by a cgroup that only an administrator can make",
}

# These restart or retry for ever; at a twentieth of a kubelet's waits their recorded part takes two seconds.
HURRIED = {"restart-on-failure", "sidecar-never-starts"}

# Seconds of sleep in commands that only make the recording longer.
SHORTER = {"sleep 6": "sleep 3"}

EVENTS = "/api/v1/namespaces/default/events"

Statuses = list[dict[str, Any]]


def _deadline(statuses: Statuses) -> Statuses:
    # The recorded container started, among thirty, only after its deadline had passed; here it runs by then.
    running = next(s for s in RECORDED["deleted-graceful"]["statuses"] if s["phase"] == "Running")
    return [*statuses[:4], running, *statuses[5:]]


def _two_containers(statuses: Statuses) -> Statuses:
    # A kubelet looks at its containers once a second: it never saw both run.
    both = json.loads(json.dumps(statuses[4]))
    both["containerStatuses"][0] = ["a", {"running": {}}, {}, 0, True, True]
    for condition in both["conditions"][2:4]:
        condition[1:] = ["True", "", ""]
    return [*statuses[:4], both, *statuses[4:]]


def _sidecar_restarts(statuses: Statuses) -> Statuses:
    # A kubelet tells of a back-off when it next looks at the pod; by then the main container had ended too.
    waiting = json.loads(json.dumps(statuses[8]))
    waiting["initContainerStatuses"][0] = statuses[9]["initContainerStatuses"][0]
    return [*statuses[:9], waiting, *statuses[9:]]


EXPLAINED: dict[str, Callable[[Statuses], Statuses]] = {
    "deadline": _deadline,
    "two-containers": _two_containers,
    "sidecar-restarts": _sidecar_restarts,
}


def expected(name: str) -> Statuses:
    statuses: Statuses = RECORDED[name]["statuses"]
    return EXPLAINED[name](statuses) if name in EXPLAINED else statuses


class Observed:
    """What the node reported of each pod, in the recording's form."""

    def __init__(self) -> None:
        self.statuses: dict[str, Statuses] = {name: [] for name in RECORDED}
        self.events: dict[str, list[list[str]]] = {name: [] for name in RECORDED}
        self.deleted: set[str] = set()
        self._changed = asyncio.Event()
        self.watching = asyncio.Semaphore(0)
        """Taken twice, by whoever lets both watches begin before the first pod is there."""

    async def pods(self, lab: Lab) -> None:
        async with aclosing(watch(lab.session, PODS)) as events:
            async for event in events:
                if event.type == "SYNCED":
                    self.watching.release()
                elif event.type == "DELETED":
                    self.deleted.add(event.object["metadata"]["name"])
                else:
                    self._add(event.object)
                self._changed.set()

    async def told(self, lab: Lab) -> None:
        async with aclosing(watch(lab.session, EVENTS, fields="involvedObject.kind=Pod")) as events:
            async for event in events:
                if event.type == "SYNCED":
                    self.watching.release()
                else:
                    item = event.object
                    about = item["involvedObject"]
                    row = [item["type"], item["reason"], about.get("fieldPath", ""), item["message"]]
                    row[3] = row[3].replace(about["uid"], RECORDED[about["name"]]["uid"])
                    if row not in self.events[about["name"]]:
                        self.events[about["name"]].append(row)
                    self._changed.set()

    async def complete(self, names: set[str]) -> None:
        """Until as much was seen of each as was recorded."""
        while not all(self._is_complete(name) for name in names):
            self._changed.clear()
            await self._changed.wait()

    def _is_complete(self, name: str) -> bool:
        recorded = RECORDED[name]
        return (
            len(self.statuses[name]) >= len(expected(name))
            and len(self.events[name]) >= len(recorded["events"])
            and (name in self.deleted) == recorded["deleted"]
        )

    def _add(self, pod: dict[str, Any]) -> None:
        name = pod["metadata"]["name"]
        text = json.dumps(_reduced(pod["status"])).replace(pod["metadata"]["uid"], RECORDED[name]["uid"])
        status = json.loads(text)
        if not self.statuses[name] or self.statuses[name][-1] != status:
            self.statuses[name].append(status)


def _reduced(status: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: status[key] for key in ("phase", "reason", "message") if key in status}
    kept["conditions"] = [
        [c["type"], c["status"], c.get("reason", ""), c.get("message", "")] for c in status.get("conditions", [])
    ]
    for group in ("initContainerStatuses", "containerStatuses"):
        if group in status:
            kept[group] = [
                [c["name"], _state(c["state"]), _state(c["lastState"]), c["restartCount"], c["ready"], c["started"]]
                for c in status[group]
            ]
    return kept


def _state(state: dict[str, Any]) -> dict[str, Any]:
    return {
        kind: {key: value for key, value in told.items() if key in ("exitCode", "reason", "message")}
        for kind, told in state.items()
    }


async def _furnish(lab: Lab) -> None:
    await lab.put("secrets", "real", stringData={"key": "value"})
    unbound = {
        "storageClassName": "elsewhere",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    await lab.put("persistentvolumeclaims", "unbound", spec=unbound)


async def _delete(lab: Lab, name: str) -> None:
    await lab.running(name)
    if name == "evicted-by-api":
        body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
        await lab.session.create(f"{PODS}/{name}/eviction", body)
    else:
        await lab.session.delete(f"{PODS}/{name}")


async def _record(folder: Path, names: set[str], pace: float, observed: Observed) -> None:
    async with laboratory(folder, Bubblewrap.installed(), pace) as lab:
        await _furnish(lab)
        watching = [asyncio.create_task(observed.pods(lab)), asyncio.create_task(observed.told(lab))]
        for _ in watching:
            await observed.watching.acquire()
        for name in sorted(names):
            text = json.dumps(RECORDED[name]["spec"])
            for long, short in SHORTER.items():
                text = text.replace(long, short)
            await lab.create(json.loads(text), name)
        await asyncio.gather(*(_delete(lab, name) for name in names if RECORDED[name]["deleted"]))
        try:
            async with asyncio.timeout(15):
                await observed.complete(names)
                # Time for a report too many to arrive.
                await asyncio.sleep(0.3)
        except TimeoutError:
            pass  # the comparisons tell what is missing
        finally:
            for task in watching:
                task.cancel()
            ended = await asyncio.gather(*watching, return_exceptions=True)
        assert all(isinstance(error, asyncio.CancelledError) for error in ended), ended


@pytest.fixture(scope="module")
def observed() -> Observed:
    """All recorded pods, run once."""

    async def all_of_them() -> Observed:
        seen = Observed()
        with tempfile.TemporaryDirectory() as calm, tempfile.TemporaryDirectory() as hurried:
            await _record(Path(calm), set(RECORDED) - HURRIED, 1.0, seen)
            await _record(Path(hurried), HURRIED, 0.05, seen)
        return seen

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("name", RECORDED)
def test_statuses(observed: Observed, name: str) -> None:
    """The node reports the statuses that a kubelet reports, in its order, no more and no fewer."""
    wanted, seen = expected(name), observed.statuses[name]
    if name in HURRIED:
        seen = seen[: len(wanted)]
    assert seen == wanted


@pytest.mark.parametrize("name", RECORDED)
def test_events(observed: Observed, name: str) -> None:
    """The node tells the events that a kubelet and a scheduler tell, in their order."""
    # A scheduler and a kubelet tell of what they did independently: only each one's own order is certain.
    told = sorted(observed.events[name], key=lambda row: row[1] != "Scheduled")
    assert told == RECORDED[name]["events"]


@pytest.mark.parametrize("name", [name for name, pod in RECORDED.items() if pod["deleted"]])
def test_deletions(observed: Observed, name: str) -> None:
    """A deleted pod is let go once nothing of it runs."""
    assert name in observed.deleted


def test_nothing_is_left_out_silently() -> None:
    """Every pod that was ever recorded is compared, or left out for a reason that the README names too."""
    lines = (_RECORDINGS / "timeline.jsonl").read_text().splitlines()
    assert {json.loads(line)["name"] for line in lines} == RECORDED.keys() | LEFT_OUT.keys()
    assert not RECORDED.keys() & LEFT_OUT.keys()
    (told,) = re.findall(r"^Left out, .*$", (_RECORDINGS / "README.md").read_text(), re.MULTILINE)
    assert set(re.findall(r"`([a-z-]+)`", told)) == LEFT_OUT.keys()
