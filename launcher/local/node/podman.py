"""Containers from real images, by the podman program of this machine.

One ``podman run`` a container, in the foreground: it ends with the command's exit code, and removes the container.
Its ``conmon`` doesn't end with us, so beside each runs a guard, a shell that waits for the end of a pipe of
ours: when we are killed, it ends podman, and removes the container with all its processes. What a guard couldn't
remove, the next launcher does (``sweep``), by a label that says whose it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import re
import secrets
import shutil
import signal
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

import attrs

from launcher.cluster import started
from launcher.errors import LauncherError
from launcher.local.node.images import Images, ran, reference
from launcher.local.node.isolation import RUNC, Bind, Image, Launch, refuse_nul
from launcher.local.node.process import Child, Pipes, Process, StartFailed, spawn

# The label of each container: which process of which pid namespace started it.
LABEL = "podlauncher.owner"

# Bytes of a message of podman's to its service manager: a few short lines.
NOTICE = 4096

# Seconds that an interrupted start may take to be undone: removing a container takes 0.1.
UNDO = 10.0

# Ends podman and removes its container, once nobody can write to the pipe any more. Not by SIGKILL: halfway through a
# start that would leave a container which podman doesn't know of; SIGTERM it heeds where nothing is halfway.
GUARD = (
    'read -r _ < "/proc/self/fd/$1"; kill "$2" 2>/dev/null; while [ -e "/proc/$2/exe" ]; do sleep 0.02; done;'
    ' shift 2; exec "$@"'
)

# Variables that podman itself heeds, or the programs that it starts: given by value, in its arguments. All others
# are given by name, so that their values, secrets among them, stay out of `ps`.
_PODMANS = re.compile(
    r"PATH|HOME|USER|TMPDIR|LANG|(LC|LD|MALLOC|XDG|DBUS|PODMAN|_CONTAINERS|CONTAINERS?)_.*|GLIBC_TUNABLES"
    r"|GO(DEBUG|GC|MAXPROCS|MEMLIMIT|TRACEBACK)|LISTEN_(FDS|PID|FDNAMES)|STORAGE_(DRIVER|OPTS)|REGISTRY_AUTH_FILE"
    r"|NOTIFY_SOCKET|BASH_ENV|ENV|IFS|PODLAUNCHER_NODE"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen
class Podman:
    """Isolation by the podman program at ``program``."""

    program: Path
    warning: str = ""

    @property
    def images(self) -> Images:
        """The images that its containers come from."""
        return Images(self.program)

    @classmethod
    async def found(cls) -> Self:
        """The podman of this machine, once it has answered. Raises ``LauncherError`` where there is none."""
        program = shutil.which("podman")
        remedy = "install podman, or set localIsolation to auto"
        if program is None:
            raise LauncherError(f"localIsolation is podman, but this machine has no such program: {remedy}")
        podman = cls(Path(program))
        try:
            await podman.sweep()
        except StartFailed as exc:
            raise LauncherError(f"localIsolation is podman, but podman doesn't work here: {exc}; {remedy}") from exc
        return podman

    async def sweep(self) -> None:
        """Remove containers whose launchers are gone. Raises ``StartFailed`` when podman fails."""
        listed = await ran(self.program, "ps", "--all", "--filter", f"label={LABEL}", "--format", "json")
        if listed.code:
            raise StartFailed(listed.error)
        left = [item["Id"] for item in json.loads(listed.output or "[]") if _gone(item["Labels"][LABEL])]
        if left:
            await ran(self.program, *_removal(*left))

    async def start(self, launch: Launch, pipes: Pipes) -> Process:
        refuse_nul(launch)
        if launch.image is None:
            raise StartFailed(RUNC.format("podman runs images, and the container has none"))
        found = reference(launch.image.name)
        name = f"podlauncher-{secrets.token_hex(8)}"
        with _notices() as (notices, address):
            try:
                child = spawn(
                    [str(self.program), "run", *_options(launch, name), *_command(launch.image, found)],
                    pipes,
                    env={**_by_name(launch.env), **os.environ, "NOTIFY_SOCKET": address},
                )
            except OSError as exc:
                raise StartFailed(RUNC.format(f"podman: {exc.strerror}")) from exc
            contained = _Contained(child)
            try:
                contained.guard(self.program, name)
                conmon = await _started(child, notices)
                contained.attend(launch.scratch / "pid", conmon)
            except BaseException:
                await contained.undo()
                raise
        if conmon:
            return contained
        await contained.undo()
        raise StartFailed(RUNC.format(_why(pipes.said())))


def _options(launch: Launch, name: str) -> Iterator[str]:
    # The API server, and other containers of the pod, are on this machine's loopback device. Labels of SELinux
    # would keep containers from mounts, and changing them would change the user's files.
    yield from ("--rm", "--name", name, "--label", f"{LABEL}={_owner(os.getpid())}", "--pull", "never")
    yield from ("--network", "host", "--security-opt", "label=disable", "--http-proxy=false")
    # Its output goes straight into our pipes, and podman says when the command runs.
    yield from ("--log-driver", "passthrough", "--sig-proxy=false", "--sdnotify", "conmon")
    yield from ("--pidfile", str(launch.scratch / "pid"))
    for bind in launch.binds:
        yield from ("--mount", _mount(bind))
    given = _by_name(launch.env)
    for variable, value in launch.env.items():
        yield from ("--env", variable if variable in given else f"{variable}={value}")
    if launch.uid is not None or launch.gid is not None:
        yield from ("--user", f"{launch.uid or 0}:{launch.gid or 0}")
    if launch.image is not None and launch.image.working_dir:
        yield from ("--workdir", launch.image.working_dir)
    if launch.image is not None and launch.image.read_only_root:
        yield from ("--read-only", "--read-only-tmpfs=false")


def _command(image: Image, found: str) -> Iterator[str]:
    """As Kubernetes has it: ``command`` is the entrypoint, and its presence makes the image's arguments void."""
    if image.command:
        yield from ("--entrypoint", json.dumps(image.command))
    yield found
    yield from image.args


def _by_name(env: Mapping[str, str]) -> dict[str, str]:
    taken = os.environ
    return {n: v for n, v in env.items() if _NAME.fullmatch(n) and not _PODMANS.fullmatch(n) and n not in taken}


def _mount(bind: Bind) -> str:
    # podman has no way to take a descriptor: the name that the held inode has now comes closest to it.
    source = str(bind.source) if bind.fd is None else str(Path(f"/proc/self/fd/{bind.fd}").readlink())
    words = ["type=bind", f"source={source}", f"target={bind.target}", *(["readonly"] if bind.read_only else [])]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


def _removal(*containers: str) -> tuple[str, ...]:
    return ("rm", "--force", "--ignore", "--volumes", "--time", "0", *containers)


@contextlib.contextmanager
def _notices() -> Iterator[tuple[socket.socket, str]]:
    """Where podman says that the command runs, and the address that it is told: one in no folder, for a
    folder's path may be too long for a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.setblocking(False)
        name = f"podlauncher-{secrets.token_hex(16)}"
        notices.bind(f"\0{name}")
        yield notices, f"@{name}"


async def _started(child: Child, notices: socket.socket) -> int:
    """The pid of the container's conmon once the command runs; 0 when podman ended before that."""
    loop = asyncio.get_running_loop()
    ended = asyncio.create_task(child.wait(), name=f"start of podman {child.pid}")
    try:
        while True:
            notice = asyncio.create_task(loop.sock_recv(notices, NOTICE), name=f"notice of podman {child.pid}")
            try:
                await asyncio.wait({ended, notice}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                notice.cancel()
                await asyncio.wait({notice})
            text = _last(notices) if notice.cancelled() else notice.result()
            words = dict(line.split("=", 1) for line in text.decode("utf-8", "replace").split("\n") if "=" in line)
            if words.get("READY") == "1" and words.get("MAINPID", "").isdigit():
                return int(words["MAINPID"])
            if notice.cancelled():
                return 0
    finally:
        ended.cancel()
        await asyncio.wait({ended})


def _last(notices: socket.socket) -> bytes:
    """What was said at the very end, before anybody looked."""
    try:
        return notices.recv(NOTICE)
    except BlockingIOError:
        return b""


class _Contained:
    """podman in the foreground, its guard, and the command: the first process of its namespace."""

    def __init__(self, podman: Child) -> None:
        self._podman = podman
        self._guard: Child | None = None
        self._alive = -1
        self._command = -1

    def guard(self, program: Path, name: str) -> None:
        """From here on nothing outlives us."""
        watched, self._alive = os.pipe()
        words = ["sh", "-c", GUARD, "guard", str(watched), str(self._podman.pid), str(program), *_removal(name)]
        silent = os.open(os.devnull, os.O_WRONLY)
        try:
            self._guard = spawn(words, Pipes(-1, -1, silent, silent), env=os.environ, pass_fds=[watched])
        except OSError as exc:
            raise StartFailed(RUNC.format(f"podman's guard: {exc.strerror}")) from exc
        finally:
            os.close(silent)
            os.close(watched)

    def attend(self, pidfile: Path, conmon: int) -> None:
        """Hold the command, for signals. It may have ended already, and its pid be another's."""
        with contextlib.suppress(OSError, ValueError):
            pid = int(pidfile.read_text())
            self._command = os.pidfd_open(pid)
            if _parent(pid) != conmon:
                os.close(self._command)
                self._command = -1

    async def undo(self) -> None:
        """Leave nothing of a start that failed or was interrupted, wherever it stood."""
        self._release()
        guard = self._guard
        try:
            if guard is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(UNDO):
                        await guard.wait()
        finally:
            self.close()

    async def wait(self) -> int:
        return await self._podman.wait()

    def signal(self, number: int) -> None:
        if self._command >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._command, number)

    def kill(self) -> None:
        # The first process of a pid namespace takes all the others along; conmon then removes the container.
        self.signal(signal.SIGKILL)

    def close(self) -> None:
        self.kill()
        self._podman.close()
        if self._guard is not None:
            self._guard.close()
            self._guard = None
        self._release()
        if self._command >= 0:
            os.close(self._command)
            self._command = -1

    def _release(self) -> None:
        if self._alive >= 0:
            os.close(self._alive)
            self._alive = -1


def _why(said: str) -> str:
    """The reason in what podman says, without the names of the parts that passed it on."""
    reason = said.rpartition("Error: ")[2].strip() or "podman ended without a word"
    reason = re.sub(r": OCI (runtime|permission|not found).*$", "", reason, flags=re.DOTALL)
    return reason.rpartition("unable to start container process: ")[2]


def _owner(pid: int) -> str:
    """A process, told from all that have its pid before or after it or in another namespace; empty when gone."""
    try:
        return f"{pid}-{started(pid)}-{_namespace()}"
    except OSError:
        return ""


def _gone(owner: str) -> bool:
    """Whether that process of our namespace has ended; of other namespaces we can't know."""
    pid, _, rest = owner.partition("-")
    return pid.isdigit() and rest.endswith(f"-{_namespace()}") and _owner(int(pid)) != owner


def _namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
