"""SeaweedFS: an S3 server that checks keys and what they may do."""

from __future__ import annotations

import contextlib
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from tests.servers.process import LOOK, READY, free_ports, running

BUCKET = "data"
ADMIN = {"AWS_ACCESS_KEY_ID": "adminkey01", "AWS_SECRET_ACCESS_KEY": "admin-secret-value-1"}
WRITER = {"AWS_ACCESS_KEY_ID": "writerkey01", "AWS_SECRET_ACCESS_KEY": "writer-secret-value-1"}
READER = {"AWS_ACCESS_KEY_ID": "readerkey01", "AWS_SECRET_ACCESS_KEY": "reader-secret-value-1"}


@attrs.frozen
class SeaweedFS:
    """A running server with the bucket ``data``: an administrator, a writer and a reader of that bucket."""

    url: str


@contextlib.contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """The server, its files in ``folder``."""
    binary = Path(sys.executable).parent / "weed"
    names = [f"{part}.port{kind}" for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    config = folder / "identities.json"
    config.write_text(json.dumps({"identities": _IDENTITIES}))
    command = [
        str(binary), "server", "-s3", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=127.0.0.1",
        f"-s3.config={config}", "-master.volumeSizeLimitMB=64", "-volume.max=50", "-s3.iam=false",
        # Off, since they would listen on ports of their own choice.
        "-s3.port.iceberg=0", "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    server = SeaweedFS(f"http://127.0.0.1:{ports['s3.port']}")
    with running(command, folder / "weed.log", list(ports.values())):
        _make_bucket(server)
        yield server


def _make_bucket(server: SeaweedFS) -> None:
    """An administrator's PUT, signed by botocore, until the server's parts have found each other."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    deadline = time.monotonic() + READY
    while True:
        request = AWSRequest("PUT", f"{server.url}/{BUCKET}", data=b"")
        credentials = Credentials(ADMIN["AWS_ACCESS_KEY_ID"], ADMIN["AWS_SECRET_ACCESS_KEY"])
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
        plain = urllib.request.Request(request.url, b"", dict(request.headers.items()), method="PUT")
        try:
            urllib.request.urlopen(plain, timeout=10).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK)
        else:
            return


def _identity(name: str, keys: Mapping[str, str], *actions: str) -> Mapping[str, object]:
    pair = {"accessKey": keys["AWS_ACCESS_KEY_ID"], "secretKey": keys["AWS_SECRET_ACCESS_KEY"]}
    return {"name": name, "credentials": [pair], "actions": list(actions)}


_IDENTITIES = [
    _identity("admin", ADMIN, "Admin", "Read", "Write", "List", "Tagging"),
    _identity("writer", WRITER, f"Read:{BUCKET}", f"Write:{BUCKET}", f"List:{BUCKET}"),
    _identity("reader", READER, f"Read:{BUCKET}", f"List:{BUCKET}"),
]
