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
from launcher.local.api.bodies import JSON, parse_json, read_body, read_json
from launcher.local.api.listing import encode_list, joined, list_page
from launcher.local.api.patch import PATCHES
from launcher.local.api.query import Query
from launcher.local.api.registry import Registry, Writing, Written
from launcher.local.api.removal import Deletion
from launcher.local.api.routes import Route
from launcher.local.api.selectors import selector
from launcher.local.api.status import method_not_allowed, unsupported_media_type
from launcher.local.api.store import Stored, encode
from launcher.local.api.streams import cut, streamed
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
            endpoint = Endpoints._review if method == hdrs.METH_POST and not route.name else None
        elif route.resource.namespaced and not route.namespace and method != hdrs.METH_GET:
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
        body = await read_json(call.request)
        route = call.route
        return _written(self._registry.create(route.resource, route.namespace, body, call.writing), 201)

    async def _delete_all(self, call: Call) -> web.StreamResponse:
        deletion = await self._deletion(call)
        route, query = call.route, call.query
        matches = selector(route.resource, query.text("labelSelector"), query.text("fieldSelector"))
        if deletion.dry_run:
            gone = self._registry.select(route.resource, route.namespace, matches)
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
        body = await read_json(call.request)
        # Looked up after the body has come: it may have changed meanwhile.
        stored = self._stored(call)
        route = call.route
        return _written(self._registry.replace(route.resource, stored, body, call.writing, route.subresource))

    async def _patch(self, call: Call) -> web.StreamResponse:
        kind = call.request.content_type
        if kind not in PATCHES:
            raise unsupported_media_type(PATCHES)
        patch = parse_json(await read_body(call.request))
        stored, route = self._stored(call), call.route
        return _written(self._registry.patch(route.resource, stored, patch, kind, call.writing, route.subresource))

    async def _delete(self, call: Call) -> web.StreamResponse:
        deletion = await self._deletion(call)
        stored, resource = self._stored(call), call.route.resource
        deletion.check(resource, stored)
        last = stored if deletion.dry_run else self._registry.delete(resource, stored, deletion)
        if resource.returns_deleted or last.metadata.get("finalizers"):
            return _answer(last.encoded)
        details: dict[str, Any] = {"name": last.key[1], "kind": resource.plural, "uid": last.metadata["uid"]}
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
        with streamed(call.request, "text/plain") as response:

            async def send(data: bytes) -> None:
                if not response.prepared:
                    await response.prepare(call.request)
                await response.write(data)

            whole = await log.pump(log.pieces(self.logs, pod, choice), send, self._closing)
            await send(b"")
            if whole:
                await response.write_eof()
            else:
                # Not ended: the log may go on without us.
                cut(call.request)
        return response

    async def _bind(self, call: Call) -> web.StreamResponse:
        body = await read_json(call.request)
        return _answer(encode(subresources.bind(self._registry, self._stored(call), body)), 201)

    async def _evict(self, call: Call) -> web.StreamResponse:
        body = await read_json(call.request)
        return _answer(encode(subresources.evict(self._registry, self._stored(call), body)), 201)

    async def _token(self, call: Call) -> web.StreamResponse:
        body = await read_json(call.request)
        answer = subresources.issue_token(self._registry, self._stored(call), body, self._tokens)
        return _answer(encode(answer), 201)

    async def _review(self, call: Call) -> web.StreamResponse:
        body, resource = await read_json(call.request), call.route.resource
        answer = subresources.answer_question(self._registry, resource.kind, body, call.user)
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
            sent = parse_json(body)
            options = {**options, **sent} if isinstance(sent, dict) else sent
        return subresources.deletion_of(self._registry.intake().read("DeleteOptions", options))

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
    "log": {"GET": Endpoints._log},
    "binding": {"POST": Endpoints._bind},
    "eviction": {"POST": Endpoints._evict},
    "token": {"POST": Endpoints._token},
}


def _answer(body: bytes, status: int = 200, warnings: Iterable[str] = ()) -> web.Response:
    response = web.Response(body=body, status=status, headers={"Content-Type": JSON})
    for warning in warnings:
        response.headers.add("Warning", f"299 - {json.dumps(warning)}")
    return response


def _written(written: Written, status: int = 200) -> web.Response:
    shown = written.unknown[:_WARNINGS_MAX]
    return _answer(written.encoded, status, (f'unknown field "{field[:_WARNING_LENGTH]}"' for field in shown))
