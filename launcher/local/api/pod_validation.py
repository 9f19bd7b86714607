"""What makes a pod invalid, beyond its types and required fields, worded as Kubernetes words it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from launcher.local.api import quantities
from launcher.local.api.claim_validation import check_claim_spec
from launcher.local.api.decode import Notes
from launcher.local.api.names import CHECKS, label_value, qualified_name
from launcher.local.api.status import Cause, duplicate, forbidden_value, invalid, not_found_value, required

# Sources of volumes that are made of named files.
_FILES = {"secret", "configMap", "downwardAPI"}

_MODE_TEXT = "must be a number between 0 and 0777 (octal), both inclusive"

# Where each kind of environment source may come from; exactly one.
_ENV_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")

# Fields that name something, and what a name of it looks like.
_NAMED = {"serviceAccountName": "dns_subdomain", "nodeName": "dns_subdomain", "hostname": "dns_label"}

# The least value of whole numbers that have one.
_LEAST = {"terminationGracePeriodSeconds": 0, "activeDeadlineSeconds": 1}
_LEAST_TEXT = {0: "must be greater than or equal to 0", 1: "must be between 1 and 2147483647, inclusive"}

# Resources without a prefix that a container may name; those of devices have one (nvidia.com/gpu).
_STANDARD = ("cpu", "memory", "ephemeral-storage")


def check_pod(pod: Mapping[str, Any], notes: Notes) -> None:
    spec = pod.get("spec") or {}
    notes.causes += _spec(spec)
    notes.causes += _volumes(spec)
    for at, volume in enumerate(spec.get("volumes") or ()):
        if template := volume.get("ephemeral", {}).get("volumeClaimTemplate"):
            path = f"spec.volumes[{at}].ephemeral.volumeClaimTemplate.spec"
            check_claim_spec(template.get("spec", {}), path, notes)
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()}
    names: set[str] = set()
    for group in ("containers", "initContainers"):
        for at, container in enumerate(spec.get(group) or ()):
            path = f"spec.{group}[{at}]"
            name = container.get("name", "")
            if name in names and name:
                notes.causes.append(duplicate(f"{path}.name", name))
            names.add(name)
            notes.causes += _container(container, path, volumes)
    for at, container in enumerate(spec.get("initContainers") or ()):
        notes.causes += _init_container(container, f"spec.initContainers[{at}]")


def _spec(spec: Mapping[str, Any]) -> Iterator[Cause]:
    for field, least in _LEAST.items():
        value = spec.get(field)
        if value is not None and value < least:
            yield invalid(f"spec.{field}", value, _LEAST_TEXT[least])
    for field, check in _NAMED.items():
        if value := spec.get(field):
            yield from (invalid(f"spec.{field}", value, text) for text in CHECKS[check](value))
    for key, value in (spec.get("nodeSelector") or {}).items():
        yield from (invalid("spec.nodeSelector", key, text) for text in qualified_name(key))
        yield from (invalid("spec.nodeSelector", value, text) for text in label_value(value))
    gates = [gate.get("name") for gate in spec.get("schedulingGates") or ()]
    for at, gate in enumerate(gates):
        if gate in gates[:at]:
            yield duplicate(f"spec.schedulingGates[{at}]", gate)
    if gates and spec.get("nodeName"):
        yield forbidden_value("spec.nodeName", "cannot be set until all schedulingGates have been cleared")


def _volumes(spec: Mapping[str, Any]) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, volume in enumerate(spec.get("volumes") or ()):
        path, name = f"spec.volumes[{at}]", volume.get("name", "")
        if name in seen:
            yield duplicate(f"{path}.name", name)
        seen.add(name)
        sources = [key for key in volume if key != "name"]
        for extra in sources[1:]:
            yield forbidden_value(f"{path}.{extra}", "may not specify more than 1 volume type")
        if ".." in volume.get("hostPath", {}).get("path", "").split("/"):
            yield invalid(f"{path}.hostPath.path", volume["hostPath"]["path"], "must not contain '..'")
        for source in _FILES & volume.keys():
            yield from _files(volume[source], f"{path}.{source}")
        for number, projection in enumerate(volume.get("projected", {}).get("sources") or ()):
            for source in _FILES & projection.keys():
                yield from _files(projection[source], f"{path}.projected.sources[{number}].{source}")


def _files(source: Mapping[str, Any], path: str) -> Iterator[Cause]:
    """Paths of files inside a volume: relative, and inside."""
    for at, item in enumerate(source.get("items") or ()):
        yield from _relative(item.get("path", ""), f"{path}.items[{at}].path")
        mode = item.get("mode")
        if mode is not None and not 0 <= mode <= 0o777:
            yield invalid(f"{path}.items[{at}].mode", mode, _MODE_TEXT)
    mode = source.get("defaultMode")
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(f"{path}.defaultMode", mode, _MODE_TEXT)


def _relative(value: str, path: str) -> Iterator[Cause]:
    if value.startswith("/"):
        yield invalid(path, value, "must be a relative path")
    if ".." in value.split("/"):
        yield invalid(path, value, "must not contain '..'")


def _container(container: Mapping[str, Any], path: str, volumes: set[Any]) -> Iterator[Cause]:
    image = container.get("image", "")
    if image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    if not (message_path := container.get("terminationMessagePath", "/")).startswith("/"):
        yield invalid(f"{path}.terminationMessagePath", message_path, "must be an absolute path")
    for at, variable in enumerate(container.get("env") or ()):
        yield from _variable(variable, f"{path}.env[{at}]")
    for at, source in enumerate(container.get("envFrom") or ()):
        if len(source.keys() & {"configMapRef", "secretRef"}) != 1:
            yield invalid(f"{path}.envFrom[{at}]", "", "must specify one of: `configMapRef` or `secretRef`")
    yield from _mounts(container, path, volumes)
    yield from _resources(container.get("resources") or {}, f"{path}.resources")
    for at, port in enumerate(container.get("ports") or ()):
        number = port.get("containerPort")
        if number is not None and not 1 <= number <= 65535:
            text = "must be between 1 and 65535, inclusive"
            yield invalid(f"{path}.ports[{at}].containerPort", number, text)


def _init_container(container: Mapping[str, Any], path: str) -> Iterator[Cause]:
    if container.get("restartPolicy") == "Always":
        return
    for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if field in container:
            text = "may not be set for init containers without restartPolicy=Always"
            yield forbidden_value(f"{path}.{field}", text)


def _variable(variable: Mapping[str, Any], path: str) -> Iterator[Cause]:
    source = variable.get("valueFrom")
    if source is None:
        return
    if variable.get("value"):
        yield invalid(f"{path}.valueFrom", "", "may not be specified when `value` is not empty")
    given = [name for name in _ENV_SOURCES if name in source]
    if not given:
        known = ", ".join(f"`{name}`" for name in _ENV_SOURCES)
        yield invalid(f"{path}.valueFrom", "", f"must specify one of: {known}")
    if len(given) > 1:
        yield invalid(f"{path}.valueFrom", "", "may not have more than one field specified at a time")


def _mounts(container: Mapping[str, Any], path: str, volumes: set[Any]) -> Iterator[Cause]:
    taken: set[str] = set()
    for at, mount in enumerate(container.get("volumeMounts") or ()):
        here, name, target = f"{path}.volumeMounts[{at}]", mount.get("name", ""), mount.get("mountPath", "")
        if name and name not in volumes:
            yield not_found_value(f"{here}.name", name)
        if target in taken:
            yield invalid(f"{here}.mountPath", target, "must be unique")
        taken.add(target)
        if ":" in target:
            yield invalid(f"{here}.mountPath", target, "must not contain ':'")
        for field in ("subPath", "subPathExpr"):
            yield from _relative(mount.get(field, ""), f"{here}.{field}")
        if mount.get("subPath") and mount.get("subPathExpr"):
            text = "subPathExpr and subPath are mutually exclusive"
            yield invalid(f"{here}.subPathExpr", mount["subPathExpr"], text)


def _resources(resources: Mapping[str, Any], path: str) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for group, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            here = f"{path}.{group}[{name}]"
            yield from (invalid(here, name, text) for text in qualified_name(name))
            if "/" not in name and name not in _STANDARD and not name.startswith("hugepages-"):
                yield invalid(here, name, "must be a standard resource for containers")
            if quantities.parse(amount) < 0:
                yield invalid(here, amount, "must be greater than or equal to 0")
    for name, amount in requests.items():
        yield from _request(name, amount, limits.get(name), path)


def _request(name: str, amount: str, limit: str | None, path: str) -> Iterator[Cause]:
    # Devices can't be shared: their limit is all that they may ask for.
    whole = "/" in name
    if limit is None:
        if whole:
            yield required(f"{path}.limits", "Limit must be set for non overcommitable resources")
    elif whole and amount != limit:
        yield invalid(f"{path}.requests", amount, f"must be equal to {name} limit of {limit}")
    elif quantities.parse(amount) > quantities.parse(limit):
        yield invalid(f"{path}.requests", amount, f"must be less than or equal to {name} limit of {limit}")
