"""``fetch`` where no bucket is needed: mounted volumes, its reports, and how it ends."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from launcher.agent.plan import Part
from launcher.backend import Access
from launcher.record import FetchReport
from launcher.settings import AGENT_VARIABLE
from tests.servers.agents import RECORD, RUN, agent, fetched, mounted, plan


async def test_nothing_to_do_is_done_at_once(tmp_path: Path) -> None:
    """A plan without connections ends well, with an empty report."""
    code, report, said = await fetched(plan(), tmp_path)
    assert (code, report, said) == (0, FetchReport(), "")


async def test_a_mounted_volume_is_looked_at(tmp_path: Path) -> None:
    """A volume that is there, its subPath too, and can be written: good, and nothing is left in it."""
    (tmp_path / "volume" / "a" / "b").mkdir(parents=True)
    volume = mounted("faces", tmp_path / "volume", sub_path="a/b", writable=True)
    code, report, said = await fetched(plan(parts=[volume]), tmp_path)
    assert (code, report.error, said) == (0, "", "faces: mounted\n")
    assert list((tmp_path / "volume" / "a" / "b").iterdir()) == []


@pytest.mark.parametrize(
    ("sub_path", "access", "text"),
    [
        ("missing", Access.MISSING, "'missing' isn't there"),
        ("file", Access.MISSING, "'file' is a file and no folder"),
        ("escape", Access.DENIED, "'escape' leads out"),
        ("../outside", Access.DENIED, "leads out"),
    ],
)
async def test_a_sub_path_that_can_not_be_meant_is_refused(
    sub_path: str, access: Access, text: str, tmp_path: Path
) -> None:
    """The kubelet would make a folder and say nothing, or follow a link to anywhere."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "volume" / "file").write_text("")
    (tmp_path / "volume" / "escape").symlink_to(tmp_path / "outside")
    code, report, _ = await fetched(plan(parts=[mounted("faces", tmp_path / "volume", sub_path=sub_path)]), tmp_path)
    assert (code, report.access, report.connection) == (1, access, "faces")
    assert text in report.error
    assert not (tmp_path / "volume" / "missing").exists()


async def test_a_volume_that_can_not_be_written_is_refused_only_when_it_is_to_be(tmp_path: Path) -> None:
    """A place where nobody, root included, can make a file is good to read and no good to write."""
    code, _, _ = await fetched(plan(parts=[mounted("faces", Path("/proc"))]), tmp_path)
    assert code == 0
    code, report, _ = await fetched(plan(parts=[mounted("faces", Path("/proc"), writable=True)]), tmp_path)
    assert (code, report.connection) == (1, "faces")


async def test_the_store_gets_the_record_before_the_job_starts(tmp_path: Path) -> None:
    """A later process finds what to go on from; and that it could be written proves the store."""
    code, _, _ = await fetched(plan(store=mounted("store", tmp_path)), tmp_path)
    assert code == 0
    assert RECORD.spec in (tmp_path / RUN / "run.json").read_text()


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (Part(name="x", kind="nosuch"), "no plugin for the kind 'nosuch'"),
        (Part(name="x", kind="s3", schema={"bukket": "s3://data"}), "did you mean 'bucket'?"),
        (Part(name="x", kind="gcs", schema={"bucket": "gs://data-1"}, secret="."), "key.json"),
        (Part(name="x", kind="volume_claim", schema={"volumeClaim": "c"}), "only mounted"),
    ],
)
async def test_a_part_that_makes_no_sense_is_named(part: Part, text: str, tmp_path: Path) -> None:
    """Whatever is wrong with a connection in the plan, the report names it and says what."""
    code, report, _ = await fetched(plan(parts=[part]), tmp_path)
    assert (code, report.connection) == (1, "x")
    assert text in report.error


async def test_a_credential_that_can_not_be_read_is_not_repeated(tmp_path: Path) -> None:
    """A key file that isn't JSON: the connection is Unauthenticated, and no text shows what was in it."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key.json").write_text("{private-and-broken")
    broken = Part(name="x", kind="gcs", schema={"bucket": "gs://data-1"}, secret=str(tmp_path / "secret"))
    code, report, said = await fetched(plan(parts=[broken]), tmp_path)
    assert (code, report.access) == (1, Access.UNAUTHENTICATED)
    assert "private" not in report.error + said


async def test_a_plan_that_can_not_be_read_is_a_failure_with_a_reason(tmp_path: Path) -> None:
    """Without a plan, or with half of one, the agent ends 1 and says what is wrong with it."""
    async with agent("fetch", plan(), tmp_path, **{AGENT_VARIABLE: '{"namespace": "n"}'}) as running:
        code, report, _ = await running.ended(FetchReport)
    assert code == 1
    assert "record: is missing" in report.error


async def test_fetch_ends_at_sigterm(tmp_path: Path) -> None:
    """A pod that is deleted while fetch waits for a server that never answers."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        mute.setblocking(False)
        schema = {"bucket": "s3://data/x", "endpointUrl": f"http://127.0.0.1:{mute.getsockname()[1]}"}
        (tmp_path / "secret").mkdir()
        for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            (tmp_path / "secret" / key).write_text("something-long")
        waiting = Part(name="x", kind="s3", schema=schema, secret=str(tmp_path / "secret"), folder=str(tmp_path / "c"))
        async with agent("fetch", plan(parts=[waiting]), tmp_path) as running:
            connection, _ = await asyncio.get_running_loop().sock_accept(mute)
            with connection:
                running.terminate()
                code, report, _ = await running.ended(FetchReport)
    assert code == 1
    assert "told to end" in report.error
