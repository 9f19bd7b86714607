"""An API server that does what it is told to, and no more: answers in order, cut where a test wants them cut."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from launcher.kube.target import Address

TOKEN = "a-very-secret-token"
PODS = "/api/v1/namespaces/jobs/pods"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers each request with the next of its answers for that kind, the last one again and again."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.gets: list[Answer] = []
        self.watches: list[Answer] = []
        self.logs: list[Answer] = []
        self.writes: list[Answer] = []
        self.url = ""
        self._web = web.Server(self._handle, access_log=None)
        self._site: web.TCPSite | None = None
        self._runner = web.ServerRunner(self._web, shutdown_timeout=0.1)

    @property
    def address(self) -> Address:
        """What a session is opened on."""
        return Address(self.url, TOKEN)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._web.connections)

    def of(self, kind: str) -> list[web.BaseRequest]:
        """The requests that were watches, logs, gets or writes, in order."""
        return [request for request in self.requests if _kind(request) == kind]

    async def start(self) -> None:
        """Listen on a free port of the loopback device."""
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await self._site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        self.requests.append(request)
        answers: list[Answer] = getattr(self, _kind(request))
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        return await answer(request)  # type: ignore[arg-type]


def _kind(request: web.BaseRequest) -> str:
    if request.method != "GET":
        return "writes"
    if request.path.endswith("/log"):
        return "logs"
    return "watches" if "watch" in request.query else "gets"


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server that listens, and at its end has no client left: whoever connected has closed its connection."""
    server = Server()
    await server.start()
    try:
        yield server
        async with asyncio.timeout(2):
            while server.connections:
                await asyncio.sleep(0.005)
    finally:
        await server.stop()


def answer(body: Any = None, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """JSON, or a text as it is."""

    async def respond(request: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/html" if isinstance(body, str) else "application/json"
        return web.Response(text=text, status=status, headers=headers, content_type=kind)

    return respond


def refusal(status: int, message: str = "no", reason: str = "", **headers: str) -> Answer:
    """A Kubernetes Status."""
    body = {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": status}
    return answer(body, status, {name.replace("_", "-"): value for name, value in headers.items()})


def drop() -> Answer:
    """No answer at all: the connection is cut."""

    async def respond(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return respond


def stream(*parts: str | bytes, end: str = "clean", until: asyncio.Event | None = None) -> Answer:
    """A chunked answer in these parts; then it ends ``clean``, is ``cut``, or stays open until the client leaves."""

    async def respond(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in parts:
            await response.write(part.encode() if isinstance(part, str) else part)
        if until is not None:
            await until.wait()
        if end == "cut":
            assert request.transport is not None
            request.transport.close()
        elif end == "open":
            # Until the client leaves: the server then cancels this handler's wait.
            while request.transport is not None and not request.transport.is_closing():
                await asyncio.sleep(0.005)
        return response

    return respond


def pod(name: str, version: int, **status: Any) -> dict[str, Any]:
    """A small pod."""
    meta = {"name": name, "namespace": "jobs", "uid": f"uid-{name}", "resourceVersion": str(version)}
    return {"metadata": meta, "spec": {"containers": [{"name": "main"}]}, "status": status}


def pod_list(version: int, *items: dict[str, Any]) -> Answer:
    """A list of pods."""
    return answer({"kind": "PodList", "metadata": {"resourceVersion": str(version)}, "items": list(items)})


def event(kind: str, item: dict[str, Any]) -> str:
    """One line of a watch."""
    return json.dumps({"type": kind, "object": item}) + "\n"


def bookmark(version: int) -> str:
    """A line that only tells how far the watch is."""
    return event("BOOKMARK", {"metadata": {"resourceVersion": str(version)}})


def gone() -> str:
    """The line by which a server says that it has forgotten."""
    return event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})


async def first(events: AsyncIterator[Any], count: int, seconds: float = 5) -> list[Any]:
    """The first of what comes."""
    found: list[Any] = []
    async with asyncio.timeout(seconds):
        while len(found) < count:
            found.append(await anext(events))
    return found


def versions(requests: Iterable[web.BaseRequest]) -> list[str]:
    """The versions that watches were begun from."""
    return [request.query["resourceVersion"] for request in requests]
