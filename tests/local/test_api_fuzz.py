"""The API under hostile requests: always an answer or an end, never a traceback, nothing left behind.

Short and always the same as a part of the suite; for hours and ever new with ``--hypothesis-profile=minutes``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.local.api import ApiServer
from launcher.local.api.resources import RESOURCES

TOKEN = "fuzz-token-never-to-be-logged"

# Seconds until an answer has begun: thousands of times what one takes.
ANSWER = 10.0

# The same examples each time; the profile for minutes takes new ones.
short = settings(derandomize=settings.default is not None and settings.default.max_examples < 1000)

words = st.one_of(
    st.sampled_from(
        ["", "a", "default", "x" * 300, "..", ".", "%2e%2e", "%00", "%ff", "%", "true", "0", "-1", "1e999"]
    ),
    st.text(max_size=20),
)
numbers = st.one_of(st.integers(), st.sampled_from([2**63, -(2**63) - 1, 10**400]), st.floats())
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(words, inner, max_size=4)),
    max_leaves=12,
)

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "p",
        "labels": {"a": "b"},
        "annotations": {},
        "finalizers": ["x.y/z"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "o", "uid": "u"}],
    },
    "spec": {
        "nodeName": "n",
        "restartPolicy": "Never",
        "activeDeadlineSeconds": 5,
        "terminationGracePeriodSeconds": 3,
        "containers": [
            {
                "name": "c",
                "image": "x",
                "command": ["a"],
                "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
                "resources": {"limits": {"cpu": "1", "memory": "1Gi"}},
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }
        ],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}],
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
OPTIONS = {"kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Foreground", "preconditions": {}}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
KINDS = [
    "application/json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "",
    "\x7f;;=",
]


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A good object with one place of it replaced by anything."""
    whole = json.loads(json.dumps(draw(st.sampled_from([POD, OPTIONS]))))
    here: Any = whole
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return whole
        key = draw(st.sampled_from(keys))
        if not isinstance(here[key], dict | list) or not here[key] or draw(st.integers(0, 3)) == 0:
            here[key] = draw(values)
            return whole
        here = here[key]


pointers = st.sampled_from(
    ["", "/", "/metadata/labels/a", "/spec/containers/0", "/spec/containers/-", "/a~1b", "/status"]
)
operations = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test", "?"]), "path": pointers},
        optional={"from": pointers, "value": values},
    ),
    max_size=4,
)
bodies = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda value: json.dumps(value).encode(), st.one_of(values, mutated(), operations)),
    st.builds(lambda rest: b"k8s\0" + rest, st.binary(max_size=80)),
    st.builds(lambda depth: b"[" * depth + b"]" * depth, st.integers(1, 200_000)),
    st.builds(lambda depth: b'{"a":' * depth + b"1" + b"}" * depth, st.sampled_from([100, 900, 5000])),
)

roots = [f"/{'apis' if r.group else 'api'}/{r.api_version}" for r in RESOURCES]
plurals = [r.plural for r in RESOURCES]
segments = st.one_of(st.sampled_from(["namespaces", "default", "p", "status", "log", "binding", "eviction"]), words)
paths = st.one_of(
    st.builds(
        lambda index, namespace, rest: "/".join([roots[index], *namespace, plurals[index], *rest]),
        st.integers(0, len(RESOURCES) - 1),
        st.sampled_from([[], ["namespaces", "default"], ["namespaces", "default"]]),
        st.sampled_from([[], ["p"], ["p"], ["p", "status"], ["p", "log"], ["p", "binding"], ["p", "eviction"]]),
    ),
    st.builds(
        lambda root, rest: "/".join([root, *rest]), st.sampled_from(["", *roots, "/openapi"]), st.lists(segments)
    ),
)
QUERIES = [
    "watch", "labelSelector", "fieldSelector", "limit", "continue", "resourceVersion", "resourceVersionMatch", "force",
    "sendInitialEvents", "allowWatchBookmarks", "fieldValidation", "dryRun", "fieldManager", "gracePeriodSeconds",
    "propagationPolicy", "container", "previous", "sinceSeconds", "sinceTime", "tailLines", "limitBytes", "timestamps",
]  # fmt: skip
selectors = st.sampled_from(
    ["a=b", "a in (b,", "!a", "a,,b", "metadata.name=p", "status.phase!=Running", "a=b=c", "=", "("]
)
queries = st.lists(st.tuples(st.one_of(st.sampled_from(QUERIES), words), st.one_of(words, selectors)), max_size=4)


def visible(text: str) -> bytes:
    """As bytes that don't end a line or a word; everything else is the server's to judge."""
    return text.encode("utf-8", "surrogatepass").translate(None, b"\r\n ")


def request(method: str, path: str, query: list[tuple[str, str]], headers: dict[str, str], body: bytes) -> bytes:
    # A watch that was begun ends at once.
    asked = "&".join([*(f"{key}={value}" for key, value in query), "timeoutSeconds=1"])
    head = [b"%b %b?%b HTTP/1.1" % (method.encode(), visible(path) or b"/", visible(asked))]
    head += [b"Host: x", b"Connection: close", f"Content-Length: {len(body)}".encode()]
    head += [f"{name}: ".encode() + b" ".join(map(visible, value.split(" "))) for name, value in headers.items()]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


class Wire:
    """Raw connections to a server."""

    def __init__(self, server: ApiServer) -> None:
        self._port = int(server.url.rpartition(":")[2])

    async def send(self, data: bytes) -> bytes:
        """Send and end; everything that comes back until the server ends, too."""
        async with asyncio.timeout(ANSWER):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                with suppress(ConnectionError):
                    writer.write(data)
                    await writer.drain()
                    return await reader.read()
                return b""
            finally:
                writer.close()
                with suppress(ConnectionError):
                    await writer.wait_closed()

    async def leave(self, data: bytes, *, abort: bool) -> None:
        """Send and leave, politely or not, without looking at an answer."""
        _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        with suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
        if abort:
            writer.transport.abort()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def good(method: str, path: str, body: object = None) -> bytes:
    kinds = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    return request(method, path, [], kinds, b"" if body is None else json.dumps(body).encode())


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer(token=TOKEN) as server:
        yield server


@pytest.fixture
async def wire(server: ApiServer, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Wire]:
    """Connections to a server that, in the end, has nothing left of them and has complained of nothing."""
    wire = Wire(server)
    before = asyncio.all_tasks()
    caplog.set_level(logging.INFO)
    await wire.send(good("POST", "/api/v1/namespaces", {"metadata": {"name": "default"}}))
    yield wire
    async with asyncio.timeout(ANSWER):
        while len(asyncio.all_tasks()) > len(before):
            await asyncio.sleep(0.01)
    for entry in caplog.records:
        assert entry.levelno < logging.ERROR, entry.getMessage()
    assert TOKEN not in caplog.text
    assert (await wire.send(good("GET", "/healthz"))).startswith(b"HTTP/1.1 200")


def check(answer: bytes) -> None:
    assert not answer.startswith(b"HTTP/1.1 5"), answer[:2000]
    assert b"Traceback" not in answer
    assert TOKEN.encode() not in answer


@short
@given(
    method=st.sampled_from(["GET", "PUT", "PATCH", "POST", "DELETE", "HEAD", "TRACE"]),
    path=paths,
    query=queries,
    kind=st.sampled_from(KINDS),
    accept=st.sampled_from(["*/*", TABLE, "", "application/json;as=", "a/b"]),
    body=bodies,
)
async def test_any_request_is_answered(
    wire: Wire, method: str, path: str, query: list[tuple[str, str]], kind: str, accept: str, body: bytes
) -> None:
    """Whatever is asked of whatever path: an answer, and never a failure of the server's own."""
    headers = {"Content-Type": kind, "Accept": accept, "Authorization": f"Bearer {TOKEN}"}
    answer = await wire.send(request(method, path, query, headers, body))
    # HTTP/1.0 for what the first line makes no sense in.
    assert answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 400")), answer
    check(answer)


@short
@given(
    body=mutated(),
    second=mutated(),
    kind=st.sampled_from(KINDS[1:5]),
    name=st.sampled_from(["pods/p", "pods/p/status"]),
    query=queries,
)
async def test_objects_go_through_their_life_with_anything_in_them(
    wire: Wire, body: Any, second: Any, kind: str, name: str, query: list[tuple[str, str]]
) -> None:
    """Created, patched, listed, shown and deleted: what was let in is good enough for everything that follows."""
    where = "/api/v1/namespaces/default"
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": kind}
    check(
        await wire.send(good("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}}))
    )
    check(await wire.send(good("POST", f"{where}/pods", body)))
    check(await wire.send(request("PATCH", f"{where}/{name}", query, headers, json.dumps(second).encode())))
    check(await wire.send(request("GET", f"{where}/pods", query, {**headers, "Accept": TABLE}, b"")))
    check(await wire.send(good("PUT", f"{where}/{name}", second)))
    check(await wire.send(good("PATCH", f"{where}/pods/p", {"metadata": {"finalizers": None}})))
    for path in (f"{where}/pods", f"{where}/configmaps"):
        check(await wire.send(request("DELETE", path, [("gracePeriodSeconds", "0")], headers, b"")))


@short
@given(
    authorization=st.one_of(
        words,
        st.builds(lambda data: "Basic " + base64.b64encode(data).decode(), st.binary(max_size=30)),
        st.builds(lambda word: f"Bearer {word}", st.one_of(words, st.just(TOKEN[:-1]), st.just(TOKEN + "x"))),
    ),
    path=paths,
)
async def test_nothing_without_the_token(wire: Wire, authorization: str, path: str) -> None:
    """Every path is closed to those who don't have it, and the answer is the same for all."""
    answer = await wire.send(request("GET", path, [], {"Authorization": authorization}, b""))
    assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.0 400")), answer[:300]
    check(answer)


@short
@given(data=st.data(), abort=st.booleans(), size=st.sampled_from([0, 10, 5000, 10**12]))
async def test_half_requests_leave_nothing(wire: Wire, data: st.DataObject, abort: bool, size: int) -> None:
    """A client that leaves in the middle of a head, of a body or of an answer is forgotten."""
    head = f"POST /api/v1/namespaces/default/pods HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    whole = f"{head}Content-Type: application/json\r\nContent-Length: {size}\r\n\r\n".encode() + b"x" * min(size, 5000)
    await wire.leave(whole[: data.draw(st.integers(0, len(whole)))], abort=abort)
    await wire.leave(
        f"GET /api/v1/pods?watch=1 HTTP/1.1\r\nHost: x\r\n{head.split(chr(10))[2]}\n\r\n".encode(), abort=abort
    )


@short
@given(data=st.one_of(
    st.binary(max_size=200),
    st.builds(lambda a, b: a + b"\r\n" + b + b"\r\n\r\n", st.sampled_from([
        b"GET / HTTP/1.1", b"GET / HTTP/9", b"GET  /", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz",
        b"GET * HTTP/1.1", b"CONNECT a:1 HTTP/1.1", b"GET http://[ HTTP/1.1", b"GET http://a:99999999/ HTTP/1.1",
        b"PRI * HTTP/2.0", b"\x16\x03\x01",
    ]), st.binary(max_size=50)),
))  # fmt: skip
async def test_what_is_no_http_is_refused(wire: Wire, data: bytes) -> None:
    """Bytes of any kind get a refusal or the end of the connection."""
    # The end of a request that never gets one is the client's leaving.
    answer = await wire.send(data.replace(b"keep-alive", b"") + b"\r\n\r\n\r\n\r\n\xff\r\n\r\n")
    check(answer)
