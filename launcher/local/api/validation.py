"""What makes an object invalid, beyond its types: metadata, and the kinds other than pods. Pure.

``check_metadata`` and ``CHECKS_BY_KIND`` add causes to the notes; they never raise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from launcher.local.api.claim_validation import check_claim_spec, check_class, check_modes
from launcher.local.api.decode import Notes
from launcher.local.api.names import CHECKS, config_key, label_value, qualified_name
from launcher.local.api.pod_validation import check_pod
from launcher.local.api.resources import Resource
from launcher.local.api.status import (
    Cause,
    duplicate,
    forbidden_value,
    invalid,
    required,
    too_long,
    unsupported,
)

# Bytes: Kubernetes' own limits, of all annotations of one object and of the data of a config map or secret.
ANNOTATIONS_MAX = 256 * 1024
DATA_MAX = 1024 * 1024


# What a reference to an owner must have, and what is said of an empty one.
_OWNER_FIELDS = {
    "apiVersion": "version must not be empty",
    **dict.fromkeys(("kind", "name", "uid"), "must not be empty"),
}


def check_metadata(resource: Resource, metadata: Mapping[str, Any], notes: Notes) -> None:
    """Name, labels, annotations, finalizers' and owners' fields."""
    _check_name(resource, metadata, notes)
    for key, value in (metadata.get("labels") or {}).items():
        notes.causes += [invalid("metadata.labels", key, text) for text in qualified_name(key)]
        notes.causes += [invalid("metadata.labels", value, text) for text in label_value(value)]
    size = 0
    for key, value in (metadata.get("annotations") or {}).items():
        notes.causes += [invalid("metadata.annotations", key, text) for text in qualified_name(key.lower())]
        size += len(key) + len(value)
    if size > ANNOTATIONS_MAX:
        notes.causes.append(too_long("metadata.annotations", ANNOTATIONS_MAX))
    owners = metadata.get("ownerReferences") or ()
    for owner in owners:
        notes.causes += [
            # Without its place in the list, as Kubernetes has it.
            invalid(f"metadata.ownerReferences.{field}", "", text)
            for field, text in _OWNER_FIELDS.items()
            if not owner.get(field)
        ]
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        text = "Only one reference can have Controller set to true"
        notes.causes.append(invalid("metadata.ownerReferences", len(owners), text))


def _check_name(resource: Resource, metadata: Mapping[str, Any], notes: Notes) -> None:
    name = metadata.get("name", "")
    check = CHECKS[resource.name_format]
    if prefix := metadata.get("generateName", ""):
        # With a letter in the place of what the server adds.
        causes = check(prefix + "a" if len(prefix) < 50 else prefix[:50] + "a")
        notes.causes += [invalid("metadata.generateName", prefix, text) for text in causes]
    if not name:
        notes.causes.append(required("metadata.name", "name or generateName is required"))
    else:
        notes.causes += [invalid("metadata.name", name, text) for text in check(name)]


def _config_map(config_map: Mapping[str, Any], notes: Notes) -> None:
    plain, binary = config_map.get("data") or {}, config_map.get("binaryData") or {}
    for field, data in (("data", plain), ("binaryData", binary)):
        for key in data:
            notes.causes += [invalid(f"{field}[{key}]", key, text) for text in config_key(key)]
    for key in plain.keys() & binary.keys():
        notes.causes.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    size = sum(len(value.encode()) for value in plain.values()) + _decoded_size(binary)
    if size > DATA_MAX:
        # Kubernetes reports it on the object as a whole, with an empty path.
        notes.causes.append(too_long("[]", DATA_MAX))


# What a secret of a type must hold, as the API server checks it.
_SECRET_KEYS = {
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _secret(secret: Mapping[str, Any], notes: Notes) -> None:
    data, plain = secret.get("data") or {}, secret.get("stringData") or {}
    for key in (*data, *plain):
        notes.causes += [invalid(f"data[{key}]", key, text) for text in config_key(key)]
    if _decoded_size(data) + sum(len(value.encode()) for value in plain.values()) > DATA_MAX:
        notes.causes.append(too_long("data", DATA_MAX))
    for key in _SECRET_KEYS.get(secret.get("type", ""), ()):
        if key not in data and key not in plain:
            notes.causes.append(required(f"data[{key}]"))


def _decoded_size(data: Mapping[str, str]) -> int:
    return sum(len(value) * 3 // 4 - value[-2:].count("=") for value in data.values())


def _claim(claim: Mapping[str, Any], notes: Notes) -> None:
    check_claim_spec(claim.get("spec", {}), "spec", notes)


_VOLUME_FIELDS = {
    "capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName",
    "mountOptions", "volumeMode", "nodeAffinity", "volumeAttributesClassName",
}  # fmt: skip


def _volume(volume: Mapping[str, Any], notes: Notes) -> None:
    spec = volume.get("spec", {})
    if spec.get("capacity") and "storage" not in spec["capacity"]:
        notes.causes.append(unsupported("spec.capacity", sorted(spec["capacity"])[0], ["storage"]))
    sources = sorted(spec.keys() - _VOLUME_FIELDS)
    if not sources:
        notes.causes.append(required("spec", "must specify a volume type"))
    notes.causes += [
        forbidden_value(f"spec.{extra}", "may not specify more than 1 volume type") for extra in sources[1:]
    ]
    if "local" in spec and "nodeAffinity" not in spec:
        notes.causes.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    check_modes(spec, "spec", notes)
    check_class(spec, "spec", notes)


def _event(event: Mapping[str, Any], notes: Notes) -> None:
    namespace, involved = event["metadata"].get("namespace", ""), event.get("involvedObject") or {}
    expected = involved.get("namespace") or "default"
    if expected != namespace:
        text = "does not match event.namespace"
        notes.causes.append(invalid("involvedObject.namespace", involved.get("namespace", ""), text))


def _service_account(account: Mapping[str, Any], notes: Notes) -> None:
    names = [secret.get("name", "") for secret in account.get("secrets") or ()]
    repeated: list[Cause] = [
        duplicate(f"secrets[{at}].name", name) for at, name in enumerate(names) if name in names[:at]
    ]
    notes.causes += repeated


def _lease(lease: Mapping[str, Any], notes: Notes) -> None:
    spec = lease.get("spec", {})
    if spec.get("leaseDurationSeconds", 1) <= 0:
        text = "must be greater than 0"
        notes.causes.append(invalid("spec.leaseDurationSeconds", spec["leaseDurationSeconds"], text))
    if spec.get("leaseTransitions", 0) < 0:
        text = "must be greater than or equal to 0"
        notes.causes.append(invalid("spec.leaseTransitions", spec["leaseTransitions"], text))


_RULE_FIELDS = {
    "apiGroups": "resource rules must supply at least one api group",
    "resources": "resource rules must supply at least one resource",
}


def _role(role: Mapping[str, Any], notes: Notes) -> None:
    for at, rule in enumerate(role.get("rules") or ()):
        path = f"rules[{at}]"
        if not rule.get("verbs"):
            notes.causes.append(required(f"{path}.verbs", "verbs must contain at least one value"))
        if urls := rule.get("nonResourceURLs"):
            text = "namespaced rules cannot apply to non-resource URLs"
            notes.causes.append(invalid(f"{path}.nonResourceURLs", urls, text))
            continue
        notes.causes += [
            required(f"{path}.{field}", text) for field, text in _RULE_FIELDS.items() if not rule.get(field)
        ]


def _binding(binding: Mapping[str, Any], notes: Notes) -> None:
    kind = binding.get("roleRef", {}).get("kind")
    if kind and kind not in ("Role", "ClusterRole"):
        notes.causes.append(unsupported("roleRef.kind", kind, ["Role", "ClusterRole"]))


CHECKS_BY_KIND: Mapping[str, Callable[[Mapping[str, Any], Notes], None]] = {
    "Pod": check_pod,
    "ConfigMap": _config_map,
    "Secret": _secret,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "Event": _event,
    "ServiceAccount": _service_account,
    "Lease": _lease,
    "Role": _role,
    "RoleBinding": _binding,
}
