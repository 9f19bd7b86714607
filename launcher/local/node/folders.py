"""Folders that pods filled: measured, removed, and entered without leaving them.

What is in them was written by others: symlinks are never followed, and work on many files is done in portions
so that the event loop goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath

# Files after which the event loop gets its turn: some 2 ms of work.
PORTION = 200


class Escape(ValueError):
    """A path leads out of the folder that it belongs in."""


def relative(path: str) -> PurePosixPath:
    """A path that stays below its folder by its letters alone. Raises ``Escape``."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or "\0" in path:
        raise Escape(f"{path!r} must be relative and must not contain '..'")
    return parts


def enter(folder: Path, path: str) -> tuple[Path, int]:
    """Open what is at ``path`` below ``folder``, making missing folders with the mode of their parent.

    Symlinks that stay inside are followed. Returns where it is and an ``O_PATH`` descriptor, which the caller
    closes: the path may be changed by others at any time, the descriptor stays with what was checked. Raises
    ``Escape``, ``OSError``.
    """
    root = folder.resolve()
    real = (root / relative(path)).resolve()
    if not real.is_relative_to(root):
        raise Escape(f"{path!r} leads out of its volume")
    here = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in real.relative_to(root).parts:
            below = _step(here, part)
            os.close(here)
            here = below
    except BaseException:
        os.close(here)
        raise
    return real, here


def _step(here: int, name: str) -> int:
    try:
        below = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=here)
    except FileNotFoundError:
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY, dir_fd=here)
        # By the descriptor's own path: chmod of an O_PATH descriptor isn't possible, and a name may move.
        Path(f"/proc/self/fd/{below}").chmod(stat.S_IMODE(os.fstat(here).st_mode))
    if stat.S_ISLNK(os.fstat(below).st_mode):
        os.close(below)
        raise Escape(f"{name!r} became a symlink while it was looked at")
    return below


async def size_of(folder: Path) -> int:
    """Bytes of the blocks that everything below ``folder`` takes."""
    total = seen = 0
    for where, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with contextlib.suppress(FileNotFoundError, PermissionError):
                # st_blocks counts 512 bytes, whatever the file system's own size is.
                total += os.lstat(f"{where}/{name}").st_blocks * 512
            seen += 1
            if seen % PORTION == 0:
                await asyncio.sleep(0)
    return total


async def remove(folder: Path) -> None:
    """Remove ``folder`` with everything in it, also what its owner may not enter."""
    seen = 0
    for where, folders, files in os.walk(folder, topdown=False, onerror=_let_in):
        for name in files:
            _drop(os.unlink, f"{where}/{name}")
            seen += 1
            if seen % PORTION == 0:
                await asyncio.sleep(0)
        for name in folders:
            _drop(os.rmdir, f"{where}/{name}")
    # What is left are folders that couldn't be entered at first, and those with symlinks.
    shutil.rmtree(folder, ignore_errors=True)


def _drop(how: Callable[[str], None], path: str) -> None:
    with contextlib.suppress(OSError):
        how(path)


def _let_in(error: OSError) -> None:
    # The walk enters no symlinks, so none gets here; Linux couldn't change the mode of one either.
    with contextlib.suppress(OSError):
        Path(str(error.filename)).chmod(0o700)
