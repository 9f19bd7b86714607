"""Lists: chosen, paged and joined from the objects' own encoded bytes. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import attrs

from launcher.local.api.query import Query
from launcher.local.api.registry import Registry
from launcher.local.api.resources import Resource
from launcher.local.api.selectors import selector
from launcher.local.api.status import StatusError, bad_request, forbidden_value, invalid_options, unsupported
from launcher.local.api.store import Stored, encode

_MATCHES = ("Exact", "NotOlderThan", "")


@attrs.frozen
class Page:
    """One page of a list and its metadata: the version to watch from, and how to go on."""

    items: list[Stored]
    metadata: dict[str, Any]


def list_page(registry: Registry, resource: Resource, namespace: str, query: Query) -> Page:
    """The page that ``query`` asks for. Raises 400, 410 for a page that is too old to go on from, and 504."""
    store = registry.store
    _check_match(query)
    asked, limit = query.version("resourceVersion"), query.number("limit") or 0
    if asked > store.version:
        raise too_new(asked, store.version)
    matches = selector(resource, query.text("labelSelector"), query.text("fieldSelector"))
    found = store.tables[resource].select(namespace, matches)
    version = store.version
    if token := query.text("continue"):
        version, last = _decode(token)
        # Raises when a watch from that version, with which the client will go on, is no longer possible.
        store.tables[resource].since(version)
        found = [stored for stored in found if stored.key > last]
    metadata: dict[str, Any] = {"resourceVersion": str(version)}
    if 0 < limit < len(found):
        metadata["continue"] = _encode(version, found[limit - 1].key)
        if matches is None:
            metadata["remainingItemCount"] = len(found) - limit
        found = found[:limit]
    return Page(found, metadata)


def _check_match(query: Query) -> None:
    match = query.text("resourceVersionMatch")
    if match and not query.text("resourceVersion"):
        why = "resourceVersionMatch is forbidden unless resourceVersion is provided"
        raise invalid_options(query.kind, forbidden_value("resourceVersionMatch", why))
    if match not in _MATCHES:
        raise invalid_options(query.kind, unsupported("resourceVersionMatch", match, _MATCHES))


def encode_list(resource: Resource, page: Page) -> bytes:
    """The list object."""
    return joined(resource, page.items, page.metadata)


def joined(resource: Resource, items: list[Stored], metadata: dict[str, Any]) -> bytes:
    """Items in a list don't repeat their kind, which is where each one's bytes begin."""
    head = encode({"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": metadata})
    skipped = len(encode({"kind": resource.kind, "apiVersion": resource.api_version}))
    return b"".join((head[:-1], b',"items":[', b",".join([b"{" + item.encoded[skipped:] for item in items]), b"]}"))


def too_new(asked: int, current: int) -> StatusError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    details = {"causes": [cause], "retryAfterSeconds": 1}
    return StatusError(504, "Timeout", f"Too large resource version: {asked}, current: {current}", details)


def _encode(version: int, key: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(encode([version, *key])).decode()


def _decode(token: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise bad_request("continue key is not valid") from None
    if type(version) is not int or not isinstance(namespace, str) or not isinstance(name, str):
        raise bad_request("continue key is not valid")
    return version, (namespace, name)
