"""The artifacts store as the client reaches it: a folder of this machine, a bucket, or out of reach.

Reading and writing go through fsspec; credentials are read from the cluster when the store is opened, and kept
no longer than it is open.
"""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import attrs

from launcher.catalog import Resolved, resolve
from launcher.connection import Connection, SecretRef
from launcher.errors import AccessError, ClusterError, LauncherError, Missing
from launcher.kube.session import Session
from launcher.kube.target import Target
from launcher.record import HISTORY, StoreRecord
from launcher.registry import Registry


class Files(Protocol):
    """The files of a store that is open; paths are relative to its root."""

    async def read(self, path: str) -> bytes:
        """A whole file. Raises ``Missing``, ``AccessError``."""

    async def write(self, path: str, data: bytes) -> None:
        """A whole file, whatever was there before. Raises ``AccessError``."""

    async def fetch(self, path: str, target: Path) -> None:
        """Copy one file to ``target``. Raises ``Missing``, ``AccessError``."""

    async def runs(self) -> list[str]:
        """The ids of all runs that left their history here."""


@attrs.frozen
class Store:
    """The store of one run. ``root`` is set when it is a folder of this machine."""

    resolved: Resolved
    target: Target
    namespace: str
    local: bool

    @classmethod
    def of(cls, record: StoreRecord, registry: Registry, target: Target, namespace: str, *, local: bool) -> Store:
        """The store that a record names. Raises ``PluginError`` when its kind isn't installed here."""
        secret = SecretRef(record.secret) if record.secret else None
        connection = Connection(name=record.name, kind=record.kind, schema=record.schema, secret=secret)
        return cls(resolve(connection, registry), target, namespace, local)

    @property
    def root(self) -> Path | None:
        """The folder, when the client sees the same files as the pods."""
        remote = self.resolved.remote()
        if remote is None or remote.protocol != "file" or not self.local:
            return None
        return Path(remote.root)

    @property
    def out_of_reach(self) -> str:
        """Why the client can't open it; empty when it can try."""
        name = self.resolved.connection.name
        remote = self.resolved.remote()
        if remote is None:
            return f"the store {name!r} is a volume of the cluster: only its pods can read it"
        if remote.protocol == "file" and not self.local:
            return f"the store {name!r} is a folder of the cluster's nodes: only its pods can read it"
        return ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Files]:
        """Its files. Raises ``AccessError`` when it is out of reach, ``ClusterError`` when its secret is."""
        if self.out_of_reach:
            raise AccessError(self.out_of_reach, self.resolved.connection.name)
        if self.root is not None:
            yield Folder(self.root)
            return
        from launcher.check import translated
        from launcher.transfer.remote import opened

        remote = self.resolved.remote(await self._secrets())
        assert remote is not None  # out_of_reach said so  # noqa: S101
        async with opened(remote) as fs:
            yield Bucket(fs, remote.root, lambda exc: translated(exc, self.resolved, remote))

    async def _secrets(self) -> dict[str, str]:
        secret = self.resolved.secret
        if secret is None:
            return {}
        async with Session(self.target) as session:
            try:
                found = await session.get(f"/api/v1/namespaces/{self.namespace}/secrets/{secret.name}")
            except ClusterError as exc:
                raise AccessError(
                    f"the store's secret {secret.name!r} can't be read: {exc}", self.resolved.connection.name
                ) from exc
        data = found.get("data") or {}
        return {
            key: base64.b64decode(value).decode("utf-8", "replace")
            for key, value in data.items()
            if not secret.items or key in secret.items
        }


@attrs.frozen
class Folder:
    """A store that is a folder of this machine."""

    root: Path

    async def read(self, path: str) -> bytes:
        return await asyncio.to_thread(self._read, path)

    def _read(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError as exc:
            raise Missing(f"{self.root / path} isn't there") from exc
        except OSError as exc:
            raise AccessError(f"{self.root / path} can't be read: {exc.strerror}") from exc

    async def write(self, path: str, data: bytes) -> None:
        await asyncio.to_thread(self._write, path, data)

    def _write(self, path: str, data: bytes) -> None:
        file = self.root / path
        part = file.with_name(file.name + ".part")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(file)
        except OSError as exc:
            raise AccessError(f"{file} can't be written: {exc.strerror}") from exc

    async def fetch(self, path: str, target: Path) -> None:
        await asyncio.to_thread(self._copy, path, target)

    def _copy(self, path: str, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.root / path, target)
        except FileNotFoundError as exc:
            raise Missing(f"{self.root / path} isn't there") from exc
        except OSError as exc:
            raise AccessError(f"{target} can't be written: {exc.strerror}") from exc

    async def runs(self) -> list[str]:
        return await asyncio.to_thread(lambda: sorted(p.parent.name for p in self.root.glob(f"*/{HISTORY}")))


@attrs.frozen
class Bucket:
    """A store that fsspec reaches; ``fs`` is asynchronous."""

    fs: Any
    root: str
    translated: Any

    async def read(self, path: str) -> bytes:
        try:
            data: bytes = await self.fs._cat_file(f"{self.root}/{path}")
        except Exception as exc:
            raise self.translated(exc) from exc
        return data

    async def write(self, path: str, data: bytes) -> None:
        try:
            await self.fs._pipe_file(f"{self.root}/{path}", data)
        except Exception as exc:
            raise self.translated(exc) from exc

    async def fetch(self, path: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            await self.fs._get_file(f"{self.root}/{path}", str(target))
        except Exception as exc:
            raise self.translated(exc) from exc

    async def runs(self) -> list[str]:
        try:
            entries = await self.fs._ls(self.root, detail=False)
        except Exception as exc:
            raise self.translated(exc) from exc
        return sorted(PurePosixPath(str(entry)).name for entry in entries)


def safe_path(path: str) -> PurePosixPath:
    """A path of a manifest, refused when it would leave the folder it is put into. Raises ``LauncherError``."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts or "\0" in path:
        raise LauncherError(f"the manifest names {path!r}, which isn't a path inside the outputs")
    return pure
