"""Runs whose pods are gone, as the store tells of them: also when somebody has written nonsense into it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from launcher import AccessError, Connection, LauncherError, Missing, Result, RunNotFound, Status
from tests.lab import Lab, job

RUN = "count-abcdefgh"


def left(lab: Lab, files: list[dict[str, Any]], **history: Any) -> None:
    """A store in which a run has left this."""
    folder = lab.store / RUN
    (folder / "outputs").mkdir(parents=True)
    store = {"name": "artifacts", "kind": "host_path", "schema": {"hostPath": str(lab.store)}, "url": str(folder)}
    record = {
        "run": RUN,
        "job": "count",
        "spec": "x",
        "image": "i",
        "outputs": "/launcher/outputs",
        "savedBy": "client",
    }
    (folder / "run.json").write_text(
        json.dumps({"record": {**record, "store": store}, "status": "succeeded", **history})
    )
    (folder / "manifest.json").write_text(json.dumps({"run": RUN, "complete": True, "files": files}))


async def recalled(lab: Lab) -> Result:
    async with lab.launcher() as pad:
        return await (await pad.attach(RUN)).wait()


async def test_past_run(lab: Lab) -> None:
    """A run whose pod is gone is told from the store: its end, its outputs, its log."""
    async with lab.launcher() as pad:
        result = await pad.run(job("echo log; echo x > $LAUNCHER_OUTPUTS/x; exit 3"), check=False)
        await lab.session.delete(f"/api/v1/namespaces/default/pods/{result.run_id}", grace=0)
        past = await pad.attach(result.run_id)
        again = await past.wait()
        assert (again.status, again.exit_code, again.outputs.files) == (Status.FAILED, 3, result.outputs.files)
        assert [str(line) async for line in past.logs()] == ["log"]
        assert [event async for event in past.events()] == []
        assert (await past.cancel()).status is Status.FAILED
        assert str(again.diagnosis) == str(result.diagnosis)
        assert await pad.past_runs() == [result.run_id]


@pytest.mark.parametrize("path", ["../stolen", "/tmp/stolen", "a/../../stolen", "", ".", "a/..", "x\0y"])
async def test_manifest_that_leads_out(lab: Lab, tmp_path: Path, path: str) -> None:
    """A manifest that names a place outside of the outputs is refused, and nothing is written there."""
    left(lab, [{"path": path, "bytes": 1}])
    (lab.store / RUN / "stolen").write_text("x")
    result = await recalled(lab)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(LauncherError):
        await result.outputs.download(tmp_path / "a" / "b")
    assert {new for new in set(tmp_path.rglob("*")) - before if new.is_file()} == set()


async def test_output_that_is_gone(lab: Lab, tmp_path: Path) -> None:
    """An output that the manifest names and the store no longer has is told by name."""
    left(lab, [{"path": "gone.csv", "bytes": 1}])
    with pytest.raises(Missing, match=r"gone\.csv"):
        await (await recalled(lab)).outputs.download(tmp_path / "here")


async def test_files_that_were_not_saved_are_not_asked_for(lab: Lab, tmp_path: Path) -> None:
    """A download takes what was saved, and passes over what wasn't."""
    left(lab, [{"path": "a", "bytes": 1}, {"path": "b", "bytes": 0, "state": "not a regular file"}])
    (lab.store / RUN / "outputs" / "a").write_text("x")
    paths = await (await recalled(lab)).outputs.download(tmp_path / "here")
    assert [path.name for path in paths] == ["a"]


@pytest.mark.parametrize(
    "text", ["", "[", "[]", "{}", '{"record": 5}', "\0", "[" * 100_000, '{"record": {"run": "x"}}']
)
async def test_history_that_is_none(lab: Lab, text: str) -> None:
    """A history that can't be read is a run that isn't there, and never another error."""
    left(lab, [])
    (lab.store / RUN / "run.json").write_text(text)
    async with lab.launcher() as pad:
        with pytest.raises(RunNotFound):
            await pad.attach(RUN)


async def test_history_of_another_version(lab: Lab) -> None:
    """A status or a phase that this version doesn't know isn't taken for success."""
    left(lab, [], status="glorious", durations={"dancing": 5, "running": 1})
    result = await recalled(lab)
    assert not result.ok
    assert list(result.durations.values()) == [1]


async def test_store_that_cannot_be_written(lab: Lab) -> None:
    """When the store can't be written, the run says so and isn't well, and nobody waits for ever."""
    lab.store.parent.mkdir(parents=True)
    lab.store.write_text("a file where the store's folder should be")
    async with lab.launcher() as pad, asyncio.timeout(20):
        submitted = await pad.submit(job("echo x"))
        result = await submitted.cancel() if not await _ends(submitted) else await submitted.wait()
    assert not result.ok


async def _ends(submitted: Any) -> bool:
    try:
        await asyncio.wait_for(asyncio.shield(submitted.wait()), 3)
    except TimeoutError:
        return False
    return True


async def test_outputs_of_a_run_that_kept_none(lab: Lab, tmp_path: Path) -> None:
    """A download of a run without outputs says that it kept none."""
    async with lab.launcher() as pad:
        result = await pad.run(job("true", outputs=None))
    with pytest.raises(AccessError, match="kept no outputs"):
        await result.outputs.download(tmp_path)


async def test_store_that_is_a_connection_too(lab: Lab) -> None:
    """The store may be used as a connection, so that one job reads what another left."""
    store = Connection(name="results", kind="host_path", schema={"hostPath": str(lab.folder / "results")})
    (lab.folder / "results").mkdir()
    async with lab.launcher(artifacts_store=store) as pad:
        first = await pad.run(job("echo handed on > $LAUNCHER_OUTPUTS/x"))
        second = await pad.run(job(f"cat /connections/results/{first.run_id}/outputs/x", connections=["results"]))
    assert second.log == "handed on\n"
