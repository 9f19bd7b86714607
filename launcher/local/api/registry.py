"""The verbs on objects: get, create, replace, patch, delete. One synchronous call is one transaction.

Raises ``StatusError`` for everything that it refuses.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import attrs

from launcher.local.api.apply import Applier, apply, check_applied
from launcher.local.api.decode import Schema
from launcher.local.api.intake import Intake
from launcher.local.api.patch import PATCHES
from launcher.local.api.removal import Deletion, Removal
from launcher.local.api.resources import BY_KIND, Resource
from launcher.local.api.selectors import Selector
from launcher.local.api.state import State
from launcher.local.api.status import already_exists, forbidden, not_found
from launcher.local.api.store import Store, Stored, encode, owners

_NAMESPACE = BY_KIND["Namespace"]
_SERVICE_ACCOUNT = BY_KIND["ServiceAccount"]


@attrs.frozen
class Writing:
    """How to write: ``validation`` is Strict, Warn or Ignore; a dry run does everything but keep the
    result; ``managed`` are the managedFields to write, None to leave them."""

    validation: str = "Warn"
    dry_run: bool = False
    managed: list[Any] | None = None


@attrs.frozen
class Written:
    """What a write left behind, encoded, and warnings for the client."""

    encoded: bytes
    unknown: list[str] = attrs.field(factory=list)


_P = ParamSpec("_P")
_R = TypeVar("_R")


def _transaction(
    verb: Callable[Concatenate[Registry, _P], _R],
) -> Callable[Concatenate[Registry, _P], _R]:
    @functools.wraps(verb)
    def whole(registry: Registry, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        with registry.store.transaction():
            return verb(registry, *args, **kwargs)

    return whole


class Registry:
    """The API's verbs on one store."""

    def __init__(self, clock: Callable[[], datetime], state: State | None = None) -> None:
        self.store = Store(state)
        self._schema = Schema()
        self._clock = clock
        self._removal = Removal(self.store, self.now)

    def now(self) -> datetime:
        return self._clock().astimezone(UTC)

    def intake(self, how: Writing | None = None) -> Intake:
        how = how or Writing()
        return Intake(self._schema, self.now(), how.validation, how.managed)

    def get(self, resource: Resource, namespace: str, name: str) -> Stored:
        stored = self.store.tables[resource].get(namespace, name)
        if stored is None:
            raise not_found(resource, name)
        return stored

    @_transaction
    def create(self, resource: Resource, namespace: str, body: Any, how: Writing) -> Written:
        self._admit_namespace(resource, namespace, body)
        obj, unknown = self.intake(how).new(resource, namespace, body)
        self._admit_account(resource, obj)
        name = obj["metadata"]["name"]
        old = self.store.tables[resource].get(obj["metadata"].get("namespace", ""), name)
        if old is not None:
            raise already_exists(resource, name, terminating="deletionTimestamp" in old.metadata)
        if how.dry_run:
            return _dry(resource, obj, unknown)
        if resource.lifetime:
            self._expire(resource)
        stored = self.store.put(resource, obj)
        self._removal.collect_orphan(resource, stored)
        if resource is _NAMESPACE:
            # What a controller does in a real cluster; pods run under this account unless they name another.
            self.create(_SERVICE_ACCOUNT, name, {"metadata": {"name": "default"}}, Writing())
        return Written(stored.encoded, unknown)

    def replace(self, resource: Resource, stored: Stored, body: Any, how: Writing, subresource: str = "") -> Written:
        """PUT of an object, or with ``subresource`` status of its status alone."""
        obj, unknown = self.intake(how).changed(resource, stored, body, subresource)
        if how.dry_run:
            return _dry(resource, obj, unknown)
        return Written(self.update(resource, stored, obj).encoded, unknown)

    def patch(
        self, resource: Resource, stored: Stored, patch: Any, kind: str, how: Writing, subresource: str = ""
    ) -> Written:
        """PATCH; ``kind`` is the media type of the patch."""
        patched = PATCHES[kind](json.loads(stored.encoded), patch)
        return self.replace(resource, stored, patched, how, subresource)

    @_transaction
    def apply(
        self, resource: Resource, place: tuple[str, str], applied: Any, applier: Applier, how: Writing
    ) -> tuple[Written, bool]:
        """Server-side apply at the namespace and name of ``place``, and whether the object is new."""
        applied = check_applied(resource, applied)
        namespace, name = place
        stored = self.store.tables[resource].get(namespace, name)
        if stored is None:
            applied["metadata"].setdefault("name", name)
            body, managed = apply({}, applied, applier)
            return self.create(resource, namespace, body, attrs.evolve(how, managed=managed)), True
        body, managed = apply(json.loads(stored.encoded), applied, applier)
        return self.replace(resource, stored, body, attrs.evolve(how, managed=managed)), False

    def update(self, resource: Resource, stored: Stored, obj: dict[str, Any]) -> Stored:
        """Put ``obj`` in the place of ``stored``; nothing happens when they are equal."""
        if {"kind": resource.kind, "apiVersion": resource.api_version, **obj} == stored.object:
            return stored
        new = self.store.put(resource, obj)
        metadata = new.metadata
        ending = "deletionTimestamp" in metadata and not metadata.get("finalizers")
        # What waited for its finalizers alone goes now; a pod with grace left waits for its node.
        if ending and stored.metadata.get("finalizers") and not metadata.get("deletionGracePeriodSeconds"):
            return self._removal.remove(resource, new)
        if ending and resource is _NAMESPACE and not new.object["spec"].get("finalizers"):
            # Whoever takes the last finalizer from its spec wants it gone, whatever is left in it.
            return self._removal.remove(resource, new)
        if owners(stored.object) != owners(new.object):
            self._removal.collect_orphan(resource, new)
        return new

    @_transaction
    def delete(self, resource: Resource, stored: Stored, deletion: Deletion) -> Stored:
        """Its last state, or the one that is left to end."""
        return self._removal.delete(resource, stored, deletion)

    def deleted(self, resource: Resource, stored: Stored, deletion: Deletion) -> dict[str, Any]:
        """What ``delete`` would answer, with nothing changed: for a dry run."""
        return self._removal.preview(resource, stored, deletion)

    @_transaction
    def delete_all(
        self, resource: Resource, namespace: str, matches: Selector | None, deletion: Deletion
    ) -> list[Stored]:
        """Everything that matches."""
        gone = []
        for stored in self.store.tables[resource].select(namespace, matches):
            # An earlier one may have taken it along.
            current = self.store.tables[resource].get(*stored.key)
            if current is not None:
                gone.append(self.delete(resource, current, deletion))
        return gone

    def _admit_namespace(self, resource: Resource, namespace: str, body: Any) -> None:
        if not resource.namespaced:
            return
        found = self.store.tables[_NAMESPACE].get("", namespace)
        if found is None:
            raise not_found(_NAMESPACE, namespace)
        if "deletionTimestamp" in found.metadata:
            name = body.get("metadata", {}).get("name", "") if isinstance(body, dict) else ""
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            raise forbidden(resource, str(name), why)

    def _admit_account(self, resource: Resource, obj: dict[str, Any]) -> None:
        if resource.kind != "Pod":
            return
        account = obj["spec"]["serviceAccountName"]
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        if self.store.tables[_SERVICE_ACCOUNT].get(namespace, account) is None:
            why = f"error looking up service account {namespace}/{account}:"
            why += f' serviceaccount "{account}" not found'
            raise forbidden(resource, name, why)

    def _expire(self, resource: Resource) -> None:
        table, now = self.store.tables[resource], self.now().timestamp()
        while (oldest := table.oldest()) is not None:
            created = datetime.fromisoformat(oldest.metadata["creationTimestamp"]).timestamp()
            if now - created < resource.lifetime:
                return
            self._removal.remove(resource, oldest)


def _dry(resource: Resource, obj: dict[str, Any], unknown: list[str]) -> Written:
    complete = {"kind": resource.kind, "apiVersion": resource.api_version, **obj}
    return Written(encode(complete), unknown)
