"""The downward API: what a pod may learn of itself, as text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from launcher.local.api.quantities import parse
from launcher.local.node.configuration import ConfigError
from launcher.local.node.status import ADDRESS

_SUBSCRIPT = re.compile(r"metadata\.(labels|annotations)\['([^']+)'\]")

_FIXED = {
    "status.podIP": ADDRESS,
    "status.podIPs": ADDRESS,
    "status.hostIP": ADDRESS,
    "status.hostIPs": ADDRESS,
}
_LOOKED_UP = {
    "metadata.name": ("metadata", "name"),
    "metadata.namespace": ("metadata", "namespace"),
    "metadata.uid": ("metadata", "uid"),
    "spec.nodeName": ("spec", "nodeName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
}


def field(pod: Mapping[str, Any], path: str) -> str:
    """The value of a ``fieldRef``. Raises ``ConfigError`` for a path that isn't one."""
    if path in _FIXED:
        return _FIXED[path]
    if path in _LOOKED_UP:
        part, key = _LOOKED_UP[path]
        return str(pod[part].get(key, ""))
    if path in ("metadata.labels", "metadata.annotations"):
        values = pod["metadata"].get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in sorted(values.items()))
    if found := _SUBSCRIPT.fullmatch(path):
        return str((pod["metadata"].get(found[1]) or {}).get(found[2], ""))
    raise ConfigError(f"unsupported fieldPath: {path}")


def resource(container: Mapping[str, Any], reference: Mapping[str, Any], allocatable: Mapping[str, str]) -> str:
    """The value of a ``resourceFieldRef``, rounded up; a limit that isn't set is what the node has.

    Raises ``ConfigError``.
    """
    part, _, name = str(reference.get("resource", "")).partition(".")
    if part not in ("limits", "requests"):
        raise ConfigError(f"unsupported container resource: {reference.get('resource')}")
    resources = container.get("resources") or {}
    limit = (resources.get("limits") or {}).get(name)
    declared = limit if part == "limits" else (resources.get("requests") or {}).get(name, limit)
    if declared is None:
        declared = allocatable.get(name, "0") if part == "limits" else "0"
    try:
        divisor = parse(str(reference.get("divisor") or "1")) or Decimal(1)
        return str((parse(str(declared)) / divisor).to_integral_value(ROUND_CEILING))
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
