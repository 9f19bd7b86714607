"""The body of a request: read within its limit, and parsed as Kubernetes parses it."""

from __future__ import annotations

import json
import re
from typing import Any

from aiohttp import web

from launcher.local.api.protobuf import PROTOBUF, decode, is_protobuf
from launcher.local.api.schema_notes import mapping
from launcher.local.api.status import StatusError, bad_request, too_large, unsupported_media_type

# Bytes of a request's body, as the API server limits it.
BODY_MAX = 3 * 1024 * 1024

JSON = "application/json"
YAML = "application/yaml"


async def read_body(request: web.BaseRequest) -> bytes:
    """The whole body. Raises 413 when it is too long, without reading on."""
    if (request.content_length or 0) > BODY_MAX:
        raise _too_long()
    data = bytearray()
    async for chunk in request.content.iter_any():
        data += chunk
        if len(data) > BODY_MAX:
            raise _too_long()
    return bytes(data)


def _too_long() -> StatusError:
    return too_large(f"Request entity too large: limit is {BODY_MAX}")


async def read_json(request: web.BaseRequest) -> Any:
    """The body as JSON, or as what JSON would have said. Raises ``StatusError`` 400, 413 and 415."""
    # aiohttp's word for a request without a type; Kubernetes takes such a body as JSON.
    if request.content_type not in (JSON, PROTOBUF, "application/octet-stream"):
        raise unsupported_media_type([JSON, YAML, PROTOBUF])
    return parse_object(await read_body(request))


def parse_object(body: bytes) -> Any:
    """JSON or Kubernetes' protobuf, told apart by how they begin. Raises ``StatusError`` 400 and 415."""
    return decode(body) if is_protobuf(body) else parse_json(body)


def parse_json(body: bytes) -> Any:
    """JSON as Kubernetes reads it. Raises a 400 ``StatusError``."""
    try:
        value = json.loads(body, parse_constant=_no_constant, object_pairs_hook=mapping)
        if re.search(rb"\\u[dD][89a-fA-F]", body):
            value = _without_surrogates(value)
    except ValueError as exc:
        raise bad_request(f"the body of the request is not valid JSON: {exc}") from None
    except RecursionError:
        raise bad_request("the body of the request is not valid JSON: exceeded max depth") from None
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"invalid literal {name}")


def _without_surrogates(value: Any) -> Any:
    # A lone half of a pair can't be written as UTF-8 by anybody who gets the object; Go replaces it too.
    raw = json.dumps(value, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    return json.loads(raw.decode("utf-16-le", "replace"))
