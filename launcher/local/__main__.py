"""The process of a local cluster in the background: ``launcher cluster start`` starts it, and nobody else."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from launcher.errors import LauncherError
from launcher.local.background import serve
from launcher.settings import Settings


def main() -> int:
    """Serve until SIGTERM; returns the exit code. What goes wrong is one message in the log."""
    words = _words()
    # Inherited to tell and to lock; a pod's process must not hold either open.
    for descriptor in (words.ready, words.lock):
        os.set_inheritable(descriptor, False)
    try:
        settings = Settings.load(words.config)
        if words.namespace:
            settings = settings.evolve(namespace=words.namespace)
        os.chdir("/")  # no folder of the user's is kept busy
        asyncio.run(serve(settings, port=words.port, ready=words.ready, kept=words.state))
    except (LauncherError, OSError) as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser("launcher.local")
    parser.add_argument("--config", type=Path)
    parser.add_argument("--namespace")
    parser.add_argument("--state", type=Path)
    for name in ("--port", "--ready", "--lock"):
        parser.add_argument(name, type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
