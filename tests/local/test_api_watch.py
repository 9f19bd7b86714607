"""Watches: what they show, where they begin, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from launcher.errors import ClusterError
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.kube.watch import watch
from launcher.local.api import ApiServer

TOKEN = "watch-token"
CONFIGS = "/api/v1/namespaces/jobs/configmaps"

# Characters of a config map's data: 40 versions are more than the server's history may hold.
LARGE = 900_000


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer(token=TOKEN) as server:
        yield server


@pytest.fixture
async def session(server: ApiServer) -> AsyncIterator[Session]:
    async with Session(Address(server.url, TOKEN)) as session:
        await session.create("/api/v1/namespaces", {"metadata": {"name": "jobs"}})
        yield session


async def config(session: Session, name: str, **labels: str) -> dict[str, Any]:
    return await session.create(CONFIGS, {"metadata": {"name": name, "labels": labels}})


async def relabel(session: Session, name: str, **labels: str | None) -> dict[str, Any]:
    return await session.patch(f"{CONFIGS}/{name}", {"metadata": {"labels": labels}})


@asynccontextmanager
async def watching(session: Session, path: str = CONFIGS, **query: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    async with session.lines(path, {"watch": "true", **query}) as lines, aclosing(_decoded(lines)) as events:
        yield events


async def _decoded(lines: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any]]:
    async for line in lines:
        yield json.loads(line)


def shown(event: dict[str, Any]) -> str:
    return f"{event['type']} {event['object']['metadata'].get('name', '')}".strip()


async def now(session: Session) -> str:
    version: str = (await session.get(CONFIGS))["metadata"]["resourceVersion"]
    return version


@pytest.mark.parametrize("version", ["", "0"])
async def test_without_a_version_a_watch_begins_with_what_is_there(session: Session, version: str) -> None:
    """The objects arrive as ADDED, then what happens to them."""
    await config(session, "a")
    async with watching(session, resourceVersion=version) as events:
        assert shown(await anext(events)) == "ADDED a"
        await relabel(session, "a", x="y")
        await session.delete(f"{CONFIGS}/a")
        assert shown(await anext(events)) == "MODIFIED a"
        gone = await anext(events)
        assert shown(gone) == "DELETED a"
        assert gone["object"]["metadata"]["labels"] == {"x": "y"}


async def test_from_a_version_nothing_is_missed_and_nothing_repeated(session: Session) -> None:
    """What happened between a list and its watch is replayed."""
    await config(session, "a")
    version = await now(session)
    await config(session, "b")
    async with watching(session, resourceVersion=version) as events:
        assert shown(await anext(events)) == "ADDED b"
        await config(session, "c")
        assert shown(await anext(events)) == "ADDED c"


async def test_a_quiet_watch_is_answered_at_once(session: Session) -> None:
    """The client sees that its watch stands before anything happens."""
    version = await now(session)
    async with asyncio.timeout(5), watching(session, resourceVersion=version) as events:
        await config(session, "a")
        assert shown(await anext(events)) == "ADDED a"


async def test_objects_enter_and_leave_a_selector(session: Session) -> None:
    """Entering is ADDED; leaving is DELETED, with the state as it was and the version of the leaving."""
    await config(session, "a", team="red")
    version = await now(session)
    async with watching(session, resourceVersion=version, labelSelector="team=blue") as events:
        await relabel(session, "a", team="blue")
        left = await relabel(session, "a", team="red")
        assert shown(await anext(events)) == "ADDED a"
        gone = await anext(events)
        assert shown(gone) == "DELETED a"
        assert gone["object"]["metadata"]["labels"] == {"team": "blue"}
        assert gone["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_namespaces_and_names_narrow_a_watch(session: Session) -> None:
    """A watch of one namespace and one name shows nothing else."""
    await session.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    async with watching(session, fieldSelector="metadata.name=b") as events:
        await session.create("/api/v1/namespaces/other/configmaps", {"metadata": {"name": "b"}})
        await config(session, "a")
        made = await config(session, "b")
        assert (await anext(events))["object"] == made


async def test_initial_events_end_with_a_bookmark(session: Session) -> None:
    """sendInitialEvents marks where what was there ends."""
    await config(session, "a")
    query = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "True"}
    async with watching(session, **query) as events:
        assert shown(await anext(events)) == "ADDED a"
        mark = await anext(events)
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert mark["object"]["metadata"]["resourceVersion"] == await now(session)
    with pytest.raises(ClusterError, match="requires setting resourceVersionMatch"):
        async with watching(session, sendInitialEvents="true"):
            pass


async def test_a_timeout_ends_a_watch_with_a_bookmark(session: Session) -> None:
    """The watch ends normally, and its last line tells how far it came, past other kinds' changes too."""
    version = await now(session)
    await session.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    query = {"resourceVersion": version, "timeoutSeconds": "1", "allowWatchBookmarks": "1"}
    async with watching(session, **query) as events:
        seen = [event async for event in events]
    assert [event["type"] for event in seen] == ["BOOKMARK"]
    assert seen[0]["object"]["metadata"]["resourceVersion"] == await now(session)


async def test_a_forgotten_version_is_gone(session: Session) -> None:
    """After more changes than the history holds, the watch is told 410, and so is a page of a list."""
    for name in "ab":
        await config(session, name)
    page = await session.get(CONFIGS, limit="1")
    version = page["metadata"]["resourceVersion"]
    for number in range(40):
        await session.patch(f"{CONFIGS}/a", {"data": {"a": str(number).ljust(LARGE)}})
    async with watching(session, resourceVersion=version) as events:
        error = await anext(events)
    assert error["type"] == "ERROR"
    assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
    assert "too old resource version" in error["object"]["message"]
    with pytest.raises(ClusterError) as caught:
        await session.get(CONFIGS, limit="1", **{"continue": page["metadata"]["continue"]})
    assert caught.value.status == 410


async def test_a_version_of_another_server_is_gone_too(session: Session) -> None:
    """A version that this server hasn't reached sends the client back to its list."""
    async with watching(session, resourceVersion="1000000") as events:
        error = await anext(events)
    assert (error["type"], error["object"]["code"]) == ("ERROR", 410)


async def test_a_slow_watcher_is_dropped(server: ApiServer, session: Session) -> None:
    """A client that doesn't read falls out of the history and is told so, while others go on."""
    await config(session, "a")
    version = await now(session)
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]), limit=2**16)
    query = f"watch=1&resourceVersion={version}"
    writer.write(f"GET {CONFIGS}?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    for number in range(80):
        await session.patch(f"{CONFIGS}/a", {"data": {"a": str(number).ljust(LARGE)}})
    answer = bytearray()
    async with asyncio.timeout(20):
        while not answer.endswith(b"0\r\n\r\n"):
            answer += await reader.read(2**16)
    assert b'"code":410' in answer[-1000:]
    assert len(answer) < 60 * LARGE
    writer.close()
    await writer.wait_closed()


async def test_watches_end_when_the_server_closes() -> None:
    """Closing is prompt and ends every watch in good order."""
    async with (
        ApiServer(token=TOKEN) as server,
        Session(Address(server.url, TOKEN)) as session,
        watching(session, "/api/v1/pods") as events,
        asyncio.timeout(1.5),
    ):
        await server.__aexit__(None, None, None)
        assert [event async for event in events] == []


async def test_a_hundred_watchers_see_the_same(session: Session) -> None:
    """Every watcher gets every change, in order."""
    version = await now(session)

    async def follow() -> list[str]:
        async with watching(session, resourceVersion=version) as events:
            return [shown(await anext(events)) for _ in range(20)]

    async with asyncio.TaskGroup() as group:
        followers = [group.create_task(follow()) for _ in range(100)]
        for number in range(20):
            await config(session, f"c{number}")
    assert {tuple(task.result()) for task in followers} == {tuple(f"ADDED c{number}" for number in range(20))}


async def test_our_own_watch_works_against_it(session: Session) -> None:
    """launcher.kube.watch lists, says SYNCED, and follows."""
    await config(session, "a")
    async with aclosing(watch(session, CONFIGS, labels="!hidden")) as events:
        seen = [(event.type, event.object.get("metadata", {}).get("name")) async for event in _first(events, 2)]
        assert seen == [("ADDED", "a"), ("SYNCED", None)]
        await relabel(session, "a", hidden="yes")
        assert [event.type async for event in _first(events, 1)] == ["DELETED"]


async def _first(events: AsyncIterator[Any], count: int) -> AsyncIterator[Any]:
    for _ in range(count):
        yield await anext(events)
