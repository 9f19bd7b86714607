"""How objects go: grace, finalizers, preconditions, evictions, owners and namespaces; and how pods are bound."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from launcher.errors import ClusterError, Conflict, Forbidden, NotFound
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from tests.local.clock import START, Clock

TOKEN = "deletion-token"
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


async def create(session: Session, name: str = "p", grace: int = 30, **metadata: Any) -> dict[str, Any]:
    spec = {"terminationGracePeriodSeconds": grace, "containers": [{"name": "main", "image": "busybox:1"}]}
    return await session.create(PODS, {"metadata": {"name": name, **metadata}, "spec": spec})


async def run(session: Session, name: str = "p", grace: int = 30, **metadata: Any) -> dict[str, Any]:
    """A pod that has a node and runs there."""
    await create(session, name, grace, **metadata)
    await bind(session, name)
    return await session.patch(f"{PODS}/{name}/status", {"status": {"phase": "Running"}})


async def bind(session: Session, name: str = "p", node: str = "n", **metadata: Any) -> None:
    body = {"metadata": {"name": name, **metadata}, "target": {"kind": "Node", "name": node}}
    await session.create(f"{PODS}/{name}/binding", body)


async def config(session: Session, name: str, **metadata: Any) -> dict[str, Any]:
    return await session.create(CONFIGS, {"metadata": {"name": name, **metadata}})


def owned_by(*owners: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"apiVersion": "v1", "kind": owner["kind"], "name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        for owner in owners
    ]


async def names(session: Session, path: str = CONFIGS) -> list[str]:
    return [item["metadata"]["name"] for item in (await session.get(path))["items"]]


@asynccontextmanager
async def recorded(session: Session, since: dict[str, Any]) -> AsyncIterator[list[tuple[str, dict[str, Any]]]]:
    """On leaving, every change to pods since that object's version, as type and object."""
    changes: list[tuple[str, dict[str, Any]]] = []
    yield changes
    version = since["metadata"]["resourceVersion"]
    query = {"watch": "1", "resourceVersion": version, "timeoutSeconds": "1"}
    async with session.lines(PODS, query) as lines:
        async for line in lines:
            event = json.loads(line)
            changes.append((event["type"], event["object"]))


async def test_binding_gives_a_pod_its_node_once(session: Session) -> None:
    """A binding sets node and condition, and a second one is a conflict."""
    await create(session)
    await bind(session)
    pod = await session.get(f"{PODS}/p")
    assert pod["spec"]["nodeName"] == "n"
    assert pod["metadata"]["generation"] == 1
    (condition,) = pod["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    with pytest.raises(Conflict, match='pod p is already assigned to node "n"'):
        await bind(session, node="other")


async def test_binding_is_refused_to_gated_ending_and_other_pods(session: Session) -> None:
    """Gates, a deletion under way and another uid each stop a binding."""
    gated = {"schedulingGates": [{"name": "a.b/c"}], "containers": [{"name": "main", "image": "busybox:1"}]}
    await session.create(PODS, {"metadata": {"name": "g"}, "spec": gated})
    with pytest.raises(Conflict, match="non-empty"):
        await bind(session, "g")
    await create(session, finalizers=["a.b/c"])
    with pytest.raises(Conflict, match="UID"):
        await bind(session, uid="other")
    await session.delete(f"{PODS}/p")
    with pytest.raises(Conflict, match="is being deleted"):
        await bind(session)


async def test_a_pod_on_a_node_is_deleted_with_its_grace(session: Session) -> None:
    """The pod is marked and stays until the node deletes it with grace 0, as in the recording `deleted-graceful`."""
    pod = await run(session, grace=2)
    async with recorded(session, pod) as changes:
        marked = await session.delete(f"{PODS}/p")
        assert marked["metadata"]["deletionTimestamp"] == "2026-11-23T22:50:38Z"
        await session.delete(f"{PODS}/p", grace=0, uid=pod["metadata"]["uid"])
    shown = [
        (kind, pod["metadata"]["generation"], pod["metadata"]["deletionGracePeriodSeconds"]) for kind, pod in changes
    ]
    assert shown == [("MODIFIED", 2, 2), ("MODIFIED", 2, 0), ("DELETED", 2, 0)]
    versions = [int(pod["metadata"]["resourceVersion"]) for _, pod in changes]
    assert versions == sorted(set(versions))
    with pytest.raises(NotFound):
        await session.get(f"{PODS}/p")


async def test_a_later_delete_only_shortens_the_grace(session: Session, clock: Clock) -> None:
    """A longer grace changes nothing; a shorter one counts from the first delete, never back into the past."""
    await run(session, grace=60)
    clock.now = START
    first = await session.delete(f"{PODS}/p")
    assert (await session.delete(f"{PODS}/p", grace=90)) == first
    assert (await session.delete(f"{PODS}/p")) == first
    clock.now += timedelta(seconds=10)
    shorter = await session.delete(f"{PODS}/p", grace=20)
    assert shorter["metadata"]["deletionTimestamp"] == "2026-11-23T22:50:56Z"
    clock.now += timedelta(seconds=10)
    shortest = await session.delete(f"{PODS}/p", grace=5)
    assert shortest["metadata"]["deletionTimestamp"] == "2026-11-23T22:50:56Z"
    assert shortest["metadata"]["deletionGracePeriodSeconds"] == 5


async def test_pods_without_a_node_and_ended_pods_go_at_once(session: Session) -> None:
    """Where nothing runs, no grace is given."""
    await create(session, "waiting")
    await run(session, "ended")
    await session.patch(f"{PODS}/ended/status", {"status": {"phase": "Succeeded"}})
    for name in ("waiting", "ended"):
        await session.delete(f"{PODS}/{name}", grace=30)
    assert await names(session, PODS) == []


async def test_the_grace_may_come_in_the_query(session: Session) -> None:
    """gracePeriodSeconds counts in the query too, and a negative one is a second."""
    await run(session)
    marked = await session.delete(f"{PODS}/p", gracePeriodSeconds="-1")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 1
    await session.delete(f"{PODS}/p", gracePeriodSeconds="0")
    assert await names(session, PODS) == []


async def test_a_name_is_taken_until_its_pod_is_gone(session: Session) -> None:
    """A create while the old pod ends says so."""
    await run(session)
    await session.delete(f"{PODS}/p")
    with pytest.raises(Conflict, match='object is being deleted: pods "p" already exists') as caught:
        await create(session)
    assert caught.value.reason == "AlreadyExists"


async def test_preconditions_protect_the_next_object_of_a_name(session: Session) -> None:
    """A delete with another uid or version is a conflict, and deletes nothing."""
    made = await config(session, "c")
    with pytest.raises(Conflict, match=r"the UID in the precondition \(other\) does not match") as caught:
        await session.delete(f"{CONFIGS}/c", uid="other")
    assert caught.value.reason == "Conflict"
    done = await session.delete(f"{CONFIGS}/c", uid=made["metadata"]["uid"])
    assert (done["kind"], done["status"]) == ("Status", "Success")
    assert await names(session) == []


async def test_finalizers_hold_an_object(session: Session) -> None:
    """A deleted object stays until its last finalizer is removed, and gets no new ones."""
    await config(session, "c", finalizers=["a.b/c"])
    await session.delete(f"{CONFIGS}/c")
    held = await session.delete(f"{CONFIGS}/c")
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    with pytest.raises(ClusterError, match="no new finalizers can be added"):
        await session.patch(f"{CONFIGS}/c", {"metadata": {"finalizers": ["a.b/c", "d.e/f"]}})
    await session.patch(f"{CONFIGS}/c", {"metadata": {"finalizers": None}})
    assert await names(session) == []


async def test_a_pod_waits_for_its_node_and_its_finalizers(session: Session) -> None:
    """Whichever comes last, the finalizer or the node, removes the pod."""
    for name in ("node-first", "finalizer-first"):
        await run(session, name, finalizers=["a.b/c"])
        await session.delete(f"{PODS}/{name}")
    await session.delete(f"{PODS}/node-first", grace=0)
    await session.patch(f"{PODS}/finalizer-first", {"metadata": {"finalizers": None}})
    assert await names(session, PODS) == ["finalizer-first", "node-first"]
    await session.patch(f"{PODS}/node-first", {"metadata": {"finalizers": None}})
    await session.delete(f"{PODS}/finalizer-first", grace=0)
    assert await names(session, PODS) == []


async def test_an_eviction_marks_the_pod_and_deletes_it(session: Session) -> None:
    """Two changes, as in the recording `evicted-by-api`: the condition, then the mark of deletion."""
    pod = await run(session, grace=2)
    async with recorded(session, pod) as changes:
        answer = await session.create(f"{PODS}/p/eviction", {"metadata": {"name": "p"}})
        assert answer["status"] == "Success"
    assert [kind for kind, _ in changes] == ["MODIFIED", "MODIFIED"]
    (_, disrupted), (_, marked) = changes
    assert "deletionTimestamp" not in disrupted["metadata"]
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 2
    condition = disrupted["status"]["conditions"][-1]
    assert condition["type"] == "DisruptionTarget"
    assert (condition["reason"], condition["message"]) == ("EvictionByEvictionAPI", "Eviction API: evicting")


async def test_an_eviction_heeds_its_preconditions(session: Session) -> None:
    """With another uid nothing is marked."""
    pod = await run(session)
    body = {"metadata": {"name": "p"}, "deleteOptions": {"preconditions": {"uid": "other"}}}
    with pytest.raises(Conflict):
        await session.create(f"{PODS}/p/eviction", body)
    assert await session.get(f"{PODS}/p") == pod


async def test_a_collection_is_deleted_by_selector(session: Session) -> None:
    """Only what matches goes, and the answer lists it."""
    for name, team in (("a", "blue"), ("b", "red"), ("c", "blue")):
        await config(session, name, labels={"team": team})
    gone = await session.delete(CONFIGS, labelSelector="team=blue")
    assert [item["metadata"]["name"] for item in gone["items"]] == ["a", "c"]
    assert await names(session) == ["b"]


async def test_what_an_object_owns_goes_with_it(session: Session) -> None:
    """A chain of owners is collected whole; something with a second owner stays and forgets the first."""
    root, other = await config(session, "root"), await config(session, "other")
    child = await config(session, "child", ownerReferences=owned_by(root))
    await config(session, "grandchild", ownerReferences=owned_by(child))
    await config(session, "shared", ownerReferences=owned_by(root, other))
    await session.delete(f"{CONFIGS}/root")
    assert await names(session) == ["other", "shared"]
    shared = await session.get(f"{CONFIGS}/shared")
    assert shared["metadata"]["ownerReferences"] == owned_by(other)


async def test_a_long_chain_of_owners_is_collected(session: Session) -> None:
    """Two thousand owners in a row are no deeper than one."""
    owner = await config(session, "c0")
    for number in range(1, 2000):
        owner = await config(session, f"c{number}", ownerReferences=owned_by(owner))
    await session.delete(f"{CONFIGS}/c0")
    assert await names(session) == []


async def test_an_object_whose_owner_never_was_goes(session: Session) -> None:
    """What is created with, or patched to, an owner that doesn't exist is collected."""
    ghost = {"kind": "Pod", "metadata": {"name": "ghost", "uid": "none"}}
    made = await config(session, "c", ownerReferences=owned_by(ghost))
    assert made["metadata"]["name"] == "c"
    await config(session, "d")
    await session.patch(f"{CONFIGS}/d", {"metadata": {"ownerReferences": owned_by(ghost)}})
    assert await names(session) == []


async def test_orphans_outlive_their_owner_when_asked(session: Session) -> None:
    """propagationPolicy Orphan keeps what the object owns, without the reference."""
    root = await config(session, "root")
    await config(session, "child", ownerReferences=owned_by(root))
    await session.delete(f"{CONFIGS}/root", propagationPolicy="Orphan")
    child = await session.get(f"{CONFIGS}/child")
    assert "ownerReferences" not in child["metadata"]


async def test_an_owned_pod_on_a_node_gets_its_grace(session: Session) -> None:
    """Collection is an ordinary delete."""
    root = await config(session, "root")
    await run(session, ownerReferences=owned_by(root))
    await session.delete(f"{CONFIGS}/root")
    assert (await session.get(f"{PODS}/p"))["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_a_namespace_goes_with_its_content(session: Session) -> None:
    """It is Terminating, and refuses new content, until the last pod has ended."""
    await config(session, "c")
    await run(session)
    ending = await session.delete("/api/v1/namespaces/jobs")
    assert ending["status"]["phase"] == "Terminating"
    assert await names(session) == []
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await config(session, "new")
    await session.delete(f"{PODS}/p", grace=0)
    with pytest.raises(NotFound):
        await session.get("/api/v1/namespaces/jobs")


async def test_an_empty_namespace_goes_at_once_and_default_never(session: Session) -> None:
    """Nothing holds an empty namespace; the cluster's own are kept."""
    await session.delete("/api/v1/namespaces/jobs")
    await session.create("/api/v1/namespaces", {"metadata": {"name": "default"}})
    with pytest.raises(Forbidden, match="this namespace may not be deleted"):
        await session.delete("/api/v1/namespaces/default")
    assert await names(session, "/api/v1/namespaces") == ["default"]


async def test_in_the_foreground_an_owner_goes_last(session: Session) -> None:
    """It is marked and stays until what blocks it has gone; what doesn't block it doesn't hold it."""
    root = await config(session, "root")
    (reference,) = owned_by(root)
    await run(session, ownerReferences=[{**reference, "blockOwnerDeletion": True}])
    await run(session, "free", ownerReferences=[reference])
    await session.delete(f"{CONFIGS}/root", propagationPolicy="Foreground")
    waiting = await session.get(f"{CONFIGS}/root")
    assert waiting["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert "deletionTimestamp" in waiting["metadata"]
    assert "deletionTimestamp" in (await session.get(f"{PODS}/p"))["metadata"]
    await session.delete(f"{PODS}/p", grace=0)
    assert await names(session) == []
    assert (await session.get(f"{PODS}/free"))["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_in_the_foreground_other_finalizers_hold_on(session: Session) -> None:
    """An owner whose dependents have gone waits for whoever else holds it."""
    root = await config(session, "root", finalizers=["example.com/hold"])
    (reference,) = owned_by(root)
    await config(session, "child", ownerReferences=[{**reference, "blockOwnerDeletion": True}])
    await session.delete(f"{CONFIGS}/root", propagationPolicy="Foreground")
    assert await names(session) == ["root"]
    assert (await session.get(f"{CONFIGS}/root"))["metadata"]["finalizers"] == ["example.com/hold"]
    await session.patch(f"{CONFIGS}/root", {"metadata": {"finalizers": None}})
    assert await names(session) == []
