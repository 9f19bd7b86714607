"""Files of a folder that somebody else writes to: seen and opened without being led astray. Linux.

A link is followed to a file of the same folder and nowhere else; what isn't a regular file is named and never
opened for reading, so that nothing blocks. The folder's owner may exchange a file for a link at any moment: what
counts is where an open file really is, asked of the kernel.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

# Bytes read at once for a digest.
BLOCK = 1024 * 1024

GOOD = ""
LEADS_OUT = "a link that leads out of its folder"
NOT_REGULAR = "not a regular file"


@attrs.frozen
class Stamp:
    """What changes when a file does: its size in bytes, the time of its last change in ns, and which file it is."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """From what the kernel says of a file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


@attrs.frozen
class LocalFile:
    """One entry below a folder: ``path`` with slashes, and ``state``, empty for a file that can be read."""

    path: str
    stamp: Stamp = Stamp(0, 0, 0)
    state: str = GOOD


class Unreadable(Exception):
    """A file of the folder can't be read; the text says why, as a ``LocalFile``'s state does."""


def scan(folder: Path) -> list[LocalFile]:
    """Everything below ``folder`` but its folders, in order; one that isn't there is empty.

    Links to folders aren't followed: what they show inside the folder is there under its own name too.
    """
    root = Path(os.path.realpath(folder))
    found: list[LocalFile] = []
    waiting = [""]
    while waiting:
        inner = waiting.pop()
        try:
            with os.scandir(root / inner) as entries:
                for entry in entries:
                    path = f"{inner}/{entry.name}" if inner else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(path)
                    else:
                        found.extend(_described(root, path))
        except OSError as exc:
            if inner or not isinstance(exc, FileNotFoundError):
                found.append(LocalFile(inner or ".", state=f"it can't be listed: {exc.strerror}"))
    return sorted(found, key=lambda file: file.path)


def _described(root: Path, path: str) -> Iterator[LocalFile]:
    try:
        path.encode()
    except UnicodeEncodeError:
        yield LocalFile(path.encode("utf-8", "replace").decode(), state="its name isn't UTF-8 text")
        return
    try:
        status = (root / path).lstat()
        if stat.S_ISLNK(status.st_mode):
            if not Path(os.path.realpath(root / path)).is_relative_to(root):
                yield LocalFile(path, state=LEADS_OUT)
                return
            status = (root / path).stat()
    except FileNotFoundError:
        # A link to nothing, or a file that was removed a moment ago: there is nothing to keep.
        return
    except OSError as exc:
        yield LocalFile(path, state=f"it can't be read: {exc.strerror}")
        return
    if not stat.S_ISDIR(status.st_mode):
        yield LocalFile(path, Stamp.of(status), GOOD if stat.S_ISREG(status.st_mode) else NOT_REGULAR)


@attrs.frozen
class OpenFile:
    """A regular file that is open. ``path`` opens the very same file again, whatever took its name meanwhile."""

    handle: int
    stamp: Stamp

    @property
    def path(self) -> str:
        """A name of the open file itself."""
        return f"/proc/self/fd/{self.handle}"

    def unchanged(self) -> bool:
        """Whether it is as it was when it was opened."""
        return Stamp.of(os.fstat(self.handle)) == self.stamp

    def read(self) -> bytes:
        """All of it, no more than it had when it was opened."""
        blocks, place = [], 0
        while place < self.stamp.size and (block := os.pread(self.handle, self.stamp.size - place, place)):
            blocks.append(block)
            place += len(block)
        return b"".join(blocks)

    def sha256(self) -> str:
        """The digest of its content, in hex."""
        seen, place = hashlib.sha256(), 0
        while block := os.pread(self.handle, BLOCK, place):
            seen.update(block)
            place += len(block)
        return seen.hexdigest()


@contextmanager
def opened_file(folder: Path, path: str) -> Iterator[OpenFile]:
    """A regular file below ``folder``, for reading. Raises ``Unreadable``."""
    root = os.path.realpath(folder)
    try:
        # Not blocking: a FIFO that took the file's place would wait for a writer.
        handle = os.open(Path(root) / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise Unreadable(f"it can't be read: {exc.strerror}") from exc
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise Unreadable(NOT_REGULAR)
        if not Path(f"/proc/self/fd/{handle}").readlink().is_relative_to(root):
            raise Unreadable(LEADS_OUT)
        yield OpenFile(handle, Stamp.of(status))
    finally:
        os.close(handle)
