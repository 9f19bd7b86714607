"""The process that sweeps up after a node, however the node's own process ends: also by SIGKILL.

Bubblewrap's processes die with the launcher by themselves; those of plain processes that left their group
don't, and nobody but a process that outlives the launcher can remove its temporary folder.
"""

from __future__ import annotations

import asyncio
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from launcher.local.node import sweep
from launcher.local.node.process import Child

# The variable by which a node's processes are known.
VARIABLE = "PODLAUNCHER_NODE"

# Seconds: its own limit, and the time to remove a folder.
END = sweep.LONGEST + 5.0


class Warden:
    """Use it as an async context manager: leaving it sweeps, and returns once that is done.

    ``folder`` is the node's and kept; when it is None, a private temporary one is made, and removed at the end.
    """

    def __init__(self, folder: Path | None) -> None:
        self.mark = secrets.token_hex(16)
        self.folder: Path
        self._kept = folder
        self._popen: subprocess.Popen[bytes]
        self._child: Child

    async def __aenter__(self) -> Self:
        if self._kept is not None:
            self.folder = self._kept
            self._start("")
            return self
        self.folder = Path(tempfile.mkdtemp(prefix="podlauncher-"))
        try:
            self._start(str(self.folder))
        except BaseException:
            self.folder.rmdir()
            raise
        return self

    def _start(self, doomed: str) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-S", sweep.__file__, f"{VARIABLE}={self.mark}", doomed],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            # What ends our terminal or our group doesn't end it.
            start_new_session=True,
        )
        self._child = Child(self._popen)

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._popen.stdin is not None  # noqa: S101  it is a pipe
        self._popen.stdin.close()
        try:
            async with asyncio.timeout(END):
                await self._child.wait()
        except TimeoutError:
            pass
        finally:
            self._child.close()
