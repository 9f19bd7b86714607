"""The local files that travel with a job: read once, bounded, as relative paths and their content."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from launcher.errors import InvalidSpec, Problem
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


def gather(job: Job) -> tuple[File, ...]:
    """Everything that ``job.files`` names. Raises ``InvalidSpec`` when it can't be read or is too large."""
    start = job.folder or Path.cwd()
    problems: list[Problem] = []
    files: dict[str, File] = {}
    total = 0
    for index, given in enumerate(job.files):
        try:
            for name, path in _named(start / given, given):
                total += path.stat().st_size
                if total > LIMIT or len(files) >= COUNT_LIMIT:
                    problems.append(_too_much(index, start / given, given))
                    break
                files[name] = File(name, path.read_bytes(), os.access(path, os.X_OK))
        except OSError as exc:
            problems.append(Problem(f"files[{index}]", f"{exc.filename or given}: {exc.strerror or exc}"))
    if problems:
        raise InvalidSpec(problems, f"job {job.name!r}")
    return tuple(files[name] for name in sorted(files))


def _named(path: Path, given: str) -> Iterator[tuple[str, Path]]:
    if not path.is_dir():
        path.stat()  # raises with the reason, a missing file first of all
        yield path.name, path
        return
    found = False
    for folder, subfolders, names in os.walk(path):
        subfolders[:] = sorted(s for s in subfolders if not s.startswith(".") and s not in _SKIPPED)
        for name in sorted(n for n in names if not n.startswith(".")):
            file = Path(folder, name)
            if file.is_file():  # a fifo or a socket would be read for ever
                found = True
                yield file.relative_to(path).as_posix(), file
    if not found:
        raise FileNotFoundError(0, "holds no files (hidden ones don't travel)", given)


def _too_much(index: int, path: Path, given: str) -> Problem:
    sizes = [(file.stat().st_size, name) for name, file in _bounded(_named(path, given))]
    largest = ", ".join(f"{name} ({size:,} bytes)" for size, name in sorted(sizes, reverse=True)[:3])
    return Problem(
        f"files[{index}]",
        f"{given!r} makes more than {LIMIT:,} bytes or {COUNT_LIMIT:,} files; the largest: {largest}",
        "name only what the job runs; data belongs into a connection, code for good into the image",
    )


def _bounded(items: Iterator[tuple[str, Path]]) -> Iterable[tuple[str, Path]]:
    return (item for _, item in zip(range(COUNT_LIMIT), items, strict=False))
