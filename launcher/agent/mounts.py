"""Checks of mounted volumes, as the pod itself sees them. Blocking: run it in a thread."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from launcher.agent.plan import Part
from launcher.errors import AccessDenied, AccessError, Missing

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def check_mount(part: Part) -> None:
    """Raises ``Missing`` or ``AccessDenied`` when the volume, or the part of it that is wanted, can't be used."""
    place = _inner(part)
    try:
        with os.scandir(place) as entries:
            next(entries, None)
        if part.writable:
            # Made and removed: what stat says of rights isn't what a network filesystem does.
            with tempfile.TemporaryFile(dir=place, prefix=".podlauncher-write-check-"):
                pass
    except OSError as exc:
        raise _refusal(part, exc) from exc


def _inner(part: Part) -> Path:
    folder = Path(os.path.realpath(part.folder))
    if not folder.is_dir():
        raise Missing(f"connection {part.name!r}: its volume isn't there (is it mounted in this container?)", part.name)
    # Where links lead counts: the kubelet follows them in the whole volume, and nothing outside is meant.
    place = Path(os.path.realpath(folder / part.sub_path))
    if not place.is_relative_to(folder):
        raise AccessDenied(f"connection {part.name!r}: the subPath {part.sub_path!r} leads out of it", part.name)
    if not place.is_dir():
        what = "is a file and no folder" if place.exists() else "isn't there"
        raise Missing(
            f"connection {part.name!r}: the subPath {part.sub_path!r} {what} (is it spelled right? Nobody makes it)",
            part.name,
        )
    return place


def _refusal(part: Part, exc: OSError) -> AccessError:
    what = f"connection {part.name!r}: {'reading and writing' if part.writable else 'reading'} its volume"
    if exc.errno in _DENIED:
        return AccessDenied(
            f"{what} is refused to user {os.getuid()}: {exc.strerror}"
            " (give that user the right, or set runAsUser in the job's securityContext)",
            part.name,
        )
    return AccessError(f"{what} fails: {exc.strerror}", part.name)
