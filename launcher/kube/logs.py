"""The log of one container, followed to its end without a lost or a doubled line.

A stream that breaks is taken up again at the second of the last line (the API knows no finer start), and what was
seen of that second is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime

import attrs

from launcher.errors import ClusterError, ClusterUnreachable, NotFound
from launcher.kube.podstate import PodRef
from launcher.kube.session import FIRST_PAUSE, Session

# Seconds without a byte after which a stream is opened anew: load balancers cut silent ones without a word.
SILENCE = 600.0

# Seconds between two tries to open a log that isn't there yet.
PAUSE = 0.2


@attrs.frozen
class LogLine:
    """One line of a container's log. ``str()`` is its text; ``time`` is when the node read it."""

    text: str
    container: str
    attempt: int
    time: datetime | None

    def __str__(self) -> str:
        return self.text


@attrs.define
class _Position:
    """How far a log was read: the stamp of the last line, and how many lines bore it."""

    stamp: str = ""
    count: int = 0
    skip_stamp: str = ""
    skip: int = 0

    def resume(self) -> None:
        """From here on, what was seen comes once more."""
        self.skip_stamp, self.skip = self.stamp, self.count

    def is_new(self, stamp: str) -> bool:
        """Whether the next line, with this stamp, wasn't seen before; it counts as seen from now on."""
        if self.skip_stamp:
            if stamp < self.skip_stamp:
                return False
            if stamp == self.skip_stamp and self.skip > 0:
                self.skip -= 1
                return False
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
    if position.stamp:
        query["sinceTime"] = position.stamp[:19] + "Z"
    async with session.lines(f"{ref.path}/log", query, idle=SILENCE) as lines:
        async for raw in lines:
            stamp, _, text = raw.decode("utf-8", "replace").partition(" ")
            if position.is_new(stamp):
                yield LogLine(text, container, attempt, _time(stamp))


def _time(stamp: str) -> datetime | None:
    try:
        # Nine digits of a second; Python keeps six.
        return datetime.fromisoformat(stamp[:26].rstrip("Z")).replace(tzinfo=UTC)
    except ValueError:
        return None
