"""What the three bucket kinds share: their schema, and reading their addresses. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import attrs

from launcher.backend import Need, NeedKind
from launcher.errors import Problem
from launcher_backends.paths import absolute, object_name

# Rules of S3 and GCS alike for a bucket's name; GCS also allows underscores.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]")

# Seconds: a storage that isn't reached in 5 won't be, and one part of an object takes no minute.
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 60

# Links of a chain of exceptions: the deepest seen has five.
CHAIN = 20


@attrs.frozen
class BucketSchema:
    """``bucket`` is its URL, with a prefix if one is wanted.

    ``endpoint_url`` is the address of a server that isn't the cloud's own, ``volume_claim`` a claim that the
    cluster's CSI driver serves the bucket by, for the mode ``mount``.
    """

    bucket: str
    mount_path: str | None = None
    read_only: bool = False
    endpoint_url: str | None = None
    region: str | None = None
    volume_claim: str | None = None


@attrs.frozen
class Address:
    """A bucket and the prefix in it, without slashes at its ends."""

    bucket: str
    prefix: str

    @property
    def root(self) -> str:
        """``bucket/prefix``, as fsspec spells it."""
        return f"{self.bucket}/{self.prefix}".rstrip("/")


def address(url: str) -> Address:
    """The parts of ``scheme://bucket/prefix``."""
    _, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    return Address(bucket, prefix.strip("/"))


def bucket_problems(schema: BucketSchema, scheme: str) -> Iterator[Problem]:
    """What is wrong with a bucket's schema, for kinds whose URL is ``scheme://bucket/prefix``."""
    example = f"for example {scheme}://bucket/prefix"
    if may_hold_secret(schema.bucket):
        yield hidden("bucket")
    elif not schema.bucket.startswith(f"{scheme}://"):
        yield Problem("bucket", f"{schema.bucket!r} isn't a {scheme}:// URL", example)
    else:
        where = address(schema.bucket)
        if not _BUCKET.fullmatch(where.bucket):
            yield Problem("bucket", f"{where.bucket!r} isn't a bucket's name", example)
        yield from prefix_problems(where.prefix)
    yield from common_problems(schema)


def prefix_problems(prefix: str) -> Iterator[Problem]:
    """A prefix must mean one place, whichever tool reads it."""
    odd = [ch for ch in "?#*[" if ch in prefix]
    if odd or not prefix.isprintable() or any(part in ("", ".", "..") for part in prefix.split("/") if prefix):
        yield Problem("bucket", f"the prefix {prefix!r} isn't plain", "no '..', '//', '?', '#', '*' or '['")


def common_problems(schema: BucketSchema) -> Iterator[Problem]:
    """What is wrong with the fields that every bucket kind has."""
    yield from absolute("mountPath", schema.mount_path)
    yield from object_name("volumeClaim", schema.volume_claim)
    if schema.endpoint_url is not None:
        yield from _endpoint_problems(schema.endpoint_url)


def _endpoint_problems(url: str) -> Iterator[Problem]:
    if may_hold_secret(url):
        yield hidden("endpointUrl")
        return
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        good = None
    if not good:
        yield Problem("endpointUrl", f"{url!r} isn't an http(s) URL", "for example http://minio.storage:9000")


def may_hold_secret(url: str) -> bool:
    """Whether a URL has what people paste with credentials in it: KEY:SECRET@host, or a signed query."""
    return "@" in url or "?" in url


def hidden(field: str) -> Problem:
    """The problem of such a URL, which no message repeats."""
    text = "has credentials or a query in its URL (not repeated here)"
    return Problem(field, text, "put credentials into a secret and name it in `secret`")


def causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and what it came from, outermost first; a few links, for a chain may be a circle."""
    link: BaseException | None = error
    for _ in range(CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def claim_needs(schema: BucketSchema) -> Iterable[Need]:
    """The claim that the bucket is mounted through, where there is one."""
    return [Need(NeedKind.CLAIM, schema.volume_claim)] if schema.volume_claim else []
