"""Answers that go on for long: when one fails in its middle, its connection is cut, so that the client
sees it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from launcher.local.api.status import StatusError

_log = logging.getLogger("launcher")


@contextmanager
def streamed(request: web.BaseRequest, content_type: str) -> Iterator[web.StreamResponse]:
    """An answer whose length isn't known; the caller prepares it when the first bytes are there.

    Until then failures are raised and can still be answered. After that they end here: a second answer in the
    middle of the first would be taken for a part of it.
    """
    response = web.StreamResponse(headers={"Content-Type": content_type})
    try:
        yield response
    except ConnectionError:
        # The client has left: there is nobody to tell.
        raise
    except Exception as exc:
        if not response.prepared:
            raise
        expected = isinstance(exc, StatusError | TimeoutError)
        _log.log(
            logging.DEBUG if expected else logging.ERROR,
            "the local cluster's API cut its answer to %s %s: %s",
            request.method,
            request.path,
            exc or "the client takes nothing",
            exc_info=not expected,
        )
        cut(request)


def cut(request: web.BaseRequest) -> None:
    """Drop the connection, so that the client sees that its answer isn't whole."""
    if request.transport is not None:
        request.transport.abort()
