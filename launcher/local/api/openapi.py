"""OpenAPI v3 documents of the kinds that this API serves, as far as kubectl reads them: types for ``explain``,
merge keys for ``apply``, and that the server itself checks fields. There are no descriptions. Pure.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from launcher.local.api.discovery import VERSION
from launcher.local.api.resources import RESOURCES, Resource
from launcher.local.api.schema import Field, shapes
from launcher.local.api.status import no_such_path
from launcher.local.api.store import encode

_REF = "#/components/schemas/"

_SCALARS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "time": {"type": "string", "format": "date-time"},
    "base64": {"type": "string", "format": "byte"},
    "quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "intstr": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    "object": {"type": "object"},
    # What is accepted and not kept.
    "dropped": {},
}


# Below it every group of kinds has its document: ``/openapi/v3/api/v1``, ``/openapi/v3/apis/policy/v1``.
PREFIX = "/openapi/v3/"


@functools.cache
def encoded(path: str) -> bytes:
    """The document at ``path``, made once and when first asked for: it takes longer than the server's start.

    Raises a 404 ``StatusError`` when there is none.
    """
    served = [resource for resource in RESOURCES if _home(resource) == path.removeprefix(PREFIX).rstrip("/")]
    if not served:
        raise no_such_path()
    return encode(_document(served))


def _home(resource: Resource) -> str:
    return f"{'apis' if resource.group else 'api'}/{resource.api_version}"


def _document(served: list[Resource]) -> dict[str, Any]:
    names = _reachable([resource.kind for resource in served])
    schemas = {name: _shape(name) for name in sorted(names)}
    for resource in served:
        schemas[resource.kind]["x-kubernetes-group-version-kind"] = [_kind(resource)]
    return {
        "openapi": "3.0.0",
        "info": {"title": "podlauncher", "version": VERSION["gitVersion"]},
        "paths": dict(map(_path, served)),
        "components": {"schemas": schemas},
    }


def _path(resource: Resource) -> tuple[str, dict[str, Any]]:
    """What tells kubectl that the server checks fields, so that it needn't."""
    parameter = {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
    operation = {"parameters": [parameter], "x-kubernetes-group-version-kind": _kind(resource), "responses": {}}
    scope = "/namespaces/{namespace}" if resource.namespaced else ""
    return f"/{_home(resource)}{scope}/{resource.plural}/{{name}}", {"patch": operation}


def _kind(resource: Resource) -> dict[str, str]:
    return {"group": resource.group, "version": resource.version, "kind": resource.kind}


def _reachable(names: list[str]) -> set[str]:
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            names += [field.element for field in shapes()[name].values() if field.element in shapes()]
    return found


def _shape(name: str) -> dict[str, Any]:
    fields = shapes()[name]
    shape: dict[str, Any] = {
        "type": "object",
        "properties": {key: _field(field) for key, field in fields.items()},
    }
    if required := [key for key, field in fields.items() if field.required]:
        shape["required"] = required
    return shape


def _field(field: Field) -> dict[str, Any]:
    return {**_type(field.type), **_default(field), **dict(_merging(field))}


def _type(text: str) -> dict[str, Any]:
    if text.startswith("["):
        return {"type": "array", "items": _type(text[1:-1])}
    if text.startswith("{"):
        return {"type": "object", "additionalProperties": _type(text[1:-1])}
    if "|" in text:
        return {"type": "string", "enum": text.split("|")}
    if text in shapes():
        # In a list of one: a plain reference may have nothing beside it.
        return {"allOf": [{"$ref": f"{_REF}{text}"}]}
    # What is left is a string with a check of its own.
    return _SCALARS.get(text, _SCALARS["str"])


def _default(field: Field) -> dict[str, Any]:
    if field.default is None:
        return {}
    plain = field.type in ("bool", "int32", "int64") or field.default == "{}"
    return {"default": json.loads(field.default) if plain else field.default}


def _merging(field: Field) -> Iterator[tuple[str, Any]]:
    if field.merge_key is not None:
        yield "x-kubernetes-patch-strategy", "merge,retainKeys" if field.retains else "merge"
    if field.merge_key:
        yield "x-kubernetes-patch-merge-key", field.merge_key
    if field.list_keys is not None:
        yield "x-kubernetes-list-type", "map" if field.list_keys else "set"
    if field.list_keys:
        yield "x-kubernetes-list-map-keys", list(field.list_keys)
