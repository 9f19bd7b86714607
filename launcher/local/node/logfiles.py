"""What containers wrote: one file an attempt, the current and the previous one kept.

A line is kept as container runtimes write it (``TIME STREAM F TEXT``), so a file tells all. Writers are woken
by their pipes and readers by the writers; nobody polls.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from launcher.local.api import LogLine
from launcher.local.node.process import Pipes

# Bytes after which a line is split: a line is held in memory until it is whole.
LONGEST_LINE = 1024 * 1024

# Bytes read at once from a pipe (its own buffer) or from a file.
CHUNK = 64 * 1024

# Seconds that a pipe may stay open after its container has ended: all its processes are dead by then, unless
# one of a plain process left its group.
LINGER = 1.0


class LogStore:
    """All containers' logs; the API server reads them from here."""

    def __init__(self) -> None:
        self._logs: dict[tuple[str, str], ContainerLog] = {}

    def begin(self, pod_uid: str, container: str, folder: Path) -> ContainerLog:
        """The log of one container, kept in ``folder``."""
        log = self._logs[pod_uid, container] = ContainerLog(folder)
        return log

    def forget(self, pod_uid: str) -> None:
        """The pod is gone: its readers come to an end, its files are somebody else's to remove."""
        for key in [key for key in self._logs if key[0] == pod_uid]:
            self._logs.pop(key).end()

    async def read(self, pod_uid: str, container: str, *, previous: bool, follow: bool) -> AsyncIterator[LogLine]:
        """The lines of the current attempt, or of the one before; with ``follow``, until it ends.

        Raises ``LookupError`` when there has been no such attempt.
        """
        attempt = self._logs[pod_uid, container].attempt(previous=previous)
        async for line in attempt.lines(follow=follow):
            yield line


class ContainerLog:
    """The attempts of one container."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current: Attempt | None = None
        self._previous: Attempt | None = None

    def capture(self, pipes: Pipes, number: int) -> Attempt:
        """Write what comes from ``pipes`` to the file of attempt ``number``, from now on."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._previous is not None:
            self._previous.path.unlink(missing_ok=True)
        self._previous = self._current
        self._current = Attempt(self._folder / f"{number}.log", pipes)
        return self._current

    def attempt(self, *, previous: bool) -> Attempt:
        """Raises ``LookupError`` when there has been none."""
        found = self._previous if previous else self._current
        if found is None:
            raise LookupError("the container has not started" if not previous else "there is no previous attempt")
        return found

    def end(self) -> None:
        """Let the readers go."""
        if self._current is not None:
            self._current.close()


class Attempt:
    """The log of one attempt: written while its pipes are open, readable at any time."""

    def __init__(self, path: Path, pipes: Pipes) -> None:
        self.path = path
        self._pipes = pipes
        self._file: BinaryIO | None = path.open("wb", buffering=0)
        self._rest = {"stdout": b"", "stderr": b""}
        self._open = {"stdout": pipes.stdout, "stderr": pipes.stderr}
        # Made when somebody waits, dropped when the log ends: an idle event is larger than the rest of an ended log.
        self._grown: asyncio.Event | None = None
        self._ended: asyncio.Event | None = None
        self._loop = asyncio.get_running_loop()
        for stream, fd in self._open.items():
            self._loop.add_reader(fd, self._take, stream, fd)

    async def finish(self) -> None:
        """The container has ended: take what its pipes still hold, then close them."""
        try:
            if self._open:
                self._ended = asyncio.Event()
                async with asyncio.timeout(LINGER):
                    await self._ended.wait()
        except TimeoutError:
            pass
        finally:
            self.close()
            self._ended = None

    def close(self) -> None:
        """Stop writing; a reader that follows comes to its end."""
        for stream in list(self._open):
            self._stop(stream)
        if self._file is not None:
            self._file.close()
            self._file = None
            self._pipes.close()
            self._rest, self._open = {}, {}
        self._wake()

    async def lines(self, *, follow: bool) -> AsyncIterator[LogLine]:
        rest = b""
        with self.path.open("rb") as file:
            while True:
                ended = self._file is None
                if self._grown is None and not ended:
                    self._grown = asyncio.Event()
                grown = self._grown
                while chunk := file.read(CHUNK):
                    *whole, rest = (rest + chunk).split(b"\n")
                    for line in whole:
                        yield _parsed(line)
                if ended or not follow or grown is None:
                    return
                await grown.wait()

    def tail(self, lines: int, size: int) -> str:
        """The last ``lines`` lines, at most ``size`` bytes of them."""
        with self.path.open("rb") as file:
            # Each line carries some 40 bytes of time and stream.
            file.seek(-min(file.seek(0, os.SEEK_END), size + lines * 64), os.SEEK_END)
            texts = [line.split(b" ", 3)[-1] for line in file.read().splitlines(keepends=True)[-lines:]]
        return b"".join(texts)[-size:].decode("utf-8", "replace")

    def _take(self, stream: str, fd: int) -> None:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self._stop(stream)
            return
        *whole, rest = (self._rest[stream] + data).split(b"\n")
        while len(rest) >= LONGEST_LINE:
            whole.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest[stream] = rest
        self._write(stream, whole)

    def _write(self, stream: str, lines: list[bytes]) -> None:
        if not lines or self._file is None:
            return
        head = f"{datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')} {stream} F ".encode()
        self._file.write(b"".join(head + line + b"\n" for line in lines))
        self._wake()

    def _stop(self, stream: str) -> None:
        self._loop.remove_reader(self._open.pop(stream))
        if self._rest[stream]:
            self._write(stream, [self._rest[stream]])
            self._rest[stream] = b""
        if not self._open and self._ended is not None:
            self._ended.set()

    def _wake(self) -> None:
        if self._grown is not None:
            self._grown.set()
            self._grown = None


def _parsed(line: bytes) -> LogLine:
    time, stream, _, data = line.split(b" ", 3)
    return LogLine(datetime.fromisoformat(time.decode()), stream.decode(), data)
