"""A job is started once, whatever happens to the line; what wasn't finished is undone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from launcher import ClusterError, ClusterUnreachable, Conflict, Forbidden, Launcher, Settings
from launcher.settings import Surroundings
from tests.kube.misbehaving import Server, answer, refusal, serving
from tests.kube.proxy import Proxy, bad_line
from tests.lab import CONFIG_MAPS, HEEDS, PODS, Lab, is_up, job


@pytest.fixture
async def line(lab: Lab) -> AsyncIterator[Proxy]:
    """The line between the launchers of a test and their cluster."""
    async with bad_line(lab.cluster.url) as proxy:
        lab.reach_by(proxy.url)
        yield proxy


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A folder with one file that travels."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "word.txt").write_text("first")
    return tmp_path / "code"


READS = "cat word.txt"


@pytest.mark.parametrize("what", ["pods$", "configmaps$"])
async def test_lost_answers(lab: Lab, line: Proxy, code: Path, what: str) -> None:
    """When the answer to a creation is lost, the job runs once and as if nothing had been."""
    line.rule("POST", what, "lose")
    async with lab.launcher(cleanup="never") as pad:
        result = await pad.run(job(READS, files=[str(code)]))
        assert result.log == "first\n"
        assert await lab.names() == [result.run_id]


@pytest.mark.parametrize("status", [500, 503])
async def test_servers_that_fail_at_the_creation(lab: Lab, line: Proxy, code: Path, status: int) -> None:
    """When the server can't create the pod, that is told, and nothing of the job is left."""
    line.rule("POST", "pods$", "refuse", status=status)
    async with lab.launcher() as pad:
        with pytest.raises(ClusterError, match="the line is bad"):
            await pad.submit(job(READS, files=[str(code)]))
        assert await lab.left() == []


async def test_pod_that_is_refused(lab: Lab, line: Proxy, code: Path) -> None:
    """When the pod is refused, its files are removed again."""
    line.rule("POST", "pods$", "refuse", status=403)
    async with lab.launcher() as pad:
        with pytest.raises(Forbidden):
            await pad.submit(job(READS, files=[str(code)]))
        assert await lab.left() == []


async def test_same_run_twice(lab: Lab, code: Path) -> None:
    """The same job under the same run id is the same run: the second submission follows the first."""
    async with lab.launcher() as pad, lab.launcher() as other:
        same = job(*HEEDS, files=[str(code)])
        first = await pad.submit(same, run_id="mine")
        await is_up(first)
        second = await pad.submit(same, run_id="mine")
        assert await lab.names() == ["mine"]
        third = await other.attach("mine")
        await first.cancel()
        results = await asyncio.gather(first.wait(), second.wait(), third.wait())
    assert {result.status for result in results} == {"cancelled"}


@pytest.mark.parametrize("difference", ["command", "files"])
async def test_run_id_that_is_taken(lab: Lab, code: Path, difference: str) -> None:
    """Another job under a run id that is taken is refused, and the run that has it is left alone, files and all."""
    async with lab.launcher() as pad:
        command = "trap 'exit 7' TERM; echo up; while [ ! -e $LAUNCHER_OUTPUTS/go ]; do sleep 0.05; done; cat word.txt"
        first = await pad.submit(job(command, files=[str(code)]), run_id="mine")
        await is_up(first)
        if difference == "files":
            (code / "word.txt").write_text("second")
        with pytest.raises(Conflict, match="'mine' is taken"):
            await pad.submit(
                job(command + "; true" if difference == "command" else command, files=[str(code)]), run_id="mine"
            )
        assert "mine-files" in await lab.names(CONFIG_MAPS)
        (lab.store / "mine" / "outputs" / "go").touch()
        assert (await first.wait()).log == "up\nfirst\n"


async def test_files_that_an_earlier_try_left(lab: Lab, code: Path) -> None:
    """Files that an earlier try of the same run id left behind are never taken for those of this job."""
    old = {"f0": "b2xk"}
    labels = {"podlauncher.dev/run": "mine", "podlauncher.dev/launcher": "x"}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine-files", "labels": labels}}
    await lab.session.create(CONFIG_MAPS, {**item, "binaryData": old, "immutable": True})
    async with lab.launcher() as pad:
        try:
            result = await pad.run(job(READS, files=[str(code)]), run_id="mine")
        except Conflict:
            return
    assert result.log == "first\n"


async def test_name_of_somebody_elses_pod(lab: Lab) -> None:
    """A pod that isn't the launcher's and has the name is left alone."""
    pod = {
        "metadata": {"name": "mine"},
        "spec": {"containers": [{"name": "c", "image": "i", "command": ["sleep", "60"]}]},
    }
    await lab.session.create(PODS, {"apiVersion": "v1", "kind": "Pod", **pod})
    async with lab.launcher() as pad:
        with pytest.raises(Conflict, match="isn't the launcher's"):
            await pad.submit(job("true"), run_id="mine")
    assert await lab.names() == ["mine"]


async def test_pod_that_is_still_going(lab: Lab) -> None:
    """An earlier pod of the same run id that is being removed is waited for."""
    slow = "trap 'sleep 0.5; exit 0' TERM; echo up; sleep 60 & wait $!"
    async with lab.launcher() as pad:
        first = await pad.submit(job(slow), run_id="mine")
        await is_up(first)
        await lab.session.delete(f"{PODS}/mine")
        result = await pad.run(job("echo second"), run_id="mine")
        assert result.log == "second\n"


@pytest.mark.parametrize("moment", ["POST configmaps$", "POST pods$", "PATCH configmaps/", "GET pods$"])
async def test_cancelled_while_submitting(lab: Lab, line: Proxy, code: Path, moment: str) -> None:
    """Who is cancelled while submitting leaves nothing, though the server may have done what was asked."""
    method, path = moment.split(" ")
    rule = line.rule(method, path, "hold")
    async with lab.launcher() as pad:
        task = asyncio.create_task(pad.submit(job(*HEEDS, files=[str(code)])), name="submits")
        await rule.came.wait()
        # The server has done it by then: it answers, and only the answer is held back.
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        rule.released.set()
        async with asyncio.timeout(10):
            while await lab.left():
                await asyncio.sleep(0.02)


async def test_pod_that_is_gone_before_its_creation_is_known(lab: Lab, line: Proxy) -> None:
    """A pod that somebody removes before its creator hears of it is told as lost, and nobody waits for ever."""
    rule = line.rule("POST", "pods$", "hold")
    async with lab.launcher() as pad:
        task = asyncio.create_task(pad.submit(job(*HEEDS), run_id="mine"), name="submits")
        await rule.came.wait()
        async with asyncio.timeout(10):
            while "mine" not in await lab.names():
                await asyncio.sleep(0.01)
            await lab.session.delete(f"{PODS}/mine", grace=0)
            while "mine" in await lab.names():
                await asyncio.sleep(0.01)
            rule.released.set()
            result = await (await task).wait()
    assert not result.ok
    assert result.diagnosis is not None


async def test_cluster_that_does_not_answer(tmp_path: Path) -> None:
    """A configured cluster that doesn't answer is an error with a remedy, and is never replaced by a local one."""
    config = tmp_path / "kubeconfig"
    config.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        " clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {token: sEcReT}}]}"
    )
    settings = Settings(surroundings=Surroundings(kubeconfig=str(config), state=tmp_path, data=tmp_path))
    with pytest.raises(ClusterUnreachable, match="cluster: local") as caught:
        async with Launcher(settings):
            raise AssertionError("it was entered")
    assert "sEcReT" not in str(caught.value)


async def test_server_that_is_something_else(tmp_path: Path) -> None:
    """A server that isn't an API server is told as such when the launcher is entered."""
    async with serving() as server:
        server.gets = [answer("<html>router</html>")]
        with pytest.raises(ClusterError, match="Is it a Kubernetes API server"):
            await _enter(server, tmp_path)
        server.gets = [refusal(401)]
        with pytest.raises(ClusterError, match="credentials"):
            await _enter(server, tmp_path)


async def _enter(server: Server, folder: Path) -> None:
    config = folder / "kubeconfig"
    config.write_text(
        "{current-context: c, contexts: [{name: c, context: {cluster: c, user: u}}],"
        f" clusters: [{{name: c, cluster: {{server: '{server.url}'}}}}], users: [{{name: u, user: {{token: t}}}}]}}"
    )
    surroundings = Surroundings(kubeconfig=str(config), state=folder, data=folder)
    async with Launcher(Settings(surroundings=surroundings)):
        raise AssertionError("it was entered")
