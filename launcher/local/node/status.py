"""From what the node knows of a pod to the ``status`` that a kubelet would report. Pure.

The rules were read off recordings of a kubelet (``tests/recordings``): the conditions speak of the phase that
follows from the containers, while the phase itself is held back until nothing of the pod runs any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from launcher.local.node.states import Role, Running, Seen, Snapshot, State, Terminated, Waiting

# A kubelet prints these first, in this order; conditions of others stand before them.
CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")

ENDED = frozenset({"Succeeded", "Failed"})

# What becomes of a container that its pod's end caught while it wasn't running.
LOST = Terminated(
    137, "ContainerStatusUnknown", message="The container could not be located when the pod was terminated"
)

# Both the node's and the pods' address: processes share the machine's network, and only this name of it
# is one that nobody else can reach.
ADDRESS = "127.0.0.1"


def timestamp(moment: datetime | None) -> str:
    """A moment in Kubernetes' form, whole seconds; None is the epoch, as for a container that never ran."""
    return (moment or datetime.fromtimestamp(0, UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")


def pod_status(snapshot: Snapshot, reported: str, previous: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The status to report.

    ``reported`` is the phase that was reported last; ``previous``, the status that the server has now, gives
    the start time, and when each condition last changed.
    """
    fate = phase_of(snapshot)
    phase = fate if snapshot.final or fate not in ENDED else reported
    if snapshot.final and snapshot.reason:
        phase = "Failed"
    status: dict[str, Any] = {
        "observedGeneration": snapshot.generation,
        "phase": phase,
        "conditions": _conditions(snapshot, phase if snapshot.final else fate, previous, now),
        "hostIP": ADDRESS,
        "hostIPs": [{"ip": ADDRESS}],
        "startTime": previous.get("startTime") or timestamp(now),
    }
    if snapshot.sandbox or previous.get("podIP"):
        status |= {"podIP": ADDRESS, "podIPs": [{"ip": ADDRESS}]}
    if snapshot.reason and snapshot.final:
        status |= {"reason": snapshot.reason, "message": snapshot.message}
    if snapshot.having(Role.INIT, Role.SIDECAR):
        status["initContainerStatuses"] = [_container(s) for s in snapshot.having(Role.INIT, Role.SIDECAR)]
    status["containerStatuses"] = [_container(seen) for seen in snapshot.having(Role.MAIN)]
    return status


def phase_of(snapshot: Snapshot) -> str:
    """The phase that follows from the containers alone."""
    mains = snapshot.having(Role.MAIN)
    if not _initialised(snapshot):
        failed = [s for s in snapshot.having(Role.INIT) if isinstance(s.state, Terminated) and not s.succeeded]
        doomed = bool(failed) and snapshot.restart_policy == "Never"
        return "Failed" if snapshot.stopped or doomed else "Pending"
    if any(isinstance(seen.state, Waiting) and seen.last is None for seen in mains):
        return "Failed" if snapshot.stopped else "Pending"
    running = any(isinstance(seen.state, Running) for seen in snapshot.having(Role.MAIN, Role.SIDECAR))
    if running or not (snapshot.stopped or _for_good(snapshot)):
        return "Running"
    return "Succeeded" if all(seen.succeeded for seen in mains) else "Failed"


def lost(snapshot: Snapshot) -> tuple[Seen, ...]:
    """The containers when the pod has ended: what waits now will never be found again."""
    initialised = _initialised(snapshot)
    return tuple(
        attrs.evolve(seen, state=LOST)
        if isinstance(seen.state, Waiting) and (seen.has_started or (initialised and seen.role is Role.MAIN))
        else seen
        for seen in snapshot.containers
    )


def _for_good(snapshot: Snapshot) -> bool:
    """Whether the restart policy starts no main container again."""
    mains = snapshot.having(Role.MAIN)
    ended = all(isinstance(seen.state, Terminated) for seen in mains)
    policy = snapshot.restart_policy
    return ended and (policy == "Never" or (policy == "OnFailure" and all(seen.succeeded for seen in mains)))


def _initialised(snapshot: Snapshot) -> bool:
    if any(seen.has_started for seen in snapshot.having(Role.MAIN)):
        return True
    return not _incomplete(snapshot)


def _incomplete(snapshot: Snapshot) -> list[str]:
    return [
        seen.name
        for seen in snapshot.having(Role.INIT, Role.SIDECAR)
        if not (seen.succeeded if seen.role is Role.INIT else _ran(seen))
    ]


def _ran(seen: Seen) -> bool:
    attempts = (seen.state, seen.last)
    return any(isinstance(a, Running) or (isinstance(a, Terminated) and a.started is not None) for a in attempts)


def _conditions(snapshot: Snapshot, fate: str, previous: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    before = {c["type"]: c for c in previous.get("conditions") or ()}
    conditions = [c for kind, c in before.items() if kind not in CONDITIONS]
    for kind, (status, reason, message) in zip(CONDITIONS, _verdicts(snapshot, fate), strict=True):
        old = before.get(kind, {})
        since = old.get("lastTransitionTime") if old.get("status") == status else None
        condition = {
            "type": kind,
            "observedGeneration": snapshot.generation,
            "status": status,
            "lastProbeTime": None,
            "lastTransitionTime": since or timestamp(now),
        }
        conditions.append(condition | {k: v for k, v in (("reason", reason), ("message", message)) if v})
    return conditions


Verdict = tuple[str, str, str]  # status, reason, message


def _verdicts(snapshot: Snapshot, fate: str) -> tuple[Verdict, ...]:
    ready = _readiness(snapshot, fate)
    return (
        ("True" if snapshot.sandbox else "False", "", ""),
        _initialisation(snapshot, fate),
        ready,
        ready,
        ("True", "", ""),
    )


def _initialisation(snapshot: Snapshot, fate: str) -> Verdict:
    if _initialised(snapshot):
        return "True", "PodCompleted" if fate == "Succeeded" else "", ""
    return (
        "False",
        "ContainersNotInitialized",
        f"containers with incomplete status: {_names(_incomplete(snapshot))}",
    )


def _readiness(snapshot: Snapshot, fate: str) -> Verdict:
    if fate in ENDED:
        return "False", "PodCompleted" if fate == "Succeeded" else "PodFailed", ""
    unready = [seen.name for seen in snapshot.having(Role.SIDECAR, Role.MAIN) if not seen.ready]
    if unready:
        return "False", "ContainersNotReady", f"containers with unready status: {_names(unready)}"
    return "True", "", ""


def _names(names: Iterable[str]) -> str:
    return f"[{' '.join(names)}]"


def _container(seen: Seen) -> dict[str, Any]:
    current = seen.last if isinstance(seen.state, Waiting) else seen.state
    status: dict[str, Any] = {
        "name": seen.name,
        "state": _state(seen.state),
        "lastState": _state(seen.last),
        "ready": seen.ready,
        "restartCount": seen.restarts,
        "image": seen.spec.get("image", ""),
        "imageID": "",
        "started": isinstance(seen.state, Running),
        "resources": seen.spec.get("resources") or {},
        "volumeMounts": [_mount(mount) for mount in seen.spec.get("volumeMounts") or ()],
    }
    if current is not None and current.container_id:
        status["containerID"] = current.container_id
    return status


def _mount(mount: Mapping[str, Any]) -> dict[str, Any]:
    listed = {key: mount[key] for key in ("name", "mountPath", "readOnly") if key in mount}
    return listed | ({"recursiveReadOnly": "Disabled"} if mount.get("readOnly") else {})


def _state(state: State | None) -> dict[str, Any]:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(started, _):
            return {"running": {"startedAt": timestamp(started)}}
        case Terminated():
            return {"terminated": _terminated(state)}
    return {}


def _terminated(state: Terminated) -> dict[str, Any]:
    value: dict[str, Any] = {"exitCode": state.exit_code, "reason": state.reason}
    if state.message:
        value["message"] = state.message
    value["startedAt"] = timestamp(state.started) if state.finished else None
    value["finishedAt"] = timestamp(state.finished) if state.finished else None
    if state.container_id:
        value["containerID"] = state.container_id
    return value
