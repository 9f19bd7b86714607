"""A place that is a mounted folder: the same writing as a bucket's, by plain file operations."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import attrs

from launcher.errors import AccessDenied, AccessError, Missing


class Place(Protocol):
    """Where files are saved: a bucket or a folder. Both methods raise ``AccessError``."""

    async def put(self, path: str, key: str) -> None:
        """Copy a file of this machine to ``key``, whatever was there before; never half of it."""

    async def put_bytes(self, data: bytes, key: str) -> None:
        """Write a small file, whatever was there before; never half of it."""


@attrs.frozen
class Folder:
    """The place below ``root``; ``name`` is the connection's."""

    root: Path
    name: str

    async def put(self, path: str, key: str) -> None:
        await asyncio.to_thread(self._write, key, lambda part: shutil.copyfile(path, part))

    async def put_bytes(self, data: bytes, key: str) -> None:
        await asyncio.to_thread(self._write, key, lambda part: part.write_bytes(data))

    def _write(self, key: str, fill: Callable[[Path], object]) -> None:
        target = self.root / key
        part = target.with_name(f".podlauncher-{secrets.token_hex(6)}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                fill(part)
                part.replace(target)
            finally:
                part.unlink(missing_ok=True)
        except OSError as exc:
            kind = {PermissionError: AccessDenied, FileNotFoundError: Missing}.get(type(exc), AccessError)
            raise kind(f"connection {self.name!r}: {target} can't be written: {exc.strerror}", self.name) from exc
