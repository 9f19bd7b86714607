"""A watch that never ends: list, then follow, then list again when the server has forgotten.

Three functions, each adding one concern: one stream; the stream renewed from the last version; the whole
started anew from a list, compared with what was known, when that version is gone (410).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import attrs

from launcher.errors import ClusterError, ClusterUnreachable
from launcher.kube.session import FIRST_PAUSE, LONGEST_PAUSE, Session

# Seconds after which the server ends a stream by itself, and the seconds without a byte after which we do:
# bookmarks come every minute, so a silent stream is a dead one. Load balancers cut at 4 hours or less.
STREAM_SECONDS = 300
SILENCE = STREAM_SECONDS + 30.0


@attrs.frozen
class Event:
    """What happened to one object: ``type`` is ADDED, MODIFIED or DELETED; SYNCED, once the first list is through,
    has an empty object."""

    type: str
    object: dict[str, Any]


class _Known:
    """The version of every object that was told, and with ``whole`` the object itself, by uid."""

    def __init__(self, whole: bool) -> None:
        self._whole = whole
        self._versions: dict[str, str] = {}
        self._objects: dict[str, dict[str, Any]] = {}

    def differences(self, items: list[dict[str, Any]]) -> list[Event]:
        """What happened until a new list found ``items``; they are known from now on."""
        now = {item["metadata"]["uid"]: item for item in items}
        gone = [uid for uid in self._versions if uid not in now]
        events = [Event("DELETED", self._objects.get(uid) or {"metadata": {"uid": uid}}) for uid in gone]
        for uid, item in now.items():
            before = self._versions.get(uid)
            if before is None:
                events.append(Event("ADDED", item))
            elif before != item["metadata"]["resourceVersion"]:
                events.append(Event("MODIFIED", item))
        for event in events:
            self.remember(event)
        return events

    def remember(self, event: Event) -> None:
        metadata = event.object["metadata"]
        uid = metadata["uid"]
        if event.type == "DELETED":
            self._versions.pop(uid, None)
            self._objects.pop(uid, None)
            return
        self._versions[uid] = metadata["resourceVersion"]
        if self._whole:
            self._objects[uid] = event.object


class _Expired(Exception):
    """The version to go on from is no longer kept by the server (410 Gone)."""


async def watch(
    session: Session, path: str, *, labels: str = "", fields: str = "", whole: bool = True
) -> AsyncGenerator[Event]:
    """Every object at ``path`` that matches, and every change to one, for ever.

    Starts with what is there, then one SYNCED, then changes. Lost connections are renewed without a gap, and after
    a new list an object that vanished meanwhile arrives as DELETED, as it was last seen; without ``whole`` such a one
    has its uid and no more, and no object is kept here. Raises ``Forbidden``, ``NotFound`` and other
    refusals that a later try wouldn't change. Close it with ``contextlib.aclosing``.
    """
    selector = {k: v for k, v in (("labelSelector", labels), ("fieldSelector", fields)) if v}
    known = _Known(whole)
    synced = False
    while True:
        listed = await _list(session, path, selector, patient=synced)
        for event in known.differences(listed.get("items") or []):
            yield event
        if not synced:
            synced = True
            yield Event("SYNCED", {})
        try:
            async with aclosing(_continuous(session, path, selector, listed["metadata"]["resourceVersion"])) as events:
                async for event in events:
                    known.remember(event)
                    yield event
        except _Expired:
            continue


async def _list(session: Session, path: str, selector: dict[str, str], *, patient: bool) -> dict[str, Any]:
    pause = FIRST_PAUSE
    while True:
        try:
            return _checked(await session.get(path, **selector), session, path)
        except ClusterError as exc:
            if not patient or not _passing(exc):
                raise
            await asyncio.sleep(max(pause, exc.retry_after or 0.0))
            pause = min(pause * 2, LONGEST_PAUSE)


def _checked(listed: dict[str, Any], session: Session, path: str) -> dict[str, Any]:
    metadata = listed.get("metadata")
    if not isinstance(metadata, dict) or "resourceVersion" not in metadata:
        raise ClusterError(f"{session.target.name} answered GET {path} with something that isn't a list")
    return listed


async def _continuous(session: Session, path: str, selector: dict[str, str], version: str) -> AsyncGenerator[Event]:
    pause = FIRST_PAUSE
    while True:
        try:
            async with aclosing(_stream(session, path, selector, version)) as events:
                async for event in events:
                    pause = FIRST_PAUSE
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type != "BOOKMARK":
                        yield event
        except ClusterError as exc:
            if exc.status == 410:
                raise _Expired from exc
            if not _passing(exc):
                raise
            pause = max(pause, min(exc.retry_after or 0.0, LONGEST_PAUSE))
        await asyncio.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)


async def _stream(session: Session, path: str, selector: dict[str, str], version: str) -> AsyncGenerator[Event]:
    query = {
        **selector,
        "watch": "1",
        "resourceVersion": version,
        "allowWatchBookmarks": "true",
        "timeoutSeconds": str(STREAM_SECONDS),
    }
    async with session.lines(path, query, idle=SILENCE) as lines:
        async for line in lines:
            if not line:
                continue
            event = _decode(line)
            if event.type == "ERROR":
                raise ClusterError(
                    f"the watch on {path} ended: {event.object.get('message', 'no reason given')}",
                    status=int(event.object["code"]),
                    reason=str(event.object.get("reason", "")),
                )
            yield event


def _decode(line: bytes) -> Event:
    try:
        raw = json.loads(line)
        event = Event(str(raw["type"]), dict(raw["object"]))
        # What the rest relies on: the code of an error, the version of everything else.
        _ = int(event.object["code"]) if event.type == "ERROR" else event.object["metadata"]["resourceVersion"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        # A line cut by a dying connection, or no event at all: the stream is renewed from the last version.
        raise ClusterUnreachable("the watch ended in the middle of a line") from exc
    return event


def _passing(exc: ClusterError) -> bool:
    return isinstance(exc, ClusterUnreachable) or exc.status in (401, 429) or exc.status >= 500
