"""What ``fetch`` leaves for ``save`` in the folder that they share: what was copied, and as it was then."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import attrs

from launcher import names
from launcher.errors import InvalidSpec
from launcher.record import FetchReport, dumps, loads
from launcher.transfer.listing import RemoteFile

_FETCHED = "fetched.json"
_READY = "save-is-ready"

# Seconds that `save` may take to start: it runs already when `fetch` does, and Python needs half a second.
READY_WITHIN = 120.0
READY_LOOK = 0.02


@attrs.frozen
class Known:
    """A file of a writable copy when both sides were last the same: as the bucket had it, and the copy's time."""

    remote: RemoteFile
    mtime_ns: int


@attrs.define
class Seen:
    """The files of one writable copy that are known, by key; kept in ``file``."""

    file: Path
    known: dict[str, Known] = attrs.field(factory=dict)

    @classmethod
    def of(cls, state: str, connection: str) -> Seen:
        """For a connection, empty; ``load`` reads what there is."""
        return cls(Path(state) / f"{names.dns_label(f'seen-{connection}')}.jsonl")

    def load(self) -> bool:
        """Reads the file. False when there is none: then nothing was copied."""
        try:
            with self.file.open(encoding="utf-8") as lines:
                for line in lines:
                    key, size, version, mtime_ns = json.loads(line)
                    self.known[key] = Known(RemoteFile(key, size, version), mtime_ns)
        except FileNotFoundError:
            return False
        return True

    def store(self) -> None:
        """Writes the file anew; a reader sees the old or the new one."""
        part = self.file.with_suffix(".part")
        with part.open("w", encoding="utf-8") as lines:
            for key, known in self.known.items():
                lines.write(json.dumps([key, known.remote.size, known.remote.version, known.mtime_ns]) + "\n")
        part.replace(self.file)


def mark_ready(state: str) -> None:
    """``save`` says that it listens: from here on a SIGTERM finds it."""
    if state:
        (Path(state) / _READY).touch()


async def save_is_ready(state: str) -> bool:
    """Wait until ``save`` has said so.

    Without this a short job's end is a SIGTERM to a process that doesn't listen yet. The kernel drops it for the
    first process of a container, and the pod waits out its whole grace period.
    """
    deadline = asyncio.get_running_loop().time() + READY_WITHIN
    while not (Path(state) / _READY).exists():
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(READY_LOOK)
    return True


def leave_report(state: str, report: FetchReport) -> None:
    """Tells ``save`` how much was copied."""
    if state:
        (Path(state) / _FETCHED).write_text(dumps(report), encoding="utf-8")


def left_report(state: str) -> FetchReport:
    """What ``fetch`` told; nothing when it didn't end well, or wasn't there."""
    if not state:
        return FetchReport()
    try:
        return loads((Path(state) / _FETCHED).read_text(encoding="utf-8"), FetchReport)
    except (OSError, InvalidSpec):
        return FetchReport()
