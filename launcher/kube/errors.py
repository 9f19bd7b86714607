"""Where the cluster library's failures become ours: one place, most specific first.

Text that a server sent is cut and cleaned of control characters before it reaches a message.
"""

from __future__ import annotations

import json
from typing import Any

from launcher.errors import ClusterError, Conflict, Forbidden, NotFound

# Characters of a server's text that a message keeps: enough for the API's longest usual sentence
# (a pod refused by Pod Security, about 400), too little for a page of HTML.
SERVER_TEXT = 600

_BY_STATUS: dict[int, type[ClusterError]] = {403: Forbidden, 404: NotFound, 409: Conflict}


def clean(text: str, limit: int = SERVER_TEXT) -> str:
    """A server's text, safe for a terminal: printable, on one line, at most ``limit`` characters."""
    flat = " ".join("".join(ch if ch.isprintable() else " " for ch in text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def from_response(status: int, body: bytes, retry_after: str | None, request: str) -> ClusterError:
    """The error for an HTTP answer that isn't 2xx; ``request`` names what was asked (``GET /api/v1/pods``)."""
    details = _status_object(body)
    text = clean(str(details.get("message") or body.decode("utf-8", "replace") or "no reason given"))
    kind = _BY_STATUS.get(status, ClusterError)
    hint = " (are the credentials of this context still valid?)" if status == 401 else ""
    return kind(
        f"the cluster answered {status} to {request}: {text}{hint}",
        status=status,
        reason=str(details.get("reason", "")),
        retry_after=_seconds(retry_after),
    )


def _status_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header is not None else None
    except ValueError:
        return None
