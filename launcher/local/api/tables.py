"""What ``kubectl get`` prints: objects as rows of a table, in the columns of a real server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from launcher.local.api import cells
from launcher.local.api.resources import Resource
from launcher.local.api.store import Stored


@attrs.frozen
class Column:
    """``wide`` columns are those of ``-o wide``; ``type`` is string, integer, boolean or date."""

    name: str
    cell: cells.Cell
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
    columns = _COLUMNS.get(resource.kind, (_NAME, _AGE))
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


_NAME = Column("Name", cells.path("metadata", "name"))
_AGE = Column("Age", cells.created)
_CREATED = Column("Created At", cells.path("metadata", "creationTimestamp"), type="date")
_ATTRIBUTES = Column("VolumeAttributesClass", cells.attributes_class)
_VOLUME_MODE = Column("VolumeMode", cells.path("spec", "volumeMode", default="<unset>"), wide=True)

# In the order of a real server, which mixes wide columns with the others.
_COLUMNS: Mapping[str, tuple[Column, ...]] = {
    "Pod": (
        _NAME,
        Column("Ready", cells.ready),
        Column("Status", cells.pod_status),
        Column("Restarts", cells.restarts),
        _AGE,
        Column("IP", cells.path("status", "podIP", default=cells.NONE), wide=True),
        Column("Node", cells.path("spec", "nodeName", default=cells.NONE), wide=True),
        Column("Nominated Node", cells.path("status", "nominatedNodeName", default=cells.NONE), wide=True),
        Column("Readiness Gates", cells.gates, wide=True),
    ),
    "ConfigMap": (_NAME, Column("Data", cells.count("data", "binaryData")), _AGE),
    "Secret": (_NAME, Column("Type", cells.path("type")), Column("Data", cells.count("data")), _AGE),
    "PersistentVolumeClaim": (
        _NAME,
        Column("Status", cells.path("status", "phase")),
        Column("Volume", cells.path("spec", "volumeName")),
        Column("Capacity", cells.path("status", "capacity", "storage")),
        Column("Access Modes", cells.modes("status", "accessModes")),
        Column("StorageClass", cells.path("spec", "storageClassName")),
        _ATTRIBUTES,
        _AGE,
        _VOLUME_MODE,
    ),
    "PersistentVolume": (
        _NAME,
        Column("Capacity", cells.path("spec", "capacity", "storage")),
        Column("Access Modes", cells.modes("spec", "accessModes")),
        Column("Reclaim Policy", cells.path("spec", "persistentVolumeReclaimPolicy")),
        Column("Status", cells.path("status", "phase")),
        Column("Claim", cells.claim_of),
        Column("StorageClass", cells.path("spec", "storageClassName")),
        _ATTRIBUTES,
        Column("Reason", cells.path("status", "reason")),
        _AGE,
        _VOLUME_MODE,
    ),
    "Node": (
        _NAME,
        Column("Status", cells.node_status),
        Column("Roles", cells.roles),
        _AGE,
        Column("Version", cells.path("status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", cells.address("InternalIP"), wide=True),
        Column("External-IP", cells.address("ExternalIP"), wide=True),
        Column("OS-Image", cells.path("status", "nodeInfo", "osImage", default="<unknown>"), wide=True),
        Column("Kernel-Version", cells.path("status", "nodeInfo", "kernelVersion", default="<unknown>"), wide=True),
        Column(
            "Container-Runtime",
            cells.path("status", "nodeInfo", "containerRuntimeVersion", default="<unknown>"),
            wide=True,
        ),
    ),
    "Namespace": (_NAME, Column("Status", cells.path("status", "phase")), _AGE),
    "Event": (
        Column("Last Seen", cells.seen("lastTimestamp", "eventTime", "firstTimestamp")),
        Column("Type", cells.path("type")),
        Column("Reason", cells.path("reason")),
        Column("Object", cells.involved),
        Column("Subobject", cells.path("involvedObject", "fieldPath"), wide=True),
        Column("Source", cells.source, wide=True),
        Column("Message", cells.path("message")),
        Column("First Seen", cells.seen("firstTimestamp", "eventTime"), wide=True),
        Column("Count", cells.times, wide=True),
        attrs.evolve(_NAME, wide=True),
    ),
    "ServiceAccount": (_NAME, _AGE),
    "StorageClass": (
        _NAME,
        Column("Provisioner", cells.path("provisioner")),
        Column("ReclaimPolicy", cells.path("reclaimPolicy")),
        Column("VolumeBindingMode", cells.path("volumeBindingMode")),
        Column("AllowVolumeExpansion", cells.expands),
        _AGE,
    ),
    "CSIDriver": (
        _NAME,
        Column("AttachRequired", cells.flag("attachRequired", default=True), type="boolean"),
        Column("PodInfoOnMount", cells.flag("podInfoOnMount"), type="boolean"),
        Column("StorageCapacity", cells.flag("storageCapacity"), type="boolean"),
        Column("TokenRequests", cells.audiences),
        Column("RequiresRepublish", cells.flag("requiresRepublish"), type="boolean"),
        Column("Modes", cells.lifecycles),
        _AGE,
    ),
    "Role": (_NAME, _CREATED),
    "RoleBinding": (
        _NAME,
        Column("Role", cells.bound_role),
        _AGE,
        Column("Users", cells.subjects("User"), wide=True),
        Column("Groups", cells.subjects("Group"), wide=True),
        Column("ServiceAccounts", cells.subjects("ServiceAccount"), wide=True),
    ),
}
