"""What every kind of bucket keeps, on a real server of each: the same tests for all."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from launcher.backend import Access
from launcher.check import access_of, check
from launcher.errors import AccessError, TimedOut, Unreachable
from launcher.transfer.bucket import PIECE, SMALL
from launcher.transfer.listing import RemoteFile
from tests.servers.clouds import NAME, Cloud, port_of_a_mute, port_of_nobody

# gcsfs and Azure's library hand their pieces to aiohttp as bytes, which it says of those over 1 MiB.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

ODD_PREFIX = "a pre fix/ünï%20+&=;,(x)"
ODD_KEYS = [
    "plain.txt",
    "with space.txt",
    "per%cent%20.txt",
    "plus+and&amp=;,.txt",
    "hash#mark.txt",
    "question?mark.txt",
    "star*[bracket].txt",
    "quote'\".txt",
    "ünïcødé-日本.txt",
    "deep/er/folder.d/file",
    ".hidden",
]


async def test_keys_and_prefixes_of_any_spelling_come_back_as_they_were(cloud: Cloud, tmp_path: Path) -> None:
    """What is written under an odd key below an odd prefix is listed, looked at, read and copied under the same."""
    async with cloud.open(ODD_PREFIX) as place:
        for key in ODD_KEYS:
            await place.put_bytes(key.encode(), key)
        files = await place.files()
        assert [file.key for file in files] == sorted(ODD_KEYS)
        for file in files:
            assert file.size == len(file.key.encode())
            assert await place.look(file.key) == file
            assert await place.read(file.key) == file.key.encode()
            await place.get(file, tmp_path / "copy")
            assert (tmp_path / "copy").read_bytes() == file.key.encode()


async def test_a_prefix_ends_at_a_slash(cloud: Cloud) -> None:
    """A place doesn't hold what is under a longer name that begins the same way."""
    async with cloud.open("twin") as place, cloud.open("twin2") as other:
        await place.put_bytes(b"1", "mine")
        await other.put_bytes(b"2", "theirs")
        assert [file.key for file in await place.files()] == ["mine"]


async def test_an_empty_prefix_is_no_error(cloud: Cloud) -> None:
    """A bucket that is there and a prefix where nothing is yet: no files, and no missing bucket."""
    async with cloud.open("nothing/here") as place:
        await place.reach(10)
        assert await place.files() == []
        assert await place.look("nothing") is None


async def test_a_large_file_goes_and_comes_in_pieces(cloud: Cloud, tmp_path: Path) -> None:
    """A file of several pieces is the same after it was saved and copied back."""
    data = random.Random(1).randbytes(SMALL + PIECE + 12345)
    (tmp_path / "large").write_bytes(data)
    async with cloud.open("large") as place:
        await place.put(str(tmp_path / "large"), "file.bin")
        file = await place.look("file.bin")
        assert file is not None
        assert file.size == len(data)
        await place.get(file, tmp_path / "back")
    assert hashlib.sha256((tmp_path / "back").read_bytes()).digest() == hashlib.sha256(data).digest()


async def test_a_large_file_that_changes_while_it_is_copied_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    """Pieces of two versions are never taken for one file."""
    async with cloud.open("changing") as place:
        (tmp_path / "new").write_bytes(os.urandom(SMALL + 1))
        await place.put(str(tmp_path / "new"), "file.bin")
        older = RemoteFile("file.bin", SMALL + 1, "the version before")
        with pytest.raises(AccessError, match="changed while it was copied"):
            await place.get(older, tmp_path / "back")


async def test_another_content_is_another_version(cloud: Cloud) -> None:
    """A file that was overwritten with as many bytes shows it in its version."""
    async with cloud.open("versions") as place:
        await place.put_bytes(b"one", "file")
        before = await place.look("file")
        await place.put_bytes(b"two", "file")
        after = await place.look("file")
        assert before is not None
        assert after is not None
        assert before.version
        assert before != after


async def test_the_check_of_good_credentials_leaves_nothing_behind(cloud: Cloud) -> None:
    """List, read and write are answered yes, and the bucket holds what it held."""
    async with cloud.open("checked") as place:
        await place.put_bytes(b"x", "file")
        answers = await check(place, write=True, timeout=10)
        assert [(answer.action, answer.error) for answer in answers] == [
            ("list", None),
            ("read", None),
            ("write", None),
        ]
        assert [file.key for file in await place.files()] == ["file"]


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        ("s3", "wrong secret"),
        ("s3", "unknown key"),
        ("s3", "read-only identity"),
        ("s3", "another's bucket"),
        ("s3", "missing bucket"),
        ("wasb", "wrong key"),
        ("wasb", "tampered token"),
        ("wasb", "read-only token"),
        ("wasb", "missing container"),
        ("gcs", "unknown"),
        ("gcs", "forbidden"),
        ("gcs", "missing bucket"),
    ],
)
async def test_a_refusal_is_told_by_its_kind_and_without_credentials(
    kind: str, case: str, request: pytest.FixtureRequest
) -> None:
    """Each refusal of each server becomes the error that means it, for a check and for a copy alike."""
    cloud: Cloud = request.getfixturevalue(kind)
    refusal = cloud.refusals[case]
    if refusal.write:
        async with cloud.open("refused") as place:
            await place.put_bytes(b"x", "file")
    where = {"bucket": refusal.bucket, "endpoint": refusal.endpoint}
    async with cloud.open("refused", refusal.secrets, **where) as place:
        answers = await check(place, write=True, timeout=10)
        with pytest.raises(AccessError) as copied:
            await place.reach(10)
            await place.files()
            await place.put_bytes(b"x", "file")
    refused = answers[-1]
    assert refused.error is not None
    assert (refused.action, access_of(refused.error)) == ("write" if refusal.write else "list", refusal.access)
    assert access_of(copied.value) == refusal.access
    for text in (str(refused.error), str(copied.value)):
        assert NAME in text
        assert not [value for value in refusal.secrets.values() if value in text]


async def test_an_address_where_nobody_is_shows_within_the_limit(cloud: Cloud) -> None:
    """A port that refuses is Unreachable, though the libraries would go on trying."""
    with port_of_nobody() as port:
        async with cloud.open("x", endpoint=cloud.elsewhere(port)) as place:
            with pytest.raises(Unreachable, match=NAME):
                await place.reach(3)


async def test_a_server_that_never_answers_shows_within_the_limit(cloud: Cloud) -> None:
    """A port that takes connections and says nothing is TimedOut after our own limit, for a check as for a copy."""
    with port_of_a_mute() as port:
        async with cloud.open("x", endpoint=cloud.elsewhere(port)) as place:
            with pytest.raises(TimedOut, match=NAME):
                await place.reach(0.5)
            [answer] = await check(place, timeout=0.5)
            assert access_of(answer.error or AccessError("")) == Access.TIMED_OUT
