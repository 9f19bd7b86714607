"""What a user asks for: a job, its resources and its uses of connections. Values only, no I/O but ``Job.load``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import attrs

from launcher import codec, fields, yamltext
from launcher.backend import Mode, frozen_list, frozen_mapping, known_mode
from launcher.errors import Problem
from launcher.fields import checked
from launcher.quantity import parse_duration

# Where the user's container finds its outputs directory when the job names none.
OUTPUTS = "/launcher/outputs"


def _words(value: Any) -> Any:
    # What isn't a list stays what it is, for the check to name; tuple() would take text apart into letters.
    return tuple(value) if isinstance(value, list | tuple) else value


def _amount(value: Any) -> Any:
    """A quantity as text: ``0.5`` and ``"500m"`` are both welcome."""
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _maybe_mapping(value: Any) -> Any:
    return None if value is None else frozen_mapping(value)


def _duration(value: Any) -> Any:
    # What isn't a duration is kept, and named by the check with everything else that is wrong.
    try:
        return parse_duration(value)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return value


def _is_duration(value: Any) -> Iterable[Problem]:
    if isinstance(value, float):
        yield from fields.positive(value)
    else:
        yield Problem("", f"{value!r} isn't a duration", "seconds, or text like 90s, 30m or 2h")


@attrs.frozen
class SecretKey:
    """An environment variable's value that is a key of a Kubernetes secret. The value never passes through here."""

    secret: str = attrs.field(metadata=checked(fields.object_name))
    key: str = attrs.field(metadata=checked(fields.not_empty))


@attrs.frozen
class ConfigMapKey:
    """An environment variable's value that is a key of a config map."""

    config_map: str = attrs.field(metadata=checked(fields.object_name))
    key: str = attrs.field(metadata=checked(fields.not_empty))


@attrs.frozen
class Use:
    """How a job uses a connection, where the plain name isn't enough. It may narrow, never widen.

    ``mount_path`` is where the data appears, ``sub_path`` the part of the connection that is wanted,
    ``read_only`` False asks to write, ``mode`` is mount, copy or stream, ``include`` and ``exclude`` are
    patterns of paths to copy (``*.png``, ``train/**``).

    Example: ``Use("faces", sub_path="v3/train", read_only=True)``
    """

    name: str = attrs.field(metadata=checked(fields.name))
    mount_path: str | None = attrs.field(default=None, kw_only=True, metadata=checked(fields.mount_place))
    sub_path: str | None = attrs.field(default=None, kw_only=True, metadata=checked(fields.inner_path))
    read_only: bool | None = attrs.field(default=None, kw_only=True)
    mode: Mode | None = attrs.field(default=None, kw_only=True, converter=known_mode)
    include: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=frozen_list)
    exclude: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=frozen_list)


@attrs.frozen(kw_only=True)
class Resources:
    """What the job's container gets, as request and limit alike, so that nothing is taken from neighbours.

    Kubernetes quantities or plain numbers: ``cpu`` in cores (``0.5``, ``"500m"``), ``memory`` and
    ``ephemeral_storage`` in bytes (``"8Gi"``), ``gpu`` in whole devices.
    """

    cpu: str | None = attrs.field(default=None, converter=_amount, metadata=fields.amount(fields.quantity))
    memory: str | None = attrs.field(default=None, converter=_amount, metadata=fields.amount(fields.memory))
    gpu: str | None = attrs.field(default=None, converter=_amount, metadata=fields.amount(fields.whole_number))
    ephemeral_storage: str | None = attrs.field(default=None, converter=_amount, metadata=fields.amount(fields.memory))


Container = Mapping[str, Any]
EnvValue = str | SecretKey | ConfigMapKey


def _containers(value: Any) -> Any:
    return tuple(frozen_mapping(item) if isinstance(item, Mapping) else item for item in frozen_list(value))


@attrs.frozen(kw_only=True)
class Job:
    """What to run, where its data is and what it needs.

    ``command`` and ``args`` are passed as they are written: neither a shell nor Kubernetes replaces anything in
    them, so ``["sh", "-c", "echo $HOME"]`` is how a shell does. ``files`` are local files and folders (relative
    to the job's file, or to the current folder) that travel along and are the working directory. ``timeout`` is in
    seconds, or text like ``"2h"``, and counts from the start of the command. ``outputs`` is the directory whose
    content is kept, or None. ``init_containers``, ``sidecars``, ``tolerations``, ``affinity`` and
    ``security_context`` are plain Kubernetes, passed verbatim; ``patch`` is merged over the finished pod, lists of
    named things by their names.

    Example::

        Job(name="count", image="python:3.12-slim", command=["python", "count.py"], files=".", connections=["faces"])
    """

    name: str = attrs.field(metadata=checked(fields.name))
    image: str = attrs.field(metadata=checked(fields.image))
    command: tuple[str, ...] = attrs.field(
        default=(), converter=_words, metadata=fields.amount(fields.words, fields.no_nul)
    )
    args: tuple[str, ...] = attrs.field(
        default=(), converter=_words, metadata=fields.amount(fields.words, fields.no_nul)
    )
    files: tuple[str, ...] = attrs.field(default=(), converter=frozen_list, metadata=checked(fields.no_nul))
    env: Mapping[str, EnvValue] = attrs.field(
        factory=dict, converter=frozen_mapping, metadata=checked(fields.env_names, fields.no_nul)
    )
    connections: tuple[str | Use, ...] = attrs.field(default=(), converter=frozen_list)
    resources: Resources = Resources()
    working_dir: str | None = attrs.field(default=None, metadata=checked(fields.absolute_path))
    timeout: float | None = attrs.field(default=None, converter=_duration, metadata=fields.amount(_is_duration))
    outputs: str | None = attrs.field(default=OUTPUTS, metadata=checked(fields.mount_place))
    labels: Mapping[str, str] = attrs.field(
        factory=dict, converter=frozen_mapping, metadata=checked(fields.label_keys, fields.label_values)
    )
    annotations: Mapping[str, str] = attrs.field(
        factory=dict, converter=frozen_mapping, metadata=checked(fields.label_keys)
    )
    node_selector: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping)
    tolerations: tuple[Container, ...] = attrs.field(default=(), converter=_containers)
    affinity: Container | None = attrs.field(default=None, converter=_maybe_mapping)
    service_account: str | None = attrs.field(default=None, metadata=checked(fields.object_name))
    image_pull_policy: str | None = attrs.field(
        default=None, metadata=checked(fields.one_of("Always", "IfNotPresent", "Never"))
    )
    image_pull_secrets: tuple[str, ...] = attrs.field(
        default=(), converter=frozen_list, metadata=checked(fields.object_names)
    )
    priority_class: str | None = attrs.field(default=None, metadata=checked(fields.object_name))
    security_context: Container | None = attrs.field(default=None, converter=_maybe_mapping)
    shared_memory: str | None = attrs.field(default=None, converter=_amount, metadata=fields.amount(fields.memory))
    init_containers: tuple[Container, ...] = attrs.field(
        default=(), converter=_containers, metadata=checked(fields.named_containers)
    )
    sidecars: tuple[Container, ...] = attrs.field(
        default=(), converter=_containers, metadata=checked(fields.named_containers)
    )
    patch: Container | None = attrs.field(default=None, converter=_maybe_mapping)
    folder: Path | None = attrs.field(default=None, eq=False, repr=False)
    """Where relative ``files`` start: the folder of the job's file; None is the current one. Not part of the YAML."""

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """A job from a YAML or JSON file. Raises ``InvalidSpec`` with everything that is wrong in it."""
        file = Path(path)
        return codec.structure(yamltext.read(file), cls, source=str(path), folder=file.resolve().parent)

    def evolve(self, **changes: Any) -> Self:
        """The same job with some fields changed: ``job.evolve(name="count-2", args=["--fast"])``."""
        return attrs.evolve(self, **changes)

    def to_yaml(self) -> str:
        """The job as YAML, such that ``Job.load`` gives an equal one."""
        return codec.to_yaml(self)
