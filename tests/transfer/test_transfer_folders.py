"""Copying between a storage with real folders and this machine, and looking at folders that others write to."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from launcher.check import check
from launcher.errors import AccessDenied, AccessError, Missing
from launcher.transfer.bucket import bucket
from launcher.transfer.down import PARTIAL, Copied, copy_down
from launcher.transfer.folder import Folder
from launcher.transfer.listing import RemoteFile
from launcher.transfer.local import GOOD, LEADS_OUT, NOT_REGULAR, Unreadable, opened_file, scan
from launcher.transfer.pool import each
from launcher.transfer.up import CHANGED, copy_up
from tests.servers.shelf import shelf


@pytest.fixture
def books(tmp_path: Path) -> Path:
    """A shelf with a few files."""
    for name in ("a", "deep/b", "deep/er/c"):
        (tmp_path / "books" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "books" / name).write_text(name)
    return tmp_path / "books"


def place(folder: Path, sub_path: str = ""):
    resolved = shelf(folder)
    remote = resolved.backend.remote(resolved.schema, {})
    assert remote is not None
    return bucket(resolved, remote, sub_path)


async def test_a_third_partys_kind_is_copied_as_any_other(books: Path, tmp_path: Path) -> None:
    """A synchronous filesystem of fsspec, with a plugin of twenty lines."""
    seen: list[Copied] = []
    async with place(books) as shelf_:
        await copy_down(shelf_, await shelf_.files(), tmp_path / "copy", seen.append)
    assert {file.path for file in scan(tmp_path / "copy")} == {"a", "deep/b", "deep/er/c"}
    assert {copied.file.key: copied.file.size for copied in seen} == {"a": 1, "deep/b": 6, "deep/er/c": 9}


async def test_a_folder_that_may_not_be_listed_is_an_error_and_not_left_out(books: Path) -> None:
    """fsspec's walk would skip it in silence, and half a dataset would look whole."""
    (books / "deep" / "locked").mkdir()
    async with place(books) as shelf_:
        with pytest.raises(AccessDenied, match="locked"):
            await shelf_.files()


async def test_a_link_in_a_storage_is_an_error(books: Path) -> None:
    """A link is named: left out in silence it would be missing, and followed it might never end."""
    (books / "deep" / "back").symlink_to(books)
    async with place(books) as shelf_:
        with pytest.raises(AccessError, match="deep/back is neither"):
            await shelf_.files()


async def test_a_place_that_is_not_there_is_missing(books: Path) -> None:
    """A wrong path is never an empty dataset."""
    async with place(books / "nowhere") as shelf_:
        with pytest.raises(Missing):
            await shelf_.files()
        [answer] = await check(shelf_, timeout=10)
        assert isinstance(answer.error, Missing)


async def test_writing_makes_the_folders_below_the_place(books: Path) -> None:
    """A key with slashes needs folders where there are real ones."""
    async with place(books, "deep") as shelf_:
        await shelf_.put_bytes(b"new", "x/y/z")
        assert [answer.error for answer in await check(shelf_, write=True, timeout=10)] == [None, None, None]
    assert (books / "deep/x/y/z").read_bytes() == b"new"
    assert [p.name for p in (books / "deep").iterdir() if p.name.startswith(".")] == []


async def test_a_copy_that_can_not_fit_is_refused_before_it_begins(books: Path, tmp_path: Path) -> None:
    """What the listing says is more than the disk has: no file is copied, and the remedy is told."""
    async with place(books) as shelf_:
        with pytest.raises(AccessError, match="ephemeralStorage"):
            await copy_down(shelf_, [RemoteFile("a", 2**60)], tmp_path / "copy", lambda _: None)
    assert list((tmp_path / "copy").iterdir()) == []


async def test_a_full_disk_in_the_middle_is_told(books: Path, tmp_path: Path) -> None:
    """The kernel's own ENOSPC becomes the sentence with the remedy, and isn't tried again."""
    (tmp_path / "full").symlink_to("/dev/full")
    async with place(books) as shelf_:
        with pytest.raises(AccessError, match="no room left"):
            await shelf_.get(RemoteFile("a", 1), tmp_path / "full")


async def test_a_copy_that_is_cancelled_leaves_no_half_file(books: Path, tmp_path: Path) -> None:
    """Files appear whole, by a rename; what was under way is gone."""
    begun = asyncio.Event()
    async with place(books) as shelf_:
        files = await shelf_.files()
        task = asyncio.create_task(copy_down(shelf_, files, tmp_path / "copy", lambda _: begun.set()), name="copy")
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not (tmp_path / "copy" / PARTIAL).exists()
    assert all(file.read_text() == file.relative_to(tmp_path / "copy").as_posix() for file in _files(tmp_path / "copy"))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_file_that_grew_since_its_listing_is_copied_as_it_is_now(books: Path, tmp_path: Path) -> None:
    """The size is checked; what is there now decides, and is what is remembered of it."""
    seen: list[Copied] = []
    async with place(books) as shelf_:
        await copy_down(shelf_, [RemoteFile("deep/b", 2)], tmp_path / "copy", seen.append)
    assert (tmp_path / "copy/deep/b").read_text() == "deep/b"
    assert [copied.file.size for copied in seen] == [6]


def test_a_scan_names_what_is_no_file_and_follows_nothing_out(tmp_path: Path) -> None:
    """Links inside are files, links out and special files are told; folders behind links aren't seen twice."""
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "file").write_text("x")
    (folder / "inside").symlink_to("sub/file")
    (folder / "loop").symlink_to(".")
    (folder / "gone").symlink_to("nothing")
    (folder / "out").symlink_to("/etc/hostname")
    (folder / "out-too").symlink_to("/etc")
    os.mkfifo(folder / "fifo")
    (folder / os.fsdecode(b"bad\xff")).write_text("")
    states = {file.path: file.state for file in scan(folder)}
    assert states == {
        "bad?": "its name isn't UTF-8 text",
        "fifo": NOT_REGULAR,
        "inside": GOOD,
        "out": LEADS_OUT,
        "out-too": LEADS_OUT,
        "sub/file": GOOD,
    }
    assert scan(tmp_path / "nowhere") == []


@pytest.mark.parametrize("trick", ["file", "folder"])
def test_a_file_that_is_exchanged_for_a_link_after_the_scan_is_not_read(trick: str, tmp_path: Path) -> None:
    """What counts is where the open file is: a job can't have save read what only save may see."""
    folder, secrets = tmp_path / "folder", tmp_path / "secrets"
    (folder / "sub").mkdir(parents=True)
    secrets.mkdir()
    (secrets / "key").write_text("hidden")
    (folder / "sub" / "key").write_text("mine")
    (folder / "sub" / "key").unlink()
    if trick == "file":
        (folder / "sub" / "key").symlink_to(secrets / "key")
    else:
        (folder / "sub").rmdir()
        (folder / "sub").symlink_to(secrets)
    with pytest.raises(Unreadable, match="leads out"), opened_file(folder, "sub/key"):
        pass


def test_a_file_that_is_exchanged_for_a_fifo_blocks_nobody(tmp_path: Path) -> None:
    """Opening returns at once, without a writer at the other end."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Unreadable, match=NOT_REGULAR), opened_file(tmp_path, "fifo"):
        pass


async def test_a_file_that_changes_while_it_is_saved_is_told(tmp_path: Path) -> None:
    """A digest never belongs to another content than what was saved."""
    (tmp_path / "file").write_text("before")

    class Writer(Folder):
        async def put_bytes(self, data: bytes, key: str) -> None:
            await super().put_bytes(data, key)
            (tmp_path / "file").write_text("afterwards")

    with pytest.raises(Unreadable, match=CHANGED):
        await copy_up(tmp_path, "file", Writer(tmp_path / "store", "store"), "key")


async def test_the_first_error_of_many_ends_the_others() -> None:
    """It is raised as it is, not in a group, and nobody goes on behind it."""
    cancelled: list[int] = []

    async def do(number: int) -> None:
        if number == 2:
            raise AccessError("the third")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(number)
            raise

    with pytest.raises(AccessError, match="the third"):
        await each(range(10), 3, do, "test")
    assert sorted(cancelled) == [0, 1]
