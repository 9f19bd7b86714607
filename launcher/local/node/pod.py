"""One pod's life on the node: volumes, init containers, main containers beside their sidecars, the end.

``work`` is the part that a stop cuts short: mounting, waiting and starting. Containers run in tasks of their
own beside it, so that a stop can end them in Kubernetes' order within one shared grace.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from launcher.errors import Conflict, NotFound
from launcher.kube.session import Session
from launcher.local.node import host as waits
from launcher.local.node.containers import Container, Place
from launcher.local.node.disk import over_limit
from launcher.local.node.folders import remove
from launcher.local.node.host import Host, doubling
from launcher.local.node.reporting import Reports
from launcher.local.node.states import Role, Seen, Snapshot, Waiting
from launcher.local.node.status import lost
from launcher.local.node.volumes import Mounted, MountFailed, Volumes

DEADLINE = "Pod was active on the node longer than the specified deadline"

# Seconds that the processes of a pod may take to be gone after SIGKILL when the node itself stops.
SHUTDOWN = 5.0


@attrs.frozen
class Stop:
    """Why a pod is ended from outside, and how many seconds its containers have, at least ``minimum``."""

    grace: float
    minimum: float = waits.MINIMUM_GRACE
    reason: str = ""
    message: str = ""


class PodRun:
    """A pod that is bound to this node. The node owns the task of ``run``."""

    def __init__(self, host: Host, pod: dict[str, Any]) -> None:
        self._host = host
        self._spec: dict[str, Any] = pod["spec"]
        self._reports = Reports(host.session, pod)
        self._folder = host.folder / "pods" / pod["metadata"]["uid"]
        self._mounted: dict[str, Mounted] = {}
        place = Place(host, pod, self._mounted, self._folder)
        self._containers = [self._container(place, role, spec) for role, spec in _specs(self._spec)]
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._work: asyncio.Task[None] | None = None
        self._stop: Stop | None = None
        self._deadline = 0.0
        self._limit: asyncio.Timeout | None = None
        self._held = self._sandbox = self._final = False

    @property
    def title(self) -> str:
        meta = self._reports.pod["metadata"]
        return f"{meta['namespace']}/{meta['name']}"

    def update(self, pod: dict[str, Any]) -> None:
        """The watch told of a new version of the pod."""
        self._reports.seen(pod)
        if pod["metadata"].get("deletionTimestamp"):
            self._report()
            self.stop(Stop(float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)))

    def stop(self, stop: Stop) -> None:
        """End the pod. A later stop can only shorten the grace of an earlier one."""
        deadline = asyncio.get_running_loop().time() + max(stop.grace, stop.minimum)
        if self._final:
            return
        if self._stop is None:
            self._stop, self._deadline = stop, deadline
            if self._work is not None:
                self._work.cancel()
        elif deadline < self._deadline:
            self._deadline = deadline
            if self._limit is not None:
                self._limit.reschedule(deadline)

    async def run(self) -> None:
        """From binding to the last report. Cancelling it kills the pod's processes and reports no more."""
        reporting = asyncio.create_task(self._reports.run(), name=f"reports of pod {self.title}")
        try:
            await self._live()
            self._reports.close()
            await reporting
            await confirm_deletion(self._host.session, self._reports.pod)
        finally:
            reporting.cancel()
            await self._shut(reporting)

    async def _live(self) -> None:
        self._report()
        if self._stop is None:
            self._work = asyncio.create_task(self._work_through(), name=f"work of pod {self.title}")
            disk = asyncio.create_task(self._watch_disk(), name=f"disk of pod {self.title}")
            timer = self._set_deadline()
            try:
                await asyncio.wait({self._work})
            finally:
                disk.cancel()
                timer.cancel()
        if self._stop is not None:
            await self._end(self._stop)
        elif self._work is not None:
            self._work.result()
        self._finish()

    async def _work_through(self) -> None:
        await self._mount()
        self._sandbox = True
        self._report()
        if await self._initialise():
            await self._run_mains()
        await self._end_sidecars()

    async def _mount(self) -> None:
        volumes = Volumes(self._host.session, self._reports.pod, self._folder / "volumes", self._host.allocatable)
        left, tries = list(self._spec.get("volumes") or ()), 0
        while left := [volume for volume in left if not await self._mount_one(volumes, volume)]:
            await asyncio.sleep(doubling(waits.MOUNT_FIRST, waits.MOUNT_LONGEST, tries) * self._host.pace)
            tries += 1
        if self._host.isolation.warning and any(container.spec.get("volumeMounts") for container in self._containers):
            self._tell("PathsRewritten", self._host.isolation.warning, warning=True)

    async def _mount_one(self, volumes: Volumes, volume: dict[str, Any]) -> bool:
        try:
            self._mounted[volume["name"]] = await volumes.mount(volume)
        except MountFailed as exc:
            self._tell("FailedMount", str(exc), warning=True)
            return False
        return True

    async def _initialise(self) -> bool:
        """Init containers and sidecars in their order; whether the main containers may start."""
        for container in self._having(Role.INIT, Role.SIDECAR):
            task = self._go(container, _set_event())
            await _first(task, container.began if container.role is Role.SIDECAR else None)
            if container.role is Role.INIT and not container.seen.succeeded:
                return False
        return True

    async def _run_mains(self) -> None:
        """Start all, report that once, and wait for their ends."""
        mains, announced = self._having(Role.MAIN), asyncio.Event()
        self._held = True
        try:
            for container in mains:
                await _first(self._go(container, announced), container.tried)
        finally:
            self._held = False
            self._report()
            announced.set()
        for container in mains:
            await asyncio.wait({self._tasks[container.name]})
            self._tasks[container.name].result()

    async def _end_sidecars(self) -> None:
        """The pod completes by itself: its sidecars have the whole grace for themselves."""
        sidecars = self._having(Role.SIDECAR)
        if any(container.running for container in sidecars):
            self._held = True
        deadline = asyncio.get_running_loop().time() + max(self._grace, waits.MINIMUM_GRACE)
        for container in reversed(sidecars):
            await self._stop_all([container], deadline)
        if self._held:
            self._held = self._sandbox = False
            self._report()

    async def _end(self, stop: Stop) -> None:
        """The pod was stopped: main containers first, then the sidecars with what is left of the grace."""
        self._held = True
        if self._work is not None:
            await asyncio.wait({self._work})
        await self._stop_all(self._having(Role.INIT, Role.MAIN), None)
        for container in reversed(self._having(Role.SIDECAR)):
            await self._stop_all([container], asyncio.get_running_loop().time() + stop.minimum)
        self._held = False

    async def _stop_all(self, containers: Sequence[Container], not_before: float | None) -> None:
        """SIGTERM to all, SIGKILL at the pod's deadline or, if that is later, at ``not_before``."""
        for container in containers:
            container.stop()
        tasks = [self._tasks[container.name] for container in containers if container.name in self._tasks]
        if not tasks:
            return
        deadline = max(self._deadline, not_before or 0.0)
        try:
            async with asyncio.timeout_at(deadline) as self._limit:
                await asyncio.wait(tasks)
        except TimeoutError:
            for container in containers:
                container.kill()
            await asyncio.wait(tasks)
        finally:
            self._limit = None

    def _finish(self) -> None:
        self._sandbox, self._final = False, True
        if self._stop is None:
            self._report()
        self._report(lost(self._snapshot()))

    async def _shut(self, reporting: asyncio.Task[None]) -> None:
        """Leave nothing: no process, no task, no file but the logs."""
        self._held = True
        tasks = {task for task in (reporting, self._work, *self._tasks.values()) if task is not None}
        if self._work is not None:
            self._work.cancel()
        for container in self._containers:
            container.kill()
        try:
            async with asyncio.timeout(SHUTDOWN):
                await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await remove(self._folder / "volumes")

    def _container(self, place: Place, role: Role, spec: dict[str, Any]) -> Container:
        policy = str(self._spec.get("restartPolicy") or "Always")
        if role is Role.INIT and policy == "Always":
            policy = "OnFailure"
        state = Waiting("PodInitializing" if self._spec.get("initContainers") else "ContainerCreating")
        return Container(place, spec, role, "Always" if role is Role.SIDECAR else policy, state, self._report)

    def _go(self, container: Container, announced: asyncio.Event) -> asyncio.Task[None]:
        name = f"container {container.name} of pod {self.title}"
        task = self._tasks[container.name] = asyncio.create_task(container.run(announced), name=name)
        return task

    def _having(self, *roles: Role) -> list[Container]:
        return [container for container in self._containers if container.role in roles]

    @property
    def _grace(self) -> float:
        grace = self._spec.get("terminationGracePeriodSeconds")
        return 30.0 if grace is None else float(grace)

    def _set_deadline(self) -> asyncio.TimerHandle:
        seconds = self._spec.get("activeDeadlineSeconds")
        # A timer that never fires stands for no deadline, so that there is always one to cancel.
        return asyncio.get_running_loop().call_later(float(seconds or 1e9), self._exceed)

    def _exceed(self) -> None:
        self._tell("DeadlineExceeded", DEADLINE)
        self.stop(Stop(self._grace, reason="DeadlineExceeded", message=DEADLINE))

    async def _watch_disk(self) -> None:
        message = await over_limit(self._spec.get("volumes") or (), self._mounted, self._host.pace)
        self._tell("Evicted", message, warning=True)
        self.stop(Stop(waits.EVICTION_GRACE, waits.EVICTION_GRACE, "Evicted", message))

    def _snapshot(self) -> Snapshot:
        stop = self._stop or Stop(0.0)
        return Snapshot(
            tuple(container.seen for container in self._containers),
            str(self._spec.get("restartPolicy") or "Always"),
            generation=int(self._reports.pod["metadata"].get("generation") or 1),
            sandbox=self._sandbox,
            final=self._final,
            stopped=self._stop is not None and self._final,
            reason=stop.reason,
            message=stop.message,
        )

    def _report(self, containers: tuple[Seen, ...] | None = None) -> None:
        if not self._held:
            snapshot = self._snapshot()
            self._reports.put(snapshot if containers is None else attrs.evolve(snapshot, containers=containers))

    def _tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._host.events.kubelet(self._reports.pod, reason, message, warning=warning)


async def confirm_deletion(session: Session, pod: Mapping[str, Any]) -> None:
    """Nothing of the pod runs any more: where somebody has deleted it, let it go."""
    meta = pod["metadata"]
    if meta.get("deletionTimestamp"):
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        with contextlib.suppress(NotFound, Conflict):
            await session.delete(path, uid=meta["uid"], grace=0)


def _specs(spec: dict[str, Any]) -> Iterable[tuple[Role, dict[str, Any]]]:
    for container in spec.get("initContainers") or ():
        yield Role.SIDECAR if container.get("restartPolicy") == "Always" else Role.INIT, container
    for container in spec["containers"]:
        yield Role.MAIN, container


def _set_event() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def _first(task: asyncio.Task[None], event: asyncio.Event | None) -> None:
    """Until ``event`` is set, or ``task`` has ended; raises what the task raised."""
    if event is None:
        await asyncio.wait({task})
    else:
        waiting = asyncio.create_task(event.wait(), name=f"start of {task.get_name()}")
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
    if task.done():
        task.result()
