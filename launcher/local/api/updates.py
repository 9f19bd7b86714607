"""What of an existing object can't be changed any more, by kind. Pure.

Each check takes the old and the new object and adds causes to the notes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from launcher.local.api.decode import Notes
from launcher.local.api.quantities import parse
from launcher.local.api.status import forbidden_value, invalid

_POD_TEXT = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_CLAIM_TEXT = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
)
_IMMUTABLE = "field is immutable"
_SEALED = "field is immutable when `immutable` is set"

# Fields of a pod's spec that have a rule of their own below.
_POD_RULED = ("activeDeadlineSeconds", "tolerations", "schedulingGates")


def _pod(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    before, after = old["spec"], new["spec"]
    if _fixed(before) != _fixed(after):
        notes.causes.append(forbidden_value("spec", _POD_TEXT))
    if any(item not in after.get("tolerations", ()) for item in before.get("tolerations", ())):
        text = "existing toleration can not be modified except its tolerationSeconds"
        notes.causes.append(forbidden_value("spec.tolerations", text))
    for gate in after.get("schedulingGates", ()):
        if gate not in before.get("schedulingGates", ()):
            text = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            notes.causes.append(forbidden_value("spec.schedulingGates", text))
    limit, wanted = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    if limit is not None and (wanted is None or wanted > limit):
        text = "must be less than or equal to previous value"
        notes.causes.append(invalid("spec.activeDeadlineSeconds", wanted, text))


def _fixed(spec: Mapping[str, Any]) -> dict[str, Any]:
    fixed = {key: value for key, value in spec.items() if key not in _POD_RULED}
    for group in ("containers", "initContainers"):
        if group in spec:
            fixed[group] = [{**container, "image": ""} for container in spec[group]]
    return fixed


def _sealed(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    """Config maps and secrets with ``immutable: true``."""
    if not old.get("immutable"):
        return
    if not new.get("immutable"):
        notes.causes.append(forbidden_value("immutable", _SEALED))
    for field in ("data", "binaryData"):
        if old.get(field) != new.get(field):
            notes.causes.append(forbidden_value(field, _SEALED))


def _secret(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    if old.get("type") != new.get("type"):
        notes.causes.append(invalid("type", new.get("type"), _IMMUTABLE))
    _sealed(old, new, notes)


def _claim(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    before, after = dict(old["spec"]), dict(new["spec"])
    if not before.get("volumeName"):
        # Binding it is how a claim gets its volume.
        before.pop("volumeName", None)
        after.pop("volumeName", None)
    size, wanted = before.pop("resources", {}), after.pop("resources", {})
    if before != after or (size != wanted and not before.get("volumeName")):
        notes.causes.append(forbidden_value("spec", _CLAIM_TEXT))
    elif parse(wanted["requests"]["storage"]) < parse(size["requests"]["storage"]):
        text = "field can not be less than status.capacity"
        notes.causes.append(forbidden_value("spec.resources.requests.storage", text))


def _role_ref(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    if old.get("roleRef") != new.get("roleRef"):
        notes.causes.append(invalid("roleRef", new.get("roleRef"), "cannot change roleRef"))


def _class(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    for field in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if old.get(field) != new.get(field):
            notes.causes.append(forbidden_value(field, f"updates to {field} are forbidden."))


UPDATE_CHECKS: Mapping[str, Callable[[Mapping[str, Any], Mapping[str, Any], Notes], None]] = {
    "Pod": _pod,
    "ConfigMap": _sealed,
    "Secret": _secret,
    "PersistentVolumeClaim": _claim,
    "RoleBinding": _role_ref,
    "StorageClass": _class,
}
