"""The local cluster: API server and node on the event loop of whoever enters it, gone when they leave."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from launcher.errors import Conflict, LauncherError
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from launcher.local.api.server import HOST
from launcher.local.api.state import State
from launcher.local.api.state import opened as opened_state
from launcher.local.node import Isolation, Node

CONTEXT = "podlauncher-local"
NAMESPACES = ("default", "kube-system")

# Below a state folder, what pods and claims hold.
DATA = "data"


class LocalCluster:
    """A cluster for development and tests. Use it as an async context manager.

    ``folder`` holds the pods' and claims' data; when it is None, a private temporary folder does, which is
    removed at the end, whatever ends this process. ``port`` 0 is any free one, ``token`` None a random one.
    ``objects`` are Kubernetes objects that are there, created or brought up to date, before it is entered: secrets,
    claims, config maps.

    ``state`` is a folder for a cluster that goes on where it ended, however it ended: its objects, its data, its token
    and, while that is free, its port. No other cluster may use it meanwhile. Raises ``LauncherError`` on entering for
    one that can't be used.

    Example::

        async with LocalCluster() as cluster, Session(cluster.address) as session:
            await session.create("/api/v1/namespaces/default/pods", pod)
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int = 0,
        token: str | None = None,
        isolation: Isolation | None = None,
        objects: Sequence[Mapping[str, Any]] = (),
        state: Path | None = None,
    ) -> None:
        self.token = token or secrets.token_urlsafe()
        self.url = ""
        """Where the API server listens, on the loopback device; known once the cluster is entered."""
        self._folder = folder
        self._port = port
        self._token = token
        self._isolation = isolation
        self._objects = objects
        self._state = state
        self._opened = AsyncExitStack()

    @property
    def address(self) -> Address:
        """What a ``Session`` is opened on."""
        return Address(self.url, self.token)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            # Before the folder is touched: the state's lock keeps other clusters from both.
            state = opened.enter_context(opened_state(self._state)) if self._state else None
            folder = self._folder or (state.folder / DATA if state else None)
            server = await opened.enter_async_context(self._serving(state))
            session = await opened.enter_async_context(Session(self.address))
            await _furnish(session, self._objects)
            node = Node(session, folder, isolation=self._isolation)
            server.logs = node.logs
            await opened.enter_async_context(node)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

    @asynccontextmanager
    async def _serving(self, state: State | None) -> AsyncIterator[ApiServer]:
        """The API server; a kubeconfig from an earlier life of its state is right again, where that is possible."""
        port = self._port
        if state is not None:
            self.token = self._token or state.kept("token") or self.token
            port = port or _if_free(int(state.kept("port") or 0))
        async with ApiServer(token=self.token, port=port, state=state) as server:
            self.url = server.url
            if state is not None:
                state.keep("token", self.token)
                state.keep("port", server.url.rpartition(":")[2])
            yield server

    def kubeconfig(self) -> dict[str, Any]:
        """What kubectl and other clients need, as the content of a kubeconfig file. It holds the token."""
        return kubeconfig(self.url, self.token, NAMESPACES[0])


def kubeconfig(url: str, token: str, namespace: str) -> dict[str, Any]:
    """The content of a kubeconfig for a local cluster at ``url``. It holds the token.

    The token stands in the server's address, as a password: kubectl sends no bearer token over plain HTTP.
    """
    scheme, _, place = url.partition("://")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": f"{scheme}://launcher:{token}@{place}"}}],
        "users": [{"name": CONTEXT, "user": {}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT, "namespace": namespace}}],
    }


def _if_free(port: int) -> int:
    """``port``, or 0 when somebody else listens there by now."""
    with socket.socket() as tried:
        # As the server does it: what an earlier one left behind doesn't count.
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return 0
    return port


async def _furnish(session: Session, objects: Sequence[Mapping[str, Any]]) -> None:
    for name in NAMESPACES:
        with suppress(Conflict):
            await session.create("/api/v1/namespaces", _named("Namespace", name))
        with suppress(Conflict):
            accounts = f"/api/v1/namespaces/{name}/serviceaccounts"
            await session.create(accounts, _named("ServiceAccount", "default"))
    places = _Places(session)
    for item in objects:
        await _put(session, await places.of(item), item)


def _named(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}


async def _put(session: Session, path: str, item: Mapping[str, Any]) -> None:
    try:
        await session.create(path, item)
    except Conflict:
        # Not replaced: a claim that is bound must keep its volume.
        await session.patch(f"{path}/{item['metadata']['name']}", item)


class _Places:
    """Where objects of each kind are posted, as the server's own discovery tells."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}

    async def of(self, item: Mapping[str, Any]) -> str:
        """The path of the collection that ``item`` belongs in.

        Raises ``LauncherError`` for a kind that the server doesn't have.
        """
        version, kind = str(item.get("apiVersion")), str(item.get("kind"))
        root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
        if version not in self._kinds:
            listed = (await self._session.get(root))["resources"]
            self._kinds[version] = {entry["kind"]: entry for entry in listed if "/" not in entry["name"]}
        found = self._kinds[version].get(kind)
        if found is None:
            raise LauncherError(f"the local cluster has no {kind} of {version}: see objects given to it")
        plural = found["name"]
        namespace = item["metadata"].get("namespace") or NAMESPACES[0]
        return f"{root}/namespaces/{namespace}/{plural}" if found["namespaced"] else f"{root}/{plural}"
