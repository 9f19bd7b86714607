"""Names of objects as paths of files: which of them are wanted, and which can't be files. Pure.

Whoever may write to a bucket chooses the names in it, so a name is taken for what it could do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

# Bytes of one name in a folder, on every usual filesystem, and of a whole path.
NAME_LIMIT = 255
PATH_LIMIT = 4096 - 256  # the folder that it is copied to comes before it

_DRIVE = re.compile(r"[A-Za-z]:")


def wanted(key: str, include: Sequence[str], exclude: Sequence[str]) -> bool:
    """Whether a key is to be copied: it matches one of ``include`` (or there are none), and none of ``exclude``.

    ``*`` and ``?`` stay within a folder, ``**`` doesn't; a pattern without a slash is about the name alone.
    """
    return (not include or _any(key, include)) and not _any(key, exclude)


def misfits(keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The keys that can't be files of one folder, each with the reason."""
    fine: list[str] = []
    for key in keys:
        reason = _unfit(key)
        if reason:
            yield key, reason
        else:
            fine.append(key)
    whole = set(fine)
    folders = {folder for key in fine for folder in _parents(key)}
    yield from ((key, "is a file and a folder at once") for key in sorted(whole & folders))


def _unfit(key: str) -> str:
    if "\0" in key:
        return "has a NUL byte in it"
    # Windows' separators count: what unpacks the copy later may follow them.
    parts = key.replace("\\", "/").split("/")
    if key.startswith(("/", "\\")) or _DRIVE.match(key):
        return "is an absolute path"
    if any(part in (".", "..") for part in parts):
        return "climbs with '..' or '.'"
    if "" in parts:
        return "has an empty part between two slashes"
    try:
        longest, whole = max(len(part.encode()) for part in key.split("/")), len(key.encode())
    except UnicodeEncodeError:
        return "isn't UTF-8 text"
    return "is too long for a file's name" if longest > NAME_LIMIT or whole > PATH_LIMIT else ""


def _parents(key: str) -> Iterator[str]:
    place = key.find("/")
    while place != -1:
        yield key[:place]
        place = key.find("/", place + 1)


def _any(key: str, patterns: Sequence[str]) -> bool:
    name = key.rpartition("/")[2]
    return any(_compiled(p).fullmatch(key if "/" in p else name) is not None for p in patterns)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_TOKENS.get(token) or re.escape(token) for token in _tokens(pattern)), re.DOTALL)


_TOKENS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _tokens(pattern: str) -> list[str]:
    # A folder's pattern (`train/`) means all that is in it.
    whole = f"{pattern}**" if pattern.endswith("/") else pattern
    return re.findall(r"\*\*/|\*\*|\*|\?|.", whole.removeprefix("./").removeprefix("/"), re.DOTALL)
