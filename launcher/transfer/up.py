"""Copying one file of a folder to a place, with the digest of exactly what was sent."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from launcher.transfer.folder import Place
from launcher.transfer.local import Stamp, Unreadable, opened_file

# Files at once, and bytes up to which one is held whole: their product bounds memory.
AT_ONCE = 8
WHOLE = 4 * 1024 * 1024

CHANGED = "it changed while it was saved"


async def copy_up(folder: Path, path: str, place: Place | None, key: str) -> tuple[Stamp, str]:
    """Copies ``folder/path`` to ``key`` of ``place`` (None: it is there already); gives its stamp and sha256.

    Raises ``Unreadable`` also when the file changes meanwhile, so that a digest never lies; ``AccessError``.
    """
    with opened_file(folder, path) as file:
        if file.stamp.size <= WHOLE:
            data = await asyncio.to_thread(file.read)
            digest = hashlib.sha256(data).hexdigest()
            if place is not None:
                await place.put_bytes(data, key)
        else:
            # Read twice: a library reads a large file by itself. That it is unchanged makes both the same.
            digest = await asyncio.to_thread(file.sha256)
            if place is not None:
                await place.put(file.path, key)
        if not file.unchanged():
            raise Unreadable(CHANGED)
        return file.stamp, digest
