"""A pod is followed to its true end: by our own clock, with patience, and never for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from launcher import RunEvent, follow
from launcher.follow import Follower, Outcome, Why
from launcher.kube.podstate import PodRef, PodState
from launcher.kube.session import Session
from tests.kube.misbehaving import Server, answer, pod

REF = PodRef("jobs", "a", "uid-a")


class Watched:
    """A follower of one pod, fed by a test."""

    def __init__(self, session: Session, timeout: float | None = None, **fields: Any) -> None:
        self.events: list[RunEvent] = []
        self._states: asyncio.Queue[PodState] = asyncio.Queue()
        self.follower = Follower(session, REF, timeout, 0, self.events.append, **fields)

    def show(self, *, gone: bool = False, **status: Any) -> None:
        """The pod shows this status."""
        self._states.put_nowait(PodState.of(pod("a", 1, **status), gone=gone))

    def running(self, since: timedelta) -> None:
        """The job's container runs, since then by the server's clock."""
        started = (datetime.now(UTC) - since).isoformat()
        self.show(phase="Running", containerStatuses=[{"name": "main", "state": {"running": {"startedAt": started}}}])

    async def outcome(self) -> Outcome:
        """What the follower makes of it all."""
        async with asyncio.timeout(8):
            return await self.follower.follow(self._shown())

    async def _shown(self) -> AsyncIterator[PodState]:
        while True:
            yield await self._states.get()


def ended(code: int = 0) -> dict[str, Any]:
    """The status of a pod that has ended."""
    state = {"terminated": {"exitCode": code}}
    phase = "Failed" if code else "Succeeded"
    return {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]}


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
async def test_servers_clock_is_not_ours(server: Server, session: Session, ahead: timedelta) -> None:
    """A server whose clock is an hour off doesn't end a job that has just begun."""
    server.writes = [answer({})]
    watched = Watched(session, timeout=30)
    watched.running(ahead)
    asyncio.get_running_loop().call_later(0.1, lambda: watched.show(**ended()))
    assert (await watched.outcome()).why is Why.NOTHING
    assert server.of("writes") == []


async def test_time_of_a_run_that_is_taken_up(server: Server, session: Session) -> None:
    """A run that is taken up has used a part of its time, and is ended when that is over."""
    server.writes = [answer({})]
    watched = Watched(session, timeout=30, resumed=True)
    watched.running(timedelta(minutes=1))
    following = asyncio.create_task(watched.outcome(), name="follows")
    async with asyncio.timeout(5):
        while not server.of("writes"):
            await asyncio.sleep(0.01)
    watched.show(gone=True, **ended(137))
    outcome = await following
    assert outcome.why is Why.TIMEOUT
    assert json.loads(await server.requests[0].text())["preconditions"] == {"uid": "uid-a"}


async def test_pod_that_can_never_start(server: Server, session: Session) -> None:
    """A pod whose image's name is none is given up at its first look, with the reason."""
    server.gets, server.writes = [answer({"items": []})], [answer({})]
    watched = Watched(session)
    waiting = {"waiting": {"reason": "InvalidImageName", "message": "couldn't parse"}}
    watched.show(phase="Pending", containerStatuses=[{"name": "main", "state": waiting}])
    following = asyncio.create_task(watched.outcome(), name="follows")
    async with asyncio.timeout(5):
        while not server.of("writes"):
            await asyncio.sleep(0.01)
    watched.show(phase="Pending", gone=True)
    outcome = await following
    assert outcome.why is Why.HOPELESS
    assert outcome.diagnosis is not None and outcome.diagnosis.code == "image_name"
    assert [event.kind for event in watched.events if event.kind == "warning"] == ["warning"]


async def test_node_that_is_silent(server: Server, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that was told to end and doesn't is given up for lost, and only once its time is over."""
    monkeypatch.setattr(follow, "LOST_AFTER", 0.5)
    server.writes = [answer({})]
    watched = Watched(session)
    watched.running(timedelta())
    following = asyncio.create_task(watched.outcome(), name="follows")
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await watched.follower.cancel(0)
    # The API server tells that the pod is being deleted, and its node says nothing.
    watched.running(timedelta())
    outcome = await following
    assert asyncio.get_running_loop().time() - began >= 0.5
    assert outcome.why is Why.CANCELLED
    assert outcome.vanished and outcome.diagnosis is not None and outcome.diagnosis.code == "node_lost"


async def test_end_of_a_pod_that_we_delete(server: Server, session: Session) -> None:
    """A pod that we delete is followed until it is gone, since its containers may still be saving."""
    server.writes = [answer({})]
    watched = Watched(session)
    watched.running(timedelta())
    following = asyncio.create_task(watched.outcome(), name="follows")
    await watched.follower.cancel(5)
    going = pod("a", 2, **ended(143))
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    watched._states.put_nowait(PodState.of(going))
    await asyncio.sleep(0.05)
    assert not following.done()
    watched._states.put_nowait(PodState.of(going, gone=True))
    outcome = await following
    assert outcome.diagnosis is not None and outcome.diagnosis.code == "cancelled"
    assert not outcome.vanished


async def test_cancel_while_nothing_is_heard(server: Server, session: Session) -> None:
    """A pod that was cancelled before it started has the time that it was given, though nothing is heard of it."""
    server.gets, server.writes = [answer({"items": []})], [answer({})]
    watched = Watched(session)
    watched.show(phase="Pending")
    following = asyncio.create_task(watched.outcome(), name="follows")
    await asyncio.sleep(0)
    await watched.follower.cancel(20)
    # Longer than the pause after which a pod that hasn't started is looked at.
    await asyncio.sleep(follow.FIRST_LOOK + 0.3)
    assert not following.done()
    watched.show(phase="Pending", gone=True)
    outcome = await following
    assert outcome.diagnosis is not None and outcome.diagnosis.code == "cancelled"
