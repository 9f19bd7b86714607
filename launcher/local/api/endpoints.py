"""What each method does on each kind of path: requests in, answers out. The verbs themselves are
elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import attrs
from aiohttp import hdrs, web

from launcher.local.api import log, subresources, tables, watches
from launcher.local.api.apply import APPLY, Applier, parse_yaml
from launcher.local.api.bodies import JSON, YAML, parse_json, parse_object, read_body, read_json
from launcher.local.api.intake import rfc3339
from launcher.local.api.listing import encode_list, joined, list_page
from launcher.local.api.patch import PATCHES
from launcher.local.api.query import Query
from launcher.local.api.registry import Registry, Writing, Written
from launcher.local.api.removal import Deletion
from launcher.local.api.routes import Route
from launcher.local.api.selectors import selector
from launcher.local.api.status import (
    forbidden_value,
    invalid_options,
    method_not_allowed,
    required,
    unsupported_media_type,
)
from launcher.local.api.store import Stored, encode
from launcher.local.api.tokens import Tokens

# Warnings of one answer, and characters of each: they travel in its headers.
_WARNINGS_MAX, _WARNING_LENGTH = 20, 200


@attrs.frozen
class Call:
    """One request, understood: whose, where and how."""

    request: web.BaseRequest
    route: Route
    query: Query
    user: str

    @property
    def writing(self) -> Writing:
        return Writing(self.query.field_validation, self.query.dry_run)

    @property
    def lasting(self) -> bool:
        """Whether its answer takes as long as the client likes: a watch or a log."""
        listed = self.request.method == hdrs.METH_GET and not self.route.name
        return self.route.subresource == "log" or (listed and self.query.flag("watch") is True)

    @property
    def accepts(self) -> str:
        return self.request.headers.get(hdrs.ACCEPT, "")


class Endpoints:
    """The answers to calls. ``logs`` is where containers' logs come from, None when there is no node yet."""

    def __init__(self, registry: Registry, tokens: Tokens, closing: asyncio.Event) -> None:
        self.logs: log.PodLogs | None = None
        self._registry = registry
        self._tokens = tokens
        self._closing = closing

    async def answer(self, call: Call) -> web.StreamResponse:
        """Raises ``StatusError`` for everything that is refused."""
        route, method = call.route, call.request.method
        if route.subresource:
            endpoint = _SUBRESOURCES[route.subresource].get(method)
        elif not route.resource.stored:
            placed = bool(route.namespace) is route.resource.namespaced
            asked = method == hdrs.METH_POST and not route.name and placed
            endpoint = Endpoints._review if asked else None
        elif (route.resource.namespaced and not route.namespace and method != hdrs.METH_GET) or (
            method == hdrs.METH_DELETE and not route.name and not route.resource.deleted_together
        ):
            endpoint = None
        else:
            endpoint = (_OBJECT if route.name else _COLLECTION).get(method)
        if endpoint is None:
            raise method_not_allowed()
        return await endpoint(self, call)

    async def _list(self, call: Call) -> web.StreamResponse:
        if call.query.flag("watch"):
            watch = watches.Watch.of(
                self._registry.store,
                call.route.resource,
                call.route.namespace,
                call.query,
                self._render(call),
            )
            return await watches.stream(call.request, watch, self._closing)
        page = list_page(self._registry, call.route.resource, call.route.namespace, call.query)
        if tables.wanted(call.accepts):
            return _answer(encode(self._table(call, page.items, page.metadata)))
        return _answer(encode_list(call.route.resource, page))

    async def _create(self, call: Call) -> web.StreamResponse:
        body = await _read_object(call.request)
        route = call.route
        return _written(self._registry.create(route.resource, route.namespace, body, call.writing), 201)

    async def _delete_all(self, call: Call) -> web.StreamResponse:
        deletion = await self._deletion(call)
        route, query = call.route, call.query
        matches = selector(route.resource, query.text("labelSelector"), query.text("fieldSelector"))
        if deletion.dry_run:
            gone = self._registry.store.tables[route.resource].select(route.namespace, matches)
        else:
            gone = self._registry.delete_all(route.resource, route.namespace, matches, deletion)
        metadata = {"resourceVersion": str(self._registry.store.version)}
        return _answer(joined(route.resource, gone, metadata))

    async def _get(self, call: Call) -> web.StreamResponse:
        stored = self._stored(call)
        if tables.wanted(call.accepts):
            metadata = {"resourceVersion": str(stored.version)}
            return _answer(encode(self._table(call, [stored], metadata)))
        return _answer(stored.encoded)

    async def _replace(self, call: Call) -> web.StreamResponse:
        body = await _read_object(call.request)
        # Looked up after the body has come: it may have changed meanwhile.
        stored = self._stored(call)
        route = call.route
        return _written(self._registry.replace(route.resource, stored, body, call.writing, route.subresource))

    async def _patch(self, call: Call) -> web.StreamResponse:
        kind, query = call.request.content_type, call.query
        if kind == APPLY and not call.route.subresource:
            return await self._apply(call)
        if kind not in PATCHES:
            raise unsupported_media_type([*PATCHES, APPLY])
        if query.flag("force") is not None:
            raise invalid_options(query.kind, forbidden_value("force", "may not be specified for non-apply patch"))
        body = await read_body(call.request)
        stored, route = self._stored(call), call.route
        patch = parse_json(body)
        return _written(self._registry.patch(route.resource, stored, patch, kind, call.writing, route.subresource))

    async def _apply(self, call: Call) -> web.StreamResponse:
        route, query = call.route, call.query
        manager = query.text("fieldManager")
        if not manager:
            raise invalid_options(query.kind, required("fieldManager", "is required for apply patch"))
        applied = parse_yaml(await read_body(call.request))
        applier = Applier(manager, rfc3339(self._registry.now()), force=query.flag("force") is True)
        place = (route.namespace, route.name)
        written, new = self._registry.apply(route.resource, place, applied, applier, call.writing)
        return _written(written, 201 if new else 200)

    async def _delete(self, call: Call) -> web.StreamResponse:
        deletion = await self._deletion(call)
        stored, resource = self._stored(call), call.route.resource
        if deletion.dry_run:
            shown = encode(self._registry.deleted(resource, stored, deletion))
        else:
            stored = self._registry.delete(resource, stored, deletion)
            shown = stored.encoded
        if resource.returns_deleted or stored.metadata.get("finalizers"):
            return _answer(shown)
        details: dict[str, Any] = {"name": stored.key[1], "kind": resource.plural, "uid": stored.metadata["uid"]}
        if resource.group:
            details["group"] = resource.group
        done = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
        return _answer(encode(done))

    async def _log(self, call: Call) -> web.StreamResponse:
        pod = self._stored(call)
        choice = log.Choice.of(pod, call.query, self._registry.now())
        if self.logs is None:
            # Without a node no container has started.
            raise log.no_log(pod, choice)
        return await log.answer(call.request, self.logs, pod, choice, self._closing)

    async def _bind(self, call: Call) -> web.StreamResponse:
        body = await _read_object(call.request)
        return _answer(encode(subresources.bind(self._registry, self._stored(call), body, call.query)), 201)

    async def _evict(self, call: Call) -> web.StreamResponse:
        body = await _read_object(call.request)
        return _answer(encode(subresources.evict(self._registry, self._stored(call), body)), 201)

    async def _token(self, call: Call) -> web.StreamResponse:
        body = await _read_object(call.request)
        answer = subresources.issue_token(self._registry, self._stored(call), body, self._tokens)
        return _answer(encode(answer), 201)

    async def _review(self, call: Call) -> web.StreamResponse:
        body, resource = await _read_object(call.request), call.route.resource
        answer = subresources.answer_question(
            self._registry, resource.kind, body, subresources.Asker(call.user, call.route.namespace, self._tokens)
        )
        named = {"kind": resource.kind, "apiVersion": resource.api_version, **answer}
        return _answer(encode(named), 201)

    def _stored(self, call: Call) -> Stored:
        return self._registry.get(call.route.resource, call.route.namespace, call.route.name)

    async def _deletion(self, call: Call) -> Deletion:
        """From the body, or from the query where the body says nothing."""
        body = await read_body(call.request)
        options: dict[str, Any] = {}
        if (grace := call.query.number("gracePeriodSeconds")) is not None:
            options["gracePeriodSeconds"] = grace
        if policy := call.query.text("propagationPolicy"):
            options["propagationPolicy"] = policy
        if call.query.dry_run:
            options["dryRun"] = ["All"]
        if body.strip():
            sent = parse_object(body)
            options = {**options, **sent} if isinstance(sent, dict) else sent
        return subresources.deletion_of(self._registry.intake().read("DeleteOptions", options, "meta.k8s.io"))

    def _table(self, call: Call, rows: list[Stored], metadata: Mapping[str, Any]) -> dict[str, Any]:
        include = call.query.text("includeObject") or "Metadata"
        return tables.table(call.route.resource, rows, metadata, self._registry.now(), include)

    def _render(self, call: Call) -> watches.Render:
        if not tables.wanted(call.accepts):
            return lambda stored: stored.encoded
        return lambda stored: encode(self._table(call, [stored], {"resourceVersion": str(stored.version)}))


_Endpoint = Callable[[Endpoints, Call], Awaitable[web.StreamResponse]]

_COLLECTION: Mapping[str, _Endpoint] = {
    "GET": Endpoints._list,
    "POST": Endpoints._create,
    "DELETE": Endpoints._delete_all,
}
_OBJECT: Mapping[str, _Endpoint] = {
    "GET": Endpoints._get,
    "PUT": Endpoints._replace,
    "PATCH": Endpoints._patch,
    "DELETE": Endpoints._delete,
}
_SUBRESOURCES: Mapping[str, Mapping[str, _Endpoint]] = {
    "status": {"GET": Endpoints._get, "PUT": Endpoints._replace, "PATCH": Endpoints._patch},
    "finalize": {"PUT": Endpoints._replace},
    "log": {"GET": Endpoints._log},
    "binding": {"POST": Endpoints._bind},
    "eviction": {"POST": Endpoints._evict},
    "token": {"POST": Endpoints._token},
}


async def _read_object(request: web.BaseRequest) -> Any:
    if request.content_type == YAML:
        return parse_yaml(await read_body(request))
    return await read_json(request)


def _answer(body: bytes, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    response = web.Response(body=body, status=status, headers={"Content-Type": JSON})
    for warning in warnings:
        response.headers.add("Warning", f"299 - {json.dumps(warning)}")
    return response


def _written(written: Written, status: int = 200) -> web.Response:
    shown = written.unknown[:_WARNINGS_MAX]
    return _answer(written.encoded, status, (text[:_WARNING_LENGTH] for text in shown))
