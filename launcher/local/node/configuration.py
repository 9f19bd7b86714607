"""The config maps and secrets that a pod refers to, worded as a kubelet words what is missing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import attrs

from launcher.errors import ClusterError, LauncherError, NotFound
from launcher.kube.session import Session


class ConfigError(LauncherError):
    """Something that a container's or a volume's configuration refers to is not there, or not as it must be.

    It may come yet: the pod waits and looks again.
    """


@attrs.frozen
class Kind:
    """Secrets, or config maps."""

    plural: str
    missing: str
    spoken: str

    def no_key(self, namespace: str, name: str, key: str) -> ConfigError:
        """What a kubelet says of an environment variable's missing key."""
        return ConfigError(f"couldn't find key {key} in {self.spoken} {namespace}/{name}")


SECRET = Kind("secrets", "secret", "Secret")
CONFIG_MAP = Kind("configmaps", "configmap", "ConfigMap")


async def data_of(
    session: Session, kind: Kind, namespace: str, name: str, *, optional: bool = False
) -> Mapping[str, bytes]:
    """All keys with their values, empty where an optional object is missing. Raises ``ConfigError``."""
    try:
        found = await session.get(f"/api/v1/namespaces/{namespace}/{kind.plural}/{name}")
    except NotFound as exc:
        if optional:
            return {}
        raise ConfigError(f'{kind.missing} "{name}" not found') from exc
    except ClusterError as exc:
        raise ConfigError(str(exc)) from exc
    texts = found.get("data") or {}
    if kind is SECRET:
        return {key: _decoded(value, name) for key, value in texts.items()}
    plain = {key: str(value).encode() for key, value in texts.items()}
    return plain | {key: _decoded(value, name) for key, value in (found.get("binaryData") or {}).items()}


def _decoded(value: Any, name: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, TypeError, ValueError) as exc:
        raise ConfigError(f'"{name}" holds a value that is not base64') from exc
