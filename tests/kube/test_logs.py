"""A log that is followed to its end, through cuts and restarts, without a lost or a doubled line."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from launcher import ClusterError, Forbidden
from launcher.kube.logs import LogLine, follow
from launcher.kube.podstate import PodRef
from launcher.kube.session import Session
from tests.kube.misbehaving import Answer, Server, drop, refusal, stream

REF = PodRef("jobs", "a", "uid-a")
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def stamp(number: float, offset: str = "Z") -> str:
    """A time as kubelets write it, some seconds after the beginning."""
    moment = BEGIN + timedelta(seconds=number)
    if offset != "Z":
        moment += timedelta(hours=int(offset[:3]))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000" + offset


def line(number: float, text: str, offset: str = "Z") -> str:
    return f"{stamp(number, offset)} {text}\n"


def runs(times: int) -> Callable[[], Awaitable[bool]]:
    """A container that is still running the first times that somebody asks."""
    left = [True] * times

    async def still_running() -> bool:
        return left.pop() if left else False

    return still_running


async def read(session: Session, still_running: Callable[[], Awaitable[bool]]) -> list[LogLine]:
    async with asyncio.timeout(10):
        return [line async for line in follow(session, REF, "main", still_running)]


async def texts(session: Session, times: int = 0) -> list[str]:
    return [line.text for line in await read(session, runs(times))]


class Log:
    """A log that a kubelet would serve: from a second on, and cut where a test wants it."""

    def __init__(self, lines: list[str], cuts: list[tuple[int, str]]) -> None:
        self.lines = lines
        self.cuts = cuts
        self.written = 0

    def answer(self) -> Answer:
        """Every line since the second that is asked for, up to the next cut."""

        async def respond(request: web.Request) -> web.StreamResponse:
            since = request.query.get("sinceTime")
            begin = datetime.fromisoformat(since) if since else BEGIN - timedelta(days=1)
            until, ending = self.cuts.pop(0) if self.cuts else (len(self.lines), "clean")
            shown = [item for item in self.lines[:until] if _moment(item) >= begin]
            return await stream(*shown, end=ending)(request)

        return respond


def _moment(item: str) -> datetime:
    text = item.split(" ", maxsplit=1)[0]
    offset = text[29:]
    return datetime.fromisoformat(text[:26] + ("+00:00" if offset == "Z" else offset))


async def test_log_to_its_end(server: Server, session: Session) -> None:
    """A log comes line by line with the times of the node, and ends with its container."""
    server.logs = [stream(line(0, "one"), line(1.5, "two words"), line(2, ""), f"{stamp(3)} last")]
    lines = await read(session, runs(0))
    assert [str(line) for line in lines] == ["one", "two words", "", "last"]
    assert lines[1].time == BEGIN + timedelta(seconds=1.5)
    assert {(line.container, line.attempt) for line in lines} == {("main", 1)}
    assert server.requests[0].query["container"] == "main"


@pytest.mark.parametrize("ending", ["clean", "cut"])
async def test_taken_up_again(server: Server, session: Session, ending: str) -> None:
    """A stream that breaks while the container runs is taken up again, with no line lost or doubled."""
    lines = [line(number / 3, f"line {number}") for number in range(12)]
    server.logs = [Log(lines, [(5, ending), (5, ending), (9, ending)]).answer()]
    assert await texts(session, 3) == [f"line {number}" for number in range(12)]


@pytest.mark.parametrize("seed", range(3))
async def test_many_lines_in_one_moment(server: Server, session: Session, seed: int) -> None:
    """Lines that bear the same time, the same text or both are told apart by their number, wherever the cuts are."""
    chance = random.Random(seed)
    lines = [
        line(chance.choice([0, 0, 0.25, 0.5, 1]) + number // 4, chance.choice(["same", f"{number}"]))
        for number in range(40)
    ]
    lines.sort(key=lambda item: item.split(" ")[0])
    cuts = sorted((chance.randrange(41), chance.choice(["clean", "cut"])) for _ in range(4))
    server.logs = [Log(lines, cuts).answer()]
    assert await texts(session, 4) == [item.rstrip("\n").split(" ", 1)[1] for item in lines]


@pytest.mark.parametrize("offset", ["+02:00", "-05:00", "Z"])
async def test_nodes_in_other_time_zones(server: Server, session: Session, offset: str) -> None:
    """A node that writes its own local time loses no line when the stream is taken up, and its times are right."""
    lines = [line(number, f"line {number}", offset) for number in range(6)]
    server.logs = [Log(lines, [(3, "clean")]).answer()]
    found = await read(session, runs(1))
    assert [line.text for line in found] == [f"line {number}" for number in range(6)]
    assert [line.time for line in found] == [BEGIN + timedelta(seconds=number) for number in range(6)]
    since = datetime.fromisoformat(server.requests[1].query["sinceTime"])
    assert since == BEGIN + timedelta(seconds=2)


async def test_line_cut_in_the_middle(server: Server, session: Session) -> None:
    """A line that was cut in the middle comes whole when the stream is taken up, and only then."""
    whole = line(1, "a line that is cut in the middle")
    for ending in ("clean", "cut"):
        server.logs = [stream(line(0, "one"), whole[:-12], end=ending), stream(line(0, "one"), whole, line(2, "three"))]
        assert await texts(session, 1) == ["one", "a line that is cut in the middle", "three"]


async def test_stamp_cut_in_the_middle(server: Server, session: Session) -> None:
    """A line that was cut within its time isn't taken for a line."""
    whole = line(1, "two")
    server.logs = [stream(line(0, "one"), whole[:15], end="clean"), stream(line(0, "one"), whole)]
    assert await texts(session, 1) == ["one", "two"]


async def test_clock_that_steps_back(server: Server, session: Session) -> None:
    """When the node's clock is set back after a cut, the lines that follow still come."""
    early = [line(10, "before"), line(11, "at the cut")]
    late = [line(11.5, "after"), line(5, "set back"), line(6, "and on")]
    server.logs = [stream(*early, end="cut"), stream(early[1], *late)]
    assert await texts(session, 1) == ["before", "at the cut", "after", "set back", "and on"]


async def test_text_that_is_no_text(server: Server, session: Session) -> None:
    """Bytes that aren't UTF-8, control characters and carriage returns pass as part of the line."""
    server.logs = [stream(stamp(0).encode() + b" a\xff\x00b\r50%\rc\n", line(1, "\x1b[31mred"))]
    assert await texts(session) == ["a\ufffd\x00b\r50%\rc", "\x1b[31mred"]


async def test_lines_without_a_time(server: Server, session: Session) -> None:
    """A line without a time doesn't break the log."""
    server.logs = [stream("unstamped\n", "\n", line(1, "two"))]
    lines = await read(session, runs(0))
    assert lines[-1].text == "two"
    assert lines[0].time is None


@pytest.mark.parametrize(
    "trouble", [refusal(400, "waiting to start"), refusal(500), refusal(429, Retry_After="0"), drop()]
)
async def test_what_passes(server: Server, session: Session, trouble: Answer) -> None:
    """A log that isn't there yet, or whose server stumbles, is asked for again while the container runs."""
    server.logs = [trouble, stream(line(0, "one"))]
    assert await texts(session, 1) == ["one"]


async def test_what_does_not_pass(server: Server, session: Session) -> None:
    """Who may not read logs is told, and a pod that is gone has no more lines."""
    server.logs = [refusal(403, "no logs")]
    with pytest.raises(Forbidden, match="no logs"):
        await texts(session, 5)
    server.logs = [refusal(404)]
    assert await texts(session, 5) == []


async def test_trouble_after_the_end(server: Server, session: Session) -> None:
    """A stream that breaks when its container has ended is told as broken: the end of the log may be missing."""
    server.logs = [stream(line(0, "one"), end="cut")]
    with pytest.raises(ClusterError):
        await texts(session, 0)


async def test_left_in_the_middle(server: Server, session: Session) -> None:
    """Whoever leaves a log closes its connection."""
    server.logs = [stream(line(0, "one"), end="open")]
    lines = follow(session, REF, "main", runs(1))
    assert (await anext(lines)).text == "one"
    await lines.aclose()
    async with asyncio.timeout(2):
        while server.connections:
            await asyncio.sleep(0.005)
