"""The node: registers itself, watches pods and claims, and gives every pod that is bound to it a run.

Like a kubelet and a scheduler it is a client of the API server and of nothing else. Leaving it kills all
processes that it started; so does the end of the process that it runs in, however that comes.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from launcher.errors import ClusterError, Conflict
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.kube.watch import Event, watch
from launcher.local.node.claims import Claims
from launcher.local.node.endpoint import Endpoint, Kubelet
from launcher.local.node.events import FLUSH, Events
from launcher.local.node.folders import remove
from launcher.local.node.host import Host
from launcher.local.node.isolation import Isolation, choose
from launcher.local.node.logfiles import LogStore
from launcher.local.node.machine import capacity, labels, node
from launcher.local.node.pod import PodRun, Stop, confirm_deletion
from launcher.local.node.scheduler import Scheduler
from launcher.local.node.status import ENDED
from launcher.local.node.warden import Warden

log = logging.getLogger("launcher")

# Uids, container and volume names become names of folders: the API server checks them, and so do we.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")

# Where a kubelet's environment says the API server is when a session doesn't tell.
_NO_ADDRESS = ("kubernetes.default.svc", 443)


class Node:
    """One node, with its data below ``folder`` (private to this user). Use it as an async context manager.

    When ``folder`` is None, a private temporary one is made, and gone once the node is, also by SIGKILL.
    ``isolation`` is chosen by a trial run when it is None. ``pace`` multiplies the node's own waits, such as
    the back-off before a restart: 1.0 is a kubelet's pace, tests take less. ``endpoint`` is where an API
    server that isn't in this process reads logs; one that is takes ``logs``.
    """

    def __init__(
        self,
        session: Session,
        folder: Path | None,
        *,
        name: str = "localhost",
        isolation: Isolation | None = None,
        pace: float = 1.0,
        endpoint: Endpoint | None = None,
    ) -> None:
        self.name = name
        self.logs = LogStore()
        self._session = session
        self._folder = folder
        self._isolation = isolation
        self._pace = pace
        self._endpoint = endpoint
        self._opened = AsyncExitStack()
        self._host: Host
        self._scheduler: Scheduler
        self._claims: Claims
        self._runs: dict[str, PodRun] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._finished: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._synced = asyncio.Event()

    @property
    def isolation(self) -> Isolation:
        """How containers are run; known once the node is entered."""
        return self._host.isolation

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            # First in and last out: it ends what the rest couldn't.
            warden = await opened.enter_async_context(Warden(self._folder))
            self._host = await self._hosting(warden)
            port = 0
            if self._endpoint is not None:
                kubelet = Kubelet(self._endpoint, self._session, self.logs)
                port = (await opened.enter_async_context(kubelet)).port
            await self._register(port)
            opened.push_async_callback(self._end)
            await self._begin()
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    async def _hosting(self, warden: Warden) -> Host:
        warden.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = warden.folder.resolve()
        return Host(
            self._session,
            self.name,
            folder,
            self._isolation or await choose(),
            Events(self._session, self.name),
            self.logs,
            capacity(folder),
            _address(self._session),
            warden.mark,
            self._pace,
        )

    async def _register(self, port: int) -> None:
        mine = node(self.name, self._host.allocatable, port)
        path = f"/api/v1/nodes/{self.name}"
        try:
            await self._session.create("/api/v1/nodes", mine)
        except Conflict:
            await self._session.patch(path, {"metadata": {"labels": mine["metadata"]["labels"]}})
        await self._session.patch(f"{path}/status", {"status": mine["status"]})

    async def _begin(self) -> None:
        """Start the node's tasks; returns once all pods that there are have been looked at."""
        host = self._host
        self._claims = Claims(self._session, host.folder / "claims", self.name)
        self._scheduler = Scheduler(
            self._session, host.events, self._claims, self.name, labels(self.name), host.allocatable
        )
        self._events_task = asyncio.create_task(host.events.run(), name=f"events of node {self.name}")
        self._own("claims", self._watch_claims())
        self._own("scheduler", self._scheduler.run())
        watching = self._own("pods", self._watch_pods())
        synced = asyncio.create_task(self._synced.wait(), name=f"start of node {self.name}")
        try:
            await asyncio.wait({watching, synced}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            synced.cancel()
            await asyncio.wait({synced})
        if watching.done():
            watching.result()
        await self._tidy()

    async def _tidy(self) -> None:
        """Remove what an earlier process of this node left of pods that are gone, and the volumes of ended ones."""
        pods = self._host.folder / "pods"
        for folder in list(pods.iterdir()) if pods.exists() else []:
            if folder.name not in self._runs:
                await remove(folder / "volumes" if folder.name in self._finished else folder)

    async def _end(self) -> None:
        tasks = self._tasks
        try:
            while tasks:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(set(tasks))
            self._host.events.close()
            await asyncio.wait({self._events_task}, timeout=FLUSH)
        finally:
            for uid in {*self._runs, *self._finished}:
                self.logs.forget(uid)
            self._events_task.cancel()
            await asyncio.wait({self._events_task})

    def _own(self, what: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"{what} of node {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._disown)
        return task

    def _disown(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended: %s", task.get_name(), error, exc_info=error)

    async def _watch_pods(self) -> None:
        async with aclosing(watch(self._session, "/api/v1/pods", whole=False)) as events:
            async for event in events:
                if event.type == "SYNCED":
                    self._synced.set()
                else:
                    self._heed(event)

    async def _watch_claims(self) -> None:
        async with aclosing(watch(self._session, "/api/v1/persistentvolumeclaims")) as events:
            async for event in events:
                if event.type == "DELETED":
                    await self._claims.released(event.object)
                elif event.type != "SYNCED":
                    await self._bind(event.object)
                self._scheduler.wake()

    async def _bind(self, claim: dict[str, Any]) -> None:
        try:
            await self._claims.bind(claim)
        except ClusterError as exc:
            log.warning("claim %s can't be bound now: %s", claim["metadata"]["name"], exc)

    def _heed(self, event: Event) -> None:
        try:
            self._on_pod(event)
        except (AttributeError, KeyError, TypeError, ValueError):
            # One pod that a server has let through malformed must not stop all the others.
            log.exception("a pod isn't run: what the server says of it makes no sense")

    def _on_pod(self, event: Event) -> None:
        pod = event.object
        uid = pod["metadata"]["uid"]
        if event.type == "DELETED":
            # Nothing but its uid is sure to be there.
            self._own(f"removal of pod {uid}", self._remove(uid))
            return
        here = pod["spec"].get("nodeName") == self.name
        if uid in self._runs:
            self._runs[uid].update(pod)
        elif here and uid in self._finished:
            # Deleted after its last report was sent, but before the server had it.
            self._own(f"deletion of pod {uid}", confirm_deletion(self._session, pod))
        elif here:
            self._take_on(pod)
        elif not pod["spec"].get("nodeName"):
            self._scheduler.offer(pod)

    def _take_on(self, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        if (pod.get("status") or {}).get("phase") in ENDED:
            self._finished.add(uid)
        elif not _plain(pod):
            log.error("pod %s isn't run: a name in it can't name a folder", pod["metadata"]["name"])
        else:
            self._scheduler.take(pod)
            run = self._runs[uid] = PodRun(self._host, pod)
            run.update(pod)
            self._running[uid] = self._own(f"pod {run.title}", self._run(uid, run))

    async def _run(self, uid: str, run: PodRun) -> None:
        try:
            await run.run()
        finally:
            self._scheduler.release(uid)
            self._host.events.forget(uid)
            self._finished.add(uid)
            del self._runs[uid], self._running[uid]

    async def _remove(self, uid: str) -> None:
        """Everything of a pod that is gone, once its run has ended."""
        self._scheduler.release(uid)
        if uid in self._runs:
            self._runs[uid].stop(Stop(0.0))
            await asyncio.wait({self._running[uid]})
        self._host.events.forget(uid)
        self.logs.forget(uid)
        self._finished.discard(uid)
        await remove(self._host.folder / "pods" / uid)


def _plain(pod: dict[str, Any]) -> bool:
    spec = pod["spec"]
    named = [*spec["containers"], *(spec.get("initContainers") or ()), *(spec.get("volumes") or ())]
    return all(_PLAIN.fullmatch(str(name)) for name in (pod["metadata"]["uid"], *(item["name"] for item in named)))


def _address(session: Session) -> tuple[str, int]:
    if not isinstance(session.target, Address):
        return _NO_ADDRESS
    url = urlsplit(session.target.url)
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
