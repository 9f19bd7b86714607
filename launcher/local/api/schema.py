"""Which fields each kind has, of which type: Kubernetes' own schema, with what that doesn't tell added.

``schema.txt`` is generated from Kubernetes' schemas and not edited; ``schema_additions.py`` is ours. Both have
one language. A shape is its name, a colon and its fields, continued on indented lines. A field is its name and
any of these, in this order:

    !            the schema calls it required
    *            refused when it is missing or empty (additions alone: the schema doesn't tell what is checked)
    :TYPE        see below; an addition without one keeps the schema's
    ~KEY         a strategic merge patch merges the list by KEY, or as a set when there is none
    +            such a patch may say which keys of an entry to retain
    @KEY,KEY     server-side apply merges the list by these keys, or as a set when there are none
    =DEFAULT     what the server fills in

A type is one of

    str int32 int64 bool time quantity base64 intstr    scalars (intstr: a number or a string)
    object                     a mapping of anything
    dropped                    accepted and not kept
    dns_label env_name …       a string that a check of names.py accepts
    A|B|C                      a string, one of these
    [TYPE]  {TYPE}             a list; a mapping of strings to TYPE
    Name                       another shape

Parsed shape by shape when first asked for: most of the shapes are never used.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from launcher.local.api.schema_additions import ADDITIONS

FILE = "schema.txt"

_FIELD = re.compile(
    r"(?P<name>\w+)(?P<required>!)?(?P<checked>\*)?(?::(?P<type>[^~@=+]+))?(?P<merge>~\w*)?(?P<retain>\+)?"
    r"(?:@(?P<keys>[\w,]*))?(?:=(?P<default>.*))?"
)


@attrs.frozen
class Field:
    """One field of a shape.

    ``required`` is the schema's word, ``checked`` says that the server refuses an object without it.
    ``merge_key`` and ``list_keys`` tell a list's entries apart, for strategic merge patches and for
    server-side apply: None for lists that are replaced, empty for sets.
    """

    type: str
    required: bool = False
    checked: bool = False
    default: str | None = None
    merge_key: str | None = None
    retains: bool = False
    list_keys: tuple[str, ...] | None = None

    @property
    def element(self) -> str:
        """The type of what stands in the list or mapping, at any depth."""
        return self.type.strip("[]{}")


class Shapes(Mapping[str, Mapping[str, Field]]):
    """Every shape by its name: its fields by theirs."""

    def __init__(self, table: str, additions: str) -> None:
        self._texts = _entries(table)
        self._additions = _entries(additions)
        self._parsed: dict[str, dict[str, Field]] = {}

    def __getitem__(self, name: str) -> Mapping[str, Field]:
        fields = self._parsed.get(name)
        if fields is None:
            fields = self._parsed[name] = self._parse(name)
        return fields

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)

    def _parse(self, name: str) -> dict[str, Field]:
        fields = dict(map(_field, self._texts[name].split()))
        for text in self._additions.get(name, "").split():
            key, added = _field(text)
            fields[key] = attrs.evolve(
                fields[key], type=added.type or fields[key].type, checked=added.checked, default=added.default
            )
        return fields


@functools.cache
def shapes() -> Shapes:
    """The shapes of this version. The file belongs to the package and never changes."""
    return Shapes(Path(__file__).with_name(FILE).read_text(), ADDITIONS)


def _entries(table: str) -> dict[str, str]:
    entries = (entry.partition(":") for entry in re.split(r"\n+(?! )", table.strip()))
    return {name: fields for name, _, fields in entries}


def _field(text: str) -> tuple[str, Field]:
    found = _FIELD.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} isn't a field of a shape")
    merge, keys = found["merge"], found["keys"]
    return found["name"], Field(
        found["type"] or "",
        required=found["required"] is not None,
        checked=found["checked"] is not None,
        default=found["default"],
        merge_key=None if merge is None else merge[1:],
        retains=found["retain"] is not None,
        list_keys=None if keys is None else tuple(filter(None, keys.split(","))),
    )
