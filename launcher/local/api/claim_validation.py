"""What makes the spec of a claim invalid, whether it stands alone or in the volume of a pod, and what that has in
common with the spec of a persistent volume. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.local.api.decode import Notes
from launcher.local.api.names import dns_subdomain
from launcher.local.api.status import forbidden_value, invalid, required, unsupported

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")


def check_claim_spec(spec: Mapping[str, Any], path: str, notes: Notes) -> None:
    """Its modes, its size and the name of its class; ``path`` is where the spec stands."""
    if not spec.get("accessModes"):
        notes.causes.append(required(f"{path}.accessModes", "at least 1 access mode is required"))
    check_modes(spec, path, notes)
    if "storage" not in (spec.get("resources") or {}).get("requests", {}):
        notes.causes.append(required(f"{path}.resources[storage]"))
    check_class(spec, path, notes)


def check_modes(spec: Mapping[str, Any], path: str, notes: Notes) -> None:
    """The access modes of a claim or a volume."""
    modes = spec.get("accessModes") or ()
    path = f"{path}.accessModes"
    notes.causes += [unsupported(path, mode, _MODES) for mode in modes if mode not in _MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        notes.causes.append(forbidden_value(path, "may not use ReadWriteOncePod with other access modes"))


def check_class(spec: Mapping[str, Any], path: str, notes: Notes) -> None:
    """The name of a storage class, of a claim or a volume."""
    if name := spec.get("storageClassName"):
        notes.causes += [invalid(f"{path}.storageClassName", name, text) for text in dns_subdomain(name)]
