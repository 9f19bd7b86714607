"""How an agent speaks to the API server: plain HTTP to the local cluster alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import ClusterUnreachable
from launcher.kube.target import InCluster
from tests.servers.log_server import TOKEN, token


@pytest.mark.parametrize(("host", "url"), [("127.0.0.1", "http://127.0.0.1:80"), ("::1", "http://[::1]:80")])
async def test_the_local_cluster_is_spoken_to_in_plain_http(host: str, url: str, tmp_path: Path) -> None:
    """A loopback address and an empty certificate: that is the local cluster, and the token goes along."""
    client = await InCluster(host, "80", Path(token(tmp_path / "token"))).client()
    try:
        assert client.configuration.host == url
        assert client.configuration.api_key["BearerToken"] == f"Bearer {TOKEN}"
    finally:
        await client.close()


@pytest.mark.parametrize("host", ["10.96.0.1", "localhost", "127.0.0.1.example.com"])
async def test_nobody_else_gets_a_token_in_plain_text(host: str, tmp_path: Path) -> None:
    """An empty certificate and any other address is an error, not a reason to leave HTTPS."""
    with pytest.raises(ClusterUnreachable):
        await InCluster(host, "443", Path(token(tmp_path / "token"))).client()
