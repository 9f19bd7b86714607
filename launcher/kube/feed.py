"""One watch for many pods: every subscriber sees the states of its own pod, from the first to the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Self

from launcher.errors import ClusterError, LauncherError
from launcher.kube.podstate import PodRef, PodState
from launcher.kube.session import Session
from launcher.kube.watch import Event, watch

# Pods that vanished with nobody looking: more than are ever between their creation and their first look.
REMEMBERED = 1000


class Feed:
    """The pods of one namespace that match a selector. An async context manager that owns its watch.

    Example::

        async with Feed(session, "jobs", "podlauncher.dev/run=count-1") as feed:
            async for state in feed.states(ref):
                print(state.phase)
    """

    def __init__(self, session: Session, namespace: str, selector: str) -> None:
        self._session = session
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._selector = selector
        self._latest: dict[str, dict[str, Any]] = {}
        self._gone: dict[str, dict[str, Any]] = {}
        self._queues: dict[str, list[asyncio.Queue[PodState | None]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._failure: LauncherError | None = None

    async def __aenter__(self) -> Self:
        """Open once the first list is through, so that no later change is missed. Raises what the list raises."""
        ready = asyncio.Event()
        self._task = asyncio.create_task(self._watch(ready), name=f"feed {self._path} {self._selector}")
        waiter = asyncio.create_task(ready.wait(), name="feed opens")
        try:
            await asyncio.wait({self._task, waiter}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            await self.__aexit__()
            raise
        finally:
            waiter.cancel()
        if self._failure:
            raise self._failure
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._task is not None  # noqa: S101 - set on entering
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def states(self, ref: PodRef) -> AsyncGenerator[PodState]:
        """The states of one pod: the latest known first, then each change; ends after a state that is ``gone``.

        Raises what ended the watch, if something did. A pod that isn't there yet is waited for.
        """
        if self._failure:
            raise self._failure
        queue: asyncio.Queue[PodState | None] = asyncio.Queue()
        self._queues.setdefault(ref.uid, []).append(queue)
        if ref.uid in self._latest:
            queue.put_nowait(PodState.of(self._latest[ref.uid]))
        elif ref.uid in self._gone:
            queue.put_nowait(PodState.of(self._gone[ref.uid], gone=True))
        try:
            while True:
                state = await queue.get()
                if state is None:
                    raise self._failure or LauncherError("the watch was closed")
                yield state
                if state.gone:
                    return
        finally:
            self._forget(ref.uid, queue)

    def _forget(self, uid: str, queue: asyncio.Queue[PodState | None]) -> None:
        left = self._queues[uid]
        left.remove(queue)
        if not left:
            del self._queues[uid]

    async def _watch(self, ready: asyncio.Event) -> None:
        try:
            async with aclosing(watch(self._session, self._path, labels=self._selector)) as events:
                async for event in events:
                    if event.type == "SYNCED":
                        ready.set()
                    else:
                        self._tell(event)
        except LauncherError as exc:
            self._failure = exc
        except Exception as exc:
            self._failure = ClusterError(f"the watch on {self._path} failed: {type(exc).__name__}: {exc}")
        finally:
            for queues in self._queues.values():
                for queue in queues:
                    queue.put_nowait(None)

    def _tell(self, event: Event) -> None:
        uid = event.object["metadata"]["uid"]
        gone = event.type == "DELETED"
        if gone:
            self._latest.pop(uid, None)
        else:
            self._latest[uid] = event.object
        subscribers = self._queues.get(uid)
        if subscribers:
            state = PodState.of(event.object, gone=gone)
            for queue in subscribers:
                queue.put_nowait(state)
        elif gone:
            # It may be subscribed to in a moment: its creation and its end can overtake the creator's answer.
            self._gone[uid] = event.object
            if len(self._gone) > REMEMBERED:
                del self._gone[next(iter(self._gone))]
