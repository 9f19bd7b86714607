"""The command ``launcher``: which words mean which function. Each command's module is loaded when it is used.

Nothing is imported at the top that takes time: Ctrl-C is heeded from the first moment, and help is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts import App

_HELP = "Start jobs on Kubernetes, with their storage in place."

_USAGE = "Usage: launcher {0} FILE [OPTIONS]\n       launcher {0} --image IMAGE [OPTIONS] -- COMMAND…"

# The commands in the order of a newcomer's day: name, where its function or group is, what it does.
_COMMANDS = (
    ("run", "launcher.cli.run:run", "Run a job and follow it to its end."),
    ("render", "launcher.cli.run:render", "Print what would be sent to the cluster, and send nothing."),
    ("ps", "launcher.cli.runs:ps", "List the runs that go on, and those that have ended."),
    ("logs", "launcher.cli.runs:logs", "Print the log of a run."),
    ("outputs", "launcher.cli.runs:outputs", "List the files that a run left, or copy them here."),
    ("cancel", "launcher.cli.runs:cancel", "End a run."),
    ("init", "launcher.cli.init:init", "Write a launcher.yaml to begin with."),
    ("connections", "launcher.cli.connections:app", "The storage that jobs can use by name."),
    ("cluster", "launcher.cli.cluster:app", "Which cluster jobs go to, and the local one in the background."),
    ("admin", "launcher.cli.admin:app", "What is installed, and JSON Schemas for editors."),
)


def run() -> None:
    """The entry point: read the command line, do what it says, and exit with the code that tells how it went."""
    try:
        code = main(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def main(words: Sequence[str]) -> int:
    """Do what ``words`` say; returns the exit code. Everything that goes wrong on purpose becomes one message."""
    from launcher.cli.exits import reported

    return reported(lambda: _done(words))


def _done(words: Sequence[str]) -> int:
    from inspect import iscoroutinefunction

    command, bound, _ = _app().parse_args(list(words))
    if iscoroutinefunction(command):
        from launcher.cli.interrupts import carry_out

        return carry_out(command(*bound.args, **bound.kwargs))
    call: Callable[..., Any] = command
    return int(call(*bound.args, **bound.kwargs) or 0)


def _app() -> App:
    from cyclopts import App

    from launcher.cli.options import PLAIN, version

    app = App(
        name="launcher",
        help=_HELP,
        # Plain text: a reader of Markdown takes 40 ms to load, and nothing here needs one.
        help_format="plaintext",
        version=version,
        default_parameter=PLAIN,
        print_error=False,
        exit_on_error=False,
    )
    app.help_formatter = "default" if sys.stdout and sys.stdout.isatty() else "plain"
    for order, (name, place, text) in enumerate(_COMMANDS):
        # Two ways to name a job, which the library can't read off one list of words.
        usage = {"usage": _USAGE.format(name)} if name in ("run", "render") else {}
        app.command(place, name=name, help=text, sort_key=order, **usage)
    return app


if __name__ == "__main__":
    run()
