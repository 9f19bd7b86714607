"""A clock that the tests of the API turn by hand."""

from __future__ import annotations

from datetime import UTC, datetime

# Where every clock begins: the last microsecond of a second, so that a rounding up would show.
START = datetime(2026, 11, 23, 22, 50, 36, 999_999, UTC)


class Clock:
    """Tells ``now``, which only a test changes."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now
