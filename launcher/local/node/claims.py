"""Binding claims: one without a storage class, or of the class ``local``, gets a folder of this node.

A claim that names its volume is bound to it; any other stays Pending, as where no provisioner runs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from launcher.errors import ClusterError, Conflict, NotFound
from launcher.kube.session import Session
from launcher.local.node.folders import relative, remove

log = logging.getLogger("launcher")

CLASS = "local"

Claim = Mapping[str, Any]


class Binding(Enum):
    """How it stands with a claim."""

    MISSING = "missing"
    UNBOUND = "unbound"
    BOUND = "bound"


class Claims:
    """All claims of the cluster, as seen from this node; folders are made below ``folder``."""

    def __init__(self, session: Session, folder: Path, node: str) -> None:
        self._session = session
        self._folder = folder
        self._node = node
        self._one_by_one = asyncio.Lock()

    async def look(self, namespace: str, name: str) -> Binding:
        """How it stands with a claim right now, after binding it where that is up to us."""
        try:
            claim = await self._session.get(_path(namespace, name))
        except NotFound:
            return Binding.MISSING
        return await self.bind(claim)

    async def bind(self, claim: Claim) -> Binding:
        """Bind the claim where it isn't, and where that is up to us. Raises ``ClusterError``."""
        if _bound(claim):
            return Binding.BOUND
        async with self._one_by_one:
            # Another call may have bound it while this one waited.
            meta = claim["metadata"]
            claim = await self._session.get(_path(meta["namespace"], meta["name"]))
            if _bound(claim):
                return Binding.BOUND
            volume = await self._volume_for(claim)
            if volume is None:
                return Binding.UNBOUND
            await self._join(claim, volume)
        return Binding.BOUND

    async def released(self, claim: Claim) -> None:
        """The claim was deleted: its volume and its folder go too, where they were made for it."""
        name = f"pvc-{claim['metadata']['uid']}"
        if claim["spec"].get("volumeName") != name:
            return
        try:
            await self._session.delete(f"/api/v1/persistentvolumes/{name}")
        except NotFound:
            return
        except ClusterError as exc:
            log.warning("persistent volume %s can't be deleted: %s", name, exc)
        await remove(self._folder_of(claim))

    async def _volume_for(self, claim: Claim) -> dict[str, Any] | None:
        if named := claim["spec"].get("volumeName"):
            try:
                return await self._session.get(f"/api/v1/persistentvolumes/{named}")
            except NotFound:
                return None
        if claim["spec"].get("storageClassName", CLASS) != CLASS:
            return None
        folder = self._folder_of(claim)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        volume = self._new_volume(claim, folder)
        try:
            return await self._session.create("/api/v1/persistentvolumes", volume)
        except Conflict:
            return volume

    def _folder_of(self, claim: Claim) -> Path:
        # By name: where the node's folder outlives it, so does what is in the claims.
        return self._folder / relative(f"{claim['metadata']['namespace']}/{claim['metadata']['name']}")

    def _new_volume(self, claim: Claim, folder: Path) -> dict[str, Any]:
        meta, spec = claim["metadata"], claim["spec"]
        here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [self._node]}
        return {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"pvc-{meta['uid']}"},
            "spec": {
                "accessModes": spec.get("accessModes") or ["ReadWriteOnce"],
                "capacity": {"storage": _requested(claim)},
                "hostPath": {"path": str(folder), "type": "DirectoryOrCreate"},
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": CLASS,
                "volumeMode": "Filesystem",
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
                "claimRef": {
                    "apiVersion": "v1",
                    "kind": "PersistentVolumeClaim",
                    "namespace": meta["namespace"],
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
            },
        }

    async def _join(self, claim: Claim, volume: dict[str, Any]) -> None:
        meta, name = claim["metadata"], volume["metadata"]["name"]
        await self._session.patch(f"/api/v1/persistentvolumes/{name}/status", {"status": {"phase": "Bound"}})
        path = _path(meta["namespace"], meta["name"])
        annotations = {"pv.kubernetes.io/bind-completed": "yes"}
        await self._session.patch(path, {"metadata": {"annotations": annotations}, "spec": {"volumeName": name}})
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes") or [],
            "capacity": volume["spec"].get("capacity") or {},
        }
        await self._session.patch(f"{path}/status", {"status": status})


def _path(namespace: str, name: str) -> str:
    return f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{name}"


def _bound(claim: Claim) -> bool:
    return (claim.get("status") or {}).get("phase") == "Bound"


def _requested(claim: Claim) -> str:
    requests = (claim["spec"].get("resources") or {}).get("requests") or {}
    return str(requests.get("storage", "1Gi"))
