"""The launcher and the local node against a real etcd and kube-apiserver, where ``KUBEBUILDER_ASSETS`` has them."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from launcher import ClusterError, Connection, Job, Launcher, Phase, Settings, Status
from launcher.kube.session import Session
from launcher.kube.watch import watch
from launcher.settings import Surroundings
from tests.cluster.control_plane import RealCluster, real_cluster

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not ASSETS, reason="KUBEBUILDER_ASSETS points at no etcd and kube-apiserver"),
]


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[RealCluster]:
    """A control plane whose pods the local node runs."""
    async with real_cluster(Path(ASSETS), tmp_path) as cluster:
        yield cluster


@pytest.fixture
def settings(real: RealCluster, tmp_path: Path) -> Settings:
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


POD_PATH = "/api/v1/namespaces/default/pods"
TALKS = """
for i in 1 2 3; do echo line $i; done
while [ ! -e /gate/open ]; do sleep 0.05; done
echo the end
"""


async def test_logs_come_through_the_api_server(real: RealCluster, tmp_path: Path) -> None:
    """The API server reads logs from the node: a tail with times, followed to the end, and its refusals."""
    mounts = [{"name": "gate", "mountPath": "/gate"}]
    container = {"name": "c", "image": "busybox", "command": ["sh", "-c", TALKS], "volumeMounts": mounts}
    volumes = [{"name": "gate", "hostPath": {"path": str(tmp_path)}}]
    spec = {"restartPolicy": "Never", "containers": [container], "volumes": volumes}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "talks"}, "spec": spec}
    async with Session(real.target) as session:
        await session.create(POD_PATH, pod)
        async for event in watch(session, POD_PATH):
            if event.type == "MODIFIED" and event.object["status"].get("phase") == "Running":
                break
        async with session.lines(f"{POD_PATH}/talks/log", {"follow": "true"}) as lines:
            assert [await anext(lines) for _ in range(3)] == [b"line 1", b"line 2", b"line 3"]
            query = {"tailLines": "1", "timestamps": "true"}
            async with session.lines(f"{POD_PATH}/talks/log", query) as tail:
                (only,) = [line async for line in tail]
            assert re.fullmatch(rb"20[0-9-]{8}T[0-9:.]+Z line 3", only)
            (tmp_path / "open").touch()
            assert [line async for line in lines] == [b"the end"]
        with pytest.raises(ClusterError, match='previous terminated container "c" in pod "talks" not found'):
            async with session.lines(f"{POD_PATH}/talks/log", {"previous": "true"}):
                pass


async def test_only_the_api_server_reads_logs(real: RealCluster) -> None:
    """Whoever comes to the node without a certificate of the cluster's authority is not answered."""
    async with Session(real.target) as session:
        node = await session.get("/api/v1/nodes/localhost")
    port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
    stranger = ssl.create_default_context()
    stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=stranger)
    writer.write(b"GET /containerLogs/default/x/c HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    with suppress(OSError):
        # With TLS 1.3 the refusal comes after the client's part of the handshake.
        answer = await reader.read()
    assert not answer
    writer.close()
