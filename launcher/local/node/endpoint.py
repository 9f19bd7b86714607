"""A kubelet's own HTTPS server, as far as an API server asks it for logs.

It listens on the loopback alone and answers nobody without a certificate that the given context trusts. Which
lines are sent, and what is said when there are none, is the local API server's own rendering.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from datetime import UTC, datetime
from typing import Any, Self

import attrs
from aiohttp import hdrs, web

from launcher.errors import ClusterError, NotFound
from launcher.kube.session import Session
from launcher.local.api.log import Choice, PodLogs, answer
from launcher.local.api.query import Query
from launcher.local.api.resources import BY_KIND
from launcher.local.api.status import StatusError
from launcher.local.api.store import Stored
from launcher.local.node.status import ADDRESS

log = logging.getLogger("launcher")

# Seconds that answers under way may take once the node ends; followed logs end by themselves at once.
SHUTDOWN = 2.0

_NAME = r"([a-z0-9][a-z0-9.-]{0,252})"
_LOGS = re.compile(rf"/containerLogs/{_NAME}/{_NAME}/{_NAME}")


def _demanding(_endpoint: Endpoint, _field: attrs.Attribute[ssl.SSLContext], context: ssl.SSLContext) -> None:
    if context.verify_mode is not ssl.CERT_REQUIRED:
        raise ValueError("a node's endpoint needs an SSL context with verify_mode CERT_REQUIRED: logs hold secrets")


@attrs.frozen
class Endpoint:
    """Where a node serves logs: its own certificate, and whose certificates it trusts, are in ``ssl``.

    ``port`` 0 is any free one. Raises ``ValueError`` for a context that asks clients for no certificate.
    """

    ssl: ssl.SSLContext = attrs.field(validator=_demanding, repr=False)
    port: int = 0


class Kubelet:
    """Serves ``logs`` at ``endpoint``. Use it as an async context manager; ``port`` is known once it is entered."""

    def __init__(self, endpoint: Endpoint, session: Session, logs: PodLogs) -> None:
        self.port = 0
        self._endpoint = endpoint
        self._session = session
        self._logs = logs
        self._closing = asyncio.Event()
        server = web.Server(self._handle, access_log=None, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, ADDRESS, self._endpoint.port, ssl_context=self._endpoint.ssl).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._closing.set()
        await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        found = _LOGS.fullmatch(request.rel_url.raw_path)
        if found is None or request.method != hdrs.METH_GET:
            return web.Response(status=404, text="404 page not found\n")
        try:
            return await self._log(request, *found.groups())
        except StatusError as exc:
            # A kubelet answers in plain text; the API server makes a Status of it.
            return web.Response(status=exc.code, text=exc.message)
        except NotFound:
            return web.Response(status=404, text=f'pod "{found[2]}" not found\n')
        except ClusterError as exc:
            log.warning("the log of pod %s/%s can't be read now: %s", found[1], found[2], exc)
            return web.Response(status=503, text="the API server doesn't answer this node\n")

    async def _log(self, request: web.BaseRequest, namespace: str, name: str, container: str) -> web.StreamResponse:
        found: dict[str, Any] = await self._session.get(f"/api/v1/namespaces/{namespace}/pods/{name}")
        pod = Stored.of(BY_KIND["Pod"], found, b"", 0)
        choice = Choice.of(pod, Query({**request.rel_url.query, "container": container}), datetime.now(UTC))
        return await answer(request, self._logs, pod, choice, self._closing)
