"""From a client's JSON to an object of a known shape: types checked, unknown fields dropped, defaults filled
in.

As in Kubernetes a wrong type ends decoding at once with 400, while missing and unsupported values are
collected as causes of a 422. Values are changed in place: whoever calls owns them.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from launcher.local.api import quantities
from launcher.local.api.names import CHECKS
from launcher.local.api.shapes import SHAPES
from launcher.local.api.status import Cause, bad_request, invalid, required, unsupported

# The way from the object's root to a value: (the way to its parent, key), () at the root. Made for every
# value and turned to text only for the few that are wrong.
Where = tuple[Any, ...]


@attrs.define
class Notes:
    """What decoding found: ``causes`` make the object invalid, ``unknown`` fields have been dropped."""

    kind: str
    causes: list[Cause] = attrs.field(factory=list)
    unknown: list[str] = attrs.field(factory=list)


Reader = Callable[[Any, Where, Notes], Any]


def text_of(where: Where) -> str:
    """The path as Kubernetes writes it: ``spec.containers[0].name``, ``data[key]``."""
    parts: list[str] = []
    while where:
        where, key = where
        parts.append(f"[{key}]" if isinstance(key, int) else f".{key}")
    return "".join(reversed(parts)).removeprefix(".")


class Schema:
    """The readers of all shapes, made from their table once."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape] = {}
        for name, fields in _entries(SHAPES):
            self._shapes[name] = _Shape(name, fields, self)

    def read(self, kind: str, value: Any, notes: Notes, where: Where = ()) -> dict[str, Any]:
        """``value`` as a ``kind``, changed in place. Raises a 400 ``StatusError`` when a type is wrong."""
        return self._shapes[kind].read(value, where, notes)

    def _shape(self, name: str) -> Reader:
        # Looked up when first read: shapes may name one another in any order.
        def read(value: Any, where: Where, notes: Notes) -> dict[str, Any]:
            return self._shapes[name].read(value, where, notes)

        return read

    def type(self, text: str) -> Reader:
        """The reader of a type as the table spells it."""
        if text.startswith("["):
            return _list_of(self.type(text[1:-1]), text)
        if text.startswith("{"):
            return _mapping_to(self.type(text[1:-1]), text)
        if "|" in text:
            return _one_of(text.split("|"))
        if text in CHECKS:
            return _checked(text)
        if text in _SCALARS:
            return _SCALARS[text]
        return self._shape(text)


def _entries(table: str) -> list[tuple[str, list[str]]]:
    entries: list[tuple[str, list[str]]] = []
    for line in table.splitlines():
        if line.startswith(" "):
            entries[-1][1].extend(line.split())
        elif line:
            name, _, fields = line.partition(":")
            entries.append((name, fields.split()))
    return entries


class _Shape:
    def __init__(self, name: str, fields: list[str], schema: Schema) -> None:
        self.name = name
        self.readers: dict[str, Reader] = {}
        self.required: list[str] = []
        self.defaults: dict[str, Any] = {}
        for field in fields:
            spelled, _, rest = field.partition(":")
            type_text, has_default, default = rest.partition("=")
            key = spelled.removesuffix("*")
            self.readers[key] = schema.type(type_text)
            if spelled.endswith("*"):
                self.required.append(key)
            if has_default:
                self.defaults[key] = _default(type_text, default)

    def read(self, value: Any, where: Where, notes: Notes) -> dict[str, Any]:
        if type(value) is not dict:
            raise _wrong_type(value, f"v1.{self.name}", where, notes)
        gone = []
        for key, item in value.items():
            reader = self.readers.get(key)
            if reader is None:
                notes.unknown.append(text_of((where, key)))
            elif item is not None:
                read = reader(item, (where, key), notes)
                if read is not None:
                    value[key] = read
                    continue
            gone.append(key)
        for key in gone:
            del value[key]
        self._complete(value, where, notes)
        return value

    def _complete(self, value: dict[str, Any], where: Where, notes: Notes) -> None:
        for key in self.required:
            # An empty mapping is a given struct; zero is a given number.
            if value.get(key) in (None, "", []):
                notes.causes.append(required(text_of((where, key))))
        for key, default in self.defaults.items():
            if key not in value or value[key] == "":
                value[key] = {} if default == {} else default


def _default(type_text: str, text: str) -> Any:
    if type_text in ("bool", "int32", "int64") or text == "{}":
        return json.loads(text)
    return text


def _list_of(element: Reader, spelled: str) -> Reader:
    plain_strings = spelled == "[str]"

    def read(value: Any, where: Where, notes: Notes) -> list[Any] | None:
        if type(value) is not list:
            raise _wrong_type(value, _go_name(spelled), where, notes)
        if plain_strings and all(type(item) is str for item in value):
            return value or None
        for at, item in enumerate(value):
            value[at] = element(item, (where, at), notes)
        return value or None

    return read


def _mapping_to(element: Reader, spelled: str) -> Reader:
    def read(value: Any, where: Where, notes: Notes) -> dict[str, Any] | None:
        if type(value) is not dict:
            raise _wrong_type(value, _go_name(spelled), where, notes)
        for key, item in value.items():
            # A null becomes the empty string, as in Go.
            value[key] = element("" if item is None else item, (where, key), notes)
        return value or None

    return read


def _one_of(values: list[str]) -> Reader:
    def read(value: Any, where: Where, notes: Notes) -> str:
        if type(value) is not str:
            raise _wrong_type(value, "string", where, notes)
        if value not in values and value:
            notes.causes.append(unsupported(text_of(where), value, filter(None, values)))
        return value

    return read


def _checked(name: str) -> Reader:
    check = CHECKS[name]

    def read(value: Any, where: Where, notes: Notes) -> str:
        if type(value) is not str:
            raise _wrong_type(value, "string", where, notes)
        # An empty one is reported as missing where it is required.
        notes.causes.extend(invalid(text_of(where), value, text) for text in (check(value) if value else ()))
        return value

    return read


def _plain(kind: type, go_name: str) -> Reader:
    def read(value: Any, where: Where, notes: Notes) -> Any:
        if type(value) is not kind:
            raise _wrong_type(value, go_name, where, notes)
        return value

    return read


def _integer(bits: int) -> Reader:
    limit = 2 ** (bits - 1)

    def read(value: Any, where: Where, notes: Notes) -> int:
        # Not isinstance: a bool is an int to Python.
        if type(value) is not int or not -limit <= value < limit:
            raise _wrong_type(value, f"int{bits}", where, notes)
        return value

    return read


def _number_or_text(value: Any, where: Where, notes: Notes) -> Any:
    return value if type(value) is str else _SCALARS["int32"](value, where, notes)


def _quantity(value: Any, where: Where, notes: Notes) -> str:
    # json.loads has made 1e3 a float; its text is a quantity again.
    text = str(value) if type(value) in (int, float) else value
    if type(text) is not str:
        raise _wrong_type(value, "resource.Quantity", where, notes)
    try:
        return quantities.canonical(text)
    except ValueError as exc:
        raise _undecodable(notes, f"{text_of(where)}: {exc}") from None


_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})")


def _time(value: Any, where: Where, notes: Notes) -> str:
    if type(value) is not str or not _is_time(value):
        raise _undecodable(notes, f"{text_of(where)}: a time must look like 2006-01-02T15:04:05Z")
    return value


def _is_time(text: str) -> bool:
    try:
        # In UTC too: whoever computes with it may need that.
        return _TIME.fullmatch(text) is not None and bool(datetime.fromisoformat(text).astimezone(UTC))
    except (ValueError, OverflowError):
        return False


def _base64(value: Any, where: Where, notes: Notes) -> str:
    if type(value) is not str:
        raise _wrong_type(value, "[]uint8", where, notes)
    text = value.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        # Without the value: it is a secret's.
        raise _undecodable(notes, f"illegal base64 data in {text_of(where)}") from None
    return text


def _dropped(value: Any, where: Where, notes: Notes) -> None:
    return None


_SCALARS: Mapping[str, Reader] = {
    "str": _plain(str, "string"),
    "bool": _plain(bool, "bool"),
    "object": _plain(dict, "map[string]interface {}"),
    "int32": _integer(32),
    "int64": _integer(64),
    "intstr": _number_or_text,
    "quantity": _quantity,
    "time": _time,
    "base64": _base64,
    "dropped": _dropped,
}

_GO_NAMES = {"str": "string", "base64": "[]uint8", "quantity": "resource.Quantity", "object": "interface {}"}


def _go_name(spelled: str) -> str:
    inner = spelled[1:-1]
    name = "string" if "|" in inner or inner in CHECKS else _GO_NAMES.get(inner, inner)
    if name[0].isupper():
        name = f"v1.{name}"
    return f"[]{name}" if spelled.startswith("[") else f"map[string]{name}"


_JSON_NAMES = {dict: "object", list: "array", str: "string", bool: "bool", int: "number", float: "number"}


def _wrong_type(value: Any, wanted: str, where: Where, notes: Notes) -> Exception:
    got = _JSON_NAMES.get(type(value), "null")
    field = f"field {text_of(where)}" if where else "value"
    return _undecodable(notes, f"json: cannot unmarshal {got} into Go struct {field} of type {wanted}")


def _undecodable(notes: Notes, why: str) -> Exception:
    return bad_request(f'{notes.kind} in version "v1" cannot be handled as a {notes.kind}: {why}')
