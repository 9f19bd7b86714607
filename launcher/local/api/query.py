"""The options of a request's URL, parsed as Go parses them. Pure; a bad value is a 400 ``StatusError``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

import attrs

from launcher.local.api.status import bad_request, invalid_options, unsupported

_TRUE = {"1", "t", "T", "TRUE", "true", "True"}
_FALSE = {"0", "f", "F", "FALSE", "false", "False"}
_VALIDATION = ("Strict", "Warn", "Ignore")


@attrs.frozen
class Query:
    """The options by name; an absent one and an empty one are the same. ``kind`` is what refusals call them."""

    raw: Mapping[str, str]
    kind: str = "ListOptions"

    def text(self, name: str) -> str:
        return self.raw.get(name, "")

    def flag(self, name: str) -> bool | None:
        """A boolean, None when it isn't given."""
        value = self.text(name)
        if not value:
            return None
        if value not in _TRUE and value not in _FALSE:
            raise bad_request(f"strconv.ParseBool: parsing {json.dumps(value[:50])}: invalid syntax")
        return value in _TRUE

    def number(self, name: str) -> int | None:
        """An int64, None when it isn't given."""
        value = self.text(name)
        if not value:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", value) or not -(2**63) <= int(value) < 2**63:
            raise bad_request(f"strconv.ParseInt: parsing {json.dumps(value[:50])}: invalid syntax")
        return int(value)

    def version(self, name: str) -> int:
        """A resource version; 0 when it isn't given. Raises 400 for one that this server never made."""
        value = self.text(name)
        if not re.fullmatch(r"[0-9]{0,19}", value):
            shown = json.dumps(value[:50])
            why = f"Invalid value: {shown}: strconv.ParseUint: parsing {shown}: invalid syntax"
            raise bad_request(f"invalid resource version: {name}: {why}")
        return int(value or 0)

    @property
    def dry_run(self) -> bool:
        value = self.text("dryRun")
        if value not in ("", "All"):
            raise invalid_options(self.kind, unsupported("dryRun", [value], ["All"]))
        return value == "All"

    @property
    def field_validation(self) -> str:
        """Strict, Warn or Ignore: what becomes of unknown fields."""
        value = self.text("fieldValidation") or "Warn"
        if value not in _VALIDATION:
            raise invalid_options(self.kind, unsupported("fieldValidation", value, ["", *sorted(_VALIDATION)]))
        return value
