"""Runs from their first state to their result, on a cluster of real processes: how they end, and what is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest

from launcher import Connection, InvalidSpec, Job, JobFailed, Phase, Result, SecretKey, Status
from tests.lab import HEEDS, PODS, Lab, is_up, job, until


async def run(lab: Lab, job: Job, **settings: Any) -> Result:
    async with lab.launcher(**settings) as pad:
        return await pad.run(job, check=False)


@pytest.mark.parametrize(("command", "code"), [("true", 0), ("exit 3", 3), ("exit 255", 255), ("exit 127", 127)])
async def test_exit_codes(lab: Lab, command: str, code: int) -> None:
    """A run ends with its command's own exit code, and is well only with 0."""
    result = await run(lab, job(command))
    assert (result.exit_code, result.ok) == (code, code == 0)
    assert result.status is (Status.FAILED if code else Status.SUCCEEDED)
    assert (result.diagnosis is None) == (code == 0)


async def test_failure_raises_with_its_result(lab: Lab) -> None:
    """A job that fails raises what happened, with the whole result, and not when it isn't wanted."""
    async with lab.launcher() as pad:
        with pytest.raises(JobFailed, match="exit code 3") as caught:
            await pad.run(job("echo last words; exit 3"))
        assert caught.value.result.log == "last words\n"
        result = await pad.run(job("exit 3"), check=False)
        with pytest.raises(JobFailed):
            result.raise_for_failure()


async def test_command_that_is_not_there(lab: Lab) -> None:
    """A command that isn't in the image is told as such, with no nonsense beside it."""
    result = await run(lab, job("no-such-command", "x"))
    assert (result.status, result.exit_code) == (Status.FAILED, 128)
    assert result.diagnosis is not None
    assert (result.diagnosis.code, result.diagnosis.container) == ("start", "main")
    assert result.warnings == ()
    assert all(0 <= seconds < 60 for seconds in result.durations.values())


async def test_init_container_that_fails(lab: Lab) -> None:
    """When a container before the job fails, the job never runs and the result names that container."""
    broken = {"name": "prepare", "image": "i", "command": ["sh", "-c", "echo no; exit 7"]}
    result = await run(lab, job("echo never", init_containers=[broken]))
    assert result.status is Status.FAILED
    assert result.exit_code is None
    assert result.diagnosis is not None
    assert (result.diagnosis.container, result.diagnosis.exit_code) == ("prepare", 7)
    assert result.log == ""


async def test_sidecars_run_as_long_as_the_job(lab: Lab) -> None:
    """A sidecar is there while the job runs, and ends with it."""
    proxy = {"name": "proxy", "image": "i", "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 60 & wait $!"]}
    result = await run(lab, job("echo done", sidecars=[proxy]))
    assert (result.ok, result.log) == (True, "done\n")


async def test_timeout(lab: Lab) -> None:
    """A job that runs longer than its timeout is ended and told so, with what it left until then."""
    result = await run(lab, job("echo kept > $LAUNCHER_OUTPUTS/x; trap 'exit 0' TERM; sleep 60 & wait $!", timeout=0.5))
    assert result.status is Status.FAILED
    assert result.diagnosis is not None
    assert (result.diagnosis.code, str(result.diagnosis)) == (
        "timeout",
        "the job ran longer than its timeout of 0.5 s (raise the job's timeout)",
    )
    assert [file.path for file in result.outputs] == ["x"]


async def test_job_that_is_faster_than_its_timeout(lab: Lab) -> None:
    """A job that ends in time isn't touched by its timeout, nor is the time before its start counted."""
    slow = {"name": "prepare", "image": "i", "command": ["sleep", "0.6"]}
    result = await run(lab, job("sleep 0.2", timeout=0.5, init_containers=[slow]))
    assert result.ok


async def test_cancel(lab: Lab) -> None:
    """A run that is cancelled gets its SIGTERM, keeps its log and outputs, and leaves no pod."""
    async with lab.launcher(cleanup="never") as pad:
        submitted = await pad.submit(job("echo x > $LAUNCHER_OUTPUTS/x; " + HEEDS[2]))
        await is_up(submitted)
        result = await submitted.cancel()
        assert (result.status, result.exit_code) == (Status.CANCELLED, 7)
        assert result.diagnosis is not None and result.diagnosis.code == "cancelled"
        assert [file.path for file in result.outputs] == ["x"]
        assert lab.log(result.run_id) == "up\n"
        assert await lab.left() == []
        assert (await submitted.cancel()).status is Status.CANCELLED


async def test_cancel_before_the_start(lab: Lab) -> None:
    """A run that is cancelled while something goes before its job is told as cancelled once that has ended."""
    stubborn = {
        "name": "prepare",
        "image": "i",
        "command": ["sh", "-c", "trap 'sleep 2.5; exit 0' TERM; sleep 60 & wait $!"],
    }
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("true", init_containers=[stubborn]))
        await until(submitted, lambda event: event.phase is Phase.FETCHING)
        # The shell needs a moment to set its trap; without it the signal would end it at once.
        await asyncio.sleep(0.2)
        result = await submitted.cancel()
    assert result.status is Status.CANCELLED
    assert result.diagnosis is not None and result.diagnosis.code == "cancelled"


@pytest.mark.parametrize(
    ("how", "codes"),
    [("gracefully", {"deleted"}), ("by force", {"deleted", "vanished"}), ("evicted", {"evicted"})],
)
async def test_pods_that_others_end(lab: Lab, how: str, codes: set[str]) -> None:
    """A pod that somebody else deletes or evicts is never taken for a job that is well, though its command ends 0."""
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("trap 'exit 0' TERM; echo up; sleep 60 & wait $!"))
        await is_up(submitted)
        path = f"{PODS}/{submitted.id}"
        if how == "evicted":
            body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": submitted.id}}
            await lab.session.create(f"{path}/eviction", body)
        else:
            await lab.session.delete(path, grace=0 if how == "by force" else None)
        async with asyncio.timeout(15):
            result = await submitted.wait()
    assert not result.ok
    assert result.status in (Status.FAILED, Status.LOST)
    assert result.diagnosis is not None
    assert result.diagnosis.code in codes
    assert result.diagnosis.infrastructure


async def test_pod_that_nobody_can_place(lab: Lab) -> None:
    """A pod that fits no node waits, and says why, in the scheduler's words."""
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("true", node_selector={"pool": "nowhere"}))
        event = await until(submitted, lambda event: event.kind == "warning")
        assert "no node fits yet" in event.text and "node affinity/selector" in event.text
        assert submitted.phase is Phase.SCHEDULING
        result = await submitted.cancel()
    assert result.status is Status.CANCELLED
    assert await lab.left() == []


async def test_secret_that_is_missing_at_run_time(lab: Lab) -> None:
    """Without a look ahead, a secret that isn't there is told while the pod waits for it, and mends itself."""
    async with lab.launcher(preflight=False) as pad:
        submitted = await pad.submit(job("echo $TOKEN", env={"TOKEN": SecretKey("late", "key")}))
        event = await until(submitted, lambda event: event.kind == "warning")
        assert "late" in event.text
        await lab.put("secrets", "Secret", "late", data={"key": "aGVyZQ=="})
        async with asyncio.timeout(30):
            assert (await submitted.wait()).log == "here\n"


async def test_what_was_missing_and_then_made(lab: Lab) -> None:
    """What the look ahead misses is refused before anything is made, and found as soon as it is there."""
    wants = job("echo $TOKEN", env={"TOKEN": SecretKey("late", "key")})
    async with lab.launcher() as pad:
        with pytest.raises(InvalidSpec, match="no secret 'late'"):
            await pad.submit(wants)
        assert await lab.left() == []
        await lab.put("secrets", "Secret", "late", data={"key": "aGVyZQ=="})
        assert (await pad.run(wants)).log == "here\n"


async def test_folder_that_is_not_there(lab: Lab) -> None:
    """A host path that isn't there is told before anything is submitted."""
    missing = Connection(name="gone", kind="host_path", schema={"hostPath": "/no/such/folder"})
    with pytest.raises(InvalidSpec, match="needs the folder /no/such/folder"):
        await run(lab, job("true", connections=["gone"]), connections=[missing])
    assert await lab.left() == []


async def test_connection_in_its_place(lab: Lab) -> None:
    """A connection is where it should be, with the rights that it allows, and a use shows a part of it."""
    data = lab.folder / "source"
    (data / "v3").mkdir(parents=True)
    (data / "v3" / "x").write_text("inside")
    connections = [
        Connection(name="data", kind="host_path", schema={"hostPath": str(data), "mountPath": "/d", "readOnly": True})
    ]
    command = "cat /d/v3/x; touch /d/new 2>/dev/null && echo written; echo; echo $LAUNCHER_CONNECTIONS"
    result = await run(lab, job(command, connections=["data"]), connections=connections)
    text, places = result.log.splitlines()
    assert text == "inside"
    assert json.loads(places) == {"data": {"path": "/d", "mode": "mount", "readOnly": True}}
    assert not (data / "new").exists()


async def test_files_arrive_as_they_are(lab: Lab) -> None:
    """Files that travel stand in the working directory, byte for byte, with their names and the executable bit."""
    folder = lab.folder / "code"
    contents = {
        "a b/ü.bin": bytes(range(256)) * 10,
        "empty": b"",
        "new\nline": b"x",
        "run.sh": b"#!/bin/sh\necho ran\n",
    }
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "run.sh").chmod(0o755)
    script = (
        "import hashlib, json, pathlib\n"
        "files = [p for p in pathlib.Path('.').rglob('*') if p.is_file() and '..' not in str(p)]\n"
        "print(json.dumps({str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}))"
    )
    async with lab.launcher() as pad:
        seen = await pad.run(job("python", "-c", script, files=[str(folder)]))
        ran = await pad.run(job("./run.sh", files=[str(folder)]))
    assert json.loads(seen.log) == {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
    assert ran.log == "ran\n"
    assert await lab.left() == []


async def test_texts_arrive_as_written(lab: Lab) -> None:
    """Variables, commands and arguments reach the process letter by letter, dollars, quotes and newlines included."""
    odd = ["$(LAUNCHER_RUN_ID)", "$$", "$$(X)", "a\nb", "'\"", "ü \U0001f600", "", " "]
    script = "import json, os, sys; print(json.dumps([sys.argv[1:], os.environ['X']]))"
    result = await run(
        lab, Job(name="j", image="i", command=["python", "-c", script], args=odd, env={"X": "".join(odd)})
    )
    assert json.loads(result.log) == [odd, "".join(odd)]


@pytest.mark.parametrize(
    "name", ["\U0001f600" * 60, "Count It!", "-", "a" * 250, "run", "日本", "a/b", "..", "x-0123456789"]
)
async def test_jobs_of_any_name(lab: Lab, name: str) -> None:
    """A job of any name runs, and its own name stands in its history."""
    result = await run(lab, job("true", name=name))
    assert result.ok
    assert lab.history(result.run_id)["record"]["job"] == name


@pytest.mark.parametrize(
    ("cleanup", "command", "kept"),
    [
        ("succeeded", "true", False),
        ("succeeded", "false", True),
        ("always", "false", False),
        ("never", "true", True),
    ],
)
async def test_cleanup(lab: Lab, cleanup: str, command: str, kept: bool) -> None:
    """Pods are removed as the settings say, files and all, and what they held is in the store either way."""
    (lab.folder / "word").write_text("x")
    result = await run(lab, job(command, files=[str(lab.folder / "word")]), cleanup=cleanup)
    expected = [result.run_id, f"{result.run_id}-files"] if kept else []
    assert await lab.left() == expected
    assert lab.history(result.run_id)["status"] == result.status


async def test_twenty_in_flight(lab: Lab) -> None:
    """Twenty runs at once end each with its own result, and leave nothing."""
    async with lab.launcher() as pad:
        jobs = [job(f"echo {number} | tee $LAUNCHER_OUTPUTS/n; exit {number % 2}") for number in range(20)]
        async with asyncio.timeout(40):
            results = await asyncio.gather(*(pad.run(one, check=False) for one in jobs))
    assert [result.log for result in results] == [f"{number}\n" for number in range(20)]
    assert [result.exit_code for result in results] == [number % 2 for number in range(20)]
    assert len({result.run_id for result in results}) == 20
    assert all((lab.store / result.run_id / "outputs" / "n").read_text() == result.log for result in results)


async def test_events_tell_the_story(lab: Lab) -> None:
    """Whoever watches a run, early or late, sees its phases in their order, each once."""
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("true"))
        early = [event.phase async for event in submitted.events() if event.kind == "phase"]
        late = [event.phase async for event in submitted.events() if event.kind == "phase"]
    assert early == late
    assert early == sorted(set(early), key=list(Phase).index)
    assert early[-1] is Phase.ENDED and Phase.RUNNING in early
