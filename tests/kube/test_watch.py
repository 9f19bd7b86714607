"""A watch that goes on whatever its server does, without a lost or a doubled change."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from launcher import ClusterError, Forbidden
from launcher.kube.session import Session
from launcher.kube.watch import Event, watch
from tests.kube.misbehaving import (
    PODS,
    Server,
    answer,
    bookmark,
    drop,
    event,
    first,
    gone,
    pod,
    pod_list,
    refusal,
    stream,
    versions,
)

LASTING = stream(end="open")


def told(events: list[Event]) -> list[tuple[str, str, str]]:
    """Type, name and version of each event."""
    meta = [event.object.get("metadata", {}) for event in events]
    return [(e.type, m.get("name", ""), m.get("resourceVersion", "")) for e, m in zip(events, meta, strict=True)]


async def taken(session: Session, count: int) -> list[tuple[str, str, str]]:
    async with aclosing(watch(session, PODS, labels="a=b")) as events:
        return told(await first(events, count))


async def test_what_is_there_and_what_comes(server: Server, session: Session) -> None:
    """A watch tells what is there, then that this was all, then what happens."""
    server.gets = [pod_list(5, pod("a", 3), pod("b", 4))]
    server.watches = [stream(event("MODIFIED", pod("a", 6)), event("DELETED", pod("b", 7)), end="open")]
    assert await taken(session, 5) == [
        ("ADDED", "a", "3"),
        ("ADDED", "b", "4"),
        ("SYNCED", "", ""),
        ("MODIFIED", "a", "6"),
        ("DELETED", "b", "7"),
    ]
    (request,) = server.of("watches")
    assert request.query["resourceVersion"] == "5"
    assert request.query["labelSelector"] == "a=b"
    assert request.query["allowWatchBookmarks"] == "true"


@pytest.mark.parametrize("ending", ["clean", "cut"])
async def test_streams_are_renewed_from_the_last_version(server: Server, session: Session, ending: str) -> None:
    """A stream that ends, by time or by a cut, is taken up at the last change, and the list isn't asked again."""
    server.gets = [pod_list(5)]
    server.watches = [
        stream(event("ADDED", pod("a", 6)), end=ending),
        stream(event("MODIFIED", pod("a", 7)), end="open"),
    ]
    assert await taken(session, 3) == [("SYNCED", "", ""), ("ADDED", "a", "6"), ("MODIFIED", "a", "7")]
    assert versions(server.of("watches")) == ["5", "6"]
    assert len(server.of("gets")) == 1


async def test_bookmarks_keep_the_version_fresh(server: Server, session: Session) -> None:
    """A bookmark is no change for anybody, but the place to go on from."""
    server.gets = [pod_list(5)]
    server.watches = [stream(bookmark(90)), stream(event("ADDED", pod("a", 91)), end="open")]
    assert await taken(session, 2) == [("SYNCED", "", ""), ("ADDED", "a", "91")]
    assert versions(server.of("watches")) == ["5", "90"]


@pytest.mark.parametrize("how", ["event", "status"])
async def test_forgotten_version(server: Server, session: Session, how: str) -> None:
    """When the server has forgotten, a new list is compared with what was known: no change is lost or told twice."""
    expired = stream(gone()) if how == "event" else refusal(410, "too old", "Expired")
    server.gets = [
        pod_list(5, pod("same", 1), pod("changed", 2), pod("vanished", 3)),
        pod_list(50, pod("same", 1), pod("changed", 40), pod("new", 41)),
    ]
    server.watches = [expired, stream(event("MODIFIED", pod("new", 51)), end="open")]
    events = await taken(session, 8)
    assert events[:4] == [
        ("ADDED", "same", "1"),
        ("ADDED", "changed", "2"),
        ("ADDED", "vanished", "3"),
        ("SYNCED", "", ""),
    ]
    assert sorted(events[4:7]) == [("ADDED", "new", "41"), ("DELETED", "vanished", "3"), ("MODIFIED", "changed", "40")]
    assert events[7] == ("MODIFIED", "new", "51")
    assert versions(server.of("watches")) == ["5", "50"]


async def test_name_taken_again_while_nobody_looked(server: Server, session: Session) -> None:
    """A pod that was replaced by another of its name meanwhile is told as gone, then as new."""
    other = pod("a", 40)
    other["metadata"]["uid"] = "another"
    server.gets = [pod_list(5, pod("a", 1)), pod_list(50, other)]
    server.watches = [stream(gone()), LASTING]
    events = await taken(session, 4)
    assert events[2:] == [("DELETED", "a", "1"), ("ADDED", "a", "40")]


async def test_nothing_is_kept_of_what_was_told(server: Server, session: Session) -> None:
    """Without ``whole``, a pod that vanished while nobody looked is told by its uid; changes are told as ever."""
    server.gets = [pod_list(5, pod("a", 1), pod("b", 2)), pod_list(50, pod("a", 40))]
    server.watches = [stream(gone()), LASTING]
    async with aclosing(watch(session, PODS, whole=False)) as events:
        later = (await first(events, 5))[3:]
    gone_uid = pod("b", 2)["metadata"]["uid"]
    assert [(event.type, event.object) for event in later] == [
        ("DELETED", {"metadata": {"uid": gone_uid}}),
        ("MODIFIED", pod("a", 40)),
    ]


async def test_deleted_pods_are_not_told_again(server: Server, session: Session) -> None:
    """What was told as deleted is not told as vanished once more after a new list."""
    server.gets = [pod_list(5, pod("a", 1)), pod_list(50, pod("b", 49))]
    server.watches = [stream(event("DELETED", pod("a", 6)), gone()), LASTING]
    assert (await taken(session, 4))[2:] == [("DELETED", "a", "6"), ("ADDED", "b", "49")]


async def test_line_cut_in_the_middle(server: Server, session: Session) -> None:
    """A change whose line was cut comes whole from the next stream, and only once."""
    whole = event("ADDED", pod("a", 6))
    for ending in ("clean", "cut"):
        server.gets = [pod_list(5)]
        server.watches = [stream(whole[:30], end=ending), stream(whole, end="open")]
        assert await taken(session, 2) == [("SYNCED", "", ""), ("ADDED", "a", "6")]


async def test_huge_objects(server: Server, session: Session) -> None:
    """An object of over two mebibytes is one line, and comes whole."""
    huge = pod("a", 6)
    huge["metadata"]["annotations"] = {"x": "y" * (5 * 512 * 1024)}
    server.gets = [pod_list(5)]
    server.watches = [stream(event("ADDED", huge), end="open")]
    async with aclosing(watch(session, PODS)) as events:
        found = await first(events, 2)
    assert found[1].object == huge


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(500),
        refusal(503),
        refusal(401),
        refusal(429, Retry_After="0"),
        drop(),
        answer("<html>login</html>"),
        stream(event("ERROR", {"code": 500, "message": "etcd"})),
        stream("not json\n"),
        stream('{"type": "ADDED"}\n'),
        stream('{"type": "ADDED", "object": {}}\n'),
        stream('{"type": "ADDED", "object": null}\n'),
        stream('{"type": "ERROR", "object": {"code": null}}\n'),
        stream("[]\n"),
        stream("\n\n"),
    ],
    ids=[
        "500",
        "503",
        "401",
        "429",
        "drop",
        "html",
        "error",
        "junk",
        "no object",
        "empty",
        "null",
        "odd error",
        "list",
        "nothing",
    ],
)
async def test_what_passes(server: Server, session: Session, trouble: object) -> None:
    """Trouble that a later try may not meet again is passed over, and the watch goes on where it was."""
    server.gets = [pod_list(5)]
    server.watches = [trouble, stream(event("ADDED", pod("a", 6)), end="open")]  # type: ignore[list-item]
    assert await taken(session, 2) == [("SYNCED", "", ""), ("ADDED", "a", "6")]


async def test_busy_server_is_not_pressed(server: Server, session: Session) -> None:
    """A server that asks a watcher to come back later is left alone until then."""
    came: list[float] = []

    async def busy(request: object) -> object:
        came.append(asyncio.get_running_loop().time())
        return await refusal(429, Retry_After="1")(request)  # type: ignore[arg-type]

    async def calm(request: object) -> object:
        came.append(asyncio.get_running_loop().time())
        return await stream(event("ADDED", pod("a", 6)), end="open")(request)  # type: ignore[arg-type]

    server.gets, server.watches = [pod_list(5)], [busy, calm]  # type: ignore[list-item]
    assert await taken(session, 2)
    assert came[1] - came[0] >= 1


@pytest.mark.parametrize("status", [403, 404, 400, 422])
async def test_what_does_not_pass(server: Server, session: Session, status: int) -> None:
    """A refusal that a later try would meet again ends the watch, at its start and later."""
    server.gets, server.watches = [pod_list(5)], [refusal(status, "for good")]
    with pytest.raises(ClusterError, match="for good"):
        await taken(session, 2)
    server.gets = [refusal(status, "for good")]
    with pytest.raises(ClusterError, match="for good"):
        await taken(session, 1)


async def test_rights_that_are_taken_away(server: Server, session: Session) -> None:
    """A watch that is no longer allowed when it lists anew ends with that."""
    server.gets, server.watches = [pod_list(5), refusal(403, "no more")], [stream(gone())]
    with pytest.raises(Forbidden, match="no more"):
        await taken(session, 2)


async def test_server_that_is_down_while_it_lists_anew(server: Server, session: Session) -> None:
    """Once it has begun, a watch waits for its server to come back."""
    server.gets = [pod_list(5), drop(), refusal(503, Retry_After="0"), pod_list(50, pod("a", 49))]
    server.watches = [stream(gone()), LASTING]
    assert (await taken(session, 2))[1] == ("ADDED", "a", "49")


@pytest.mark.parametrize(
    "body", [{}, [], {"items": None}, {"metadata": {}, "items": [{}]}, {"items": 5, "metadata": {}}]
)
async def test_answers_that_are_no_list(server: Server, session: Session, body: object) -> None:
    """An answer that is JSON but no list is told as the server's fault."""
    server.gets, server.watches = [answer(body)], [LASTING]
    with pytest.raises(ClusterError):
        await taken(session, 2)


async def test_left_in_the_middle(server: Server, session: Session) -> None:
    """Whoever leaves a watch closes its connection."""
    server.gets, server.watches = [pod_list(5)], [LASTING]
    async with aclosing(watch(session, PODS)) as events:
        await first(events, 1)
        waiting = asyncio.create_task(anext(events), name="waits for an event")
        while not server.of("watches"):
            await asyncio.sleep(0.005)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(2):
        while server.connections:
            await asyncio.sleep(0.005)
