"""A local cluster in the background: started, found again and stopped by whoever has the same state folder.

One process of its own, in its own session, holds the cluster; the state file tells of it and may be read by its owner
alone. A lock on the folder is held as long as that process lives, so there is never a second one.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from launcher.cluster import LocalState, read_state, told
from launcher.errors import LauncherError
from launcher.kube.errors import clean
from launcher.local.cluster import NAMESPACES, LocalCluster
from launcher.local.node.folders import remove
from launcher.local.node.isolation import choose
from launcher.settings import Settings

# Seconds. A cluster takes half of one to start; a machine that is very busy gets many times that.
START = 30.0

# Seconds: its pods' processes are killed, and its API's last answers are given 2.
END = 20.0

# Lines of the cluster's own log that a message shows when it didn't start.
LAST_LINES = 12

READY = b"ready\n"


@attrs.frozen
class Begun:
    """The cluster in the background, and whether it ran before it was asked for."""

    state: LocalState
    running_before: bool


async def start(settings: Settings, config: Path | None = None, port: int = 0, kept: Path | None = None) -> Begun:
    """Start the cluster, or find the one that runs; ``port`` 0 is any free one. ``kept`` is a folder that it begins
    with and leaves its state in; without one it ends without a trace.

    Raises ``LauncherError`` with the end of its log when it doesn't start, ``InvalidSpec`` for ``localObjects``.
    """
    settings.objects()  # read again by the process itself; said here what is wrong with them
    folder = settings.surroundings.state
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(folder / "cluster.lock") as lock:
        if lock is None:
            running = read_state(settings)
            if running is None:
                raise LauncherError("the local cluster is just being started or stopped by somebody; try again")
            return Begun(running, running_before=True)
        await _spawn(settings, lock, _arguments(settings, config, port, kept))
    state = read_state(settings)
    if state is None:
        raise LauncherError(f"the local cluster ended as soon as it had started: see {_log(settings)}")
    return Begun(state, running_before=False)


async def stop(settings: Settings) -> LocalState | None:
    """Stop the cluster with all its pods, and wait until it is gone. Returns what it was, or None for none."""
    state = read_state(settings)
    if state is None:
        return None
    try:
        process = os.pidfd_open(state.pid)
    except ProcessLookupError:
        return None
    try:
        # Asked again with the process held: its number can't pass to another from here on.
        if read_state(settings) == state:
            await _end(process)
    finally:
        os.close(process)
    return state


async def serve(settings: Settings, *, port: int, ready: int, kept: Path | None = None) -> None:
    """Be the cluster, until SIGTERM. ``ready`` is a descriptor that learns when it answers.

    Raises ``OSError``, and ``LauncherError`` for a state folder ``kept`` that can't be used.
    """
    asked_to_end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_end.set)
    # Objects that aren't kept live in memory, so what an earlier cluster left on disk belongs to nobody.
    folder = settings.surroundings.state / "local"
    await remove(folder)
    objects = [*_namespace(settings), *settings.objects()]
    isolation = await choose(settings.local_isolation)
    where = None if kept else folder
    try:
        async with LocalCluster(where, port=port, isolation=isolation, objects=objects, state=kept) as cluster:
            with told(settings.surroundings.state, cluster.url, cluster.token):
                with suppress(BrokenPipeError):
                    os.write(ready, READY)
                os.close(ready)
                await asked_to_end.wait()
    finally:
        await remove(folder)


def _namespace(settings: Settings) -> list[Mapping[str, Any]]:
    name = settings.namespace
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}] if _is_new(name) else []


def _is_new(name: str | None) -> bool:
    return name is not None and name not in NAMESPACES


@contextmanager
def _locked(file: Path) -> Iterator[int | None]:
    """A descriptor that holds the lock, as every process does that inherits it; None when another has it."""
    lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        lock = -1
    try:
        yield lock if lock >= 0 else None
    finally:
        if lock >= 0:
            os.close(lock)


def _arguments(settings: Settings, config: Path | None, port: int, kept: Path | None) -> list[str]:
    words = ["--port", str(port)]
    words += ["--state", str(kept.absolute())] if kept else []
    words += ["--config", str(config.resolve())] if config else []
    return words + (["--namespace", settings.namespace] if settings.namespace else [])


async def _spawn(settings: Settings, lock: int, arguments: Sequence[str]) -> None:
    """Start the process and wait until it is ready; end it again when that fails, or is interrupted."""
    ours, theirs = os.pipe()
    with closing(os.fdopen(ours, "rb", 0)) as news:
        try:
            process = _process(_log(settings), arguments, ready=theirs, lock=lock)
        finally:
            os.close(theirs)
        try:
            async with asyncio.timeout(START):
                heard = await _first_line(news)
        except TimeoutError as exc:
            process.terminate()
            raise LauncherError(f"the local cluster wasn't ready within {START:.0f} s: see {_log(settings)}") from exc
        except BaseException:
            process.terminate()
            raise
    if heard != READY:
        process.wait()
        raise LauncherError(f"the local cluster didn't start:\n{_end_of(_log(settings))}")
    process.returncode = 0  # it outlives us on purpose, and Popen would warn that nobody waited for its end


def _process(log: Path, arguments: Sequence[str], *, ready: int, lock: int) -> subprocess.Popen[bytes]:
    """A process that outlives us and our terminal. asyncio's own would be killed when its transport is closed."""
    descriptors = ["--ready", str(ready), "--lock", str(lock)]
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)) as said:
        return subprocess.Popen(
            # -P: the current folder is nobody's package path, whatever files it holds.
            [sys.executable, "-P", "-m", "launcher.local", *arguments, *descriptors],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            pass_fds=(ready, lock),
        )


async def _first_line(news: Any) -> bytes:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), news)
    with closing(transport):
        return await reader.readline()


async def _end(process: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, number)
        try:
            async with asyncio.timeout(END):
                return await _gone(process)
        except TimeoutError:
            continue
    raise LauncherError("the local cluster's process doesn't end, not even by SIGKILL")


async def _gone(process: int) -> None:
    """Wait for the end of a process by its descriptor, which becomes readable then."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(process, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process)


def _log(settings: Settings) -> Path:
    return settings.surroundings.state / "cluster.log"


def _end_of(log: Path) -> str:
    with log.open(encoding="utf-8", errors="replace") as lines:
        last = deque(lines, LAST_LINES)
    return "\n".join(f"  {clean(line)}" for line in last) or "  it said nothing"
