"""One place in a storage that fsspec reaches: listing, reading and writing its files, with our errors.

Paths are keys below the place. Memory is bounded: no file is ever held whole, unless it is a small one.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs

from launcher.backend import Access, Remote
from launcher.catalog import Resolved
from launcher.check import disk_full, meaning, translated
from launcher.errors import AccessError, TimedOut, Unreachable
from launcher.transfer.keys import misfits, wanted
from launcher.transfer.listing import RemoteFile, found_below, is_flat, remote_file
from launcher.transfer.pool import each
from launcher.transfer.remote import accepted, opened
from launcher.transfer.retry import again

T = TypeVar("T")

# Bytes up to which a file goes in one request. Above, it goes in pieces of PIECE, so that what is in memory is
# bounded by us and not by a library: s3fs alone would hold up to 1.4 GB of one file.
SMALL = 16 * 1024 * 1024
PIECE = 8 * 1024 * 1024

# Pieces of one file that are in flight, and files that go in pieces at once. Their product bounds memory, and some
# libraries hold a piece three times: with these an agent stays below 200 MB, and a usual network is full.
PIECES = 3
LARGE_AT_ONCE = 1

# The object that a check of writing makes and removes; never copied.
PROBE = ".podlauncher-write-check"

# Names in a message; the rest is counted.
NAMED = 5

_REFUSALS = (Access.DENIED, Access.MISSING, Access.UNAUTHENTICATED)


@asynccontextmanager
async def bucket(resolved: Resolved, remote: Remote, sub_path: str = "") -> AsyncGenerator[Bucket]:
    """The place at ``remote``, or the folder ``sub_path`` of it, open for use. Raises ``AccessError``."""
    async with AsyncExitStack() as stack:
        try:
            fs = await stack.enter_async_context(opened(remote))
        except Exception as exc:
            raise translated(exc, resolved, remote, f"opening {remote.url}") from exc
        # The filesystem spells paths its own way: what it lists begins with this.
        root = f"{fs._strip_protocol(remote.root).rstrip('/')}/{sub_path}".rstrip("/")
        yield Bucket(fs, root, resolved, remote, f"{remote.url.rstrip('/')}/{sub_path}".rstrip("/"))


@attrs.frozen
class Bucket:
    """An open place; made by ``bucket``. ``url`` is for messages. Every method raises ``AccessError``."""

    _fs: Any
    _root: str
    _resolved: Resolved
    _remote: Remote
    url: str
    _large: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE), init=False)

    async def reach(self, timeout: float) -> None:
        """Raises ``Unreachable``, ``TimedOut`` or ``Unauthenticated`` when there is no answer in ``timeout`` s.

        A listing has no limit of its own, since it may be long: this makes sure that somebody answers at all.
        What is refused here may still be allowed there (S3 says no more than 403 to it), so it isn't judged.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._fs._info(self._root)
        except Exception as exc:
            error = self._error(exc, f"reaching {self.url}")
            if isinstance(error, (Unreachable, TimedOut)):
                raise error from exc

    async def files(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> list[RemoteFile]:
        """All files that are wanted, in order of their keys; directory markers are none.

        Raises ``Missing`` when the bucket isn't there, ``AccessError`` naming keys that can't be files.
        """
        found = await self._again(lambda: found_below(self._fs, self._root), f"listing {self.url}")
        if not found and is_flat(self._fs):
            await self._look_at_bucket()
        files = [file for file in found if file.key != PROBE and wanted(file.key, include, exclude)]
        bad = [f"{key!r} {reason}" for key, reason in misfits(file.key for file in files)]
        if bad:
            rest = f", and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
            raise AccessError(
                f"connection {self.name!r}: {self.url} holds names that can't be files:"
                f" {'; '.join(bad[:NAMED])}{rest} (rename them, or leave them out with `exclude`)",
                self.name,
            )
        return files

    @property
    def name(self) -> str:
        """The connection's name."""
        return self._resolved.connection.name

    async def first_files(self, timeout: float) -> list[RemoteFile]:
        """The files of the first level only, in ``timeout`` seconds; a prefix that isn't there is empty."""
        async with self._limited(timeout, f"listing {self.url}"):
            try:
                entries = await self._fs._ls(self._root, detail=True)
            except FileNotFoundError:
                await self._fs._ls(self._bucket_name, detail=False)
                return []
        files = [remote_file(self._root, entry) for entry in entries if entry["type"] == "file"]
        return [file for file in files if file.key and not file.key.endswith("/")]

    async def try_reading(self, file: RemoteFile, timeout: float) -> None:
        """Reads one byte."""
        async with self._limited(timeout, f"reading {file.key!r}"):
            await self._fs._cat_file(self._path(file.key), start=0, end=min(1, file.size))

    async def try_writing(self, timeout: float) -> None:
        """Writes an empty object, and removes it where that is allowed."""
        async with self._limited(timeout, f"writing to {self.url}"):
            await self._fs._pipe_file(self._path(PROBE), b"")
            try:
                await self._fs._rm_file(self._path(PROBE))
            except Exception as exc:
                # Deletions are never part of a job's work, so their refusal isn't held against it.
                if meaning(exc, self._resolved) is not Access.DENIED:
                    raise

    async def look(self, key: str) -> RemoteFile | None:
        """One file as it is now; None when it isn't there."""

        async def once() -> RemoteFile | None:
            try:
                info = await self._fs._info(self._path(key))
            except Exception as exc:
                if meaning(exc, self._resolved) is Access.MISSING:
                    return None
                raise
            return remote_file(self._root, info) if info["type"] == "file" else None

        return await self._again(once, f"looking at {key!r}")

    async def read(self, key: str) -> bytes:
        """A small file whole. Raises ``Missing``."""
        data: bytes = await self._again(lambda: self._fs._cat_file(self._path(key)), f"reading {key!r}")
        return data

    async def get(self, file: RemoteFile, target: Path) -> None:
        """Copy one file to ``target``. Raises ``AccessError`` also when it changed while it was copied."""
        doing = f"copying {file.key!r} from {self.url}"
        if file.size <= SMALL:
            await self._again(lambda: self._fs._get_file(self._path(file.key), str(target)), doing)
            return
        async with self._large:
            await self._get_pieces(file, target, doing)
        if await self.look(file.key) != file:
            raise AccessError(f"connection {self.name!r}: {file.key!r} changed while it was copied", self.name)

    async def _get_pieces(self, file: RemoteFile, target: Path, doing: str) -> None:
        with target.open("wb") as stream:

            async def piece(start: int) -> None:
                end = min(start + PIECE, file.size)
                data = await self._again(lambda: self._fs._cat_file(self._path(file.key), start=start, end=end), doing)
                await asyncio.to_thread(_write_at, stream.fileno(), data, start)

            await each(range(0, file.size, PIECE), PIECES, piece, f"piece of {file.key}")

    async def put(self, path: str, key: str) -> None:
        """Copy a file of this machine to ``key``, in pieces, whatever was there before."""
        tuned = accepted(self._fs._put_file, {"chunksize": PIECE, "max_concurrency": PIECES})
        await self._parent(key)
        doing = f"saving {key!r} to {self.url}"
        async with self._large:
            await self._again(lambda: self._fs._put_file(path, self._path(key), **tuned), doing)

    async def put_bytes(self, data: bytes, key: str) -> None:
        """Write a small file, whatever was there before."""
        await self._parent(key)
        await self._again(lambda: self._fs._pipe_file(self._path(key), data), f"saving {key!r} to {self.url}")

    def final(self, error: BaseException) -> bool:
        """Whether trying again is of no use."""
        return disk_full(error) or meaning(error, self._resolved) in _REFUSALS

    async def _again(self, attempt: Callable[[], Awaitable[T]], doing: str) -> T:
        try:
            return await again(attempt, self.final)
        except Exception as exc:
            raise self._error(exc, doing) from exc

    def _error(self, exc: BaseException, doing: str) -> AccessError:
        return translated(exc, self._resolved, self._remote, doing)

    @asynccontextmanager
    async def _limited(self, timeout: float, doing: str) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(timeout):
                yield
        except Exception as exc:
            raise self._error(exc, doing) from exc

    @property
    def _bucket_name(self) -> str:
        return self._root.partition("/")[0] or self._root

    async def _look_at_bucket(self) -> None:
        """An empty listing may mean that there is no bucket: one library doesn't tell them apart."""
        try:
            await self._fs._ls(self._bucket_name, detail=False)
        except Exception as exc:
            if meaning(exc, self._resolved) is Access.MISSING:
                raise self._error(exc, f"listing {self.url}") from exc

    async def _parent(self, key: str) -> None:
        # Filesystems with real folders (they are synchronous ones) want them made. Never the place itself: with an
        # administrator's rights that would make a bucket whose name was mistyped.
        if "/" in key and hasattr(self._fs, "sync_fs"):
            folder = self._path(key.rpartition("/")[0])
            await self._again(lambda: self._fs._makedirs(folder, exist_ok=True), f"making {folder!r}")

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


def _write_at(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
