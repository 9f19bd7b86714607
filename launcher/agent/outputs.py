"""The files that a job leaves, saved while it runs and at its end; each look takes what changed since the last."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

import attrs

from launcher.agent.report import say
from launcher.errors import AccessError, TimedOut, Unauthenticated, Unreachable
from launcher.record import OUTPUTS, SavedFile
from launcher.transfer.folder import Place
from launcher.transfer.local import GOOD, LocalFile, Stamp, Unreadable, scan
from launcher.transfer.pool import each
from launcher.transfer.up import AT_ONCE, copy_up

# Errors after which no other file has a chance: nobody would be asked again and again.
HOPELESS = (Unreachable, TimedOut, Unauthenticated)

SAVED = "saved"


@attrs.define
class Outputs:
    """The outputs of one run, in ``folder``. ``place`` opens the store; None when they are in it already.

    ``prefix`` is the run's own folder in the store.
    """

    folder: Path
    place: Callable[[], AbstractAsyncContextManager[Place]] | None
    prefix: str
    _kept: dict[str, tuple[Stamp, SavedFile]] = attrs.field(factory=dict)
    _last: dict[str, Stamp] = attrs.field(factory=dict)
    _found: list[LocalFile] = attrs.field(factory=list)
    _failed: dict[str, str] = attrs.field(factory=dict)
    _hopeless: str = ""

    async def look(self, *, final: bool) -> None:
        """Saves what is new or changed; before the end, only files that nobody wrote to since the last look."""
        self._found = await asyncio.to_thread(scan, self.folder)
        self._failed, self._hopeless = {}, ""
        todo = [file for file in self._found if file.state == GOOD and self._is_due(file, final)]
        self._last = {file.path: file.stamp for file in self._found}
        if not todo:
            return
        try:
            async with self.place() if self.place else nullcontext() as place:
                await each(todo, AT_ONCE, lambda file: self._save(file, place), "output")
        except AccessError as exc:
            self._failed.update((file.path, str(exc)) for file in todo if not self._is_kept(file))
        if self._failed and not final:
            first, reason = next(iter(self._failed.items()))
            say(f"outputs: {len(self._failed)} files aren't saved yet, {first!r} first: {reason}")

    def _is_due(self, file: LocalFile, final: bool) -> bool:
        return not self._is_kept(file) and (final or self._last.get(file.path) == file.stamp)

    def _is_kept(self, file: LocalFile) -> bool:
        return file.path in self._kept and self._kept[file.path][0] == file.stamp

    async def _save(self, file: LocalFile, place: Place | None) -> None:
        if self._hopeless:
            self._failed[file.path] = self._hopeless
            return
        try:
            stamp, digest = await copy_up(self.folder, file.path, place, f"{self.prefix}/{OUTPUTS}/{file.path}")
        except Unreadable as exc:
            self._failed[file.path] = str(exc)
        except AccessError as exc:
            self._failed[file.path] = str(exc)
            if isinstance(exc, HOPELESS):
                self._hopeless = str(exc)
        else:
            self._kept[file.path] = (stamp, SavedFile(path=file.path, bytes=stamp.size, sha256=digest))

    def files(self) -> tuple[SavedFile, ...]:
        """Every file of the last look: saved, or with a state that says why not."""
        return tuple(self._as_saved(file) for file in self._found)

    def _as_saved(self, file: LocalFile) -> SavedFile:
        if file.state == GOOD and file.path in self._kept and file.path not in self._failed:
            return self._kept[file.path][1]
        reason = file.state or self._failed.get(file.path, "it changed after it was saved")
        return SavedFile(path=file.path, bytes=file.stamp.size, state=reason)
