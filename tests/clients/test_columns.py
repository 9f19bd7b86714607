"""The columns that kubectl prints are those of a real server, measured on v1.36; a star marks those of ``-o wide``."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest

from launcher.local.api import ApiServer
from launcher.local.api.resources import RESOURCES

TOKEN = "columns-token"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"

MEASURED = {
    "pods": "Name Ready Status Restarts Age IP* Node* NominatedNode* ReadinessGates*",
    "configmaps": "Name Data Age",
    "secrets": "Name Type Data Age",
    "persistentvolumeclaims": "Name Status Volume Capacity AccessModes StorageClass VolumeAttributesClass Age"
    " VolumeMode*",
    "persistentvolumes": "Name Capacity AccessModes ReclaimPolicy Status Claim StorageClass VolumeAttributesClass"
    " Reason Age VolumeMode*",
    "nodes": "Name Status Roles Age Version Internal-IP* External-IP* OS-Image* Kernel-Version* Container-Runtime*",
    "namespaces": "Name Status Age",
    "events": "LastSeen Type Reason Object Subobject* Source* Message FirstSeen* Count* Name*",
    "serviceaccounts": "Name Age",
    "csidrivers": "Name AttachRequired PodInfoOnMount StorageCapacity TokenRequests RequiresRepublish Modes Age",
    "storageclasses": "Name Provisioner ReclaimPolicy VolumeBindingMode AllowVolumeExpansion Age",
    "roles": "Name CreatedAt",
    "rolebindings": "Name Role Age Users* Groups* ServiceAccounts*",
}

PLAIN = [resource for resource in RESOURCES if resource.plural in MEASURED]

# Objects whose cells say something, and what they say.
CELLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings",
        {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
            "subjects": [
                {"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "ServiceAccount", "name": "a", "namespace": "n"},
                {"kind": "ServiceAccount", "name": "b", "namespace": "n"},
            ],
        },
        {"Role": "Role/r", "Users": "eve", "Groups": "", "ServiceAccounts": "n/a, n/b"},
    ),
    (
        "/apis/storage.k8s.io/v1/csidrivers",
        {
            "spec": {
                "attachRequired": False,
                "tokenRequests": [{"audience": "x"}],
                "volumeLifecycleModes": ["Ephemeral"],
            }
        },
        {"AttachRequired": False, "PodInfoOnMount": False, "TokenRequests": "x", "Modes": "Ephemeral"},
    ),
    (
        "/apis/storage.k8s.io/v1/storageclasses",
        {"provisioner": "p", "allowVolumeExpansion": True},
        {"Provisioner": "p", "ReclaimPolicy": "Delete", "AllowVolumeExpansion": True},
    ),
    (
        "/api/v1/persistentvolumes",
        {"spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "hostPath": {"path": "/x"}}},
        {"Capacity": "1Gi", "Access Modes": "RWX", "Claim": "", "VolumeAttributesClass": "<unset>", "Reason": ""},
    ),
]


@pytest.fixture
async def http() -> Any:
    headers = {"Authorization": f"Bearer {TOKEN}", "Accept": TABLE}
    async with ApiServer(token=TOKEN) as server, aiohttp.ClientSession(server.url, headers=headers) as http:
        await http.post("/api/v1/namespaces", json={"metadata": {"name": "default"}})
        yield http


async def test_columns(http: aiohttp.ClientSession) -> None:
    """Each kind has a real server's columns, in its order."""
    shown = {}
    for resource in PLAIN:
        root = f"/apis/{resource.api_version}" if resource.group else "/api/v1"
        async with http.get(f"{root}/{resource.plural}") as answer:
            columns = (await answer.json())["columnDefinitions"]
        marked = (f"{item['name'].replace(' ', '')}{'*' if item['priority'] else ''}" for item in columns)
        shown[resource.plural] = " ".join(marked)
    assert shown == MEASURED


@pytest.mark.parametrize(("path", "body", "cells"), CELLS, ids=[path.rpartition("/")[2] for path, _, _ in CELLS])
async def test_cells(http: aiohttp.ClientSession, path: str, body: dict[str, Any], cells: dict[str, Any]) -> None:
    """The cells say what a real server's say."""
    async with http.post(path, json={"metadata": {"name": "x"}, **body}) as answer:
        assert answer.status == 201, await answer.text()
    async with http.get(f"{path}/x") as answer:
        table = await answer.json()
    names = [column["name"] for column in table["columnDefinitions"]]
    row = dict(zip(names, table["rows"][0]["cells"], strict=True))
    assert {name: row[name] for name in cells} == cells


ENDED = {"terminated": {"exitCode": 1, "finishedAt": "2026-11-24T10:00:00Z"}}
RUNS = {"running": {"startedAt": "2026-11-24T10:00:00Z"}}


@pytest.mark.parametrize(
    ("phase", "state", "last", "restarts", "word", "after_delete"),
    [
        ("Running", RUNS, ENDED, r"2 \(\d+[dhms]\w* ago\)", "Running", "Terminating"),
        ("Failed", ENDED, {}, "2", "ExitCode:1", "ExitCode:1"),
        ("Pending", {"waiting": {"reason": "ErrImagePull"}}, {}, "2", "ErrImagePull", "Terminating"),
    ],
)
async def test_pods(
    http: aiohttp.ClientSession, phase: str, state: Any, last: Any, restarts: str, word: str, after_delete: str
) -> None:
    """A pod's status, restarts and gates are told as a real server tells them, also while it is being deleted."""
    pods = "/api/v1/namespaces/default/pods"
    main = {"name": "a", "image": "i"}
    spec = {"containers": [main], "readinessGates": [{"conditionType": "g"}], "nodeName": "n"}
    status = {**main, "imageID": "", "ready": False, "restartCount": 2, "state": state, "lastState": last}

    async def row() -> dict[str, Any]:
        async with http.get(f"{pods}/x") as answer:
            table = await answer.json()
        return dict(
            zip([column["name"] for column in table["columnDefinitions"]], table["rows"][0]["cells"], strict=True)
        )

    await http.post(pods, json={"metadata": {"name": "x", "finalizers": ["a/b"]}, "spec": spec})
    merge = {"Content-Type": "application/merge-patch+json"}
    await http.patch(
        f"{pods}/x/status", json={"status": {"phase": phase, "containerStatuses": [status]}}, headers=merge
    )
    before = await row()
    await http.delete(f"{pods}/x")
    assert re.fullmatch(restarts, before["Restarts"])
    assert (before["Status"], before["Readiness Gates"]) == (word, "0/1")
    assert (await row())["Status"] == after_delete
