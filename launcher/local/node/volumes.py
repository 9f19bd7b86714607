"""A pod's volumes as folders of this machine: one function a kind, in a table.

What is missing raises ``MountFailed``, worded as a kubelet words it; it may come yet, so the pod tries again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from launcher.errors import ClusterError, LauncherError, NotFound
from launcher.kube.session import Session
from launcher.local.node.configuration import ConfigError
from launcher.local.node.folders import Escape
from launcher.local.node.payloads import Payload

# As a kubelet and a container runtime make them: a host folder for its owner, an emptyDir for everybody.
HOST_FOLDER_MODE = 0o755
HOST_FILE_MODE = 0o644
EMPTY_FOLDER_MODE = 0o777


class MountFailed(LauncherError):
    """A volume can't be mounted now; the text is the FailedMount event's."""

    def __init__(self, volume: str, why: str) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {why}')


@attrs.frozen
class Mounted:
    """A volume that is ready: its folder or file, and whether nobody may write to it."""

    path: Path
    read_only: bool = False


@attrs.frozen
class Volumes:
    """Sets up the volumes of one pod below ``folder``; ``allocatable`` is what the node has."""

    session: Session
    pod: Mapping[str, Any]
    folder: Path
    allocatable: Mapping[str, str]

    async def mount(self, volume: Mapping[str, Any]) -> Mounted:
        """Raises ``MountFailed``."""
        name = str(volume["name"])
        for kind, set_up in _KINDS.items():
            if volume.get(kind) is not None:
                try:
                    return await set_up(self, name, volume[kind])
                except (ConfigError, Escape, _Refused) as exc:
                    raise MountFailed(name, str(exc)) from exc
                except OSError as exc:
                    raise MountFailed(name, f"{exc.strerror}: {exc.filename}") from exc
        kinds = ", ".join(sorted(set(volume) - {"name"})) or "none"
        raise MountFailed(name, f"this node has no volume plugin for {kinds}")

    async def _host_path(self, _name: str, source: Mapping[str, Any]) -> Mounted:
        path, kind = Path(source["path"]), source.get("type") or ""
        if kind in _MADE and not _mode(path):
            _MADE[kind](path)
        if kind not in _HOST_TYPES:
            raise _Refused(f"{kind!r} is no type of host path")
        fits, spoken = _HOST_TYPES[kind]
        if not fits(_mode(path)):
            raise _Refused(f"hostPath type check failed: {path} is not a {spoken}")
        return Mounted(path)

    async def _empty(self, name: str, _source: Mapping[str, Any]) -> Mounted:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(EMPTY_FOLDER_MODE)
        return Mounted(folder)

    async def _claim(self, name: str, source: Mapping[str, Any]) -> Mounted:
        claims = f"/api/v1/namespaces/{self.pod['metadata']['namespace']}/persistentvolumeclaims"
        claim = await self._get(f"{claims}/{source['claimName']}", "persistentvolumeclaim", source["claimName"])
        bound = claim["spec"].get("volumeName")
        if not bound or (claim.get("status") or {}).get("phase") != "Bound":
            raise _Refused(f'persistentvolumeclaim "{source["claimName"]}" is not bound')
        volume = (await self._get(f"/api/v1/persistentvolumes/{bound}", "persistentvolume", bound))["spec"]
        for kind in ("hostPath", "csi"):
            if volume.get(kind) is not None:
                mounted = await _KINDS[kind](self, name, volume[kind])
                return attrs.evolve(mounted, read_only=bool(source.get("readOnly")))
        raise _Refused(f'this node has no volume plugin for persistentvolume "{bound}"')

    async def _get(self, path: str, kind: str, name: str) -> dict[str, Any]:
        try:
            return await self.session.get(path)
        except NotFound as exc:
            raise _Refused(f'{kind} "{name}" not found') from exc
        except ClusterError as exc:
            raise _Refused(str(exc)) from exc

    async def _csi(self, _name: str, source: Mapping[str, Any]) -> Mounted:
        raise _Refused(
            "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name"
            f" {source.get('driver')} not found in the list of registered CSI drivers"
        )

    async def _payload(self, name: str, sources: list[Mapping[str, Any]], mode: int) -> Mounted:
        payload = Payload(self.session, self.pod, self.allocatable)
        for source in sources:
            await payload.add(source, mode)
        payload.write(self.folder / name)
        return Mounted(self.folder / name, read_only=True)

    async def _secret(self, name: str, source: Mapping[str, Any]) -> Mounted:
        return await self._payload(name, [{"secret": {**source, "name": source["secretName"]}}], _default_mode(source))

    async def _config_map(self, name: str, source: Mapping[str, Any]) -> Mounted:
        return await self._payload(name, [{"configMap": source}], _default_mode(source))

    async def _downward(self, name: str, source: Mapping[str, Any]) -> Mounted:
        return await self._payload(name, [{"downwardAPI": source}], _default_mode(source))

    async def _projected(self, name: str, source: Mapping[str, Any]) -> Mounted:
        return await self._payload(name, list(source.get("sources") or ()), _default_mode(source))


class _Refused(Exception):
    """Why a volume can't be mounted; ``Volumes.mount`` adds which one."""


def _default_mode(source: Mapping[str, Any]) -> int:
    mode = source.get("defaultMode")
    return 0o644 if mode is None else int(mode)


def _mode(path: Path) -> int:
    """The type bits of what is at ``path``, 0 when nothing is; symlinks are the administrator's."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _make_folder(path: Path) -> None:
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for parent in missing:
        # Whatever this process's umask is.
        parent.chmod(HOST_FOLDER_MODE)


def _make_file(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_RDONLY, HOST_FILE_MODE))


# What is made before the check. Without a type nothing is checked, but a container runtime makes the folder.
_MADE: Mapping[str, Callable[[Path], None]] = {
    "": _make_folder,
    "DirectoryOrCreate": _make_folder,
    "FileOrCreate": _make_file,
}

_HOST_TYPES: Mapping[str, tuple[Callable[[int], bool], str]] = {
    "": (bool, "file or directory"),
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}

_KINDS: Mapping[str, Callable[[Volumes, str, Mapping[str, Any]], Awaitable[Mounted]]] = {
    "hostPath": Volumes._host_path,
    "persistentVolumeClaim": Volumes._claim,
    "emptyDir": Volumes._empty,
    "configMap": Volumes._config_map,
    "secret": Volumes._secret,
    "projected": Volumes._projected,
    "downwardAPI": Volumes._downward,
    "csi": Volumes._csi,
}
