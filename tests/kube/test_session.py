"""Requests to an API server that is slow, wrong, busy or not there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest

from launcher import ClusterError, ClusterUnreachable, Conflict, Forbidden, NotFound
from launcher.kube.session import TRIES, Session
from launcher.kube.target import Address
from tests.kube.misbehaving import PODS, TOKEN, Server, answer, drop, refusal, serving, stream


async def test_plain_objects_both_ways(server: Server, session: Session) -> None:
    """Bodies are plain dicts in both directions, with the token in the header."""
    server.gets = [answer({"kind": "Pod", "ü": 1})]
    server.writes = [answer({"made": True}, 201)]
    assert await session.get(PODS, labelSelector="a=b,c") == {"kind": "Pod", "ü": 1}
    assert await session.create(PODS, {"kind": "Pod"}) == {"made": True}
    asked, made = server.requests
    assert asked.query["labelSelector"] == "a=b,c"
    assert {request.headers["Authorization"] for request in server.requests} == {f"Bearer {TOKEN}"}
    assert json.loads(await made.text()) == {"kind": "Pod"}


async def test_deletes_carry_the_uid(server: Server, session: Session) -> None:
    """A delete names the very object that is meant, and the grace that it gets, zero included."""
    server.writes = [answer({})]
    await session.delete(f"{PODS}/a", uid="u-1", grace=0)
    await session.delete(f"{PODS}/a")
    with_uid, plain = [json.loads(await request.text()) for request in server.requests]
    assert (with_uid["preconditions"], with_uid["gracePeriodSeconds"]) == ({"uid": "u-1"}, 0)
    assert "preconditions" not in plain and "gracePeriodSeconds" not in plain


@pytest.mark.parametrize(
    ("how", "kind"),
    [("merge", "merge-patch"), ("json", "json-patch"), ("strategic", "strategic-merge-patch")],
)
async def test_patches_say_their_kind(server: Server, session: Session, how: str, kind: str) -> None:
    """Each kind of patch is sent as such."""
    server.writes = [answer({})]
    await session.patch(f"{PODS}/a", {"a": 1}, how=how)
    assert server.requests[0].headers["Content-Type"] == f"application/{kind}+json"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ClusterError), (401, ClusterError), (403, Forbidden), (404, NotFound), (409, Conflict), (422, ClusterError)],
)
async def test_refusals(server: Server, session: Session, status: int, kind: type[ClusterError]) -> None:
    """A refusal is an error of its own kind, with the server's sentence, its reason and its status."""
    server.gets = [refusal(status, "the pod is odd", "Oddity")]
    with pytest.raises(ClusterError, match="the pod is odd") as caught:
        await session.get(PODS)
    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.reason) == (status, "Oddity")
    assert len(server.requests) == 1


async def test_wrong_token_is_never_repeated(server: Server, session: Session) -> None:
    """A token that isn't accepted is told as such, and isn't shown."""
    server.gets = [refusal(401, "Unauthorized")]
    with pytest.raises(ClusterError, match="credentials") as caught:
        await session.get(PODS)
    assert TOKEN not in str(caught.value) + repr(caught.value) + repr(server.address)


async def test_hostile_text_is_cleaned(server: Server, session: Session) -> None:
    """What a server says can't move the cursor, break the line or fill the screen."""
    server.gets = [refusal(403, "a\x1b[2J\r\n\x07b" + "x" * 100_000)]
    with pytest.raises(Forbidden) as caught:
        await session.get(PODS)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("body", ["<html>nginx</html>", "", "[", "NaN?", "[" * 100_000])
async def test_answers_that_are_not_json(server: Server, session: Session, body: str) -> None:
    """An answer that isn't JSON is told as such, with the question whether this is an API server."""
    server.gets = [answer(body)]
    with pytest.raises(ClusterError, match="isn't JSON"):
        await session.get(PODS)


async def test_html_as_an_error(server: Server, session: Session) -> None:
    """A proxy's page instead of a Status is an error with its status."""
    server.gets = [answer("<html>\n<body>502 Bad Gateway</body></html>", 403)]
    with pytest.raises(Forbidden, match="502 Bad Gateway"):
        await session.get(PODS)


@pytest.mark.parametrize("body", [[], "text", 5, None])
async def test_answers_that_are_no_object(server: Server, session: Session, body: Any) -> None:
    """JSON that isn't an object doesn't break anything."""
    server.gets = [answer([body] if isinstance(body, str) else body)]
    assert isinstance(await session.get(PODS), dict)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_busy_server_is_asked_again(server: Server, session: Session, method: str) -> None:
    """A server that says when to come back is asked again, whatever was asked."""
    answers = [refusal(429, Retry_After="0"), refusal(503, Retry_After="0"), answer({"ok": 1})]
    server.gets, server.writes = list(answers), list(answers)
    found = await (session.get(PODS) if method == "GET" else session.create(PODS, {}))
    assert found == {"ok": 1}
    assert len(server.requests) == 3


async def test_retry_after_is_waited_for(server: Server, session: Session) -> None:
    """The seconds that a server asks for are waited."""
    server.gets = [refusal(429, Retry_After="1"), answer({})]
    loop = asyncio.get_running_loop()
    began = loop.time()
    await session.get(PODS)
    assert loop.time() - began >= 1


@pytest.mark.parametrize("header", ["-5", "nan", "soon", "Wed, 21 Oct 2015 07:28:00 GMT"])
async def test_odd_retry_after(server: Server, session: Session, header: str) -> None:
    """A Retry-After that isn't a number of seconds still means to come back."""
    server.gets = [refusal(429, Retry_After=header), answer({"ok": 1})]
    assert await session.get(PODS) == {"ok": 1}


async def test_broken_server_is_read_again(server: Server, session: Session) -> None:
    """A GET that failed inside the server is asked again; a POST isn't, since it may have been done."""
    server.gets = [refusal(500), answer({"ok": 1})]
    server.writes = [refusal(500)]
    assert await session.get(PODS) == {"ok": 1}
    with pytest.raises(ClusterError) as caught:
        await session.create(PODS, {})
    assert caught.value.status == 500
    assert len(server.of("writes")) == 1


async def test_tries_end(server: Server, session: Session) -> None:
    """A server that stays busy is given up, with its last answer."""
    server.gets = [refusal(503, "still busy", Retry_After="0")]
    with pytest.raises(ClusterError, match="still busy") as caught:
        await session.get(PODS)
    assert (len(server.requests), caught.value.retry_after) == (TRIES, 0.0)


async def test_refused_port() -> None:
    """Where nothing listens, the address and the remedy are told, and the token isn't."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    async with Session(Address(f"http://127.0.0.1:{port}", TOKEN)) as session:
        with pytest.raises(ClusterUnreachable, match="launcher cluster") as caught:
            await session.get(PODS)
    assert caught.value.status == 0
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("url", ["http://", "nonsense", "http://127.0.0.1:99999", "http://[::1", "ftp://127.0.0.1"])
async def test_odd_addresses(url: str) -> None:
    """An address that can't be one is a cluster that can't be reached."""
    with pytest.raises(ClusterUnreachable):
        async with Session(Address(url, TOKEN)) as session:
            await session.get(PODS)


async def test_connection_cut_before_the_answer(server: Server, session: Session) -> None:
    """A connection that is cut before its answer is told as unreachable."""
    server.gets, server.writes = [drop()], [drop()]
    with pytest.raises(ClusterUnreachable):
        await session.create(PODS, {})
    with pytest.raises(ClusterUnreachable):
        await session.get(PODS)


async def test_answer_cut_in_the_middle(server: Server, session: Session) -> None:
    """An answer that is cut in the middle is told as unreachable, and never as half an object."""
    server.gets = [stream('{"kind": "Pod", "meta', end="cut")]
    with pytest.raises(ClusterUnreachable):
        await session.get(PODS)


async def test_slow_server_can_be_left(server: Server, session: Session) -> None:
    """Whoever waits for a slow server can stop waiting, and the connection is closed."""
    server.gets = [stream("{", end="open")]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await session.get(PODS)
    async with asyncio.timeout(2):
        while server.connections:
            await asyncio.sleep(0.005)


async def test_lines_of_a_stream(server: Server, session: Session) -> None:
    """Lines come whole however they were cut into packets, the last one without its end too."""
    server.logs = [stream(b"on", b"e\ntw", b"o\n\nthree\nfo", b"ur")]
    async with session.lines(f"{PODS}/a/log", {}) as lines:
        assert [line async for line in lines] == [b"one", b"two", b"", b"three", b"four"]


async def test_large_lines(server: Server, session: Session) -> None:
    """A line may be larger than any buffer."""
    line = b"x" * (3 * 1024 * 1024)
    server.logs = [stream(line + b"\nend\n")]
    async with session.lines(f"{PODS}/a/log", {}) as lines:
        assert [len(line) async for line in lines] == [len(line), 3]


async def test_stream_that_is_refused(server: Server, session: Session) -> None:
    """A stream that isn't allowed raises when it is opened."""
    server.logs = [refusal(403, "no logs for you")]
    with pytest.raises(Forbidden, match="no logs for you"):
        async with session.lines(f"{PODS}/a/log", {}):
            raise AssertionError("it was opened")


async def test_silent_stream_is_broken(server: Server, session: Session) -> None:
    """A stream without a byte for longer than is allowed counts as cut."""
    server.logs = [stream("a\n", end="open")]
    with pytest.raises(ClusterUnreachable):
        async with session.lines(f"{PODS}/a/log", {}, idle=0.1) as lines:
            async for _ in lines:
                pass


async def test_stream_that_is_left(server: Server, session: Session) -> None:
    """Leaving a stream closes its connection, in the middle of it too."""
    server.logs = [stream("a\n", "b\n", end="open")]
    async with session.lines(f"{PODS}/a/log", {}) as lines:
        assert await anext(lines) == b"a"
    async with asyncio.timeout(2):
        while server.connections:
            await asyncio.sleep(0.005)


async def test_more_streams_than_a_browser_has(server: Server, session: Session) -> None:
    """A hundred and fifty logs can be followed at once, and another request still gets its answer."""
    server.logs, server.gets = [stream("a\n", end="open")], [answer({"ok": 1})]
    async with asyncio.timeout(10), AsyncExitStack() as opened:
        for _ in range(150):
            lines = await opened.enter_async_context(session.lines(f"{PODS}/a/log", {}))
            assert await anext(lines) == b"a"
        assert await session.get(PODS) == {"ok": 1}


async def test_token_stays_with_its_server() -> None:
    """A server that sends its clients elsewhere doesn't get them to carry their token there."""
    async with serving() as other, serving() as server, Session(server.address) as session:
        other.gets = [answer({})]
        server.gets = [answer({}, 302, {"Location": f"{other.url}/stolen"})]
        with contextlib.suppress(ClusterError):
            await session.get(PODS)
        assert [request.headers.get("Authorization") for request in other.requests] in ([], [None])
