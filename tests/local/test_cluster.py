"""The local cluster as a whole: quick to start, complete to stop, private."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import stat
import tempfile
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import ClusterError, ClusterUnreachable, LauncherError
from launcher.kube.session import Session
from launcher.kube.target import Address, Context
from launcher.local.cluster import LocalCluster
from tests.local.node_lab import PODS, pod_spec

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "c"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
MOUNT = {
    "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}


def pod(name: str, *command: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod_spec(*command, **spec)}


def secret(name: str, value: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"key": value}}


async def ended(session: Session, name: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while (found := await session.get(f"{PODS}/{name}"))["status"]["phase"] not in ("Succeeded", "Failed"):
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, and nobody else's are."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def test_start_run_stop(temporary: Path) -> None:
    """A cluster starts in no time, runs a pod, and leaves neither task nor folder."""
    async with LocalCluster():
        pass  # imports are paid once
    before, folders = asyncio.all_tasks(), set(temporary.iterdir())
    started = time.perf_counter()
    async with LocalCluster() as cluster, Session(cluster.address) as session:
        # The goal is 300 ms; here it takes about 20.
        assert time.perf_counter() - started < 0.3
        await session.create(PODS, pod("p", "true"))
        assert (await ended(session, "p"))["status"]["phase"] == "Succeeded"
    assert asyncio.all_tasks() == before
    assert set(temporary.iterdir()) == folders


async def test_what_is_there() -> None:
    """A new cluster has its namespaces, their accounts, a node, and the objects that it was given."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    objects = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "jobs"}},
        secret("s", "one"),
        secret("s", "two"),
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": "c", "namespace": "jobs"},
            "spec": claim,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": "r"},
            "rules": [{"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]}],
        },
    ]
    async with LocalCluster(objects=objects) as cluster, Session(cluster.address) as session:
        namespaces = {item["metadata"]["name"] for item in (await session.get("/api/v1/namespaces"))["items"]}
        assert {"default", "kube-system", "jobs"} <= namespaces
        await session.get("/api/v1/namespaces/kube-system/serviceaccounts/default")
        await session.get("/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/r")
        await session.get("/api/v1/namespaces/jobs/persistentvolumeclaims/c")
        found = await session.get("/api/v1/namespaces/default/secrets/s")
        assert found["data"] == {"key": "dHdv"}
        assert len((await session.get("/api/v1/nodes"))["items"]) == 1


async def test_unknown_object() -> None:
    """An object of a kind that the cluster doesn't have stops the start, by name."""
    with pytest.raises(LauncherError, match="Widget"):
        async with LocalCluster(objects=[{"apiVersion": "v1", "kind": "Widget", "metadata": {"name": "w"}}]):
            pass


async def test_token() -> None:
    """Without the token there is no answer; the token isn't in the address's repr."""
    async with LocalCluster() as cluster:
        assert cluster.token not in repr(cluster.address)
        async with Session(Address(cluster.url, "wrong")) as session:
            with pytest.raises(ClusterError) as caught:
                await session.get("/api/v1/pods")
        assert caught.value.status == 401
    async with LocalCluster(token="given") as cluster:
        assert cluster.token == "given"


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl isn't installed")
async def test_kubectl_reads_the_kubeconfig(tmp_path: Path) -> None:
    """kubectl finds server, credentials and namespace in the kubeconfig, and is answered."""
    async with LocalCluster() as cluster:
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(cluster.kubeconfig()))
        command = ("kubectl", f"--kubeconfig={config}", "get", "namespaces", "-o", "name")
        process = await asyncio.create_subprocess_exec(
            *command, stdout=PIPE, stderr=PIPE, env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
        )
        out, err = await process.communicate()
    assert out.decode().split() == ["namespace/default", "namespace/kube-system"], err.decode()


async def test_the_launcher_reads_the_kubeconfig(tmp_path: Path) -> None:
    """The same file leads our own client to the same cluster."""
    async with LocalCluster() as cluster:
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(cluster.kubeconfig()))
        async with Session(Context(str(config))) as session:
            listed = await session.get("/api/v1/namespaces")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["default", "kube-system"]


async def test_gone_after_leaving() -> None:
    """Nobody answers once the cluster was left."""
    async with LocalCluster() as cluster:
        address = cluster.address
    async with Session(address) as session:
        with pytest.raises(ClusterUnreachable):
            await session.get("/api/v1/pods")


async def test_folder_is_kept_and_private(tmp_path: Path) -> None:
    """A folder of the user's own keeps the claims' data from one cluster to the next, for nobody else to read."""
    folder = tmp_path / "data"
    for command in ("echo kept > /v/x", "grep kept /v/x"):
        async with LocalCluster(folder, objects=[CLAIM]) as cluster, Session(cluster.address) as session:
            await session.create(PODS, pod("p", "sh", "-c", command, **MOUNT))
            assert (await ended(session, "p"))["status"]["phase"] == "Succeeded"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_state_folder_is_gone_on_from(tmp_path: Path) -> None:
    """Objects, data, token and port are those of the first cluster; what is given again is brought up to date."""
    folder = tmp_path / "state"
    addresses = []
    for name, command in (("one", "echo kept > /v/x"), ("two", "grep kept /v/x")):
        given = [CLAIM, secret("s", name)]
        async with LocalCluster(state=folder, objects=given) as cluster, Session(cluster.address) as session:
            addresses.append(cluster.address)
            await session.create(PODS, pod(name, "sh", "-c", command, **MOUNT))
            assert (await ended(session, name))["status"]["phase"] == "Succeeded"
            pods = [item["metadata"]["name"] for item in (await session.get(PODS))["items"]]
            data = (await session.get("/api/v1/namespaces/default/secrets/s"))["data"]
    assert pods == ["one", "two"]
    assert data == {"key": "dHdv"}
    assert addresses[0] == addresses[1]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_port_that_was_taken_meanwhile_is_given_up(tmp_path: Path) -> None:
    """A cluster starts also when its old port belongs to somebody else; one whose user named the port doesn't."""
    async with LocalCluster(state=tmp_path / "state") as cluster:
        port = int(cluster.url.rpartition(":")[2])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with LocalCluster(state=tmp_path / "state") as cluster:
            assert not cluster.url.endswith(f":{port}")
        with pytest.raises(OSError, match="address already in use"):
            await LocalCluster(state=tmp_path / "state", port=port).__aenter__()


async def test_cancelled_while_pods_run(temporary: Path) -> None:
    """A cluster that is left by cancellation leaves no task and no folder either."""
    before, folders = asyncio.all_tasks(), set(temporary.iterdir())
    running = asyncio.Event()

    async def use() -> None:
        async with LocalCluster() as cluster, Session(cluster.address) as session:
            await session.create(PODS, pod("p", "sleep", "1000"))
            while (await session.get(f"{PODS}/p"))["status"]["phase"] != "Running":
                await asyncio.sleep(0.01)
            running.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.all_tasks() == before
    assert set(temporary.iterdir()) == folders


@pytest.mark.parametrize("turns", [1, 3, 10, 30, 100, 300])
async def test_cancelled_while_starting(temporary: Path, turns: int) -> None:
    """A start that is cancelled at any point leaves nothing."""
    before, folders = asyncio.all_tasks(), set(temporary.iterdir())
    task = asyncio.create_task(LocalCluster().__aenter__())
    for _ in range(turns):
        await asyncio.sleep(0)
    if task.done():
        await task.result().__aexit__(None, None, None)
    task.cancel()
    await asyncio.wait({task})
    assert asyncio.all_tasks() == before
    assert set(temporary.iterdir()) == folders
