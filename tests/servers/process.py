"""Server processes for tests: started on loopback, waited for, and ended by the one that started them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

# Seconds until a server must answer: the slowest one takes 5 on a busy machine.
READY = 40.0

# Seconds between two looks at a server that is starting.
LOOK = 0.05

# Seconds that a server may take to end before it is killed.
END = 2.0


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nothing listens on just now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, ports: Sequence[int], env: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A process that listens on ``ports``; its output goes to ``log``, and it is gone on leaving."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
        )
    try:
        for port in ports:
            _wait(process, port, log)
        yield
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY
    while not _answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"the server on port {port} doesn't answer ({process.returncode}):\n{tail}")
        time.sleep(LOOK)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(END)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
