"""From a client's JSON to an object of a known shape: types checked, unknown fields dropped, defaults filled
in.

As in Kubernetes a wrong type ends decoding at once with 400, while missing and unsupported values are
collected as causes of a 422. Values are changed in place: whoever calls owns them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launcher.local.api.names import CHECKS
from launcher.local.api.schema import Field, shapes
from launcher.local.api.schema_notes import Notes, Reader, Repeating, Where, text_of, wrong_type
from launcher.local.api.schema_scalars import SCALARS, checked, one_of
from launcher.local.api.status import required

__all__ = ["Notes", "Schema"]


class Schema:
    """The readers of all shapes, each made when it is first needed."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape] = {}

    def read(self, kind: str, value: Any, notes: Notes, where: Where = ()) -> dict[str, Any]:
        """``value`` as a ``kind``, changed in place. Raises a 400 ``StatusError`` when a type is wrong."""
        return self._made(kind).read(value, where, notes)

    def _made(self, name: str) -> _Shape:
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = _Shape(name, shapes()[name], self)
        return shape

    def _shape(self, name: str) -> Reader:
        # Looked up when first read: shapes may name one another, and most are never read.
        def read(value: Any, where: Where, notes: Notes) -> dict[str, Any]:
            return self._made(name).read(value, where, notes)

        return read

    def type(self, text: str) -> Reader:
        """The reader of a type as the tables spell it."""
        if text.startswith("["):
            return _list_of(self.type(text[1:-1]), text)
        if text.startswith("{"):
            return _mapping_to(self.type(text[1:-1]), text)
        if "|" in text:
            return one_of(text.split("|"))
        if text in CHECKS:
            return checked(text)
        if text in SCALARS:
            return SCALARS[text]
        return self._shape(text)


_NONE: frozenset[str] = frozenset()


class _Shape:
    def __init__(self, name: str, fields: Mapping[str, Field], schema: Schema) -> None:
        self.go_name = _go_name(name)
        self.readers = {key: schema.type(field.type) for key, field in fields.items()}
        self.checked = [key for key, field in fields.items() if field.checked]
        self.defaults = {
            key: _default(field.type, field.default) for key, field in fields.items() if field.default is not None
        }

    def read(self, value: Any, where: Where, notes: Notes) -> dict[str, Any]:
        repeated = _NONE
        if type(value) is Repeating:
            value, repeated = dict(value), value.repeated
        elif type(value) is not dict:
            raise wrong_type(value, self.go_name, where, notes)
        gone = []
        for key, item in value.items():
            reader = self.readers.get(key)
            if key in repeated and reader is not None:
                notes.unexpected.append(f'duplicate field "{text_of((where, key))}"')
            if reader is None:
                notes.unexpected.append(f'unknown field "{text_of((where, key))}"')
            elif item is not None:
                read = reader(item, (where, key), notes)
                if read is not None:
                    value[key] = read
                    continue
            gone.append(key)
        for key in gone:
            del value[key]
        self._complete(value, where, notes)
        complete: dict[str, Any] = value
        return complete

    def _complete(self, value: dict[str, Any], where: Where, notes: Notes) -> None:
        for key in self.checked:
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
    go_name = _go_name(spelled)

    def read(value: Any, where: Where, notes: Notes) -> list[Any] | None:
        if type(value) is not list:
            raise wrong_type(value, go_name, where, notes)
        if plain_strings and all(type(item) is str for item in value):
            return value or None
        for at, item in enumerate(value):
            value[at] = element(item, (where, at), notes)
        return value or None

    return read


def _mapping_to(element: Reader, spelled: str) -> Reader:
    go_name = _go_name(spelled)
    # A null becomes what is empty in Go: a text or, for a list, nothing.
    empty: Any = [] if spelled.startswith("{[") else ""

    def read(value: Any, where: Where, notes: Notes) -> dict[str, Any] | None:
        if type(value) is Repeating:
            notes.unexpected += (f'duplicate field "{text_of((where, key))}"' for key in value if key in value.repeated)
            value = dict(value)
        elif type(value) is not dict:
            raise wrong_type(value, go_name, where, notes)
        for key, item in value.items():
            value[key] = element(empty if item is None else item, (where, key), notes)
        return value or None

    return read


_GO_NAMES = {"str": "string", "base64": "[]uint8", "quantity": "resource.Quantity", "object": "interface {}"}


def _go_name(spelled: str) -> str:
    """A type as Go calls it: ``[]v1.Container``, ``map[string]string``."""
    if spelled.startswith("["):
        return f"[]{_go_name(spelled[1:-1])}"
    if spelled.startswith("{"):
        return f"map[string]{_go_name(spelled[1:-1])}"
    if "|" in spelled or spelled in CHECKS:
        return "string"
    if spelled in _GO_NAMES or spelled in SCALARS:
        return _GO_NAMES.get(spelled, spelled)
    return f"v1.{spelled.rpartition('.')[2]}"
