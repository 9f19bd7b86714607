"""What outlives a run: its record (to go on from), its manifest (what was saved) and its history. Values and text.

The store holds ``RUN_ID/outputs/…``, ``RUN_ID/logs/main.log``, ``RUN_ID/manifest.json`` (written last, as the mark
that all is there) and ``RUN_ID/run.json``. The record is an annotation of the pod too, so a later process can go
on with a run from either.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from launcher import codec
from launcher.backend import frozen_list, frozen_mapping
from launcher.errors import InvalidSpec, Problem

T = TypeVar("T")

OUTPUTS = "outputs"
LOG = "logs/main.log"
MANIFEST = "manifest.json"
HISTORY = "run.json"


@attrs.frozen(kw_only=True)
class UseRecord:
    """One connection of a run: in which mode, whether it may be written, and the version its administrator names."""

    name: str
    kind: str
    mode: str
    writable: bool = False
    version: str = ""


@attrs.frozen(kw_only=True)
class StoreRecord:
    """Where a run's outputs and log go: the store as its connection was, without any secret's value.

    ``url`` is for people: ``s3://bucket/prefix/RUN_ID``, or a path and the node that it is on.
    """

    name: str
    kind: str
    schema: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    secret: str = ""
    url: str = ""


@attrs.frozen(kw_only=True)
class RunRecord:
    """What a process that never saw the job needs to go on with its run."""

    run: str
    job: str
    spec: str
    """The hash of the job and of the connections that it uses: the same spec gives the same hash."""
    image: str
    user: str = ""
    """Who submitted it, as the API server sees them."""
    attempt: int = 1
    timeout: float | None = None
    outputs: str = ""
    """The outputs directory in the container; empty when nothing is kept."""
    files: int = 0
    """How many files travel with the job, in a config map that is removed with the pod."""
    saved_by: str = ""
    """Who writes log, manifest and history: ``save`` (the agent), ``client``, or nobody."""
    store: StoreRecord | None = None
    uses: tuple[UseRecord, ...] = attrs.field(default=(), converter=frozen_list)


@attrs.frozen(kw_only=True)
class SavedFile:
    """One file of the outputs: ``path`` relative to them, its size in bytes, its digest, saved or why not."""

    path: str
    bytes: int
    sha256: str = ""
    state: str = "saved"


@attrs.frozen(kw_only=True)
class SavedManifest:
    """All that was kept of a run. ``complete`` says that nothing is missing."""

    run: str
    complete: bool = False
    files: tuple[SavedFile, ...] = attrs.field(default=(), converter=frozen_list)
    log_bytes: int = 0

    @property
    def bytes(self) -> int:
        """The size of all outputs together."""
        return sum(file.bytes for file in self.files)


@attrs.frozen(kw_only=True)
class SaveReport:
    """What ``save`` tells in its termination message, which holds 4 KiB at most."""

    complete: bool = False
    files: int = 0
    bytes: int = 0
    manifest: str = ""
    """The digest of manifest.json, in hex."""
    log: str = ""
    """saved, or a sentence why it isn't."""
    unsaved: tuple[str, ...] = attrs.field(default=(), converter=frozen_list)
    """The first few files that could not be saved, each with its reason."""
    error: str = ""


@attrs.frozen(kw_only=True)
class FetchReport:
    """What ``fetch`` tells in its termination message. ``access`` is an ``Access`` where storage refused."""

    files: int = 0
    bytes: int = 0
    connection: str = ""
    access: str = ""
    error: str = ""


@attrs.frozen(kw_only=True)
class History:
    """Who ran what, where and when, with which data and which end: the content of run.json.

    Times are the server's, in RFC 3339; durations are seconds by phase.
    """

    record: RunRecord
    cluster: str = ""
    namespace: str = ""
    node: str = ""
    image_id: str = ""
    status: str = ""
    exit_code: int | None = None
    diagnosis: str = ""
    created: str = ""
    started: str = ""
    ended: str = ""
    durations: Mapping[str, float] = attrs.field(factory=dict, converter=frozen_mapping)
    files_in: int = 0
    bytes_in: int = 0
    files_out: int = 0
    bytes_out: int = 0


def dumps(value: Any) -> str:
    """A record, manifest, report or history as one line of JSON."""
    return json.dumps(codec.unstructure(value), separators=(",", ":"), ensure_ascii=False)


def loads(text: str | bytes, cls: type[T]) -> T:
    """The value again. Raises ``InvalidSpec``: what stands in a pod or a store may be anything."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidSpec([Problem("", "it isn't JSON")], cls.__name__) from exc
    return codec.structure(raw, cls, source=cls.__name__)


def digest(text: str) -> str:
    """The sha256 of a text, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
