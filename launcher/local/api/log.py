"""Container logs over HTTP: which container, which lines, with or without times, followed or not.

The lines come from a ``PodLogs`` that the node provides; this module only chooses among them and sends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import attrs
from aiohttp import web

from launcher.local.api.defaults import containers
from launcher.local.api.query import Query
from launcher.local.api.status import StatusError, bad_request, forbidden_value, invalid, invalid_object
from launcher.local.api.store import Stored
from launcher.local.api.streams import cut, streamed

# Bytes that are gathered for one write while the log has more.
PIECE = 64 * 1024

_DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"


@attrs.frozen
class LogLine:
    """One line that a container wrote: ``time`` aware and UTC, ``stream`` stdout or stderr, ``data``
    without \\n."""

    time: datetime
    stream: str
    data: bytes


class PodLogs(Protocol):
    """Where logs come from."""

    def read(self, pod_uid: str, container: str, *, previous: bool, follow: bool) -> AsyncIterator[LogLine]:
        """The container's lines from its start; with ``follow`` until it ends, ``previous`` those of the
        attempt before. Raises ``LookupError`` when it never started."""


@attrs.frozen
class Choice:
    """What of a log is wanted; ``tail`` lines at most, not before ``since``, ``limit`` bytes at most."""

    container: str
    follow: bool
    previous: bool
    timestamps: bool
    tail: int | None
    limit: int | None
    since: datetime | None

    @classmethod
    def of(cls, pod: Stored, query: Query, now: datetime) -> Choice:
        """Raises ``StatusError`` 400 and 422."""
        tail, limit, seconds = (
            query.number("tailLines"),
            query.number("limitBytes"),
            query.number("sinceSeconds"),
        )
        causes = [
            invalid(name, value, f"must be greater than{' or equal to' if least == 0 else ''} 0")
            for name, value, least in (
                ("tailLines", tail, 0),
                ("limitBytes", limit, 1),
                ("sinceSeconds", seconds, 1),
            )
            if value is not None and value < least
        ]
        since = _time(query.text("sinceTime"))
        if since is not None and seconds is not None:
            text = "at most one of `sinceTime` or `sinceSeconds` may be specified"
            causes.append(forbidden_value("sinceSeconds", text))
        if causes:
            raise invalid_object("PodLogOptions", "", pod.key[1], causes)
        if seconds is not None:
            # Nothing is older than a century.
            since = now - timedelta(seconds=min(seconds, 3_000_000_000))
        return cls(
            container=_container(pod, query.text("container")),
            follow=query.flag("follow") is True,
            previous=query.flag("previous") is True,
            timestamps=query.flag("timestamps") is True,
            tail=tail,
            limit=limit,
            since=since,
        )


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        # A plus that wasn't encoded arrives as a space.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise bad_request(f"sinceTime must look like 2006-01-02T15:04:05Z, not {text[:50]!r}")


def _container(pod: Stored, asked: str) -> str:
    spec, name = pod.object["spec"], pod.key[1]
    if asked:
        if asked not in (container["name"] for container in containers(spec)):
            raise bad_request(f"container {asked[:100]} is not valid for pod {name}")
        return asked
    names = [container["name"] for container in spec["containers"]]
    initial = [container["name"] for container in spec.get("initContainers") or ()]
    default = (pod.metadata.get("annotations") or {}).get(_DEFAULT_CONTAINER)
    if default in names:
        return str(default)
    if len(names) == 1:
        return str(names[0])
    extra = f" or one of the init containers: [{' '.join(initial)}]" if initial else ""
    raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]{extra}")


async def pieces(logs: PodLogs, pod: Stored, choice: Choice) -> AsyncGenerator[bytes]:
    """The chosen bytes. Raises a 400 ``StatusError`` before the first one when the container has no log."""
    skip = 0
    try:
        if choice.tail is not None:
            # Counted first and skipped then: a tail may be longer than memory.
            skip = max(0, await _count(logs, pod, choice) - choice.tail)
        async with aclosing(_chosen(logs, pod, choice, skip)) as chosen:
            async for piece in chosen:
                yield piece
    except LookupError:
        raise no_log(pod, choice) from None


async def _count(logs: PodLogs, pod: Stored, choice: Choice) -> int:
    count = 0
    async with aclosing(_lines(logs, pod, choice, follow=False)) as lines:
        async for _ in lines:
            count += 1
    return count


async def _chosen(logs: PodLogs, pod: Stored, choice: Choice, skip: int) -> AsyncGenerator[bytes]:
    left = choice.limit
    async with aclosing(_lines(logs, pod, choice, follow=choice.follow)) as lines:
        async for line in lines:
            if skip > 0:
                skip -= 1
                continue
            if choice.since is not None and line.time < choice.since:
                continue
            piece = (_stamp(line.time) if choice.timestamps else b"") + line.data + b"\n"
            if left is not None:
                piece, left = piece[:left], left - len(piece)
            yield piece
            if left is not None and left <= 0:
                return


async def _lines(logs: PodLogs, pod: Stored, choice: Choice, *, follow: bool) -> AsyncGenerator[LogLine]:
    lines = logs.read(pod.metadata["uid"], choice.container, previous=choice.previous, follow=follow)
    try:
        async for line in lines:
            yield line
    finally:
        # An iterator needn't be a generator, but one that is holds its file open.
        if (close := getattr(lines, "aclose", None)) is not None:
            await close()


def _stamp(moment: datetime) -> bytes:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f000Z ").encode()


def no_log(pod: Stored, choice: Choice) -> StatusError:
    """Why there is nothing to read, as a kubelet words it."""
    name = pod.key[1]
    if not pod.object["spec"].get("nodeName"):
        return bad_request(f"pod {name} does not have a host assigned")
    if choice.previous:
        return bad_request(f'previous terminated container "{choice.container}" in pod "{name}" not found')
    waiting = _waiting(pod.object["status"], choice.container)
    return bad_request(f'container "{choice.container}" in pod "{name}" is waiting to start: {waiting}')


# How the kubelet words what a container without an image waits for.
_WAITING = dict.fromkeys(("ErrImagePull", "ImagePullBackOff"), "trying and failing to pull image")


def _waiting(status: Mapping[str, Any], container: str) -> str:
    for group in ("containerStatuses", "initContainerStatuses"):
        for item in status.get(group) or ():
            if item.get("name") == container:
                reason = item.get("state", {}).get("waiting", {}).get("reason", "")
                return _WAITING.get(reason, reason) or "ContainerCreating"
    return "ContainerCreating"


async def answer(
    request: web.BaseRequest, logs: PodLogs, pod: Stored, choice: Choice, closing: asyncio.Event
) -> web.StreamResponse:
    """Answer ``request`` with the chosen lines. What goes wrong before the first of them is raised."""
    with streamed(request, "text/plain") as response:

        async def send(data: bytes) -> None:
            if not response.prepared:
                await response.prepare(request)
            await response.write(data)

        whole = await pump(pieces(logs, pod, choice), send, closing)
        await send(b"")
        if whole:
            await response.write_eof()
        else:
            # Not ended: the log may go on without us.
            cut(request)
    return response


async def pump(source: AsyncGenerator[bytes], send: Callable[[bytes], Awaitable[None]], closing: asyncio.Event) -> bool:
    """Send what ``source`` yields: at once when it pauses, in large pieces when it doesn't.

    Ends with the source, or when ``closing`` is set; tells whether the source came to its end. Raises what
    the source or ``send`` raise.
    """
    buffer = bytearray()
    ready, room = asyncio.Event(), asyncio.Event()

    async def fill() -> None:
        try:
            async with aclosing(source):
                async for piece in source:
                    buffer.extend(piece)
                    ready.set()
                    if len(buffer) >= PIECE:
                        room.clear()
                        await room.wait()
        finally:
            ready.set()

    filling = asyncio.create_task(fill(), name="read a container's log")
    ending = asyncio.create_task(closing.wait(), name="wait for the API server's end")
    ending.add_done_callback(lambda _: filling.cancel())
    try:
        while not filling.done() or buffer:
            await ready.wait()
            ready.clear()
            data = bytes(buffer)
            buffer.clear()
            room.set()
            if data:
                await send(data)
            if filling.done():
                ready.set()
        if filling.cancelled():
            return False
        filling.result()
        return True
    finally:
        ending.cancel()
        filling.cancel()
        await asyncio.gather(ending, filling, return_exceptions=True)
