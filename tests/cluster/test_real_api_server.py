"""The launcher and the local node against a real etcd and kube-apiserver, where ``KUBEBUILDER_ASSETS`` has them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from launcher import ClusterError, Connection, Job, Launcher, Phase, Settings, Status
from launcher.kube.session import Session
from launcher.kube.target import Context
from launcher.local.node import Node
from launcher.settings import Surroundings
from tests.cluster.control_plane import ControlPlane, control_plane

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not ASSETS, reason="KUBEBUILDER_ASSETS points at no etcd and kube-apiserver"),
]


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    """A control plane whose pods the local node runs."""
    async with (
        control_plane(Path(ASSETS), tmp_path) as plane,
        Session(Context(str(plane.kubeconfig))) as session,
        Node(session, tmp_path / "node"),
    ):
        yield plane


@pytest.fixture
def settings(real: ControlPlane, tmp_path: Path) -> Settings:
    """Settings that reach it by its kubeconfig, with a dataset and a store on the node."""
    for name in ("data", "store"):
        (tmp_path / name).mkdir()
    (tmp_path / "data" / "one.txt").write_text("one\n")
    return Settings(
        connections=[
            Connection(name="data", kind="host_path", schema={"hostPath": str(tmp_path / "data"), "readOnly": True})
        ],
        artifacts_store=Connection(name="store", kind="host_path", schema={"hostPath": str(tmp_path / "store")}),
        surroundings=attrs.evolve(Surroundings.read(), kubeconfig=str(real.kubeconfig), service_host=""),
    )


async def test_a_job_with_files_and_a_connection_succeeds(settings: Settings, tmp_path: Path) -> None:
    """A real API server takes the pod and its config map, and the outputs are where the store is."""
    (tmp_path / "copy.sh").write_text('cp /connections/data/one.txt "$LAUNCHER_OUTPUTS/copied"\n')
    job = Job(
        name="Copy it!",
        image="busybox",
        command=["sh", "copy.sh"],
        files=["copy.sh"],
        connections=["data"],
        folder=tmp_path,
    )
    async with Launcher(settings) as pad:
        result = await pad.run(job)
    assert (tmp_path / "store" / result.run_id / "outputs" / "copied").read_text() == "one\n"


async def test_ends_are_told_apart(settings: Settings) -> None:
    """A failing command, a cancelled run and a refused pod each end as they do on the local cluster."""
    async with Launcher(settings) as pad:
        failed = await pad.run(Job(name="fails", image="busybox", command=["sh", "-c", "exit 4"]), check=False)
        assert (failed.status, failed.exit_code) == (Status.FAILED, 4)
        run = await pad.submit(Job(name="sleeps", image="busybox", command=["sleep", "100"]))
        async for event in run.events():
            if event.phase is Phase.RUNNING:
                break
        assert (await run.cancel(grace=1)).status is Status.CANCELLED
        with pytest.raises(ClusterError, match="no PriorityClass with name nope"):
            await pad.submit(Job(name="refused", image="busybox", command=["true"], priority_class="nope"))
        left = await pad.session.get("/api/v1/namespaces/default/pods")
        assert [item["metadata"]["name"] for item in left["items"]] == [failed.run_id]
