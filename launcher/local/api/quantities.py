"""Kubernetes quantities (``500m``, ``1.5Gi``, ``2e3``): parsed exactly, written in the API's own form.
Pure."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Context, Decimal

_FORM = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}

# Characters: the longest useful quantity has about 25; anything longer is a mistake or an attack.
LONGEST = 64

# Kubernetes keeps quantities as int64 units (2^63 - 1 at most) of at least one nano.
_LARGEST = Decimal(2**63 - 1)
_EXACT = Context(prec=100)

TEXT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: str) -> Decimal:
    """The exact value of a quantity. Raises ``ValueError`` when it isn't one."""
    return _parse(text)[0]


def canonical(text: str) -> str:
    """As the API server writes it back: ``0.5`` is ``500m``, ``1024Mi`` is ``1Gi``. Raises ``ValueError``."""
    value, suffix = _parse(text)
    if suffix in _BINARY and value == value.to_integral_value() and abs(value) >= 1024:
        return _with_binary_suffix(int(value))
    if suffix[:1] in ("e", "E") and suffix != "E":
        return _with_exponent(value)
    return _with_decimal_suffix(value)


def _parse(text: str) -> tuple[Decimal, str]:
    found = _FORM.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise ValueError(TEXT)
    suffix = found["suffix"] or ""
    value = _EXACT.multiply(Decimal(found["number"]), _factor(suffix))
    nanos = (
        value.quantize(Decimal("1e-9"), rounding=ROUND_CEILING, context=_EXACT) if value.adjusted() < 60 else _LARGEST
    )
    return max(-_LARGEST, min(_LARGEST, nanos)), suffix


def _factor(suffix: str) -> Decimal:
    if suffix in _BINARY:
        return Decimal(2 ** _BINARY[suffix])
    exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:])
    # Beyond these powers the bounds of a quantity decide anyway.
    return Decimal(10) ** max(-60, min(60, exponent))


def _with_binary_suffix(value: int) -> str:
    for suffix, power in reversed(_BINARY.items()):
        if value % 2**power == 0:
            return f"{value >> power}{suffix}"
    return str(value)


def _with_decimal_suffix(value: Decimal) -> str:
    number, exponent = _mantissa(value)
    suffix = next(name for name, power in _DECIMAL.items() if power == exponent)
    return f"{number}{suffix}"


def _with_exponent(value: Decimal) -> str:
    number, exponent = _mantissa(value)
    return f"{number}e{exponent}" if exponent else str(number)


def _mantissa(value: Decimal) -> tuple[int, int]:
    """A whole number and the largest power of a thousand that together make ``value``."""
    nanos = int(value.scaleb(9, context=_EXACT))
    exponent = -9
    while nanos and nanos % 1000 == 0 and exponent < 18:
        nanos, exponent = nanos // 1000, exponent + 3
    return (nanos, exponent) if nanos else (0, 0)
