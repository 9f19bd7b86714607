"""An opinion of its own on a pod: what must hold of every pod that the launcher sends, whoever patched it.

Written apart from the guard that it judges: it walks the pod and trusts nothing.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

from launcher.plan import Plan

AGENTS = ("fetch", "save")
GROUPS = ("initContainers", "containers", "ephemeralContainers")


def walk(value: Any) -> Iterator[Any]:
    """Every value inside a value."""
    yield value
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from walk(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from walk(item)


def users(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Every container that isn't an agent."""
    return [c for group in GROUPS for c in pod["spec"].get(group) or [] if c["name"] not in AGENTS]


def kept_secrets(plan: Plan) -> set[str]:
    """Secrets that no container of the user's may see."""
    shown = {use.secret for use in plan.uses if use.mode == "stream"}
    store = {plan.store.resolved.secret.name} if plan.store and plan.store.resolved.secret else set()
    return {use.secret for use in plan.uses if use.secret} - shown | store - shown


def faults(plan: Plan, before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """All that is wrong with the pod ``after``."""
    return [
        *_found(before, after),
        *_tokens(before, after),
        *_containers(before, after),
        *_secrets(plan, before, after),
        *_mounts(before, after),
    ]


def _found(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for field in ("apiVersion", "kind"):
        if after.get(field) != before[field]:
            yield f"{field} changed"
    for field in ("name", "namespace"):
        if after["metadata"].get(field) != before["metadata"][field]:
            yield f"{field} changed"
    for field in ("labels", "annotations"):
        now = after["metadata"].get(field) or {}
        ours = {key for key in {*now, *before["metadata"][field]} if "podlauncher.dev" in key}
        yield from (f"{key} changed" for key in ours if now.get(key) != before["metadata"][field].get(key))


def _tokens(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    spec = after["spec"]
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token in every container"
    if spec.get("hostPID") or spec.get("shareProcessNamespace"):
        yield "the agents' processes are seen"
    if spec.get("restartPolicy") != "Never":
        yield "the pod may run twice"
    known = before["spec"].get("volumes") or []
    new = [volume for volume in spec.get("volumes") or [] if volume not in known]
    if any("serviceAccountToken" in walk(volume) for volume in new):
        yield "a token by a new volume"


def _containers(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    names = [c["name"] for group in GROUPS for c in after["spec"].get(group) or []]
    if len(names) != len(set(names)):
        yield "two containers of one name"
    if [c["name"] for c in after["spec"]["containers"]][:1] != ["main"]:
        yield "main isn't the first container"
    was = [c for c in before["spec"].get("initContainers") or [] if c["name"] in AGENTS]
    now = [c for c in after["spec"].get("initContainers") or [] if c["name"] in AGENTS]
    if was != now:
        yield "the agents changed"


def _secrets(plan: Plan, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    kept = kept_secrets(plan)
    for container in users(after):
        sources = [container.get("env"), container.get("envFrom")]
        yield from (f"{container['name']} sees {secret}" for secret in kept if secret in list(walk(sources)))
    volumes = before["spec"].get("volumes") or []
    mounted = {mount["name"] for c in users(before) for mount in c.get("volumeMounts") or []}
    new = [volume for volume in after["spec"].get("volumes") or [] if volume not in volumes]
    yield from (f"a new volume shows {secret}" for secret in kept if secret in list(walk(new)))
    private = {volume["name"] for volume in volumes} - mounted
    for container in users(after):
        seen = {mount.get("name") for mount in container.get("volumeMounts") or []}
        yield from (f"{container['name']} mounts {name}" for name in seen & private)


def _mounts(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in before["spec"].get("volumes") or []}
    now = {volume["name"]: volume for volume in after["spec"].get("volumes") or []}
    yield from (f"volume {name} changed" for name, volume in volumes.items() if now.get(name) != volume)
    main = before["spec"]["containers"][0].get("volumeMounts") or []
    later = after["spec"]["containers"][0].get("volumeMounts") or []
    for mount in main:
        # A patch may make a mount read-only, and nothing else of it.
        same = [m for m in later if {**m, "readOnly": True} == {**mount, "readOnly": True}]
        if not same:
            yield f"the mount on {mount['mountPath']} is gone"
    narrow = {mount["name"]: mount for mount in main}
    for container in users(after):
        for mount in container.get("volumeMounts") or []:
            allowed = narrow.get(mount.get("name"))
            if allowed and allowed.get("readOnly") and mount.get("readOnly") is not True:
                yield f"{container['name']} may write to {mount['name']}"
            if allowed and not _inside(mount, allowed):
                yield f"{container['name']} sees more of {mount['name']}"
    storage = {place for volume in volumes.values() for place in _places(volume)}
    for name, volume in now.items():
        if name not in volumes and storage & set(_places(volume)):
            yield f"{name} is the storage of a connection"


def _inside(mount: dict[str, Any], allowed: dict[str, Any]) -> bool:
    start = allowed.get("subPath", "")
    inner = posixpath.normpath("/" + str(mount.get("subPath", "")))
    outer = posixpath.normpath("/" + start)
    return "subPathExpr" not in mount and (inner == outer or inner.startswith(outer.rstrip("/") + "/"))


def _places(volume: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "hostPath" in volume:
        yield "host", "/" + str(volume["hostPath"].get("path", "")).strip("/")
    if "persistentVolumeClaim" in volume:
        yield "claim", str(volume["persistentVolumeClaim"].get("claimName"))
