"""One pod's life on the node: volumes, init containers, main containers beside their sidecars, the end.

``work`` is the part that a stop cuts short: mounting, waiting and starting. Containers run in tasks of their
own beside it, so that a stop can end them in Kubernetes' order within one shared grace.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from launcher.errors import Conflict, NotFound
from launcher.kube.session import Session
from launcher.local.node import host as waits
from launcher.local.node.containers import Container, Place
from launcher.local.node.crew import Crew
from launcher.local.node.disk import over_limit
from launcher.local.node.earlier import attempts
from launcher.local.node.folders import remove
from launcher.local.node.host import Host, doubling
from launcher.local.node.reporting import Reports
from launcher.local.node.states import Role, Seen, Snapshot, Waiting
from launcher.local.node.status import lost
from launcher.local.node.volumes import Mounted, MountFailed, Volumes

log = logging.getLogger("launcher")

DEADLINE = "Pod was active on the node longer than the specified deadline"


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
        self._crew = Crew((self._container(place, role, spec) for role, spec in _specs(self._spec)), self.title)
        self._work: asyncio.Task[None] | None = None
        self._stop: Stop | None = None
        self._resume(pod)
        self._held = self._sandbox = self._final = False

    def _resume(self, pod: dict[str, Any]) -> None:
        """What an earlier process of this node ran is gone: all starts again, as after a machine's restart, where
        the policy allows it, and the pod has ended where not."""
        before = attempts(pod)
        if not before:
            return
        policy, mains = self._spec.get("restartPolicy"), [c["name"] for c in self._spec["containers"]]
        done = policy == "Never" or (
            policy == "OnFailure" and all(name in before and before[name].ended.exit_code == 0 for name in mains)
        )
        if done or pod["metadata"].get("deletionTimestamp"):
            self._crew.resume(before, again=False)
            self._stop = Stop(0.0)
        else:
            self._crew.resume(before, again=True)

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
        if self._final:
            return
        self._crew.give(max(stop.grace, stop.minimum))
        if self._stop is None:
            self._stop = stop
            if self._work is not None:
                self._work.cancel()

    async def run(self) -> None:
        """From binding to the last report. Cancelling it kills the pod's processes and reports no more."""
        reporting = asyncio.create_task(self._reports.run(), name=f"reports of pod {self.title}")
        try:
            await self._live_or_fail()
            self._reports.close()
            await reporting
            await confirm_deletion(self._host.session, self._reports.pod)
        finally:
            self._held = True
            reporting.cancel()
            try:
                await self._crew.kill()
                await asyncio.wait({reporting})
            finally:
                await remove(self._folder / "volumes")

    async def _live_or_fail(self) -> None:
        """A fault of this node ends the pod as Failed: whoever waits for it must not wait for ever."""
        try:
            await self._live()
        except Exception as exc:
            log.exception("the node failed to run pod %s", self.title)
            self._held = True
            await self._crew.kill()
            self._held = False
            self._stop = Stop(0.0, reason="NodeFault", message=f"the node failed to run this pod: {type(exc).__name__}")
            self._finish()

    async def _live(self) -> None:
        self._report()
        if self._stop is None:
            await self._work_until_stopped()
        if self._stop is not None:
            await self._end(self._stop)
        self._finish()

    async def _work_until_stopped(self) -> None:
        work = self._work = asyncio.create_task(self._work_through(), name=f"work of pod {self.title}")
        disk = asyncio.create_task(self._watch_disk(), name=f"disk of pod {self.title}")
        seconds = self._spec.get("activeDeadlineSeconds")
        timer = asyncio.get_running_loop().call_later(float(seconds), self._exceed) if seconds else None
        try:
            await asyncio.wait({work, disk}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            disk.cancel()
            if timer is not None:
                timer.cancel()
            await asyncio.wait({work, disk})
        for task in (work, disk):
            if not task.cancelled():
                task.result()

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
        if self._host.isolation.warning and any(seen.spec.get("volumeMounts") for seen in self._crew.seen):
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
        at_once, never = asyncio.Event(), asyncio.Event()
        at_once.set()
        for container in self._crew.having(Role.INIT, Role.SIDECAR):
            # A sidecar is waited for until it runs, any other until it has ended.
            await self._crew.start(container, at_once, container.began if container.role is Role.SIDECAR else never)
            if container.role is Role.INIT and not container.seen.succeeded:
                return False
        return True

    async def _run_mains(self) -> None:
        """Start all, report that once, and wait for their ends."""
        mains, announced = self._crew.having(Role.MAIN), asyncio.Event()
        self._held = True
        try:
            for container in mains:
                await self._crew.start(container, announced, container.tried)
        finally:
            self._held = False
            self._report()
            announced.set()
        await self._crew.ended(mains)

    async def _end_sidecars(self) -> None:
        """The pod completes by itself: its sidecars have the whole grace for themselves."""
        sidecars = self._crew.having(Role.SIDECAR)
        self._held = any(container.running for container in sidecars)
        self._crew.give(max(self._grace, waits.MINIMUM_GRACE))
        for container in reversed(sidecars):
            await self._crew.end([container], 0.0)
        if self._held:
            self._held = self._sandbox = False
            self._report()

    async def _end(self, stop: Stop) -> None:
        """The pod was stopped: main containers first, then the sidecars with what is left of the grace."""
        self._held = True
        await self._crew.end(self._crew.having(Role.INIT, Role.MAIN), 0.0)
        for container in reversed(self._crew.having(Role.SIDECAR)):
            await self._crew.end([container], stop.minimum)
        self._held = False

    def _finish(self) -> None:
        self._sandbox, self._final = False, True
        if self._stop is None:
            self._report()
        self._report(lost(self._snapshot()))

    def _container(self, place: Place, role: Role, spec: dict[str, Any]) -> Container:
        policy = str(self._spec.get("restartPolicy") or "Always")
        if role is Role.INIT and policy == "Always":
            policy = "OnFailure"
        state = Waiting("PodInitializing" if self._spec.get("initContainers") else "ContainerCreating")
        return Container(place, spec, role, "Always" if role is Role.SIDECAR else policy, state, self._report)

    @property
    def _grace(self) -> float:
        grace = self._spec.get("terminationGracePeriodSeconds")
        return 30.0 if grace is None else float(grace)

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
            self._crew.seen,
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
