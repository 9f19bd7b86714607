"""The objects, their versions and the latest changes: the part that etcd and the watch cache play. No HTTP,
no clock.

Every write gets the next number of one growing version. An object in the store never changes: a write puts a
new one in its place, encoded once, and whoever reads shares that; the newest ones are kept decoded too. The history
of a kind is bounded by count and bytes; a reader that falls behind it has to start anew. With a ``State``, what is
written in one transaction is on disk when that ends, or it never happened.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import attrs

from launcher.errors import LauncherError
from launcher.local.api.resources import RESOURCES, Resource
from launcher.local.api.selectors import Selector, field_paths, read_field
from launcher.local.api.state import Row, State
from launcher.local.api.status import StatusError, expired, too_large

_log = logging.getLogger("launcher")

# Bytes of one encoded object: etcd's default limit for one request.
OBJECT_MAX = 1536 * 1024

# Changes of one kind that a watch may go back, and the bytes that they may take: 500 pods with their eight
# changes each at 2.5 kB, and no more than a laptop can spare when somebody writes large config maps in a
# loop.
HISTORY_CHANGES = 4000
HISTORY_BYTES = 32 * 1024 * 1024

# Encoded bytes of the newest objects, whose decoded form is kept: some 400 pods, more than are under way at a time.
# Decoded, an object takes five times as much; decoding a pod takes 15 microseconds.
FRESH_BYTES = 1024 * 1024

_NO_LABELS: Mapping[str, str] = MappingProxyType({})

# Versions that a restart skips: more than a power loss can have taken from the disk, so that no version is ever given
# twice and whoever watched before has to list anew.
SKIPPED = 1_000_000

_encoder = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encode(value: Any) -> bytes:
    """Compact JSON, in ASCII."""
    return _encoder.encode(value).encode("ascii")


@attrs.define(eq=False, weakref_slot=False)
class Stored:
    """One version of one object. ``object`` is shared by all readers and must not be changed.

    ``labels`` and ``fields`` are what selectors ask for, the latter in the order of ``field_paths``.
    """

    key: tuple[str, str]
    encoded: bytes
    version: int
    uid: str
    labels: Mapping[str, str]
    fields: tuple[str, ...]
    owners: tuple[str, ...]
    _decoded: dict[str, Any] | None

    @classmethod
    def of(cls, resource: Resource, obj: dict[str, Any], encoded: bytes, version: int) -> Stored:
        """``obj`` with its encoded form. Raises ``LookupError`` or ``TypeError`` when its metadata isn't complete."""
        metadata = obj["metadata"]
        labels = metadata.get("labels")
        _, *paths = field_paths(resource).values()
        # Interned, since thousands of objects say the same; the name, which comes first, is each one's own.
        return cls(
            (sys.intern(metadata.get("namespace", "")), metadata["name"]),
            encoded,
            version,
            metadata["uid"],
            {sys.intern(key): sys.intern(value) for key, value in labels.items()} if labels else _NO_LABELS,
            (metadata["name"], *(sys.intern(read_field(obj, path)) for path in paths)),
            tuple(owners(obj)),
            obj,
        )

    @property
    def object(self) -> dict[str, Any]:
        if self._decoded is not None:
            return self._decoded
        decoded: dict[str, Any] = json.loads(self.encoded)
        return decoded

    @property
    def metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self.object["metadata"]
        return metadata

    def settle(self) -> None:
        """Keep the encoded form alone: from now on each reader decodes it for himself."""
        self._decoded = None


@attrs.frozen(eq=False)
class Change:
    """``old`` is None for a new object. For a removed one ``new`` is None and ``old`` its last state."""

    version: int
    old: Stored | None
    new: Stored | None

    @property
    def size(self) -> int:
        """Bytes that only the history holds: ``new`` is in its table, or the ``old`` of a later change."""
        replaced = len(self.old.encoded) if self.old is not None else 0
        # A removal has an encoded form of its own beside the one that it removed.
        return replaced if self.new is not None else 2 * replaced


@attrs.frozen(eq=False)
class Write:
    """One step of a transaction, and how to take it back: ``before`` is what stood there, ``after`` what does."""

    table: Table
    before: Stored | None
    after: Stored | None
    version: int

    def row(self) -> Row:
        """As it is kept on disk."""
        here = self.after or self.before
        namespace, name = here.key if here else ("", "")
        encoded = self.after.encoded if self.after else None
        return Row(self.table.resource.qualified, namespace, name, self.version, encoded)


class Table:
    """The objects of one kind by (namespace, name), and its history."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.namespaces: dict[str, dict[str, Stored]] = {}
        self.changed = asyncio.Event()
        self._history: deque[Change] = deque()
        self._history_bytes = 0
        # The version of the newest change that has been forgotten.
        self._forgotten = 0

    def get(self, namespace: str, name: str) -> Stored | None:
        return self.namespaces.get(namespace, {}).get(name)

    def all(self, namespace: str = "") -> Iterator[Stored]:
        """In the order of namespace and name; an empty ``namespace`` is all of them."""
        if namespace:
            names = self.namespaces.get(namespace, {})
            return (names[name] for name in sorted(names))
        return (self.namespaces[at][name] for at in sorted(self.namespaces) for name in sorted(self.namespaces[at]))

    def select(self, namespace: str, matches: Selector | None) -> list[Stored]:
        """What matches, in the order of namespace and name; nothing is decoded for it."""
        found = self.all(namespace)
        return [stored for stored in found if matches is None or matches.chooses(stored.labels, stored.fields)]

    def place(self, key: tuple[str, str], stored: Stored | None) -> None:
        """Put ``stored`` at ``key``; None leaves nothing there."""
        if stored is not None:
            self.namespaces.setdefault(key[0], {})[key[1]] = stored
            return
        names = self.namespaces[key[0]]
        del names[key[1]]
        if not names:
            del self.namespaces[key[0]]

    def oldest(self) -> Stored | None:
        """The object that was created first."""
        # A dict keeps the place of a key whose value changes, so each namespace's first is its oldest.
        firsts = (next(iter(names.values())) for names in self.namespaces.values())
        return min(firsts, key=lambda stored: stored.metadata["creationTimestamp"], default=None)

    def since(self, version: int) -> list[Change]:
        """What changed after ``version``. Raises a 410 ``StatusError`` when that isn't known any more."""
        if version < self._forgotten:
            raise expired(f"too old resource version: {version} ({self._forgotten})")
        changes: list[Change] = []
        for change in reversed(self._history):
            if change.version <= version:
                break
            changes.append(change)
        changes.reverse()
        return changes

    def record(self, change: Change) -> None:
        """Keep a change for readers and wake those that wait on ``changed``."""
        self._history.append(change)
        self._history_bytes += change.size
        while len(self._history) > HISTORY_CHANGES or self._history_bytes > HISTORY_BYTES:
            gone = self._history.popleft()
            self._history_bytes -= gone.size
            self._forgotten = gone.version
        self.wake()

    def take_back(self) -> None:
        """Forget the newest change as if it had never been."""
        # A transaction of many steps may have pushed its own first ones out.
        if self._history:
            self._history_bytes -= self._history.pop().size

    def begin(self, version: int) -> None:
        """What happened up to ``version`` isn't known here."""
        self._forgotten = version

    def wake(self) -> None:
        # Each waiter holds the event that it looked at; a new one is for those who come later.
        self.changed.set()
        self.changed = asyncio.Event()


class Store:
    """All tables, and the version that they share. With a ``state`` it begins with what is kept there, and keeps
    there what is written. Raises ``LauncherError`` when that can't be read."""

    def __init__(self, state: State | None = None) -> None:
        self.version = 1
        self.tables = {resource: Table(resource) for resource in RESOURCES if resource.stored}
        self._uids: dict[str, tuple[Resource, tuple[str, str]]] = {}
        # By owner's uid, the uids of what it owns.
        self._owned: dict[str, set[str]] = {}
        self._fresh: deque[Stored] = deque()
        self._fresh_bytes = 0
        self._state = state
        # The steps of the transaction under way; None outside of one.
        self._writes: list[Write] | None = None
        if state is not None:
            self._load(state)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """What is written inside is on disk when it is left, or undone. Must not be left to the event loop.

        Raises a 507 ``StatusError`` when it can't be kept.
        """
        if self._state is None or self._writes is not None:
            yield
            return
        self._writes = []
        try:
            yield
        finally:
            # Also what was written before a refusal: as in memory, earlier steps stay.
            writes, self._writes = self._writes, None
            if writes:
                self._keep(self._state, writes)

    def put(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        """Keep ``obj``, whose metadata is complete but for the version. Raises 413 when it is too large."""
        table, metadata = self.tables[resource], obj["metadata"]
        old = table.get(metadata.get("namespace", ""), metadata["name"])
        stored = self._stored(resource, obj)
        if len(stored.encoded) > OBJECT_MAX:
            raise too_large("etcdserver: request is too large")
        self._write(Write(table, old, stored, stored.version), Change(stored.version, old, stored))
        return stored

    def remove(self, resource: Resource, stored: Stored) -> Stored:
        """Forget the object; the answer is its last state, with the version of its removal."""
        last = self._stored(resource, stored.object)
        self._write(Write(self.tables[resource], stored, None, last.version), Change(last.version, last, None))
        return last

    def exists(self, uid: str) -> bool:
        return uid in self._uids

    def owned_by(self, uid: str) -> list[tuple[Resource, Stored]]:
        """The objects that name ``uid`` as an owner."""
        found = []
        for own in self._owned.get(uid, ()):
            resource, key = self._uids[own]
            stored = self.tables[resource].get(*key)
            if stored is not None:
                found.append((resource, stored))
        return found

    def holds(self, namespace: str) -> bool:
        """Whether any object is left in the namespace."""
        return any(namespace in table.namespaces for table in self.tables.values() if namespace)

    def in_namespace(self, namespace: str) -> list[tuple[Resource, Stored]]:
        """Every namespaced object there."""
        return [
            (table.resource, stored)
            for table in self.tables.values()
            if table.resource.namespaced
            for stored in table.namespaces.get(namespace, {}).values()
        ]

    def _write(self, write: Write, change: Change) -> None:
        self.version = write.version
        self._place(write.table, write.after, write.before)
        write.table.record(change)
        if self._state is None:
            return
        if self._writes is None:
            self._keep(self._state, [write])
        else:
            self._writes.append(write)

    def _place(self, table: Table, new: Stored | None, old: Stored | None) -> None:
        if here := new or old:
            table.place(here.key, new)
            self._index(table.resource, new, old)

    def _keep(self, state: State, writes: list[Write]) -> None:
        try:
            state.commit([write.row() for write in writes], self.version)
        except sqlite3.Error as exc:
            # The version stays where it is: one that was given once is never given again.
            for write in reversed(writes):
                write.table.take_back()
                self._place(write.table, write.before, write.after)
            _log.error("the local cluster can't write its state in %s: %s", state.folder, exc)
            message = f"the cluster's state folder can't be written ({exc}): nothing was changed; free some space there"
            raise StatusError(507, "InsufficientStorage", message) from exc

    def _load(self, state: State) -> None:
        known = {table.resource.qualified: table for table in self.tables.values()}
        for row in state.rows():
            try:
                table, obj = known[row.resource], json.loads(row.encoded or b"")
                stored = Stored.of(table.resource, obj, row.encoded or b"", row.version)
                stored.settle()
                self._place(table, stored, None)
            except (AttributeError, LookupError, TypeError, ValueError) as exc:
                raise LauncherError(
                    f"the state in {state.folder} holds {row.resource} {row.name!r}, which can't be read: it is"
                    " damaged or of another version of podlauncher (move the folder away to begin anew)"
                ) from exc
        if state.version:
            self.version = state.version + SKIPPED
        for table in self.tables.values():
            table.begin(self.version if state.version else 0)

    def _stored(self, resource: Resource, obj: dict[str, Any]) -> Stored:
        version = self.version + 1
        complete = {
            "kind": resource.kind,
            "apiVersion": resource.api_version,
            **obj,
            "metadata": {**obj["metadata"], "resourceVersion": str(version)},
        }
        stored = Stored.of(resource, complete, encode(complete), version)
        self._fresh.append(stored)
        self._fresh_bytes += len(stored.encoded)
        while self._fresh_bytes > FRESH_BYTES:
            settled = self._fresh.popleft()
            self._fresh_bytes -= len(settled.encoded)
            settled.settle()
        return stored

    def _index(self, resource: Resource, new: Stored | None, old: Stored | None) -> None:
        if old is not None:
            del self._uids[old.uid]
            for owner in old.owners:
                self._owned[owner].discard(old.uid)
                if not self._owned[owner]:
                    del self._owned[owner]
        if new is not None:
            self._uids[new.uid] = (resource, new.key)
            for owner in new.owners:
                self._owned.setdefault(owner, set()).add(new.uid)


def owners(obj: dict[str, Any]) -> list[str]:
    """The uids of an object's owners, each once."""
    references = obj["metadata"].get("ownerReferences") or ()
    return list(dict.fromkeys(reference.get("uid", "") for reference in references))
