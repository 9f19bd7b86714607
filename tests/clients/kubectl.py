"""Runs kubectl as a user would: a process, a kubeconfig, arguments and standard input."""

from __future__ import annotations

import asyncio
import json
import os
import re
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

# Seconds after which a kubectl that hasn't ended is a failure of the test.
PATIENCE = 20.0


@attrs.frozen
class Ran:
    """How one kubectl ended: its exit code and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """The output as a table: each row by the names of the columns, which stand where their heads do."""
        head, *lines = self.out.splitlines()
        columns = list(re.finditer(r"\S+(?: \S+)*", head))
        ends = [*(column.start() for column in columns[1:]), None]
        return [
            {column[0]: line[column.start() : end].strip() for column, end in zip(columns, ends, strict=True)}
            for line in lines
        ]

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@attrs.frozen
class Kubectl:
    """kubectl on one cluster. ``home`` is a folder for its caches."""

    kubeconfig: Path
    home: Path

    async def __call__(self, *arguments: str, manifest: Any = None, **environment: str) -> Ran:
        """Run it to its end, whatever that is; ``manifest`` goes to its standard input as JSON."""
        async with self.started(*arguments, **environment) as process:
            sent = json.dumps(manifest).encode() if manifest is not None else b""
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate(sent)
        assert process.returncode is not None
        return Ran(process.returncode, out.decode(), err.decode())

    async def ok(self, *arguments: str, manifest: Any = None) -> Ran:
        """Run it; it must succeed."""
        ran = await self(*arguments, manifest=manifest)
        assert ran.code == 0, f"kubectl {' '.join(arguments)}: {ran.err}"
        return ran

    async def json(self, *arguments: str) -> Any:
        """What it prints with ``-o json``."""
        return json.loads((await self.ok(*arguments, "-o", "json")).out)

    @asynccontextmanager
    async def started(self, *arguments: str, **environment: str) -> AsyncIterator[Process]:
        """A kubectl that goes on; it is killed at the end when it still does."""
        inherited = {"PATH": os.environ["PATH"], "HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig)}
        process = await asyncio.create_subprocess_exec(
            "kubectl", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env={**inherited, **environment}
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
