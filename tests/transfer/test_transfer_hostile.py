"""A bucket full of tricks, over HTTP: nothing of it leaves the folder that it is copied to."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web

from launcher.agent.plan import Part
from tests.servers.agents import fetched, plan


@pytest.fixture
async def hostile_bucket():
    """A server of Google's protocol whose one bucket holds the keys that a test puts into the list."""
    keys: list[str] = []

    def size(key: str) -> str:
        return key.rpartition("-")[2] if key.startswith("short-of-") else "1"

    async def listing(request: web.Request) -> web.Response:
        items = [{"kind": "storage#object", "name": key, "bucket": "bad-bucket", "size": size(key)} for key in keys]
        return web.json_response({"kind": "storage#objects", "items": items})

    async def content(request: web.Request) -> web.Response:
        return web.Response(body=b"!")

    async def nothing(request: web.Request) -> web.Response:
        return web.json_response({"error": {"code": 404, "message": "Not Found"}}, status=404)

    application = web.Application()
    application.router.add_get("/storage/v1/b/bad-bucket/o", listing)
    application.router.add_get("/download/storage/v1/b/bad-bucket/o/{key:.*}", content)
    application.router.add_get("/{rest:.*}", nothing)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", keys
    await runner.cleanup()


def part(url: str, folder: Path, **fields) -> Part:
    schema = {"bucket": "gs://bad-bucket", "endpointUrl": url}
    return Part(name="bad", kind="gcs", schema=schema, folder=str(folder), **fields)


TRICKS = ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\..\\evil", "nul\0", "both", "both/and"]


async def test_names_that_would_leave_the_folder_are_refused_and_named(hostile_bucket, tmp_path: Path) -> None:
    """One bad name refuses the copy: half of what the job expects would be worse, and a written file worst."""
    url, keys = hostile_bucket
    keys += ["good", *TRICKS]
    code, report, _ = await fetched(plan(parts=[part(url, tmp_path / "in" / "copy")]), tmp_path)
    assert (code, report.connection) == (1, "bad")
    for shown in ("'../evil' climbs", "'/tmp/evil' is an absolute path", "and 1 more", "`exclude`"):
        assert shown in report.error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fetch.termination-log"]


async def test_bad_names_can_be_left_out(hostile_bucket, tmp_path: Path) -> None:
    """With exclude, the rest of the bucket is copied."""
    url, keys = hostile_bucket
    keys += ["good", "folder/", *TRICKS]
    kept = part(url, tmp_path / "copy", exclude=["**evil", "nul*", "both/**"])
    code, report, _ = await fetched(plan(parts=[kept]), tmp_path)
    assert (code, report.error, report.files) == (0, "", 2)
    assert {p.name: p.read_bytes() for p in (tmp_path / "copy").iterdir()} == {"good": b"!", "both": b"!"}


async def test_a_size_that_is_a_lie_is_found(hostile_bucket, tmp_path: Path) -> None:
    """A listing that promises more than ever comes: the file doesn't appear, and the report says why."""
    url, keys = hostile_bucket
    keys += ["short-of-5"]
    code, report, _ = await fetched(plan(parts=[part(url, tmp_path / "copy")]), tmp_path)
    assert (code, report.connection) == (1, "bad")
    assert "'short-of-5'" in report.error
    assert list((tmp_path / "copy").iterdir()) == []
