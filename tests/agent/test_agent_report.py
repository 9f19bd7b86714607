"""Reports fit into a termination message, whatever they hold."""

from __future__ import annotations

import json
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st

from launcher.agent.report import LIMIT, fitted, write
from launcher.record import FetchReport, SaveReport, loads

TEXTS = (
    st.text(max_size=6000) | st.integers(1, 9000).map(lambda n: "ü" * n) | st.integers(1, 3000).map(lambda n: "\0" * n)
)


@hypothesis.given(error=TEXTS, unsaved=st.lists(TEXTS, max_size=12), log=TEXTS)
def test_a_report_of_any_length_is_valid_json_of_few_enough_bytes(error: str, unsaved: list[str], log: str) -> None:
    """Kubernetes would cut it in the middle of a character; counts and digest are never what is cut."""
    report = SaveReport(files=3, bytes=9, manifest="f" * 64, error=error, unsaved=unsaved, log=log)
    text = fitted(report)
    assert len(text.encode("utf-8", "surrogatepass")) <= LIMIT
    kept = json.loads(text)
    assert (kept["files"], kept["bytes"], kept["manifest"]) == (3, 9, "f" * 64)


def test_a_short_report_is_left_as_it_is() -> None:
    """What fits is the same when it is read again."""
    report = FetchReport(files=1, bytes=2, error="connection 'ü': no")
    assert loads(fitted(report), FetchReport) == report


def test_a_message_file_that_can_not_be_written_is_no_second_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report goes to stderr then."""
    write(FetchReport(error="the reason"), tmp_path / "no folder" / "log")
    assert "the reason" in capsys.readouterr().err
