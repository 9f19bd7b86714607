"""The scheduler of one node: pods without a node are bound to it, or told why not.

A pass over what waits is made whenever something changes that could help: a new pod, one that ended, a claim.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs

from launcher.errors import ClusterError, Conflict, NotFound
from launcher.kube.session import Session
from launcher.local.api.quantities import parse
from launcher.local.node.claims import Binding, Claims
from launcher.local.node.events import Events
from launcher.local.node.fitting import Amounts, misfit, requests_of, unclaimed
from launcher.local.node.status import timestamp

log = logging.getLogger("launcher")

OWN_NAME = "default-scheduler"

GATED = "Scheduling is blocked due to non-empty scheduling gates"

# Seconds before another pass after one that the API server didn't let through.
RETRY = 1.0


@attrs.define
class _Waiting:
    pod: dict[str, Any]
    requests: Amounts
    told: str = ""


class Scheduler:
    """Decides about every pod that has no node. ``labels`` and ``has`` are the node's."""

    def __init__(
        self,
        session: Session,
        events: Events,
        claims: Claims,
        node: str,
        labels: Mapping[str, str],
        has: Mapping[str, str],
    ) -> None:
        self._session = session
        self._events = events
        self._claims = claims
        self._node = node
        self._labels = labels
        self._has = {name: parse(text) for name, text in has.items()}
        self._used: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._taken: dict[str, Amounts] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._woken = asyncio.Event()

    def offer(self, pod: dict[str, Any]) -> None:
        """A pod without a node is new, or has changed."""
        uid = pod["metadata"]["uid"]
        if uid in self._taken or pod["spec"].get("schedulerName", OWN_NAME) != OWN_NAME:
            return
        known = self._waiting.get(uid)
        if known is None:
            self._waiting[uid] = _Waiting(pod, requests_of(pod["spec"]))
            self._woken.set()
        elif known.pod["spec"] != pod["spec"]:
            known.pod = pod
            self._woken.set()
        else:
            known.pod = pod

    def take(self, pod: Mapping[str, Any]) -> None:
        """A pod runs on this node, whoever bound it: what it asks for is used."""
        uid = pod["metadata"]["uid"]
        self._waiting.pop(uid, None)
        if uid not in self._taken:
            self._taken[uid] = requests_of(pod["spec"])
            for name, value in self._taken[uid].items():
                self._used[name] += value

    def release(self, uid: str) -> None:
        """A pod has ended, or is gone."""
        self._waiting.pop(uid, None)
        for name, value in self._taken.pop(uid, {}).items():
            self._used[name] -= value
        self.wake()

    def wake(self) -> None:
        """Something changed that may help a pod that waits."""
        if self._waiting:
            self._woken.set()

    async def run(self) -> None:
        """Passes, until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            for uid in list(self._waiting):
                if (waiting := self._waiting.get(uid)) is not None:
                    await self._decide(waiting)

    async def _decide(self, waiting: _Waiting) -> None:
        try:
            if waiting.pod["spec"].get("schedulingGates"):
                await self._refuse(waiting, "SchedulingGated", GATED)
            elif why := await self._misfit(waiting):
                await self._refuse(waiting, "Unschedulable", why)
            else:
                await self._bind(waiting.pod)
        except (NotFound, Conflict):
            # Deleted, bound or changed meanwhile: the watch tells, and brings it again if need be.
            self._waiting.pop(waiting.pod["metadata"]["uid"], None)
        except ClusterError as exc:
            log.warning("pod %s can't be scheduled now: %s", waiting.pod["metadata"]["name"], exc)
            asyncio.get_running_loop().call_later(RETRY, self.wake)

    async def _misfit(self, waiting: _Waiting) -> str:
        spec = waiting.pod["spec"]
        here = misfit(spec, waiting.requests, self._labels, self._has, self._used)
        return here or await self._unclaimed(waiting.pod)

    async def _unclaimed(self, pod: Mapping[str, Any]) -> str:
        for volume in pod["spec"].get("volumes") or ():
            if name := (volume.get("persistentVolumeClaim") or {}).get("claimName"):
                binding = await self._claims.look(pod["metadata"]["namespace"], name)
                if binding is not Binding.BOUND:
                    return unclaimed(name, binding)
        return ""

    async def _bind(self, pod: dict[str, Any]) -> None:
        meta = pod["metadata"]
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
            "target": {"apiVersion": "v1", "kind": "Node", "name": self._node},
        }
        self.take(pod)
        try:
            await self._session.create(f"{_path(pod)}/binding", binding)
        except BaseException:
            self.release(meta["uid"])
            raise
        title = f"{meta['namespace']}/{meta['name']}"
        self._events.scheduler(pod, "Scheduled", f"Successfully assigned {title} to {self._node}")

    async def _refuse(self, waiting: _Waiting, reason: str, message: str) -> None:
        if waiting.told == message:
            return
        waiting.told = message
        pod, status = waiting.pod, waiting.pod.get("status") or {}
        conditions = list(status.get("conditions") or ())
        if any(c["type"] == "PodScheduled" and c.get("message") == message for c in conditions):
            return
        now = timestamp(datetime.now(UTC))
        condition = {
            "type": "PodScheduled",
            "observedGeneration": pod["metadata"].get("generation", 1),
            "status": "False",
            "lastProbeTime": None,
            "lastTransitionTime": now,
            "reason": reason,
            "message": message,
        }
        change = {
            "metadata": {"resourceVersion": pod["metadata"]["resourceVersion"]},
            "status": {"conditions": [*(c for c in conditions if c["type"] != "PodScheduled"), condition]},
        }
        waiting.pod = await self._session.patch(f"{_path(pod)}/status", change)
        if reason == "Unschedulable":
            self._events.scheduler(pod, "FailedScheduling", message, warning=True)


def _path(pod: Mapping[str, Any]) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
