"""What is below a place, as any fsspec filesystem tells it: one listing, complete or an error."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from launcher.transfer.pool import each

# Names under which filesystems tell a file's version, most telling first; the last ones are times.
_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "modified")


# Levels of folders: deeper than people sort their data.
DEPTH = 100

# Folders that are listed at once, where each takes a request.
FOLDERS_AT_ONCE = 8


@attrs.frozen
class RemoteFile:
    """One file of a storage: its key below the place, its size in bytes, and what changes when it does."""

    key: str
    size: int
    version: str = ""


async def found_below(fs: Any, root: str) -> list[RemoteFile]:
    """Every file below ``root``, in order of its key. Raises what the library raises."""
    entries = await (_flat(fs, root) if is_flat(fs) else _walked(fs, root))
    files = [remote_file(root, entry) for entry in entries if entry["type"] == "file"]
    return sorted((file for file in files if not file.key.endswith("/")), key=lambda file: file.key)


async def _flat(fs: Any, root: str) -> Iterable[Mapping[str, Any]]:
    found = await fs._find(root, detail=True)
    # A file at the very path: one library gives its name alone then.
    return found.values() if isinstance(found, Mapping) else [{"name": name, "type": "file"} for name in found]


async def _walked(fs: Any, root: str) -> Iterable[Mapping[str, Any]]:
    # Not by fsspec's own walk: told to raise, it still leaves out in silence every folder but the first that it may
    # not list, and half a dataset would look whole.
    found: list[Mapping[str, Any]] = []
    level = [root]
    for _ in range(DEPTH):
        below: list[str] = []

        async def look(folder: str, below: list[str] = below) -> None:
            for entry in await fs._ls(folder, detail=True):
                if entry["type"] not in ("directory", "file"):
                    raise ValueError(f"{entry['name']} is neither a file nor a folder (a link may lead anywhere)")
                if entry["type"] == "directory" and entry["name"].rstrip("/") != folder:
                    below.append(entry["name"].rstrip("/"))
                else:
                    found.append(entry)

        await each(level, FOLDERS_AT_ONCE, look, "listing")
        if not below:
            return found
        level = below
    raise ValueError(f"its folders nest deeper than {DEPTH} levels")


def remote_file(root: str, info: Mapping[str, Any]) -> RemoteFile:
    """A library's own description as ours; the key is empty for ``root`` itself."""
    name = str(info["name"])
    key = name[len(root) :].removeprefix("/") if name.startswith(root) else name
    version = next((str(info[field]) for field in _VERSIONS if info.get(field)), "")
    return RemoteFile(key, int(info.get("size") or 0), version.strip('"'))


def is_flat(fs: Any) -> bool:
    """Whether it lists all that is below a place at once, as buckets do, and doesn't walk through folders."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    inner = getattr(fs, "sync_fs", None)
    if inner is not None:
        return type(inner).find is not AbstractFileSystem.find
    return type(fs)._find is not AsyncFileSystem._find
