"""Container logs: complete, in order, timed, followed without polling."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from launcher.local.api import LogLine
from launcher.local.node.logfiles import LONGEST_LINE, LogStore
from launcher.local.node.process import Pipes
from tests.local.node_lab import Lab, pod_spec


class Writer:
    """What a container is for its log: the other ends of two pipes."""

    def __init__(self, folder: Path) -> None:
        self.logs = LogStore()
        self._pipes = Pipes.open()
        self._attempt = self.logs.begin("uid", "c", folder).capture(self._pipes, 0)
        self.stdout, self.stderr = self._pipes.child_stdout, self._pipes.child_stderr

    async def end(self) -> None:
        self._pipes.close_child_ends()
        await self._attempt.finish()


@pytest.fixture
async def writer(tmp_path: Path) -> Writer:
    """A log that the test writes to; each test ends it."""
    return Writer(tmp_path)


async def read(store: LogStore, *, previous: bool = False, follow: bool = True) -> list[LogLine]:
    return [line async for line in store.read("uid", "c", previous=previous, follow=follow)]


async def test_both_streams(lab: Lab) -> None:
    """Standard output and standard error end up in one log, each in its order."""
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    _, text = await lab.run("sh", "-c", script)
    lines = text.splitlines()
    assert [line for line in lines if line.startswith("out")] == ["out 1", "out 2", "out 3"]
    assert [line for line in lines if line.startswith("err")] == ["err 1", "err 2", "err 3"]


async def test_followed_from_start_to_end(writer: Writer) -> None:
    """A follower gets each line as it is written, with its time, and ends when the container does."""
    logs = writer.logs
    before = datetime.now(UTC)
    lines = aiter(logs.read("uid", "c", previous=False, follow=True))
    os.write(writer.stdout, b"one\ntw")
    first = await anext(lines)
    assert (first.stream, first.data) == ("stdout", b"one")
    assert timedelta(0) <= first.time - before < timedelta(seconds=5)
    os.write(writer.stdout, b"o\n")
    assert (await anext(lines)).data == b"two"
    os.write(writer.stderr, b"no line end")
    await writer.end()
    assert [(line.stream, line.data) async for line in lines] == [("stderr", b"no line end")]


async def test_long_lines(writer: Writer) -> None:
    """A line is whole up to a mebibyte, and split after that."""
    logs = writer.logs
    reading = asyncio.create_task(read(logs))
    writing = asyncio.create_task(_write(writer.stdout, b"x" * (LONGEST_LINE + 5) + b"\n"))
    await writing
    await writer.end()
    assert [len(line.data) for line in await reading] == [LONGEST_LINE, 5]


async def _write(fd: int, data: bytes) -> None:
    os.set_blocking(fd, False)
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            await asyncio.sleep(0)


async def test_empty_lines_and_odd_bytes(writer: Writer) -> None:
    """Every byte but the line end is kept."""
    logs = writer.logs
    os.write(writer.stdout, b"\n\r\n\xff\x00 F \n")
    await writer.end()
    assert [line.data for line in await read(logs)] == [b"", b"\r", b"\xff\x00 F "]


async def test_never_started(writer: Writer) -> None:
    """A container that hasn't started, or hasn't been started before, is a LookupError."""
    logs = writer.logs
    with pytest.raises(LookupError):
        await read(logs, previous=True)
    with pytest.raises(LookupError):
        _ = [line async for line in logs.read("uid", "other", previous=False, follow=False)]
    await writer.end()
    await read(logs)


async def test_previous_attempt(lab: Lab) -> None:
    """The log of the attempt before the current one is kept."""
    spec = pod_spec("sh", "-c", "echo run $(wc -l < /v/n); echo >> /v/n; [ $(wc -l < /v/n) = 4 ]")
    spec |= {"restartPolicy": "OnFailure", "volumes": [{"name": "v", "emptyDir": {}}]}
    spec["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    spec["initContainers"] = [
        {
            "name": "i",
            "image": "none",
            "command": ["sh", "-c", "echo > /v/n"],
            "volumeMounts": [{"name": "v", "mountPath": "/v"}],
        }
    ]
    name = await lab.create(spec)
    pod = await lab.ended(name)
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 2
    assert (await lab.log(name), await lab.log(name, previous="true")) == ("run 3", "run 2")


async def test_follow_through_the_api(either: Lab) -> None:
    """A log that is followed through the API arrives line by line and ends with the container."""
    name = await either.create(pod_spec("sh", "-c", "echo first; read x < /v/go; echo last", **_gate(either)))
    await either.running(name)
    path = f"/api/v1/namespaces/default/pods/{name}/log"
    async with asyncio.timeout(10), either.session.lines(path, {"follow": "true"}) as lines:
        assert await anext(lines) == b"first"
        (either.folder / "gate" / "go").write_text("go\n")
        assert [line async for line in lines] == [b"last"]


def _gate(lab: Lab) -> dict[str, object]:
    gate = lab.folder / "gate"
    gate.mkdir()
    os.mkfifo(gate / "go")
    return {
        "volumes": [{"name": "v", "hostPath": {"path": str(gate)}}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }


async def test_log_outlives_the_container_but_not_the_pod(lab: Lab) -> None:
    """An ended pod's log can be read until the pod is deleted; then its files go too."""
    name = await lab.create(pod_spec("echo", "hello"))
    pod = await lab.ended(name)
    assert await lab.log(name) == "hello"
    folder = lab.folder / "node" / "pods" / pod["metadata"]["uid"]
    assert folder.exists()
    await lab.session.delete(f"/api/v1/namespaces/default/pods/{name}")
    async with asyncio.timeout(5):
        while folder.exists():
            await asyncio.sleep(0.01)


async def test_a_lot_of_output(lab: Lab) -> None:
    """Two hundred thousand lines written at once are all there, in order."""
    _, text = await lab.run("seq", "200000")
    assert text.splitlines() == [str(number) for number in range(1, 200001)]
