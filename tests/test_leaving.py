"""Leaving a launcher and coming back: runs go on, or are waited for, and what they left stays as it was."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from launcher import InvalidSpec, Job, Launcher, Result, RunNotFound, SecretKey, Settings, Status
from launcher.local.cluster import LocalCluster
from tests.lab import HEEDS, PODS, Lab, is_up, job


async def run(lab: Lab, job: Job, **settings: Any) -> Result:
    async with lab.launcher(**settings) as pad:
        return await pad.run(job, check=False)


async def test_leaving_detaches(lab: Lab) -> None:
    """Leaving a launcher leaves its runs alone, and another takes them up by their id, with the same end."""
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("echo up; while [ ! -e $LAUNCHER_OUTPUTS/go ]; do sleep 0.02; done; echo end"))
        await is_up(submitted)
    assert await lab.names() == [submitted.id]
    async with lab.launcher() as other:
        assert [info.run_id for info in await other.runs()] == [submitted.id]
        taken_up = await other.attach(submitted.id)
        (lab.store / submitted.id / "outputs" / "go").touch()
        async with asyncio.timeout(10):
            result = await taken_up.wait()
    assert (result.status, result.log) == (Status.SUCCEEDED, "up\nend\n")
    assert lab.log(submitted.id) == "up\nend\n"
    assert lab.history(submitted.id)["record"]["user"] == "system:admin"


async def test_waiting_after_leaving_is_told(lab: Lab) -> None:
    """Whoever waits for a run of a launcher that was left is told so, in words."""
    async with lab.launcher() as pad:
        submitted = await pad.submit(job(*HEEDS))
        waiting = asyncio.create_task(submitted.wait(), name="waits")
        await is_up(submitted)
    for late in (waiting, submitted.wait()):
        with pytest.raises(Exception, match="left"):
            await late
    await lab.session.delete(f"{PODS}/{submitted.id}", grace=0)


async def test_two_launchers_on_one_run(lab: Lab) -> None:
    """Two launchers that follow one run get the same result, and leave one whole log and history."""
    async with lab.launcher() as pad, lab.launcher() as other:
        command = "for i in 1 2 3; do echo $i; done; while [ ! -e $LAUNCHER_OUTPUTS/go ]; do sleep 0.02; done; echo end"
        mine = await pad.submit(job(command))
        theirs = await other.attach(mine.id)
        lines = theirs.logs()
        assert [str(await anext(lines)) for _ in range(3)] == ["1", "2", "3"]
        await lines.aclose()
        (lab.store / mine.id / "outputs" / "go").touch()
        async with asyncio.timeout(15):
            results = await asyncio.gather(mine.wait(), theirs.wait())
    assert results[0].log == results[1].log == lab.log(mine.id) == "1\n2\n3\nend\n"
    assert results[0].outputs == results[1].outputs
    assert lab.history(mine.id)["record"]["user"] == "system:admin"


async def test_guest_that_leaves_early(lab: Lab) -> None:
    """A launcher that looks at a run and leaves takes nothing from the log that the other saves."""
    async with lab.launcher() as pad:
        mine = await pad.submit(job("echo up; while [ ! -e $LAUNCHER_OUTPUTS/go ]; do sleep 0.02; done; echo end"))
        await is_up(mine)
        async with lab.launcher() as other:
            await other.attach(mine.id)
            await asyncio.sleep(0)
        (lab.store / mine.id / "outputs" / "go").touch()
        result = await mine.wait()
    assert lab.log(mine.id) == result.log == "up\nend\n"


async def test_run_that_ended_is_looked_at_again(lab: Lab) -> None:
    """Looking at a run that has ended, pod there or not, changes nothing of what it left."""
    result = await run(lab, job("echo x > $LAUNCHER_OUTPUTS/x; echo log; exit 3"))
    before = {path: path.read_bytes() for path in (lab.store / result.run_id).rglob("*") if path.is_file()}
    for gone in (False, True):
        if gone:
            await lab.session.delete(f"{PODS}/{result.run_id}", grace=0)
        async with lab.launcher() as pad:
            again = await (await pad.attach(result.run_id)).wait()
        assert (again.status, again.exit_code, list(again.outputs)) == (Status.FAILED, 3, list(result.outputs))
        assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    "run_id", ["nonesuch-abcdefgh", "no such run!", "", "a,b", "x,!y", "../x", "A" * 300, "\U0001f600"]
)
async def test_runs_that_are_not_there(lab: Lab, run_id: str) -> None:
    """A run that nobody knows is told as such, whatever was asked for."""
    async with lab.launcher() as pad:
        with pytest.raises(RunNotFound):
            await pad.attach(run_id)


async def test_run_ids_of_the_callers_own(lab: Lab) -> None:
    """A run id that can't name a pod is refused before anything is made."""
    async with lab.launcher() as pad:
        for run_id in ("A", "a b", "", "a" * 64, "a.b"):
            with pytest.raises(InvalidSpec, match="run_id"):
                await pad.submit(job("true"), run_id=run_id)
    assert await lab.left() == []


# A cluster in the process.


async def test_leaving_a_cluster_in_the_process_waits(tmp_path: Path, fresh_machine: Path) -> None:
    """With the cluster in the process, leaving waits for what still runs: it would end with the process."""
    async with Launcher(_alone()) as pad:
        assert "in this process" in str(pad.cluster)
        submitted = await pad.submit(job("sleep 0.3; echo done"))
    assert (await submitted.wait()).log == "done\n"


async def test_leaving_by_an_error_does_not_wait(fresh_machine: Path) -> None:
    """Leaving by an error ends what runs in the process at once."""
    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(10), Launcher(_alone()) as pad:
            await is_up(await pad.submit(job(*HEEDS)))
            raise ZeroDivisionError


async def test_leaving_while_a_log_is_held(fresh_machine: Path) -> None:
    """A reader that was begun and forgotten doesn't hold a launcher back from leaving."""
    async with asyncio.timeout(10):
        async with Launcher(_alone()) as pad:
            submitted = await pad.submit(job("echo 1; echo 2"))
            lines = submitted.logs()
            assert str(await anext(lines)) == "1"
            assert (await submitted.wait()).ok
    await lines.aclose()


async def test_objects_of_the_settings(tmp_path: Path, fresh_machine: Path) -> None:
    """A cluster in the process begins with the objects that the settings name."""
    path = tmp_path / "objects.yaml"
    path.write_text("{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {key: hello}}")
    async with Launcher(_alone().evolve(local_objects=str(path))) as pad:
        result = await pad.run(job("echo $A", env={"A": SecretKey("s", "key")}))
    assert result.log == "hello\n"


def _alone() -> Settings:
    return Settings(cluster="local")


async def test_nothing_is_left_on_the_machine(tmp_path: Path) -> None:
    """A cluster that is left takes its pods' folders and processes with it."""
    async with LocalCluster(tmp_path / "cluster") as cluster:
        assert cluster.url
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
