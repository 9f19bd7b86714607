"""Container logs over HTTP: which container, which lines, with times, followed, cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from launcher.errors import ClusterError, ClusterUnreachable
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer, LogLine

TOKEN = "log-token"
PODS = "/api/v1/namespaces/jobs/pods"
LOG = f"{PODS}/p/log"
START = datetime(2026, 11, 23, 22, 50, 36, 123456, UTC)


class Logs:
    """Logs in memory: lines that are there, and an end that followers wait for."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, bool], list[LogLine]] = {}
        self.grown = asyncio.Event()
        self.ended = False
        self.broken = False
        self.readers = 0

    def write(self, *texts: str, container: str = "main", previous: bool = False) -> None:
        lines = self.lines.setdefault((container, previous), [])
        for text in texts:
            moment = START + timedelta(seconds=len(lines))
            lines.append(LogLine(time=moment, stream="stdout", data=text.encode()))
        self.wake()

    def wake(self) -> None:
        self.grown.set()
        self.grown = asyncio.Event()

    async def read(self, pod_uid: str, container: str, *, previous: bool, follow: bool) -> AsyncIterator[LogLine]:
        lines = self.lines[container, previous]
        at = 0
        self.readers += 1
        try:
            while True:
                while at < len(lines):
                    yield lines[at]
                    at += 1
                if not follow or self.ended:
                    return
                await self.grown.wait()
                if self.broken:
                    raise LookupError(container)
        finally:
            self.readers -= 1
            self.wake()


@pytest.fixture
def logs() -> Logs:
    return Logs()


@pytest.fixture
async def server(logs: Logs) -> AsyncIterator[ApiServer]:
    async with ApiServer(token=TOKEN, clock=lambda: START + timedelta(seconds=10)) as server:
        server.logs = logs
        yield server


@pytest.fixture
async def session(server: ApiServer) -> AsyncIterator[Session]:
    async with Session(Address(server.url, TOKEN)) as session:
        await session.create("/api/v1/namespaces", {"metadata": {"name": "jobs"}})
        await create(session, "p", ["main"])
        yield session


async def create(session: Session, name: str, containers: list[str], **metadata: Any) -> None:
    spec = {
        "nodeName": "n",
        "initContainers": [{"name": "init", "image": "busybox:1"}],
        "containers": [{"name": container, "image": "busybox:1"} for container in containers],
    }
    await session.create(PODS, {"metadata": {"name": name, **metadata}, "spec": spec})


async def read(session: Session, path: str = LOG, **query: str) -> str:
    async with session.lines(path, query) as lines:
        return "|".join([line.decode() async for line in lines])


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({}, "a|b|c|d"),
        ({"tailLines": "2"}, "c|d"),
        ({"tailLines": "0"}, ""),
        ({"tailLines": "9"}, "a|b|c|d"),
        ({"limitBytes": "5"}, "a|b|c"),
        ({"limitBytes": "4"}, "a|b"),
        ({"sinceTime": "2026-11-23T22:50:38.123456Z"}, "c|d"),
        ({"sinceTime": "2026-11-23T22:50:38.123457999Z"}, "d"),
        ({"sinceTime": "2026-11-23T23:50:39+01:00"}, "d"),
        ({"sinceSeconds": "8"}, "c|d"),
        ({"tailLines": "3", "sinceSeconds": "7", "timestamps": "True"}, "2026-11-23T22:50:39.123456000Z d"),
        ({"container": "main"}, "a|b|c|d"),
    ],
)
async def test_lines_are_chosen(session: Session, logs: Logs, query: dict[str, str], text: str) -> None:
    """Tail, limits and times choose as a kubelet does."""
    logs.write("a", "b", "c", "d")
    assert await read(session, **query) == text


async def test_every_line_ends(session: Session, logs: Logs, server: ApiServer) -> None:
    """The answer is plain text, each line with its end, empty ones too."""
    logs.write("a", "", "c")
    async with session.lines(LOG, {"limitBytes": "3"}) as lines:
        assert [line async for line in lines] == [b"a", b""]


async def test_a_limit_cuts_within_a_line(session: Session, logs: Logs) -> None:
    """`limitBytes` counts bytes, and the times before the lines too."""
    logs.write("hello", "there")
    assert await read(session, limitBytes="8") == "hello|th"
    assert await read(session, limitBytes="33", timestamps="1") == "2026-11-23T22:50:36.123456000Z he"


async def test_a_follower_sees_lines_as_they_come_and_the_end(session: Session, logs: Logs) -> None:
    """Each line arrives before the next is written, and the answer ends with the log."""
    logs.write("old", "a")
    async with asyncio.timeout(5), session.lines(LOG, {"follow": "true", "tailLines": "1"}) as lines:
        assert await anext(lines) == b"a"
        for text in ("b", "c"):
            logs.write(text)
            assert await anext(lines) == text.encode()
        logs.ended = True
        logs.wake()
        assert [line async for line in lines] == []
    assert logs.readers == 0


async def test_a_follower_that_leaves_is_let_go(session: Session, logs: Logs) -> None:
    """The log's reader is closed though no line ever comes again."""
    logs.write("a")
    async with session.lines(LOG, {"follow": "1"}) as lines:
        assert await anext(lines) == b"a"
        assert logs.readers == 1
    async with asyncio.timeout(5):
        while logs.readers:
            await logs.grown.wait()


async def test_closing_the_server_cuts_followers(server: ApiServer, session: Session, logs: Logs) -> None:
    """A followed log is cut at once, and the client sees that it isn't whole."""
    logs.write("a")
    async with asyncio.timeout(1.5), session.lines(LOG, {"follow": "1"}) as lines:
        assert await anext(lines) == b"a"
        await server.__aexit__(None, None, None)
        with pytest.raises(ClusterUnreachable):
            await anext(lines)
    assert logs.readers == 0


async def test_a_log_that_fails_midway_is_cut(session: Session, logs: Logs) -> None:
    """The client sees that the answer isn't whole, and no refusal in its middle."""
    logs.write("a")
    with pytest.raises(ClusterUnreachable):
        async with session.lines(LOG, {"follow": "1"}) as lines:
            assert await anext(lines) == b"a"
            logs.broken = True
            logs.wake()
            assert [line async for line in lines] == []


async def test_a_large_log_arrives_whole(session: Session, logs: Logs) -> None:
    """Two hundred thousand lines lose nothing."""
    texts = [f"line {number}" for number in range(200_000)]
    logs.write(*texts)
    assert (await read(session)).split("|") == texts


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ({"tailLines": "-1"}, 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ({"limitBytes": "0"}, 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ({"sinceSeconds": "1", "sinceTime": "2026-01-01T00:00:00Z"}, 422, "at most one of"),
        ({"sinceTime": "yesterday"}, 400, "sinceTime must look like"),
        ({"tailLines": "many"}, 400, "invalid syntax"),
        ({"follow": "perhaps"}, 400, "invalid syntax"),
        ({"container": "other"}, 400, "container other is not valid for pod p"),
        ({"previous": "t"}, 400, 'previous terminated container "main" in pod "p" not found'),
        ({"container": "init"}, 400, 'container "init" in pod "p" is waiting to start: PodInitializing'),
    ],
)
async def test_what_makes_no_sense_is_refused(
    session: Session, logs: Logs, query: dict[str, str], status: int, words: str
) -> None:
    """Options out of range and logs that aren't there, in Kubernetes' words."""
    logs.write("a")
    waiting = {"name": "init", "state": {"waiting": {"reason": "PodInitializing"}}}
    await session.patch(f"{PODS}/p/status", {"status": {"initContainerStatuses": [waiting]}})
    with pytest.raises(ClusterError, match=words) as caught:
        await read(session, **query)
    assert caught.value.status == status


async def test_a_container_must_be_named_where_there_are_several(session: Session, logs: Logs) -> None:
    """Without a name all are listed, unless an annotation says which is meant."""
    logs.write("a", container="one")
    await create(session, "several", ["one", "two"])
    with pytest.raises(ClusterError, match=r"choose one of: \[one two\] or one of the init containers: \[init\]"):
        await read(session, f"{PODS}/several/log")
    await create(session, "marked", ["one", "two"], annotations={"kubectl.kubernetes.io/default-container": "one"})
    assert await read(session, f"{PODS}/marked/log") == "a"


async def test_the_log_before_a_restart_is_its_own(session: Session, logs: Logs) -> None:
    """`previous` reads the attempt before."""
    logs.write("new")
    logs.write("old", previous=True)
    assert await read(session, previous="true") == "old"


async def test_a_pod_without_a_node_has_no_log(session: Session) -> None:
    """The refusal says that it was never scheduled."""
    spec = {"containers": [{"name": "main", "image": "busybox:1"}]}
    await session.create(PODS, {"metadata": {"name": "q"}, "spec": spec})
    with pytest.raises(ClusterError, match="pod q does not have a host assigned"):
        await read(session, f"{PODS}/q/log")


async def test_a_pod_may_be_bound_when_created(session: Session) -> None:
    """A pod that was created with its node keeps it."""
    assert (await session.get(f"{PODS}/p"))["spec"]["nodeName"] == "n"
