"""One run: its phases, its log, its result. Made by a ``Launcher``, which also closes it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import attrs

from launcher.collect import Result, Status, collect
from launcher.errors import LauncherError, Missing, NotFound
from launcher.facts import Facts
from launcher.follow import Follower, RunEvent
from launcher.kube.feed import Feed
from launcher.kube.logs import LogLine, follow
from launcher.kube.podstate import PodRef
from launcher.kube.session import Session
from launcher.phases import Phase
from launcher.pod.manifest import PLAIN_GRACE, SAVING_GRACE
from launcher.record import LOG, RunRecord
from launcher.runlog import RunLog
from launcher.store import Store
from launcher.submit import remove_objects

# Seconds that a cancelled run's pod may take to end: a user waits for it.
CANCEL_GRACE = 20

# Seconds beyond the pod's end in which the rest of its log must have come.
LOG_END = 30.0

# Seconds to wait for the state that tells why a log stream ended: the two come by different ways.
STATE_LAG = 2.0


@attrs.frozen(kw_only=True)
class Surround:
    """What a run needs around it while it is followed."""

    session: Session
    feed: Feed
    facts: Facts
    store: Store | None
    cleanup: str
    warnings: tuple[str, ...] = ()


class Run:
    """A run that was submitted, or attached to.

    Example::

        run = await pad.submit(job)
        async for line in run.logs():
            print(line)
        result = await run.wait()
    """

    def __init__(self, ref: PodRef, record: RunRecord, around: Surround, *, resumed: bool = False) -> None:
        self.id = record.run
        self.record = record
        self.warnings = around.warnings
        self._ref = ref
        self._around = around
        self._events: list[RunEvent] = []
        self._news = asyncio.Event()
        self._closed = False
        self._readers = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._log = RunLog(file=_log_file(around.store, record))
        grace = SAVING_GRACE if record.saved_by == "save" else PLAIN_GRACE
        self._follower = Follower(around.session, ref, record.timeout, grace, self._tell, resumed)
        self._result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(), name=f"run {self.id}")

    @property
    def phase(self) -> Phase:
        """Where the run is: queued, scheduling, mounting, pulling, fetching, running, saving, ended."""
        return self._follower.phase

    async def events(self) -> AsyncGenerator[RunEvent]:
        """Everything that has happened, from the start, and what happens, until the run has ended."""
        seen = 0
        while True:
            while seen < len(self._events):
                yield self._events[seen]
                seen += 1
            if self._closed:
                return
            self._news.clear()
            await self._news.wait()

    async def logs(self) -> AsyncGenerator[LogLine]:
        """The lines of the job's container, from the first, as they come, until it has ended.

        Of a run whose pod is gone, what the store holds. Raises ``Forbidden`` without the right to read logs.
        """
        self._readers += 1
        self._idle.clear()
        try:
            seen = False
            async with aclosing(self._lines()) as lines:
                async for line in lines:
                    seen = True
                    yield line
            if not seen:
                async for line in self._saved_lines():
                    yield line
        finally:
            self._readers -= 1
            if self._readers == 0:
                self._idle.set()

    async def wait(self) -> Result:
        """The result, once the run has ended, well or not. Raises ``ClusterError`` when it is lost sight of."""
        return await asyncio.shield(self._result)

    async def cancel(self, grace: int = CANCEL_GRACE) -> Result:
        """End the run: its command gets SIGTERM and ``grace`` seconds. Returns its result."""
        if not self._result.done():
            await self._follower.cancel(grace)
        result = await self.wait()
        await self.settled()
        return result

    async def settled(self) -> None:
        """Wait until what the run doesn't need any more is removed from the cluster."""
        await asyncio.wait({self._task})

    async def close(self) -> None:
        """Stop following; the pod goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self._result.done():
            text = f"the launcher that followed run {self.id} was left; attach to the run with another"
            self._result.set_exception(LauncherError(text))
        self._result.exception()  # read, so that nobody is told it never was

    def _tell(self, event: RunEvent) -> None:
        self._events.append(event)
        self._news.set()

    async def _live(self) -> None:
        try:
            result, removable = await self._followed()
            self._result.set_result(result)
        except Exception as exc:
            # Also what nobody foresaw: whoever waits must not wait for ever.
            self._result.set_exception(exc)
            return
        finally:
            self._closed = True
            self._news.set()
        if self._should_remove(result, removable):
            await self._idle.wait()
            await self._remove()

    async def _followed(self) -> tuple[Result, bool]:
        around = self._around
        log = asyncio.create_task(self._keep_log(), name=f"log of {self.id}")
        try:
            async with aclosing(around.feed.states(self._ref)) as states:
                outcome = await self._follower.follow(states)
            await asyncio.wait({log}, timeout=LOG_END)
        finally:
            log.cancel()
            await asyncio.gather(log, return_exceptions=True)
        if log.cancelled():
            self._log.failure = self._log.failure or "the end of the log didn't come in time"
        collected = await collect(outcome, self.record, around.facts, around.store, self._log, around.warnings)
        return collected.result, collected.all_saved

    async def _keep_log(self) -> None:
        try:
            await self._log.keep(self._lines())
        except LauncherError as exc:
            self._log.failure = f"the log can't be read: {exc}"

    async def _lines(self) -> AsyncGenerator[LogLine]:
        await self._follower.started.wait()
        state = self._follower.state
        main = state.container("main") if state else None
        if main is None or not main.has_run:
            return
        attempt = self.record.attempt
        lines = follow(self._around.session, self._ref, "main", self._main_runs, attempt=attempt)
        async with aclosing(lines):
            async for line in lines:
                yield line

    async def _main_runs(self) -> bool:
        for _ in range(2):
            state = self._follower.state
            main = state.container("main") if state else None
            if main is None or main.state != "running" or self._closed:
                return False
            try:
                await asyncio.wait_for(self._follower.changed.wait(), STATE_LAG)
            except TimeoutError:
                return True
        return True

    async def _saved_lines(self) -> AsyncGenerator[LogLine]:
        store = self._around.store
        if store is not None and not store.out_of_reach and self.record.saved_by:
            async for line in stored_lines(store, self.id):
                yield line

    def _should_remove(self, result: Result, all_saved: bool) -> bool:
        if result.status is Status.CANCELLED:
            return True
        cleanup = self._around.cleanup
        return cleanup == "always" or (cleanup == "succeeded" and result.ok and all_saved)

    async def _remove(self) -> None:
        session = self._around.session
        try:
            await session.delete(self._ref.path, uid=self._ref.uid, grace=0)
        except NotFound:
            pass
        except LauncherError:
            return  # an ended pod does no harm; the cluster collects it one day
        if self.record.files:
            await remove_objects(session, self._ref.namespace, self.id)


class PastRun:
    """A run whose pod is gone: what the store tells of it, in the form of a ``Run``."""

    def __init__(self, result: Result, store: Store) -> None:
        self.id = result.run_id
        self.phase = Phase.ENDED
        self.warnings: tuple[str, ...] = ()
        self._result = result
        self._store = store

    async def events(self) -> AsyncGenerator[RunEvent]:
        """Nothing: what happened is in the result."""
        nothing: tuple[RunEvent, ...] = ()
        for event in nothing:
            yield event

    async def logs(self) -> AsyncGenerator[LogLine]:
        """The log as the store holds it."""
        async for line in stored_lines(self._store, self.id):
            yield line

    async def wait(self) -> Result:
        """The result, at once."""
        return self._result

    async def cancel(self, grace: int = CANCEL_GRACE) -> Result:
        """The result: there is nothing left to cancel."""
        return self._result


async def stored_lines(store: Store, run_id: str) -> AsyncGenerator[LogLine]:
    """The lines of a run's log in the store; none when it holds no log."""
    try:
        async with store.open() as files:
            data = await files.read(f"{run_id}/{LOG}")
    except Missing:
        return
    # Not splitlines(): a progress bar's \r, or U+2028, ends no line of a log.
    for text in data.decode("utf-8", "replace").removesuffix("\n").split("\n") if data else ():
        yield LogLine(text, "main", 1, None)


def _log_file(store: Store | None, record: RunRecord) -> Any:
    if store is None or store.root is None or record.saved_by != "client":
        return None
    return store.root / record.run / LOG
