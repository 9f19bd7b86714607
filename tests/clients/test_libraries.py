"""Other people's Python clients on the local cluster: create, watch to the end, read the log, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


def pod(name: str) -> dict[str, Any]:
    main = {"name": "main", "image": "busybox", "command": ["sh", "-c", "echo one; echo two"]}
    spec = {"restartPolicy": "Never", "containers": [main]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def test_lightkube(kubeconfig: Path) -> None:
    """lightkube sees a pod from ADDED to Succeeded, its log, and that it is gone."""
    from lightkube import ApiError, AsyncClient, KubeConfig
    from lightkube.resources.core_v1 import Pod

    client = AsyncClient(config=KubeConfig.from_file(str(kubeconfig)), trust_env=False)
    try:
        made = Pod.from_dict(pod("lightkube"))
        assert isinstance(made, Pod)
        await client.create(made)
        phases = []
        async for kind, seen in client.watch(Pod, fields={"metadata.name": "lightkube"}):
            assert seen.status is not None
            phases.append((kind, seen.status.phase))
            if seen.status.phase == "Succeeded":
                break
        assert phases[0][0] == "ADDED"
        assert [line async for line in client.log("lightkube")] == ["one\n", "two\n"]
        await client.delete(Pod, "lightkube")
        with pytest.raises(ApiError) as caught:
            await client.get(Pod, "lightkube")
        assert caught.value.status.reason == "NotFound"
    finally:
        await client.close()


@pytest.mark.filterwarnings("ignore:Kubernetes version:UserWarning")  # kr8s knows no server that is newer than itself
async def test_kr8s(kubeconfig: Path) -> None:
    """kr8s sees a pod to its end, its log, and that it is gone."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import Pod

    api = await kr8s.asyncio.api(kubeconfig=str(kubeconfig))
    try:
        running = await Pod(pod("kr8s"), api=api)
        await running.create()
        async for _, seen in api.watch("pods", namespace="default", field_selector="metadata.name=kr8s"):
            if seen.status.phase == "Succeeded":
                break
        assert [line async for line in running.logs()] == ["one", "two"]
        await running.delete()
        assert not await running.exists()
    finally:
        # It has no way to be closed, and its connections would be found open by another test.
        assert api._session is not None
        await api._session.aclose()
