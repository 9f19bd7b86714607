"""What the API answers when it refuses: Status objects, worded as Kubernetes words them. Pure.

``StatusError`` is the only exception that handlers raise on purpose; ``Cause`` is one thing wrong with one
field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from launcher.local.api.resources import Resource

# Characters of a refused value that a message repeats: a name has at most 253, and a hostile one may have
# three million.
SHOWN = 300

# Seconds after which a client that was one too many may come again, as the API server says it.
RETRY_AFTER = 1


class StatusError(Exception):
    """A refusal with its HTTP ``code``, the API's ``reason`` for it, a sentence, and details for programs."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        super().__init__(message)

    def body(self) -> dict[str, Any]:
        """The Status object."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


@attrs.frozen
class Cause:
    """One wrong field: ``field`` is its path, ``reason`` the API's word, ``text`` the sentence without the
    path."""

    field: str
    reason: str
    text: str

    def body(self) -> dict[str, str]:
        return {"reason": self.reason, "message": self.text, "field": self.field}

    def __str__(self) -> str:
        return f"{self.field}: {self.text}"


def required(field: str, detail: str = "") -> Cause:
    return Cause(field, "FieldValueRequired", "Required value" + (f": {detail}" if detail else ""))


def invalid(field: str, value: Any, detail: str) -> Cause:
    return Cause(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}")


def not_found_value(field: str, value: str) -> Cause:
    return Cause(field, "FieldValueNotFound", f"Not found: {_shown(value)}")


def duplicate(field: str, value: Any) -> Cause:
    return Cause(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")


def forbidden_value(field: str, detail: str) -> Cause:
    return Cause(field, "FieldValueForbidden", f"Forbidden: {detail}")


def unsupported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    known = ", ".join(f'"{name}"' for name in supported)
    text = f"Unsupported value: {_shown(value)}: supported values: {known}"
    return Cause(field, "FieldValueNotSupported", text)


def too_long(field: str, limit: int) -> Cause:
    return Cause(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, why: str) -> StatusError:
    message = f"{resource.qualified} {json.dumps(name)} is forbidden: {why}"
    return StatusError(403, "Forbidden", message, _details(resource, name))


def no_such_path() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def not_found(resource: Resource, name: str) -> StatusError:
    message = f"{resource.qualified} {json.dumps(name)} not found"
    return StatusError(404, "NotFound", message, _details(resource, name))


def method_not_allowed() -> StatusError:
    message = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", message, {})


def already_exists(resource: Resource, name: str, *, terminating: bool) -> StatusError:
    prefix = "object is being deleted: " if terminating else ""
    message = f"{prefix}{resource.qualified} {json.dumps(name)} already exists"
    return StatusError(409, "AlreadyExists", message, _details(resource, name))


def conflict(what: str, name: str, why: str) -> StatusError:
    """``what`` is what was to be changed, as Kubernetes calls it: ``pods``, ``pods/binding``."""
    message = f"Operation cannot be fulfilled on {what} {json.dumps(name)}: {why}"
    return StatusError(409, "Conflict", message, {"name": name, "kind": what})


def expired(message: str) -> StatusError:
    return StatusError(410, "Expired", message)


def too_large(message: str) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", message)


def unsupported_media_type(accepted: Iterable[str]) -> StatusError:
    known = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {known}"
    return StatusError(415, "UnsupportedMediaType", message)


def too_many_requests() -> StatusError:
    message = "Too many requests, please try again later."
    return StatusError(429, "TooManyRequests", message, {"retryAfterSeconds": RETRY_AFTER})


def invalid_object(kind: str, group: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422 with every cause; a single one is not put in brackets, as in Kubernetes."""
    unique = list(dict.fromkeys(str(cause) for cause in causes))
    listed = unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    if kind:
        details["kind"] = kind
    details["causes"] = [cause.body() for cause in causes]
    qualified = f"{kind}.{group}" if group else kind
    message = f"{qualified} {json.dumps(name)} is invalid: {listed}"
    return StatusError(422, "Invalid", message, details)


def invalid_options(kind: str, cause: Cause) -> StatusError:
    """A request's options that don't fit; ``kind`` is ListOptions, CreateOptions and so on."""
    return invalid_object(kind, "meta.k8s.io", "", [cause])


def uid_mismatch(resource: Resource, key: tuple[str, str], uid: str, stored_uid: str) -> StatusError:
    """409: the object of that namespace and name is another one than the client means."""
    place = "/".join(filter(None, (resource.plural, *key)))
    return conflict(
        resource.qualified,
        key[1],
        f"StorageError: invalid object, Code: 4, Key: /registry/{place}, ResourceVersion: 0, AdditionalErrorMsg:"
        f" Precondition failed: UID in precondition: {uid[:60]}, UID in object meta: {stored_uid}",
    )


def internal_error() -> StatusError:
    return StatusError(500, "InternalError", "Internal error occurred: the server's log has the details")


def _details(resource: Resource, name: str) -> dict[str, Any]:
    group = {"group": resource.group} if resource.group else {}
    return {"name": name, **group, "kind": resource.plural}
