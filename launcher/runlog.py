"""The log of a run, kept while it runs: its end in memory, all of it in the store where the client saves it."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO

import attrs

from launcher.kube.logs import LogLine

# Characters of a log that a result holds: what somebody reads of a failure, and small beside 50 in flight.
TAIL = 256 * 1024


@attrs.define
class RunLog:
    """Takes in every line of the user's container; ``file`` is where the client saves them, None for nowhere."""

    file: Path | None = None
    bytes: int = 0
    failure: str = ""
    """Why the log isn't whole, if it isn't."""
    _lines: deque[str] = attrs.field(factory=deque)
    _size: int = 0
    _cut: bool = False

    async def keep(self, lines: AsyncIterator[LogLine]) -> None:
        """Read to the end of the log, writing as it comes."""
        stream = self._open()
        whole = False
        try:
            async for line in lines:
                self._remember(line.text)
                if stream is not None:
                    stream = self._write(stream, line.text)
            whole = True
        finally:
            if stream is not None:
                self._close(stream, whole=whole)

    def text(self) -> str:
        """The end of the log, up to ``TAIL`` characters; a first line says when it isn't the whole."""
        head = ["[the beginning is left out]"] if self._cut else []
        return "\n".join([*head, *self._lines, ""]) if self._lines else ""

    def _remember(self, text: str) -> None:
        self.bytes += len(text.encode("utf-8", "replace")) + 1
        self._lines.append(text[-TAIL:])
        self._cut = self._cut or len(text) > TAIL
        self._size += len(self._lines[-1]) + 1
        while self._size > TAIL and len(self._lines) > 1:
            self._size -= len(self._lines.popleft()) + 1
            self._cut = True

    def _open(self) -> IO[str] | None:
        if self.file is None:
            return None
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            return self._part.open("w", buffering=1, encoding="utf-8", errors="replace", newline="\n")
        except OSError as exc:
            self.failure = f"the log can't be saved to {self.file}: {exc.strerror}"
            return None

    def _write(self, stream: IO[str], text: str) -> IO[str] | None:
        try:
            stream.write(text + "\n")
        except OSError as exc:
            self.failure = f"the log in {self.file} isn't whole: {exc.strerror}"
            self._close(stream, whole=True)
            return None
        return stream

    def _close(self, stream: IO[str], *, whole: bool) -> None:
        """A log that was read to its end takes its place; another leaves what may be there already."""
        assert self.file is not None  # there is a stream because there is a file  # noqa: S101
        try:
            stream.close()
            if whole and (self.bytes or not self.file.exists()):
                self._part.replace(self.file)
            else:
                self._part.unlink()
        except OSError as exc:
            self.failure = self.failure or f"the log in {self.file} isn't whole: {exc.strerror}"

    @property
    def _part(self) -> Path:
        # One for each reader: two launchers may follow one run.
        assert self.file is not None  # noqa: S101 - asked by the callers
        return self.file.with_name(f"{self.file.name}.{os.getpid():x}-{id(self):x}.part")
