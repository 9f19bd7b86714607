"""Quantities and durations: what they mean, and what isn't one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st

from launcher import InvalidSpec, Resources, codec
from launcher.quantity import parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        (1, "1"),
        ("0.5", "0.5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("500m", "0.5"),
        ("100u", "0.0001"),
        ("1n", "0.000000001"),
        ("1k", "1000"),
        ("1Ki", "1024"),
        ("8Gi", str(8 * 2**30)),
        ("1.5Gi", str(3 * 2**29)),
        ("2T", "2000000000000"),
        ("1Ei", str(2**60)),
        ("1e3", "1000"),
        ("1E3", "1000"),
        ("1E", "1000000000000000000"),
        ("12e-1", "1.2"),
    ],
)
def test_quantities(text: Any, number: str) -> None:
    """A quantity means what Kubernetes takes it for."""
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "g",
        "8 Gi",
        "8GiB",
        "8gb",
        "1K",
        "8gi",
        "-1",
        "+1",
        "1,5",
        "0x10",
        "1e",
        "1e999",
        "٣",
        "1\n",
        "nan",
        "inf",
        "9" * 19,
    ],
)
def test_not_quantities(text: str) -> None:
    """What Kubernetes wouldn't take for a quantity isn't one; neither is one that no machine has."""
    with pytest.raises(ValueError):
        parse_quantity(text)


@hypothesis.given(st.text(max_size=40) | st.text("0123456789.eEmkMGTPEinu+-", max_size=30))
def test_any_text_as_a_quantity(text: str) -> None:
    """Any text is a quantity or a ValueError, in no time."""
    try:
        assert parse_quantity(text) >= 0
    except ValueError:
        return


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90),
        (0.5, 0.5),
        ("90s", 90),
        ("1.5s", 1.5),
        ("30m", 1800),
        ("2h", 7200),
        ("1d", 86400),
        ("1h30m", 5400),
        (" 2h ", 7200),
        ("1d2h3m4s", 93784),
    ],
)
def test_durations(value: Any, seconds: float) -> None:
    """A duration is seconds, or text with units."""
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value", ["", "90", "soon", "2 h", "1:30", "h", "-5s", "2H", "1h30", True, "1e3s", "٣s", "9" * 10 + "s"]
)
def test_not_durations(value: Any) -> None:
    """A number without its unit, another order of words and a yes aren't durations."""
    with pytest.raises(ValueError):
        parse_duration(value)


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("cpu", 2, "2"),
        ("cpu", 0.5, "0.5"),
        ("cpu", 10, "10"),
        ("cpu", 100.0, "100"),
        ("cpu", "500m", "500m"),
        ("memory", "8Gi", "8Gi"),
        ("memory", 2**33, str(2**33)),
        ("memory", 1e10, "10000000000"),
        ("gpu", 1, "1"),
        ("gpu", 0, "0"),
        ("ephemeralStorage", "20Gi", "20Gi"),
    ],
)
def test_resources_as_text(field: str, value: Any, kept: str) -> None:
    """Plain numbers become the quantity that they mean, and text stays as written."""
    resources = codec.structure({field: value}, Resources)
    assert codec.unstructure(resources) == {field: kept}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("memory", 8, "8Gi?"),
        ("memory", "8", "8Gi?"),
        ("memory", 512, "512Gi?"),
        ("memory", "100m", "512Mi?"),
        ("memory", 1.5, "512Mi?"),
        ("memory", "8GB", "unknown unit"),
        ("memory", True, "must be"),
        ("memory", [1], "must be"),
        ("ephemeralStorage", 20, "20Gi?"),
        ("cpu", "half", "isn't a quantity"),
        ("cpu", -1, "isn't a quantity"),
        ("cpu", "1e-20", "less than Kubernetes can count"),
        ("gpu", 0.5, "whole number"),
        ("gpu", "1k", "whole number"),
        ("gpu", -1, "whole number"),
    ],
)
def test_resources_refused(field: str, value: Any, said: str) -> None:
    """An amount without its unit, or that isn't one, is refused with what was probably meant."""
    with pytest.raises(InvalidSpec, match=f"(?s){field}.*{said.replace('?', '[?]')}"):
        codec.structure({field: value}, Resources)
