"""The node: a `true` pod from create to Succeeded, 200 at once, and the memory that a finished one keeps."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import time
from contextlib import aclosing
from pathlib import Path

from benchmarks.rows import row
from benchmarks.runs import bare, median
from launcher.kube.session import Session
from launcher.kube.watch import watch
from launcher.local.cluster import LocalCluster

PODS = "/api/v1/namespaces/default/pods"
AT_ONCE = 200
FINISHED = 2000
# Pods that are under way while memory is measured; a batch of them ends before the next begins.
BATCH = 100


class Watched:
    """The moments at which pods succeeded, told by one watch."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._ended: dict[str, asyncio.Future[float]] = {}

    async def run(self, synced: asyncio.Event) -> None:
        """Until cancelled."""
        async with aclosing(watch(self._session, PODS, whole=False)) as events:
            async for event in events:
                if event.type == "SYNCED":
                    synced.set()
                    continue
                ended = self._ended.get(event.object["metadata"]["name"])
                if ended is not None and not ended.done() and event.object["status"].get("phase") == "Succeeded":
                    ended.set_result(time.perf_counter())

    async def one(self, name: str) -> float:
        """Seconds from the create of one pod to its success."""
        self._ended[name] = asyncio.get_running_loop().create_future()
        container = {"name": "c", "image": "x", "command": ["true"]}
        spec = {"restartPolicy": "Never", "containers": [container]}
        begin = time.perf_counter()
        await self._session.create(PODS, {"metadata": {"name": name}, "spec": spec})
        ended = await self._ended[name]
        # What is measured below is the cluster's memory, not this.
        del self._ended[name]
        return ended - begin


def resident() -> int:
    """Bytes of this process that are in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def alone(watched: Watched) -> float:
    """The median of pods that have the machine for themselves; the first are warming up."""
    times = [await watched.one(f"alone-{number}") for number in range(25)]
    bare_process = await median(bare, 25)
    one = sorted(times[4:])[10]
    row("a `true` pod", one * 1e3, "ms", "bare subprocess", bare_process * 1e3, "< 60 ms")
    return one


async def together(watched: Watched, one: float) -> None:
    """More pods than the node takes at a time."""
    begin = time.perf_counter()
    times = await asyncio.gather(*(watched.one(f"together-{number}") for number in range(AT_ONCE)))
    total = time.perf_counter() - begin
    row(f"{AT_ONCE} pods at once, all", total, "s", "one after the other", one * AT_ONCE, "no slower")
    row(f"{AT_ONCE} pods at once, the slowest", max(times), "s", "the median", sorted(times)[AT_ONCE // 2], "-")


async def kept(watched: Watched, session: Session) -> None:
    """Everything in this process: the API's objects (the pod and its four events), the node's logs and both watches'
    versions.

    The first half of the pods fills the API's history, which is bounded; the second half is measured.
    """
    before = 0
    for batch in range(FINISHED // BATCH):
        if batch == FINISHED // BATCH // 2:
            before = resident()
        await asyncio.gather(*(watched.one(f"kept-{batch}-{number}") for number in range(BATCH)))
    each = (resident() - before) / (FINISHED / 2)
    size = len(json.dumps(await session.get(f"{PODS}/kept-0-0")))
    row("memory of a finished pod and its events", each / 1e3, "kB", "its JSON", size / 1e3, "< 10 kB")


async def measured() -> None:
    """Print all rows."""
    async with LocalCluster() as cluster, Session(cluster.address) as session:
        watched, synced = Watched(session), asyncio.Event()
        watching = asyncio.create_task(watched.run(synced), name="watch of all pods")
        try:
            await synced.wait()
            await together(watched, await alone(watched))
            await kept(watched, session)
        finally:
            watching.cancel()
            await asyncio.wait({watching})


def main() -> None:
    """Run on an event loop of its own."""
    asyncio.run(measured())


if __name__ == "__main__":
    main()
