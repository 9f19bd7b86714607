"""The server itself: who may come in, what it says of itself, tables, tokens, and clients of other makers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client import ApiClient, ApiException, Configuration, CoreV1Api
from kubernetes_asyncio.client.models import V1Container, V1ObjectMeta, V1Pod, V1PodSpec
from kubernetes_asyncio.watch import Watch

from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from tests.local.clock import START, Clock

TOKEN = "server-token"
PODS = "/api/v1/namespaces/jobs/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[ApiServer]:
    async with ApiServer(token=TOKEN, clock=clock) as server:
        yield server


@pytest.fixture
async def session(server: ApiServer) -> AsyncIterator[Session]:
    async with Session(Address(server.url, TOKEN)) as session:
        await session.create("/api/v1/namespaces", {"metadata": {"name": "jobs"}})
        yield session


@pytest.fixture
async def http(server: ApiServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {TOKEN}"}) as http:
        yield http


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "main", "image": "busybox:1"}], **spec}}


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", "Basic wrong", f"Digest {TOKEN}"])
@pytest.mark.parametrize("path", ["/api/v1/pods", "/version", "/healthz", "/nowhere"])
async def test_without_the_token_nothing_is_answered(server: ApiServer, path: str, header: str) -> None:
    """Every path is 401 for everybody else, and says nothing more."""
    async with aiohttp.ClientSession(server.url) as http, http.get(path, headers={"Authorization": header}) as answer:
        assert answer.status == 401
        status = await answer.json()
        assert (status["kind"], status["reason"], status["message"]) == ("Status", "Unauthorized", "Unauthorized")


async def test_the_token_may_stand_in_the_url(server: ApiServer) -> None:
    """kubectl sends no bearer token over plain HTTP, but does send what stands before the host."""
    async with aiohttp.ClientSession() as http:
        async with http.get(server.url.replace("://", f"://any:{TOKEN}@") + "/version") as answer:
            assert answer.status == 200
        async with http.get(server.url.replace("://", "://any:wrong@") + "/version") as answer:
            assert answer.status == 401


async def test_a_server_without_a_token_is_refused() -> None:
    """An empty token would let everybody in."""
    with pytest.raises(ValueError, match="needs a token"):
        ApiServer(token="")


async def test_it_listens_on_the_loopback_alone(server: ApiServer) -> None:
    """The URL is the loopback's, and a given port is taken or refused."""
    assert server.url.startswith("http://127.0.0.1:")
    with pytest.raises(OSError, match="address already in use"):
        async with ApiServer(token=TOKEN, port=int(server.url.rpartition(":")[2])):
            pass


@pytest.mark.parametrize(
    ("method", "path", "code", "reason"),
    [
        ("GET", "/nowhere", 404, "NotFound"),
        ("GET", "/api/v1/things", 404, "NotFound"),
        ("GET", "/apis/batch/v1/things", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/jobs/nodes", 404, "NotFound"),
        ("GET", "/api/v1/namespaces/jobs/pods/p/nothing", 404, "NotFound"),
        ("GET", "/api/v1/pods/p", 404, "NotFound"),
        ("HEAD", "/nowhere", 404, ""),
        ("HEAD", PODS, 405, ""),
        ("PUT", PODS, 405, "MethodNotAllowed"),
        ("POST", "/api/v1/pods", 405, "MethodNotAllowed"),
        ("POST", "/version", 405, "MethodNotAllowed"),
        ("GET", f"{PODS}/p/binding", 405, "MethodNotAllowed"),
        ("GET", f"{PODS}?labelSelector=a%20b%20c", 400, "BadRequest"),
        ("GET", f"{PODS}?limit=many", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion=x", 400, "BadRequest"),
        ("GET", f"{PODS}?resourceVersion=1000000", 504, "Timeout"),
        ("DELETE", f"{PODS}/p?dryRun=Some", 422, "Invalid"),
    ],
)
async def test_what_it_does_not_have_is_a_status(
    http: aiohttp.ClientSession, session: Session, method: str, path: str, code: int, reason: str
) -> None:
    """Paths, methods and options that aren't there are refused in JSON."""
    async with http.request(method, path) as answer:
        assert answer.status == code
        assert answer.content_type == "application/json"
        if method != "HEAD":
            status = await answer.json()
            assert (status["kind"], status["reason"], status["code"]) == ("Status", reason, code)
            if code == 404:
                assert status["message"] == "the server could not find the requested resource"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
async def test_other_formats_are_refused(http: aiohttp.ClientSession, session: Session, kind: str) -> None:
    """A body that isn't JSON is 415 and names what is."""
    for method, path in (("POST", PODS), ("PATCH", f"{PODS}/p")):
        async with http.request(method, path, data=b"k8s", headers={"Content-Type": kind}) as answer:
            assert answer.status == 415
            assert "json" in (await answer.json())["message"]


async def test_unknown_fields_come_back_as_warnings(http: aiohttp.ClientSession, session: Session) -> None:
    """The answer's headers name what was dropped, whatever its name holds."""
    body = {**pod("p"), "sp\r\nec": 1}
    async with http.post(PODS, json=body) as answer:
        assert answer.status == 201
        assert answer.headers.getall("Warning") == [r'299 - "unknown field \"sp\r\nec\""']


async def test_clients_find_out_what_is_served(session: Session) -> None:
    """Discovery lists the kinds with their verbs, short names and subresources."""
    assert (await session.get("/version"))["minor"] == "36"
    assert (await session.get("/api"))["versions"] == ["v1"]
    groups = {group["name"] for group in (await session.get("/apis"))["groups"]}
    assert {"storage.k8s.io", "rbac.authorization.k8s.io", "authorization.k8s.io"} <= groups
    core = {item["name"]: item for item in (await session.get("/api/v1"))["resources"]}
    assert core["pods"]["shortNames"] == ["po"]
    assert set(core["pods"]["verbs"]) >= {"create", "watch", "deletecollection"}
    assert core["pods/log"]["verbs"] == ["get"]
    for group in groups:
        listed = await session.get(f"/apis/{group}/v1")
        assert listed["groupVersion"] == f"{group}/v1"
        assert (await session.get(f"/openapi/v3/apis/{group}/v1"))["paths"]


async def test_everybody_may_do_everything(session: Session) -> None:
    """Reviews of one's own rights are answered yes, and as the administrator's."""
    attributes = {"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}}
    may = await session.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", attributes)
    assert may["status"]["allowed"] is True
    assert may["spec"] == attributes["spec"]
    rules = await session.create(
        "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", {"spec": {"namespace": "jobs"}}
    )
    assert rules["status"]["resourceRules"][0]["verbs"] == ["*"]
    who = await session.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
    assert who["status"]["userInfo"]["username"] == "system:admin"


async def test_a_service_accounts_token_is_good_until_it_expires(
    server: ApiServer, session: Session, clock: Clock
) -> None:
    """TokenRequest gives a token that names its account, and that ends."""
    accounts = "/api/v1/namespaces/jobs/serviceaccounts"
    await session.create(accounts, {"metadata": {"name": "robot"}})
    request = {"spec": {"expirationSeconds": 600, "audiences": ["api"]}}
    given = (await session.create(f"{accounts}/robot/token", request))["status"]
    assert given["expirationTimestamp"] == "2026-11-23T23:00:36Z"
    headers = {"Authorization": f"Bearer {given['token']}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as http:
        review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        async with http.post(review, json={}) as answer:
            who = await answer.json()
            assert who["status"]["userInfo"]["username"] == "system:serviceaccount:jobs:robot"
        clock.now += timedelta(seconds=600)
        async with http.post(review, json={}) as answer:
            assert answer.status == 401


async def cells(http: aiohttp.ClientSession, path: str) -> list[dict[str, Any]]:
    async with http.get(path, headers={"Accept": TABLE}) as answer:
        table = await answer.json()
    assert table["kind"] == "Table"
    names = [column["name"] for column in table["columnDefinitions"]]
    return [dict(zip(names, row["cells"], strict=True)) for row in table["rows"]]


STATES = [
    ({}, "Pending"),
    ({"phase": "Running", "containerStatuses": [{"state": {"running": {}}, "ready": True}]}, "Running"),
    ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
    ({"phase": "Failed", "containerStatuses": [{"state": {"terminated": {"exitCode": 3}}}]}, "ExitCode:3"),
    ({"phase": "Failed", "reason": "Evicted"}, "Evicted"),
    ({"initContainerStatuses": [{"state": {"terminated": {"exitCode": 7, "reason": "Error"}}}]}, "Init:Error"),
    ({"initContainerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}]}, "Init:0/1"),
    ({"conditions": [{"type": "PodScheduled", "reason": "SchedulingGated"}]}, "SchedulingGated"),
]


@pytest.mark.parametrize(("status", "shown"), STATES, ids=[shown for _, shown in STATES])
async def test_tables_show_pods_as_kubectl_does(
    http: aiohttp.ClientSession, session: Session, status: dict[str, Any], shown: str
) -> None:
    """The status column condenses phase and container states."""
    initial = [{"name": "i", "image": "busybox:1"}] if shown.startswith("Init") else []
    await session.create(PODS, pod("p", initContainers=initial))
    await session.patch(f"{PODS}/p/status", {"status": status})
    (row,) = await cells(http, PODS)
    assert row["Status"] == shown
    assert row["Ready"] == ("1/1" if shown == "Running" else "0/1")


async def test_tables_tell_the_age(http: aiohttp.ClientSession, session: Session, clock: Clock) -> None:
    """Ages are condensed as kubectl prints them."""
    await session.create(PODS, pod("p"))
    for seconds, shown in ((5, "5s"), (119, "119s"), (300, "5m"), (330, "5m30s"), (11000, "3h3m"), (400000, "4d15h")):
        clock.now = START + timedelta(seconds=seconds)
        (row,) = await cells(http, f"{PODS}/p")
        assert row["Age"] == shown


async def test_every_kind_has_a_table_and_a_watch_of_one(http: aiohttp.ClientSession, session: Session) -> None:
    """Rows carry the objects' metadata; a watch shows each change as a table."""
    await session.create(PODS, pod("p"))
    meta = {"metadata": {"name": "x"}}
    node = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    volume = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteMany"], "hostPath": {"path": "/x"}}
    core, rbac = "/api/v1/namespaces/jobs", "/apis/rbac.authorization.k8s.io/v1/namespaces/jobs"
    made: dict[str, dict[str, Any]] = {
        f"{core}/configmaps": {"data": {"a": "b"}},
        f"{core}/secrets": {},
        f"{core}/serviceaccounts": {},
        f"{core}/persistentvolumeclaims": {"spec": claim},
        f"{core}/events": {"involvedObject": {"kind": "Pod", "name": "p", "namespace": "jobs"}, "reason": "R"},
        "/api/v1/persistentvolumes": {"spec": volume},
        "/api/v1/nodes": node,
        f"{rbac}/roles": {"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]},
        f"{rbac}/rolebindings": {"roleRef": {"kind": "Role", "name": "x"}},
        "/apis/storage.k8s.io/v1/storageclasses": {"provisioner": "local"},
        "/apis/storage.k8s.io/v1/csidrivers": {"spec": {}},
    }
    shown = {}
    for path, body in made.items():
        await session.create(path, {**meta, **body})
        (row,) = await cells(http, f"{path}?fieldSelector=metadata.name%3Dx")
        shown[path.rpartition("/")[2]] = row
    assert shown["nodes"]["Status"] == "Ready"
    assert shown["persistentvolumes"]["Access Modes"] == "RWX"
    assert shown["events"]["Object"] == "pod/p"
    assert shown["rolebindings"]["Role"] == "Role/x"
    assert shown["configmaps"]["Data"] == "1"
    async with http.get(f"{PODS}?watch=1", headers={"Accept": TABLE}) as answer:
        event = json.loads(await answer.content.readline())
    assert event["object"]["kind"] == "Table"
    assert event["object"]["rows"][0]["object"]["metadata"]["name"] == "p"


async def test_the_official_models_understand_it(server: ApiServer, session: Session) -> None:
    """kubernetes_asyncio creates, lists, watches, patches and deletes, and reads refusals."""
    configuration = Configuration(host=server.url, api_key={"BearerToken": f"Bearer {TOKEN}"})
    async with ApiClient(configuration) as client:
        core = CoreV1Api(client)
        spec = V1PodSpec(containers=[V1Container(name="main", image="busybox:1")])
        made = await core.create_namespaced_pod("jobs", V1Pod(metadata=V1ObjectMeta(name="p"), spec=spec))
        assert made.status.phase == "Pending"
        assert (await core.list_pod_for_all_namespaces()).items[0].metadata.name == "p"
        await core.patch_namespaced_pod("p", "jobs", {"metadata": {"labels": {"a": "b"}}})
        async with Watch() as watch:
            async for event in watch.stream(core.list_namespaced_pod, "jobs", label_selector="a=b"):
                assert (event["type"], event["object"].metadata.labels) == ("ADDED", {"a": "b"})
                break
        with pytest.raises(ApiException) as caught:
            await core.read_namespaced_pod("q", "jobs")
        assert (caught.value.status, json.loads(caught.value.body or "")["details"]["kind"]) == (404, "pods")
        gone = await core.delete_namespaced_pod("p", "jobs", grace_period_seconds=0)
        assert gone.metadata.name == "p"


async def test_a_batch_of_pods_goes_through_together(session: Session) -> None:
    """Five hundred creates at once are all kept, each under a version of its own."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session.create(PODS, pod(f"p{number}"))) for number in range(500)]
    versions = {task.result()["metadata"]["resourceVersion"] for task in tasks}
    assert len(versions) == 500
    assert len((await session.get(PODS))["items"]) == 500


async def test_bodies_may_be_yaml(http: aiohttp.ClientSession, session: Session) -> None:
    """An object in YAML is taken as its JSON would be, dates as text; aliases and what JSON lacks are 400."""
    path, headers = "/api/v1/namespaces/jobs/configmaps", {"Content-Type": "application/yaml"}
    body = b"metadata: {name: plain, annotations: {day: 2024-01-01}}\ndata:\n  a: |\n    x\n"
    async with http.post(path, data=body, headers=headers) as answer:
        assert answer.status == 201
    kept = await session.get(f"{path}/plain")
    assert (kept["data"], kept["metadata"]["annotations"]) == ({"a": "x\n"}, {"day": "2024-01-01"})
    for bad in (
        b"a: &x 1\nb: *x\n",
        b"data: {a: .nan}",
        b"data: !!python/object:os.system {}",
        b"a: [",
        b"\xff",
        b"[" * 100_000,
    ):
        async with http.post(path, data=bad, headers=headers) as answer:
            assert answer.status == 400
    async with http.post(path, data=b"- x\n" * 100_000, headers=headers) as answer:
        assert answer.status == 413


async def test_applied_lists_are_merged_by_their_keys(http: aiohttp.ClientSession, session: Session) -> None:
    """Two managers have entries of their own in one list; what one leaves out goes, and the other's stays."""
    headers = {"Content-Type": "application/apply-patch+yaml"}
    path = "/api/v1/namespaces/jobs/pods/p"

    async def apply(manager: str, names: list[str]) -> None:
        container = {"name": "main", "image": "busybox:1"}
        metadata = {"name": "p", "finalizers": [f"example.com/{name}" for name in names]}
        applied = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
        async with http.patch(path, params={"fieldManager": manager}, json=applied, headers=headers) as answer:
            assert answer.status in (200, 201), await answer.text()

    await apply("one", ["a", "b"])
    await apply("two", ["b", "c"])
    assert sorted((await session.get(path))["metadata"]["finalizers"]) == [f"example.com/{name}" for name in "abc"]
    await apply("one", ["a"])
    await apply("two", ["c"])
    pod = await session.get(path)
    assert sorted(pod["metadata"]["finalizers"]) == ["example.com/a", "example.com/c"]
    assert [entry["manager"] for entry in pod["metadata"]["managedFields"]] == ["one", "two"]
    before = pod["metadata"]["resourceVersion"]
    await apply("two", ["c"])
    assert (await session.get(path))["metadata"]["resourceVersion"] == before
