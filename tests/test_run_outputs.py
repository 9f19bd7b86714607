"""What a run leaves: its outputs, its log and its history, whole and the same wherever they are read."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from launcher import Connection, Job, Phase, Result, Status
from tests.lab import Lab, job

STORED = ["outputs", "logs", "manifest.json", "run.json"]


async def run(lab: Lab, job: Job, **settings: Any) -> Result:
    async with lab.launcher(**settings) as pad:
        return await pad.run(job, check=False)


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
