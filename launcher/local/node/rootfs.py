"""The file system of a container as bubblewrap's arguments: the host's, read-only, with the mounts in place.

A read-only root can't take new mount points, and an overlay over ``/`` fails in a user namespace. So the
root is a tmpfs, each top-level entry is bound read-only, and only those existing folders that must contain a
missing mount point are rebuilt entry by entry. Nothing is written to the host, except mount points inside
writable volumes, as container runtimes do.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import attrs

from launcher.local.node.isolation import RUNC, Bind, Launch
from launcher.local.node.process import StartFailed

# Top-level entries that a container doesn't share with the host.
_OWN = frozenset({"/proc", "/dev", "/tmp"})  # noqa: S108

# What in a home folder holds credentials. All of it is hidden where a job needs nothing of it; where its Python
# or one of its mounts is in there, these are.
_CREDENTIALS = (
    ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".config", ".docker", ".local/state", ".local/share/keyrings",
    ".netrc", ".git-credentials", ".pgpass", ".pypirc", ".npmrc", ".boto", ".s3cfg",
)  # fmt: skip

# As many symlinks as the kernel follows in one path.
_SYMLINKS = 40


def filesystem(launch: Launch) -> list[str]:
    """Arguments that build the root, in order. Raises ``StartFailed`` for a mount that has no place."""
    private = launch.scratch / "tmp"
    private.mkdir(mode=0o1777, exist_ok=True)
    private.chmod(0o1777)
    binds = [Bind(private, "/tmp", read_only=False), *_interpreter(), *launch.binds]  # noqa: S108
    placed = _placed(binds)
    if not _exists(placed, launch.cwd):
        (launch.scratch / "cwd").mkdir(exist_ok=True)
        placed = _placed([*binds, Bind(launch.scratch / "cwd", launch.cwd, read_only=False)])
    opened = _opened(placed)
    return [
        *("--tmpfs", "/"),
        *_entries("/", opened),
        *("--proc", "/proc", "--dev", "/dev"),
        *_hidden(launch.hidden),
        *_private(placed),
        *_parents(placed),
        *(argument for bind in placed for argument in _bound(bind)),
        *("--remount-ro", "/"),
    ]


def _interpreter() -> Iterator[Bind]:
    # A virtual environment under /tmp would vanish behind the private one, and the jobs' Python with it.
    for prefix in sorted({sys.prefix, sys.base_prefix}):
        if PurePosixPath(prefix).is_relative_to("/tmp"):  # noqa: S108
            yield Bind(Path(prefix), prefix, read_only=True)


def _hidden(folder: Path) -> Iterator[str]:
    if folder.is_relative_to("/tmp"):  # noqa: S108
        return  # behind the private /tmp
    yield from ("--perms", "0555", "--tmpfs", str(folder), "--remount-ro", str(folder))


def _private(placed: list[Bind]) -> Iterator[str]:
    """Covers the user's home folder, or what in it holds credentials."""
    home = _real(Path.home())
    needed = [PurePosixPath(path) for path in (sys.prefix, sys.base_prefix, *(bind.target for bind in placed))]
    if home is None or home == Path("/"):
        return
    covered = [home] if _unused(home, needed) else [_real(home / name) for name in _CREDENTIALS]
    for path in covered:
        if path is None or not _unused(path, needed):
            continue
        if path.is_dir():
            yield from ("--perms", "0555", "--tmpfs", str(path), "--remount-ro", str(path))
        else:
            yield from ("--ro-bind", os.devnull, str(path))


def _real(path: Path) -> Path | None:
    """Where it really is, since nothing can be mounted over a symlink; None when it isn't there at all."""
    try:
        return path.resolve(strict=True)
    except (OSError, RuntimeError):
        return None


def _unused(path: Path, needed: Iterable[PurePosixPath]) -> bool:
    # What is below /tmp is behind the private one.
    return not path.is_relative_to("/tmp") and not any(one.is_relative_to(path) for one in needed)  # noqa: S108


def _parents(placed: list[Bind]) -> Iterator[str]:
    # bubblewrap would make them too, for their owner alone.
    missing = {str(parent) for bind in placed for parent in PurePosixPath(bind.target).parents}
    for parent in sorted(parent for parent in missing if not Path(parent).exists()):
        yield from ("--perms", "0755", "--dir", parent)


def _bound(bind: Bind) -> tuple[str, str, str]:
    how = "--ro-bind" if bind.read_only else "--bind"
    if bind.fd is not None:
        return f"{how}-fd", str(bind.fd), bind.target
    return how, str(bind.source), bind.target


def _placed(binds: Iterable[Bind]) -> list[Bind]:
    """The binds with their targets free of symlinks, outer ones before those inside them."""
    placed: dict[str, Bind] = {}
    for bind in sorted(binds, key=lambda bind: bind.target.count("/")):
        target = _resolved(bind.target, placed)
        placed[target] = attrs.evolve(bind, target=target)
    return sorted(placed.values(), key=lambda bind: bind.target.count("/"))


def _resolved(target: str, placed: dict[str, Bind]) -> str:
    """Where ``target`` really is: the host's symlinks followed, a volume's own ones refused."""
    rest = [part for part in target.split("/") if part and part != "."]
    if not target.startswith("/") or not rest or ".." in rest or rest[0] == "proc":
        raise StartFailed(RUNC.format(f'can\'t mount at "{target}": not a path that can be mounted over'))
    here, volume, links = "", None, 0
    while rest:
        here = f"{here}/{rest.pop(0)}"
        inside = volume / here.rsplit("/", 1)[1] if volume is not None else Path(here)
        volume = placed[here].source if here in placed else inside if volume is not None else None
        if here in placed or not inside.is_symlink():
            continue
        links += 1
        if volume is not None or links > _SYMLINKS:
            raise StartFailed(RUNC.format(f'can\'t mount at "{target}": a symlink is in the way'))
        link = str(inside.readlink())
        rest = [part for part in link.split("/") if part not in ("", ".")] + rest
        here = "" if link.startswith("/") else here.rsplit("/", 1)[0]
        while rest and rest[0] == "..":
            rest.pop(0)
            here = here.rpartition("/")[0]
    return here


def _exists(placed: list[Bind], cwd: str) -> bool:
    """Whether the working directory is a folder inside; one that isn't is made, as runtimes do."""
    around = [bind for bind in placed if PurePosixPath(cwd).is_relative_to(bind.target)]
    if not around:
        return Path(cwd).is_dir()
    outer = around[-1]
    return (outer.source / PurePosixPath(cwd).relative_to(outer.target)).is_dir()


def _opened(placed: list[Bind]) -> set[str]:
    """Existing folders of the host that must be rebuilt, because a missing mount point goes below them."""
    opened: set[str] = set()
    targets = {bind.target for bind in placed}
    for bind in placed:
        parents = [str(parent) for parent in PurePosixPath(bind.target).parents]
        if targets.intersection(parents) or parents[-2:-1] == ["/dev"]:
            continue
        if Path(bind.target).exists():
            _check_kind(bind)
            continue
        opened.update(parent for parent in parents if parent != "/" and Path(parent).is_dir())
    return opened


def _check_kind(bind: Bind) -> None:
    if bind.source.is_dir() != Path(bind.target).is_dir():
        raise StartFailed(RUNC.format(f'can\'t mount at "{bind.target}": not a directory or vice-versa'))


def _entries(folder: str, opened: set[str]) -> Iterator[str]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = entry.path
        if path in _OWN:
            continue
        if entry.is_symlink():
            yield from ("--symlink", str(Path(path).readlink()), path)
        elif path in opened:
            yield from ("--perms", f"{stat.S_IMODE(entry.stat().st_mode):04o}", "--dir", path)
            yield from _entries(path, opened)
        else:
            yield from ("--ro-bind-try", path, path)
