"""How objects go: grace, finalizers, preconditions, and what a removal takes along.

Owned objects and the content of namespaces are collected before a call returns, where a real cluster's
controllers take a moment. Raises ``StatusError`` for what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from launcher.local.api.intake import rfc3339
from launcher.local.api.resources import BY_KIND, Resource
from launcher.local.api.status import conflict, forbidden
from launcher.local.api.store import Store, Stored, owners

_NAMESPACE = BY_KIND["Namespace"]

# Namespaces that every cluster has and that can't be deleted.
_LASTING = ("default", "kube-system", "kube-public")

_ENDED = ("Succeeded", "Failed")

# The finalizer of an owner that waits for its dependents.
FOREGROUND = "foregroundDeletion"


@attrs.frozen
class Deletion:
    """How to delete: ``grace`` in seconds, None for the object's own; ``uid`` and ``version``, when given,
    are what the object must still have; ``orphan`` keeps what it owns; ``foreground`` lets it go only after what it
    owns and what blocks it; a dry run deletes nothing.
    """

    grace: int | None = None
    uid: str = ""
    version: str = ""
    orphan: bool = False
    foreground: bool = False
    dry_run: bool = False

    def check(self, resource: Resource, stored: Stored) -> None:
        """Raises 409 when the object is another one, or no longer the same."""
        name, uid, version = stored.key[1], stored.metadata["uid"], str(stored.version)
        if self.uid and self.uid != uid:
            raise conflict(
                resource.kind,
                name,
                f"the UID in the precondition ({self.uid[:60]}) does not match the UID in record ({uid})."
                " The object might have been deleted and then recreated",
            )
        if self.version and self.version != version:
            raise conflict(
                resource.kind,
                name,
                f"the ResourceVersion in the precondition ({self.version[:60]}) does not match"
                f" the ResourceVersion in record ({version}). The object might have been modified",
            )


class Removal:
    """Deletes objects of one store."""

    def __init__(self, store: Store, now: Callable[[], datetime]) -> None:
        self._store = store
        self._now = now
        # Removed objects whose dependents are still to be looked at.
        self._removed: list[Stored] = []

    def delete(self, resource: Resource, stored: Stored, deletion: Deletion) -> Stored:
        """Delete one object: at once, or marked and left to its finalizers or its node. Its last state."""
        self._admit(resource, stored, deletion)
        if deletion.orphan:
            for kind, dependent in self._store.owned_by(stored.metadata["uid"]):
                self._disown(kind, dependent, stored.metadata["uid"])
        if deletion.foreground and self._blocking(stored.metadata["uid"]):
            last = self._delete_after_dependents(resource, stored, deletion.grace)
        else:
            last = self._delete(resource, stored, deletion.grace)
        self._settle()
        return last

    def preview(self, resource: Resource, stored: Stored, deletion: Deletion) -> dict[str, Any]:
        """The object as ``delete`` would mark it; nothing is changed."""
        self._admit(resource, stored, deletion)
        return self._marked(resource, stored, deletion.grace)

    def _admit(self, resource: Resource, stored: Stored, deletion: Deletion) -> None:
        deletion.check(resource, stored)
        if resource is _NAMESPACE and stored.key[1] in _LASTING:
            raise forbidden(resource, stored.key[1], "this namespace may not be deleted")

    def remove(self, resource: Resource, stored: Stored) -> Stored:
        """Remove one object now, with all that follows."""
        last = self._remove(resource, stored)
        self._settle()
        return last

    def collect_orphan(self, resource: Resource, stored: Stored) -> None:
        """Delete an object that names owners of which none exists."""
        named = owners(stored.object)
        if named and not any(self._store.exists(uid) for uid in named):
            self._delete(resource, stored)
            self._settle()

    def _delete(self, resource: Resource, stored: Stored, grace: int | None = None) -> Stored:
        if resource is _NAMESPACE:
            return self._empty_namespace(stored)
        if resource.graceful:
            marked = self._mark(resource, stored, grace)
            if marked.metadata["deletionGracePeriodSeconds"] or marked.metadata.get("finalizers"):
                return marked
            return self._remove(resource, marked)
        if not stored.metadata.get("finalizers"):
            return self._remove(resource, stored)
        return self._mark(resource, stored, None)

    def _marked(self, resource: Resource, stored: Stored, asked: int | None) -> dict[str, Any]:
        """The object as a delete with that grace marks it, the stored one where nothing is left to mark."""
        if resource is _NAMESPACE:
            return self._terminating(stored)
        end = self._end(resource, stored, asked)
        if end is None:
            return stored.object
        when, grace = end
        marks = {"deletionTimestamp": rfc3339(when), "deletionGracePeriodSeconds": grace}
        if resource.counted and "deletionTimestamp" not in stored.metadata:
            marks["generation"] = stored.metadata["generation"] + 1
        return {**stored.object, "metadata": {**stored.metadata, **marks}}

    def _mark(self, resource: Resource, stored: Stored, asked: int | None) -> Stored:
        marked = self._marked(resource, stored, asked)
        return stored if marked is stored.object else self._store.put(resource, marked)

    def _end(self, resource: Resource, stored: Stored, asked: int | None) -> tuple[datetime, int] | None:
        """When the object is to go and with how many seconds of grace; None to leave it as it is."""
        if resource.graceful:
            return self._graceful_end(stored, asked)
        return None if "deletionTimestamp" in stored.metadata else (self._now(), 0)

    def _graceful_end(self, stored: Stored, asked: int | None) -> tuple[datetime, int] | None:
        spec, metadata = stored.object["spec"], stored.metadata
        grace: int = spec["terminationGracePeriodSeconds"] if asked is None else asked
        if not spec.get("nodeName") or stored.object["status"].get("phase") in _ENDED:
            grace = 0
        # A negative grace is one second, in Kubernetes too.
        grace = 1 if grace < 0 else grace
        if "deletionTimestamp" not in metadata:
            return _after(self._now(), grace), grace
        before = min(metadata["deletionGracePeriodSeconds"], _LONGEST_GRACE)
        if asked is None or grace >= before:
            return None
        # Counted from the first request, but never back into the past.
        first = datetime.fromisoformat(metadata["deletionTimestamp"]) - timedelta(seconds=before)
        return max(_after(first, grace), self._now()), grace

    def _remove(self, resource: Resource, stored: Stored) -> Stored:
        last = self._store.remove(resource, stored)
        self._removed.append(stored)
        return last

    def _settle(self) -> None:
        # A list and a loop, not recursion: chains of owners may be as long as somebody likes.
        while self._removed:
            gone = self._removed.pop()
            for resource, dependent in self._store.owned_by(gone.metadata["uid"]):
                self._release(resource, dependent)
            for reference in gone.metadata.get("ownerReferences") or ():
                self._finish_owner(reference, gone.key[0])
            self._finish_namespace(gone.key[0])

    def _release(self, resource: Resource, dependent: Stored) -> None:
        """One of its owners is gone: it loses the reference, and with its last owner it goes too."""
        for uid in owners(dependent.object):
            if self._store.exists(uid):
                continue
            if len(owners(dependent.object)) > 1:
                dependent = self._disown(resource, dependent, uid)
            elif "deletionTimestamp" not in dependent.metadata:
                self._delete(resource, dependent)

    def _blocking(self, uid: str) -> list[tuple[Resource, Stored]]:
        """What is owned by ``uid`` and must go before it."""
        return [
            (resource, dependent)
            for resource, dependent in self._store.owned_by(uid)
            if any(
                reference.get("uid") == uid and reference.get("blockOwnerDeletion")
                for reference in dependent.metadata["ownerReferences"]
            )
        ]

    def _delete_after_dependents(self, resource: Resource, stored: Stored, grace: int | None) -> Stored:
        uid = stored.metadata["uid"]
        finalizers = [*(stored.metadata.get("finalizers") or ()), FOREGROUND]
        metadata = {**stored.metadata, "finalizers": list(dict.fromkeys(finalizers))}
        last = self._delete(resource, self._store.put(resource, {**stored.object, "metadata": metadata}), grace)
        for kind, dependent in self._store.owned_by(uid):
            if "deletionTimestamp" not in dependent.metadata:
                self._delete(kind, dependent)
        return last

    def _finish_owner(self, reference: Mapping[str, Any], namespace: str) -> None:
        """The owner that waited for its dependents goes with the last of them."""
        resource = BY_KIND.get(reference.get("kind", ""))
        if resource is None or not resource.stored:
            return
        place = namespace if resource.namespaced else ""
        owner = self._store.tables[resource].get(place, reference.get("name", ""))
        if owner is None or owner.metadata["uid"] != reference.get("uid") or self._blocking(owner.metadata["uid"]):
            return
        finalizers = owner.metadata.get("finalizers") or ()
        if FOREGROUND not in finalizers or "deletionTimestamp" not in owner.metadata:
            return
        metadata = {key: value for key, value in owner.metadata.items() if key != "finalizers"}
        if kept := [name for name in finalizers if name != FOREGROUND]:
            metadata["finalizers"] = kept
        owner = self._store.put(resource, {**owner.object, "metadata": metadata})
        if not kept and not metadata.get("deletionGracePeriodSeconds"):
            self._remove(resource, owner)

    def _disown(self, resource: Resource, dependent: Stored, uid: str) -> Stored:
        metadata = dict(dependent.metadata)
        references = metadata.pop("ownerReferences", [])
        if kept := [reference for reference in references if reference.get("uid") != uid]:
            metadata["ownerReferences"] = kept
        return self._store.put(resource, {**dependent.object, "metadata": metadata})

    def _terminating(self, namespace: Stored) -> dict[str, Any]:
        if "deletionTimestamp" in namespace.metadata:
            return namespace.object
        metadata = {**namespace.metadata, "deletionTimestamp": rfc3339(self._now())}
        status = {**namespace.object["status"], "phase": "Terminating"}
        return {**namespace.object, "metadata": metadata, "status": status}

    def _empty_namespace(self, namespace: Stored) -> Stored:
        namespace = self._mark(_NAMESPACE, namespace, None)
        for resource, stored in self._store.in_namespace(namespace.key[1]):
            if "deletionTimestamp" not in stored.metadata:
                self._delete(resource, stored)
        # With nothing in it no removal would finish it.
        self._finish_namespace(namespace.key[1])
        return namespace

    def _finish_namespace(self, name: str) -> None:
        namespace = self._store.tables[_NAMESPACE].get("", name)
        if namespace is None or "deletionTimestamp" not in namespace.metadata or self._store.holds(name):
            return
        if not namespace.metadata.get("finalizers"):
            self._remove(_NAMESPACE, namespace)


# Seconds: longer than anybody waits (a century), short enough for a calendar to hold.
_LONGEST_GRACE = 100 * 365 * 24 * 3600


def _after(moment: datetime, grace: int) -> datetime:
    return moment + timedelta(seconds=min(grace, _LONGEST_GRACE))
