"""Which API server a session talks to, and how it identifies itself."""

from __future__ import annotations

import ipaddress
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
    """The API server of the cluster that this process runs in, with a token mounted at ``folder``.

    Plain HTTP is spoken only to this machine's own loopback, and only where no certificate is given: that is how
    the local cluster's pods reach it. Everything else is HTTPS.
    """

    host: str
    port: str
    folder: Path = SERVICE_ACCOUNT
    name: str = "the cluster around this pod"
    remedy: str = "does the pod's service account have a token, and may it reach the API server?"

    async def client(self) -> Any:
        from kubernetes_asyncio.client import ApiClient, Configuration
        from kubernetes_asyncio.config.config_exception import ConfigException

        configuration = Configuration()
        configuration.connection_pool_maxsize = CONNECTIONS
        try:
            if self._plain():
                token = (self.folder / "token").read_text().strip()
                configuration.host = f"http://{_bracketed(self.host)}:{self.port}"
                configuration.api_key["BearerToken"] = f"Bearer {token}"
            else:
                self._secured(configuration)
        except (ConfigException, OSError) as exc:
            raise ClusterUnreachable(f"{self.name} can't be used: {exc}") from exc
        return ApiClient(configuration)

    def _plain(self) -> bool:
        certificate = self.folder / "ca.crt"
        return _is_loopback(self.host) and certificate.is_file() and certificate.stat().st_size == 0

    def _secured(self, configuration: Any) -> None:
        from kubernetes_asyncio.config.incluster_config import InClusterConfigLoader

        loader = InClusterConfigLoader(
            token_filename=str(self.folder / "token"),
            cert_filename=str(self.folder / "ca.crt"),
            environ={"KUBERNETES_SERVICE_HOST": self.host, "KUBERNETES_SERVICE_PORT": self.port},
        )
        loader.load_and_set(configuration)


def _is_loopback(host: str) -> bool:
    # By address alone: a name could be made to point anywhere.
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


# Connections at once to one server: a watch or log stream holds one each, and 50 runs in flight follow
# 50 logs. aiohttp's default of 100 would make the 101st wait for ever.
CONNECTIONS = 1000
