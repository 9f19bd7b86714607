"""One local cluster for all the tests of a module, and kubectl on it."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from launcher.local.cluster import LocalCluster
from tests.clients.kubectl import Kubectl


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The kubeconfig file of a running cluster."""
    folder = tmp_path_factory.mktemp("clients")
    async with LocalCluster() as cluster:
        file = folder / "kubeconfig"
        file.write_text(json.dumps(cluster.kubeconfig()))
        yield file


@pytest.fixture(scope="module")
def kubectl(kubeconfig: Path) -> Kubectl:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl isn't installed")
    return Kubectl(kubeconfig, kubeconfig.parent)
