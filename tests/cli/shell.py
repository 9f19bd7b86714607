"""The real command in a process of its own, on the machine of a user who has configured nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs

# Seconds in which a command of these tests is long done, also on a machine that is busy with others.
PATIENCE = 40.0

COMMAND = [sys.executable, "-m", "launcher.cli.main"]


@attrs.frozen
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


@attrs.define
class Running:
    """A command that goes on; ``err`` is what was read of its stderr so far."""

    process: subprocess.Popen[str]
    err: str = ""

    def until(self, text: str) -> None:
        """Read stderr up to the line that holds ``text``."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.err += line
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}:\n{self.err}")

    def end(self, number: int = 0) -> Said:
        """Send a signal, if one is given, and wait for the end."""
        if number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE)
        return Said(self.process.returncode, out, self.err + err)


@attrs.frozen
class Shell:
    """A folder to work in, and the environment of its user. ``temp`` is where temporary files go."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def temp(self) -> Path:
        return Path(self.environment["TMPDIR"])

    def write(self, name: str, text: str) -> str:
        (self.folder / name).write_text(text)
        return name

    def with_environment(self, **more: str) -> Shell:
        return Shell(self.folder, {**self.environment, **more})

    def __call__(self, *words: str) -> Said:
        """Run ``launcher`` with these words to its end."""
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(self, *words: str) -> Iterator[Running]:
        """Start ``launcher``; what still runs at the end of the block is killed."""
        process = subprocess.Popen(
            [*COMMAND, *words],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509 - a test without threads
        )
        with process:
            try:
                yield Running(process)
            finally:
                process.kill()


def _heed_interrupts() -> None:
    """As in a terminal, even when the tests themselves were started by ``&``, which leaves SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def processes(mark: str) -> list[str]:
    """The command lines, with ``mark`` in them, of all processes of this machine."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if mark in words and place.parent.name != str(os.getpid()):
            found.append(words)
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true within our patience: for what the kernel does after a process has ended."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
