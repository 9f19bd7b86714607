"""What is below a place, as any fsspec filesystem tells it: one listing, complete or an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

# Names under which filesystems tell a file's version, most telling first; the last ones are times.
_VERSIONS = ("ETag", "etag", "generation", "md5Hash", "mtime", "LastModified", "last_modified", "modified")


@attrs.frozen
class RemoteFile:
    """One file of a storage: its key below the place, its size in bytes, and what changes when it does."""

    key: str
    size: int
    version: str = ""


async def found_below(fs: Any, root: str) -> list[RemoteFile]:
    """Every file below ``root``, in order of its key. Raises what the library raises."""
    found = await fs._find(root, detail=True, **_strict(fs))
    # A file at the very path: one library gives its name alone then.
    entries = found.values() if isinstance(found, Mapping) else [{"name": name, "type": "file"} for name in found]
    files = [remote_file(root, entry) for entry in entries if entry["type"] == "file"]
    return sorted((file for file in files if not file.key.endswith("/")), key=lambda file: file.key)


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


def _strict(fs: Any) -> dict[str, Any]:
    # fsspec's own walk leaves out in silence what it may not list: half a dataset that looks whole.
    return {} if is_flat(fs) else {"on_error": "raise"}
