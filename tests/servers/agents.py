"""The agents as processes of their own, with their plan in the environment as in a pod."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from launcher.agent.plan import AgentPlan, Part
from launcher.record import FetchReport, RunRecord, SaveReport, dumps, loads
from launcher.settings import AGENT_VARIABLE

R = TypeVar("R", FetchReport, SaveReport)

RUN = "count-k3v9x2ab"
RECORD = RunRecord(run=RUN, job="count", spec="0" * 64, image="none")

# Seconds until an agent must have ended: most of it is a library's import on a busy machine.
PATIENCE = 40.0


def plan(**fields: Any) -> AgentPlan:
    """A plan of the run ``RUN``."""
    return AgentPlan(record=RECORD, namespace="jobs", pod=RUN, **fields)


def secret(folder: Path, values: Mapping[str, str]) -> str:
    """A folder with one file a credential, as the kubelet mounts a secret."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, value in values.items():
        # Written with an editor, as many a secret is.
        (folder / key).write_text(value + "\n")
    return str(folder)


@attrs.frozen
class Agent:
    """A running agent."""

    process: asyncio.subprocess.Process
    message: Path
    role: str

    async def line(self) -> str:
        """The next line that it says."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    def terminate(self) -> None:
        """SIGTERM, as the kubelet sends it."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, report: type[R]) -> tuple[int, R, str]:
        """Its exit code, its report and what else it said, once it has ended."""
        async with asyncio.timeout(PATIENCE):
            rest, _ = await self.process.communicate()
        assert self.process.returncode is not None
        text = self.message.read_text() if self.message.exists() else "{}"
        assert len(text.encode()) <= 4096
        return self.process.returncode, loads(text, report), rest.decode()


@contextlib.asynccontextmanager
async def agent(role: str, orders: AgentPlan, folder: Path, **env: str) -> AsyncIterator[Agent]:
    """``fetch`` or ``save`` with these orders; gone on leaving."""
    message = folder / f"{role}.termination-log"
    message.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "launcher.agent", role, "--termination-log", str(message),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={
            "PATH": os.environ["PATH"],
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            AGENT_VARIABLE: dumps(orders),
            **env,
        },
    )  # fmt: skip
    try:
        yield Agent(process, message, role)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def fetched(orders: AgentPlan, folder: Path) -> tuple[int, FetchReport, str]:
    """``fetch`` to its end."""
    async with agent("fetch", orders, folder) as running:
        return await running.ended(FetchReport)


async def saved(orders: AgentPlan, folder: Path) -> tuple[int, SaveReport, str]:
    """``save`` for a job that has ended by the time it is ready."""
    async with agent("save", orders, folder) as running:
        assert await running.line() == f"saving {RUN}"
        running.terminate()
        return await running.ended(SaveReport)


def mounted(name: str, folder: Path, **fields: Any) -> Part:
    """A connection that is a folder of this machine, mounted."""
    schema = {"hostPath": str(folder)}
    return Part(name=name, kind="host_path", schema=schema, mode="mount", folder=str(folder), **fields)
