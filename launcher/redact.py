"""Keeping credentials out of texts: what a storage library says may hold the key that it was given. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote

import attrs

MASK = "***"

# Characters: anything shorter isn't a credential by itself, and hiding it would make every text unreadable.
SHORTEST = 6

# What separates the parts of a connection string, a signed query or a key file's lines.
_SEPARATORS = re.compile(r"[;&?\r\n]")


@attrs.frozen
class Redactor:
    """Replaces the secret values that it knows by ``***``."""

    _values: tuple[str, ...] = attrs.field(default=(), repr=False)

    @classmethod
    def of(cls, options: Mapping[str, Any], public: Any = ()) -> Self:
        """For a filesystem's options: every text in them, and its parts, but what stands in ``public`` too."""
        open_text = tuple(_texts(public))
        found = {
            form
            for text in _texts(options)
            for part in _parts(text)
            if len(part) >= SHORTEST and not any(part in known for known in open_text)
            for form in (part, quote(part, safe=""))
        }
        # The longest first, so that no piece of a secret stays behind a shorter match.
        return cls(tuple(sorted(found, key=lambda value: (-len(value), value))))

    def __call__(self, text: str) -> str:
        """The text without any known secret."""
        for value in self._values:
            text = text.replace(value, MASK)
        return text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("utf-8", "replace")
    elif attrs.has(type(value)):
        yield from _texts([getattr(value, field.name) for field in attrs.fields(type(value))])
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


def _parts(text: str) -> Iterator[str]:
    yield text
    for piece in _SEPARATORS.split(text):
        yield piece.strip()
        _, equals, value = piece.partition("=")
        if equals:
            yield value.strip()
