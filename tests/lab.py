"""A local cluster of real processes, and launchers that reach it as those of several shells would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from launcher import Job, Launcher, Run, RunEvent, Settings
from launcher.cluster import told
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.cluster import LocalCluster
from launcher.local.node import Node
from launcher.settings import Surroundings
from tests.real import emptied, shared

PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"

# A command that says when it has begun, and ends 7 as soon as it is asked to.
HEEDS = ("sh", "-c", "trap 'exit 7' TERM; echo up; sleep 60 & wait $!")


class Lab:
    """One cluster, and what tests ask of it."""

    def __init__(self, cluster: Address, session: Session, folder: Path, stack: AsyncExitStack) -> None:
        self._stack = stack
        self.cluster = cluster
        self.session = session
        self.folder = folder
        self.store = folder / "data" / "artifacts"

    def reach_by(self, url: str) -> None:
        """Launchers that are made from now on reach the cluster at this address."""
        self._stack.enter_context(told(self.folder, url, self.cluster.token))

    def settings(self, **fields: Any) -> Settings:
        """The settings of a user of this cluster."""
        surroundings = Surroundings(state=self.folder, data=self.folder / "data")
        return Settings(**{"cluster": "local", "surroundings": surroundings, **fields})

    def launcher(self, **fields: Any) -> Launcher:
        """A launcher with these settings."""
        return Launcher(self.settings(**fields))

    async def put(self, plural: str, kind: str, name: str, **body: Any) -> None:
        """One more object."""
        item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **body}
        await self.session.create(f"/api/v1/namespaces/default/{plural}", item)

    async def names(self, path: str = PODS) -> list[str]:
        """The names of what is there."""
        listed = await self.session.get(path)
        return [item["metadata"]["name"] for item in listed["items"]]

    async def left(self) -> list[str]:
        """Everything of runs that is in the cluster."""
        return [*await self.names(PODS), *(name for name in await self.names(CONFIG_MAPS) if name.endswith("-files"))]

    def history(self, run_id: str) -> dict[str, Any]:
        """What run.json tells of a run."""
        found: dict[str, Any] = json.loads((self.store / run_id / "run.json").read_text())
        return found

    def manifest(self, run_id: str) -> dict[str, Any]:
        """What manifest.json tells of a run."""
        found: dict[str, Any] = json.loads((self.store / run_id / "manifest.json").read_text())
        return found

    def log(self, run_id: str) -> str:
        """The log as it was saved."""
        return (self.store / run_id / "logs" / "main.log").read_bytes().decode()


@asynccontextmanager
async def laboratory(folder: Path) -> AsyncIterator[Lab]:
    """A cluster that launchers find as the one in the background; its API server is a real one where there is one."""
    async with AsyncExitStack() as stack:
        plane = shared()
        if plane is None:
            address = (await stack.enter_async_context(LocalCluster(folder / "cluster"))).address
            session = await stack.enter_async_context(Session(address))
        else:
            address = await stack.enter_async_context(emptied(plane))
            session = await stack.enter_async_context(Session(address))
            await stack.enter_async_context(Node(session, folder / "cluster", endpoint=plane.endpoint))
        lab = Lab(address, session, folder, stack)
        lab.reach_by(address.url)
        yield lab


def job(*command: str, **fields: Any) -> Job:
    """A job that runs this command, or a line of shell."""
    words = list(command) if len(command) > 1 else ["sh", "-c", *command]
    return Job(**{"name": "j", "image": "i", "command": words, **fields})


async def until(run: Run, true: Callable[[RunEvent], bool], seconds: float = 15) -> RunEvent:
    """The first event of a run for which ``true`` holds."""
    async with asyncio.timeout(seconds):
        async for event in run.events():
            if true(event):
                return event
    raise AssertionError("the run ended without it")


async def is_up(run: Run) -> None:
    """Wait until the command of ``HEEDS`` has begun."""
    lines = run.logs()
    try:
        async with asyncio.timeout(15):
            assert str(await anext(lines)) == "up"
    finally:
        await lines.aclose()
