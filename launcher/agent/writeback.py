"""What a job changed in a writable copy, sent back to its bucket while the job runs and at its end.

Deletions are never sent. A file that changed in the bucket since it was copied is reported, never overwritten.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from launcher.agent.parts import opened_bucket
from launcher.agent.plan import Part
from launcher.agent.report import say
from launcher.agent.state import Known, Seen
from launcher.errors import AccessError
from launcher.registry import Registry
from launcher.transfer.local import GOOD, LocalFile, Stamp, Unreadable, scan
from launcher.transfer.pool import each
from launcher.transfer.up import AT_ONCE, copy_up

if TYPE_CHECKING:
    from launcher.transfer.bucket import Bucket

CHANGED_MEANWHILE = "it changed in the bucket since the job began, and isn't overwritten"


@attrs.define
class WriteBack:
    """One writable copy. ``files`` and ``bytes`` count what was sent, ``unsaved`` tells what wasn't, by path."""

    part: Part
    registry: Registry
    seen: Seen
    files: int = 0
    bytes: int = 0
    unsaved: dict[str, str] = attrs.field(factory=dict)
    _last: dict[str, Stamp] = attrs.field(factory=dict)

    async def look(self, *, final: bool) -> None:
        """Sends what is new or changed; before the end, only files that nobody wrote to since the last look."""
        if not self.seen.known and not await asyncio.to_thread(self.seen.load):
            # Without fetch's list nothing tells the job's files from the bucket's: fetch failed, and no job ran.
            return
        found = await asyncio.to_thread(scan, Path(self.part.folder))
        self.unsaved = {file.path: file.state for file in found if file.state != GOOD}
        todo = [file for file in found if file.state == GOOD and self._is_due(file, final)]
        self._last = {file.path: file.stamp for file in found}
        if not todo:
            return
        try:
            async with opened_bucket(self.part, self.registry) as bucket:
                await each(todo, AT_ONCE, lambda file: self._send(file, bucket), f"return to {self.part.name}")
        except AccessError as exc:
            self.unsaved.update((file.path, str(exc)) for file in todo if self._is_changed(file))
        await asyncio.to_thread(self.seen.store)
        if self.unsaved and not final:
            path, reason = next(iter(self.unsaved.items()))
            say(f"{self.part.name}: {len(self.unsaved)} files aren't sent back, {path!r} first: {reason}")

    def _is_due(self, file: LocalFile, final: bool) -> bool:
        return self._is_changed(file) and (final or self._last.get(file.path) == file.stamp)

    def _is_changed(self, file: LocalFile) -> bool:
        known = self.seen.known.get(file.path)
        return known is None or (known.remote.size, known.mtime_ns) != (file.stamp.size, file.stamp.mtime_ns)

    async def _send(self, file: LocalFile, bucket: Bucket) -> None:
        known = self.seen.known.get(file.path)
        if await bucket.look(file.path) != (known.remote if known else None):
            self.unsaved[file.path] = CHANGED_MEANWHILE
            return
        try:
            stamp, _ = await copy_up(Path(self.part.folder), file.path, bucket, file.path)
        except Unreadable as exc:
            self.unsaved[file.path] = str(exc)
            return
        now = await bucket.look(file.path)
        if now is not None:
            self.seen.known[file.path] = Known(now, stamp.mtime_ns)
        self.files += 1
        self.bytes += stamp.size
