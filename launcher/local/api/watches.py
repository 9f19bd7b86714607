"""Watches: each is a place in a kind's history, so that a slow reader costs nothing but its own end.

``Watch`` decides what a client sees and is pure of HTTP; ``stream`` writes it until the client, its timeout
or the server ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import attrs
from aiohttp import web

from launcher.local.api.query import Query
from launcher.local.api.resources import Resource
from launcher.local.api.selectors import Selector, selector
from launcher.local.api.status import StatusError, expired, forbidden_value, invalid_object
from launcher.local.api.store import Change, Store, Stored, Table, encode
from launcher.local.api.streams import streamed

# Seconds. Bookmarks come every minute, as from a real server; a watch that names no end gets half an hour,
# the real server's shortest; a client that takes nothing for half a minute won't.
BOOKMARK_EVERY = 60.0
DEFAULT_TIMEOUT = 1800
STALLED = 30.0

# Bytes that are joined for one write: large enough to be cheap, small enough to be forgotten when it fails.
CHUNK = 256 * 1024

# How an object is shown: as it is, or as a table's row.
Render = Callable[[Stored], bytes]


@attrs.define
class Watch:
    """What one client watches, and how far it has come."""

    table: Table
    store: Store
    namespace: str
    matches: Selector | None
    render: Render
    version: int
    initial: bool
    marks_initial_end: bool
    bookmarks: bool
    timeout: int

    @classmethod
    def of(cls, store: Store, resource: Resource, namespace: str, query: Query, render: Render) -> Watch:
        """The watch that ``query`` asks for. Raises ``StatusError`` 400 and 422."""
        version, asked = query.version("resourceVersion"), query.flag("sendInitialEvents")
        _check_initial(query, asked)
        timeout = query.number("timeoutSeconds")
        return cls(
            table=store.tables[resource],
            store=store,
            namespace=namespace,
            matches=selector(resource, query.text("labelSelector"), query.text("fieldSelector")),
            render=render,
            version=version,
            initial=version == 0 if asked is None else asked,
            marks_initial_end=asked is True,
            bookmarks=query.flag("allowWatchBookmarks") is True,
            timeout=DEFAULT_TIMEOUT if timeout is None or timeout <= 0 else timeout,
        )

    def begin(self) -> Iterator[bytes]:
        """The lines that come first: what is there, when that was asked for."""
        if self.initial:
            self.version = self.store.version
            for stored in list(self.table.all(self.namespace)):
                if self._shows(stored):
                    yield _line(b"ADDED", self.render(stored))
            if self.marks_initial_end and self.bookmarks:
                yield self.bookmark({"k8s.io/initial-events-end": "true"})
        elif self.version == 0:
            self.version = self.store.version
        elif self.version > self.store.version:
            # From another server's life: only a new list can put that right.
            raise expired(f"too large resource version: {self.version} ({self.store.version})")

    def take(self) -> list[bytes]:
        """The next lines of what has changed, none when all is told. Raises 410 when that isn't known any more.

        They are some ``CHUNK`` bytes at most: the rest stays in the history that all share, so that a reader who is
        slow has no copy of it.
        """
        lines: list[bytes] = []
        size = 0
        for change in self.table.since(self.version):
            self.version = change.version
            if (line := self._seen(change)) is not None:
                lines.append(line)
                size += len(line)
            if size >= CHUNK:
                return lines
        # Also past what happened to other kinds, so that bookmarks keep a quiet watch from growing too old.
        self.version = self.store.version
        return lines

    def bookmark(self, annotations: dict[str, str] | None = None) -> bytes:
        """A line that only tells how far the watch has come."""
        resource = self.table.resource
        metadata: dict[str, object] = {"resourceVersion": str(self.version), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        return _line(
            b"BOOKMARK",
            encode({"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}),
        )

    def _shows(self, stored: Stored | None) -> bool:
        if stored is None or (self.namespace and stored.key[0] != self.namespace):
            return False
        return self.matches is None or self.matches.chooses(stored.labels, stored.fields)

    def _seen(self, change: Change) -> bytes | None:
        before, after = self._shows(change.old), self._shows(change.new)
        if after and change.new is not None:
            return _line(b"MODIFIED" if before else b"ADDED", self.render(change.new))
        if before and change.old is not None:
            return _line(b"DELETED", self.render(_at(self.table.resource, change.old, change.version)))
        return None


def _check_initial(query: Query, asked: bool | None) -> None:
    match = query.text("resourceVersionMatch")
    problem = ""
    if asked is not None and match != "NotOlderThan":
        problem = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
    elif asked is None and match:
        problem = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
    if problem:
        raise invalid_object("ListOptions", "meta.k8s.io", "", [forbidden_value("resourceVersionMatch", problem)])


def _line(kind: bytes, encoded: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (kind, encoded)


def _at(resource: Resource, stored: Stored, version: int) -> Stored:
    """The state of an object as it left, with the version of its leaving."""
    if stored.version == version:
        return stored
    obj = {**stored.object, "metadata": {**stored.metadata, "resourceVersion": str(version)}}
    return Stored.of(resource, obj, encode(obj), version)


async def stream(request: web.BaseRequest, watch: Watch, closing: asyncio.Event) -> web.StreamResponse:
    """Answer ``request`` with the watch's lines, until it times out, falls behind, or ``closing`` is set."""
    with streamed(request, "application/json") as response:
        await response.prepare(request)
        try:
            await _send(response, watch.begin())
            await _follow(response, watch, closing)
        except StatusError as exc:
            await _send(response, iter([_line(b"ERROR", encode(exc.body()))]))
        await response.write_eof()
    return response


async def _follow(response: web.StreamResponse, watch: Watch, closing: asyncio.Event) -> None:
    now = asyncio.get_running_loop().time
    end = now() + watch.timeout
    next_bookmark = now() + BOOKMARK_EVERY
    while not closing.is_set() and now() < end:
        # Looked at before the history is read, so that no change falls between.
        changed = watch.table.changed
        if lines := watch.take():
            await _send(response, iter(lines))
            continue
        if watch.bookmarks and now() >= next_bookmark:
            await _send(response, iter([watch.bookmark()]))
            next_bookmark = now() + BOOKMARK_EVERY
        await _wait(changed, min(end, next_bookmark) if watch.bookmarks else end)
    if watch.bookmarks and not closing.is_set():
        await _send(response, iter([*watch.take(), watch.bookmark()]))


async def _wait(changed: asyncio.Event, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await changed.wait()
    except TimeoutError:
        return


async def _send(response: web.StreamResponse, lines: Iterator[bytes]) -> None:
    """Write the lines in large pieces. Raises ``TimeoutError`` when the client doesn't take them."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= CHUNK:
            await _write(response, b"".join(batch))
            batch, size = [], 0
    if batch:
        await _write(response, b"".join(batch))


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(STALLED):
        await response.write(data)
