"""One watch for many pods: each subscriber sees its own pod, from the first state to the last, or why not."""

from __future__ import annotations

import asyncio

import pytest

from launcher import ClusterError, Forbidden
from launcher.kube.feed import Feed
from launcher.kube.podstate import PodRef, PodState
from launcher.kube.session import Session
from tests.kube.misbehaving import PODS, Server, answer, event, first, gone, pod, pod_list, refusal, stream


def ref(name: str) -> PodRef:
    return PodRef("jobs", name, f"uid-{name}")


async def all_states(feed: Feed, name: str) -> list[PodState]:
    async with asyncio.timeout(5):
        return [state async for state in feed.states(ref(name))]


async def test_each_sees_its_own_pod(server: Server, session: Session) -> None:
    """Subscribers share one watch, and each gets the states of its own pod to its end."""
    more = asyncio.Event()
    server.gets = [pod_list(5, pod("a", 1, phase="Pending"))]
    changes = [pod("b", 6, phase="Pending"), pod("a", 7, phase="Running"), pod("b", 8, phase="Running")]
    lines = [event("MODIFIED", change) for change in changes]
    ends = [event("DELETED", pod(name, 9, phase="Succeeded")) for name in ("a", "b")]

    async def answers(request: object) -> object:
        await more.wait()
        return await stream(*lines, *ends, end="open")(request)  # type: ignore[arg-type]

    server.watches = [answers]  # type: ignore[list-item]
    async with Feed(session, "jobs", "x=y") as feed:
        subscribers = [asyncio.create_task(all_states(feed, name), name=name) for name in ("a", "b", "a")]
        await asyncio.sleep(0)
        more.set()
        first_a, only_b, second_a = await asyncio.gather(*subscribers)
    assert [state.phase for state in first_a] == ["Pending", "Running", "Succeeded"]
    assert first_a == second_a
    assert [state.phase for state in only_b] == ["Pending", "Running", "Succeeded"]
    assert [state.gone for state in first_a] == [False, False, True]
    assert len(server.of("watches")) == 1


async def test_late_subscriber_begins_with_the_latest(server: Server, session: Session) -> None:
    """Who comes late sees the latest state first."""
    server.gets = [pod_list(5, pod("a", 1, phase="Pending"))]
    server.watches = [stream(event("MODIFIED", pod("a", 6, phase="Running")), end="open")]
    async with Feed(session, "jobs", "x=y") as feed:
        early = feed.states(ref("a"))
        await first(early, 2)
        late = feed.states(ref("a"))
        (state,) = await first(late, 1)
        assert state.phase == "Running"
        await early.aclose()
        await late.aclose()


async def test_pod_that_came_and_went(server: Server, session: Session) -> None:
    """Who asks for a pod that came and went before is told that it is gone, and doesn't wait for ever."""
    lines = [event("ADDED", pod("a", 6, phase="Running")), event("DELETED", pod("a", 7, phase="Running"))]
    server.gets, server.watches = [pod_list(5)], [stream(*lines, event("ADDED", pod("b", 8)), end="open")]
    async with Feed(session, "jobs", "x=y") as feed:
        other = feed.states(ref("b"))
        await first(other, 1)
        assert (await all_states(feed, "a"))[-1].gone
        await other.aclose()


async def test_another_pod_of_the_same_name(server: Server, session: Session) -> None:
    """A pod that took the name of another is never taken for it."""
    old, new = pod("a", 6, phase="Failed"), pod("a", 8, phase="Running")
    new["metadata"]["uid"] = "another"
    server.gets = [pod_list(5, old)]
    server.watches = [stream(event("DELETED", old), event("ADDED", new), end="open")]
    async with Feed(session, "jobs", "x=y") as feed:
        states = await all_states(feed, "a")
        assert {state.ref.uid for state in states} == {"uid-a"}


async def test_vanished_between_two_lists(server: Server, session: Session) -> None:
    """A pod that is gone when the server has forgotten and lists anew is told as gone."""
    server.gets = [pod_list(5, pod("a", 1, phase="Running")), pod_list(50)]
    server.watches = [stream(gone()), stream(end="open")]
    async with Feed(session, "jobs", "x=y") as feed:
        states = await all_states(feed, "a")
    assert states[-1].gone and not states[-1].ended


async def test_feed_that_may_not_begin(server: Server, session: Session) -> None:
    """A feed that isn't allowed says so when it is entered."""
    server.gets = [refusal(403, "you may not")]
    with pytest.raises(Forbidden, match="you may not"):
        async with Feed(session, "jobs", "x=y"):
            raise AssertionError("it was entered")


@pytest.mark.parametrize("body", [{}, [], {"items": [{}], "metadata": {"resourceVersion": "1"}}])
async def test_server_that_sends_nonsense(server: Server, session: Session, body: object) -> None:
    """A feed whose server doesn't send a list says so, and nobody waits for ever."""
    server.gets, server.watches = [answer(body)], [stream(end="open")]
    with pytest.raises(ClusterError):
        async with asyncio.timeout(3), Feed(session, "jobs", "x=y") as feed:
            await first(feed.states(ref("a")), 1)


async def test_failure_reaches_every_subscriber(server: Server, session: Session) -> None:
    """What ends the watch reaches everybody who waits, and whoever comes later."""
    fail = asyncio.Event()

    async def answers(request: object) -> object:
        await fail.wait()
        return await refusal(403, "taken away")(request)  # type: ignore[arg-type]

    server.gets, server.watches = [pod_list(5)], [answers]  # type: ignore[list-item]
    async with Feed(session, "jobs", "x=y") as feed:
        waiting = [asyncio.create_task(all_states(feed, name), name=name) for name in ("a", "b")]
        await asyncio.sleep(0)
        fail.set()
        for task in waiting:
            with pytest.raises(Forbidden, match="taken away"):
                await task
        with pytest.raises(Forbidden, match="taken away"):
            await first(feed.states(ref("c")), 1)


async def test_subscriber_that_leaves(server: Server, session: Session) -> None:
    """A subscriber that leaves takes nothing from the others."""
    server.gets = [pod_list(5, pod("a", 1, phase="Running"))]
    server.watches = [stream(event("DELETED", pod("a", 6, phase="Succeeded")), end="open")]
    async with Feed(session, "jobs", "x=y") as feed:
        leaves, stays = feed.states(ref("a")), feed.states(ref("a"))
        await first(leaves, 1)
        await leaves.aclose()
        assert (await first(stays, 2))[-1].gone
        await stays.aclose()


async def test_entering_that_is_cancelled(server: Server, session: Session) -> None:
    """Who is cancelled while a feed opens leaves no task behind."""
    server.gets = [stream("{", end="open")]
    feed = Feed(session, "jobs", "x=y")
    before = asyncio.all_tasks()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await feed.__aenter__()
    await asyncio.sleep(0.05)
    left = [
        task.get_name() for task in asyncio.all_tasks() - before if PODS in task.get_name() or "feed" in task.get_name()
    ]
    assert left == []


async def test_leaving_ends_the_watch(server: Server, session: Session) -> None:
    """Leaving a feed ends its task, and whoever still waits is told."""
    server.gets, server.watches = [pod_list(5)], [stream(end="open")]
    async with Feed(session, "jobs", "x=y") as feed:
        waiting = asyncio.create_task(all_states(feed, "a"), name="waits")
        await asyncio.sleep(0.01)
    with pytest.raises(Exception, match="closed"):
        await waiting
