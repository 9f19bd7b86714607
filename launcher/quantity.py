"""Kubernetes quantities (``500m``, ``8Gi``, ``1e3``) and durations (``90s``, ``2h``). Pure."""

from __future__ import annotations

import re
from decimal import Decimal

_SUFFIXES: dict[str, Decimal] = {
    "": Decimal(1),
    **{s: Decimal(1000) ** e for e, s in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{s: Decimal(1024) ** e for e, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{s: Decimal(1000) ** -e for e, s in enumerate(("m", "u", "n"), 1)},
}
# 18 digits are more than any machine has of anything, and keep hostile input from costing time.
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(?:([eE][+-]?[0-9]{1,2})|([A-Za-z]{0,2}))")

_DURATION = re.compile(r"(?:([0-9]{1,9}(?:\.[0-9]{1,6})?)(d|h|m|s))")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0}


def parse_quantity(text: object) -> Decimal:
    """The number that a quantity stands for. Raises ``ValueError`` when it isn't one."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} isn't a quantity")
    number, exponent, suffix = match.groups()
    if exponent:
        return Decimal(number + exponent)
    if suffix not in _SUFFIXES:
        raise ValueError(f"{text!r} has the unknown unit {suffix!r}")
    return Decimal(number) * _SUFFIXES[suffix]


def parse_duration(value: str | float) -> float:
    """Seconds of ``90``, ``"90s"``, ``"2h"``, ``"1h30m"``. Raises ``ValueError`` when it isn't a duration."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} isn't a duration")  # noqa: TRY004 - one kind of error for what users write
    if isinstance(value, int | float):
        return float(value)
    text = value.strip()
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    raise ValueError(f"{value!r} isn't a duration")
