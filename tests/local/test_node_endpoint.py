"""The node's own server, as an API server that isn't in this process would use it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from launcher.local.node import Endpoint
from launcher.local.node.endpoint import Kubelet
from tests.cluster.certificates import Authority
from tests.local.node_lab import Lab, pod_spec


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Whom the node and its API server trust."""
    return Authority(tmp_path / "authority")


@pytest.fixture
async def kubelet(lab: Lab, authority: Authority) -> AsyncIterator[Kubelet]:
    """The logs of the lab's node, served."""
    async with Kubelet(Endpoint(authority.server_context("node")), lab.session, lab.node.logs) as kubelet:
        yield kubelet


@pytest.fixture
async def caller(kubelet: Kubelet, authority: Authority) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody with a certificate of the authority."""
    pair = authority.sign("caller")
    context = ssl.create_default_context(cafile=authority.certificate)
    context.load_cert_chain(pair.certificate, pair.key)
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(f"https://127.0.0.1:{kubelet.port}", connector=connector) as session:
        yield session


async def test_lines_and_refusals(lab: Lab, caller: aiohttp.ClientSession) -> None:
    """Options choose lines, and what there isn't is refused in plain text with a kubelet's status."""
    name = await lab.create(pod_spec("sh", "-c", "echo one; echo two; echo three"))
    await lab.ended(name)
    here = f"/containerLogs/default/{name}/c"
    for path, status, text in (
        (here, 200, "one\ntwo\nthree\n"),
        (f"{here}?tailLines=1", 200, "three\n"),
        (f"{here}?follow=true&limitBytes=5", 200, "one\nt"),
        (f"{here}?previous=true", 400, f'previous terminated container "c" in pod "{name}" not found'),
        (f"/containerLogs/default/{name}/d", 400, f"container d is not valid for pod {name}"),
        ("/containerLogs/default/nobody/c", 404, 'pod "nobody" not found\n'),
        ("/containerLogs/default/%2e%2e/c", 404, "404 page not found\n"),
        ("/pods", 404, "404 page not found\n"),
    ):
        async with caller.get(path) as answer:
            assert (answer.status, await answer.text()) == (status, text)


async def test_strangers_read_nothing(kubelet: Kubelet, authority: Authority) -> None:
    """Whoever has no certificate of the authority isn't answered."""
    stranger = ssl.create_default_context(cafile=authority.certificate)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=stranger)) as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"https://127.0.0.1:{kubelet.port}/pods")


def test_an_open_endpoint_is_refused() -> None:
    """A context that asks clients for no certificate would show everybody's logs."""
    with pytest.raises(ValueError, match="CERT_REQUIRED"):
        Endpoint(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
