"""From a pod that exists to the true end of its run: its phases, why it waits, its time limit, its outcome."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import attrs

from launcher.diagnosis import Diagnosis, ending, waiting
from launcher.errors import ClusterError, Conflict, NotFound
from launcher.kube.podstate import Note, PodRef, PodState
from launcher.kube.session import Session
from launcher.phases import Clocks, Phase, phase_of

# Seconds after which a pod that hasn't started is looked at for events, doubling up to the longest: events carry
# no labels and can't be watched for one launcher, and a pod that starts within a second needs none.
FIRST_LOOK = 1.0
LONGEST_LOOK = 15.0

# Seconds that a pod which never started is given to go: it has nothing to save.
HOPELESS_GRACE = 5

# Seconds beyond its grace after which a pod that doesn't go is taken for lost: its node doesn't answer.
LOST_AFTER = 60.0

# The annotation by which a cancel is told from somebody else's delete.
CANCELLED = "podlauncher.dev/cancelled"


_ORDER = {phase: index for index, phase in enumerate(Phase)}


class Why(enum.StrEnum):
    """What ended a run, where it wasn't the pod by itself."""

    NOTHING = ""
    TIMEOUT = "timeout"
    HOPELESS = "hopeless"
    CANCELLED = "cancelled"


@attrs.frozen(kw_only=True)
class RunEvent:
    """Something that a watcher of a run may want to know.

    ``kind`` is phase (``text`` is empty, ``seconds`` how long the previous one took, where known) or warning.
    """

    kind: str
    phase: Phase
    text: str = ""
    seconds: float | None = None
    previous: Phase | None = None
    time: datetime = attrs.field(factory=lambda: datetime.now(UTC))


@attrs.frozen(kw_only=True)
class Outcome:
    """How a pod ended: its last state with its containers, why, and the clocks."""

    state: PodState
    why: Why
    diagnosis: Diagnosis | None
    durations: dict[Phase, float]
    vanished: bool = False
    """Whether the pod was gone before anybody saw it end."""


@attrs.define
class Follower:
    """Follows one pod; all that changes while it does is in here."""

    session: Session
    ref: PodRef
    timeout: float | None
    grace: int
    """Seconds that the pod may take to end when its time is over."""
    tell: Callable[[RunEvent], None]
    resumed: bool = False
    """Whether the run was started by somebody else, so that a part of its time has passed already."""
    main: str = "main"
    state: PodState | None = None
    phase: Phase = Phase.SCHEDULING
    why: Why = Why.NOTHING
    started: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set once the user's container has run, or never will."""
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)
    """Set, and replaced by a new one, whenever the pod's state has changed."""
    _clocks: Clocks = attrs.field(factory=Clocks)
    _stuck: Diagnosis | None = None
    _stuck_since: float = 0.0
    _losing_patience: bool = False
    _announced: bool = False
    """Whether any phase has been told."""
    _warned: set[str] = attrs.field(factory=set)
    _deadline: float | None = None
    _gone_by: float | None = None

    async def follow(self, states: AsyncIterator[PodState]) -> Outcome:
        """Read states until the run has ended. Raises what ends the watch."""
        pause = FIRST_LOOK
        upcoming: asyncio.Task[PodState] | None = None
        try:
            while True:
                upcoming = upcoming or asyncio.create_task(_next(states), name=f"state of {self.ref.name}")
                await asyncio.wait({upcoming}, timeout=self._patience(pause))
                if upcoming.done():
                    task, upcoming = upcoming, None
                    outcome = self._took(task.result())
                    if outcome is not None:
                        return outcome
                    continue
                if self._gone_by is not None:
                    if asyncio.get_running_loop().time() >= self._gone_by:
                        return self._lost()
                elif self._is_over():
                    await self._end(Why.TIMEOUT, self.grace)
                elif not self.started.is_set():
                    await self._look()
                    pause = min(pause * 2, LONGEST_LOOK)
        finally:
            self.started.set()
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.gather(upcoming, return_exceptions=True)

    async def cancel(self, grace: int) -> None:
        """Ask the pod to end within ``grace`` seconds, and note that it was us."""
        await self._end(Why.CANCELLED, grace)

    def _took(self, state: PodState) -> Outcome | None:
        vanished = state.gone and not state.ended
        self.state = state
        self._clocks.note(state)
        self._advance(phase_of(state, main=self.main))
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()
        if not (state.ended or state.gone) or self._is_going(state):
            return None
        return Outcome(
            state=state,
            why=Why.CANCELLED if state.annotations.get(CANCELLED) and not self.why else self.why,
            diagnosis=self._diagnosis(state, vanished),
            durations=self._clocks.durations(main=self.main),
            vanished=vanished,
        )

    def _lost(self) -> Outcome:
        assert self.state is not None  # noqa: S101 - a pod is only ended once it was seen
        return Outcome(
            state=self.state,
            why=self.why,
            diagnosis=_NODE_SILENT,
            durations=self._clocks.durations(main=self.main),
            vanished=True,
        )

    def _is_going(self, state: PodState) -> bool:
        """A pod that we delete has shown its end, but is still there: wait until nothing of it is left."""
        return state.ended and state.deleting and not state.gone and self.why is not Why.NOTHING

    def _diagnosis(self, state: PodState, vanished: bool) -> Diagnosis | None:
        if self.why is Why.TIMEOUT:
            text = f"the job ran longer than its timeout of {self.timeout:g} s"
            return Diagnosis(code="timeout", summary=text, remedy="raise the job's timeout", container=self.main)
        if self.why is Why.HOPELESS:
            return self._stuck
        if self.why is Why.CANCELLED or state.annotations.get(CANCELLED):
            return Diagnosis(code="cancelled", summary="the run was cancelled")
        if vanished and not state.deleting:
            return Diagnosis(
                code="vanished",
                summary="the pod vanished before anybody saw it end",
                remedy="its node may be lost, or somebody deleted it by force",
                infrastructure=True,
            )
        return ending(state, main=self.main) or (_deleted() if vanished else None)

    def _advance(self, phase: Phase) -> None:
        assert self.state is not None  # noqa: S101 - set just before
        user = self.state.container(self.main)
        if user is not None and user.has_run:
            self._begin(user.started)
        if phase is Phase.ENDED:
            self.started.set()
        # Only forwards: after fetching, the job's own image is pulled, and a pod that failed shows its mounts as gone.
        if self._announced and _ORDER[phase] <= _ORDER[self.phase]:
            return
        previous = self.phase if self._announced else None
        self._announced = True
        took = self._clocks.durations(main=self.main).get(previous) if previous else None
        self.phase = phase
        self.tell(RunEvent(kind="phase", phase=phase, seconds=took, previous=previous))

    def _begin(self, server_time: datetime | None) -> None:
        if self.started.is_set():
            return
        self.started.set()
        if self.timeout is not None:
            # Only a run that is taken up later is measured by the server's clock, which may differ from ours.
            ran = (datetime.now(UTC) - server_time).total_seconds() if server_time else 0.0
            used = max(0.0, ran) if self.resumed else 0.0
            self._deadline = asyncio.get_running_loop().time() + max(0.0, self.timeout - used)

    def _patience(self, pause: float) -> float:
        """Seconds to wait for the next state. Never for ever: somebody may cancel meanwhile, and no state follow."""
        if self._gone_by is not None:
            return max(0.0, self._gone_by - asyncio.get_running_loop().time())
        if not self.started.is_set():
            return pause
        if self._deadline is None or self.phase is not Phase.RUNNING:
            return LONGEST_LOOK
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def _is_over(self) -> bool:
        now = asyncio.get_running_loop().time()
        return self._deadline is not None and self.phase is Phase.RUNNING and now >= self._deadline

    async def _look(self) -> None:
        """Ask why the pod hasn't started; give up when that can't mend itself."""
        if self.state is None:
            return
        found = waiting(self.state, await self._notes())
        now = asyncio.get_running_loop().time()
        if found is None:
            self._stuck = None
            return
        if self._stuck is None or not self._losing_patience:
            self._stuck_since = now
        self._stuck, self._losing_patience = found.diagnosis, found.patience is not None
        if found.diagnosis.summary not in self._warned:
            self._warned.add(found.diagnosis.summary)
            self.tell(RunEvent(kind="warning", phase=self.phase, text=str(found.diagnosis)))
        if found.patience is not None and now - self._stuck_since >= found.patience:
            await self._end(Why.HOPELESS, HOPELESS_GRACE)

    async def _notes(self) -> list[Note]:
        path = f"/api/v1/namespaces/{self.ref.namespace}/events"
        try:
            listed = await self.session.get(path, fieldSelector=f"involvedObject.uid={self.ref.uid}")
        except ClusterError:
            return []  # who may not read events still learns what the pod itself says
        notes = [Note.of(item) for item in listed.get("items") or []]
        epoch = datetime.fromtimestamp(0, UTC)
        return sorted(notes, key=lambda note: note.time or epoch)

    async def _end(self, why: Why, grace: int) -> None:
        self.why = self.why or why
        if why is Why.CANCELLED:
            await self._mark()
        self._gone_by = asyncio.get_running_loop().time() + grace + LOST_AFTER
        try:
            await self.session.delete(self.ref.path, uid=self.ref.uid, grace=grace)
        except (NotFound, Conflict):
            return  # gone already: the watch tells

    async def _mark(self) -> None:
        body = {"metadata": {"annotations": {CANCELLED: "true"}, "uid": self.ref.uid}}
        try:
            await self.session.patch(self.ref.path, body)
        except ClusterError:
            return  # only for other launchers that follow the same run; it may not be allowed


async def _next(states: AsyncIterator[PodState]) -> PodState:
    return await anext(states)


_NODE_SILENT = Diagnosis(
    code="node_lost",
    summary="the pod was told to end and didn't: its node doesn't answer",
    remedy="see `kubectl get nodes`",
    infrastructure=True,
)


def _deleted() -> Diagnosis:
    return Diagnosis(code="deleted", summary="the pod was deleted before it started", infrastructure=True)
