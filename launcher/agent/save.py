"""``save``: beside the job and a little longer, it keeps the log, the outputs and what writable copies changed.

It works while the job runs, because a pod that is evicted or out of time leaves it seconds. At the end the history
is written, and the manifest last of all: where it is, everything it names is there.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs

from launcher.agent.log import SAVED, Log
from launcher.agent.outputs import Outputs
from launcher.agent.parts import opened_place
from launcher.agent.plan import AgentPlan, Part
from launcher.agent.report import say
from launcher.agent.state import Seen, left_report
from launcher.agent.writeback import WriteBack
from launcher.errors import AccessError
from launcher.kube.podstate import PodRef
from launcher.kube.target import Target
from launcher.record import HISTORY, LOG, MANIFEST, OUTPUTS, History, SavedManifest, SaveReport, digest, dumps
from launcher.registry import Registry

# Seconds between two looks at what the job wrote.
EVERY = 30.0

# Seconds that the log may take to its end once the job has ended: 14 were measured for 173 MB.
LOG_END = 60.0

# Files that the report names; the manifest has all of them.
NAMED = 10


async def save(
    plan: AgentPlan, registry: Registry, target: Target, ended: asyncio.Event, *, every: float = EVERY
) -> SaveReport:
    """Saves until ``ended`` says that the job has, then all that is left. ``target`` is the API server.

    ``every`` is in seconds, between two looks. A report that isn't ``complete`` is a failure. Cancelled, it leaves
    no manifest.
    """
    with tempfile.TemporaryDirectory(prefix="launcher-save-") as scratch:
        work = _Save.of(plan, registry, Path(scratch))
        say(f"saving {plan.record.run}")
        async with work.following(target, ended) as log:
            while not await _has_ended(ended, every):
                await work.look(final=False)
            await work.look(final=True)
            if log is not None:
                await asyncio.wait([log], timeout=LOG_END)
        return await work.finish()


@attrs.define
class _Save:
    plan: AgentPlan
    registry: Registry
    log: Log
    outputs: Outputs | None
    copies: list[WriteBack]

    @classmethod
    def of(cls, plan: AgentPlan, registry: Registry, scratch: Path) -> _Save:
        store, run = plan.store, plan.record.run
        mounted = Path(store.folder) / run if store and store.folder else None
        # In a mounted store the log grows where it stays; for a bucket it is gathered first.
        log = Log((mounted or scratch) / LOG)
        copies = [WriteBack(part, registry, Seen.of(plan.state, part.name)) for part in plan.parts if part.writable]
        outputs = _outputs(plan, registry, store, mounted) if store and plan.outputs else None
        return cls(plan, registry, log, outputs, copies)

    @asynccontextmanager
    async def following(self, target: Target, ended: asyncio.Event) -> AsyncGenerator[asyncio.Task[None] | None]:
        """The log is followed meanwhile, by the task that is given; None where there is none to follow."""
        if not self.plan.log or self.plan.store is None:
            self.log.outcome = ""
            yield None
            return
        pod = PodRef(self.plan.namespace, self.plan.pod, "")
        task = asyncio.create_task(self.log.follow(target, pod, self.plan.log, ended), name="log")
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (bug := task.exception()) is not None:
                # The outputs matter more than the log: they are saved all the same.
                self.log.outcome = f"it can't be followed ({type(bug).__name__})"

    async def look(self, *, final: bool) -> None:
        """One look at everything. What can't be saved now is tried again at the next; the last one counts."""
        if self.outputs is not None:
            await self.outputs.look(final=final)
        for copy in self.copies:
            await copy.look(final=final)
        if not final and self._sends_log() and self.log.has_grown():
            await self._send_log()

    def _sends_log(self) -> bool:
        return bool(self.plan.log and self.plan.store and not self.plan.store.folder)

    async def _send_log(self) -> None:
        assert self.plan.store is not None  # noqa: S101 - asked by the callers
        try:
            async with opened_place(self.plan.store, self.registry) as place:
                await self.log.send(place, self.plan.record.run)
        except AccessError as exc:
            say(f"the log isn't in the store: {exc}")
            if self.log.outcome == SAVED:
                self.log.outcome = str(exc)

    async def finish(self) -> SaveReport:
        """The log, then the history, then the manifest, which says that all is there."""
        if self._sends_log():
            await self._send_log()
        unsaved = [f"{copy.part.name}/{path}: {why}" for copy in self.copies for path, why in copy.unsaved.items()]
        if self.plan.store is None:
            return SaveReport(complete=not unsaved, unsaved=unsaved[:NAMED])
        files = self.outputs.files() if self.outputs else ()
        unsaved += [f"{file.path}: {file.state}" for file in files if file.state != SAVED]
        manifest = SavedManifest(run=self.plan.record.run, complete=not unsaved, files=files, log_bytes=self.log.bytes)
        report = SaveReport(
            complete=not unsaved,
            files=sum(file.state == SAVED for file in files),
            bytes=sum(file.bytes for file in files if file.state == SAVED),
            manifest=digest(dumps(manifest)),
            log=self.log.outcome,
            unsaved=unsaved[:NAMED],
        )
        try:
            await self._write_last(self.plan.store, manifest)
        except AccessError as exc:
            return attrs.evolve(report, complete=False, manifest="", error=str(exc))
        return report

    async def _write_last(self, store: Part, manifest: SavedManifest) -> None:
        fetched = await asyncio.to_thread(left_report, self.plan.state)
        history = History(
            record=self.plan.record,
            namespace=self.plan.namespace,
            ended=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            files_in=fetched.files,
            bytes_in=fetched.bytes,
            files_out=len(manifest.files) + sum(copy.files for copy in self.copies),
            bytes_out=manifest.bytes + sum(copy.bytes for copy in self.copies),
        )
        async with opened_place(store, self.registry) as place:
            await place.put_bytes(dumps(history).encode(), f"{manifest.run}/{HISTORY}")
            await place.put_bytes(dumps(manifest).encode(), f"{manifest.run}/{MANIFEST}")


def _outputs(plan: AgentPlan, registry: Registry, store: Part, mounted: Path | None) -> Outputs:
    folder = Path(plan.outputs)
    if mounted is not None and (not folder.is_dir() or folder.resolve().is_relative_to(mounted.resolve())):
        # The job wrote into the store itself, through a mount of its own.
        return Outputs(mounted / OUTPUTS, None, plan.record.run)
    return Outputs(folder, lambda: opened_place(store, registry), plan.record.run)


async def _has_ended(ended: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return False
    return True
