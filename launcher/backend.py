"""The contract of a storage plugin: what one implements, and the values that pass between it and the core.

A plugin is a class without arguments, registered as ``kind = "package:Class"`` in the entry-point group
``launcher.backends``. Importing it imports no storage library, and everything it does is pure: it answers
questions about a schema, the core does the asking and the opening. For a kind that fsspec already serves::

    @attrs.frozen
    class FTPSchema:
        url: str
        mount_path: str | None = None

    class FTP:
        api = 1
        schema = FTPSchema
        modes = (Mode.COPY,)
        credentials = (Credential("password"),)

        def problems(self, schema):
            return [] if schema.url.startswith("ftp://") else [Problem("url", f"{schema.url!r} isn't ftp://host/path")]

        def needs(self, schema): return ()

        def mount(self, use, facts): raise NotImplementedError  # never called: MOUNT is not among the modes

        def remote(self, schema, secrets):
            url = urlsplit(schema.url)
            return Remote("ftp", url.path, {"host": url.hostname, "password": secrets.get("password", "")})

        def classify(self, error): return None
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import attrs

from launcher.errors import Problem

# The version of this contract. A plugin that declares another is refused by name.
API = 1


class Mode(enum.StrEnum):
    """How storage gets into a pod."""

    MOUNT = "mount"
    COPY = "copy"
    STREAM = "stream"


class Access(enum.StrEnum):
    """What an error of a storage library means."""

    DENIED = "denied"
    MISSING = "missing"
    UNAUTHENTICATED = "unauthenticated"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed_out"


class NeedKind(enum.StrEnum):
    """What a plugin may ask the core to look up: objects of the cluster, or a path of its only node."""

    CLAIM = "claim"
    CSI_DRIVER = "csi_driver"
    HOST_PATH = "host_path"


def frozen_mapping(value: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """A read-only copy: what is frozen outside must not change inside. What is no mapping is left to the codec."""
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else value


def frozen_list(value: Iterable[Any]) -> tuple[Any, ...]:
    """A tuple of whatever a user wrote: a sequence, or the one thing that would be its only item."""
    return (value,) if isinstance(value, str | Mapping) or not isinstance(value, Iterable) else tuple(value)


def known_mode(value: Any) -> Any:
    """A ``Mode`` of its name; anything else stays as it is, for the codec to name."""
    return Mode(value) if isinstance(value, str) and value in set(Mode) else value


def known_modes(value: Any) -> tuple[Any, ...]:
    """The same for several."""
    return tuple(known_mode(mode) for mode in frozen_list(value))


@attrs.frozen
class Credential:
    """A key of the connection's secret that the plugin reads; checked before anything starts."""

    key: str
    required: bool = False


@attrs.frozen
class Need:
    """Something that must be looked up before a connection can be planned, and must be there."""

    kind: NeedKind
    name: str


@attrs.frozen
class Claim:
    """What the cluster says of a PersistentVolumeClaim: its access modes (``ReadWriteOnce``…) and its phase."""

    access_modes: tuple[str, ...]
    phase: str


class Facts(Protocol):
    """What the core has looked up and a plugin may build on."""

    @property
    def local(self) -> bool:
        """Whether the cluster's only node is this machine."""

    def claim(self, name: str) -> Claim | None:
        """A claim that the plugin needed, or None where nothing could be looked up (``render``)."""


@attrs.frozen
class MountUse:
    """One use of a connection as a volume, with everything decided: what ``mount`` turns into a volume."""

    name: str
    schema: Any
    mount_path: str
    sub_path: str
    read_only: bool
    secret: str = ""
    create: bool = False
    """The folder may be made where it is missing: the artifacts store's, never a dataset's."""


@attrs.frozen
class Mount:
    """A volume as Kubernetes spells it, without its name, and what goes with it.

    ``source`` is the volume's source (``{"hostPath": {"path": "/data"}}``), ``annotations`` are set on the
    pod, ``node_affinity`` is a list of required node selector terms, ``warnings`` are sentences for the user.
    """

    source: Mapping[str, Any] = attrs.field(converter=frozen_mapping)
    annotations: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping)
    node_affinity: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()


@attrs.frozen
class Remote:
    """How fsspec reaches the storage: ``protocol``, ``root`` (a path in it) and the filesystem's ``options``.

    ``close`` closes what the opened filesystem holds (sessions, pools), where fsspec knows no common way.
    ``environment`` is what ``stream`` puts in the user's container beside the URL: names to keys of the secret.
    """

    protocol: str
    root: str
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False, converter=frozen_mapping)
    close: Callable[[Any], Awaitable[None]] | None = None
    environment: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping)

    @property
    def url(self) -> str:
        """The address without credentials: ``s3://bucket/prefix``."""
        return f"{self.protocol}://{self.root}"


class Backend(Protocol):
    """What a storage plugin implements. All of it is pure; see the module's example."""

    api: ClassVar[int]
    """The version of the contract: 1."""

    schema: ClassVar[type]
    """A frozen attrs class: gives validation, JSON Schema and the camelCase form of a connection's ``schema``.

    Fields that the core reads where they exist: ``mount_path`` (where the storage appears, by default
    ``/connections/NAME``) and ``read_only``.
    """

    modes: ClassVar[Sequence[Mode]]
    """Which modes it offers, its default first."""

    credentials: ClassVar[Sequence[Credential]]
    """The secret keys that it reads."""

    def problems(self, schema: Any) -> Iterable[Problem]:
        """Everything that is wrong with a schema; each ``path`` is a field as users spell it."""

    def needs(self, schema: Any) -> Iterable[Need]:
        """Cluster objects that the core must look up before ``mount`` is asked."""

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        """The volume for one use. Only called for a plugin with ``Mode.MOUNT``."""

    def remote(self, schema: Any, secrets: Mapping[str, str]) -> Remote | None:
        """How to open the storage with these secret values (name of key to text); None if it can only be mounted.

        Called anew whenever credentials are read again, so that rotated ones are taken up.
        """

    def classify(self, error: BaseException) -> Access | None:
        """What an exception of the storage library means; None leaves it to the core's rules."""
