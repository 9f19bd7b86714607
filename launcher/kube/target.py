"""Which API server a session talks to, and how it identifies itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import attrs

from launcher.errors import ClusterUnreachable

# Where a pod finds its service account's token, certificate and namespace, unless told otherwise.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Target(Protocol):
    """An API server that a ``Session`` can be opened on."""

    @property
    def name(self) -> str:
        """What messages call it: ``context kind-dev``, ``the local cluster``."""

    @property
    def remedy(self) -> str:
        """What a user can do when it doesn't answer."""

    async def client(self) -> Any:
        """A new kubernetes_asyncio ``ApiClient``; its session closes it."""


@attrs.frozen
class Address:
    """A server at a plain URL, with a bearer token: the local cluster, or a test's server."""

    url: str
    token: str = attrs.field(repr=False)
    name: str = "the local cluster"
    remedy: str = "is it still running? `launcher cluster` tells"

    async def client(self) -> Any:
        from kubernetes_asyncio.client import ApiClient, Configuration

        # The generated client types its arguments as None by default.
        configuration = Configuration(host=self.url, api_key={"BearerToken": f"Bearer {self.token}"})
        configuration.connection_pool_maxsize = CONNECTIONS
        return ApiClient(configuration)


@attrs.frozen
class Context:
    """A context of a kubeconfig; an empty ``context`` is the file's current one."""

    kubeconfig: str
    context: str = ""

    @property
    def name(self) -> str:
        return f"context {self.context or '(current)'} of {self.kubeconfig}"

    @property
    def remedy(self) -> str:
        return "is the address right and the network up? `cluster: local` runs jobs on this machine instead"

    async def client(self) -> Any:
        from kubernetes_asyncio.client import ApiClient, Configuration
        from kubernetes_asyncio.config import ConfigException, load_kube_config

        configuration = Configuration()
        configuration.connection_pool_maxsize = CONNECTIONS
        try:
            # Never persisted: a renewed token is the business of kubectl's file, not of ours.
            await load_kube_config(self.kubeconfig, self.context or None, configuration, persist_config=False)
        except (ConfigException, OSError, ValueError, KeyError, TypeError) as exc:
            raise ClusterUnreachable(f"{self.name} can't be used: {exc}") from exc
        return ApiClient(configuration)


@attrs.frozen
class InCluster:
    """The API server of the cluster that this process runs in, with a token mounted at ``folder``."""

    host: str
    port: str
    folder: Path = SERVICE_ACCOUNT
    name: str = "the cluster around this pod"
    remedy: str = "does the pod's service account have a token, and may it reach the API server?"

    async def client(self) -> Any:
        from kubernetes_asyncio.client import ApiClient, Configuration
        from kubernetes_asyncio.config.config_exception import ConfigException
        from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

        configuration = Configuration()
        configuration.connection_pool_maxsize = CONNECTIONS
        loader = InClusterConfigLoader(
            token_filename=str(self.folder / "token"),
            cert_filename=str(self.folder / "ca.crt"),
            environ={"KUBERNETES_SERVICE_HOST": self.host, "KUBERNETES_SERVICE_PORT": self.port},
        )
        try:
            loader.load_and_set(configuration)
        except (ConfigException, OSError) as exc:
            raise ClusterUnreachable(f"{self.name} can't be used: {exc}") from exc
        return ApiClient(configuration)


# Connections at once to one server: a watch or log stream holds one each, and 50 runs in flight follow
# 50 logs. aiohttp's default of 100 would make the 101st wait for ever.
CONNECTIONS = 1000
