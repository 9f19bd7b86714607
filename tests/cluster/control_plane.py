"""A real control plane for tests: the etcd and kube-apiserver that ``KUBEBUILDER_ASSETS`` points at.

There are no controllers and no kubelet: the node of the local cluster runs the pods.
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
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

# Seconds that etcd and the API server may take to be ready on a busy machine of two cores.
READY = 60.0


@attrs.frozen
class ControlPlane:
    """A running API server. ``kubeconfig`` is a file with one context, ``real``."""

    url: str
    kubeconfig: Path


@asynccontextmanager
async def control_plane(assets: Path, folder: Path) -> AsyncIterator[ControlPlane]:
    """Start both processes on free loopback ports, and end them, whatever happens."""
    client, peer, secure = _free_port(), _free_port(), _free_port()
    etcd = f"http://127.0.0.1:{client}"
    token = secrets.token_urlsafe()
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    _write_key(folder / "accounts.key")
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
            )
        )
        url = f"https://127.0.0.1:{secure}"
        await _ready(url, token, folder / "apiserver.log")
        yield ControlPlane(url, _kubeconfig(folder, url, token))


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


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
