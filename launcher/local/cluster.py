"""The local cluster: API server and node on the event loop of whoever enters it, gone when they leave."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from launcher.errors import Conflict, LauncherError
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from launcher.local.node import Isolation, Node

CONTEXT = "podlauncher-local"
NAMESPACES = ("default", "kube-system")


class LocalCluster:
    """A cluster for development and tests. Use it as an async context manager.

    ``folder`` holds the pods' and claims' data; when it is None, a private temporary folder does, which is
    removed at the end. ``port`` 0 is any free one, ``token`` None a random one. ``objects`` are Kubernetes
    objects that are there, created or replaced, before it is entered: secrets, claims, config maps.

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
    ) -> None:
        self.token = token or secrets.token_urlsafe()
        self._folder = folder
        self._isolation = isolation
        self._objects = objects
        self._server = ApiServer(token=self.token, port=port)
        self._opened = AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the API server listens, on the loopback device."""
        return self._server.url

    @property
    def address(self) -> Address:
        """What a ``Session`` is opened on."""
        return Address(self.url, self.token)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opened:
            folder = self._folder
            if folder is None:
                folder = await opened.enter_async_context(_private_folder())
            await opened.enter_async_context(self._server)
            session = await opened.enter_async_context(Session(self.address))
            await _furnish(session, self._objects)
            node = Node(session, folder, isolation=self._isolation)
            self._server.logs = node.logs
            await opened.enter_async_context(node)
            self._opened = opened.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._opened.aclose()

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


@asynccontextmanager
async def _private_folder() -> AsyncIterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="podlauncher-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        await session.replace(f"{path}/{item['metadata']['name']}", item)


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
