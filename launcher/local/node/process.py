"""Child processes on the event loop: one pidfd each, no thread each. Linux 5.3 or newer.

``asyncio.create_subprocess_exec`` starts a thread for each child on Python 3.11; a pidfd wakes the loop by
itself, and a signal that is sent through one can't reach a stranger that was given the pid again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import attrs

from launcher.errors import LauncherError

# Bytes of a message that a failed start left on its standard error: one pipe's buffer.
PIPE_BUFFER = 64 * 1024


class StartFailed(LauncherError):
    """The process could not be started; the text is what the container's status says of it."""


class Process(Protocol):
    """A started process of a container. Whoever started it awaits ``wait`` and then calls ``close``."""

    async def wait(self) -> int:
        """The exit code of the command, 128 + n for signal n, once all that it started is killed too."""

    def signal(self, number: int) -> None:
        """Send a signal to the command; nothing happens when it is gone."""

    def kill(self) -> None:
        """SIGKILL to the command and to all that it started."""

    def close(self) -> None:
        """Kill what is left of it and of all that it started, and give back its descriptors."""


@attrs.frozen
class Pipes:
    """Two pipes: what a container writes, and what its log reads."""

    stdout: int
    stderr: int
    child_stdout: int
    child_stderr: int

    @classmethod
    def open(cls) -> Pipes:
        stdout, child_stdout = os.pipe()
        try:
            stderr, child_stderr = os.pipe()
        except BaseException:
            os.close(stdout)
            os.close(child_stdout)
            raise
        for fd in (stdout, stderr):
            os.set_blocking(fd, False)
        return cls(stdout, stderr, child_stdout, child_stderr)

    def close_child_ends(self) -> None:
        os.close(self.child_stdout)
        os.close(self.child_stderr)

    def close(self) -> None:
        os.close(self.stdout)
        os.close(self.stderr)

    def said(self) -> str:
        """What is on standard error right now, for a process that never became the command."""
        try:
            data = os.read(self.stderr, PIPE_BUFFER)
        except BlockingIOError:
            return ""
        return data.decode("utf-8", "replace").strip()


class Child:
    """A direct child of this process, leader of its own process group, which dies with it."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self._pidfd = os.pidfd_open(popen.pid)
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._on_exit)

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def running(self) -> bool:
        return not self._ended.done()

    async def wait(self) -> int:
        """The exit code, 128 + n for signal n."""
        code: int = await asyncio.shield(self._ended)
        return code

    def signal(self, number: int) -> None:
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """SIGKILL to the whole group. As long as the child isn't reaped, nobody else's group has its number."""
        if self.running:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        if self._pidfd < 0:
            return
        if self.running:
            self.kill()
            # SIGKILL can't be refused: this returns as soon as the kernel has taken the process down.
            self._popen.wait()
            self._on_exit()
        os.close(self._pidfd)
        self._pidfd = -1

    def _on_exit(self) -> None:
        self.kill()
        code = self._popen.poll()
        if code is None or self._ended.done():
            return
        self._loop.remove_reader(self._pidfd)
        self._ended.set_result(code if code >= 0 else 128 - code)


def spawn(
    argv: Sequence[str],
    pipes: Pipes,
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    in_child: Callable[[], None] | None = None,
) -> Child:
    """Start ``argv`` with nothing of our environment or descriptors. Raises ``OSError`` where it can't."""
    # pidfd is the first thing that a system too old, or another one, doesn't have.
    if not hasattr(os, "pidfd_open"):
        raise StartFailed("the local cluster needs Linux 5.3 or newer (pidfd); use a cluster instead")
    return Child(
        subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=pipes.child_stdout,
            stderr=pipes.child_stderr,
            env=dict(env),
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            preexec_fn=in_child,  # noqa: PLW1509  only ever one system call (see rewriting.py)
        )
    )
