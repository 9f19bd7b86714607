"""Ctrl-C and SIGTERM, at several moments: nothing is left, and the exit code tells which it was."""

from __future__ import annotations

import secrets
import signal
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.cli.shell import Shell, eventually, processes

# Heeds SIGTERM, so that no grace has to be waited for.
HEEDFUL = 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done'

# The same, and deaf.
DEAF = 'trap "" TERM; echo up; while :; do sleep 0.1; done'


@pytest.mark.parametrize("moment", ["cluster:", "means nothing", "run x-", "scheduling", "pulling"])
def test_ctrl_c_leaves_nothing_at_any_moment(launcher: Shell, moment: str) -> None:
    """While the cluster starts, while it submits, before the command and while it runs: 130, and no trace."""
    mark = secrets.token_hex(8)
    with launcher.started("run", "--image", "x", "--", "sh", "-c", HEEDFUL, mark) as running:
        running.until(moment)
        said = running.end(signal.SIGINT)
    assert said.code == 130, said.err
    assert "Traceback" not in said.err
    assert eventually(lambda: not processes(mark))
    assert list(launcher.temp.iterdir()) == []


def test_ctrl_c_ends_a_run_that_waits_for_a_place(launcher: Shell) -> None:
    """A run that no node has room for is cancelled like any other."""
    with launcher.started("run", "--image", "x", "--cpu", "5000", "--", "true") as running:
        running.until("run x-")
        running.until("warning: ")
        said = running.end(signal.SIGINT)
    assert said.code == 130
    assert "is cancelled" in said.err
    assert list(launcher.temp.iterdir()) == []


def test_sigterm_does_the_same_with_its_own_code(launcher: Shell) -> None:
    """A service manager's SIGTERM cancels the run and ends with 143."""
    mark = secrets.token_hex(8)
    with launcher.started("run", "--image", "x", "--", "sh", "-c", HEEDFUL, mark) as running:
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == "up\n"
        said = running.end(signal.SIGTERM)
    assert said.code == 143
    assert "is cancelled, and its pod is gone" in said.err
    assert eventually(lambda: not processes(mark))


def test_a_second_ctrl_c_leaves_at_once(launcher: Shell) -> None:
    """A job that is deaf to SIGTERM can't keep us: the second Ctrl-C ends this process and the job's."""
    mark = secrets.token_hex(8)
    with launcher.started("run", "--image", "x", "--", "sh", "-c", DEAF, mark) as running:
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == "up\n"
        running.process.send_signal(signal.SIGINT)
        running.until("Ctrl-C again leaves at once")
        said = running.end(signal.SIGINT)
    assert said.code == 130
    assert "pod is gone" not in said.err
    assert eventually(lambda: not processes(mark))


def test_ctrl_c_removes_pod_and_objects_from_a_cluster_that_stays(background: Shell) -> None:
    """On a cluster in the background nothing of an interrupted run is left: no pod, no config map, no process."""
    mark = secrets.token_hex(8)
    background.write("travels.txt", "a file makes a config map")
    words = ("run", "--image", "x", "--file", "travels.txt", "--", "sh", "-c", HEEDFUL, mark)
    with background.started(*words) as running:
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == "up\n"
        said = running.end(signal.SIGINT)
    assert said.code == 130
    assert "is cancelled, and its pod is gone" in said.err
    assert not processes(mark)
    assert background("ps", "--json").out == "[]\n"
    assert _left_on_disk(Path(background.environment["XDG_STATE_HOME"])) == []


def _left_on_disk(state: Path) -> list[Path]:
    return list((state / "podlauncher" / "local" / "pods").glob("*/volumes/*"))


def test_ctrl_c_is_heeded_while_nobody_reads_the_log(launcher: Shell) -> None:
    """A reader that stands still stops the log, and neither Ctrl-C nor the end of the run."""
    shell = 'trap "exit 0" TERM; seq 100000; while :; do sleep 0.1; done'
    with launcher.started("run", "--image", "x", "--", "sh", "-c", shell) as running:
        running.until("pulling")
        assert running.process.stdout is not None
        pipe = running.process.stdout.fileno()
        # A pipe of Linux holds 64 KiB, in pages that are rarely filled to the last byte.
        assert eventually(lambda: _waiting_in(pipe) > 55_000)
        running.process.send_signal(signal.SIGINT)
        running.until("pod is gone")
        assert running.process.wait(30) == 130


def _waiting_in(pipe: int) -> int:
    return int.from_bytes(ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
