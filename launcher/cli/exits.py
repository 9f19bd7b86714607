"""What a command's end means as an exit code, and what is said of an error. No traceback for a user's mistake."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from launcher.cli.wording import visible
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.collect import Result

# Exit codes of our own, as `timeout`, `docker run` and shells have them.
USAGE = 2
TIMEOUT = 124
OURS = 125
CLOSED = 128 + signal.SIGPIPE

# What a job that failed ends with when its own code doesn't say so: lost, cancelled, unsaved, or never started.
FAILED = 1


class WrongUsage(Exception):
    """The words of a command don't fit together."""


def of_result(result: Result) -> int:
    """The exit code for a run that has ended: the job's own where it has one that tells of a failure."""
    if result.ok:
        return 0
    if result.diagnosis is not None and result.diagnosis.code == "timeout":
        return TIMEOUT
    own = result.exit_code if result.status == "failed" else None
    return own if own else FAILED


def reported(work: Callable[[], int]) -> int:
    """Do ``work``; its errors become a message on stderr and an exit code."""
    try:
        code = work()
        _flush()
    except BrokenPipeError:
        # Nobody reads on (`launcher logs RUN | head`): what Python has buffered goes nowhere, and that is all right.
        _discard()
        return CLOSED
    except (LauncherError, OSError) as exc:
        complain(_words(exc))
        return OURS
    except Exception as exc:
        return _usage(exc)
    return code


def complain(text: str) -> None:
    """One message on stderr, safe for a terminal."""
    if sys.stderr is not None:
        print(f"launcher: {visible(text)}", file=sys.stderr)  # noqa: T201


def _usage(exc: Exception) -> int:
    from cyclopts import CycloptsError

    if isinstance(exc, WrongUsage | CycloptsError):
        complain(f"{' '.join(str(exc).split())} (`launcher --help` shows how)")
        return USAGE
    traceback.print_exception(exc)
    complain("this is a fault of podlauncher itself: please report it with the lines above")
    return OURS


def _words(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.filename is not None:
        return f"{exc.filename}: {exc.strerror}"
    return str(exc) or type(exc).__name__


def _flush() -> None:
    if sys.stdout is not None:
        sys.stdout.flush()


def _discard() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
