"""A run that is interrupted at any moment leaves no pod, no files and no task behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from launcher import Run
from tests.kube.proxy import Proxy, bad_line
from tests.lab import Lab, job

# A command that ends as soon as it is asked to; when that comes before its trap is set, which the first process of a
# container then never hears, it ends by itself.
SHORT = "trap 'exit 7' TERM; echo up; sleep 2 & wait $!"


@pytest.fixture
async def line(lab: Lab) -> AsyncIterator[Proxy]:
    """The line between the launchers of a test and their cluster, at which moments are told apart."""
    async with bad_line(lab.cluster.url) as proxy:
        lab.reach_by(proxy.url)
        yield proxy


def files(lab: Lab) -> list[str]:
    (lab.folder / "word").write_text("x")
    return [str(lab.folder / "word")]


async def interrupted(lab: Lab, moment: asyncio.Event | None, seconds: float = 0) -> None:
    """Run a job, interrupt it at a moment, and see that nothing of it is left."""
    before = asyncio.all_tasks()
    async with lab.launcher(cleanup="never") as pad:
        task = asyncio.create_task(pad.run(job(SHORT, files=files(lab))), name="runs")
        if moment is not None:
            async with asyncio.timeout(10):
                await moment.wait()
        await asyncio.sleep(seconds)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await lab.left() == []
    left = {task.get_name() for task in asyncio.all_tasks() - before}
    assert not {name for name in left if name.startswith(("run ", "log of", "submit", "feed", "state of", "undo"))}


MOMENTS = {
    "the namespace is looked at": ("GET", "/namespaces/default$"),
    "rights are asked for": ("POST", "selfsubjectaccessreviews$"),
    "the feed lists": ("GET", "/pods$"),
    "the files are made": ("POST", "configmaps$"),
    "the pod is made": ("POST", "/pods$"),
    "the files get their owner": ("PATCH", "configmaps/"),
    "the log is opened": ("GET", "/log$"),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_interrupted_at_a_request(lab: Lab, line: Proxy, moment: str) -> None:
    """Whichever request is under way when the task is cancelled, nothing of the run is left."""
    rule = line.rule(*MOMENTS[moment])
    await interrupted(lab, rule.came)


@pytest.mark.parametrize("moment", ["the files are made", "the pod is made"])
async def test_interrupted_while_an_answer_is_late(lab: Lab, line: Proxy, moment: str) -> None:
    """When the server has done what was asked and its answer is late, nothing is left either."""
    rule = line.rule(*MOMENTS[moment], "hold")
    asyncio.get_running_loop().call_later(0.3, rule.released.set)
    await interrupted(lab, rule.came, 0.05)


@pytest.mark.parametrize("seed", range(6))
async def test_interrupted_at_any_time(lab: Lab, seed: int) -> None:
    """After any number of milliseconds from its start, nothing of the run is left."""
    await interrupted(lab, None, random.Random(seed).uniform(0, 0.25))


async def test_interrupted_at_once(lab: Lab) -> None:
    """A task that is cancelled before it has begun leaves nothing."""
    await interrupted(lab, None)


async def test_interrupted_many_at_once(lab: Lab) -> None:
    """Ten runs that are interrupted together leave nothing."""
    async with lab.launcher() as pad:
        tasks = [asyncio.create_task(pad.run(job(SHORT)), name=f"runs {i}") for i in range(10)]
        await asyncio.sleep(0.15)
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(end) for end in ends} == {asyncio.CancelledError}
        assert await lab.left() == []


async def test_submitted_runs_go_on(lab: Lab) -> None:
    """Cancelling a task that waits for a submitted run only ends the waiting."""
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("sleep 0.3; echo done"))
        assert isinstance(submitted, Run)
        task = asyncio.create_task(submitted.wait(), name="waits")
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await submitted.wait()).log == "done\n"
