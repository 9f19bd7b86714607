"""A node that takes over from one that was lost: processes are gone, the pods' objects and folders are not."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from launcher.local.node import Node
from tests.local.node_lab import TOKEN, Lab, pod_spec, terminated

FIRST = """
import asyncio, sys
from pathlib import Path
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.node import Node

async def main():
    async with Session(Address(sys.argv[1], sys.argv[2])) as session, Node(session, Path(sys.argv[3]), pace=0.02):
        await asyncio.to_thread(input)

asyncio.run(main())
"""


class Lost:
    """An API server with a lab, whose first node is a process that can be lost."""

    def __init__(self, server: ApiServer, lab: Lab, process: asyncio.subprocess.Process) -> None:
        self.lab = lab
        self._server = server
        self._process = process

    async def lose(self) -> None:
        """SIGKILL to the first node."""
        self._process.kill()
        await self._process.wait()

    @asynccontextmanager
    async def second(self) -> AsyncIterator[None]:
        """A second node with the folder of the first."""
        async with self.lab.node:
            self._server.logs = self.lab.node.logs
            yield


@pytest.fixture
async def lost(tmp_path: Path) -> AsyncIterator[Lost]:
    """A node that a test loses."""
    async with ApiServer(token=TOKEN) as server, Session(Address(server.url, TOKEN)) as session:
        await session.create("/api/v1/namespaces", {"metadata": {"name": "default"}})
        words = [server.url, TOKEN, str(tmp_path / "node")]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", FIRST, *words, stdin=asyncio.subprocess.PIPE
        )
        try:
            second = Node(session, tmp_path / "node", pace=0.02)
            yield Lost(server, Lab(session, second, tmp_path), process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_what_ran_has_failed(lost: Lost) -> None:
    """A pod that isn't to be started again ends as one whose containers are gone; one that has ended stays."""
    lab = lost.lab
    ended, running = await lab.create(pod_spec("echo", "kept")), await lab.create(pod_spec("sleep", "100"))
    before = await lab.ended(ended)
    await lab.running(running)
    await lost.lose()
    async with lost.second():
        pod = await lab.ended(running)
        assert pod["status"]["phase"] == "Failed"
        state = terminated(pod)
        assert (state["exitCode"], state["reason"]) == (137, "ContainerStatusUnknown")
        assert await lab.session.get(f"/api/v1/namespaces/default/pods/{ended}") == before
        assert not list((lab.folder / "node" / "pods").glob("*/volumes"))


@pytest.mark.parametrize("policy", ["Always", "OnFailure"])
async def test_what_may_restart_is_started_again(lost: Lost, policy: str) -> None:
    """Init containers run again, the main container counts one more restart, and its emptyDir is as it was."""
    lab = lost.lab
    mounts = [{"name": "v", "mountPath": "/v"}]
    script = "echo main >> /v/runs; sleep 100"
    spec = pod_spec("sh", "-c", script, volumeMounts=mounts, volumes=[{"name": "v", "emptyDir": {}}])
    first = {"name": "i", "image": "none", "command": ["sh", "-c", "echo init >> /v/runs"], "volumeMounts": mounts}
    name = await lab.create({**spec, "restartPolicy": policy, "initContainers": [first]})
    await lab.running(name)
    await lost.lose()
    async with lost.second():
        pod = await lab.until(name, lambda pod: restarted(pod) and pod["status"]["phase"] == "Running")
        (status,) = pod["status"]["containerStatuses"]
        assert status["restartCount"] == 1
        assert status["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
        (runs,) = (lab.folder / "node" / "pods").glob("*/volumes/v/runs")
        while len(lines := runs.read_text().split()) < 4:
            await asyncio.sleep(0.01)  # the process has started; nobody tells when it has written
        assert lines == ["init", "main"] * 2


def restarted(pod: dict[str, Any]) -> bool:
    (status,) = pod["status"]["containerStatuses"]
    return bool(status["restartCount"]) and "running" in status["state"]


async def test_what_was_deleted_meanwhile_goes(lost: Lost) -> None:
    """A pod that was deleted while no node was there is let go, whatever its restart policy, with its folder."""
    lab = lost.lab
    kept = await lab.create(pod_spec("sleep", "100", restartPolicy="Always"))
    gone = await lab.create(pod_spec("sleep", "100", restartPolicy="Always"))
    for name in (kept, gone):
        await lab.running(name)
    await lost.lose()
    pods = "/api/v1/namespaces/default/pods"
    await lab.session.delete(f"{pods}/{kept}", grace=30)
    await lab.session.delete(f"{pods}/{gone}", grace=0)
    async with lost.second(), asyncio.timeout(10):
        while (await lab.session.get(pods))["items"] or list((lab.folder / "node" / "pods").iterdir()):
            await asyncio.sleep(0.01)
