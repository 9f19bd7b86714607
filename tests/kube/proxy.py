"""A real API server behind a bad line: requests pass through, but for those that a test loses, refuses or holds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import attrs
from aiohttp import web

# Headers that belong to one connection and not to what it carries.
_OWN = {"host", "connection", "transfer-encoding", "content-length"}


@attrs.define
class Rule:
    """What happens to the next requests of a kind: ``lose`` the answer, ``refuse`` with a status, or ``hold`` it back.

    A held request has been done by the server; its answer waits for ``released``. ``came`` is set when one comes.
    """

    method: str
    path: str
    do: str = "pass"
    status: int = 503
    times: int = 1
    came: asyncio.Event = attrs.field(factory=asyncio.Event)
    released: asyncio.Event = attrs.field(factory=asyncio.Event)

    def fits(self, request: web.Request) -> bool:
        """Whether this request is one of those."""
        return self.times > 0 and request.method == self.method and re.search(self.path, request.path) is not None


class Proxy:
    """Passes requests on to a server, as its rules say."""

    def __init__(self, target: str, client: aiohttp.ClientSession) -> None:
        self.rules: list[Rule] = []
        self.url = ""
        self._target = target
        self._client = client

    def rule(self, method: str, path: str, do: str = "pass", **fields: Any) -> Rule:
        """One more rule."""
        made = Rule(method, path, do, **fields)
        self.rules.append(made)
        return made

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on."""
        rule = next((rule for rule in self.rules if rule.fits(request)), Rule("", ""))
        rule.times -= 1
        rule.came.set()
        if rule.do == "refuse":
            return web.json_response({"kind": "Status", "message": "the line is bad"}, status=rule.status)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _OWN}
        url, body = self._target + request.raw_path, await request.read()
        async with self._client.request(request.method, url, headers=headers, data=body) as answer:
            if rule.do == "lose":
                await answer.read()
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            if rule.do == "hold":
                await rule.released.wait()
            return await _passed_on(request, answer)


async def _passed_on(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    await response.prepare(request)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    return response


@asynccontextmanager
async def bad_line(target: str) -> AsyncIterator[Proxy]:
    """A proxy on a free port of the loopback device."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as client:
        proxy = Proxy(target, client)
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            proxy.url = f"http://{host}:{port}"
            yield proxy
        finally:
            await runner.cleanup()
