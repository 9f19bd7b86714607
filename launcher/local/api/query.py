"""The options of a request's URL, parsed as Go parses them. Pure; a bad value is a 400 ``StatusError``."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from launcher.local.api.status import bad_request

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_VALIDATION = ("Strict", "Warn", "Ignore")


@attrs.frozen
class Query:
    """The options by name; an absent one and an empty one are the same."""

    raw: Mapping[str, str]

    def text(self, name: str) -> str:
        return self.raw.get(name, "")

    def flag(self, name: str) -> bool | None:
        """A boolean, None when it isn't given."""
        value = self.text(name)
        if not value:
            return None
        if value not in _TRUE and value not in _FALSE:
            raise bad_request(f'strconv.ParseBool: parsing {value[:50]!r}: invalid syntax in "{name}"')
        return value in _TRUE

    def number(self, name: str) -> int | None:
        """An int64, None when it isn't given."""
        value = self.text(name)
        if not value:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", value) or not -(2**63) <= int(value) < 2**63:
            raise bad_request(f'strconv.ParseInt: parsing {value[:50]!r}: invalid syntax in "{name}"')
        return int(value)

    def version(self, name: str) -> int:
        """A resource version; 0 when it isn't given. Raises 400 for one that this server never made."""
        value = self.text(name)
        if not re.fullmatch(r"[0-9]{0,19}", value):
            raise bad_request(f"Invalid value for {name}: {value[:50]!r}: strconv.ParseUint: invalid syntax")
        return int(value or 0)

    @property
    def dry_run(self) -> bool:
        value = self.text("dryRun")
        if value not in ("", "All"):
            raise bad_request(f'Unsupported value: {value[:50]!r}: supported values: "All" in "dryRun"')
        return value == "All"

    @property
    def field_validation(self) -> str:
        """Strict, Warn or Ignore: what becomes of unknown fields."""
        value = self.text("fieldValidation") or "Warn"
        if value not in _VALIDATION:
            raise bad_request(f'Unsupported value: {value[:50]!r} in "fieldValidation"')
        return value
