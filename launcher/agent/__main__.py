"""``python -m launcher.agent fetch|save``: exit 0 when all is well; else 1, and the report says why.

The plan comes in the environment, the report goes to the termination message.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import traceback
from pathlib import Path

import attrs

from launcher.agent.plan import AgentPlan
from launcher.agent.report import Report, write
from launcher.errors import LauncherError
from launcher.record import FetchReport, SaveReport, loads
from launcher.registry import Registry
from launcher.settings import AgentEnvironment

TERMINATION_LOG = "/dev/termination-log"

_REPORTS: dict[str, type[Report]] = {"fetch": FetchReport, "save": SaveReport}


def main() -> int:
    """The exit code of one agent."""
    parser = argparse.ArgumentParser(prog="python -m launcher.agent", description=__doc__)
    parser.add_argument("role", choices=sorted(_REPORTS))
    parser.add_argument("--termination-log", type=Path, default=Path(TERMINATION_LOG), metavar="FILE")
    arguments = parser.parse_args()
    # Storage libraries log what they try again; without a handler Python would print it, tracebacks and all.
    logging.getLogger().addHandler(logging.NullHandler())
    report = asyncio.run(_reported(arguments.role))
    write(report, arguments.termination_log)
    return 0 if _is_good(report) else 1


def _is_good(report: Report) -> bool:
    return report.complete if isinstance(report, SaveReport) else not report.error


async def _reported(role: str) -> Report:
    order = _Order(role)
    # First of all: a process without it that is the first of its container can't be ended by SIGTERM.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, order.told_to_end)
    work = asyncio.create_task(_work(role, order.ended), name=role)
    order.work = work
    try:
        return await work
    except asyncio.CancelledError:
        if not work.cancelled():
            raise
        return _REPORTS[role](error=f"{role} was told to end before everything was done")
    except LauncherError as exc:
        return _REPORTS[role](error=str(exc))
    except Exception as exc:
        # Where it happened, and not what it says: nobody knows what is in a text that nobody foresaw.
        place = traceback.extract_tb(exc.__traceback__)[-1]
        sys.stderr.write("".join(traceback.format_tb(exc.__traceback__)))
        where = f"{Path(place.filename).name}:{place.lineno}"
        return _REPORTS[role](error=f"{role} failed with an unforeseen {type(exc).__name__} at {where}")


@attrs.define
class _Order:
    """What SIGTERM means: to ``save`` that the job has ended, and the second time, as to ``fetch``, to stop."""

    role: str
    ended: asyncio.Event = attrs.field(factory=asyncio.Event)
    work: asyncio.Task[Report] | None = None

    def told_to_end(self) -> None:
        """SIGTERM came."""
        if self.role == "save" and not self.ended.is_set():
            self.ended.set()
        elif self.work is not None:
            self.work.cancel()


async def _work(role: str, ended: asyncio.Event) -> Report:
    environment = AgentEnvironment.read()
    plan = loads(environment.plan, AgentPlan)
    registry = Registry.installed()
    if role == "fetch":
        from launcher.agent.fetch import fetch

        return await fetch(plan, registry)
    from launcher.agent.save import save
    from launcher.agent.state import mark_ready
    from launcher.kube.target import InCluster

    mark_ready(plan.state)
    target = InCluster(environment.service_host, environment.service_port, Path(plan.token))
    return await save(plan, registry, target, ended)


if __name__ == "__main__":
    sys.exit(main())
