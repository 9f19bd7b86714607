"""Where words go: stdout for what was asked for, stderr for all else, a status line where somebody watches.

Text is what others wrote (jobs, servers, files), so it is never read as markup, and on a terminal its control
characters are spelled out. What isn't a terminal gets it unchanged.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any

import attrs

from launcher.cli.wording import visible

if TYPE_CHECKING:
    from rich.console import Console

# Bytes that a pipe takes without making us wait once it says that there is room: POSIX' least PIPE_BUF is 512,
# Linux and macOS have a page or more.
_ROOM = min(select.PIPE_BUF, 4096)

# Seconds between two drawings of the status line: a clock in it shows seconds.
_TICK = 0.5


@attrs.define
class Screen:
    """What one command prints on. ``say`` and ``warn`` go to stderr, ``out`` to stdout."""

    console: Console
    _status: str = ""
    _shown: bool = False

    @classmethod
    def open(cls) -> Screen:
        """The terminal or the pipes of this process. Colours and NO_COLOR are rich's business."""
        from rich.console import Console

        console = Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)
        return cls(console)

    @property
    def watched(self) -> bool:
        """Whether somebody sees stderr in a terminal that can rewrite a line."""
        return bool(sys.stderr and sys.stderr.isatty()) and not self.console.is_dumb_terminal

    def say(self, text: str, style: str = "") -> None:
        """A line for people, on stderr."""
        from rich.text import Text

        self._clear()
        if sys.stderr is not None:
            self.console.print(Text(visible(text), style=style))

    def warn(self, text: str) -> None:
        """Something that people should know, and that stops nothing."""
        self.say(f"warning: {text}", "yellow")

    async def out(self, text: str) -> None:
        """Text for stdout, with its line ends. Raises ``BrokenPipeError`` when nobody reads any more."""
        self._clear()
        await _write(sys.stdout, text)

    async def err(self, text: str) -> None:
        """Text of a job for stderr, where stdout is taken by something for scripts."""
        self._clear()
        await _write(sys.stderr, text)

    def status(self, text: str) -> None:
        """What the status line says from now on; nothing takes it away."""
        self._status = text
        if not text:
            self._clear()

    @asynccontextmanager
    async def live(self) -> AsyncIterator[None]:
        """Keep the status line drawn while a command waits; nothing is drawn where nobody watches."""
        if not self.watched:
            yield
            return
        ticking = asyncio.create_task(self._tick(), name="status line")
        try:
            yield
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
            self.status("")

    async def _tick(self) -> None:
        started = asyncio.get_running_loop().time()
        text = self._status
        while True:
            now = asyncio.get_running_loop().time()
            if text != self._status:
                text, started = self._status, now
            if text:
                self._draw(f"{text} {now - started:.0f} s")
            await asyncio.sleep(_TICK)

    def _draw(self, text: str) -> None:
        # Shorter than the line, or the terminal would wrap it and the next drawing would leave the first half.
        cut = visible(text)[: max(0, self.console.width - 1)]
        sys.stderr.write(f"\r\x1b[K{cut}")
        sys.stderr.flush()
        self._shown = True

    def _clear(self) -> None:
        if self._shown:
            self._shown = False
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


async def _write(stream: IO[Any] | None, text: str) -> None:
    """Write all of it without ever blocking the event loop: a pipe's reader may take its time."""
    if stream is None:
        return
    fd = stream.fileno()
    shown = visible(text) if stream.isatty() else text
    data = memoryview(shown.encode("utf-8", "replace"))
    while data:
        await _room(fd)
        data = data[os.write(fd, data[:_ROOM]) :]


async def _room(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if poll.poll(0):
        return
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, _once, ready)
    try:
        await ready
    finally:
        loop.remove_writer(fd)


def _once(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
