"""The statuses of one pod on their way to the API server: in order, none twice, as long as it takes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from launcher.errors import ClusterError, ClusterUnreachable, Conflict, NotFound
from launcher.kube.session import FIRST_PAUSE, LONGEST_PAUSE, Session
from launcher.local.node.states import Snapshot
from launcher.local.node.status import pod_status

log = logging.getLogger("launcher")


class Reports:
    """Sends each snapshot that ``put`` gets. ``pod`` is the newest version that is known here."""

    def __init__(self, session: Session, pod: dict[str, Any]) -> None:
        self.pod = pod
        self.phase = str((pod.get("status") or {}).get("phase") or "Pending")
        self._session = session
        meta = pod["metadata"]
        self.path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        self._queue: asyncio.Queue[tuple[Snapshot, datetime] | None] = asyncio.Queue()
        self._last: Snapshot | None = None

    def put(self, snapshot: Snapshot) -> None:
        """Report this, unless nothing has changed since the last one."""
        if snapshot != self._last:
            self._last = snapshot
            self._queue.put_nowait((snapshot, datetime.now(UTC)))

    def seen(self, pod: dict[str, Any]) -> None:
        """The watch told of a version; it may be older than what our own last report brought back."""
        if _version(pod) > _version(self.pod):
            self.pod = pod

    def close(self) -> None:
        """No more reports: ``run`` ends once the last one is sent."""
        self._queue.put_nowait(None)

    async def run(self) -> None:
        """Send until ``close``. A pod that is gone, or that we may not report on, ends it early."""
        while (item := await self._queue.get()) is not None:
            try:
                await self._patiently(*item)
            except NotFound:
                return
            except ClusterError as exc:
                log.warning("the status of pod %s can't be reported: %s", self.path, exc)
                return

    async def _patiently(self, snapshot: Snapshot, now: datetime) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._send(snapshot, now)
            except Conflict:
                # Somebody else changed the pod (a label, a condition, a deletion): look again, then report.
                uid = self.pod["metadata"]["uid"]
                self.pod = await self._session.get(self.path)
                if self.pod["metadata"]["uid"] != uid:
                    raise NotFound(f"{self.path} is another pod now") from None
            except ClusterUnreachable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _send(self, snapshot: Snapshot, now: datetime) -> None:
        meta: Mapping[str, Any] = self.pod["metadata"]
        status = pod_status(snapshot, self.phase, self.pod.get("status") or {}, now)
        change = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": status}
        self.pod = await self._session.patch(f"{self.path}/status", change)
        self.phase = status["phase"]


def _version(pod: Mapping[str, Any]) -> int:
    # Comparable as numbers since Kubernetes 1.35, and in practice always.
    return int(pod["metadata"]["resourceVersion"])
