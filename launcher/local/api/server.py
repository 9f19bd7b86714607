"""The API server: listens, knows who asks, finds what answers, and turns every failure into a Status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from launcher.local.api import discovery, openapi
from launcher.local.api.endpoints import Call, Endpoints
from launcher.local.api.log import PodLogs
from launcher.local.api.query import Query
from launcher.local.api.registry import Registry
from launcher.local.api.routes import parse_path
from launcher.local.api.state import State
from launcher.local.api.status import (
    RETRY_AFTER,
    StatusError,
    bad_request,
    internal_error,
    method_not_allowed,
    too_many_requests,
    unauthorized,
)
from launcher.local.api.store import encode
from launcher.local.api.tokens import Tokens

_log = logging.getLogger("launcher")

# The loopback alone: whoever has the token may do everything.
HOST = "127.0.0.1"

# Seconds that answers under way may take once the server closes. Watches and logs end by themselves at once.
SHUTDOWN = 2.0

# Connections that may wait to be accepted: a batch opens hundreds at once.
BACKLOG = 1024

# Bytes of a request's first line: selectors that name hundreds of runs are long.
LINE_MAX = 64 * 1024

# Requests that may be under way at once, watches and logs aside: each holds up to a whole body. Twice what a batch of
# 500 pods sends at once.
IN_FLIGHT_MAX = 1000

# What refusals call the options of a request.
_OPTIONS = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions", "DELETE": "DeleteOptions"}

_HEALTH = ("/healthz", "/livez", "/readyz")

# Where kubectl looks for a schema of a List, to check it itself, in protobuf: an empty document tells it nothing, so
# that it leaves the checks to the server.
_OPENAPI_V2 = "/openapi/v2"


class _Wire(logging.LoggerAdapter[logging.Logger]):
    """What the HTTP library says. That somebody sent what is no HTTP is no failure of ours, and told without the words:
    they may hold a token."""

    def exception(self, msg: object, *args: object, exc_info: Any = True, **how: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self.debug("the local cluster's API was sent something that is no HTTP: %s", type(exc_info).__name__)
        else:
            super().exception(msg, *args, exc_info=exc_info, **how)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class ApiServer:
    """A Kubernetes API server in this process. Use it as an async context manager.

    ``token`` is the bearer token that every request must carry. ``logs`` may be set later, when the node
    comes. ``port`` 0 takes a free one; ``clock`` gives an aware time. Raises ``OSError`` on entering when the
    port is taken. With a ``state`` it begins with the objects kept there, and keeps there what is written; raises
    ``LauncherError`` when they can't be read.

    Example::

        async with ApiServer(token=token) as server:
            session = Session(Address(server.url, token))
    """

    def __init__(
        self,
        *,
        token: str,
        logs: PodLogs | None = None,
        clock: Callable[[], datetime] = _utc_now,
        port: int = 0,
        state: State | None = None,
    ) -> None:
        if not token:
            raise ValueError("the API server needs a token: without one anybody on this machine could use it")
        self.url = ""
        self._port = port
        self._documents: dict[str, bytes] = {}
        self._closing = asyncio.Event()
        self._in_flight = 0
        self._registry = Registry(clock, state)
        self._tokens = Tokens(token)
        self._endpoints = Endpoints(self._registry, self._tokens, self._closing)
        self._endpoints.logs = logs
        server = web.Server(
            self._handle, access_log=None, logger=_Wire(_log), handler_cancellation=True, max_line_size=LINE_MAX
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN)

    @property
    def logs(self) -> PodLogs | None:
        """Where containers' logs come from."""
        return self._endpoints.logs

    @logs.setter
    def logs(self, logs: PodLogs | None) -> None:
        self._endpoints.logs = logs

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self._port, backlog=BACKLOG).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        address = f"{HOST}:{self._runner.addresses[0][1]}"
        self.url = f"http://{address}"
        documents = {path: encode(document) for path, document in discovery.documents(address).items()}
        # Clients that only want to know whether it lives.
        self._documents = {**documents, **dict.fromkeys(_HEALTH, b"ok"), _OPENAPI_V2: b""}
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing.set()
        for table in self._registry.store.tables.values():
            table.wake()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except StatusError as exc:
            return _refusal(exc)
        except RecursionError:
            return _refusal(bad_request("the object is nested too deeply"))
        except ConnectionError:
            # The client has left in the middle of its answer; nobody is there to read another.
            raise
        except Exception:
            _log.exception("the local cluster's API failed on %s %s", request.method, request.path)
            return _refusal(internal_error())

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        user = self._tokens.user(request.headers.get(hdrs.AUTHORIZATION, ""), self._registry.now())
        if user is None:
            raise unauthorized()
        path = request.rel_url.raw_path
        if path in self._documents:
            return self._document(request, self._documents[path])
        if path.startswith(openapi.PREFIX):
            return self._document(request, openapi.encoded(path))
        query: dict[str, str] = dict(request.rel_url.query) if request.rel_url.raw_query_string else {}
        call = Call(request, parse_path(path), Query(query, _OPTIONS.get(request.method, "ListOptions")), user)
        if call.lasting:
            return await self._endpoints.answer(call)
        if self._in_flight >= IN_FLIGHT_MAX:
            raise too_many_requests()
        self._in_flight += 1
        try:
            return await self._endpoints.answer(call)
        finally:
            self._in_flight -= 1

    def _document(self, request: web.BaseRequest, document: bytes) -> web.StreamResponse:
        if request.method != hdrs.METH_GET:
            raise method_not_allowed()
        kind = "text/plain" if request.path in _HEALTH else "application/json"
        return web.Response(body=document, headers={"Content-Type": kind})


def _refusal(error: StatusError) -> web.Response:
    headers = {"Content-Type": "application/json"}
    if error.code == 429:
        headers["Retry-After"] = str(RETRY_AFTER)
    return web.Response(body=encode(error.body()), status=error.code, headers=headers)
