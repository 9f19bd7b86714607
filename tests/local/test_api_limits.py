"""What the API takes of many requests at once, and of bodies made to cost it time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from io import BytesIO
from time import process_time
from typing import Any

import aiohttp
import pytest

from launcher.local.api import ApiServer
from launcher.local.api.protobuf import PROTOBUF
from launcher.local.api.server import IN_FLIGHT_MAX

TOKEN = "limits-token"
NAMESPACES = "/api/v1/namespaces"
CONFIGS, PODS = f"{NAMESPACES}/jobs/configmaps", f"{NAMESPACES}/jobs/pods"

# Bytes: nearly as long as a body may be.
LONG = 3 * 1024 * 1024 - 1024

# Seconds of this process's time that a hostile body may cost, on a busy machine.
COST = 1.0


@pytest.fixture
async def server() -> AsyncIterator[ApiServer]:
    async with ApiServer(token=TOKEN) as server:
        yield server


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that opens as many connections as it is asked to."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with aiohttp.ClientSession(server.url, headers=headers, connector=aiohttp.TCPConnector(limit=0)) as http:
        async with http.post(NAMESPACES, json={"metadata": {"name": "jobs"}}) as answer:
            assert answer.status == 201
        yield http


async def unfinished(url: str) -> asyncio.StreamWriter:
    """A request whose body doesn't come."""
    _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    head = f"POST {CONFIGS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    await writer.drain()
    return writer


async def becomes(http: aiohttp.ClientSession, status: int) -> aiohttp.ClientResponse:
    """The first answer with that status, of as many as are enough for the server to notice what has changed."""
    for _ in range(5000):
        async with http.get(CONFIGS) as answer:
            await answer.read()
            if answer.status == status:
                return answer
    raise AssertionError(f"no answer was {status}")


async def test_one_request_too_many(server: ApiServer, http: aiohttp.ClientSession) -> None:
    """With as many requests under way as may be another is 429 and told when to come again; watches don't count."""
    async with asyncio.TaskGroup() as group:
        opened = [group.create_task(unfinished(server.url)) for _ in range(IN_FLIGHT_MAX)]
    try:
        refused = await becomes(http, 429)
        assert refused.headers["Retry-After"] == "1"
        assert await refused.json() == {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": "Too many requests, please try again later.",
            "reason": "TooManyRequests",
            "details": {"retryAfterSeconds": 1},
            "code": 429,
        }
        for path in (f"{CONFIGS}?watch=true&timeoutSeconds=1", "/healthz"):
            async with http.get(path) as answer:
                assert answer.status == 200
    finally:
        for task in opened:
            task.result().close()
    await becomes(http, 200)


async def test_a_batch_is_not_too_many(http: aiohttp.ClientSession) -> None:
    """Five hundred pods are created at once, each on its own connection, and while a hundred watch."""
    watches = [await http.get(f"{PODS}?watch=true") for _ in range(100)]

    async def create(number: int) -> int:
        pod = {"metadata": {"name": f"p-{number}"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
        async with http.post(PODS, json=pod) as answer:
            return answer.status

    try:
        async with asyncio.TaskGroup() as group:
            created = [group.create_task(create(number)) for number in range(500)]
    finally:
        for watch in watches:
            watch.close()
    assert {task.result() for task in created} == {201}


def _protobuf(kind: str, raw: bytes) -> bytes:
    def field(number: int, value: bytes) -> bytes:
        length, size = len(value), b""
        while length > 0x7F:
            length, size = length >> 7, size + bytes([length & 0x7F | 0x80])
        return bytes([number << 3 | 2]) + size + bytes([length]) + value

    return b"k8s\0" + field(1, field(1, b"v1") + field(2, kind.encode())) + field(2, raw)


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        (PROTOBUF, _protobuf("ConfigMap", b"\x12\x00" * (LONG // 2)), 400),
        (PROTOBUF, _protobuf("ConfigMap", b"\x7a\x00" * (LONG // 2)), 400),
        (PROTOBUF, _protobuf("DeleteOptions", b"\x2a\x00" * (LONG // 2)), 400),
        ("application/json", b'{"data":{' + b'"%d":"",' * 200_000 % (*range(199_999), 7) + b'"z":""}}', 422),
    ],
    ids=["entries", "unknown fields", "a list", "a repeated field"],
)
async def test_costly_bodies(http: aiohttp.ClientSession, kind: str, body: bytes, code: int) -> None:
    """A body of three megabytes that is all fields is refused before it has cost much."""
    before = process_time()
    async with http.post(CONFIGS, data=BytesIO(body), headers={"Content-Type": kind}) as answer:
        status: dict[str, Any] = json.loads(await answer.read())
    assert (answer.status, status["code"]) == (code, code)
    assert process_time() - before < COST


async def test_fields_beyond_the_limit(http: aiohttp.ClientSession) -> None:
    """Too many fields in protobuf are 400 and said so."""
    body = _protobuf("ConfigMap", b"\x12\x00" * 100_001)
    async with http.post(CONFIGS, data=body, headers={"Content-Type": PROTOBUF}) as answer:
        assert (answer.status, (await answer.json())["message"]) == (
            400,
            "the body of the request is not valid protobuf: it has too many fields",
        )


async def test_a_namespace_is_finalized(http: aiohttp.ClientSession) -> None:
    """Whoever takes the last finalizer from the spec of an ending namespace has it gone, with content left in it."""
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    async with http.post(CONFIGS, json=held) as answer:
        assert answer.status == 201
    namespace = {"metadata": {"name": "jobs"}, "spec": {"finalizers": []}}
    async with http.put(f"{NAMESPACES}/jobs/finalize?dryRun=All", json=namespace) as answer:
        assert (answer.status, (await answer.json())["spec"]) == (200, {})
    async with http.put(f"{NAMESPACES}/jobs", json=namespace) as answer:
        assert (await answer.json())["spec"] == {"finalizers": ["kubernetes"]}
    async with http.delete(f"{NAMESPACES}/jobs?dryRun=All") as answer:
        assert (await answer.json())["status"]["phase"] == "Terminating"
    async with http.get(f"{NAMESPACES}/jobs") as answer:
        assert (await answer.json())["status"]["phase"] == "Active"
    async with http.delete(f"{NAMESPACES}/jobs") as answer:
        assert (await answer.json())["status"]["phase"] == "Terminating"
    async with http.put(f"{NAMESPACES}/jobs/finalize", json=namespace) as answer:
        assert answer.status == 200
    async with http.get(f"{NAMESPACES}/jobs") as answer:
        assert answer.status == 404
