"""A node with its API server, and what tests do with pods. Everything is real: HTTP, processes, files."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from launcher.errors import Conflict
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.kube.watch import watch
from launcher.local.api import ApiServer
from launcher.local.node import Isolation, Node
from tests.real import emptied, shared

TOKEN = "test-token"
PODS = "/api/v1/namespaces/default/pods"
ENDED = ("Succeeded", "Failed")


class Lab:
    """One node and its API server, with the few things that tests do."""

    def __init__(self, session: Session, node: Node, folder: Path) -> None:
        self.session = session
        self.node = node
        self.folder = folder
        self._numbers = itertools.count()

    async def put(self, plural: str, name: str, **body: Any) -> dict[str, Any]:
        kind = {"secrets": "Secret", "configmaps": "ConfigMap", "persistentvolumeclaims": "PersistentVolumeClaim"}
        item = {"apiVersion": "v1", "kind": kind[plural], "metadata": {"name": name}, **body}
        return await self.session.create(f"/api/v1/namespaces/default/{plural}", item)

    async def create(self, spec: dict[str, Any], name: str = "", **meta: Any) -> str:
        name = name or f"pod-{next(self._numbers)}"
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **meta}, "spec": spec}
        await self.session.create(PODS, pod)
        return name

    async def until(self, name: str, true: Callable[[dict[str, Any]], bool], seconds: float = 10) -> dict[str, Any]:
        """The first version of the pod for which ``true`` holds."""
        async with asyncio.timeout(seconds):
            async for event in watch(self.session, PODS, fields=f"metadata.name={name}"):
                if event.type in ("ADDED", "MODIFIED") and true(event.object):
                    return event.object
        raise AssertionError("unreachable")

    async def ended(self, name: str, seconds: float = 10) -> dict[str, Any]:
        return await self.until(name, lambda pod: pod["status"].get("phase") in ENDED, seconds)

    async def running(self, name: str) -> dict[str, Any]:
        return await self.until(name, lambda pod: pod["status"].get("phase") == "Running")

    async def run(self, *command: str, **spec: Any) -> tuple[int, str]:
        """Run one container to its end: exit code and what it wrote."""
        name = await self.create(pod_spec(*command, **spec))
        pod = await self.ended(name)
        return terminated(pod)["exitCode"], await self.log(name)

    async def log(self, name: str, container: str = "c", **query: str) -> str:
        async with self.session.lines(f"{PODS}/{name}/log", {"container": container, **query}) as lines:
            return "\n".join([line.decode() async for line in lines])

    async def event(self, name: str, reason: str, seconds: float = 10) -> str:
        """The message of the first event of this reason."""
        fields = f"involvedObject.name={name},reason={reason}"
        async with asyncio.timeout(seconds):
            async for event in watch(self.session, "/api/v1/namespaces/default/events", fields=fields):
                if event.type == "ADDED":
                    return str(event.object["message"])
        raise AssertionError("unreachable")


def pod_spec(*command: str, **spec: Any) -> dict[str, Any]:
    """A pod of one container ``c``; keyword arguments that containers have go to it, others to the pod."""
    own = {"env", "envFrom", "volumeMounts", "workingDir", "resources", "securityContext", "args"}
    own |= {"terminationMessagePolicy", "terminationMessagePath"}
    container = {key: value for key, value in spec.items() if key in own}
    container = {"name": "c", "image": "none", "command": list(command), **container}
    rest = {key: value for key, value in spec.items() if key not in own}
    return {"restartPolicy": "Never", "containers": [container], **rest}


def terminated(pod: dict[str, Any], field: str = "containerStatuses", index: int = 0) -> dict[str, Any]:
    value: dict[str, Any] = pod["status"][field][index]["state"]["terminated"]
    return value


@asynccontextmanager
async def laboratory(folder: Path, isolation: Isolation | None = None, pace: float = 1.0) -> AsyncIterator[Lab]:
    """A node with the local API server, or with a real one where there is one."""
    async with AsyncExitStack() as stack:
        plane, server = shared(), ApiServer(token=TOKEN)
        if plane is None:
            address = Address((await stack.enter_async_context(server)).url, TOKEN)
        else:
            address = await stack.enter_async_context(emptied(plane))
        session = await stack.enter_async_context(Session(address))
        for plural, kind in (("namespaces", "Namespace"), ("namespaces/default/serviceaccounts", "ServiceAccount")):
            with contextlib.suppress(Conflict):
                item = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "default"}}
                await session.create(f"/api/v1/{plural}", item)
        endpoint = plane.endpoint if plane else None
        node = Node(session, folder / "node", isolation=isolation, pace=pace, endpoint=endpoint)
        server.logs = node.logs
        await stack.enter_async_context(node)
        yield Lab(session, node, folder)
