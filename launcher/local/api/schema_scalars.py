"""Readers of single values: each returns the value as it is stored, or raises a 400 as Kubernetes words it.
Pure."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from launcher.local.api import quantities
from launcher.local.api.names import CHECKS
from launcher.local.api.schema_notes import Notes, Reader, Where, text_of, undecodable, wrong_type
from launcher.local.api.status import SHOWN, invalid, unsupported


def one_of(values: list[str]) -> Reader:
    """A string that should be one of these; another is noted."""

    def read(value: Any, where: Where, notes: Notes) -> str:
        if type(value) is not str:
            raise wrong_type(value, "string", where, notes)
        if value not in values and value:
            notes.causes.append(unsupported(text_of(where), value, filter(None, values)))
        return value

    return read


def checked(name: str) -> Reader:
    """A string that a check of names.py should accept; another is noted."""
    check = CHECKS[name]

    def read(value: Any, where: Where, notes: Notes) -> str:
        if type(value) is not str:
            raise wrong_type(value, "string", where, notes)
        # An empty one is reported as missing where it is required.
        notes.causes.extend(invalid(text_of(where), value, text) for text in (check(value) if value else ()))
        return value

    return read


def _plain(kind: type, go_name: str) -> Reader:
    def read(value: Any, where: Where, notes: Notes) -> Any:
        if type(value) is not kind:
            raise wrong_type(value, go_name, where, notes)
        return value

    return read


def _object(value: Any, where: Where, notes: Notes) -> Any:
    if not isinstance(value, dict):
        raise wrong_type(value, "map[string]interface {}", where, notes)
    return value


def _integer(bits: int) -> Reader:
    limit = 2 ** (bits - 1)

    def read(value: Any, where: Where, notes: Notes) -> int:
        # Not isinstance: a bool is an int to Python.
        if type(value) is not int or not -limit <= value < limit:
            raise wrong_type(value, f"int{bits}", where, notes)
        return value

    return read


def _number_or_text(value: Any, where: Where, notes: Notes) -> Any:
    return value if type(value) is str else SCALARS["int32"](value, where, notes)


def _quantity(value: Any, where: Where, notes: Notes) -> str:
    # json.loads has made 1e3 a float; its text is a quantity again.
    text = str(value) if type(value) in (int, float) else value
    try:
        return quantities.canonical(text if type(text) is str else "")
    except ValueError as exc:
        raise undecodable(notes, str(exc)) from None


# A time and how Go's decoder names each part of it.
_TIME_PARTS = (
    (r"\d{4}", "2006"), ("-", "-"), (r"\d{2}", "01"), ("-", "-"), (r"\d{2}", "02"), ("T", "T"), (r"\d{2}", "15"),
    (":", ":"), (r"\d{2}", "04"), (":", ":"), (r"\d{2}(?:\.\d{1,9})?", "05"), (r"(?:Z|[+-]\d{2}:\d{2})", "Z07:00"),
)  # fmt: skip
_TIME = re.compile("".join(part for part, _ in _TIME_PARTS), re.ASCII)
_TIME_LAYOUT = "".join(name for _, name in _TIME_PARTS)


def _time(value: Any, where: Where, notes: Notes) -> str:
    if type(value) is not str:
        raise wrong_type(value, "string", where, notes)
    if _TIME.fullmatch(value) is None:
        raise undecodable(notes, f'parsing time "{value[:SHOWN]}"{_misspelling(value[:SHOWN])}')
    try:
        # In UTC too: whoever computes with it may need that.
        datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        # The first word is the part: "month must be in 1..12".
        raise undecodable(notes, f'parsing time "{value}": {str(exc).split()[0]} out of range') from None
    return value


def _misspelling(text: str) -> str:
    for part, name in _TIME_PARTS:
        found = re.match(part, text, re.ASCII)
        if found is None:
            return f' as "{_TIME_LAYOUT}": cannot parse "{text}" as "{name}"'
        text = text[found.end() :]
    return f': extra text: "{text}"'


_BASE64 = re.compile("[A-Za-z0-9+/]*")


def _base64(value: Any, where: Where, notes: Notes) -> str:
    if type(value) is not str:
        raise wrong_type(value, "[]uint8", where, notes)
    text = value.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(text, validate=True)
    except ValueError:
        # Without the value: it is a secret's. The position is the first bad byte's, or its last group's.
        good = len(_BASE64.match(text)[0])  # type: ignore[index]  # it matches any text
        at = good if good < len(text) else good - good % 4
        raise undecodable(notes, f"illegal base64 data at input byte {at}") from None
    return text


def _dropped(value: Any, where: Where, notes: Notes) -> None:
    return None


SCALARS: Mapping[str, Reader] = {
    "str": _plain(str, "string"),
    "bool": _plain(bool, "bool"),
    "object": _object,
    "int32": _integer(32),
    "int64": _integer(64),
    "intstr": _number_or_text,
    "quantity": _quantity,
    "time": _time,
    "base64": _base64,
    "dropped": _dropped,
}
