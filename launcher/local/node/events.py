"""Kubernetes events: what the kubelet and the scheduler tell about a pod, repeated ones counted.

Recording never waits: a task of its own sends them, in order, so that a pod isn't slowed by its own story.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from launcher.errors import ClusterError
from launcher.kube.session import Session
from launcher.local.node.states import Role
from launcher.local.node.status import timestamp

log = logging.getLogger("launcher")

# Seconds that the last events may take to be sent when the node stops.
FLUSH = 1.0

# Characters of a message: the API refuses longer ones.
LONGEST = 1024


@attrs.frozen
class _Known:
    path: str
    count: int


Key = tuple[str, str, str, str]  # the pod's uid, reason, message, field path


class Events:
    """The events of one node."""

    def __init__(self, session: Session, node: str) -> None:
        self._session = session
        self._node = node
        self._queue: asyncio.Queue[tuple[Key, dict[str, Any]] | str | None] = asyncio.Queue()
        self._known: dict[Key, _Known] = {}

    def kubelet(
        self,
        pod: Mapping[str, Any],
        reason: str,
        message: str,
        *,
        warning: bool = False,
        of: tuple[Role, str] | None = None,
    ) -> None:
        """Something happened to ``pod``, or to its container ``of``."""
        now = timestamp(datetime.now(UTC))
        path = f"spec.{of[0].field}{{{of[1]}}}" if of else ""
        event = _event(pod, reason, message, warning=warning) | {
            "source": {"component": "kubelet", "host": self._node},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
        }
        if path:
            event["involvedObject"]["fieldPath"] = path
        self._queue.put_nowait(((pod["metadata"]["uid"], reason, message, path), event))

    def scheduler(self, pod: Mapping[str, Any], reason: str, message: str, *, warning: bool = False) -> None:
        """The scheduler decided about ``pod``."""
        event = _event(pod, reason, message, warning=warning) | {
            "source": {},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "action": "Scheduling" if warning else "Binding",
            "reportingComponent": "default-scheduler",
            "reportingInstance": f"default-scheduler-{self._node}",
        }
        # Its own moment is part of the key: the scheduler's events aren't counted.
        self._queue.put_nowait(((pod["metadata"]["uid"], reason, message, event["eventTime"]), event))

    def forget(self, pod_uid: str) -> None:
        """The pod has ended or is gone: nothing of it will be repeated once what is recorded is sent."""
        self._queue.put_nowait(pod_uid)

    def close(self) -> None:
        """No more events: ``run`` ends once the last one is sent."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Send what is recorded, until ``close``."""
        while (item := await self._queue.get()) is not None:
            if isinstance(item, str):
                for known in [known for known in self._known if known[0] == item]:
                    del self._known[known]
                continue
            key, event = item
            try:
                await self._send(key, event)
            except ClusterError as exc:
                # As in a kubelet, an event that can't be told is only logged.
                log.debug("event %s of pod %s not sent: %s", key[1], event["involvedObject"]["name"], exc)

    async def _send(self, key: Key, event: dict[str, Any]) -> None:
        path = f"/api/v1/namespaces/{event['metadata']['namespace']}/events"
        known = self._known.get(key)
        if known is None:
            await self._session.create(path, event)
            if "count" in event:
                self._known[key] = _Known(f"{path}/{event['metadata']['name']}", 1)
            return
        self._known[key] = attrs.evolve(known, count=known.count + 1)
        change = {"count": known.count + 1, "lastTimestamp": event["lastTimestamp"]}
        await self._session.patch(known.path, change)


def _event(pod: Mapping[str, Any], reason: str, message: str, *, warning: bool) -> dict[str, Any]:
    meta = pod["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{time.time_ns():x}", "namespace": meta["namespace"]},
        "involvedObject": {
            "kind": "Pod",
            "apiVersion": "v1",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "reason": reason,
        "message": message[:LONGEST],
        "type": "Warning" if warning else "Normal",
    }
