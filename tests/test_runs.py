"""Runs from their first state to their result, on a cluster of real processes: how they end, and what is left."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from launcher import Connection, InvalidSpec, Job, JobFailed, Launcher, Phase, Result, RunNotFound, SecretKey, Status
from launcher.local.cluster import LocalCluster
from tests.lab import HEEDS, PODS, Lab, is_up, job, until

STORED = ["outputs", "logs", "manifest.json", "run.json"]


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


async def test_what_a_run_leaves(lab: Lab) -> None:
    """A run that is well leaves its outputs, its log, a manifest with their digests and its history, and no pod."""
    settings = {"connections": [Connection(name="data", kind="host_path", schema={"hostPath": "/usr"}, version="v3")]}
    command = (
        "mkdir $LAUNCHER_OUTPUTS/a; echo one > $LAUNCHER_OUTPUTS/a/x; : > $LAUNCHER_OUTPUTS/empty; echo 1; echo 2 >&2"
    )
    result = await run(lab, job(command, connections=["data"], name="Count it"), **settings)
    assert result.ok and result.warnings == ()
    assert sorted(path.name for path in (lab.store / result.run_id).iterdir()) == sorted(STORED)
    assert [(file.path, file.bytes, file.state) for file in result.outputs] == [
        ("a/x", 4, "saved"),
        ("empty", 0, "saved"),
    ]
    assert result.outputs[0].sha256 == hashlib.sha256(b"one\n").hexdigest()
    manifest, history = lab.manifest(result.run_id), lab.history(result.run_id)
    assert (manifest["complete"], [file["path"] for file in manifest["files"]]) == (True, ["a/x", "empty"])
    assert manifest["logBytes"] == len(lab.log(result.run_id))
    assert sorted(lab.log(result.run_id).splitlines()) == ["1", "2"]
    assert (history["status"], history["exitCode"], history["record"]["user"]) == ("succeeded", 0, "system:admin")
    assert (history["filesOut"], history["bytesOut"], history["node"]) == (2, 4, result.node)
    assert history["record"]["uses"] == [
        {"name": "data", "kind": "host_path", "mode": "mount", "writable": True, "version": "v3"}
    ]
    assert {Phase.SCHEDULING, Phase.RUNNING} <= set(result.durations)
    assert all(0 <= seconds < 60 for seconds in result.durations.values())
    assert await lab.left() == []


async def test_outputs_are_downloaded_as_they_were(lab: Lab, tmp_path: Path) -> None:
    """Outputs come back byte for byte, in their folders, whatever their names are."""
    names = ["plain", "a b", "ü/日本.txt", "new\\nline", "-rf", "'\"$(x)"]
    script = "import os, pathlib\nout = pathlib.Path(os.environ['LAUNCHER_OUTPUTS'])\n"
    script += f"for name in {[n.replace(chr(92) + 'n', chr(10)) for n in names]!r}:\n"
    script += "    path = out / name; path.parent.mkdir(exist_ok=True); path.write_bytes(name.encode() * 1000)\n"
    result = await run(lab, job("python", "-c", script))
    assert result.ok
    paths = await result.outputs.download(tmp_path / "here")
    assert len(paths) == len(names)
    for file in result.outputs:
        data = (tmp_path / "here" / file.path).read_bytes()
        assert data == file.path.encode() * 1000
        assert hashlib.sha256(data).hexdigest() == file.sha256


async def test_nothing_is_kept_where_nothing_is_wanted(lab: Lab) -> None:
    """A job without outputs has no place for them, and keeps its log and history."""
    result = await run(lab, job("echo ${LAUNCHER_OUTPUTS:-none}", outputs=None))
    assert (result.ok, result.log, len(result.outputs)) == (True, "none\n", 0)
    assert lab.log(result.run_id) == "none\n"


ODD_OUTPUTS = {
    "a link to itself": "ln -s loop loop",
    "a link that leads out": "ln -s /etc/passwd out",
    "a dead link": "ln -s nowhere dead",
    "a fifo": "mkfifo pipe",
    "a name that isn't text": "python -c \"open(b'\\xff.txt', 'w').write('x')\"",
}


@pytest.mark.parametrize("what", ODD_OUTPUTS)
async def test_outputs_that_cannot_be_kept(lab: Lab, what: str) -> None:
    """What can't be kept is named and makes the run unsaved; the rest is kept, and nobody waits for ever."""
    async with asyncio.timeout(15):
        result = await run(lab, job(f"cd $LAUNCHER_OUTPUTS; echo fine > fine; {ODD_OUTPUTS[what]}"))
    assert result.status is Status.UNSAVED
    assert result.exit_code == 0
    kept = [file for file in result.outputs if file.state == "saved"]
    assert [file.path for file in kept] == ["fine"]
    assert lab.manifest(result.run_id).get("complete") is not True
    assert lab.history(result.run_id)["status"] == "unsaved"


async def test_link_inside_the_outputs(lab: Lab) -> None:
    """A link to another output is kept as what it leads to."""
    result = await run(lab, job("cd $LAUNCHER_OUTPUTS; echo x > a; ln -s a b"))
    assert result.ok
    assert [(file.path, file.bytes) for file in result.outputs] == [("a", 2), ("b", 2)]


LOGS = {
    "plain": "one\ntwo\n",
    "empty lines": "\n\na\n\n",
    "no end": "one\ntwo",
    "progress": "10%\r20%\r30%\ndone\n",
    "odd breaks": "a\x0cb\x0bc\x1cd\u0085e\u2028f\n",
    "colours": "\x1b[31mred\x1b[0m\n",
    "nothing": "",
    "one long line": "x" * 100_000 + "\n",
    "many lines": "".join(f"line {number}\n" for number in range(5000)),
}


@pytest.mark.parametrize("what", LOGS)
async def test_logs_are_the_same_wherever_they_are_read(lab: Lab, what: str) -> None:
    """The lines that come live, those in the result and those in the store are the lines that were written."""
    text = LOGS[what]
    (lab.folder / "text").write_text(text, newline="")
    lines = text.removesuffix("\n").split("\n") if text else []
    async with lab.launcher() as pad:
        submitted = await pad.submit(job("cat text", files=[str(lab.folder / "text")]))
        live = [str(line) async for line in submitted.logs()]
        result = await submitted.wait()
        await submitted.settled()
        past = await pad.attach(submitted.id)
        stored = [str(line) async for line in past.logs()]
    assert live == lines
    assert stored == lines
    assert result.log == "".join(f"{line}\n" for line in lines)
    assert lab.log(result.run_id) == result.log


async def test_end_of_a_long_log(lab: Lab) -> None:
    """A result holds the end of a long log and says that it isn't all; the store holds all of it."""
    result = await run(lab, job("i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done"))
    assert result.log.startswith("[the beginning is left out]\n")
    assert result.log.endswith("line 59999\n")
    assert len(result.log) <= 257 * 1024
    assert lab.log(result.run_id).count("\n") == 60000


async def test_one_line_longer_than_a_result_holds(lab: Lab) -> None:
    """A single line that is too long for a result is cut, and the result says so."""
    result = await run(lab, job("python", "-c", "print('x' * 300_000)"))
    assert result.log.startswith("[the beginning is left out]\n")
    assert len(lab.log(result.run_id)) == 300_001


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


# Leaving, and coming back.


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


def _alone() -> Any:
    from launcher import Settings

    return Settings(cluster="local")


async def test_nothing_is_left_on_the_machine(tmp_path: Path) -> None:
    """A cluster that is left takes its pods' folders and processes with it."""
    async with LocalCluster(tmp_path / "cluster") as cluster:
        assert cluster.url
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
