"""A run as it is followed on a screen: its phases, its log, its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import attrs

from launcher.cli.screen import Screen
from launcher.cli.wording import counted, duration, size
from launcher.collect import Result, Status
from launcher.errors import LauncherError
from launcher.follow import RunEvent
from launcher.job import Job
from launcher.launch import Launcher
from launcher.phases import Phase
from launcher.running import CANCEL_GRACE, Run

# Seconds that a job of a cluster on this machine may take to end after Ctrl-C: it has nothing to upload, and
# somebody waits. Elsewhere it is the launcher's own, longer grace.
LOCAL_GRACE = 5

# Seconds beyond its grace that a cancelled run may take to be gone before we stop waiting.
CANCEL_LAG = 15.0

# Seconds that the log's end may lag behind the news that the command has ended, before that is told first.
LOG_LAG = 2.0

Sink = Callable[[str], Awaitable[None]]

_STYLES = {Status.SUCCEEDED: "green", Status.CANCELLED: "yellow"}


@asynccontextmanager
async def owned(pad: Launcher, job: Job, run_id: str | None, screen: Screen) -> AsyncIterator[Run]:
    """A run that ends with us: when the task is cancelled, it is cancelled too, even in the midst of its start."""
    started = asyncio.create_task(pad.submit(job, run_id=run_id), name="submit")
    try:
        yield await asyncio.shield(started)
    except asyncio.CancelledError:
        await _cancel(started, pad, screen)
        raise


async def _cancel(started: asyncio.Task[Run], pad: Launcher, screen: Screen) -> None:
    grace = LOCAL_GRACE if pad.cluster.local else CANCEL_GRACE
    screen.say(f"cancelling: the job has up to {grace} s to end; Ctrl-C again leaves at once", "yellow")
    run: Run | None = None
    try:
        async with asyncio.timeout(grace + CANCEL_LAG):
            run = await started
            result = await run.cancel(grace)
    except TimeoutError:
        screen.warn(f"it isn't gone yet; see `launcher ps`, or `launcher cancel {run.id if run else 'RUN'}`")
    except LauncherError as exc:
        # A run that couldn't be started leaves nothing; one that was is still there.
        screen.say(f"{'the run could not be cancelled: ' if run else ''}{exc}", "red")
    else:
        gone = result.status is Status.CANCELLED
        screen.say(f"run {run.id} is cancelled, and its pod is gone" if gone else f"run {run.id} had {result.status}")


async def shown(run: Run, screen: Screen, sink: Sink) -> Result:
    """Follow a run to its end: phases on stderr, the lines of its log to ``sink``. Returns its result."""
    log = asyncio.create_task(copy_log(run.logs(), screen, sink), name=f"show the log of {run.id}")
    news = asyncio.create_task(_tell(run.events(), screen, log), name=f"show the phases of {run.id}")
    try:
        async with screen.live():
            result = await run.wait()
            await asyncio.gather(log, news)
        await run.settled()
    finally:
        for task in (log, news):
            task.cancel()
        await asyncio.gather(log, news, return_exceptions=True)
    return result


async def copy_log(lines: AsyncIterator[Any], screen: Screen, sink: Sink) -> None:
    """Every line to ``sink``. A reader that leaves, or a log that may not be read, doesn't end the run."""
    try:
        async with aclosing(lines) as opened:  # type: ignore[type-var]
            async for line in opened:
                await sink(f"{line}\n")
    except BrokenPipeError:
        screen.say("nobody reads the log any more; the run goes on")
    except LauncherError as exc:
        screen.warn(f"the log can't be shown: {exc}")


async def _tell(events: AsyncIterator[RunEvent], screen: Screen, log: asyncio.Task[None]) -> None:
    async for event in events:
        if event.kind != "phase":
            screen.warn(event.text) if event.kind == "warning" else screen.say(event.text)
            continue
        if event.previous is Phase.RUNNING:
            await asyncio.wait({log}, timeout=LOG_LAG)
        if event.previous is not None:
            took = "" if event.seconds is None else duration(event.seconds)
            screen.say(f"  {event.previous:<11} {took}".rstrip(), "dim")
        screen.status("" if event.phase is Phase.ENDED else f"  {event.phase:<11}")


def summary(result: Result, screen: Screen, said: tuple[str, ...] = ()) -> None:
    """How it ended, and where what it left is. Warnings in ``said`` were told before."""
    for warning in result.warnings:
        if warning not in said:
            screen.warn(warning)
    style = _STYLES.get(result.status, "red")
    code = "" if result.ok or result.exit_code is None else f", exit code {result.exit_code}"
    screen.say(f"run {result.run_id} {_WORDS.get(result.status, result.status)}{code}", f"bold {style}")
    if result.diagnosis is not None and result.diagnosis.code != "cancelled":
        screen.say(f"  why         {result.diagnosis.summary}")
        if result.diagnosis.remedy:
            screen.say(f"  remedy      {result.diagnosis.remedy}")
    if result.outputs:
        total = size(sum(file.bytes for file in result.outputs))
        screen.say(f"  outputs     {counted(len(result.outputs), 'file')}, {total}: {result.outputs.url}")
    if result.log_url:
        screen.say(f"  log         {result.log_url}")


_WORDS = {
    Status.UNSAVED: "succeeded, but not all that it left is saved",
    Status.LOST: "was lost",
    Status.CANCELLED: "was cancelled",
}


def as_data(result: Result) -> dict[str, Any]:
    """A result for scripts: plain values, every key always there."""
    return {
        "run_id": result.run_id,
        "status": result.status.value,
        "exit_code": result.exit_code,
        "diagnosis": attrs.asdict(result.diagnosis) if result.diagnosis else None,
        "durations": {phase.value: seconds for phase, seconds in result.durations.items()},
        "outputs": {"url": result.outputs.url, "files": [attrs.asdict(file) for file in result.outputs]},
        "log_url": result.log_url,
        "connections": [attrs.asdict(use) for use in result.connections],
        "warnings": list(result.warnings),
        "node": result.node,
    }
