"""The files of config map, secret, downward API and projected volumes: collected, then written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import attrs

from launcher.errors import ClusterError
from launcher.kube.session import Session
from launcher.local.node.configuration import CONFIG_MAP, SECRET, ConfigError, Kind, data_of
from launcher.local.node.fields import field, resource
from launcher.local.node.folders import relative

# The config map with the API server's certificate that clusters put in every namespace. Ours speaks plain
# HTTP on the loopback device, so where it is missing an empty file stands in for it.
ROOT_CA = "kube-root-ca.crt"

# Seconds of a token's life where the volume names none.
TOKEN_LIFE = 3600


@attrs.define
class Payload:
    """The files of one volume. ``add`` each source, then ``write``."""

    session: Session
    pod: Mapping[str, Any]
    allocatable: Mapping[str, str]
    _files: dict[PurePosixPath, tuple[bytes, int]] = attrs.Factory(dict)

    async def add(self, source: Mapping[str, Any], mode: int) -> None:
        """One source of a projected volume, or the only one of any other.

        Raises ``ConfigError``, ``Escape``.
        """
        match source:
            case {"secret": {} as reference}:
                await self._keys(SECRET, reference, mode)
            case {"configMap": {} as reference}:
                await self._keys(CONFIG_MAP, reference, mode)
            case {"downwardAPI": {} as reference}:
                for item in reference.get("items") or ():
                    self._put(item["path"], self._downward(item).encode(), item.get("mode"), mode)
            case {"serviceAccountToken": {} as reference}:
                # As a kubelet does: readable for its owner, and for others where the mode says so.
                self._put(reference["path"], await self._token(reference), None, mode)
            case _:
                raise ConfigError(f"this node can't project {', '.join(source) or 'nothing'}")

    def write(self, folder: Path) -> None:
        """Make ``folder`` hold these files and no others."""
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        for path, (data, mode) in self._files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                os.fchmod(fd, mode)

    def _put(self, path: str, data: bytes, mode: int | None, default: int) -> None:
        self._files[relative(path)] = (data, default if mode is None else int(mode))

    async def _keys(self, kind: Kind, reference: Mapping[str, Any], mode: int) -> None:
        name, optional = reference["name"], bool(reference.get("optional"))
        namespace = self.pod["metadata"]["namespace"]
        missing_ca = kind is CONFIG_MAP and name == ROOT_CA
        data = await data_of(self.session, kind, namespace, name, optional=optional or missing_ca)
        if missing_ca and not data:
            data = {"ca.crt": b""}
        items = reference.get("items")
        if not items:
            items = [{"key": key, "path": key} for key in data]
        for item in items:
            if item["key"] in data:
                self._put(item["path"], data[item["key"]], item.get("mode"), mode)
            elif not optional:
                spoken = "secret" if kind is SECRET else "config"
                raise ConfigError(f"references non-existent {spoken} key: {item['key']}")

    def _downward(self, item: Mapping[str, Any]) -> str:
        if "fieldRef" in item:
            return field(self.pod, str(item["fieldRef"].get("fieldPath", "")))
        reference = item.get("resourceFieldRef") or {}
        for container in self.pod["spec"]["containers"]:
            if container["name"] == reference.get("containerName"):
                return resource(container, reference, self.allocatable)
        raise ConfigError(f"container {reference.get('containerName')} not found")

    async def _token(self, reference: Mapping[str, Any]) -> bytes:
        meta = self.pod["metadata"]
        account = self.pod["spec"].get("serviceAccountName") or "default"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [reference["audience"]] if reference.get("audience") else [],
                "expirationSeconds": reference.get("expirationSeconds") or TOKEN_LIFE,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
            },
        }
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        try:
            answer = await self.session.create(path, request)
        except ClusterError as exc:
            raise ConfigError(f"failed to fetch token: {exc}") from exc
        return str(answer["status"]["token"]).encode()
