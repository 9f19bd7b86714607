"""Ctrl-C and the like while a command works: the first asks it to end in order, the second ends it at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import attrs

from launcher.errors import LauncherError

# What asks a command to end: Ctrl-C, a service manager, a terminal that was closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def carry_out(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end; returns its exit code, or 128 + the signal that interrupted it."""
    with asyncio.Runner() as runner:
        return runner.run(_heeding(work))


async def _heeding(work: Coroutine[Any, Any, int]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(work, name="command")
    interrupts = _Interrupts(task)
    # What was ignored from the start stays so: `nohup launcher run …`, or a job in the background of a script.
    heeded = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    for number in heeded:
        loop.add_signal_handler(number, interrupts.heed, number)
    try:
        await asyncio.wait({task})
    finally:
        for number in heeded:
            loop.remove_signal_handler(number)
    if interrupts.seen and (task.cancelled() or isinstance(task.exception(), LauncherError)):
        # The interruption's own code; what else went wrong on the way out was said where it happened.
        return 128 + interrupts.seen
    return task.result()


@attrs.define
class _Interrupts:
    """The first signal that came."""

    _task: asyncio.Task[int]
    seen: int = 0

    def heed(self, number: int) -> None:
        if self.seen:
            # At once: no cleanup that could wait. Processes of a local cluster in here end with this one.
            if sys.stderr is not None and sys.stderr.isatty():
                os.write(sys.stderr.fileno(), b"\r\x1b[K")
            os._exit(128 + number)
        self.seen = number
        self._task.cancel()
