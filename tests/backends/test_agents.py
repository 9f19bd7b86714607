"""``fetch`` and ``save`` against a real server of every kind, as the processes that they are in a pod."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from launcher.agent.plan import Part
from launcher.agent.writeback import CHANGED_MEANWHILE
from launcher.backend import Access
from launcher.record import History, SavedManifest, SaveReport, digest, loads
from tests.servers.agents import RECORD, RUN, agent, fetched, plan, saved, secret
from tests.servers.clouds import NAME, Cloud
from tests.servers.log_server import LogServer, environment, log_server, token


def part(cloud: Cloud, scratch: Path, prefix: str, **fields: Any) -> Part:
    """The connection at a prefix, with good credentials, where there are any, as files below ``scratch``."""
    credentials = secret(scratch / "secret", cloud.secrets) if cloud.secrets else ""
    return Part(**{"name": NAME, "kind": cloud.kind, "schema": cloud.schema(prefix), "secret": credentials, **fields})


async def test_fetch_copies_what_is_wanted_and_says_how_much(cloud: Cloud, tmp_path: Path) -> None:
    """The files below the subPath that match come under their names, and the report counts them."""
    async with cloud.open("fetch one/v3") as place:
        for key in ("train/a b.png", "train/deep/ü.png", "train/notes.txt", "train/skip/x.png", "test/c.png"):
            await place.put_bytes(key.encode(), key)
    copy = tmp_path / "copy"
    wanted = part(
        cloud, tmp_path, "fetch one", sub_path="v3/train", folder=str(copy), include=("*.png",), exclude=("skip/**",)
    )
    code, report, said = await fetched(plan(parts=[wanted]), tmp_path)
    assert (code, report.error) == (0, "")
    assert {p.relative_to(copy).as_posix(): p.read_text() for p in copy.rglob("*") if p.is_file()} == {
        "a b.png": "train/a b.png",
        "deep/ü.png": "train/deep/ü.png",
    }
    assert (report.files, report.bytes) == (2, len("train/a b.png") + len("train/deep/ü.png".encode()))
    assert said.startswith(f"{NAME}: 2 files, {report.bytes} bytes, ")


async def test_fetch_refuses_a_sub_path_that_is_not_there(cloud: Cloud, tmp_path: Path) -> None:
    """Nothing under the subPath: Missing, with the place named, and no empty folder that looks like data."""
    copy = tmp_path / "copy"
    absent = part(cloud, tmp_path, "fetch", sub_path="v4", folder=str(copy))
    code, report, _ = await fetched(plan(parts=[absent]), tmp_path)
    assert (code, report.access, report.connection) == (1, Access.MISSING, NAME)
    assert "fetch/v4" in report.error
    assert not copy.exists()


async def test_fetch_tells_all_refusals_at_once_and_copies_nothing(cloud: Cloud, tmp_path: Path) -> None:
    """A wrong bucket, a wrong subPath and a good connection: both mistakes are told, the good one isn't copied."""
    missing = next(refusal for refusal in cloud.refusals.values() if refusal.access is Access.MISSING)
    async with cloud.open("all") as place:
        await place.put_bytes(b"x", "file")
    good = part(cloud, tmp_path, "all", folder=str(tmp_path / "good"))
    wrong = part(
        cloud,
        tmp_path,
        "",
        name="wrong",
        schema=cloud.schema(bucket=missing.bucket),
        secret=secret(tmp_path / "other", missing.secrets) if missing.secrets else "",
        folder=str(tmp_path / "wrong"),
    )
    absent = part(cloud, tmp_path, "all", name="absent", sub_path="v9", folder=str(tmp_path / "absent"))
    code, report, _ = await fetched(plan(parts=[good, wrong, absent]), tmp_path)
    assert (code, report.connection, report.access) == (1, "wrong", Access.MISSING)
    assert "'wrong'" in report.error
    assert "'absent'" in report.error
    assert not (tmp_path / "good").exists()
    assert not [value for value in cloud.secrets.values() if value in report.error]


async def test_save_keeps_outputs_history_and_manifest(cloud: Cloud, tmp_path: Path) -> None:
    """Outputs are in the store with their digests, then the history, then the manifest that the report names."""
    outputs = tmp_path / "outputs"
    (outputs / "deep dir").mkdir(parents=True)
    (outputs / "model.bin").write_bytes(b"m" * 5_000_000)
    (outputs / "deep dir" / "ü 50%.txt").write_text("fifty")
    orders = plan(store=part(cloud, tmp_path, "store here"), outputs=str(outputs))
    code, report, _ = await saved(orders, tmp_path)
    assert (code, report.complete, report.files, report.bytes) == (0, True, 2, 5_000_005)
    async with cloud.open(f"store here/{RUN}") as place:
        text = (await place.read("manifest.json")).decode()
        manifest = loads(text, SavedManifest)
        assert digest(text) == report.manifest
        assert manifest.complete
        for file in manifest.files:
            assert hashlib.sha256(await place.read(f"outputs/{file.path}")).hexdigest() == file.sha256
        history = loads(await place.read("run.json"), History)
    assert [file.path for file in manifest.files] == ["deep dir/ü 50%.txt", "model.bin"]
    assert (history.record, history.files_out, history.bytes_out) == (RECORD, 2, 5_000_005)


async def test_a_writable_copy_sends_changes_back_and_overwrites_nobody(cloud: Cloud, tmp_path: Path) -> None:
    """New and changed files return; what changed in the bucket meanwhile is reported, and deletions are not sent."""
    async with cloud.open("ckpt/run-7") as place:
        for key in ("kept", "changed", "removed", "contested"):
            await place.put_bytes(b"old", key)
    copy = tmp_path / "copy"
    (tmp_path / "state").mkdir()
    written = part(cloud, tmp_path, "ckpt", sub_path="run-7", folder=str(copy), writable=True)
    orders = plan(parts=[written], state=str(tmp_path / "state"))
    async with agent("save", orders, tmp_path) as save:
        # As in a pod: save listens before fetch ends, and so before the job begins.
        code, report, _ = await fetched(orders, tmp_path)
        assert (code, report.files) == (0, 4)
        assert not [p for p in copy.iterdir() if p.name.startswith(".")]
        (copy / "changed").write_text("by the job")
        (copy / "contested").write_text("by the job")
        (copy / "new dir").mkdir()
        (copy / "new dir" / "new").write_text("by the job")
        (copy / "also there").write_text("by the job")
        (copy / "removed").unlink()
        async with cloud.open("ckpt/run-7") as place:
            await place.put_bytes(b"by another", "contested")
            await place.put_bytes(b"by another", "also there")
            save.terminate()
            code, saving, _ = await save.ended(SaveReport)
            now = {file.key: await place.read(file.key) for file in await place.files()}
    assert now == {
        "kept": b"old",
        "changed": b"by the job",
        "removed": b"old",
        "contested": b"by another",
        "also there": b"by another",
        "new dir/new": b"by the job",
    }
    assert (code, saving.complete) == (1, False)
    assert sorted(saving.unsaved) == [f"{NAME}/{path}: {CHANGED_MEANWHILE}" for path in ("also there", "contested")]


async def test_the_log_is_in_the_bucket_at_the_end(cloud: Cloud, tmp_path: Path) -> None:
    """It is gathered in a file of save's own first, and the manifest knows its length."""
    orders = plan(store=part(cloud, tmp_path, "logged"), log="main", token=token(tmp_path / "token"))
    lines = [(f"2026-11-24T05:00:00.{n:09d}Z", f"line {n}") for n in range(1000)]
    async with (
        log_server(LogServer(lines)) as server,
        agent("save", orders, tmp_path, **environment(server)) as save,
    ):
        server.started.set()
        await server.asked.wait()
        server.ended.set()
        save.terminate()
        code, report, _ = await save.ended(SaveReport)
    assert (code, report.complete, report.log) == (0, True, "saved")
    async with cloud.open(f"logged/{RUN}") as place:
        log = await place.read("logs/main.log")
        manifest = loads(await place.read("manifest.json"), SavedManifest)
    assert log == "".join(f"{text}\n" for _, text in lines).encode()
    assert manifest.log_bytes == len(log)


@pytest.mark.parametrize("role", ["fetch", "save"])
async def test_a_secret_without_the_key_is_told_before_anybody_is_asked(role: str, s3: Cloud, tmp_path: Path) -> None:
    """A secret that lacks a required key is Unauthenticated, and the key is named."""
    lacking = {key: value for key, value in s3.secrets.items() if "SECRET" not in key}
    incomplete = part(s3, tmp_path, "x", secret=secret(tmp_path / "lacking", lacking), folder=str(tmp_path / "copy"))
    if role == "fetch":
        code, fetching, _ = await fetched(plan(parts=[incomplete]), tmp_path)
        assert (code, fetching.access) == (1, Access.UNAUTHENTICATED)
        assert "AWS_SECRET_ACCESS_KEY" in fetching.error
    else:
        store = part(s3, tmp_path, "x", secret=secret(tmp_path / "lacking", lacking))
        code, saving, _ = await saved(plan(store=store), tmp_path)
        assert (code, saving.manifest) == (1, "")
        assert "AWS_SECRET_ACCESS_KEY" in saving.error


async def test_a_store_that_refuses_shows_before_the_job_and_after_it(s3: Cloud, tmp_path: Path) -> None:
    """A read-only identity for the store: fetch refuses to begin, and save says why nothing is kept."""
    refusal = s3.refusals["read-only identity"]
    store = part(s3, tmp_path, "closed", secret=secret(tmp_path / "reader", refusal.secrets))
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "file").write_text("x")
    orders = plan(store=store, outputs=str(tmp_path / "outputs"))
    code, fetching, _ = await fetched(orders, tmp_path)
    assert (code, fetching.access) == (1, Access.DENIED)
    code, saving, _ = await saved(orders, tmp_path)
    assert (code, saving.complete, saving.manifest) == (1, False, "")
    assert "denied" in saving.error
    assert saving.unsaved[0].startswith("file: ")
