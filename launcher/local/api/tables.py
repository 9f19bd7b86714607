"""What ``kubectl get`` prints: objects as rows of a table, in the columns of a real server. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from launcher.local.api.resources import Resource
from launcher.local.api.store import Stored

Cell = Callable[[Mapping[str, Any], datetime], Any]


@attrs.frozen
class Column:
    """``wide`` columns are those of ``-o wide``."""

    name: str
    cell: Cell
    wide: bool = False
    type: str = "string"

    def definition(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": "",
            "priority": int(self.wide),
        }


def wanted(accept: str) -> bool:
    """Whether the client asked for a table."""
    return "as=Table" in accept


def table(
    resource: Resource, rows: list[Stored], metadata: Mapping[str, Any], now: datetime, include: str
) -> dict[str, Any]:
    """The Table object; ``include`` says what comes along with each row: Metadata, None or Object."""
    columns = [_NAME, *_COLUMNS.get(resource.kind, ()), *(() if resource.kind == "Event" else (_AGE,))]
    if resource.kind == "Event":
        columns = columns[1:]
    # Wide columns come after the age, as a real server has them.
    columns.sort(key=lambda column: column.wide)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [column.definition() for column in columns],
        "rows": [
            {"cells": [column.cell(row.object, now) for column in columns], **_content(row, include)} for row in rows
        ],
    }


def _content(row: Stored, include: str) -> dict[str, Any]:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": row.object}
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": row.metadata}
    return {"object": partial}


def _path(*parts: str, default: str = "") -> Cell:
    def cell(obj: Mapping[str, Any], now: datetime) -> Any:
        value: Any = obj
        for part in parts:
            value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else value

    return cell


def age(moment: str | None, now: datetime) -> str:
    """How long ago, as kubectl prints it: 12s, 5m, 3h12m, 4d."""
    if not moment:
        return "<unknown>"
    seconds = max(0, int((now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10 and seconds % 60:
        return f"{minutes}m{seconds % 60}s"
    if hours < 3:
        return f"{minutes}m"
    if hours < 8 and minutes % 60:
        return f"{hours}h{minutes % 60}m"
    return f"{hours}h" if hours < 48 else f"{days}d"


def _age(obj: Mapping[str, Any], now: datetime) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


def _statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return pod.get("status", {}).get("containerStatuses") or []


def _ready(pod: Mapping[str, Any], now: datetime) -> str:
    sidecars = [c for c in pod["spec"].get("initContainers") or () if c.get("restartPolicy") == "Always"]
    names = {sidecar.get("name") for sidecar in sidecars}
    statuses = _statuses(pod) + [s for s in _init_statuses(pod) if s.get("name") in names]
    ready = sum(1 for status in statuses if status.get("ready"))
    return f"{ready}/{len(pod['spec'].get('containers') or ()) + len(sidecars)}"


def _init_statuses(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return pod.get("status", {}).get("initContainerStatuses") or []


def _restarts(pod: Mapping[str, Any], now: datetime) -> str:
    return str(sum(status.get("restartCount", 0) for status in _statuses(pod)))


def _pod_status(pod: Mapping[str, Any], now: datetime) -> str:
    if "deletionTimestamp" in pod["metadata"]:
        return "Terminating"
    status = pod.get("status", {})
    shown = status.get("reason") or status.get("phase", "")
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "SchedulingGated":
            shown = "SchedulingGated"
    initial = _init_reason(pod)
    if initial is not None:
        return initial
    running = False
    for container in reversed(_statuses(pod)):
        state = container.get("state", {})
        shown = _reason(state) or shown
        running = running or ("running" in state and bool(container.get("ready")))
    return "Running" if shown == "Completed" and running else shown


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


def _count(*fields: str) -> Cell:
    return lambda obj, now: str(sum(len(obj.get(field) or {}) for field in fields))


def _modes(*parts: str) -> Cell:
    short = {
        "ReadWriteOnce": "RWO",
        "ReadOnlyMany": "ROX",
        "ReadWriteMany": "RWX",
        "ReadWriteOncePod": "RWOP",
    }
    return lambda obj, now: ",".join(short.get(mode, mode) for mode in _path(*parts)(obj, now) or ())


def _node_status(node: Mapping[str, Any], now: datetime) -> str:
    conditions = node.get("status", {}).get("conditions") or ()
    ready = next((item.get("status") for item in conditions if item.get("type") == "Ready"), "Unknown")
    words = ["Ready" if ready == "True" else "NotReady" if ready == "False" else "Unknown"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: Mapping[str, Any], now: datetime) -> str:
    prefix = "node-role.kubernetes.io/"
    labels = node["metadata"].get("labels") or {}
    return ",".join(sorted(key.removeprefix(prefix) for key in labels if key.startswith(prefix))) or "<none>"


def _last_seen(event: Mapping[str, Any], now: datetime) -> str:
    return age(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp"), now)


def _involved(event: Mapping[str, Any], now: datetime) -> str:
    involved = event.get("involvedObject") or {}
    return f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"


def _claim_of(volume: Mapping[str, Any], now: datetime) -> str:
    claim = volume["spec"].get("claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _role(binding: Mapping[str, Any], now: datetime) -> str:
    return f"{binding['roleRef'].get('kind')}/{binding['roleRef'].get('name')}"


_NAME = Column("Name", _path("metadata", "name"))
_AGE = Column("Age", _age)

_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        Column("Ready", _ready),
        Column("Status", _pod_status),
        Column("Restarts", _restarts),
        Column("IP", _path("status", "podIP", default="<none>"), wide=True),
        Column("Node", _path("spec", "nodeName", default="<none>"), wide=True),
    ),
    "ConfigMap": (Column("Data", _count("data", "binaryData")),),
    "Secret": (Column("Type", _path("type")), Column("Data", _count("data"))),
    "PersistentVolumeClaim": (
        Column("Status", _path("status", "phase")),
        Column("Volume", _path("spec", "volumeName")),
        Column("Capacity", _path("status", "capacity", "storage")),
        Column("Access Modes", _modes("status", "accessModes")),
        Column("StorageClass", _path("spec", "storageClassName")),
    ),
    "PersistentVolume": (
        Column("Capacity", _path("spec", "capacity", "storage")),
        Column("Access Modes", _modes("spec", "accessModes")),
        Column("Reclaim Policy", _path("spec", "persistentVolumeReclaimPolicy")),
        Column("Status", _path("status", "phase")),
        Column("Claim", _claim_of),
        Column("StorageClass", _path("spec", "storageClassName")),
    ),
    "Node": (
        Column("Status", _node_status),
        Column("Roles", _roles),
        Column("Version", _path("status", "nodeInfo", "kubeletVersion")),
    ),
    "Namespace": (Column("Status", _path("status", "phase")),),
    "Event": (
        Column("Last Seen", _last_seen),
        Column("Type", _path("type")),
        Column("Reason", _path("reason")),
        Column("Object", _involved),
        Column("Message", _path("message")),
    ),
    "ServiceAccount": (Column("Secrets", _count("secrets")),),
    "StorageClass": (
        Column("Provisioner", _path("provisioner")),
        Column("ReclaimPolicy", _path("reclaimPolicy")),
        Column("VolumeBindingMode", _path("volumeBindingMode")),
    ),
    "RoleBinding": (Column("Role", _role),),
}  # fmt: skip
