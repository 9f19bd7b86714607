"""The part of the Kubernetes API that ``save`` asks: one container's log, with everything that may go wrong."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import attrs
from aiohttp import web

TOKEN = "the-pods-own-token"


@attrs.define
class LogServer:
    """A log of lines with their times. Until ``started`` it answers 400, with ``status`` that and nothing else.

    After ``cut_after`` lines a connection is cut, once. A follower gets the ``last`` lines and the end when ``ended``
    is set.
    """

    lines: list[tuple[str, str]]
    last: list[tuple[str, str]] = attrs.field(factory=list)
    status: int = 0
    cut_after: int = 0
    started: asyncio.Event = attrs.field(factory=asyncio.Event)
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    asked: asyncio.Event = attrs.field(factory=asyncio.Event)
    port: int = 0
    queries: list[Mapping[str, str]] = attrs.field(factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """GET …/pods/NAME/log."""
        self.queries.append(dict(request.query))
        self.asked.set()
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _refusal(401, "Unauthorized")
        if self.status:
            return _refusal(self.status, 'pods "x" is forbidden: cannot get resource "pods/log"')
        if not self.started.is_set():
            return _refusal(400, 'container "main" in pod "x" is waiting to start: PodInitializing')
        return await self._stream(request)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        since = request.query.get("sinceTime", "")[:19]
        for number, (stamp, text) in enumerate(line for line in self.lines if line[0][:19] >= since):
            if self.cut_after and number == self.cut_after:
                self.cut_after = 0
                await response.write(f"{stamp} half of a l".encode())
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(f"{stamp} {text}\n".encode())
        await self.ended.wait()
        for stamp, text in self.last:
            await response.write(f"{stamp} {text}\n".encode())
        return response


def _refusal(status: int, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": status}
    return web.json_response(body, status=status)


@contextlib.asynccontextmanager
async def log_server(server: LogServer) -> AsyncIterator[LogServer]:
    """The server, listening on loopback."""
    application = web.Application()
    application.router.add_get("/api/v1/namespaces/jobs/pods/{name}/log", server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        server.port = runner.addresses[0][1]
        yield server
    finally:
        await runner.cleanup()


def token(folder: Path) -> str:
    """The token's folder as the local cluster mounts it: its certificate is empty, since it speaks plain HTTP."""
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    (folder / "ca.crt").write_text("")
    return str(folder)


def environment(server: LogServer) -> dict[str, str]:
    """Where a pod finds the API server."""
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
