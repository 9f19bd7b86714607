"""What it means to run a container as a process: the contract, and the choice between its two ways.

``Bubblewrap`` gives the process a file system of its own, with the mounts at their paths. Where the kernel
forbids user namespaces, ``Rewriting`` runs a plain process and changes the declared paths in its arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import attrs

from launcher.local.node.process import Pipes, Process, StartFailed

# How a container runtime words a command that it can't start; tools and people look for this text.
RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create"
    " failed: unable to start container process: {}: unknown"
)


@attrs.frozen
class Bind:
    """A file or folder of the host at ``target`` inside. With ``fd`` that very inode is meant, whatever
    took the name ``source`` since; it belongs to the launch that holds it."""

    source: Path
    target: str
    read_only: bool
    fd: int | None = None


@attrs.frozen
class Launch:
    """One attempt of one container, with nothing left to look up.

    ``scratch`` is a folder of this attempt alone, ``hidden`` the node's folder, which holds other pods'
    data. ``uid`` and ``gid`` are None where the launcher's own are meant.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    binds: tuple[Bind, ...]
    scratch: Path
    hidden: Path
    uid: int | None = None
    gid: int | None = None


class Isolation(Protocol):
    """A way to run containers as processes."""

    @property
    def warning(self) -> str:
        """What a user must know of a pod with mounts; empty when the mounts are as in a container."""

    async def start(self, launch: Launch, pipes: Pipes) -> Process:
        """Start it; returns once the command itself runs. Raises ``StartFailed``."""


async def choose() -> Isolation:
    """Bubblewrap where one trial run of it works, and rewriting where not."""
    from launcher.local.node.bubblewrap import Bubblewrap
    from launcher.local.node.rewriting import Rewriting

    bubblewrap = Bubblewrap.installed()
    return bubblewrap if bubblewrap is not None and await bubblewrap.works() else Rewriting()


def refuse_nul(launch: Launch) -> None:
    """A NUL ends a string for the kernel and an argument for bubblewrap: it must not get that far."""
    texts = [
        *launch.argv,
        *launch.env.keys(),
        *launch.env.values(),
        launch.cwd,
        *(b.target for b in launch.binds),
    ]
    if any("\0" in text for text in texts):
        raise StartFailed(RUNC.format("an argument, an environment variable or a path contains a NUL"))


def start_error(command: str, error: int, text: str) -> StartFailed:
    """What a runtime says of a command that the kernel refused with errno ``error``."""
    import errno

    if error == errno.ENOENT and "/" not in command:
        return StartFailed(RUNC.format(f'exec: "{command}": executable file not found in $PATH'))
    if error == errno.ENOENT:
        return StartFailed(RUNC.format(f'exec: "{command}": stat {command}: no such file or directory'))
    return StartFailed(RUNC.format(f'exec: "{command}": {text.lower()}'))
