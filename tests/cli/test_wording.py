"""How text, times and sizes are shown."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.cli.wording import age, duration, one_line, size, visible


@given(st.text())
def test_what_is_shown_moves_no_cursor(text: str) -> None:
    """Of all control characters only tabs and line ends pass, and on one line not even those."""
    assert not [ch for ch in visible(text) if unicodedata.category(ch) == "Cc" and ch not in "\n\t"]
    assert not [ch for ch in one_line(text) if unicodedata.category(ch) in ("Cc", "Cs")]
    one_line(text).encode("utf-8")


def test_text_that_people_write_stays_as_it_is() -> None:
    """Emoji with joiners, accents and other scripts aren't spelled out; escapes and direction overrides are."""
    family = "👩\u200d👩\u200d👧 café 日本 عربى"
    assert visible(family) == family
    assert visible("\x1b[31mred\u202egnp.exe\r") == "\\x1b[31mred\\u202egnp.exe\\r"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "under 1 s"), (0.9, "under 1 s"), (1, "1 s"), (59.6, "1 m 0 s"), (125, "2 m 5 s"), (12_000, "3 h 20 m")],
)
def test_durations_are_as_exact_as_they_are_known(seconds: float, text: str) -> None:
    """Servers tell whole seconds, and hours need no seconds."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (4_300, "4.3 kB"), (5 * 10**13, "50.0 TB")],
)
def test_sizes_are_read_at_a_glance(count: int, text: str) -> None:
    """Bytes are shown in the unit that leaves a small number."""
    assert size(count) == text


@pytest.mark.parametrize(("span", "text"), [(-5, "0s"), (59, "59s"), (3600, "1h"), (200_000, "2d")])
def test_ages_have_one_unit(span: int, text: str) -> None:
    """A clock that is ahead of ours makes nothing older than now."""
    assert age(timedelta(seconds=span)) == text
