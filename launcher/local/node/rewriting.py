"""Containers as plain processes, for machines whose kernel forbids user namespaces.

The declared mount paths in command, arguments, working directory and environment become the real folders.
What this can't do, and the pod's warning says so: paths that are literal in code don't resolve, ``readOnly``
isn't enforced, ``/tmp`` is shared, and the user is always the launcher's own.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from launcher.local.node.isolation import RUNC, Bind, Launch, refuse_nul, start_error
from launcher.local.node.process import Pipes, Process, StartFailed, spawn

# From <sys/prctl.h>: the signal that a process gets when the thread that started it ends.
PR_SET_PDEATHSIG = 1


@attrs.frozen
class Rewriting:
    """Isolation by changing the declared paths."""

    warning: str = (
        "this machine forbids user namespaces, so containers run as plain processes: mount paths in command,"
        " arguments and environment were replaced by the real folders; literal paths in code won't resolve,"
        " and read-only mounts aren't enforced"
    )
    images: None = None

    async def start(self, launch: Launch, pipes: Pipes) -> Process:
        refuse_nul(launch)
        rewrite = rewriter(launch.binds)
        argv = [rewrite(argument) for argument in launch.argv]
        env = {name: rewrite(value) for name, value in launch.env.items()}
        try:
            cwd = _folder(Path(rewrite(launch.cwd)), launch.scratch)
            return spawn(argv, pipes, env=env, cwd=cwd, in_child=_die_with_parent())
        except OSError as exc:
            raise start_error(argv[0], exc.errno or 0, exc.strerror or str(exc)) from exc
        except ValueError as exc:
            raise StartFailed(RUNC.format(str(exc))) from exc


def _folder(wanted: Path, scratch: Path) -> Path:
    if wanted.is_dir():
        return wanted
    (scratch / "cwd").mkdir(exist_ok=True)
    return scratch / "cwd"


def rewriter(binds: Sequence[Bind]) -> Callable[[str], str]:
    """A function that replaces each mount path, where it stands as a whole path, by the real one.

    A path inside a URL other than ``file://`` isn't one; of nested mounts the innermost wins.
    """
    real = {bind.target.rstrip("/"): str(bind.source) for bind in binds}
    if not real:
        return lambda text: text
    paths = "|".join(re.escape(path) for path in sorted(real, key=len, reverse=True))
    pattern = re.compile(rf"(?:(?<![\w./-])|(?<=file://))({paths})(?![\w.-])")
    return lambda text: pattern.sub(lambda match: real[match[1]], text)


def _die_with_parent() -> Callable[[], None]:
    """To be called between fork and exec: two system calls, loaded and looked up before the fork."""
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def in_child() -> None:
        prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return in_child
