"""What a job's extra containers and its patch may not do to its pod. Pure.

The pod must still be found by its labels and run once; the user's containers get no API token and no credentials
that their connections don't show; nothing that is mounted becomes wider, or is mounted in another way beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from launcher.backend import Mode
from launcher.errors import Problem
from launcher.fields import plain_path
from launcher.plan import Plan
from launcher.pod import labels

_OURS = ("fetch", "save")
_GROUPS = ("initContainers", "containers", "ephemeralContainers")

_SHOWS = "would show storage credentials to the user's container"

# Fields of a pod that must stay as they were built, and why.
_FIXED = {
    "automountServiceAccountToken": "it would give the user's container an API token",
    "restartPolicy": "attempts are the launcher's: a pod runs once",
    "shareProcessNamespace": "it would show the agents' files and tokens to the user's container",
    "hostPID": "it would show the agents' files and tokens to the user's container",
}


def refused(plan: Plan, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    """Everything that is not allowed about the pod ``after``, beside the one that was built."""
    yield from _shape(after)
    yield from _metadata(before, after)
    for field, why in _FIXED.items():
        if after["spec"].get(field) != before["spec"].get(field):
            yield Problem(f"patch.spec.{field}", f"can't be changed: {why}", "leave it out")
    kept = _kept_secrets(plan)
    yield from _volumes(before["spec"], after["spec"], kept)
    yield from _own_containers(before["spec"], after["spec"])
    for group in _GROUPS:
        for container in after["spec"].get(group) or []:
            if container["name"] not in _OURS:
                old = _by(before["spec"].get(group) or [], "name").get(container["name"], {})
                yield from _environment(container, old, kept)
                yield from _mounts(container, old, before["spec"])


def _kept_secrets(plan: Plan) -> set[str]:
    """Secrets with credentials of connections and the store, without those that a streamed connection shows."""
    resolved = [use.resolved for use in plan.uses] + ([plan.store.resolved] if plan.store else [])
    shown = {use.secret for use in plan.uses if use.mode is Mode.STREAM}
    return {item.secret.name for item in resolved if item.secret} - shown


def _shape(after: dict[str, Any]) -> Iterator[Problem]:
    if (after.get("apiVersion"), after.get("kind")) != ("v1", "Pod"):
        yield Problem("patch.kind", "a pod must stay a pod", "leave it out")
    names = [container["name"] for group in _GROUPS for container in after["spec"].get(group) or []]
    if any(not isinstance(name, str) for name in names):
        yield Problem("patch.spec", "has a container whose name isn't text")
    elif len(set(names)) < len(names):
        yield Problem("patch.spec", "has two containers of one name")


def _metadata(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    for field in ("name", "namespace"):
        if before["metadata"][field] != after["metadata"].get(field):
            yield Problem(f"patch.metadata.{field}", "is how the launcher finds the pod", "leave it out")
    for field in ("labels", "annotations"):
        ours, theirs = before["metadata"][field], after["metadata"].get(field) or {}
        for key in sorted({*ours, *theirs}):
            if labels.is_ours(key) and ours.get(key) != theirs.get(key):
                yield Problem(f"patch.metadata.{field}.{key}", "belongs to the launcher", "choose another prefix")


def _volumes(before: dict[str, Any], after: dict[str, Any], kept: set[str]) -> Iterator[Problem]:
    known = _by(before.get("volumes") or [], "name")
    now = _by(after.get("volumes") or [], "name")
    for name, volume in known.items():
        if now.get(name) != volume:
            text = "is a connection's or the launcher's, and can't be changed"
            yield Problem(f"patch.spec.volumes[{name}]", text, "add a volume of your own")
    taken = [place for volume in known.values() for place in _storage(volume)]
    for name, volume in now.items():
        if name in known:
            continue
        text = json.dumps(volume, default=str)
        if "serviceAccountToken" in text or any(json.dumps(secret) in text for secret in kept):
            yield Problem(f"patch.spec.volumes[{name}]", "would show a token or credentials", "see `stream`")
        elif any(_same_storage(place, other) for place in _storage(volume) for other in taken):
            text = "is the storage of a connection that this job uses"
            yield Problem(f"patch.spec.volumes[{name}]", text, "ask for more with a Use of the connection")


def _storage(volume: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a volume shows, whichever way it is mounted: kind and place of each of its sources."""
    if "hostPath" in volume:
        yield "hostPath", plain_path(str(volume["hostPath"].get("path")))
    if "persistentVolumeClaim" in volume:
        yield "claim", str(volume["persistentVolumeClaim"].get("claimName"))
    if "csi" in volume:
        attributes = volume["csi"].get("volumeAttributes") or {}
        place = attributes.get("bucketName") or attributes.get("containerName")
        yield f"csi {volume['csi'].get('driver')}", str(place)


def _same_storage(new: tuple[str, str], known: tuple[str, str]) -> bool:
    if new[0] != known[0]:
        return False
    if new[0] != "hostPath":
        return new[1] == known[1]
    inner, outer = sorted((new[1].rstrip("/") + "/", known[1].rstrip("/") + "/"), key=len, reverse=True)
    return inner.startswith(outer)


def _own_containers(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    for group in _GROUPS:
        now = _by(after.get(group) or [], "name")
        for container in before.get(group) or []:
            name = container["name"]
            if name not in now:
                yield Problem(f"patch.spec.{group}[{name}]", "is the launcher's and can't be removed")
            elif name in _OURS and now[name] != container:
                yield Problem(f"patch.spec.{group}[{name}]", "is the launcher's own container", "leave it out")
            elif not isinstance(now[name].get("image", ""), str) or not now[name].get("image", ""):
                yield Problem(f"patch.spec.{group}[{name}].image", "is missing")


def _environment(container: dict[str, Any], old: dict[str, Any], kept: set[str]) -> Iterator[Problem]:
    place = f"patch.spec.containers[{container['name']}]"
    known, now = _by(old.get("env") or [], "name"), _by(container.get("env") or [], "name")
    for name in sorted({*map(str, known), *map(str, now)}):
        if name.startswith("LAUNCHER_") and old and known.get(name) != now.get(name):
            yield Problem(f"{place}.env[{name}]", "is set by the launcher itself", "choose another name")
    for entry in container.get("env") or []:  # every entry: a later one of the same name would hide the first
        name = entry.get("name")
        reference = ((entry.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
        if reference in kept and known.get(name) != entry:
            yield Problem(
                f"{place}.env[{name}]", "would show storage credentials to the user's container", "see `stream`"
            )
    for source in container.get("envFrom") or []:
        if ((source or {}).get("secretRef") or {}).get("name") in kept:
            yield Problem(f"{place}.envFrom", _SHOWS, "see `stream`")


def _mounts(container: dict[str, Any], old: dict[str, Any], before: dict[str, Any]) -> Iterator[Problem]:
    place = f"patch.spec.containers[{container['name']}].volumeMounts"
    known, now = _by(old.get("volumeMounts") or [], "mountPath"), container.get("volumeMounts") or []
    here = _by(now, "mountPath")
    for path, mount in known.items():
        if {**(here.get(path) or {}), "readOnly": None} != {**mount, "readOnly": None}:
            yield Problem(f"{place}[{path}]", "is where the job finds its data or outputs", "leave it as it is")
    main = _by(before.get("containers") or [], "name")["main"].get("volumeMounts") or []
    allowed = {mount["name"]: mount for mount in main}
    private = {volume["name"] for volume in before.get("volumes") or []} - set(allowed)
    for mount in now:
        if mount in known.values():
            continue
        if mount.get("name") in private:
            yield Problem(f"{place}[{mount.get('mountPath')}]", "would show what only the launcher's agents see")
        elif mount.get("name") in allowed and _wider(mount, allowed[mount["name"]]):
            hint = "ask for it with a Use of the connection"
            yield Problem(f"{place}[{mount.get('mountPath')}]", "would widen what the connection allows", hint)


def _wider(mount: Mapping[str, Any], allowed: Mapping[str, Any]) -> bool:
    if allowed.get("readOnly") and mount.get("readOnly") is not True:
        return True
    start, inside = str(allowed.get("subPath", "")), str(mount.get("subPath", ""))
    leaves = ".." in inside.split("/") or "subPathExpr" in mount
    return leaves or (start not in ("", inside) and not inside.startswith(start + "/"))


def _by(items: Iterable[dict[str, Any]], key: str) -> dict[Any, dict[str, Any]]:
    return {item.get(key): item for item in items}
