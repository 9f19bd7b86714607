"""The local files that travel with a job: read once, bounded, as relative paths and their content."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import attrs

from launcher.errors import Problem
from launcher.job import Job

# Bytes of all files of a job together. A config map holds 1 MiB; the rest is for its names and the pod's.
LIMIT = 900_000

# Files of one job: more belong into a connection or the image, and each costs a row in the config map.
COUNT_LIMIT = 2_000

# Folders that are never meant: hidden ones (.git, .venv) and what tools leave behind.
_SKIPPED = frozenset({"__pycache__", "node_modules"})


@attrs.frozen
class File:
    """One file: its path below the working directory, with slashes, its content and whether it may be run."""

    path: str
    data: bytes = attrs.field(repr=False)
    executable: bool = False


def gather(job: Job) -> tuple[tuple[File, ...], list[Problem]]:
    """Everything that ``job.files`` names, and what is wrong with it: unreadable, too large, there twice."""
    start = job.folder or Path.cwd()
    problems: list[Problem] = []
    found: dict[str, File] = {}
    owners: dict[str, str] = {}
    room = LIMIT
    for index, given in enumerate(job.files):
        place = f"files[{index}]"
        try:
            for name, path in _named(start / given, given):
                file = _read(name, path, room)
                room -= len(file.data)
                if room < 0 or len(found) >= COUNT_LIMIT:
                    return (), [*problems, _too_much(place, start / given, given)]
                if name in found:
                    problems.append(Problem(place, f"{name!r} comes from {owners[name]!r} too", "rename one"))
                found[name], owners[name] = file, given
        except (OSError, ValueError, TypeError) as exc:
            problems.append(Problem(place, _reason(exc, given)))
    return tuple(found[name] for name in sorted(found)), problems


def _named(path: Path, given: str) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        yield path.name, path
        return
    nothing = True
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and s not in _SKIPPED)
        for name in sorted(n for n in names if not n.startswith(".")):
            file = Path(folder, name)
            if file.is_file():  # what else lies in a folder, a socket or a dead link, isn't meant
                nothing = False
                yield file.relative_to(path).as_posix(), file
    if nothing:
        raise ValueError(f"{given!r} holds no files (hidden ones don't travel)")


def _read(name: str, path: Path, room: int) -> File:
    name.encode()  # a name that isn't text can't be sent
    with open(path, "rb", opener=_without_waiting) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode):
            raise ValueError(f"{name!r} isn't a regular file")
        return File(name, file.read(room + 1), bool(mode & stat.S_IXUSR))


def _without_waiting(path: str, flags: int) -> int:
    # A fifo that nobody writes to would be waited for.
    return os.open(path, flags | os.O_NONBLOCK)


def _reason(exc: Exception, given: str) -> str:
    if isinstance(exc, UnicodeEncodeError):
        return f"a file name below {given!r} isn't UTF-8"
    if isinstance(exc, OSError):
        return f"{exc.filename or given}: {exc.strerror or exc}"
    return str(exc)


def _too_much(place: str, path: Path, given: str) -> Problem:
    sizes = [(file.stat().st_size, name) for name, file in islice(_named(path, given), COUNT_LIMIT)]
    largest = ", ".join(f"{name} ({size:,} bytes)" for size, name in sorted(sizes, reverse=True)[:3])
    return Problem(
        place,
        f"{given!r} makes more than {LIMIT:,} bytes or {COUNT_LIMIT:,} files; the largest: {largest}",
        "name only what the job runs; data belongs into a connection, code for good into the image",
    )
