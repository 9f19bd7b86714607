"""On a terminal: a status line that leaves no trace, styles where they are wanted, nothing that a job could misuse."""

from __future__ import annotations

import os
import pty
import re
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl

import attrs

from tests.cli.shell import COMMAND, PATIENCE, Shell

COLOUR = r"\x1b\[[0-9;]*3[0-9]m"
STATUS = re.compile(r"\r\x1b\[K  running +\d+ s")


@attrs.define
class Terminal:
    """What a command shows on a terminal of its own."""

    process: subprocess.Popen[bytes]
    master: int
    shown: str = ""

    def until(self, pattern: str | re.Pattern[str]) -> None:
        """Read until ``pattern`` was shown."""
        while not re.search(pattern, self.shown):
            assert self._more(), f"it ended without {pattern!r}:\n{self.shown!r}"

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        while self._more():
            pass
        return self.process.wait(PATIENCE)

    def _more(self) -> bool:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # Linux says EIO when the last one has closed the other side
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def terminal(launcher: Shell, *words: str, **more: str) -> Iterator[Terminal]:
    """``launcher`` in a terminal of 24 lines and 60 columns, as its own session's foreground process."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    environment = {**launcher.environment, "TERM": "xterm-256color", **more}
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=launcher.folder,
        env=environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - a test without threads
    )
    os.close(slave)
    try:
        with process:
            try:
                yield Terminal(process, master)
            finally:
                process.kill()
    finally:
        os.close(master)


def screen(shown: str) -> list[str]:
    """The lines that are on the screen at the end, for the few movements that we make."""
    lines: list[str] = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n").split("\n"):
        lines.append(line.split("\r\x1b[K")[-1])
    return lines


def test_the_status_line_leaves_no_trace(launcher: Shell) -> None:
    """While the job runs a line tells for how long; at the end the screen holds whole lines only."""
    with terminal(launcher, "run", "--image", "x", "--", "sh", "-c", "echo one; sleep 2; echo two") as shown:
        shown.until(STATUS)
        assert shown.end() == 0
    lines = screen(shown.shown)
    assert "one" in lines
    assert "two" in lines
    assert not [line for line in lines if re.match(r"  running +\d+ s$", line) and line != lines[-1]][1:]
    assert lines[-1] == ""
    assert "\x1b[?25l" not in shown.shown  # the cursor is never hidden, so it need not be shown again


def test_ctrl_c_on_the_keyboard_leaves_a_clean_terminal(launcher: Shell) -> None:
    """The key itself, sent through the terminal, cancels the run; its last line is ended, its modes are untouched."""
    shell = 'trap "exit 0" TERM; while :; do sleep 0.1; done'
    with terminal(launcher, "run", "--image", "x", "--", "sh", "-c", shell) as shown:
        before = termios.tcgetattr(shown.master)
        shown.until(STATUS)
        os.write(shown.master, b"\x03")
        shown.until("pod is gone")
        assert termios.tcgetattr(shown.master) == before
        assert shown.end() == 128 + signal.SIGINT
    assert "Traceback" not in shown.shown
    assert screen(shown.shown)[-1] == ""


def test_a_job_cannot_drive_the_terminal(launcher: Shell) -> None:
    """Escape sequences of a job's log are spelled out on a terminal; in a pipe they arrive as they were written."""
    words = ("run", "--image", "x", "--", "printf", r"\033]0;owned\007\033[2J[bold]x[/bold]\n")
    with terminal(launcher, *words) as shown:
        assert shown.end() == 0
    assert "\\x1b]0;owned\\x07\\x1b[2J[bold]x[/bold]" in shown.shown
    assert "\x1b]0;" not in shown.shown
    assert launcher(*words).out == "\x1b]0;owned\x07\x1b[2J[bold]x[/bold]\n"


def test_tables_fit_the_terminal(launcher: Shell) -> None:
    """A long cell is folded to the width of the window, and markup in it is text."""
    faces = f"{{name: '[red]faces', kind: host_path, description: {'long ' * 30!r}, schema: {{hostPath: /d}}}}"
    launcher.write("launcher.yaml", f"connections: [{faces}]\n")
    with terminal(launcher, "connections", "ls") as shown:
        assert shown.end() == 0
    lines = screen(shown.shown)
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("[red]faces") for line in lines)


def test_colours_are_left_out_where_nobody_wants_them(launcher: Shell) -> None:
    """NO_COLOR takes the colours away, a dumb terminal also the status line."""
    words = ("run", "--image", "x", "--")
    with terminal(launcher, *words, "true") as shown:
        assert shown.end() == 0
    assert re.search(COLOUR, shown.shown)
    with terminal(launcher, *words, "true", NO_COLOR="1") as shown:
        assert shown.end() == 0
    assert not re.search(COLOUR, shown.shown)
    with terminal(launcher, *words, "sleep", "1", TERM="dumb") as shown:
        assert shown.end() == 0
    assert "\x1b" not in shown.shown
