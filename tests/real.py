"""A real API server for the laboratories, where ``KUBEBUILDER_ASSETS`` has one.

It is started once for all tests; each lab reaches it through a line of its own, and leaves it as empty as it was.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from launcher.errors import ClusterError, NotFound
from launcher.kube.session import Session
from launcher.kube.target import Address
from tests.cluster.control_plane import ControlPlane, control_plane

# The one of this run of the tests, while there is one: labs are made by fixtures, by tests and by loops of their own.
_SHARED: list[ControlPlane] = []

# Bytes that are carried at once.
CHUNK = 64 * 1024

# What tests make, pods first, since the others are used by them.
_NAMESPACED = ("pods", "persistentvolumeclaims", "configmaps", "secrets", "resourcequotas", "events")
_OF_THE_CLUSTER = ("nodes", "persistentvolumes")
_NO_FINALIZERS = {"metadata": {"finalizers": None}}


@contextmanager
def shared_control_plane(assets: Path, folder: Path) -> Iterator[None]:
    """Start the control plane for every lab of this run of the tests."""
    with asyncio.Runner() as runner:
        plane = control_plane(assets, folder)
        _SHARED.append(runner.run(plane.__aenter__()))
        try:
            yield
        finally:
            _SHARED.clear()
            runner.run(plane.__aexit__(None, None, None))


def shared() -> ControlPlane | None:
    """The control plane that labs are to use instead of the local API server."""
    return _SHARED[0] if _SHARED else None


@asynccontextmanager
async def emptied(plane: ControlPlane) -> AsyncIterator[Address]:
    """The control plane at a plain address, as all clients of the tests expect one; left as empty as it was."""
    user = json.loads(plane.kubeconfig.read_text())["users"][0]["user"]
    async with _plain(plane.url) as plain:
        address = Address(plain, user["token"])
        try:
            yield address
        finally:
            async with Session(address) as session:
                await _empty(session)


@asynccontextmanager
async def _plain(url: str) -> AsyncIterator[str]:
    """A loopback port that leads to a server with TLS."""
    place = urlsplit(url)
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE

    carrying: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs, ours = await asyncio.open_connection(place.hostname, place.port, ssl=trusting)
            both = [asyncio.create_task(_pump(reader, ours)), asyncio.create_task(_pump(theirs, writer))]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in both:
                    task.cancel()
                await asyncio.wait(both)
                ours.transport.abort()
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(carry(reader, writer))
        carrying.add(task)
        task.add_done_callback(carrying.discard)

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        try:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for task in carrying:
                task.cancel()
            await asyncio.gather(*carrying, return_exceptions=True)
            # What was aborted is closed in the loop's next turn.
            await asyncio.sleep(0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()


async def _empty(session: Session) -> None:
    namespaces = await session.get("/api/v1/namespaces")
    for namespace in [item["metadata"]["name"] for item in namespaces["items"]]:
        for plural in _NAMESPACED:
            await _clear(session, f"/api/v1/namespaces/{namespace}/{plural}")
    for plural in _OF_THE_CLUSTER:
        await _clear(session, f"/api/v1/{plural}")


async def _clear(session: Session, path: str) -> None:
    with suppress(ClusterError):
        await session.delete(path, grace=0)
    for item in (await session.get(path))["items"]:
        one = f"{path}/{item['metadata']['name']}"
        with suppress(NotFound):
            if item["metadata"].get("finalizers"):
                await session.patch(one, _NO_FINALIZERS)
            await session.delete(one, grace=0)
