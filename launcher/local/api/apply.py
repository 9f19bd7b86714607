"""Server-side apply: a manager says which fields it wants, and what it wanted before and leaves out goes. Pure.

Only managers that apply are kept in ``metadata.managedFields``; what other writes change belongs to nobody. A
manager's fields are a set of paths; an entry of a list is named by its keys, as the schema gives them.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import attrs
import yaml

from launcher.local.api.bodies import parse_json
from launcher.local.api.resources import Resource
from launcher.local.api.schema import Field, shapes
from launcher.local.api.status import StatusError, bad_request, too_large

APPLY = "application/apply-patch+yaml"

# Bytes and levels of a body in YAML: reading it takes up to half a second, and deep ones take the square of that.
YAML_MAX = 256 * 1024
YAML_DEPTH = 100

# As in ``fieldsV1``: f:NAME is a field, k:KEYS the entry of a list with these keys, v:VALUE the entry of a set.
Path = tuple[str, ...]

# What an object is called isn't a field that anybody owns.
_NAMES = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "generation", "managedFields")

_ANYTHING = Field("object")


@attrs.frozen
class Applier:
    """Who applies, at which time (RFC 3339); ``force`` takes fields from other managers."""

    manager: str
    time: str
    force: bool = False


class _Loader(yaml.CSafeLoader):
    """YAML's values that JSON has too: a date stays a string."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - declared so by its base
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }


def parse_yaml(body: bytes) -> Any:
    """YAML as JSON would have said it. Raises ``StatusError`` 400, also for aliases, which blow a body up, and 413."""
    with suppress(StatusError):
        # What programs send is JSON, which is read a hundred times faster.
        return parse_json(body)
    if len(body) > YAML_MAX:
        raise too_large(f"Request entity too large: limit for YAML is {YAML_MAX} bytes; send it as JSON")
    try:
        _check_events(body)
        value = yaml.load(body, Loader=_Loader)  # noqa: S506 - a SafeLoader
        return json.loads(json.dumps(value, allow_nan=False))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as exc:
        text = str(exc).partition("\n")[0][:200]
        raise bad_request(f"error decoding YAML: error converting YAML to JSON: yaml: {text}") from None


def _check_events(body: bytes) -> None:
    depth = 0
    for event in yaml.parse(body, Loader=_Loader):
        if isinstance(event, yaml.AliasEvent):
            raise bad_request("error decoding YAML: aliases are not accepted")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > YAML_DEPTH:
            raise bad_request("error decoding YAML: exceeded max depth")


def check_applied(resource: Resource, applied: Any) -> dict[str, Any]:
    """Raises 400 for what isn't an object of the kind."""
    value = applied if isinstance(applied, dict) else {}
    version, kind = value.get("apiVersion", ""), value.get("kind", "")
    if (version, kind) != (resource.api_version, resource.kind):
        raise bad_request(f"invalid object type: {str(version)[:60] or '/'}, Kind={str(kind)[:60]}")
    metadata = value.setdefault("metadata", {})
    if not isinstance(metadata, dict):
        raise bad_request("metadata must be an object")
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    return value


def apply(live: dict[str, Any], applied: dict[str, Any], applier: Applier) -> tuple[dict[str, Any], list[Any]]:
    """``live``, changed in place, with what is applied in it, and its new managedFields. Raises 409."""
    kind = Field(str(applied["kind"]))
    wanted = set(_paths(_owned(applied), kind))
    managed: list[dict[str, Any]] = live.get("metadata", {}).get("managedFields") or []
    others = {entry["manager"]: _read(entry["fieldsV1"]) for entry in managed if entry["manager"] != applier.manager}
    own = next((entry for entry in managed if entry["manager"] == applier.manager), None)
    taken = _conflicts(live, applied, kind, wanted, others)
    if taken and not applier.force:
        raise _conflict(taken)
    merged = _merge(live, copy.deepcopy(applied), kind)
    held = set().union(*others.values()) | wanted
    for path in sorted((_read(own["fieldsV1"]) if own else set()) - held, key=len, reverse=True):
        if not any(other[: len(path)] == path for other in held):
            _drop(merged, path, kind)
    return merged, _managed(managed, applied, wanted, applier, {path for paths in taken.values() for path in paths})


def _owned(applied: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: value for key, value in applied["metadata"].items() if key not in _NAMES}
    rest = {key: value for key, value in applied.items() if key not in ("kind", "apiVersion", "metadata", "status")}
    return {**rest, **({"metadata": metadata} if metadata else {})}


def _paths(value: Any, field: Field) -> Iterator[Path]:
    """The leaves of a value, and the entries of its lists."""
    for part, item, inner in _parts(value, field):
        below = list(_paths(item, inner))
        if not below or part.startswith("k:"):
            yield (part,)
        yield from ((part, *path) for path in below)


def _parts(value: Any, field: Field) -> Iterator[tuple[str, Any, Field]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"f:{key}", item, _inner(field, key)
    elif isinstance(value, list) and field.list_keys is not None:
        for item in value:
            yield _entry(item, field.list_keys), item, Field(field.element)


def _inner(field: Field, key: str) -> Field:
    if field.type.startswith("{"):
        return Field(field.type[1:-1])
    return shapes()[field.type].get(key, _ANYTHING) if field.type in shapes() else _ANYTHING


def _entry(item: Any, keys: tuple[str, ...]) -> str:
    if not keys:
        return f"v:{json.dumps(item)}"
    named = {key: item[key] for key in keys if key in item} if isinstance(item, dict) else {}
    return f"k:{json.dumps(named, separators=(',', ':'))}"


def _merge(live: Any, applied: Any, field: Field) -> Any:
    if isinstance(live, dict) and isinstance(applied, dict):
        for key, value in applied.items():
            live[key] = _merge(live.get(key), value, _inner(field, key))
        return live
    if isinstance(live, list) and isinstance(applied, list) and field.list_keys is not None:
        entries = {part: item for part, item, _ in _parts(live, field)}
        new = {part: _merge(entries.pop(part, None), item, inner) for part, item, inner in _parts(applied, field)}
        # What is applied comes first and in its order, what others have after it.
        return [*new.values(), *entries.values()]
    return applied


def _conflicts(
    live: Any, applied: Any, kind: Field, wanted: set[Path], others: Mapping[str, set[Path]]
) -> dict[str, list[Path]]:
    """By manager, the fields that it owns and whose values would change."""
    taken = {}
    for manager, owned in others.items():
        both = sorted(wanted & owned)
        if paths := [path for path in both if _at(live, path, kind) != _at(applied, path, kind)]:
            taken[manager] = [path for path in paths if not path[-1].startswith("k:")]
    return {manager: paths for manager, paths in taken.items() if paths}


def _at(value: Any, path: Path, field: Field) -> Any:
    for wanted in path:
        found = next(((item, inner) for part, item, inner in _parts(value, field) if part == wanted), None)
        if found is None:
            return None
        value, field = found
    return value


def _drop(value: Any, path: Path, field: Field) -> None:
    parent, last = _at(value, path[:-1], field), path[-1]
    if isinstance(parent, dict):
        parent.pop(last.removeprefix("f:"), None)
    elif isinstance(parent, list):
        for part in path[:-1]:
            field = _inner(field, part[2:]) if part.startswith("f:") else Field(field.element)
        parent[:] = [item for item in parent if _entry(item, field.list_keys or ()) != last]


def _managed(
    old: list[dict[str, Any]], applied: Mapping[str, Any], wanted: set[Path], applier: Applier, taken: set[Path]
) -> list[Any]:
    entries = []
    fields = _tree(wanted)
    entry = {"manager": applier.manager, "operation": "Apply", "apiVersion": applied["apiVersion"]}
    entry |= {"time": applier.time, "fieldsType": "FieldsV1", "fieldsV1": fields}
    for other in old:
        if other["manager"] == applier.manager:
            # The time is that of the last change of what is owned.
            entry = other if other["fieldsV1"] == fields else entry
        elif left := _read(other["fieldsV1"]) - taken:
            entries.append({**other, "fieldsV1": _tree(left)})
    return [*entries, entry] if fields else entries


def _tree(paths: set[Path]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for path in sorted(paths):
        node = root
        for part in path:
            node = node.setdefault(part, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return root


def _read(tree: Mapping[str, Any], path: Path = ()) -> set[Path]:
    if not tree:
        return {path} if path else set()
    return set().union(*({path} if part == "." else _read(below, (*path, part)) for part, below in tree.items()))


def _conflict(taken: Mapping[str, list[Path]]) -> StatusError:
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {json.dumps(manager)}", "field": _shown(path)}
        for manager, paths in sorted(taken.items())
        for path in paths
    ]
    listed = "\n".join(f"- {cause['message']}: {cause['field']}" for cause in causes)
    message = f"Apply failed with {len(causes)} conflicts: {listed}"
    if len(causes) == 1:
        message = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    return StatusError(409, "Conflict", message, {"causes": causes})


def _shown(path: Path) -> str:
    return "".join(f".{part[2:]}" if part.startswith("f:") else f"[{_keys_shown(part)}]" for part in path)


def _keys_shown(part: str) -> str:
    named = json.loads(part[2:])
    if part.startswith("v:"):
        return f"={json.dumps(named)}"
    return ",".join(f"{key}={json.dumps(value)}" for key, value in named.items())
