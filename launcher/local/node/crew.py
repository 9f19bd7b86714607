"""The containers of one pod as a crew: started one by one, ended together within a grace that they share."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from launcher.local.node.containers import Container
from launcher.local.node.states import Attempts, Role, Seen

# Seconds that the processes of a pod may take to be gone after SIGKILL when the node itself stops.
SHUTDOWN = 5.0


class Crew:
    """Owns the task of every container that was started; ``title`` is the pod's, for their names."""

    def __init__(self, containers: Iterable[Container], title: str) -> None:
        self._containers = tuple(containers)
        self._title = title
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._deadline = 0.0
        self._limit: asyncio.Timeout | None = None

    @property
    def seen(self) -> tuple[Seen, ...]:
        """What is known of each now."""
        return tuple(container.seen for container in self._containers)

    def having(self, *roles: Role) -> list[Container]:
        """Its containers of these roles, in their order."""
        return [container for container in self._containers if container.role in roles]

    def resume(self, before: Mapping[str, Attempts], *, again: bool) -> None:
        """What an earlier process of this node ran is gone; ``again`` says whether it is to be started again."""
        for container in self._containers:
            if container.name in before:
                (container.resume if again else container.give_up)(before[container.name])

    def give(self, seconds: float) -> None:
        """All have ``seconds`` from now; what was given before can only be shortened."""
        deadline = asyncio.get_running_loop().time() + seconds
        if self._deadline == 0.0 or deadline < self._deadline:
            self._deadline = deadline
            if self._limit is not None:
                self._limit.reschedule(deadline)

    async def start(self, container: Container, announced: asyncio.Event, until: asyncio.Event) -> None:
        """Start it, and wait for ``until`` or for its end. Raises what its task raised."""
        name = f"container {container.name} of pod {self._title}"
        task = self._tasks[container.name] = asyncio.create_task(container.run(announced), name=name)
        waiting = asyncio.create_task(until.wait(), name=f"start of {name}")
        try:
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            await asyncio.wait({waiting})
        if task.done():
            task.result()

    async def ended(self, containers: Iterable[Container]) -> None:
        """Wait for the ends of containers that were started. Raises what their tasks raised."""
        for container in containers:
            await asyncio.wait({self._tasks[container.name]})
            self._tasks[container.name].result()

    async def end(self, containers: Sequence[Container], minimum: float) -> None:
        """SIGTERM to all of them, SIGKILL when the grace is over, or after ``minimum`` seconds if that is later."""
        for container in containers:
            container.stop()
        tasks = [self._tasks[container.name] for container in containers if container.name in self._tasks]
        if not tasks:
            return
        deadline = max(self._deadline, asyncio.get_running_loop().time() + minimum)
        try:
            async with asyncio.timeout_at(deadline) as self._limit:
                await asyncio.wait(tasks)
        except TimeoutError:
            for container in containers:
                container.kill()
            await asyncio.wait(tasks)
        finally:
            self._limit = None

    async def kill(self) -> None:
        """SIGKILL to all that runs; returns once it is gone."""
        for container in self._containers:
            container.kill()
        tasks = set(self._tasks.values())
        try:
            async with asyncio.timeout(SHUTDOWN):
                if tasks:
                    await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
