"""From a manifest to a pod that exists, once: a lost answer or a second try never makes a second pod."""

from __future__ import annotations

import asyncio
from typing import Any

from launcher.errors import ClusterError, Conflict, LauncherError, NotFound
from launcher.kube.podstate import PodRef
from launcher.kube.session import FIRST_PAUSE, Session
from launcher.pod import labels
from launcher.pod.manifest import Manifest

# Seconds to wait for an earlier pod of the same name to be gone: longer than any grace period of ours.
GOING = 660.0

# The collections that objects of a manifest belong to.
_COLLECTIONS = {"ConfigMap": "configmaps"}


async def submit(session: Session, manifest: Manifest) -> PodRef:
    """Create the objects, then the pod, then make the pod their owner.

    Raises ``Conflict`` when the run id is taken by another job, ``Forbidden``, ``ClusterError``; what was made
    before is removed again then, and when the task is cancelled.
    """
    namespace = manifest.pod["metadata"]["namespace"]
    ours: list[str] = []
    try:
        for item in manifest.objects:
            ours.append(_path(namespace, item))
            other = await _anothers(session, namespace, item)
            if other is not None:
                ours.pop()
                _refuse_unless_alike(other, item, manifest.pod["metadata"]["name"])
        ref = await _pod(session, namespace, manifest.pod)
        await asyncio.gather(*(_own(session, path, ref) for path in ours))
    except Conflict:
        await asyncio.shield(_undo(session, ours))
        raise
    except BaseException:
        # A request whose answer never came may have made its object all the same.
        await asyncio.shield(_undo_all(session, manifest.pod, ours))
        raise
    return ref


async def remove_objects(session: Session, namespace: str, run_id: str) -> None:
    """Remove what a run left beside its pod. The pod owns it, so what can't be removed here goes with the pod."""
    await _undo(session, [f"/api/v1/namespaces/{namespace}/configmaps/{run_id}-files"])


async def _anothers(session: Session, namespace: str, item: dict[str, Any]) -> dict[str, Any] | None:
    """Create an object; the one that was there already, made by another submission under the same run id."""
    try:
        await session.create(f"/api/v1/namespaces/{namespace}/{_COLLECTIONS[item['kind']]}", item)
    except ClusterError as exc:
        if exc.status not in (0, 409) and exc.status < 500:
            raise
        existing = await _existing(session, _path(namespace, item))
        if existing is None:
            raise
        lost_answer = exc.status != 409 and existing.get("binaryData") == item.get("binaryData")
        return None if lost_answer else existing
    return None


def _refuse_unless_alike(other: dict[str, Any], item: dict[str, Any], run_id: str) -> None:
    if other.get("binaryData") != item.get("binaryData"):
        raise _taken(run_id, "other files are there under that id")


async def _pod(session: Session, namespace: str, pod: dict[str, Any]) -> PodRef:
    path = f"/api/v1/namespaces/{namespace}/pods"
    name = pod["metadata"]["name"]
    deadline = asyncio.get_running_loop().time() + GOING
    while True:
        try:
            return _ref(await session.create(path, pod))
        except ClusterError as exc:
            if exc.status not in (0, 409) and exc.status < 500:
                raise
            existing = await _existing(session, f"{path}/{name}")
            if existing is None:
                if exc.status != 409:
                    raise
            elif "deletionTimestamp" not in existing["metadata"]:
                return _same_or_raise(existing, pod, exc)
            elif asyncio.get_running_loop().time() > deadline:
                raise
        await asyncio.sleep(FIRST_PAUSE)


async def _existing(session: Session, path: str) -> dict[str, Any] | None:
    try:
        return await session.get(path)
    except NotFound:
        return None


def _same_or_raise(existing: dict[str, Any], pod: dict[str, Any], exc: ClusterError) -> PodRef:
    name = pod["metadata"]["name"]
    if labels.metadata_of(existing, labels.SPEC) == labels.metadata_of(pod, labels.SPEC):
        return _ref(existing)
    ours = labels.metadata_of(existing, labels.SPEC)
    what = "another job has run under that id" if ours else "a pod that isn't the launcher's has that name"
    raise _taken(name, what) from exc


def _taken(run_id: str, what: str) -> Conflict:
    return Conflict(f"the run id {run_id!r} is taken: {what} (choose another)", status=409)


async def _own(session: Session, path: str, ref: PodRef) -> None:
    owner = {"apiVersion": "v1", "kind": "Pod", "name": ref.name, "uid": ref.uid}
    try:
        await session.patch(path, {"metadata": {"ownerReferences": [owner]}})
    except LauncherError:
        # Only tidiness: without an owner the object is removed by the launcher, not with the pod.
        return


async def _undo_all(session: Session, pod: dict[str, Any], paths: list[str]) -> None:
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    try:
        existing = await _existing(session, path)
        ours = existing is not None and existing["metadata"].get("labels", {}).get(labels.LAUNCHER)
        if existing is not None and ours == pod["metadata"]["labels"][labels.LAUNCHER]:
            await session.delete(path, uid=existing["metadata"]["uid"], grace=0)
    except LauncherError:
        pass  # what can't be asked now can't be undone now
    await _undo(session, paths)


async def _undo(session: Session, paths: list[str]) -> None:
    for path in paths:
        try:
            await session.delete(path)
        except LauncherError:
            continue


def _path(namespace: str, item: dict[str, Any]) -> str:
    return f"/api/v1/namespaces/{namespace}/{_COLLECTIONS[item['kind']]}/{item['metadata']['name']}"


def _ref(pod: dict[str, Any]) -> PodRef:
    meta = pod["metadata"]
    return PodRef(meta["namespace"], meta["name"], meta["uid"])
