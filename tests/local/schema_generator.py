"""Writes ``launcher/local/api/schema.txt``: the API's types, from Kubernetes' own schemas.

Run it with ``python -m tests.local.schema_generator`` after a kind was added to the table of resources; a test
tells when that is needed. The schemas come with the development dependency ``kubernetes-validate``.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from launcher.local.api import schema
from launcher.local.api.resources import RESOURCES

# The version whose behaviour has been recorded, and that the local cluster calls itself.
VERSION = "v1.36.0"

TARGET = Path(schema.__file__).with_name(schema.FILE)

# What clients send or get besides the resources, by its definition: the first of a name has it for itself.
_QUESTIONS = (
    "apimachinery.pkg.apis.meta.v1.DeleteOptions",
    "apimachinery.pkg.apis.meta.v1.Status",
    "api.core.v1.Binding",
    "api.policy.v1.Eviction",
    "api.authentication.v1.TokenRequest",
    "api.authentication.v1.TokenReview",
    "api.authentication.v1.SelfSubjectReview",
    "api.authorization.v1.SubjectAccessReview",
    "api.authorization.v1.LocalSubjectAccessReview",
    "api.authorization.v1.SelfSubjectAccessReview",
    "api.authorization.v1.SelfSubjectRulesReview",
    "api.coordination.v1.Lease",
)

_SCALARS = {
    ("string", ""): "str",
    ("string", "byte"): "base64",
    ("string", "date-time"): "time",
    ("boolean", ""): "bool",
    ("integer", "int32"): "int32",
    ("integer", "int64"): "int64",
    ("object", ""): "object",
}
# Definitions that stand for a scalar, and say so in their description alone.
_NAMED_SCALARS = {"Quantity": "quantity", "IntOrString": "intstr"}

_REF = "#/$defs/"
_WIDTH = 116


def generate() -> str:
    """The whole file."""
    text = resources.files("kubernetes_validate").joinpath(f"kubernetes-json-schema/{VERSION}-local/_definitions.json")
    definitions = json.loads(text.read_text())["$defs"]
    names = _names(definitions)
    entries = (
        textwrap.fill(
            f"{name}: {' '.join(_fields(definitions[full], names, definitions))}",
            _WIDTH,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for full, name in sorted(names.items(), key=lambda item: item[1])
    )
    return "\n".join(entries) + "\n"


def _names(definitions: Mapping[str, Any]) -> dict[str, str]:
    """By the full name of every reachable object, the name that it gets."""
    names: dict[str, str] = {}
    waiting = [f"io.k8s.{name}" for name in _QUESTIONS] + [_definition_of(r, definitions) for r in RESOURCES]
    while waiting:
        full = waiting.pop(0)
        if full in names or "properties" not in definitions[full]:
            continue
        *_, group, _version, name = full.split(".")
        names[full] = name if name not in names.values() else f"{group}.{name}"
        waiting += _references(definitions[full])
    return names


def _definition_of(resource: Any, definitions: Mapping[str, Any]) -> str:
    wanted = {"group": resource.group, "kind": resource.kind, "version": resource.version}
    return next(
        name
        for name, definition in definitions.items()
        if wanted in definition.get("x-kubernetes-group-version-kind", ())
    )


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"].removeprefix(_REF)
        for item in value.values():
            yield from _references(item)


def _fields(definition: Mapping[str, Any], names: Mapping[str, str], definitions: Mapping[str, Any]) -> Iterator[str]:
    required = definition.get("required", ())
    for name, field in definition["properties"].items():
        yield f"{name}{'!' * (name in required)}:{_type(field, names, definitions)}{_merge(field)}"


def _type(field: Mapping[str, Any], names: Mapping[str, str], definitions: Mapping[str, Any]) -> str:
    if "$ref" in field:
        full = field["$ref"].removeprefix(_REF)
        short = full.rpartition(".")[2]
        return names.get(full) or _NAMED_SCALARS.get(short) or _type(definitions[full], names, definitions)
    kind = field["type"] if isinstance(field["type"], str) else field["type"][0]
    if kind == "array":
        return f"[{_type(field['items'], names, definitions)}]"
    if "additionalProperties" in field:
        return f"{{{_type(field['additionalProperties'], names, definitions)}}}"
    return _SCALARS[kind, field.get("format", "")]


def _merge(field: Mapping[str, Any]) -> str:
    strategy = field.get("x-kubernetes-patch-strategy", "")
    key = field.get("x-kubernetes-patch-merge-key", "")
    merged = f"~{key}" if "merge" in strategy else ""
    if "retainKeys" in strategy:
        merged += "+"
    kind = field.get("x-kubernetes-list-type", "atomic")
    return merged if kind == "atomic" else f"{merged}@{','.join(field.get('x-kubernetes-list-map-keys', ()))}"


if __name__ == "__main__":
    TARGET.write_text(generate())
