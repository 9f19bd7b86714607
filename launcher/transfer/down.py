"""Copying files of a bucket into a folder: a few at once, and each appears whole or not at all."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path

import attrs

from launcher.check import DISK_FULL
from launcher.errors import AccessError, Missing
from launcher.transfer.bucket import Bucket
from launcher.transfer.listing import RemoteFile
from launcher.transfer.pool import each

# Files at once: enough to hide a bucket's latency.
AT_ONCE = 16

# Where files are written until they are whole; beside the data, so that a rename is enough.
PARTIAL = ".podlauncher-partial"

# Times that a file is looked at anew because it changed between its listing and its copy.
LOOKS = 3


@attrs.frozen
class Copied:
    """One file that was copied, as it was in the bucket, and the time of the copy's last change in ns."""

    file: RemoteFile
    mtime_ns: int


async def copy_down(bucket: Bucket, files: Sequence[RemoteFile], folder: Path, done: Callable[[Copied], None]) -> None:
    """Copies ``files`` below ``folder``; ``done`` hears of each. Raises ``AccessError``, a full disk included."""
    copy = _Copy(bucket, folder, done)
    try:
        await asyncio.to_thread(copy.prepare, files)
        await each(files, AT_ONCE, copy.one, f"copy of {bucket.name}")
    except OSError as exc:
        raise AccessError(
            f"connection {bucket.name!r}: {folder} can't be written: {exc.strerror}", bucket.name
        ) from exc
    finally:
        await asyncio.to_thread(shutil.rmtree, folder / PARTIAL, ignore_errors=True)


@attrs.define
class _Copy:
    bucket: Bucket
    folder: Path
    done: Callable[[Copied], None]
    _numbers: Iterator[int] = attrs.field(factory=count)

    def prepare(self, files: Sequence[RemoteFile]) -> None:
        """Makes the folders, and refuses what can't fit before half of it is there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        size, free = sum(file.size for file in files), shutil.disk_usage(self.folder).free
        if size > free:
            raise AccessError(
                f"connection {self.bucket.name!r}: its copy has {size:,} bytes, and {self.folder} has room for"
                f" {free:,}: {DISK_FULL}",
                self.bucket.name,
            )
        # What an earlier try left there is nobody's.
        shutil.rmtree(self.folder / PARTIAL, ignore_errors=True)
        (self.folder / PARTIAL).mkdir()
        for parent in sorted({file.key.rpartition("/")[0] for file in files}):
            (self.folder / parent).mkdir(parents=True, exist_ok=True)

    async def one(self, file: RemoteFile) -> None:
        """One file, under a name of its own until it is whole."""
        part = self.folder / PARTIAL / str(next(self._numbers))
        for _ in range(LOOKS):
            await self.bucket.get(file, part)
            status = part.stat()
            if status.st_size == file.size:
                part.replace(self.folder / file.key)
                self.done(Copied(file, status.st_mtime_ns))
                return
            # It changed since it was listed, or it came short: what is there now decides.
            now = await self.bucket.look(file.key)
            if now is None:
                raise Missing(f"connection {self.bucket.name!r}: {file.key!r} is gone again", self.bucket.name)
            file = now
        raise AccessError(
            f"connection {self.bucket.name!r}: the copy of {file.key!r} has {status.st_size:,} bytes and not"
            f" {file.size:,} (does somebody write to it all the time?)",
            self.bucket.name,
        )
