"""``fetch``: before the job starts, each connection is checked as the pod sees it, then what is copied is copied.

Everything that is refused is told at once, and nothing is copied then.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from launcher.agent.mounts import check_mount
from launcher.agent.parts import opened_bucket, opened_place
from launcher.agent.plan import AgentPlan, Part
from launcher.agent.report import say
from launcher.agent.state import Known, Seen, leave_report, save_is_ready
from launcher.backend import Mode
from launcher.check import FIRST_ANSWER, access_of
from launcher.errors import AccessError, Missing
from launcher.record import HISTORY, FetchReport, History, dumps
from launcher.registry import Registry
from launcher.transfer.pool import each

if TYPE_CHECKING:
    from launcher.transfer.bucket import Bucket
    from launcher.transfer.listing import RemoteFile

# Connections that are checked at once, so that one that doesn't answer costs its time once.
AT_ONCE = 8


async def fetch(plan: AgentPlan, registry: Registry) -> FetchReport:
    """Checks, copies, and says how it went; a report with an ``error`` is a failure."""
    work = _Fetch(plan, registry)
    async with AsyncExitStack() as stack:
        checks: list[Part | None] = [*plan.parts, *([None] if plan.store else [])]
        await each(checks, AT_ONCE, lambda part: work.check(part, stack), "check")
        if work.refused:
            return work.refusal()
        try:
            for copy in work.copies:
                await work.copy(copy)
        except AccessError as exc:
            work.refused.append(exc)
            return work.refusal()
    if plan.state and not await save_is_ready(plan.state):
        return FetchReport(error="the container 'save' doesn't get ready, so nothing would be kept (see its log)")
    report = FetchReport(files=work.files, bytes=work.bytes)
    await asyncio.to_thread(leave_report, plan.state, report)
    return report


@attrs.frozen
class _Copy:
    part: Part
    bucket: Bucket
    files: list[RemoteFile]


@attrs.define
class _Fetch:
    plan: AgentPlan
    registry: Registry
    copies: list[_Copy] = attrs.field(factory=list)
    refused: list[AccessError] = attrs.field(factory=list)
    files: int = 0
    bytes: int = 0

    async def check(self, part: Part | None, stack: AsyncExitStack) -> None:
        """One connection, or with None the store. What refuses is remembered, so that all of it is told."""
        try:
            if part is None:
                await self._check_store()
            elif part.mode == Mode.COPY:
                self.copies.append(await self._check_bucket(part, stack))
            else:
                await asyncio.to_thread(check_mount, part)
                say(f"{part.name}: mounted")
        except AccessError as exc:
            self.refused.append(exc)

    async def _check_bucket(self, part: Part, stack: AsyncExitStack) -> _Copy:
        bucket = await stack.enter_async_context(opened_bucket(part, self.registry))
        await bucket.reach(FIRST_ANSWER)
        files = await bucket.files(part.include, part.exclude)
        if part.sub_path and not files:
            raise Missing(
                f"connection {part.name!r}: there is nothing in {bucket.url} that is wanted"
                " (is the subPath spelled right? Nobody makes it)",
                part.name,
            )
        if part.writable:
            await bucket.try_writing(FIRST_ANSWER)
        return _Copy(part, bucket, files)

    async def _check_store(self) -> None:
        """Leaves the run's record, which a later process goes on from; that proves that the store can be written."""
        assert self.plan.store is not None  # noqa: S101 - asked by the caller
        history = History(record=self.plan.record, namespace=self.plan.namespace)
        async with opened_place(self.plan.store, self.registry) as place:
            await place.put_bytes(dumps(history).encode(), f"{self.plan.record.run}/{HISTORY}")

    async def copy(self, copy: _Copy) -> None:
        """All files of one connection."""
        from launcher.transfer.down import Copied, copy_down

        seen = Seen.of(self.plan.state, copy.part.name)
        begun = time.monotonic()

        def done(copied: Copied) -> None:
            seen.known[copied.file.key] = Known(copied.file, copied.mtime_ns)

        await copy_down(copy.bucket, copy.files, Path(copy.part.folder), done)
        if copy.part.writable and self.plan.state:
            await asyncio.to_thread(seen.store)
        size = sum(known.remote.size for known in seen.known.values())
        self.files += len(seen.known)
        self.bytes += size
        say(f"{copy.part.name}: {len(seen.known)} files, {size} bytes, {time.monotonic() - begun:.1f} s")

    def refusal(self) -> FetchReport:
        """Everything that was refused, in the order of the plan; the first gives connection and access."""
        order = {part.name: index for index, part in enumerate(self.plan.parts)}
        errors = sorted(self.refused, key=lambda error: order.get(error.connection, len(order)))
        first = errors[0]
        text = "; ".join(str(error) for error in errors)
        for error in errors:
            say(str(error))
        return FetchReport(connection=first.connection, access=access_of(first), error=text)
