"""Derived names: valid whatever people type, never the same for two, and readable."""

from __future__ import annotations

import re

import hypothesis
import pytest
from hypothesis import strategies as st

from launcher import names

DNS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")

anything = (
    st.text(max_size=300) | st.text("ab-.A_", max_size=80) | st.from_regex(r"[a-z]{1,5}-[0-9a-f]{10}", fullmatch=True)
)


@hypothesis.given(anything)
def test_any_text_gives_valid_names(text: str) -> None:
    """Any text gives a DNS label and a label value that Kubernetes accepts."""
    assert DNS.fullmatch(names.dns_label(text))
    assert LABEL.fullmatch(names.label(text))


@hypothesis.given(anything)
def test_run_ids_are_valid_and_never_twice(text: str) -> None:
    """A job of any name gets a run id that can name a pod, and another one each time."""
    first, second = names.new_run_id(text), names.new_run_id(text)
    assert DNS.fullmatch(first) and names.is_run_id(first)
    assert first != second


def _siblings(text: str) -> list[str]:
    """Texts that a careless slug would take for the same, those included that look like a derived name."""
    derived = [names.dns_label(text), names.label(text)]
    return [text, text.lower(), text.upper(), text + "-", text + " ", text.strip("-"), text[:63], *derived]


@hypothesis.given(st.lists(anything, max_size=6), anything)
def test_different_names_stay_different(texts: list[str], text: str) -> None:
    """No two names give the same DNS label or label value, not even one that looks like another's derived name."""
    raw = set(texts) | set(_siblings(text))
    assert len({names.dns_label(name) for name in raw}) == len(raw)
    assert len({names.label(name) for name in raw}) == len(raw)


def test_a_team_of_many_odd_names() -> None:
    """Twenty thousand names that look alike once they are made valid stay twenty thousand."""
    raw = [f"faces {'!' * (number % 50)}{chr(0x4E00 + number // 50)}" for number in range(20_000)]
    assert len({names.dns_label(name) for name in raw}) == len(set(raw)) == 20_000


@hypothesis.given(st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True))
def test_valid_names_stay(name: str) -> None:
    """A name that is valid stays as it is, unless it looks like a derived one."""
    if not re.fullmatch(r".*-[0-9a-f]{10}", name):
        assert names.dns_label(name) == name
        assert names.label(name) == name


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("Faces v3", "faces-v3-"),
        ("a@b.c", "a-b-c-"),
        ("\U0001f600" * 300, "x-"),
        ("", "x-"),
        ("-", "x-"),
        ("x" * 99, "x"),
    ],
)
def test_derived_names_can_be_read(text: str, stem: str) -> None:
    """A derived name begins with what can be kept of the raw one."""
    assert names.dns_label(text).startswith(stem)
    assert names.dns_label(text) == names.dns_label(text)


def test_case_is_kept_where_it_may_be() -> None:
    """A label value keeps capitals, dots and underscores, which a DNS label may not have."""
    assert names.label("Faces_v3.1") == "Faces_v3.1"
    assert names.dns_label("Faces_v3.1") != "Faces_v3.1"


@pytest.mark.parametrize("text", ["", "A", "a.b", "a_b", "-a", "a-", "a" * 64, "a\n", "ä", "a/b", "a b"])
def test_what_cannot_name_a_pod(text: str) -> None:
    """A run id of the caller's own must be a DNS label."""
    assert not names.is_run_id(text)


@hypothesis.given(anything, st.integers(20, 63))
def test_shorter_limits_hold(text: str, limit: int) -> None:
    """A shorter limit is kept too."""
    assert len(names.dns_label(text, limit)) <= limit
    assert DNS.fullmatch(names.dns_label(text, limit))
