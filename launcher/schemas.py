"""JSON Schemas of jobs and settings, for editors: made from the classes themselves, so that they can't drift. Pure.

A schema is what an editor completes and marks while somebody types. It knows types, names of fields and the checks
that a pattern can say; what the loader refuses beyond that, the loader names.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

import attrs

from launcher import codec, fields
from launcher.backend import Mode
from launcher.errors import PluginError
from launcher.job import Job
from launcher.registry import Registry
from launcher.settings import Settings

Schema = dict[str, Any]

# The draft that editors know best: their YAML language server reads it in full, and later ones in part.
DRAFT = "http://json-schema.org/draft-07/schema#"

# A whole number is as good as text: PORT: 8080.
_TEXT: Schema = {"type": ["string", "integer"]}

_SCALARS: dict[Any, Schema] = {
    str: _TEXT,
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    Any: {},
}

# What a check says of a whole field, where JSON Schema has a word for it.
_CHECKS: dict[Any, Schema] = {
    fields.name: {"minLength": 1, "maxLength": fields.NAME_LIMIT},
    fields.not_empty: {"minLength": 1},
    fields.image: {"pattern": r"^\S+$"},
    fields.object_name: {"pattern": r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$"},
    fields.namespace: {"pattern": r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
    fields.absolute_path: {"pattern": r"^/[^:]*$"},
    fields.mount_place: {"pattern": r"^/[^:]*$"},
    fields.inner_path: {"pattern": r"^[^/]"},
    fields.whole_number: {"pattern": r"^[0-9]+$"},
}


def job_schema() -> Schema:
    """The schema of a job's file."""
    return _document(Job, {})


def settings_schema(registry: Registry) -> Schema:
    """The schema of launcher.yaml; a connection's ``schema`` is that of its kind, for the kinds of ``registry``."""
    definitions: dict[str, Schema] = {}
    document = _document(Settings, definitions)
    _by_kind(definitions["Connection"], registry, definitions)
    # Fields of jobs that a team sets for all of them: none of them must be there.
    fields_of_jobs = {key: value for key, value in _object(Job, definitions).items() if key != "required"}
    said = {**fields_of_jobs, "description": "What every job has unless it says otherwise."}
    document["properties"]["defaults"] = _or_null(said)
    return document


def _document(cls: type, definitions: dict[str, Schema]) -> Schema:
    body = _object(cls, definitions)
    return {"$schema": DRAFT, "title": cls.__name__, **body, "definitions": definitions}


def _object(cls: type, definitions: dict[str, Schema]) -> Schema:
    attrs.resolve_types(cls)
    written = codec.written_fields(cls)
    return {
        "type": "object",
        "description": _first_sentence(cls),
        "properties": {fields.camel(field.name): _field(field, definitions) for field in written},
        "required": [fields.camel(field.name) for field in written if field.default is attrs.NOTHING],
        "additionalProperties": False,
    }


def _field(field: attrs.Attribute[Any], definitions: dict[str, Schema]) -> Schema:
    checks = field.metadata.get(fields.CHECK, ())
    schema = _type(field.type, definitions)
    if fields.words in checks:
        schema = schema["anyOf"][1]  # a command is a list, never text that a shell might take apart
    elif fields.AS_WRITTEN in field.metadata:
        schema = {"type": ["string", "number"]}
    for check in checks:
        schema = {**schema, **_said(check)}
    return schema if field.default is attrs.NOTHING else _or_null(schema)


def _said(check: Any) -> Schema:
    if check in _CHECKS:
        return _CHECKS[check]
    choices = inspect.getclosurevars(check).nonlocals.get("choices")
    return {"enum": list(choices)} if choices else {}


def _type(annotation: Any, definitions: dict[str, Schema]) -> Schema:
    if annotation in _SCALARS:
        return dict(_SCALARS[annotation])
    if annotation is Mode:
        return {"enum": [mode.value for mode in Mode]}
    if attrs.has(annotation):
        return _reference(annotation, definitions)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is tuple:
        # One of something that may be many needs no brackets: `connections: faces`.
        item = _type(arguments[0], definitions)
        return {"anyOf": [item, {"type": "array", "items": item}]}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _type(arguments[1], definitions)}
    # Absent and empty are one thing, and said of the field.
    kinds = [_type(one, definitions) for one in arguments if one is not type(None)]
    return kinds[0] if len(kinds) == 1 else {"anyOf": kinds}


def _reference(cls: type, definitions: dict[str, Schema]) -> Schema:
    if cls.__name__ not in definitions:
        definitions[cls.__name__] = {}  # there already, should it hold itself
        definitions[cls.__name__] = _object(cls, definitions)
    return {"$ref": f"#/definitions/{cls.__name__}"}


def _or_null(schema: Schema) -> Schema:
    """What needn't be there may also be left empty: ``env:`` with nothing behind it."""
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    kinds = schema.get("type")
    if kinds is None:
        return {"anyOf": [*(schema.get("anyOf") or [schema]), {"type": "null"}]} if schema else schema
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}


def _by_kind(connection: Schema, registry: Registry, definitions: dict[str, Schema]) -> None:
    """The kinds that are installed, and for each of them what its ``schema`` holds."""
    connection["properties"]["kind"] = {**_TEXT, "enum": registry.kinds()}
    connection["allOf"] = list(_kinds(registry, definitions))


def _kinds(registry: Registry, definitions: dict[str, Schema]) -> Iterator[Schema]:
    for kind in registry.kinds():
        try:
            schema = _object(registry.get(kind).schema, definitions)
        except PluginError:
            continue  # its connections stay unchecked; `launcher admin backends` says why
        required = {"required": ["schema"]} if schema["required"] else {}
        yield {
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"properties": {"schema": schema}, **required},
        }


def _first_sentence(cls: type) -> str:
    text = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    return text.replace("``", "")
