"""One container of a pod: its attempts, one after the other, as its restart policy says.

The pod owns the task of ``run`` and awaits it; states change only in here, and each change is told through
``changed`` at the moment that it happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from launcher.local.node import host as waits
from launcher.local.node.configuration import ConfigError
from launcher.local.node.folders import remove
from launcher.local.node.host import Host, doubling
from launcher.local.node.isolation import ImageFailed, Launch
from launcher.local.node.launching import image_of, launch_of
from launcher.local.node.logfiles import Attempt, ContainerLog
from launcher.local.node.process import Pipes, Process, StartFailed
from launcher.local.node.states import Attempts, Role, Running, Seen, State, Terminated, Waiting
from launcher.local.node.volumes import Mounted

# Bytes of a termination message: Kubernetes' own limits, for the file and for the log that stands in for it.
LONGEST_MESSAGE = 4096
LONGEST_LOG_MESSAGE = 2048
LOG_MESSAGE_LINES = 80


@attrs.frozen
class Place:
    """Where a container runs: its node, its pod, the pod's mounted volumes and folder."""

    host: Host
    pod: Mapping[str, Any]
    volumes: Mapping[str, Mounted]
    folder: Path

    @property
    def pod_title(self) -> str:
        meta = self.pod["metadata"]
        return f"{meta['name']}_{meta['namespace']}({meta['uid']})"


class Container:
    """One container. ``policy`` is Always, OnFailure or Never: what it means for this container."""

    def __init__(
        self,
        place: Place,
        spec: Mapping[str, Any],
        role: Role,
        policy: str,
        state: Waiting,
        changed: Callable[[], None],
    ) -> None:
        self.role = role
        self.spec = spec
        self.tried = asyncio.Event()
        self.began = asyncio.Event()
        self._place = place
        self._folder = place.folder / "containers" / str(spec["name"])
        self._policy = policy
        self._changed = changed
        self._state: State = state
        self._last: Terminated | None = None
        self._restarts = 0
        self._number = 0
        self._crashes = 0
        self._stopping = asyncio.Event()
        self._process: Process | None = None

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def seen(self) -> Seen:
        """What is known of it now."""
        return Seen(self.role, self.spec, self._state, self._last, self._restarts)

    @property
    def running(self) -> bool:
        return isinstance(self._state, Running)

    def resume(self, before: Attempts) -> None:
        """An earlier process of this node made attempts: the next one counts on."""
        self._last = before.ended
        self._restarts = before.restarts
        self._number = before.restarts + 1

    def give_up(self, before: Attempts) -> None:
        """An earlier process of this node made attempts, and there won't be another."""
        self._restarts = before.restarts
        self._state = before.ended

    async def run(self, announced: asyncio.Event) -> None:
        """Attempts, until the policy or a stop ends them.

        ``tried`` is set once the first one has begun or could not, ``began`` once one has; how an attempt
        ends is only looked at after ``announced``.
        """
        host = self._place.host
        log = host.logs.begin(self._place.pod["metadata"]["uid"], self.name, self._folder / "logs")
        while await self._attempt(self._number, log, announced):
            self._number += 1
            if not await self._wait_before_restart():
                return

    def stop(self) -> None:
        """No further attempt, and SIGTERM to the one that runs."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        if self._process is not None:
            self._tell("Killing", f"Stopping container {self.name}")
            self._process.signal(signal.SIGTERM)

    def kill(self) -> None:
        """No further attempt, and SIGKILL to the one that runs."""
        self._stopping.set()
        if self._process is not None:
            self._process.kill()

    async def _attempt(self, number: int, log: ContainerLog, announced: asyncio.Event) -> bool:
        """One attempt; whether another one is due."""
        scratch = self._folder / str(number)
        try:
            started = await self._start(number, scratch, log)
            self.tried.set()
            await announced.wait()
            if started is not None:
                await self._follow(*started, scratch)
        finally:
            await remove(scratch)
        ended = self._state if isinstance(self._state, Terminated) else self._last
        if self._stopping.is_set() or ended is None:
            return False
        return self._policy == "Always" or (self._policy == "OnFailure" and ended.exit_code != 0)

    async def _start(self, number: int, scratch: Path, log: ContainerLog) -> tuple[Process, Attempt] | None:
        """Start the process; None when it can't be, or when the pod was stopped meanwhile."""
        tries = 0
        while not self._stopping.is_set():
            _make(scratch)
            try:
                return await self._once(number, scratch, log)
            except ConfigError as exc:
                self._tell("Failed", f"Error: {exc}", warning=True)
                self._set(Waiting("CreateContainerConfigError", str(exc)))
                self.tried.set()
                await self._sleep(doubling(waits.CONFIG_FIRST, waits.CONFIG_LONGEST, tries))
                tries += 1
            except ImageFailed as exc:
                await self._without_image(exc, tries)
                tries += 1
            except StartFailed as exc:
                self._not_started(number, str(exc))
                return None
        return None

    async def _once(self, number: int, scratch: Path, log: ContainerLog) -> tuple[Process, Attempt]:
        place = self._place
        await self._pull()
        async with launch_of(place.host, place.pod, self.spec, place.volumes, scratch) as launch:
            self._tell("Created", "Container created")
            process, attempt = await _started(place.host, launch, log, number)
        self._process = process
        self._tell("Started", "Container started")
        if isinstance(self._state, Terminated):
            self._last = self._state
        self._restarts = number
        self.began.set()
        self._set(Running(datetime.now(UTC), f"process://{secrets.token_hex(32)}"))
        if self._stopping.is_set():
            process.signal(signal.SIGTERM)
        return process, attempt

    async def _pull(self) -> None:
        """Have the image, where containers come from images. Raises ``ImageFailed``."""
        name, images = self.spec.get("image", ""), self._place.host.isolation.images
        pulled = images is not None and await images.have(
            image_of(self.spec, {}), lambda: self._tell("Pulling", f'Pulling image "{name}"')
        )
        present = f'Container image "{name}" already present on machine and can be accessed by the pod'
        self._tell("Pulled", f'Successfully pulled image "{name}"' if pulled else present)

    async def _without_image(self, failure: ImageFailed, tries: int) -> None:
        """What a kubelet tells and waits for without the image; after a pull, the back-off is a state of its own."""
        for reason, message in failure.events():
            self._tell(reason, message, warning=True)
        self._set(Waiting(failure.reason, str(failure)))
        self.tried.set()
        if failure.reason != "ErrImagePull":
            await self._sleep(doubling(waits.CONFIG_FIRST, waits.CONFIG_LONGEST, tries))
            return
        # A kubelet's next round finds that it mustn't try again yet.
        await self._sleep(waits.CONFIG_LONGEST)
        backing = f'Back-off pulling image "{self.spec.get("image", "")}"'
        self._tell("BackOff", backing)
        self._tell("Failed", "Error: ImagePullBackOff", warning=True)
        self._set(Waiting("ImagePullBackOff", f"{backing}: ErrImagePull: {failure}"))
        await self._sleep(doubling(waits.PULL_FIRST, waits.PULL_LONGEST, tries))

    def _not_started(self, number: int, message: str) -> None:
        self._tell("Failed", f"Error: {message}", warning=True)
        if isinstance(self._state, Terminated):
            self._last = self._state
        self._restarts = number
        failed = Terminated(
            128,
            "StartError",
            datetime.now(UTC),
            message=message,
            container_id=f"process://{secrets.token_hex(32)}",
        )
        if self._policy == "Never":
            self._set(failed)
        else:
            self._last = failed
            self._set(Waiting("RunContainerError", message))

    async def _follow(self, process: Process, attempt: Attempt, scratch: Path) -> None:
        """Until the process has ended and all that it wrote is in the log."""
        try:
            code = await process.wait()
            finished = datetime.now(UTC)
            await attempt.finish()
        finally:
            self._process = None
            process.close()
            attempt.close()
        running = self._state
        assert isinstance(running, Running)  # noqa: S101  only _once gets here
        if (finished - running.started).total_seconds() >= waits.RESTART_FORGIVEN:
            self._crashes = 0
        self._set(
            Terminated(
                code,
                "Error" if code else "Completed",
                finished,
                running.started,
                self._message(scratch, attempt, code),
                running.container_id,
            )
        )

    def _message(self, scratch: Path, attempt: Attempt, code: int) -> str:
        message = _end_of(scratch / "termination-log", LONGEST_MESSAGE)
        if not message and code and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            return attempt.tail(LOG_MESSAGE_LINES, LONGEST_LOG_MESSAGE)
        return message

    async def _wait_before_restart(self) -> bool:
        """The back-off; False when the container was stopped while it waited."""
        crashes, self._crashes = self._crashes, self._crashes + 1
        if crashes == 0:
            return not self._stopping.is_set()
        seconds = doubling(waits.RESTART_FIRST, waits.RESTART_LONGEST, crashes - 1)
        if isinstance(self._state, Terminated):
            self._last = self._state
        title = self._place.pod_title
        self._tell("BackOff", f"Back-off restarting failed container {self.name} in pod {title}", warning=True)
        self._set(
            Waiting(
                "CrashLoopBackOff",
                f"back-off {_go(seconds)} restarting failed container={self.name} pod={title}",
            )
        )
        await self._sleep(seconds)
        return not self._stopping.is_set()

    async def _sleep(self, seconds: float) -> None:
        """Seconds of the node's pace, cut short by a stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds * self._place.host.pace)

    def _set(self, state: State) -> None:
        self._state = state
        self._changed()

    def _tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        events = self._place.host.events
        events.kubelet(self._place.pod, reason, message, warning=warning, of=(self.role, self.name))


async def _started(host: Host, launch: Launch, log: ContainerLog, number: int) -> tuple[Process, Attempt]:
    pipes = Pipes.open()
    try:
        process = await host.isolation.start(launch, pipes)
    except BaseException:
        pipes.close()
        raise
    finally:
        pipes.close_child_ends()
    try:
        return process, log.capture(pipes, number)
    except BaseException:
        process.close()
        pipes.close()
        raise


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)


def _end_of(path: Path, size: int) -> str:
    """The last ``size`` bytes of a file that its container may have replaced by anything."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            file.seek(-min(file.seek(0, os.SEEK_END), size), os.SEEK_END)
            return file.read(size).decode("utf-8", "replace")
    except OSError:
        return ""


def _go(seconds: float) -> str:
    """A duration as Go prints it: 40s, 1m20s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
