"""The log of one container, followed to its end without a lost or a doubled line.

A stream that breaks is taken up again at the second of the last line (the API knows no finer start), and what was
seen of that second is passed over. A last line without its end counts only when the container has ended too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime

import attrs

from launcher.errors import ClusterError, ClusterUnreachable, NotFound
from launcher.kube.podstate import PodRef
from launcher.kube.session import FIRST_PAUSE, Session, Unfinished

# Seconds without a byte after which a stream is opened anew: load balancers cut silent ones without a word.
SILENCE = 600.0

# Seconds between two tries to open a log that isn't there yet.
PAUSE = 0.2

# 2026-11-24T05:21:44.123456789Z, or with the node's own offset; trailing zeros of the fraction may be missing.
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


@attrs.frozen
class LogLine:
    """One line of a container's log. ``str()`` is its text; ``time`` is when the node read it."""

    text: str
    container: str
    attempt: int
    time: datetime | None

    def __str__(self) -> str:
        return self.text


@attrs.frozen(order=True)
class _Stamp:
    """A moment to the nanosecond, which Python's own times don't hold."""

    second: datetime
    nanoseconds: int = 0

    @property
    def time(self) -> datetime:
        return self.second.replace(microsecond=self.nanoseconds // 1000)


@attrs.define
class _Position:
    """How far a log was read: the stamp of the last line, and how many lines bore it."""

    stamp: _Stamp | None = None
    count: int = 0
    partial: LogLine | None = None
    """A last line whose end hasn't come."""
    _skip_to: _Stamp | None = None
    _skip: int = 0

    def resume(self) -> None:
        """From here on, what was seen comes once more."""
        self._skip_to, self._skip, self.partial = self.stamp, self.count, None

    def is_new(self, stamp: _Stamp | None) -> bool:
        """Whether the next line wasn't seen before; it counts as seen from now on."""
        if stamp is None:
            return self._skip_to is None
        if self._skip_to is not None:
            if stamp < self._skip_to:
                return False
            if stamp == self._skip_to and self._skip > 0:
                self._skip -= 1
                return False
            self._skip_to = None  # from the first new line on all are new, whatever the node's clock does
        self.count = self.count + 1 if stamp == self.stamp else 1
        self.stamp = stamp
        return True


async def follow(
    session: Session,
    ref: PodRef,
    container: str,
    still_running: Callable[[], Awaitable[bool]],
    *,
    attempt: int = 1,
) -> AsyncGenerator[LogLine]:
    """Every line from the first, until the container has ended.

    ``still_running`` is asked when a stream ends: whether that was a cut and not the end. A pod that is gone ends
    the log. Raises ``Forbidden`` and what else a later try wouldn't change.
    """
    position = _Position()
    while True:
        try:
            async with aclosing(_stream(session, ref, container, position, attempt)) as lines:
                async for line in lines:
                    yield line
            if not await still_running():
                if position.partial is not None:
                    yield position.partial
                return
        except NotFound:
            return
        except ClusterError as exc:
            if not _passing(exc) or not await still_running():
                raise
            await asyncio.sleep(FIRST_PAUSE)
        position.resume()
        await asyncio.sleep(PAUSE)


def _passing(exc: ClusterError) -> bool:
    # 400 is "waiting to start" in the moment between two states of the container.
    return isinstance(exc, ClusterUnreachable) or exc.status in (400, 401, 429) or exc.status >= 500


async def _stream(
    session: Session, ref: PodRef, container: str, position: _Position, attempt: int
) -> AsyncGenerator[LogLine]:
    query = {"container": container, "follow": "true", "timestamps": "true"}
    if position.stamp is not None:
        query["sinceTime"] = position.stamp.second.strftime("%Y-%m-%dT%H:%M:%SZ")
    async with session.lines(f"{ref.path}/log", query, idle=SILENCE) as lines:
        async for raw in lines:
            head, _, text = raw.decode("utf-8", "replace").partition(" ")
            stamp = _parsed(head)
            line = LogLine(text, container, attempt, stamp.time if stamp else None)
            if isinstance(raw, Unfinished):
                position.partial = line if stamp is not None else None
            elif position.is_new(stamp):
                yield line


def _parsed(text: str) -> _Stamp | None:
    match = _STAMP.fullmatch(text)
    if match is None:
        return None
    second, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(second + ("+00:00" if zone == "Z" else zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return _Stamp(moment, int((fraction or "").ljust(9, "0")))
