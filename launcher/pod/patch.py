"""The job's extra containers and its patch over the finished pod, and what they may not do. Pure.

Mappings are merged, null removes, lists of named things are merged by their names (mounts by their paths), other
lists are replaced. Afterwards the pod must still be found, least privileged and mounted as its connections allow.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from launcher.errors import InvalidSpec, Problem
from launcher.pod import labels

# The key by which the items of a list are the same item, in the order in which they are tried.
_MERGE_KEYS = ("mountPath", "name", "containerPort", "ip")

_OURS = ("fetch", "save")


def patched(pod: dict[str, Any], extras: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The pod with the job's extra containers and its patch merged over it.

    Raises ``InvalidSpec`` with everything that they may not touch.
    """
    after: dict[str, Any] = _merged(_merged(pod, extras), patch)
    problems = list(_refused(pod, after))
    if problems:
        raise InvalidSpec(problems, f"job {labels.metadata_of(pod, labels.RAW_JOB)!r}")
    return after


def _merged(before: Any, patch: Any) -> Any:
    if isinstance(before, Mapping) and isinstance(patch, Mapping):
        result = dict(before)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merged(before.get(key), value)
        return result
    if isinstance(patch, Mapping):
        return {key: _merged(None, value) for key, value in patch.items() if value is not None}
    if isinstance(before, list) and isinstance(patch, list):
        return _merged_lists(before, patch)
    return copy.deepcopy(patch)


def _merged_lists(before: list[Any], patch: list[Any]) -> list[Any]:
    everything = [*before, *patch]
    for key in _MERGE_KEYS:
        if all(isinstance(item, Mapping) and key in item for item in everything):
            by_key = {item[key]: item for item in before}
            for item in patch:
                by_key[item[key]] = _merged(by_key.get(item[key]), item)
            return list(by_key.values())
    return copy.deepcopy(patch)


def _refused(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    try:
        yield from _metadata(before, after)
        yield from _identity(before["spec"], after["spec"])
        yield from _secrets(before["spec"], after["spec"])
        yield from _volumes(before["spec"], after["spec"])
        yield from _containers(before["spec"], after["spec"])
    except (AttributeError, TypeError, KeyError):
        yield Problem("", "doesn't leave a pod: a list or mapping became something else", "see `launcher render`")


def _metadata(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    for field in ("name", "namespace"):
        if before["metadata"][field] != after["metadata"].get(field):
            yield Problem(f"metadata.{field}", "is how the launcher finds the pod", "leave it out")
    for field in ("labels", "annotations"):
        ours, theirs = before["metadata"][field], after["metadata"].get(field) or {}
        for key in sorted({*ours, *theirs}):
            if labels.is_ours(key) and ours.get(key) != theirs.get(key):
                yield Problem(f"metadata.{field}.{key}", "belongs to the launcher", "choose another prefix")


def _identity(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    if after.get("automountServiceAccountToken") is not False:
        yield Problem(
            "spec.automountServiceAccountToken",
            "would give the user's container an API token",
            "leave it out",
        )
    if after.get("restartPolicy") != before.get("restartPolicy"):
        yield Problem("spec.restartPolicy", "attempts are the launcher's: a pod runs once", "leave it out")


def _secrets(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    kept = _credential_names(before)
    for container in _all(after):
        if container["name"] in _OURS:
            continue
        known = _by(_by_name(before, container["name"]).get("env") or [], "name")
        for entry in container.get("env") or []:
            reference = ((entry.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name")
            if reference in kept and known.get(entry.get("name")) != entry:
                yield _credentials(container, f"env {entry.get('name')}")
        for source in container.get("envFrom") or []:
            if ((source or {}).get("secretRef") or {}).get("name") in kept:
                yield _credentials(container, "envFrom")


def _credential_names(spec: dict[str, Any]) -> set[str]:
    """Secrets that hold a connection's credentials: those that only agents mount."""
    return {
        volume["secret"]["secretName"]
        for volume in spec.get("volumes") or []
        if "secret" in volume and "credentials-" in volume["name"]
    }


def _volumes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    known = _by(before.get("volumes") or [], "name")
    kept = _credential_names(before)
    now = _by(after.get("volumes") or [], "name")
    for name, volume in known.items():
        if now.get(name) != volume:
            yield Problem(f"spec.volumes[{name}]", "is a connection's or the launcher's", "add a volume of your own")
    for name, volume in now.items():
        if name in known:
            continue
        text = json.dumps(volume, default=str)
        if "serviceAccountToken" in text or any(json.dumps(secret) in text for secret in kept):
            yield Problem(f"spec.volumes[{name}]", "would show a token or credentials", "use a connection's `stream`")


def _containers(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    private = _private_volumes(before)
    for name in ("main", *_OURS):
        if _by_name(before, name) and not _by_name(after, name):
            yield Problem(f"spec.containers[{name}]", "is the launcher's and can't be removed")
    for container in _all(after):
        name = container["name"]
        old = _by_name(before, name)
        if name in _OURS and old != container:
            yield Problem(f"spec.initContainers[{name}]", "is the launcher's own container", "leave it out")
        if name not in _OURS:
            yield from _mounts(name, old, container, private, _connection_mounts(before))


def _mounts(
    name: str,
    old: dict[str, Any],
    container: dict[str, Any],
    private: set[str],
    allowed: Mapping[str, dict[str, Any]],
) -> Iterator[Problem]:
    known = old.get("volumeMounts") or []
    for mount in container.get("volumeMounts") or []:
        volume = mount.get("name")
        place = f"spec.containers[{name}].volumeMounts[{mount.get('mountPath')}]"
        if mount in known:
            continue
        if volume in private:
            yield Problem(place, "would show the launcher's credentials or files", "leave it out")
        elif volume in allowed and _wider(mount, allowed[volume]):
            yield Problem(place, "would widen what the connection allows", "ask for it with a Use of the connection")


def _wider(mount: Mapping[str, Any], allowed: Mapping[str, Any]) -> bool:
    if allowed.get("readOnly") and not mount.get("readOnly"):
        return True
    start = str(allowed.get("subPath", ""))
    inside = str(mount.get("subPath", ""))
    leaves = ".." in inside.split("/") or "subPathExpr" in mount
    return leaves or (start not in ("", inside) and not inside.startswith(start + "/"))


def _connection_mounts(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["name"]: mount for mount in _by_name(spec, "main").get("volumeMounts") or []}


def _private_volumes(spec: dict[str, Any]) -> set[str]:
    """Volumes that only the agents mount."""
    mounted = {mount["name"] for mount in _by_name(spec, "main").get("volumeMounts") or []}
    return {volume["name"] for volume in spec.get("volumes") or []} - mounted


def _all(spec: dict[str, Any]) -> Iterable[dict[str, Any]]:
    yield from spec.get("initContainers") or []
    yield from spec.get("containers") or []
    yield from spec.get("ephemeralContainers") or []


def _by_name(spec: dict[str, Any], name: str) -> dict[str, Any]:
    return next((container for container in _all(spec) if container["name"] == name), {})


def _by(items: Iterable[dict[str, Any]], key: str) -> dict[Any, dict[str, Any]]:
    return {item.get(key): item for item in items}


def _credentials(container: Mapping[str, Any], what: str) -> Problem:
    place = f"spec.containers[{container['name']}]"
    return Problem(place, f"{what} would show storage credentials to the user's container", "use `stream`")
