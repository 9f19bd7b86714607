"""What an exception means to a user, by the core's own rules, and what no text may show."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from pathlib import Path

import aiohttp
import pytest

from launcher.check import DISK_FULL, access_of, translated
from launcher.errors import AccessDenied, AccessError, Missing, TimedOut, Unauthenticated, Unreachable
from launcher.redact import Redactor
from tests.servers.shelf import shelf


def _linked(outer: BaseException, inner: BaseException) -> BaseException:
    outer.__cause__ = inner
    return outer


class Answered(Exception):
    """An HTTP library's error, which says its status."""

    def __init__(self, status: int) -> None:
        self.status = status
        super().__init__(f"HTTP {status}")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "No such file", "x"), Missing),
        (PermissionError(13, "Permission denied"), AccessDenied),
        (ConnectionRefusedError(111, "refused"), Unreachable),
        (socket.gaierror(-2, "Name or service not known"), Unreachable),
        (aiohttp.ServerDisconnectedError(), Unreachable),
        (aiohttp.ServerTimeoutError(), TimedOut),
        (TimeoutError(), TimedOut),
        (_linked(TimeoutError(), _linked(asyncio.CancelledError(), ConnectionRefusedError())), Unreachable),
        (_linked(RuntimeError("cannot remove"), PermissionError(13, "no")), AccessDenied),
        (Answered(401), Unauthenticated),
        (Answered(403), AccessDenied),
        (Answered(404), Missing),
        (Answered(500), AccessError),
        (ValueError("odd"), AccessError),
        (ImportError("install books"), AccessError),
    ],
)
def test_an_exception_becomes_the_error_that_means_it(
    error: Exception, kind: type[AccessError], tmp_path: Path
) -> None:
    """By its class, its status, or what it came from; the connection is named, and what nobody knows stays plain."""
    resolved = shelf(tmp_path)
    remote = resolved.backend.remote(resolved.schema, {})
    assert remote is not None
    ours = translated(error, resolved, remote, "listing it")
    assert type(ours) is kind
    assert ours.connection == "books"
    assert str(ours).startswith("connection 'books': listing it")
    assert translated(ours, resolved, remote) is ours


def test_a_full_disk_is_no_refusal_of_the_storage(tmp_path: Path) -> None:
    """ENOSPC has its own sentence with its remedy, however deep it is."""
    resolved = shelf(tmp_path)
    remote = resolved.backend.remote(resolved.schema, {})
    assert remote is not None
    error = _linked(RuntimeError("copy failed"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    ours = translated(error, resolved, remote)
    assert access_of(ours) == ""
    assert DISK_FULL in str(ours)


def test_a_circle_of_causes_ends(tmp_path: Path) -> None:
    """Libraries raise errors whose context leads back to them."""
    first, second = ValueError(""), KeyError("")
    first.__context__, second.__context__ = second, first
    resolved = shelf(tmp_path)
    remote = resolved.backend.remote(resolved.schema, {})
    assert remote is not None
    assert type(translated(first, resolved, remote)) is AccessError


@pytest.mark.parametrize(
    ("options", "text", "shown"),
    [
        ({"secret": "s3cr3t-value"}, "signed with s3cr3t-value!", "signed with ***!"),
        ({"a": {"b": ["deep-secret"]}}, "deep-secret", "***"),
        ({"c": "AccountName=me;AccountKey=abc/def+gh=="}, "key abc/def+gh== or abc%2Fdef%2Bgh%3D%3D", "key *** or ***"),
        ({"sas": "?sp=r&sig=a%2Fbcdefgh"}, "GET /x?sig=a%2Fbcdefgh", "GET /x?***"),
        ({"key": "-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----"}, "line MIIEvQIBADANBg", "line ***"),
        ({"token": None, "region": "eu"}, "in eu", "in eu"),
        ({"endpoint": "http://minio:9000", "secret": "s3cr3t-value"}, "http://minio:9000", "http://minio:9000"),
    ],
)
def test_no_part_of_a_credential_is_shown(options: dict[str, object], text: str, shown: str) -> None:
    """Values, their parts and their quoted forms are masked; what the schema says openly isn't."""
    redactor = Redactor.of(options, {"endpointUrl": "http://minio:9000"})
    assert redactor(text) == shown
    assert "s3cr3t" not in repr(redactor)
