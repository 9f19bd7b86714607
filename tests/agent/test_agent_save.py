"""``save`` with a store that is a mounted folder, as a process of its own, and as a coroutine where time matters."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
from pathlib import Path

import pytest

from launcher.agent.save import save
from launcher.kube.target import InCluster
from launcher.record import FetchReport, History, SavedManifest, dumps, loads
from launcher.registry import Registry
from launcher.transfer.local import LEADS_OUT, NOT_REGULAR
from tests.servers.agents import RECORD, RUN, mounted, plan, saved


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store's folder."""
    (tmp_path / "store").mkdir()
    return tmp_path / "store"


def manifest_of(store: Path) -> SavedManifest:
    return loads((store / RUN / "manifest.json").read_bytes(), SavedManifest)


async def test_outputs_that_are_in_the_store_already_are_only_read(store: Path, tmp_path: Path) -> None:
    """The job wrote through a mount of its own: the manifest names the files, and nothing was copied."""
    outputs = store / RUN / "outputs"
    (outputs / "deep").mkdir(parents=True)
    (outputs / "deep" / "file").write_bytes(b"x" * 5_000_000)
    inode = (outputs / "deep" / "file").stat().st_ino
    orders = plan(store=mounted("store", store), outputs="/launcher/outputs")
    code, report, _ = await saved(orders, tmp_path)
    assert (code, report.complete, report.files, report.bytes) == (0, True, 1, 5_000_000)
    [file] = manifest_of(store).files
    assert (file.path, file.sha256) == ("deep/file", hashlib.sha256(b"x" * 5_000_000).hexdigest())
    assert (outputs / "deep" / "file").stat().st_ino == inode
    assert sorted(p.name for p in (store / RUN).iterdir()) == ["manifest.json", "outputs", "run.json"]


async def test_outputs_that_are_elsewhere_are_copied(store: Path, tmp_path: Path) -> None:
    """A folder beside the mounted store is copied into it, small files and large ones."""
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "small").write_text("s")
    (outputs / "large").write_bytes(b"l" * 5_000_000)
    code, report, _ = await saved(plan(store=mounted("store", store), outputs=str(outputs)), tmp_path)
    assert (code, report.complete) == (0, True)
    assert (store / RUN / "outputs" / "small").read_text() == "s"
    assert (store / RUN / "outputs" / "large").stat().st_size == 5_000_000
    assert [p.name for p in (store / RUN / "outputs").iterdir() if p.name.startswith(".")] == []


async def test_links_and_special_files_neither_leak_nor_block(store: Path, tmp_path: Path) -> None:
    """A link inside is followed, one that leads out is told and its target stays secret; FIFOs and sockets too."""
    outputs = tmp_path / "outputs"
    (outputs / "real").mkdir(parents=True)
    (outputs / "real" / "file").write_text("real")
    (tmp_path / "credentials").write_text("do not tell")
    (outputs / "link").symlink_to("real/file")
    (outputs / "folder-link").symlink_to("real")
    (outputs / "dangling").symlink_to("nowhere")
    (outputs / "leak").symlink_to(tmp_path / "credentials")
    os.mkfifo(outputs / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(outputs / "socket"))
        code, report, _ = await saved(plan(store=mounted("store", store), outputs=str(outputs)), tmp_path)
    states = {file.path: file.state for file in manifest_of(store).files}
    assert states == {
        "fifo": NOT_REGULAR,
        "leak": LEADS_OUT,
        "link": "saved",
        "real/file": "saved",
        "socket": NOT_REGULAR,
    }
    assert (code, report.complete, manifest_of(store).complete) == (1, False, False)
    assert (store / RUN / "outputs" / "link").read_text() == "real"
    assert "do not tell" not in "".join(p.read_text() for p in store.rglob("*") if p.is_file())


async def test_what_is_written_last_says_that_all_is_there(store: Path, tmp_path: Path) -> None:
    """The history names what came in and went out, and is older than the manifest."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "fetched.json").write_text(dumps(FetchReport(files=7, bytes=70)))
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "file").write_text("abc")
    orders = plan(store=mounted("store", store), outputs=str(outputs), state=str(tmp_path / "state"))
    await saved(orders, tmp_path)
    history = loads((store / RUN / "run.json").read_bytes(), History)
    assert (history.record, history.namespace) == (RECORD, "jobs")
    assert (history.files_in, history.bytes_in, history.files_out, history.bytes_out) == (7, 70, 1, 3)
    assert history.ended.endswith("Z")
    assert (store / RUN / "manifest.json").stat().st_mtime_ns >= (store / RUN / "run.json").stat().st_mtime_ns


async def test_outputs_are_saved_while_the_job_runs(store: Path, tmp_path: Path) -> None:
    """A file that nobody writes to any more is in the store before the job ends; a change replaces it at the end."""
    outputs, ended = tmp_path / "outputs", asyncio.Event()
    outputs.mkdir()
    (outputs / "file").write_text("first")
    kept = store / RUN / "outputs" / "file"
    orders = plan(store=mounted("store", store), outputs=str(outputs))
    nobody = InCluster("127.0.0.1", "1", tmp_path)
    async with asyncio.TaskGroup() as group:
        work = group.create_task(save(orders, Registry.installed(), nobody, ended, every=0.02), name="save")
        async with asyncio.timeout(20):
            while not kept.is_file():
                await asyncio.sleep(0.01)
        assert not (store / RUN / "manifest.json").exists()
        (outputs / "file").write_text("second")
        ended.set()
    assert work.result().complete
    assert kept.read_text() == "second"
    [file] = manifest_of(store).files
    assert file.sha256 == hashlib.sha256(b"second").hexdigest()


async def test_a_store_that_can_not_be_written_is_told(tmp_path: Path) -> None:
    """The store's folder is a file: exit 1, no manifest, and the reason for each output."""
    (tmp_path / "store").write_text("")
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    (outputs / "file").write_text("x")
    code, report, _ = await saved(plan(store=mounted("store", tmp_path / "store"), outputs=str(outputs)), tmp_path)
    assert (code, report.complete, report.manifest) == (1, False, "")
    assert "'store'" in report.error
    assert report.unsaved[0].startswith("file: ")
