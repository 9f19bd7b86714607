"""What stands in the cells of the tables: one function a cell, from an object and the time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

Cell = Callable[[Mapping[str, Any], datetime], Any]

# What kubectl prints where there is nothing.
NONE = "<none>"

# Seconds below which an age is told in this unit, and with which smaller one beside it: kubectl's own steps.
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400
_STEPS: tuple[tuple[float, int, str, int, str], ...] = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (48 * _HOUR, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
    (float("inf"), _YEAR, "y", 0, ""),
)


def path(*parts: str, default: str = "") -> Cell:
    def cell(obj: Mapping[str, Any], now: datetime) -> Any:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def age(moment: str | None, now: datetime) -> str:
    """How long ago, as kubectl prints it: 12s, 5m, 3h12m, 4d, 2y7d."""
    if not moment:
        return "<unknown>"
    seconds = max(0, int((now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds()))
    _, unit, letter, smaller, small_letter = next(step for step in _STEPS if seconds < step[0])
    rest = seconds % unit // smaller if smaller else 0
    return f"{seconds // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")


def created(obj: Mapping[str, Any], now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return pod.get("status", {}).get("containerStatuses") or []


def ready(pod: Mapping[str, Any], now: datetime) -> str:
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    names = {sidecar.get("name") for sidecar in sidecars}
    statuses = _statuses(pod) + [s for s in _init_statuses(pod) if s.get("name") in names]
    ready = sum(1 for status in statuses if status.get("ready"))
    return f"{ready}/{len(pod['spec'].get('containers') or ()) + len(sidecars)}"


def _init_statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return pod.get("status", {}).get("initContainerStatuses") or []


def restarts(pod: Mapping[str, Any], now: datetime) -> str:
    """How often, and how long ago the last one was. Init containers count until they are through."""
    initial = _init_reason(pod) is not None
    statuses = _init_statuses(pod) if initial else _statuses(pod)
    count = sum(status.get("restartCount", 0) for status in statuses)
    ends = [(status.get("lastState") or {}).get("terminated", {}).get("finishedAt") for status in statuses]
    last = max(filter(None, ends), default="")
    return f"{count} ({age(last, now)} ago)" if count and last else str(count)


def pod_status(pod: Mapping[str, Any], now: datetime) -> str:
    """One word for how the pod is, as kubectl has it."""
    leaving = "deletionTimestamp" in pod["metadata"] and pod["status"].get("phase") not in ("Succeeded", "Failed")
    return "Terminating" if leaving else _init_reason(pod) or _main_reason(pod)


def _main_reason(pod: Mapping[str, Any]) -> str:
    status = pod["status"]
    conditions = {item.get("type"): item for item in status.get("conditions") or ()}
    shown: str = status.get("reason") or status.get("phase", "")
    if conditions.get("PodScheduled", {}).get("reason") == "SchedulingGated":
        shown = "SchedulingGated"
    running = False
    for container in reversed(_statuses(pod)):
        state = container.get("state", {})
        shown = _reason(state) or shown
        running = running or ("running" in state and bool(container.get("ready")))
    if shown != "Completed" or not running:
        return shown
    return "Running" if conditions.get("Ready", {}).get("status") == "True" else "NotReady"


def _reason(state: Mapping[str, Any]) -> str:
    """Why a container waits or has ended; empty while it runs."""
    if waiting := state.get("waiting", {}).get("reason"):
        return str(waiting)
    ended = state.get("terminated")
    if ended is None:
        return ""
    signal, code = ended.get("signal"), ended.get("exitCode", 0)
    return ended.get("reason") or (f"Signal:{signal}" if signal else f"ExitCode:{code}")


def _init_reason(pod: Mapping[str, Any]) -> str | None:
    """What holds up the init containers, None when they are through."""
    sidecars = {c.get("name") for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"}
    for at, container in enumerate(_init_statuses(pod)):
        state = container.get("state", {})
        if state.get("terminated", {}).get("exitCode") == 0:
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        reason = _reason(state)
        if reason and reason != "PodInitializing":
            return f"Init:{reason}"
        return f"Init:{at}/{len(pod['spec'].get('initContainers') or ())}"
    return None


def gates(pod: Mapping[str, Any], now: datetime) -> str:
    gates = [gate.get("conditionType") for gate in pod["spec"].get("readinessGates") or ()]
    conditions = pod.get("status", {}).get("conditions") or ()
    true = {item.get("type") for item in conditions if item.get("status") == "True"}
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else NONE


def count(*fields: str) -> Cell:
    return lambda obj, now: str(sum(len(obj.get(field) or {}) for field in fields))


def modes(*parts: str) -> Cell:
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    return lambda obj, now: ",".join(short.get(mode, mode) for mode in path(*parts)(obj, now) or ())


def node_status(node: Mapping[str, Any], now: datetime) -> str:
    conditions = node.get("status", {}).get("conditions") or ()
    ready = next((item.get("status") for item in conditions if item.get("type") == "Ready"), "")
    words = ["Ready" if ready == "True" else "NotReady"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def roles(node: Mapping[str, Any], now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or NONE


def address(kind: str) -> Cell:
    def cell(node: Mapping[str, Any], now: datetime) -> str:
        addresses = node.get("status", {}).get("addresses") or ()
        return next((str(item.get("address")) for item in addresses if item.get("type") == kind), NONE)

    return cell


def seen(*fields: str) -> Cell:
    return lambda event, now: age(next((event[field] for field in fields if event.get(field)), None), now)


def source(event: Mapping[str, Any], now: datetime) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    return ", ".join(filter(None, (component, source.get("host"))))


def involved(event: Mapping[str, Any], now: datetime) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def claim_of(volume: Mapping[str, Any], now: datetime) -> str:
    claim = volume["spec"].get("claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def attributes_class(obj: Mapping[str, Any], now: datetime) -> str:
    spec = obj["spec"]
    return spec.get("volumeAttributesClassName") or "<unset>"


def subjects(kind: str) -> Cell:
    def cell(binding: Mapping[str, Any], now: datetime) -> str:
        of_kind = [subject for subject in binding.get("subjects") or () if subject.get("kind") == kind]
        named = (f"{item['namespace']}/{item['name']}" if item.get("namespace") else item["name"] for item in of_kind)
        return ", ".join(named)

    return cell


def audiences(driver: Mapping[str, Any], now: datetime) -> str:
    return ",".join(item.get("audience", "") for item in driver["spec"].get("tokenRequests") or ()) or "<unset>"


def flag(name: str, *, default: bool = False) -> Cell:
    return lambda driver, now: bool(driver["spec"].get(name, default))


def lifecycles(driver: Mapping[str, Any], now: datetime) -> str:
    return ",".join(driver["spec"].get("volumeLifecycleModes") or ("Persistent",))


def expands(storage: Mapping[str, Any], now: datetime) -> bool:
    return storage.get("allowVolumeExpansion") is True


def times(event: Mapping[str, Any], now: datetime) -> str:
    return str((event.get("series") or {}).get("count") or event.get("count") or 1)


def bound_role(binding: Mapping[str, Any], now: datetime) -> str:
    return f"{binding['roleRef'].get('kind')}/{binding['roleRef'].get('name')}"
