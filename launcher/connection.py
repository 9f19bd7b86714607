"""A named piece of storage, as its administrator describes it. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from launcher import fields
from launcher.backend import Mode, frozen_list, frozen_mapping, known_modes
from launcher.fields import checked


@attrs.frozen
class SecretRef:
    """A Kubernetes secret that holds a connection's credentials; several connections may share one.

    ``items`` are the keys to take, all by default. ``mount_path`` is where a job that streams finds them as
    files; without it they are environment variables there.
    """

    name: str = attrs.field(metadata=checked(fields.object_name))
    items: tuple[str, ...] = attrs.field(default=(), converter=frozen_list)
    mount_path: str | None = attrs.field(default=None, metadata=checked(fields.mount_place))


@attrs.frozen
class ConfigMapRef:
    """A config map that goes with a connection: its keys are files at ``mount_path`` of the job's container."""

    name: str = attrs.field(metadata=checked(fields.object_name))
    mount_path: str = attrs.field(metadata=checked(fields.mount_place))
    items: tuple[str, ...] = attrs.field(default=(), converter=frozen_list)


@attrs.frozen(kw_only=True)
class Connection:
    """A named piece of storage.

    ``kind`` is the plugin (host_path, volume_claim, s3, gcs, wasb, or anybody's), ``schema`` what that plugin
    needs to know, in camelCase as in YAML. ``modes`` are those that its administrator allows: by default what
    the plugin offers, without stream.

    Example: ``Connection(name="faces", kind="s3", schema={"bucket": "s3://faces/v3"}, secret=SecretRef("s3"))``
    """

    name: str = attrs.field(metadata=checked(fields.name))
    kind: str = attrs.field(metadata=checked(fields.not_empty))
    schema: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    description: str = ""
    version: str = ""
    tags: tuple[str, ...] = attrs.field(default=(), converter=frozen_list)
    secret: SecretRef | None = None
    config_map: ConfigMapRef | None = None
    env: Mapping[str, str] = attrs.field(
        factory=dict, converter=frozen_mapping, metadata=checked(fields.env_names, fields.no_nul)
    )
    annotations: Mapping[str, str] = attrs.field(
        factory=dict, converter=frozen_mapping, metadata=checked(fields.label_keys)
    )
    modes: tuple[Mode, ...] = attrs.field(default=(), converter=known_modes)
    place: str = attrs.field(default="", eq=False, repr=False)
    """Where in its file it stands (``connections[2]``), for messages. Not part of the YAML."""
