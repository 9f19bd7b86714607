"""One connection to one API server: requests and streams of plain dicts, our errors, bounded retries.

Requests go through kubernetes_asyncio's client (addresses, certificates, tokens and their renewal), but
bodies stay plain dicts: its models cost 1.2 ms for one pod of 2.5 kB, against 14 µs for ``json.loads``.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from launcher.errors import ClusterError, ClusterUnreachable
from launcher.kube.errors import clean, from_response

if TYPE_CHECKING:
    import aiohttp

    from launcher.kube.target import Target

# Seconds. A connection that isn't made in 5 s won't be; an answer may take as long as the API server's
# own limit for ordinary requests, 60 s.
CONNECT_TIMEOUT = 5.0
ANSWER_TIMEOUT = 60.0

# Tries of one request that the server asked to repeat (429) or couldn't serve just now (500 and up).
TRIES = 5

# Seconds before the second try where the server names none; it doubles with each further one.
FIRST_PAUSE = 0.2

# Seconds that a server may make us wait with Retry-After.
LONGEST_PAUSE = 30.0

PATCH_TYPES = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
}


class Unfinished(bytes):
    """The last line of a stream that ended without a line's end: perhaps only a part of it."""


class Session:
    """An open connection to an API server. Use it as an async context manager.

    Example::

        async with Session(target) as session:
            pod = await session.get("/api/v1/namespaces/jobs/pods/count-1")
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self._client: Any = None

    async def __aenter__(self) -> Self:
        self._client = await self.target.client()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.close()

    async def get(self, path: str, **query: str) -> dict[str, Any]:
        """One object, or a list. Raises ``NotFound``, ``Forbidden``, ``ClusterUnreachable``, ``ClusterError``."""
        return await self._json("GET", path, query)

    async def create(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """POST ``body`` to a collection or a subresource. Raises ``Conflict`` when the name is taken."""
        return await self._json("POST", path, query, body)

    async def replace(self, path: str, body: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """PUT ``body``. Raises ``Conflict`` when its resource version is no longer the newest."""
        return await self._json("PUT", path, query, body)

    async def patch(self, path: str, body: Any, *, how: str = "merge", **query: str) -> dict[str, Any]:
        """PATCH with ``how``: merge, json or strategic."""
        return await self._json("PATCH", path, query, body, PATCH_TYPES[how])

    async def delete(self, path: str, *, uid: str = "", grace: int | None = None, **query: str) -> dict[str, Any]:
        """DELETE one object; with ``uid``, only that very object, whatever took its name meanwhile.

        ``grace`` is in seconds. Raises ``Conflict`` when the uid is another, ``NotFound`` when it is gone.
        """
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        return await self._json("DELETE", path, query, options)

    @asynccontextmanager
    async def lines(
        self, path: str, query: Mapping[str, str], *, idle: float | None = None
    ) -> AsyncGenerator[AsyncIterator[bytes]]:
        """The lines of a streamed answer (a watch, a log), without their line ends, closed on leaving.

        ``idle`` is how many seconds may pass without a byte before the stream counts as broken; None is no
        limit. Raises as ``get`` does; a connection that is lost in the middle raises ``ClusterUnreachable``.
        """
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT, sock_read=idle)
        response = await self._send("GET", path, query, None, None, timeout)
        try:
            if not 200 <= response.status < 300:
                raise await _error(response, f"GET {path}")
            yield self._split(response)
        finally:
            response.close()

    async def _split(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        # Not readline(): its limit is a buffer's size, and one object may have 1.5 MiB.
        import aiohttp

        rest = bytearray()
        try:
            async for chunk in response.content.iter_any():
                rest += chunk
                if b"\n" in chunk:
                    *whole, tail = bytes(rest).split(b"\n")
                    rest = bytearray(tail)
                    for line in whole:
                        yield line
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ClusterUnreachable(self._unreachable(exc)) from exc
        if rest:
            yield Unfinished(rest)

    async def _json(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any = None,
        content_type: str | None = None,
    ) -> dict[str, Any]:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(method, path, query, body, content_type)
            except ClusterError as exc:
                if attempt == TRIES or not _worth_another_try(exc, method):
                    raise
                await asyncio.sleep(_pause(exc, attempt))
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, path: str, query: Mapping[str, str], body: Any, content_type: str | None
    ) -> dict[str, Any]:
        import aiohttp

        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        response = await self._send(method, path, query, body, content_type, timeout)
        try:
            if not 200 <= response.status < 300:
                raise await _error(response, f"{method} {path}")
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ClusterUnreachable(self._unreachable(exc)) from exc
        finally:
            response.release()
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as exc:
            raise ClusterError(
                f"{self.target.name} answered {method} {path} with something that isn't JSON:"
                f" {clean(data.decode('utf-8', 'replace'), 80)}. Is it a Kubernetes API server?"
            ) from exc
        return value if isinstance(value, dict) else {"value": value}

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Any,
        content_type: str | None,
        timeout: aiohttp.ClientTimeout,
    ) -> aiohttp.ClientResponse:
        import aiohttp

        headers = {"Accept": "application/json", "User-Agent": "podlauncher"}
        if body is not None:
            headers["Content-Type"] = content_type or "application/json"
        try:
            await self._client.update_params_for_auth(headers, [], ["BearerToken"])
            response: aiohttp.ClientResponse = await self._client.rest_client.request(
                method,
                self._client.configuration.host.rstrip("/") + path,
                query_params=list(query.items()),
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=timeout,
            )
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ClusterUnreachable(self._unreachable(exc)) from exc
        return response

    def _unreachable(self, exc: BaseException) -> str:
        reason = clean(str(exc) or type(exc).__name__, 200)
        return f"no answer from {self.target.name}: {reason} ({self.target.remedy})"


async def _error(response: aiohttp.ClientResponse, request: str) -> ClusterError:
    body = await response.content.read(64 * 1024)
    return from_response(response.status, body, response.headers.get("Retry-After"), request)


def _worth_another_try(exc: ClusterError, method: str) -> bool:
    # A server that names a time to come back didn't do what was asked, so a POST may go again too.
    if exc.status == 429 or exc.retry_after is not None:
        return True
    return method == "GET" and exc.status >= 500


def _pause(exc: ClusterError, attempt: int) -> float:
    if exc.retry_after is not None:
        return min(exc.retry_after, LONGEST_PAUSE)
    # Spread over half to whole, so that many clients that were refused together don't return together.
    return FIRST_PAUSE * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
