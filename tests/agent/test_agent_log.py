"""The log that ``save`` keeps: every line once, whatever happens to the connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from launcher.agent.plan import AgentPlan
from launcher.record import SavedManifest, SaveReport, loads
from tests.servers.agents import RUN, agent, mounted, plan
from tests.servers.log_server import LogServer, environment, log_server, token

LINES = [(f"2026-11-24T05:00:0{n // 4}.{n:09d}Z", f"line {n} é") for n in range(12)]
WHOLE = "".join(f"{text}\n" for _, text in LINES)


def orders(tmp_path: Path) -> AgentPlan:
    """A store that is a mounted folder, and the log of main."""
    (tmp_path / "store").mkdir()
    return plan(store=mounted("store", tmp_path / "store"), log="main", token=token(tmp_path / "token"))


async def appeared(file: Path, text: str) -> None:
    """Until a file holds ``text``."""
    async with asyncio.timeout(20):
        while not (file.is_file() and file.read_text() == text):
            await asyncio.sleep(0.01)


async def test_the_log_is_followed_live_without_a_lost_or_doubled_line(tmp_path: Path) -> None:
    """Through a container that starts late and a connection that is cut in the middle of a line."""
    async with (
        log_server(LogServer(LINES, cut_after=6)) as server,
        agent("save", orders(tmp_path), tmp_path, **environment(server)) as save,
    ):
        await server.asked.wait()
        server.started.set()
        await appeared(tmp_path / "store" / RUN / "logs/main.log", WHOLE)
        save.terminate()
        server.ended.set()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.complete, report.log) == (0, True, "saved")
    assert (tmp_path / "store" / RUN / "logs/main.log").read_text() == WHOLE
    manifest = loads((tmp_path / "store" / RUN / "manifest.json").read_bytes(), SavedManifest)
    assert manifest.log_bytes == len(WHOLE.encode())
    assert server.queries[0] == {"container": "main", "follow": "true", "timestamps": "true"}
    assert "2026-11-24T05:00:01Z" in [query.get("sinceTime") for query in server.queries]


async def test_lines_that_come_after_sigterm_are_kept(tmp_path: Path) -> None:
    """The job's last words may arrive when save was told already that the job has ended."""
    log = tmp_path / "store" / RUN / "logs/main.log"
    async with (
        log_server(LogServer(LINES[:8], last=LINES[8:])) as server,
        agent("save", orders(tmp_path), tmp_path, **environment(server)) as save,
    ):
        server.started.set()
        await appeared(log, "".join(f"{text}\n" for _, text in LINES[:8]))
        save.terminate()
        server.ended.set()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.log) == (0, "saved")
    assert log.read_text() == WHOLE


async def test_a_token_that_may_not_read_the_log_costs_only_the_log(tmp_path: Path) -> None:
    """403 is said with its remedy, and everything else is saved."""
    async with (
        log_server(LogServer(LINES, status=403)) as server,
        agent("save", orders(tmp_path), tmp_path, **environment(server)) as save,
    ):
        await server.asked.wait()
        save.terminate()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.complete) == (0, True)
    assert "launcher rbac" in report.log


async def test_a_container_that_never_started_has_no_log(tmp_path: Path) -> None:
    """fetch failed, main stays waiting: save ends all the same, and says so."""
    async with (
        log_server(LogServer([])) as server,
        agent("save", orders(tmp_path), tmp_path, **environment(server)) as save,
    ):
        await server.asked.wait()
        save.terminate()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.complete, report.log) == (0, True, "the container never started")


async def test_the_second_sigterm_ends_save_without_a_manifest(tmp_path: Path) -> None:
    """A log that doesn't end holds save; told twice it stops, and nothing looks as if all were saved."""
    async with (
        log_server(LogServer(LINES)) as server,
        agent("save", orders(tmp_path), tmp_path, **environment(server)) as save,
    ):
        server.started.set()
        await appeared(tmp_path / "store" / RUN / "logs/main.log", WHOLE)
        save.terminate()
        await asyncio.sleep(0.2)  # two signals at once would be delivered as one
        save.terminate()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.complete, report.manifest) == (1, False, "")
    assert "told to end" in report.error
    assert not (tmp_path / "store" / RUN / "manifest.json").exists()


@pytest.mark.parametrize("problem", ["no token", "no server"])
async def test_a_cluster_that_is_out_of_reach_costs_only_the_log(problem: str, tmp_path: Path) -> None:
    """Without a token, or without anybody at the address, outputs are saved and the log's failure is told."""
    wanted = orders(tmp_path)
    if problem == "no token":
        (tmp_path / "token" / "token").unlink()
    async with agent(
        "save", wanted, tmp_path, KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT="1"
    ) as save:
        await save.line()
        save.terminate()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.complete) == (0, True)
    assert report.log.startswith("it can't be read: ")
