"""Addresses of buckets: malformed ones are refused, and pasted credentials are never repeated."""

from __future__ import annotations

import pytest

from launcher import Connection, InvalidSpec
from launcher.catalog import resolve
from tests import planning

URLS = {
    "s3": """
        bucket s3:// s3:///p gs://bucket/ s3://Bucket/ s3://ab s3://bucket/a//b s3://bucket/../x s3://bucket/a*
        s3://bucket/a[b s3://-bucket/ s3://bucket- https://bucket.s3.amazonaws.com/x s3://bu_cket!/ s3://bucket/./x
    """,
    "gcs": "bucket gs:// gcs://bucket/ s3://bucket/ gs://B/ gs://bucket/a//b gs://bucket/./x gs://bucket/a#b",
    "wasb": """
        wasbs:// wasbs://container/ wasbs://account.blob.core.windows.net/c abfs://c@a.dfs.core.windows.net/
        wasbs://C@account.blob.core.windows.net/ wasbs://container@ACCOUNT.blob.core.windows.net/
        wasbs://con--tainer@account.blob.core.windows.net/ wasbs://container@account.blob.core.windows.net/a/../b
        wasbs://container@account.dfs.core.windows.net/ wasbs://container@a.blob.core.windows.net/
    """,
}


@pytest.mark.parametrize(
    ("kind", "url"), [(kind, url) for kind, urls in URLS.items() for url in ("", " ", *urls.split())]
)
def test_malformed_bucket_urls(kind: str, url: str) -> None:
    """A URL that doesn't name a bucket of its kind is refused, with its field and an example."""
    connection = Connection(name="b", kind=kind, schema={"bucket": url})
    with pytest.raises(InvalidSpec) as caught:
        resolve(connection, planning.REGISTRY)
    assert [problem.path for problem in caught.value.problems] == ["connection 'b'.schema.bucket"]


SECRET = "sEcReT/+="
PASTED = [
    ("s3", "bucket", "s3://AKIA:{}@bucket/"),
    ("s3", "bucket", "s3:/AKIA:{}@bucket/"),
    ("s3", "bucket", "s3//AKIA:{}@bucket/"),
    ("s3", "bucket", "AKIA:{}@bucket"),
    ("s3", "bucket", "https://AKIA:{}@minio/bucket"),
    ("s3", "bucket", "s3://bucket/p?X-Amz-Signature={}"),
    ("s3", "bucket", "s3://bucket?X-Amz-Signature={}"),
    ("gcs", "bucket", "gs://bucket/p?access_token={}"),
    ("gcs", "bucket", "gs://user:{}@bucket/p"),
    ("wasb", "bucket", "wasbs://container@account.blob.core.windows.net/p?sv=1&sig={}"),
    ("wasb", "bucket", "wasbs://container@account.blob.core.windows.net?sv=1&sig={}"),
    ("wasb", "bucket", "wasbs://container:{}@account.blob.core.windows.net/p"),
    ("wasb", "bucket", "https://account.blob.core.windows.net/container?sig={}"),
    ("s3", "endpointUrl", "http://user:{}@minio:9000/"),
    ("s3", "endpointUrl", "http://user:{}@minio:99999/"),
    ("s3", "endpointUrl", "user:{}@minio:9000"),
    ("s3", "endpointUrl", "http//user:{}@minio"),
    ("s3", "endpointUrl", "http://user:{}@[::1"),
    ("s3", "endpointUrl", "http://minio:9000/?sig={}"),
]


@pytest.mark.parametrize(("kind", "field", "url"), PASTED)
def test_credentials_in_urls_are_refused_and_never_repeated(kind: str, field: str, url: str) -> None:
    """Credentials that were pasted into a URL are refused, and no message repeats any part of them."""
    good = {"s3": "s3://bucket/", "gcs": "gs://bucket/", "wasb": "wasbs://container@account.blob.core.windows.net/"}
    connection = Connection(name="b", kind=kind, schema={"bucket": good[kind], field: url.format(SECRET)})
    with pytest.raises(InvalidSpec) as caught:
        resolve(connection, planning.REGISTRY)
    assert field in str(caught.value)
    assert "sEcReT" not in str(caught.value) + repr(caught.value)
