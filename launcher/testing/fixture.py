"""The fixture ``cluster``: one local cluster a test, found by everything that the test starts, gone with it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from launcher.cluster import told
from launcher.local.cluster import LocalCluster


@pytest_asyncio.fixture
async def cluster(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LocalCluster]:
    """A local cluster of the test's own, empty, ready in some 50 ms.

    As long as the test runs, the environment leads there and to no other cluster: ``launcher.run(job)``, settings from
    a file, the command ``launcher`` and kubectl. What jobs leave in the default store is below a temporary folder too.
    The value has ``address`` for a ``Session`` and ``kubeconfig()`` for other clients.

    Example::

        async def test_copies(cluster, tmp_path):
            result = await launcher.run(copy_job(tmp_path))
            assert [file.path for file in result.outputs] == ["copy.txt"]
    """
    folder = tmp_path_factory.mktemp("cluster")
    state = folder / "state" / "podlauncher"
    state.mkdir(parents=True, mode=0o700)
    async with LocalCluster() as started:
        kubeconfig = folder / "kubeconfig"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(json.dumps(started.kubeconfig()))
        _lead_to(folder, kubeconfig, monkeypatch)
        with told(state, started.url, started.token):
            yield started


def _lead_to(folder: Path, kubeconfig: Path, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("LAUNCHER_CLUSTER", "local")
    environment.setenv("KUBECONFIG", str(kubeconfig))
    environment.setenv("XDG_STATE_HOME", str(folder / "state"))
    environment.setenv("XDG_DATA_HOME", str(folder / "data"))
    # A test that runs in a pod, as on many a CI, must not start jobs on the cluster around it.
    environment.delenv("KUBERNETES_SERVICE_HOST", raising=False)
