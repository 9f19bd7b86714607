"""A real control plane for tests: the etcd and kube-apiserver that ``KUBEBUILDER_ASSETS`` points at.

There are no controllers and no kubelet: the node of the local cluster runs the pods and serves their logs.
Without the controllers no namespace gets an account or a root certificate, so that pods get neither.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa

from launcher.kube.session import Session
from launcher.kube.target import Context
from launcher.local.node import Endpoint, Isolation, Node
from tests.cluster.certificates import Authority, write_key

# Seconds that etcd and the API server may take to be ready on a busy machine of two cores.
READY = 60.0


@attrs.frozen
class ControlPlane:
    """A running API server. ``kubeconfig`` is a file with one context, ``real``; ``endpoint`` is where a node
    can serve logs that the server finds and trusts."""

    url: str
    kubeconfig: Path
    endpoint: Endpoint

    @property
    def target(self) -> Context:
        """What a ``Session`` is opened on."""
        return Context(str(self.kubeconfig))


@attrs.frozen
class RealCluster:
    """A running API server with the local node behind it."""

    plane: ControlPlane
    node: Node

    @property
    def url(self) -> str:
        """Where the API server listens."""
        return self.plane.url

    @property
    def kubeconfig(self) -> Path:
        """A file with one context, ``real``."""
        return self.plane.kubeconfig

    @property
    def target(self) -> Context:
        """What a ``Session`` is opened on."""
        return self.plane.target


@asynccontextmanager
async def real_cluster(
    assets: Path, folder: Path, isolation: Isolation | None = None, pace: float = 1.0
) -> AsyncIterator[RealCluster]:
    """A control plane and a node that runs its pods; ``isolation`` and ``pace`` are the node's."""
    async with control_plane(assets, folder) as plane, Session(plane.target) as session:
        node = Node(session, folder / "node", isolation=isolation, pace=pace, endpoint=plane.endpoint)
        async with node:
            yield RealCluster(plane, node)


@asynccontextmanager
async def control_plane(assets: Path, folder: Path) -> AsyncIterator[ControlPlane]:
    """Start both processes on free loopback ports, and end them, whatever happens."""
    client, peer, secure = _free_port(), _free_port(), _free_port()
    etcd = f"http://127.0.0.1:{client}"
    token = secrets.token_urlsafe()
    (folder / "tokens.csv").write_text(f"{token},system:admin,admin,system:masters\n")
    write_key(folder / "accounts.key", rsa.generate_private_key(public_exponent=65537, key_size=2048))
    authority = Authority(folder / "authority")
    caller = authority.sign("kube-apiserver", "system:masters")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(
            _process(
                folder / "etcd.log",
                str(assets / "etcd"),
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}",
                f"--listen-peer-urls=http://127.0.0.1:{peer}",
                "--unsafe-no-fsync",
            )
        )
        await stack.enter_async_context(
            _process(
                folder / "apiserver.log",
                str(assets / "kube-apiserver"),
                f"--etcd-servers={etcd}",
                f"--secure-port={secure}",
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                f"--cert-dir={folder / 'certs'}",
                f"--token-auth-file={folder / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                f"--service-account-key-file={folder / 'accounts.key'}",
                f"--service-account-signing-key-file={folder / 'accounts.key'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                f"--kubelet-certificate-authority={authority.certificate}",
                f"--kubelet-client-certificate={caller.certificate}",
                f"--kubelet-client-key={caller.key}",
                "--kubelet-preferred-address-types=InternalIP",
            )
        )
        url = f"https://127.0.0.1:{secure}"
        await _ready(url, token, folder / "apiserver.log")
        endpoint = Endpoint(authority.server_context("localhost"))
        yield ControlPlane(url, _kubeconfig(folder, url, token), endpoint)


@asynccontextmanager
async def _process(log: Path, *command: str) -> AsyncIterator[None]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
        try:
            yield
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _ready(url: str, token: str, log: Path) -> None:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {token}"})

    def ask() -> bool:
        try:
            with urllib.request.urlopen(request, context=context, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    deadline = asyncio.get_running_loop().time() + READY
    while not await asyncio.to_thread(ask):
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"the API server isn't ready: {log.read_text()[-2000:]}")
        await asyncio.sleep(0.1)


def _kubeconfig(folder: Path, url: str, token: str) -> Path:
    file = folder / "kubeconfig"
    cluster = {"server": url, "insecure-skip-tls-verify": True}
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "real", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin", "namespace": "default"}}],
        "current-context": "real",
    }
    file.write_text(json.dumps(value))
    return file


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
