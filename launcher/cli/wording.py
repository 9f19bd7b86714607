"""How text, times and sizes are shown to people. Pure."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

# Categories of characters that change a terminal's state or the order of a line instead of showing something:
# controls, and the format characters that turn the writing direction around. Tabs and new lines are text.
_HIDDEN = ("Cc", "Cf", "Cs")

# Format characters that belong to text: the joiners inside emoji and Indic and Arabic words, and the soft hyphen.
_JOINERS = "\u200c\u200d\u00ad"


def visible(text: str, keep: str = "\n\t") -> str:
    """The text with every control character spelled out (``\\x1b``), but those in ``keep``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(ch if ch in keep or _shows(ch) else _spelled(ch) for ch in text)


def one_line(text: str) -> str:
    """``visible`` without line ends and tabs: for a cell of a table."""
    return visible(text, keep="")


def _shows(ch: str) -> bool:
    return ch in _JOINERS or unicodedata.category(ch) not in _HIDDEN


def _spelled(ch: str) -> str:
    return ch.encode("unicode_escape").decode("ascii")


def duration(seconds: float) -> str:
    """``under 1 s``, ``4 s``, ``2 m 5 s``, ``3 h 20 m``. A server's times are whole seconds, so no more is known."""
    if seconds < 1:
        return "under 1 s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} m"
    return f"{minutes} m {rest} s" if minutes else f"{rest} s"


def age(span: timedelta) -> str:
    """How long ago, in one unit: ``5s``, ``12m``, ``3h``, ``8d``."""
    seconds = max(0, int(span.total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def size(count: float) -> str:
    """Bytes in the largest unit that leaves a number above 1: ``812 bytes``, ``4.3 kB``, ``1.2 GB``."""
    if count < 1000:
        return f"{count:.0f} byte{'s' if count != 1 else ''}"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


def counted(number: int, what: str) -> str:
    """``1 file``, ``3 files``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
