"""Whole runs on the local cluster: one `true` against a bare subprocess, and many with 50 in flight."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from benchmarks.rows import row
from launcher import Job, Launcher, Settings

JOB = Job(name="true", image="busybox", command=["true"], outputs=None)
IN_FLIGHT = 50
RUNS = 300


async def median(work: Callable[[], Awaitable[object]], times: int) -> float:
    """The median time of one call, in seconds."""
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[times // 2]


async def bare() -> None:
    """The same command without anything around it."""
    process = await asyncio.create_subprocess_exec("true")
    await process.wait()


async def many(work: Callable[[], Awaitable[object]]) -> float:
    """Runs a second with 50 in flight."""
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        async with room:
            await work()

    start = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(RUNS)))
    return RUNS / (time.perf_counter() - start)


async def measured() -> None:
    """Print both rows."""
    async with Launcher(Settings(cluster="local")) as pad:
        await pad.run(JOB)
        alone, process = await median(lambda: pad.run(JOB), 21), await median(bare, 21)
        row("one `true` run", alone * 1e3, "ms", "bare subprocess", process * 1e3, "150 ms more")
        together, processes = await many(lambda: pad.run(JOB)), await many(bare)
        row("runs a second, 50 in flight", together, "/s", "bare subprocesses", processes, "-")


def main() -> None:
    """Run on an event loop of its own."""
    asyncio.run(measured())


if __name__ == "__main__":
    main()
