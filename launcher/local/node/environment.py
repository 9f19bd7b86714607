"""A container's environment, command and arguments, with ``$(NAME)`` expanded as Kubernetes does.

Nothing of the launcher's own environment gets in, except what a process can't do without (``of_machine``).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from launcher.kube.session import Session
from launcher.local.node.configuration import CONFIG_MAP, SECRET, ConfigError, Kind, data_of
from launcher.local.node.fields import field, resource

_REFERENCE = re.compile(r"\$(?:\$|\(([^()]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """``$(NAME)`` becomes its value, or stays as it is when there is none; ``$$`` becomes ``$``."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        return "$" if name is None else variables.get(name, match[0])

    return _REFERENCE.sub(value, text)


def of_machine() -> dict[str, str]:
    """What a container without an image can't do without: where programs are, first the launcher's own Python."""
    path = os.environ.get("PATH", os.defpath)
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": os.environ.get("LANG", "C.UTF-8"),
    }


def base(pod: Mapping[str, Any], host: str, port: int) -> dict[str, str]:
    """What every container gets: its name, and where the API is."""
    return {
        "HOSTNAME": pod["metadata"]["name"],
        "KUBERNETES_SERVICE_HOST": host,
        "KUBERNETES_SERVICE_PORT": str(port),
    }


@attrs.frozen
class Environment:
    """Resolves one container's variables; ``allocatable`` is what the node has."""

    session: Session
    pod: Mapping[str, Any]
    container: Mapping[str, Any]
    allocatable: Mapping[str, str]

    async def variables(self, base: Mapping[str, str]) -> dict[str, str]:
        """All of them, later ones over earlier ones. Raises ``ConfigError``."""
        known = dict(base)
        for source in self.container.get("envFrom") or ():
            known |= await self._all_of(source)
        for entry in self.container.get("env") or ():
            value = await self._value(entry, known)
            if value is not None:
                known[entry["name"]] = value
        return known

    async def _all_of(self, source: Mapping[str, Any]) -> dict[str, str]:
        kind = SECRET if "secretRef" in source else CONFIG_MAP
        reference = source.get("secretRef") or source["configMapRef"]
        optional = bool(reference.get("optional"))
        data = await data_of(self.session, kind, self._namespace, reference["name"], optional=optional)
        prefix = source.get("prefix") or ""
        # As a kubelet does: names that can't be variables are left out.
        return {prefix + key: os.fsdecode(value) for key, value in data.items() if "=" not in key}

    async def _value(self, entry: Mapping[str, Any], known: Mapping[str, str]) -> str | None:
        source = entry.get("valueFrom")
        match source:
            case None | {} if not source:
                return expand(entry.get("value") or "", known)
            case {"secretKeyRef": reference}:
                return await self._key(reference, SECRET)
            case {"configMapKeyRef": reference}:
                return await self._key(reference, CONFIG_MAP)
            case {"fieldRef": reference}:
                return field(self.pod, str(reference.get("fieldPath", "")))
            case {"resourceFieldRef": reference}:
                return self._resource(reference)
        raise ConfigError(f"environment variable {entry['name']} has a valueFrom of no known kind")

    async def _key(self, reference: Mapping[str, Any], kind: Kind) -> str | None:
        name, key, optional = reference["name"], reference["key"], bool(reference.get("optional"))
        data = await data_of(self.session, kind, self._namespace, name, optional=optional)
        if key in data:
            return os.fsdecode(data[key])
        if optional:
            return None
        raise kind.no_key(self._namespace, name, key)

    def _resource(self, reference: Mapping[str, Any]) -> str:
        named = reference.get("containerName") or self.container["name"]
        spec = self.pod["spec"]
        for container in [*spec["containers"], *(spec.get("initContainers") or ())]:
            if container["name"] == named:
                return resource(container, reference, self.allocatable)
        raise ConfigError(f"container {named} not found")

    @property
    def _namespace(self) -> str:
        return str(self.pod["metadata"]["namespace"])
