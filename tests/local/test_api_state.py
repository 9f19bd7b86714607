"""The state folder: what was acknowledged outlives a kill at any moment, and what can't be kept never happened."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import stat
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import ClusterError, ClusterUnreachable, LauncherError, NotFound
from launcher.kube.session import Session
from launcher.kube.target import Address
from launcher.local.api import ApiServer
from launcher.local.api.state import FILE, LAYOUT, opened

TOKEN = "state-token"
NAMESPACES = "/api/v1/namespaces"
CONFIGS = f"{NAMESPACES}/jobs/configmaps"

WORKERS = 8

SERVER = f"""
import asyncio, pathlib, sys
from launcher.local.api import ApiServer
from launcher.local.api.state import opened

async def main():
    with opened(pathlib.Path(sys.argv[1])) as state:
        async with ApiServer(token={TOKEN!r}, state=state) as server:
            print(server.url, flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[Session]:
    with opened(folder) as state:
        async with ApiServer(token=TOKEN, state=state) as server, Session(Address(server.url, TOKEN)) as session:
            yield session


@asynccontextmanager
async def another_process(folder: Path) -> AsyncIterator[tuple[Process, Session]]:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVER, str(folder), stdout=PIPE)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with Session(Address(url, TOKEN)) as session:
            yield process, session
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Writer:
    """Writes objects of its own until the server is gone, and knows what was acknowledged and what may be there."""

    def __init__(self, session: Session, number: int) -> None:
        self.session = session
        self.number = number
        self.acknowledged: dict[str, str | None] = {}
        self.versions: list[int] = []
        self.pending: tuple[str, str | None] = ("", None)

    async def write(self, acknowledged: asyncio.Semaphore) -> None:
        try:
            for turn in range(100_000):
                # Each object is created, changed twice, and every other one deleted.
                name, step = f"w{self.number}-{turn // 4}", turn % 4
                if step < 3 or turn % 8 < 4:
                    await self._step(name, step)
                    acknowledged.release()
        except ClusterUnreachable:
            return

    async def _step(self, name: str, step: int) -> None:
        value = f"{step}" * 3000 if step < 3 else None
        self.pending = (name, value)
        if step == 0:
            answer = await self.session.create(CONFIGS, {"metadata": {"name": name}, "data": {"a": value}})
        elif value is not None:
            answer = await self.session.patch(f"{CONFIGS}/{name}", {"data": {"a": value}})
        else:
            answer = await self.session.delete(f"{CONFIGS}/{name}")
        self.acknowledged[name] = value
        self.versions.append(int(answer["metadata"].get("resourceVersion", 0)))


@pytest.mark.parametrize("writes", [1, 60, 400])
async def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, writes: int) -> None:
    """Killed with eight requests under way, the server has everything acknowledged; the rest is there whole or not."""
    async with another_process(tmp_path / "state") as (process, session):
        await session.create(NAMESPACES, {"metadata": {"name": "jobs"}})
        writers, acknowledged = [Writer(session, number) for number in range(WORKERS)], asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(writer.write(acknowledged))
            for _ in range(writes):
                await acknowledged.acquire()
            process.kill()
    async with serving(tmp_path / "state") as session:
        listed = await session.get(CONFIGS)
        found = {item["metadata"]["name"]: item["data"]["a"] for item in listed["items"]}
        for writer in writers:
            for name, value in writer.acknowledged.items():
                allowed = [value] + ([writer.pending[1]] if writer.pending[0] == name else [])
                assert found.pop(name, None) in allowed
            found.pop(writer.pending[0], None)
        assert found == {}
        newest = max(version for writer in writers for version in writer.versions)
        assert int(listed["metadata"]["resourceVersion"]) > newest


async def test_a_watch_from_before_has_to_list_anew(tmp_path: Path) -> None:
    """Its version is answered by 410, a version from now on is followed, and versions go on growing."""
    async with serving(tmp_path / "state") as session:
        before = await session.create(NAMESPACES, {"metadata": {"name": "jobs"}})
    async with serving(tmp_path / "state") as session:
        version = int(before["metadata"]["resourceVersion"])
        query = {"watch": "true", "resourceVersion": str(version)}
        async with session.lines(NAMESPACES, query) as lines:
            assert b'"code":410' in await anext(lines)
        now = int((await session.get(NAMESPACES))["metadata"]["resourceVersion"])
        later = await session.patch(f"{NAMESPACES}/jobs", {"metadata": {"labels": {"a": "b"}}})
        assert version < now < int(later["metadata"]["resourceVersion"])
        async with session.lines(NAMESPACES, {**query, "resourceVersion": str(now)}) as lines:
            assert b'"MODIFIED"' in await anext(lines)


async def test_owners_are_known_after_a_restart(tmp_path: Path) -> None:
    """What an object owns goes with it, also when both come from the folder; gone objects don't come back."""
    async with serving(tmp_path / "state") as session:
        await session.create(NAMESPACES, {"metadata": {"name": "jobs"}})
        owner = await session.create(CONFIGS, {"metadata": {"name": "owner"}})
        uid = owner["metadata"]["uid"]
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
        await session.create(CONFIGS, {"metadata": {"name": "owned", "ownerReferences": [reference]}})
    async with serving(tmp_path / "state") as session:
        assert (await session.get(f"{CONFIGS}/owner")) == owner
        await session.delete(f"{CONFIGS}/owner")
    async with serving(tmp_path / "state") as session:
        names = [item["metadata"]["name"] for item in (await session.get(CONFIGS))["items"]]
        assert "owner" not in names
        assert "owned" not in names


@contextmanager
def full_disk(folder: Path) -> Iterator[None]:
    """No file of this process grows beyond what the database's log has by now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((folder / f"{FILE}-wal").stat().st_size + 100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_write_that_cannot_be_kept_never_happened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """On a full disk every verb is refused with 507 and changes nothing; with room again all goes on."""
    folder = tmp_path / "state"
    async with serving(folder) as session:
        await session.create(NAMESPACES, {"metadata": {"name": "jobs"}})
        await session.create(CONFIGS, {"metadata": {"name": "a"}, "data": {"a": "one"}})
        before = (await session.get(CONFIGS))["items"]
        with full_disk(folder):
            for attempt in (
                session.create(CONFIGS, {"metadata": {"name": "b"}}),
                session.patch(f"{CONFIGS}/a", {"data": {"a": "two"}}),
                session.delete(f"{CONFIGS}/a"),
                session.delete(f"{NAMESPACES}/jobs"),
            ):
                with pytest.raises(ClusterError, match="free some space") as caught:
                    await attempt
                assert caught.value.status == 507
            assert (await session.get(CONFIGS))["items"] == before
            with pytest.raises(NotFound):
                await session.get(f"{CONFIGS}/b")
        changed = await session.patch(f"{CONFIGS}/a", {"data": {"a": "three"}})
    async with serving(folder) as session:
        assert await session.get(f"{CONFIGS}/a") == changed
        assert len((await session.get(CONFIGS))["items"]) == len(before)
    assert "can't write its state" in caplog.text


def foreign(folder: Path) -> None:
    with sqlite3.connect(folder / FILE) as database:
        database.execute("CREATE TABLE theirs (a)")
    database.close()


def later(folder: Path) -> None:
    with opened(folder):
        pass
    with sqlite3.connect(folder / FILE) as database:
        database.execute(f"PRAGMA user_version = {LAYOUT + 1}")
    database.close()


def damaged(folder: Path) -> None:
    (folder / FILE).write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)


def text(folder: Path) -> None:
    (folder / FILE).write_text("no database\n" * 100)


def others(folder: Path) -> None:
    (folder / "letter.txt").write_text("mine")


def no_folder(folder: Path) -> None:
    folder.rmdir()
    folder.write_text("a file")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (foreign, "a database of something else"),
        (later, "a later podlauncher"),
        (damaged, "can't be used"),
        (text, "can't be used"),
        (others, "holds other files"),
        (no_folder, "isn't a folder"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(tmp_path: Path, prepare: Any, said: str) -> None:
    """The message names the folder and says why; a foreign file stays as it is."""
    folder = tmp_path / "state"
    folder.mkdir()
    prepare(folder)
    before = {file: file.read_bytes() for file in folder.iterdir()} if folder.is_dir() else {}
    with pytest.raises(LauncherError, match=said) as caught, opened(folder):
        pass
    assert str(folder) in str(caught.value)
    assert all(file.read_bytes() == content for file, content in before.items())


@pytest.mark.parametrize(
    "damage", ["UPDATE objects SET encoded = 'xx'", "UPDATE objects SET resource = 'widgets'", "DROP TABLE objects"]
)
async def test_objects_that_cannot_be_read_are_named(tmp_path: Path, damage: str) -> None:
    """A file that is whole as a database and has nonsense in it stops the start with a sentence."""
    folder = tmp_path / "state"
    async with serving(folder) as session:
        await session.create(NAMESPACES, {"metadata": {"name": "jobs"}})
    with sqlite3.connect(folder / FILE) as database:
        database.execute(damage.replace("'xx'", "CAST('xx' AS BLOB)"))
    database.close()
    with pytest.raises(LauncherError, match="move the folder away"):
        async with serving(folder):
            pass


async def test_two_clusters_never_share_a_folder(tmp_path: Path) -> None:
    """The second is refused while the first lives, in whatever process; a killed one leaves no lock behind."""
    folder = tmp_path / "state"
    async with another_process(folder) as (process, _):
        with pytest.raises(LauncherError, match="another cluster uses"), opened(folder):
            pass
        process.kill()
        await process.wait()
        with opened(folder), pytest.raises(LauncherError, match="another cluster uses"), opened(folder):
            pass


def test_the_state_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else may enter the folder or read a file of it: secrets and the token are there."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    with opened(folder) as state:
        state.keep("token", "x")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600, 0o600]
