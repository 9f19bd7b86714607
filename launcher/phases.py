"""The phases of a run and their clocks, read from the states of its pod. Pure but for what ``Clocks`` remembers."""

from __future__ import annotations

import enum
from datetime import datetime

import attrs

from launcher.kube.podstate import ContainerState, PodState


class Phase(enum.StrEnum):
    """Where a run is. Mounting comes before pulling: the node mounts a pod's volumes, then pulls its images."""

    QUEUED = "queued"
    SCHEDULING = "scheduling"
    MOUNTING = "mounting"
    PULLING = "pulling"
    FETCHING = "fetching"
    RUNNING = "running"
    SAVING = "saving"
    ENDED = "ended"


def phase_of(state: PodState, *, main: str = "main") -> Phase:
    """The phase that a pod's state shows."""
    if state.ended or state.gone:
        return Phase.ENDED
    user = state.container(main)
    if user is not None and user.state != "waiting":
        saves = user.state == "terminated" and state.container("save") is not None
        return Phase.SAVING if saves else Phase.RUNNING
    scheduled = state.condition("PodScheduled")
    if scheduled is None or not scheduled.status:
        gated = scheduled is not None and scheduled.reason == "SchedulingGated"
        return Phase.QUEUED if gated else Phase.SCHEDULING
    return _preparing(state)


def _preparing(state: PodState) -> Phase:
    if any(c.state == "running" or c.restarts for c in state.containers if c.init and not c.sidecar):
        return Phase.FETCHING
    sandbox = state.condition("PodReadyToStartContainers")
    return Phase.PULLING if sandbox is not None and sandbox.status else Phase.MOUNTING


@attrs.define
class Clocks:
    """How long each phase took, by the server's times; some are only shown for a moment, so states are noted."""

    _gated: bool = False
    _scheduled: datetime | None = None
    _ready: datetime | None = None
    _last: PodState | None = None

    def note(self, state: PodState) -> None:
        """Take in one more state of the pod."""
        self._last = state
        scheduled, ready = state.condition("PodScheduled"), state.condition("PodReadyToStartContainers")
        if scheduled and not scheduled.status and scheduled.reason == "SchedulingGated":
            self._gated = True
        if scheduled and scheduled.status:
            self._scheduled = self._scheduled or scheduled.since
        if ready and ready.status:
            self._ready = self._ready or ready.since

    def durations(self, *, main: str = "main", save: str = "save") -> dict[Phase, float]:
        """Seconds by phase, for those that have ended, in their order."""
        state = self._last
        if state is None:
            return {}
        user, keeper = state.container(main), state.container(save)
        preparing = [c for c in state.containers if c.init and not c.sidecar and c.started]
        starts = [c.started for c in state.containers if c.started]
        first = min(starts, default=None)
        spans = {
            Phase.QUEUED if self._gated else Phase.SCHEDULING: (state.created, self._scheduled),
            Phase.MOUNTING: (self._scheduled, self._ready),
            Phase.PULLING: (self._ready, first),
            Phase.FETCHING: _span(preparing),
            Phase.RUNNING: _span([user] if user else []),
            Phase.SAVING: (user.finished if user else None, keeper.finished if keeper else None),
        }
        return {
            phase: max(0.0, (end - start).total_seconds())
            for phase, (start, end) in spans.items()
            if start is not None and end is not None
        }


def _span(containers: list[ContainerState]) -> tuple[datetime | None, datetime | None]:
    starts = [c.started for c in containers if c.started]
    ends = [c.finished for c in containers if c.finished]
    return (min(starts) if starts else None), (max(ends) if ends and len(ends) == len(containers) else None)
