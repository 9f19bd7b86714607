"""Objects through the API: what the server makes of them, how they change, how they are listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from launcher.errors import ClusterError, Conflict, Forbidden, NotFound
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from tests.local.clock import Clock

TOKEN = "objects-token"
CORE = "/api/v1/namespaces/jobs"
PODS = f"{CORE}/pods"
CONFIGS = f"{CORE}/configmaps"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def session(clock: Clock) -> AsyncIterator[Session]:
    async with ApiServer(token=TOKEN, clock=clock) as server, Session(Address(server.url, TOKEN)) as session:
        await session.create("/api/v1/namespaces", {"metadata": {"name": "jobs"}})
        yield session


def pod(name: str = "p", **spec: Any) -> dict[str, Any]:
    containers = [{"name": "main", "image": "busybox:1", "command": ["true"]}]
    return {"metadata": {"name": name}, "spec": {"containers": containers, **spec}}


async def test_a_pod_gets_what_a_real_server_gives_it(session: Session) -> None:
    """Defaults, status and metadata are those of the recorded pod `sidecar-ok`."""
    command = ["sh", "-c", "sleep 1"]
    image = {"image": "localhost/busybox:local", "imagePullPolicy": "Never", "command": command}
    sent = {
        "initContainers": [{"name": "s", "restartPolicy": "Always", **image}],
        "containers": [{"name": "m", **image}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
    }
    made = await session.create(PODS, {"metadata": {"name": "sidecar-ok"}, "spec": sent})

    defaults = {
        "resources": {},
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
    }
    trouble = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    assert made["spec"] == {
        "initContainers": [{"name": "s", "restartPolicy": "Always", **image, **defaults}],
        "containers": [{"name": "m", **image, **defaults}],
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 2,
        "dnsPolicy": "ClusterFirst",
        "serviceAccountName": "default",
        "serviceAccount": "default",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "tolerations": [
            {"key": "node.kubernetes.io/not-ready", **trouble},
            {"key": "node.kubernetes.io/unreachable", **trouble},
        ],
        "priority": 0,
        "enableServiceLinks": True,
        "preemptionPolicy": "PreemptLowerPriority",
    }
    assert made["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert (made["kind"], made["apiVersion"]) == ("Pod", "v1")
    metadata = made["metadata"]
    assert len(metadata.pop("uid")) == 36
    assert int(metadata.pop("resourceVersion")) > 1
    assert metadata == {
        "name": "sidecar-ok",
        "namespace": "jobs",
        "generation": 1,
        "creationTimestamp": "2026-11-23T22:50:36Z",
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("host:5000/busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1", "IfNotPresent"),
        ("busybox@sha256:0123", "IfNotPresent"),
    ],
)
async def test_images_without_a_tag_are_always_pulled(session: Session, image: str, policy: str) -> None:
    """The pull policy follows from the image's tag."""
    body = pod()
    body["spec"]["containers"][0]["image"] = image
    made = await session.create(PODS, body)
    assert made["spec"]["containers"][0]["imagePullPolicy"] == policy


@pytest.mark.parametrize(
    ("resources", "quality"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
async def test_the_quality_of_service_follows_from_the_resources(
    session: Session, resources: dict[str, Any], quality: str
) -> None:
    """Limits without requests count as both, and equal quantities are equal however they are written."""
    body = pod()
    body["spec"]["containers"][0]["resources"] = resources
    made = await session.create(PODS, body)
    assert made["status"]["qosClass"] == quality


async def test_quantities_are_written_in_their_canonical_form(session: Session) -> None:
    """Numbers and long forms come back as the API writes them, and limits become requests."""
    body = pod()
    body["spec"]["containers"][0]["resources"] = {"limits": {"cpu": 0.5, "memory": "1024Mi"}}
    made = await session.create(PODS, body)
    amounts = {"cpu": "500m", "memory": "1Gi"}
    assert made["spec"]["containers"][0]["resources"] == {"limits": amounts, "requests": amounts}


async def test_a_gated_pod_says_so_at_once(session: Session) -> None:
    """The server itself sets the condition of a pod with scheduling gates, as in the recording `gated`."""
    made = await session.create(PODS, pod(schedulingGates=[{"name": "example.com/queue"}]))
    (condition,) = made["status"]["conditions"]
    assert condition["reason"] == "SchedulingGated"
    assert condition["message"] == "Scheduling is blocked due to non-empty scheduling gates"


async def test_secrets_keep_plain_text_encoded(session: Session) -> None:
    """`stringData` is merged into `data`, and the type defaults to Opaque."""
    body = {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "stringData": {"b": "é"}}
    made = await session.create(f"{CORE}/secrets", body)
    assert made["data"] == {"a": "YQ==", "b": "w6k="}
    assert made["type"] == "Opaque"
    assert "stringData" not in made


async def test_generated_names_are_unique_and_short(session: Session) -> None:
    """`generateName` gets five characters more, cut so that the whole fits into a DNS label."""
    prefix = "x" * 62
    names = {(await session.create(CONFIGS, {"metadata": {"generateName": prefix}}))["metadata"]["name"] for _ in "ab"}
    assert len(names) == 2
    assert {len(name) for name in names} == {63}


async def test_clients_cannot_write_what_is_the_servers(session: Session) -> None:
    """Uid, times, generation and status of a new object are the server's, whatever was sent."""
    body = pod()
    body["metadata"] |= {"uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7}
    body["metadata"]["deletionTimestamp"] = "2000-01-01T00:00:00Z"
    made = await session.create(PODS, {**body, "status": {"phase": "Succeeded"}})
    assert made["status"]["phase"] == "Pending"
    assert made["metadata"]["generation"] == 1
    assert made["metadata"]["uid"] != "mine"
    assert "deletionTimestamp" not in made["metadata"]


async def test_unknown_fields_are_dropped_or_refused(session: Session) -> None:
    """A field that the API doesn't have is left out, or with strict validation refused by its path."""
    with pytest.raises(ClusterError, match=r'unknown field "spec\.containerz"') as caught:
        await session.create(PODS, pod(containerz=[]), fieldValidation="Strict")
    assert (caught.value.status, caught.value.reason) == (400, "BadRequest")
    made = await session.create(PODS, pod(containerz=[]))
    assert "containerz" not in made["spec"]


async def test_names_are_taken_once(session: Session) -> None:
    """A second create of a name is 409 AlreadyExists."""
    await session.create(PODS, pod())
    with pytest.raises(Conflict, match='pods "p" already exists') as caught:
        await session.create(PODS, pod())
    assert caught.value.reason == "AlreadyExists"


async def test_a_namespace_must_exist(session: Session) -> None:
    """Creating in an unknown namespace is 404, naming the namespace."""
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        await session.create("/api/v1/namespaces/nowhere/pods", pod())


async def test_a_service_account_must_exist(session: Session) -> None:
    """A pod of an unknown service account is refused, until there is one; every namespace has `default`."""
    with pytest.raises(Forbidden, match='serviceaccount "robot" not found'):
        await session.create(PODS, pod(serviceAccountName="robot"))
    await session.create(f"{CORE}/serviceaccounts", {"metadata": {"name": "robot"}})
    made = await session.create(PODS, pod(serviceAccountName="robot"))
    assert made["spec"]["serviceAccount"] == "robot"
    assert (await session.get(f"{CORE}/serviceaccounts/default"))["metadata"]["name"] == "default"


async def test_a_dry_run_changes_nothing(session: Session) -> None:
    """With dryRun=All the server answers as if it had written."""
    assert (await session.create(PODS, pod(), dryRun="All"))["status"]["phase"] == "Pending"
    with pytest.raises(NotFound):
        await session.get(f"{PODS}/p")
    await session.create(PODS, pod())
    await session.patch(f"{PODS}/p", {"metadata": {"labels": {"a": "b"}}}, dryRun="All")
    await session.delete(f"{PODS}/p", dryRun="All")
    await session.delete(PODS, dryRun="All")
    await session.create(f"{PODS}/p/eviction", {"deleteOptions": {"dryRun": ["All"]}})
    assert "labels" not in (await session.get(f"{PODS}/p"))["metadata"]


async def test_a_replace_from_an_old_version_is_a_conflict(session: Session) -> None:
    """Of two writers that read the same version the second one loses."""
    first = await session.create(CONFIGS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    second = await session.replace(f"{CONFIGS}/c", {**first, "data": {"a": "2"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(Conflict, match="the object has been modified"):
        await session.replace(f"{CONFIGS}/c", {**first, "data": {"a": "3"}})
    with pytest.raises(Conflict, match="UID in precondition: other"):
        await session.replace(f"{CONFIGS}/c", {"metadata": {"uid": "other"}})
    del first["metadata"]["resourceVersion"]
    last = await session.replace(f"{CONFIGS}/c", {**first, "data": {"a": "4"}})
    assert last["data"] == {"a": "4"}
    assert last["metadata"]["uid"] == first["metadata"]["uid"]


async def test_a_replace_that_changes_nothing_is_no_new_version(session: Session) -> None:
    """Sending an object back as it is doesn't wake anybody."""
    made = await session.create(PODS, pod())
    again = await session.replace(f"{PODS}/p", made)
    assert again == made


async def test_the_status_is_a_world_of_its_own(session: Session) -> None:
    """Writes to /status change the status alone, other writes everything else; the class of service stays."""
    made = await session.create(PODS, pod())
    changed = {**made, "status": {"phase": "Running"}, "metadata": {**made["metadata"], "labels": {"a": "b"}}}
    labelled = await session.replace(f"{PODS}/p", changed)
    assert labelled["status"]["phase"] == "Pending"
    assert labelled["metadata"]["labels"] == {"a": "b"}
    running = await session.patch(f"{PODS}/p/status", {"status": {"phase": "Running"}, "spec": {"nodeName": "n"}})
    assert running["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    assert "nodeName" not in running["spec"]
    assert running["metadata"]["labels"] == {"a": "b"}
    replaced = await session.replace(f"{PODS}/p/status", {"metadata": {"name": "p"}, "status": {"phase": "Failed"}})
    assert replaced["status"] == {"phase": "Failed", "qosClass": "BestEffort"}


async def test_a_pods_spec_is_fixed_but_for_a_few_fields(session: Session) -> None:
    """Image, deadline, more tolerations and fewer gates may change, and count as a new generation."""
    await session.create(PODS, pod(schedulingGates=[{"name": "example.com/queue"}]))
    for path, value in (("/spec/restartPolicy", "Never"), ("/spec/containers/0/command/0", "false")):
        with pytest.raises(ClusterError, match="pod updates may not change fields other than") as caught:
            await session.patch(f"{PODS}/p", [{"op": "replace", "path": path, "value": value}], how="json")
        assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    with pytest.raises(ClusterError, match="only deletion is allowed"):
        await session.patch(f"{PODS}/p", {"spec": {"schedulingGates": [{"name": "example.com/other"}]}})
    changed = await session.patch(
        f"{PODS}/p",
        [
            {"op": "replace", "path": "/spec/containers/0/image", "value": "busybox:2"},
            {"op": "add", "path": "/spec/activeDeadlineSeconds", "value": 60},
            {"op": "add", "path": "/spec/tolerations/-", "value": {"key": "gpu", "operator": "Exists"}},
            {"op": "remove", "path": "/spec/schedulingGates"},
        ],
        how="json",
    )
    assert changed["metadata"]["generation"] == 2
    with pytest.raises(ClusterError, match="must be less than or equal to previous value"):
        await session.patch(f"{PODS}/p", {"spec": {"activeDeadlineSeconds": 61}})
    with pytest.raises(ClusterError, match="existing toleration can not be modified"):
        await session.patch(f"{PODS}/p", {"spec": {"tolerations": None}})


async def test_sealed_and_typed_secrets_stay_as_they_are(session: Session) -> None:
    """A secret's type never changes, and nothing of an immutable one but its metadata."""
    secrets = f"{CORE}/secrets"
    await session.create(secrets, {"metadata": {"name": "s"}, "data": {"a": "YQ=="}, "immutable": True})
    with pytest.raises(ClusterError, match=r"data: Forbidden: field is immutable when `immutable` is set"):
        await session.patch(f"{secrets}/s", {"data": {"a": "Yg=="}})
    with pytest.raises(ClusterError, match="type: Invalid value"):
        await session.patch(f"{secrets}/s", {"type": "other"})
    assert (await session.patch(f"{secrets}/s", {"metadata": {"labels": {"a": "b"}}}))["data"] == {"a": "YQ=="}


async def test_a_claim_is_bound_once(session: Session) -> None:
    """A claim's volume may be filled in once, and its size may only grow."""
    claims = f"{CORE}/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    made = await session.create(claims, {"metadata": {"name": "c"}, "spec": spec})
    assert made["status"] == {"phase": "Pending"}
    assert made["spec"]["volumeMode"] == "Filesystem"
    await session.patch(f"{claims}/c", {"spec": {"volumeName": "v"}})
    with pytest.raises(ClusterError, match="spec is immutable after creation"):
        await session.patch(f"{claims}/c", {"spec": {"volumeName": "w"}})
    grown = await session.patch(f"{claims}/c", {"spec": {"resources": {"requests": {"storage": "2048Mi"}}}})
    assert grown["spec"]["resources"]["requests"]["storage"] == "2Gi"
    with pytest.raises(ClusterError, match="can not be less than"):
        await session.patch(f"{claims}/c", {"spec": {"resources": {"requests": {"storage": "1Gi"}}}})


async def test_merge_patches_remove_with_null(session: Session) -> None:
    """RFC 7386: null removes a key, mappings are merged."""
    await session.create(CONFIGS, {"metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}})
    changed = await session.patch(f"{CONFIGS}/c", {"data": {"a": None, "c": "3"}})
    assert changed["data"] == {"b": "2", "c": "3"}


async def test_strategic_patches_merge_lists_by_their_key(session: Session) -> None:
    """Containers are merged by name and conditions by type; `$patch: delete` removes an entry."""
    await session.create(PODS, pod())
    patch = {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}
    changed = await session.patch(f"{PODS}/p", patch, how="strategic")
    assert changed["spec"]["containers"][0]["command"] == ["true"]
    assert changed["spec"]["containers"][0]["image"] == "busybox:2"
    for condition in ({"type": "A", "status": "False"}, {"type": "B", "status": "True"}):
        await session.patch(f"{PODS}/p/status", {"status": {"conditions": [condition]}}, how="strategic")
    patch = {"status": {"conditions": [{"type": "A", "status": "True"}, {"type": "B", "$patch": "delete"}]}}
    changed = await session.patch(f"{PODS}/p/status", patch, how="strategic")
    assert changed["status"]["conditions"] == [{"type": "A", "status": "True"}]


async def test_a_json_patch_is_all_or_nothing(session: Session) -> None:
    """A failing test operation leaves the object as it was, and is 422."""
    await session.create(CONFIGS, {"metadata": {"name": "c"}, "data": {"a": "1"}})
    patch = [
        {"op": "replace", "path": "/data/a", "value": "2"},
        {"op": "test", "path": "/data/a", "value": "1"},
    ]
    with pytest.raises(ClusterError) as caught:
        await session.patch(f"{CONFIGS}/c", patch, how="json")
    assert caught.value.status == 422
    assert (await session.get(f"{CONFIGS}/c"))["data"] == {"a": "1"}


async def test_a_json_patch_cannot_blow_an_object_up(session: Session) -> None:
    """Copies that double each time are stopped by their size, with 413."""
    await session.create(CONFIGS, {"metadata": {"name": "c"}, "data": {"a": "x" * 1000}})
    copies = [{"op": "copy", "from": "", "path": f"/data/{number}"} for number in range(40)]
    with pytest.raises(ClusterError) as caught:
        await session.patch(f"{CONFIGS}/c", copies, how="json")
    assert caught.value.status == 413


async def test_lists_are_chosen_by_labels_and_fields(session: Session) -> None:
    """Every form of label selector and the field selectors of a pod choose what they should."""
    labels: dict[str, dict[str, str]] = {"a": {"app": "x", "n": "3"}, "b": {"app": "y"}, "c": {}}
    for name, own in labels.items():
        body = pod(name)
        body["metadata"]["labels"] = own
        await session.create(PODS, body)
    await session.patch(f"{PODS}/a/status", {"status": {"phase": "Running"}})

    async def chosen(**query: str) -> str:
        listed = await session.get(PODS, **query)
        return "".join(item["metadata"]["name"] for item in listed["items"])

    by_label = {
        "": "abc",
        "app=x": "a",
        "app==x": "a",
        "app!=x": "bc",
        "app in (x, y)": "ab",
        "app notin (x,z)": "bc",
        "app": "ab",
        "!app": "c",
        "app,app!=y": "a",
        "n>2": "a",
        "n<3": "",
        "app=": "",
    }
    for text, names in by_label.items():
        assert (text, await chosen(labelSelector=text)) == (text, names)
    by_field = {
        "status.phase=Running": "a",
        "status.phase!=Running": "bc",
        "metadata.name=b": "b",
        "metadata.namespace=jobs,spec.nodeName=": "abc",
    }
    for text, names in by_field.items():
        assert (text, await chosen(fieldSelector=text)) == (text, names)
    for query in ({"labelSelector": "app in x"}, {"labelSelector": "a@b"}, {"fieldSelector": "spec.x=1"}):
        with pytest.raises(ClusterError) as caught:
            await chosen(**query)
        assert caught.value.status == 400


async def test_lists_cross_namespaces_and_keep_their_form(session: Session) -> None:
    """A list over all namespaces is ordered, carries a version, and its items don't repeat their kind."""
    await session.create("/api/v1/namespaces", {"metadata": {"name": "a"}})
    await session.create("/api/v1/namespaces/a/pods", pod("z"))
    newest = await session.create(PODS, pod("b"))
    listed = await session.get("/api/v1/pods")
    assert (listed["kind"], listed["apiVersion"]) == ("PodList", "v1")
    assert listed["metadata"] == {"resourceVersion": newest["metadata"]["resourceVersion"]}
    assert [item["metadata"]["namespace"] for item in listed["items"]] == ["a", "jobs"]
    assert not any("kind" in item for item in listed["items"])
    assert (await session.get(PODS, labelSelector="none"))["items"] == []


async def test_lists_come_in_pages(session: Session) -> None:
    """With a limit the list goes on where it stopped, at the version of its first page."""
    for name in "abcde":
        await session.create(CONFIGS, {"metadata": {"name": name}})
    first = await session.get(CONFIGS, limit="2")
    assert first["metadata"]["remainingItemCount"] == 3
    await session.create(CONFIGS, {"metadata": {"name": "f"}})
    names, page = [item["metadata"]["name"] for item in first["items"]], first
    while token := page["metadata"].get("continue"):
        page = await session.get(CONFIGS, limit="2", **{"continue": token})
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [item["metadata"]["name"] for item in page["items"]]
    assert names == list("abcdef")
    with pytest.raises(ClusterError, match="continue key is not valid"):
        await session.get(CONFIGS, **{"continue": "nonsense"})


async def test_events_are_kept_for_an_hour(session: Session, clock: Clock) -> None:
    """Older events go when a new one comes."""
    events = f"{CORE}/events"
    body = {"involvedObject": {"kind": "Pod", "namespace": "jobs", "name": "p"}, "reason": "Started"}
    await session.create(events, {**body, "metadata": {"name": "old"}})
    clock.now += timedelta(minutes=59)
    await session.create(events, {**body, "metadata": {"name": "young"}})
    assert len((await session.get(events))["items"]) == 2
    clock.now += timedelta(minutes=2)
    await session.create(events, {**body, "metadata": {"name": "new"}})
    left = await session.get(events, fieldSelector="involvedObject.name=p,reason=Started")
    assert [item["metadata"]["name"] for item in left["items"]] == ["new", "young"]
