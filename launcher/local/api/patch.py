"""The three kinds of patch that clients send: merge, JSON and strategic merge. Pure.

The document is changed in place and belongs to the caller. Raises ``StatusError``: 400 for a patch that isn't
one, 422 for one that doesn't fit the document, 413 for one that blows it up.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from launcher.local.api.schema import Field, shapes
from launcher.local.api.status import StatusError, bad_request, too_large

# As Kubernetes limits them: operations of one JSON patch, and the bytes that its copies may add up to.
OPERATIONS_MAX = 10_000
COPIED_MAX = 3 * 1024 * 1024

_DELETE_FROM, _ORDER, _RETAIN = "$deleteFromPrimitiveList/", "$setElementOrder/", "$retainKeys"

# What the schema doesn't have: lists in it are replaced.
_ANYTHING = Field("object")


def merge(document: Any, patch: Any) -> Any:
    """RFC 7386: mappings are merged, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    if not isinstance(document, dict):
        document = {}
    for key, value in patch.items():
        if value is None:
            document.pop(key, None)
        else:
            document[key] = merge(document.get(key), value)
    return document


def strategic(document: Any, patch: Any) -> Any:
    """As ``merge``, but the lists that the schema of the document's kind gives a merge key are merged entry by
    entry."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch must be an object")
    document = document if isinstance(document, dict) else {}
    return _strategic(document, patch, str(document.get("kind")))


def _strategic(document: dict[str, Any], patch: dict[str, Any], shape: str) -> dict[str, Any]:
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if isinstance(retained := patch.get(_RETAIN), list):
        document = {key: value for key, value in document.items() if key in retained}
    fields = shapes().get(shape, {})
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            _drop_values(document, key.removeprefix(_DELETE_FROM), value)
        elif key in (_RETAIN, "$patch") or key.startswith(_ORDER):
            # The order of entries means nothing to jobs; those that are there keep theirs.
            continue
        elif value is None:
            document.pop(key, None)
        else:
            document[key] = _merged(fields.get(key, _ANYTHING), document.get(key), value)
    return document


def _merged(field: Field, old: Any, new: Any) -> Any:
    if isinstance(new, dict):
        return _strategic(old if isinstance(old, dict) else {}, new, field.element)
    if not isinstance(new, list) or field.merge_key is None:
        return new
    entries = old if isinstance(old, list) else []
    if not field.merge_key:
        return entries + [item for item in new if item not in entries]
    return _merged_list(entries, new, field)


def _merged_list(old: list[Any], new: list[Any], field: Field) -> list[Any]:
    if {"$patch": "replace"} in new:
        return [item for item in new if item != {"$patch": "replace"}]
    entries, merge_key = list(old), field.merge_key or ""
    for item in new:
        if not isinstance(item, dict) or not isinstance(item.get(merge_key), str | int):
            raise bad_request(f"map: {json.dumps(item)[:100]} does not contain declared merge key: {merge_key}")
        at = _place(entries, merge_key, item[merge_key])
        if item.get("$patch") == "delete":
            if at is not None:
                del entries[at]
        elif at is None:
            entries.append(_strategic({}, item, field.element))
        else:
            entries[at] = _strategic(entries[at], item, field.element)
    return entries


def _place(entries: list[Any], merge_key: str, value: Any) -> int | None:
    for at, entry in enumerate(entries):
        if isinstance(entry, dict) and entry.get(merge_key) == value:
            return at
    return None


def _drop_values(document: dict[str, Any], key: str, values: Any) -> None:
    if isinstance(values, list) and isinstance(document.get(key), list):
        document[key] = [item for item in document[key] if item not in values]


def json_patch(document: Any, operations: Any) -> Any:
    """RFC 6902. All or nothing: the caller drops the document when this raises."""
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise bad_request("a JSON patch must be a list of operations")
    if len(operations) > OPERATIONS_MAX:
        raise too_large(f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}")
    root = {"": document}
    copied = 0
    for operation in operations:
        op, path = operation.get("op"), _pointer(operation.get("path"))
        if op in ("copy", "move"):
            source = _pointer(operation.get("from"))
            text = json.dumps(_get(root, source))
            copied += len(text)
            if copied > COPIED_MAX:
                raise too_large(f"unable to copy: the copies of a JSON patch may not exceed {COPIED_MAX} bytes")
            if op == "move":
                _remove(root, source)
            _add(root, path, json.loads(text))
        elif op in _OPERATIONS:
            if op != "remove" and "value" not in operation:
                raise bad_request(f"a JSON patch operation {op} needs a value")
            _OPERATIONS[op](root, path, operation.get("value"))
        else:
            raise _rejected(f"an operation must be add, remove, replace, move, copy or test, not {op!r:.50}")
    return root.get("")


def _pointer(path: Any) -> list[str]:
    """The parts of a JSON pointer, below a root that makes the empty pointer an ordinary one."""
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise bad_request("a JSON patch operation needs a path that begins with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")]


def _get(root: Any, parts: list[str]) -> Any:
    value = root
    for part in parts:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list):
            value = value[_index(part, len(value) - 1)]
        else:
            raise _no_fit(parts)
    return value


def _index(part: str, last: int) -> int:
    # As a number without leading zeros, of at most nine digits, or int() would take its time.
    if not (part.isascii() and part.isdigit()) or len(part) > 9 or int(part) > last:
        raise _no_fit([part])
    return int(part)


def _add(root: Any, parts: list[str], value: Any) -> None:
    parent, last = _get(root, parts[:-1]), parts[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        raise _no_fit(parts)


def _remove(root: Any, parts: list[str], _value: Any = None) -> None:
    _get(root, parts)
    parent, last = _get(root, parts[:-1]), parts[-1]
    if isinstance(parent, list):
        del parent[_index(last, len(parent) - 1)]
    else:
        del parent[last]


def _replace(root: Any, parts: list[str], value: Any) -> None:
    _get(root, parts)
    parent, last = _get(root, parts[:-1]), parts[-1]
    parent[_index(last, len(parent) - 1) if isinstance(parent, list) else last] = value


def _test(root: Any, parts: list[str], value: Any) -> None:
    if _get(root, parts) != value:
        raise _rejected(f"testing path {'/'.join(parts)[:100]} failed")


_OPERATIONS: Mapping[str, Callable[[Any, list[str], Any], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "test": _test,
}


def _no_fit(parts: list[str]) -> StatusError:
    return _rejected(f"the path {'/'.join(parts)[:100]!r} isn't there")


def _rejected(why: str) -> StatusError:
    return StatusError(422, "Invalid", f"the server rejected our request due to an error in our request: {why}", {})


PATCHES: Mapping[str, Callable[[Any, Any], Any]] = {
    "application/merge-patch+json": merge,
    "application/json-patch+json": json_patch,
    "application/strategic-merge-patch+json": strategic,
}
