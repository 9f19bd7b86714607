"""From what a client sent to an object that may be stored: decoded, checked, defaulted. Pure, but for
names and uids."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from launcher.local.api.decode import Notes, Schema
from launcher.local.api.defaults import PREPARE
from launcher.local.api.resources import BY_KIND, Resource
from launcher.local.api.status import (
    StatusError,
    bad_request,
    conflict,
    forbidden_value,
    invalid,
    invalid_object,
    uid_mismatch,
)
from launcher.local.api.store import Stored
from launcher.local.api.updates import UPDATE_CHECKS
from launcher.local.api.validation import CHECKS_BY_KIND, check_metadata

# No vowels and no digits that look like one, so that no word comes out: as Kubernetes does it.
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5

# Characters of a generateName that are kept, so that the whole fits into a DNS label.
_PREFIX_MAX = 63 - _SUFFIX_LENGTH

# What the server alone writes into metadata.
_SERVER_METADATA = (
    "name", "namespace", "generateName", "uid", "creationTimestamp", "generation", "deletionTimestamp",
    "deletionGracePeriodSeconds", "managedFields",
)  # fmt: skip


def rfc3339(moment: datetime) -> str:
    """As objects carry times: UTC, whole seconds, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@attrs.frozen
class Intake:
    """How objects come in. ``validation`` is Strict, Warn or Ignore: what becomes of unknown fields.
    ``managed`` are the new managedFields, None to leave them."""

    schema: Schema
    now: datetime
    validation: str = "Warn"
    managed: list[Any] | None = None

    def new(self, resource: Resource, namespace: str, body: Any) -> tuple[dict[str, Any], list[str]]:
        """A new object, complete but for its version, and the warnings. Raises ``StatusError`` 400 and
        422."""
        obj, notes = self._decode(resource, body)
        metadata = obj["metadata"]
        _check_namespace(resource, metadata, namespace)
        if metadata.pop("resourceVersion", ""):
            raise bad_request("resourceVersion should not be set on objects to be created")
        for key in ("uid", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            metadata.pop(key, None)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"][:_PREFIX_MAX] + _suffix()
        self._check(resource, obj, notes)
        moment = rfc3339(self.now)
        if self.managed:
            metadata["managedFields"] = self.managed
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = moment
        if resource.counted:
            metadata["generation"] = 1
        if resource.has_status and not resource.created_with_status:
            obj.pop("status", None)
        _prepare(resource, obj, moment)
        return obj, self._told(notes)

    def changed(
        self, resource: Resource, stored: Stored, body: Any, subresource: str = ""
    ) -> tuple[dict[str, Any], list[str]]:
        """The object that ``body`` makes of the stored one; with ``subresource`` status, of its status alone, and with
        finalize of the finalizers in its spec.

        Raises ``StatusError``: 400, 422, and 409 when ``body`` was made from another version or object.
        """
        obj, notes = self._decode(resource, body)
        _check_same(resource, stored, obj["metadata"])
        if subresource == "status":
            return _with_status(stored.object, obj.get("status") or {}), self._told(notes)
        if subresource == "finalize":
            return {**stored.object, "spec": obj.get("spec", {})}, self._told(notes)
        own = {key: stored.metadata[key] for key in _SERVER_METADATA if key in stored.metadata}
        if self.managed is not None:
            own["managedFields"] = self.managed
        sent = {key: value for key, value in obj["metadata"].items() if key not in _SERVER_METADATA}
        obj["metadata"] = {**own, **sent, "resourceVersion": str(stored.version)}
        self._check(resource, obj, notes)
        obj.pop("status", None)
        # Before what is compared: a client needn't send what the server fills in.
        _prepare(resource, obj, rfc3339(self.now))
        if "finalize" in resource.subresources:
            # Its spec is changed there alone.
            obj["spec"] = stored.object["spec"]
        self._check_update(resource, stored, obj, notes)
        if "status" in stored.object:
            obj["status"] = stored.object["status"]
        if resource.counted and obj.get("spec") != stored.object.get("spec"):
            obj["metadata"]["generation"] = stored.metadata["generation"] + 1
        return obj, self._told(notes)

    def _told(self, notes: Notes) -> list[str]:
        return [] if self.validation == "Ignore" else notes.unexpected

    def read(self, kind: str, body: Any, group: str = "") -> dict[str, Any]:
        """A request that isn't an object of its own: options, a binding. Raises ``StatusError`` 400 and
        422."""
        notes = Notes(kind)
        if isinstance(body, dict):
            body = {key: value for key, value in body.items() if key not in ("kind", "apiVersion")}
        value = self.schema.read(kind, body, notes)
        if notes.causes:
            raise invalid_object(kind, group, "", notes.causes)
        return value

    def _decode(self, resource: Resource, body: Any) -> tuple[dict[str, Any], Notes]:
        body = {} if body is None else body
        if not isinstance(body, dict):
            raise bad_request(f"the body of the request must be a {resource.kind} object")
        kind, version = body.pop("kind", None) or resource.kind, body.pop("apiVersion", None) or resource.api_version
        if (kind, version) != (resource.kind, resource.api_version):
            raise _other_kind(resource, str(kind)[:60], str(version)[:60])
        notes = Notes(resource.kind)
        obj = self.schema.read(resource.kind, body, notes)
        obj.setdefault("metadata", {})
        if notes.unexpected and self.validation == "Strict":
            listed = ", ".join(notes.unexpected[:20])
            raise bad_request(
                f'{resource.kind} in version "{resource.version}" cannot be handled as a {resource.kind}:'
                f" strict decoding error: {listed}"
            )
        return obj, notes

    def _check(self, resource: Resource, obj: dict[str, Any], notes: Notes) -> None:
        check_metadata(resource, obj["metadata"], notes)
        _check_qualified(obj["metadata"], notes)
        if check := CHECKS_BY_KIND.get(resource.kind):
            check(obj, notes)
        self._refuse(resource, obj, notes)

    def _check_update(self, resource: Resource, old: Stored, obj: dict[str, Any], notes: Notes) -> None:
        _check_finalizers(old.metadata, obj["metadata"], notes)
        if check := UPDATE_CHECKS.get(resource.kind):
            check(old.object, obj, notes)
        self._refuse(resource, obj, notes)

    def _refuse(self, resource: Resource, obj: dict[str, Any], notes: Notes) -> None:
        if notes.causes:
            raise invalid_object(resource.kind, resource.group, obj["metadata"].get("name", ""), notes.causes)


def _other_kind(resource: Resource, kind: str, version: str) -> StatusError:
    """400 for an object of another kind or version than the path's, in the words of Kubernetes' decoder."""
    known = BY_KIND.get(kind)
    if known is not None and known.api_version == version:
        # Go's packages: of the version, and of the kinds of a group inside the server.
        inside = (resource.group or "core").partition(".")[0]
        why = f"converting ({known.version}.{kind}) to ({inside}.{resource.kind}): unknown conversion"
    else:
        why = f'no kind "{kind}" is registered for version "{version}" in scheme "pkg/api/legacyscheme/scheme.go:30"'
    short = version.rpartition("/")[2]
    return bad_request(f'{kind} in version "{short}" cannot be handled as a {resource.kind}: {why}')


def _prepare(resource: Resource, obj: dict[str, Any], moment: str) -> None:
    if prepare := PREPARE.get(resource.kind):
        prepare(obj, moment)


def _suffix() -> str:
    return "".join(random.choices(_SUFFIX_LETTERS, k=_SUFFIX_LENGTH))  # noqa: S311 - a name, not a secret


def _check_namespace(resource: Resource, metadata: dict[str, Any], namespace: str) -> None:
    own = metadata.get("namespace", "")
    if not resource.namespaced:
        metadata.pop("namespace", None)
        return
    if own and own != namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    metadata["namespace"] = namespace


def _check_same(resource: Resource, stored: Stored, sent: Mapping[str, Any]) -> None:
    namespace, name = stored.key
    if sent.get("name", name) != name:
        raise bad_request(f"the name of the object ({sent['name'][:100]}) does not match the name on the URL ({name})")
    if (sent.get("namespace") or namespace) != namespace and resource.namespaced:
        raise bad_request("the namespace of the object does not match the namespace on the URL")
    uid = sent.get("uid") or stored.metadata["uid"]
    if uid != stored.metadata["uid"]:
        raise uid_mismatch(resource, stored.key, uid, stored.metadata["uid"])
    if (sent.get("resourceVersion") or str(stored.version)) != str(stored.version):
        raise conflict(
            resource.qualified,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )


# Finalizers of Kubernetes' own, which need no domain.
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


def _check_qualified(metadata: Mapping[str, Any], notes: Notes) -> None:
    for at, name in enumerate(metadata.get("finalizers") or ()):
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            text = "name is neither a standard finalizer name nor is it fully qualified"
            notes.causes.append(invalid(f"metadata.finalizers[{at}]", name, text))


def _check_finalizers(old: Mapping[str, Any], new: Mapping[str, Any], notes: Notes) -> None:
    if "deletionTimestamp" not in old:
        return
    added = [name for name in new.get("finalizers") or () if name not in (old.get("finalizers") or ())]
    if added:
        text = "no new finalizers can be added if the object is being deleted, found new finalizers"
        text += f" []string{{{', '.join(map(json.dumps, added))}}}"
        # Twice, as in Kubernetes, where the check of all objects and that of the kind both find it.
        notes.causes += [forbidden_value("metadata.finalizers", text)] * 2


def _with_status(old: Mapping[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    # A pod's class of service is decided when it is created; kubelets needn't send it.
    if "qosClass" in old.get("status", {}):
        status = {**status, "qosClass": old["status"]["qosClass"]}
    return {**old, "status": status}
