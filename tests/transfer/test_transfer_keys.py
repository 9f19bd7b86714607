"""Names in a bucket are chosen by whoever may write to it: what they may become, and which are wanted."""

from __future__ import annotations

from pathlib import PurePosixPath

import hypothesis
import pytest
from hypothesis import strategies as st

from launcher.transfer.keys import misfits, wanted


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("../evil", "climbs"),
        ("a/../../evil", "climbs"),
        ("a/./b", "climbs"),
        ("..", "climbs"),
        ("/etc/passwd", "absolute"),
        ("\\evil", "absolute"),
        ("C:\\evil", "absolute"),
        ("a\\..\\..\\evil", "climbs"),
        ("a//b", "empty part"),
        ("nul\0byte", "NUL"),
        ("x" * 256, "too long"),
        ("x/" * 2000 + "x", "too long"),
        ("lone\ud800surrogate", "UTF-8"),
    ],
)
def test_a_key_that_would_leave_its_folder_is_named(key: str, reason: str) -> None:
    """Each trick is refused with the reason, and a harmless neighbour isn't."""
    [(bad, why)] = misfits(["good/file", key])
    assert bad == key
    assert reason in why


@pytest.mark.parametrize(
    "key", ["a..b", "...", "a b", "ü", "a\\b", "#", "a/b.c/d", "~", "-rf", "x" * 255, "line\nbreak"]
)
def test_an_odd_key_that_stays_inside_is_welcome(key: str) -> None:
    """Nothing is refused for being unusual."""
    assert list(misfits([key])) == []


def test_a_key_that_is_file_and_folder_is_named() -> None:
    """A bucket may hold both a and a/b; a folder can't."""
    assert list(misfits(["a", "a/b", "ab", "c/d/e", "c/d"])) == [
        ("a", "is a file and a folder at once"),
        ("c/d", "is a file and a folder at once"),
    ]


@hypothesis.given(st.text(max_size=20))
def test_whatever_is_not_named_stays_inside(key: str) -> None:
    """No key passes whose path, joined to a folder, is outside of it or the folder itself."""
    hypothesis.assume(not list(misfits([key])))
    path = PurePosixPath("/target") / key
    assert path.parts[:2] == ("/", "target")
    assert len(path.parts) > 2
    assert ".." not in path.parts
    assert str(path) == f"/target/{key}"


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.png", ["a.png", "deep/b.png", ".png"], ["a.png.txt", "png"]),
        ("train/**", ["train/a", "train/deep/b"], ["train", "other/train/a"]),
        ("train/", ["train/a", "train/deep/b"], ["trainer/a"]),
        ("train/*", ["train/a"], ["train/deep/b"]),
        ("**/b", ["b", "a/b", "a/a/b"], ["ab", "b/a"]),
        ("a?c", ["abc", "x/abc"], ["ac"]),
        ("[x].txt", ["[x].txt"], ["x.txt"]),
        ("./a/b", ["a/b"], ["x/a/b"]),
    ],
)
def test_patterns_mean_what_they_look_like(pattern: str, matching: list[str], other: list[str]) -> None:
    """Shell patterns of names, and of paths where there is a slash."""
    assert [key for key in matching + other if wanted(key, [pattern], [])] == matching
    assert [key for key in matching + other if wanted(key, [], [pattern])] == other


def test_exclude_wins_over_include() -> None:
    """A key that both mean isn't copied."""
    assert not wanted("a/b.png", ["*.png"], ["a/**"])
