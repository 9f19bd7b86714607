"""A user's shell, whose jobs run on this machine, and a local cluster in the background that ends with its test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell


@pytest.fixture
def launcher(fresh_machine: Path, tmp_path: Path) -> Shell:
    """The command ``launcher``, in an empty folder."""
    work, temp = tmp_path / "work", tmp_path / "temp"
    work.mkdir()
    temp.mkdir()
    environment = {**os.environ, "LAUNCHER_CLUSTER": "local", "TMPDIR": str(temp)}
    return Shell(work, {key: value for key, value in environment.items() if key not in ("NO_COLOR", "COLUMNS")})


@pytest.fixture
def background(launcher: Shell) -> Iterator[Shell]:
    """The same, with a local cluster in the background."""
    started = launcher("cluster", "start")
    assert started.code == 0, started.err
    yield launcher
    launcher("cluster", "stop")
