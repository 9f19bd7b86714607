"""The API with ten thousand pods, fifty watchers, and some that don't read what they asked for."""

from __future__ import annotations

import asyncio
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer, watches
from launcher.local.api.registry import Registry, Writing
from launcher.local.api.resources import BY_KIND
from launcher.local.api.state import opened
from launcher.local.api.store import HISTORY_BYTES

TOKEN = "scale-token"
PODS = "/api/v1/namespaces/default/pods"
CONFIGS = "/api/v1/namespaces/default/configmaps"
MANY, WATCHERS, CHANGES = 10_000, 50, 60

# Characters of a config map's data, and how often it is written: as much as the history holds before anybody
# watches, and far more than it holds afterwards.
LARGE, BEFORE, WRITES = 900_000, 15, 60


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "x"}]}}


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    """A server that begins with ten thousand pods, from a state folder."""
    with opened(tmp_path / "state") as state:
        registry = Registry(lambda: datetime.now(UTC), state)
        registry.create(BY_KIND["Namespace"], "", {"metadata": {"name": "default"}}, Writing())
        with registry.store.transaction():
            for number in range(MANY):
                registry.create(BY_KIND["Pod"], "default", pod(f"p-{number:05}"), Writing())
        async with ApiServer(token=TOKEN, state=state) as server, Session(Address(server.url, TOKEN)) as session:
            yield session


def names(listed: dict[str, Any]) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def follow(session: Session, version: str, ready: asyncio.Semaphore) -> list[str]:
    """What a watcher saw, until it sees the pod called last."""
    seen = []
    query = {"watch": "true", "resourceVersion": version}
    async with session.lines(PODS, query) as lines:
        ready.release()
        async for line in lines:
            event = json.loads(line)
            seen.append(f"{event['type']} {event['object']['metadata']['name']}")
            if seen[-1] == "ADDED last":
                return seen
    raise AssertionError(f"the watch ended after {len(seen)} events")


async def test_ten_thousand_pods_and_fifty_watchers(session: Session) -> None:
    """Lists have them all, whole and in pages; every watcher sees every change in the order in which it happened."""
    whole = await session.get(PODS)
    assert names(whole) == [f"p-{number:05}" for number in range(MANY)]
    paged: list[str] = []
    going_on = ""
    while going_on or not paged:
        page = await session.get(f"{PODS}?limit=1500&continue={quote(going_on)}")
        paged += names(page)
        going_on = page["metadata"].get("continue", "")
    assert paged == names(whole)

    ready, expected = asyncio.Semaphore(0), []
    async with asyncio.TaskGroup() as group:
        version = whole["metadata"]["resourceVersion"]
        watchers = [group.create_task(follow(session, version, ready)) for _ in range(WATCHERS)]
        for _ in range(WATCHERS):
            await ready.acquire()
        for number in range(CHANGES):
            name = f"p-{number * 7:05}"
            await session.patch(f"{PODS}/{name}", {"metadata": {"labels": {"n": str(number)}}})
            # An ended start of a pod that no node has: it goes at once, marked first.
            await session.delete(f"{PODS}/{name}?gracePeriodSeconds=0")
            expected += [f"MODIFIED {name}", f"MODIFIED {name}", f"DELETED {name}"]
        await session.create(PODS, pod("last"))
    for watcher in watchers:
        assert watcher.result() == [*expected, "ADDED last"]


async def test_a_watcher_begins_with_ten_thousand_pods(session: Session) -> None:
    """Initial events are all there, then the bookmark that ends them."""
    query = {
        "watch": "true",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    seen = 0
    async with session.lines(PODS, query) as lines:
        async for line in lines:
            if line.startswith(b'{"type":"BOOKMARK"'):
                break
            seen += 1
    assert seen == MANY


async def stuck(server: ApiServer, version: str) -> socket.socket:
    """A client that asks for everything and reads nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", int(server.url.rpartition(":")[2])))
    head = (
        f"GET {CONFIGS}?watch=1&resourceVersion={version} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    )
    await loop.sock_sendall(connection, head.encode())
    return connection


async def test_those_who_do_not_read_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty watchers that stop reading cost no copies of what they miss; others see all, and at last they are cut."""
    monkeypatch.setattr(watches, "STALLED", 3.0)
    async with ApiServer(token=TOKEN) as server, Session(Address(server.url, TOKEN)) as session:
        await session.create("/api/v1/namespaces", {"metadata": {"name": "default"}})
        version = (await session.create(CONFIGS, {"metadata": {"name": "a"}}))["metadata"]["resourceVersion"]
        for number in range(BEFORE):
            await session.patch(f"{CONFIGS}/a", {"data": {"a": str(number).ljust(LARGE)}})
        now = (await session.get(f"{CONFIGS}/a"))["metadata"]["resourceVersion"]
        before = len(asyncio.all_tasks())
        tracemalloc.start()
        connections = [await stuck(server, version) for _ in range(40)]
        async with session.lines(CONFIGS, {"watch": "true", "resourceVersion": now}) as lines:
            for number in range(WRITES):
                await session.patch(f"{CONFIGS}/a", {"data": {"a": str(number).ljust(LARGE)}})
                assert f'"a":"{number} '.encode() in await anext(lines)
            used = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        # The history is decoded and encoded; each of the forty has two pieces on their way.
        assert used < 3 * HISTORY_BYTES + 40 * 2 * (LARGE + watches.CHUNK)
        async with asyncio.timeout(20):
            # Each connection has a task of the server's; the session may keep one more open.
            while len(asyncio.all_tasks()) > before + 1:
                await asyncio.sleep(0.05)
            for connection in connections:
                assert await rest(connection) < 2 * LARGE + 4 * watches.CHUNK


async def rest(connection: socket.socket) -> int:
    """Bytes until the connection's end, however it comes."""
    size, loop = 0, asyncio.get_running_loop()
    with connection, suppress(ConnectionResetError):
        while data := await loop.sock_recv(connection, 2**16):
            size += len(data)
    return size
