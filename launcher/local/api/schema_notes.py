"""What decoding finds wrong, in Kubernetes' words, and where. Pure.

A wrong type ends decoding: ``wrong_type`` and ``undecodable`` make the 400 to raise. Everything else is noted
and decoding goes on.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from launcher.local.api.schema import shapes
from launcher.local.api.schema_additions import EMBEDDED
from launcher.local.api.status import SHOWN, Cause, StatusError, bad_request

# The way from the object's root to a value: (the way to its parent, key), () at the root. Made for every
# value and turned to text only for the few that are wrong.
Where = tuple[Any, ...]


@attrs.define
class Notes:
    """What decoding found: ``causes`` make the object invalid, ``unexpected`` are sentences about fields that
    have been dropped, unknown or repeated."""

    kind: str
    causes: list[Cause] = attrs.field(factory=list)
    unexpected: list[str] = attrs.field(factory=list)


Reader = Callable[[Any, Where, Notes], Any]


class Repeating(dict[str, Any]):
    """An object of JSON in which fields stand more than once; of each the last one counts, as in Go."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        # Counted, since a hostile object has a million of them.
        self.repeated = frozenset(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)


def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """What ``json.loads`` makes of an object, with a mark where fields are repeated."""
    made = dict(pairs)
    return made if len(made) == len(pairs) else Repeating(pairs)


def text_of(where: Where) -> str:
    """The path as Kubernetes writes it: ``spec.containers[0].name``, ``data.key``."""
    parts = (f"[{key}]" if isinstance(key, int) else f".{key}" for key in _keys(where))
    return "".join(parts).removeprefix(".")


def wrong_type(value: Any, wanted: str, where: Where, notes: Notes) -> StatusError:
    """``wanted`` is the type as Go calls it."""
    got = _JSON_NAMES.get(type(value), "null")
    if got == "number" and wanted in ("int32", "int64"):
        # It is a number, but not one of these: a fraction, or too large.
        got += f" {json.dumps(value):.{SHOWN}}"
    place = f"struct field {_go_field(where, notes.kind)}" if where else "value"
    return undecodable(notes, f"json: cannot unmarshal {got} into Go {place} of type {wanted}")


def undecodable(notes: Notes, why: str) -> StatusError:
    return bad_request(f'{notes.kind} in version "v1" cannot be handled as a {notes.kind}: {why}')


_JSON_NAMES = {
    dict: "object",
    Repeating: "object",
    list: "array",
    str: "string",
    bool: "bool",
    int: "number",
    float: "number",
}


def _keys(where: Where) -> list[Any]:
    keys: list[Any] = []
    while where:
        where, key = where
        keys.append(key)
    return keys[::-1]


def _go_field(where: Where, kind: str) -> str:
    """A field as Go's decoder names it: ``Container.spec.containers.command``.

    The innermost struct comes first; elements of lists and keys of mappings aren't told; structs that are
    embedded in others are.
    """
    struct, inside, path = kind, kind, []
    for key in _keys(where):
        fields = shapes().get(inside, {})
        if key not in fields:
            continue
        struct = inside
        embedded, own = EMBEDDED.get(struct, ("", frozenset()))
        if embedded and key not in own:
            path.append(embedded)
        path.append(key)
        inside = fields[key].element
    return ".".join([struct.rpartition(".")[2], *path])
