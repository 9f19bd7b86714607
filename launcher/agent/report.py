"""What an agent says at its end: one report in its termination message, cut so that it stays valid JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import attrs

from launcher.record import FetchReport, SaveReport, dumps

# Bytes of a termination message; Kubernetes cuts what is longer, in the middle of the JSON.
LIMIT = 4096

CUT = "…"

Report = FetchReport | SaveReport


def fitted(report: Report) -> str:
    """The report as JSON of at most ``LIMIT`` bytes: the list of files is cut first, then the longest text."""
    text = dumps(report)
    while len(text.encode()) > LIMIT:
        report = _smaller(report)
        text = dumps(report)
    return text


def _smaller(report: Report) -> Report:
    unsaved: tuple[str, ...] = getattr(report, "unsaved", ())
    texts = {name: value for name, value in attrs.asdict(report).items() if isinstance(value, str)}
    longest = max(texts, key=lambda name: len(texts[name]))
    change: dict[str, Any] = {longest: _shorter(texts[longest])}
    if len(unsaved) > 1:
        change = {"unsaved": unsaved[:-1]}
    elif unsaved and len(unsaved[0]) > len(texts[longest]):
        change = {"unsaved": [_shorter(unsaved[0])]}
    return attrs.evolve(report, **change)


def _shorter(text: str) -> str:
    return text[: len(text) * 3 // 4 - 1].removesuffix(CUT) + CUT


def write(report: Report, file: Path) -> None:
    """Leaves the report where Kubernetes looks for it. Where that can't be written, it goes to stderr instead."""
    text = fitted(report)
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as exc:
        sys.stderr.write(f"{file} can't be written ({exc.strerror}); the report is: {text}\n")


def say(line: str) -> None:
    """One line of the agent's own log, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
