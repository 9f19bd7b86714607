"""The three clouds as their test servers: where data goes in each, with which credentials, and what is refused."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from launcher.backend import Access
from launcher.catalog import Resolved, resolve
from launcher.connection import Connection
from launcher.registry import Registry
from launcher.transfer.bucket import Bucket, bucket
from tests.servers import azurite, fake_gcs, seaweedfs

NAME = "faces"


@attrs.frozen
class Refusal:
    """Credentials, or a bucket, that a server refuses: ``access`` is how listing ends, or with ``write`` writing."""

    access: Access
    secrets: Mapping[str, str]
    bucket: str
    write: bool = False
    endpoint: str = ""


@attrs.frozen
class Cloud:
    """One kind of bucket on its running server. ``secrets`` are good ones, ``hidden`` values no text may show."""

    kind: str
    address: Callable[[str, str], str]
    bucket: str
    endpoint: str
    secrets: Mapping[str, str]
    refusals: Mapping[str, Refusal]

    def schema(self, prefix: str = "", bucket: str = "", endpoint: str = "") -> dict[str, Any]:
        """A connection's schema, as in YAML."""
        url = self.address(bucket or self.bucket, prefix)
        return {"bucket": url, "endpointUrl": endpoint or self.endpoint}

    def resolved(self, **where: str) -> Resolved:
        """The connection, with its plugin."""
        return resolve(Connection(name=NAME, kind=self.kind, schema=self.schema(**where)), Registry.installed())

    @contextlib.asynccontextmanager
    async def open(
        self, prefix: str = "", secrets: Mapping[str, str] | None = None, **where: str
    ) -> AsyncIterator[Bucket]:
        """The place at ``prefix``."""
        resolved = self.resolved(prefix=prefix, **where)
        remote = resolved.backend.remote(resolved.schema, self.secrets if secrets is None else secrets)
        assert remote is not None
        async with bucket(resolved, remote) as place:
            yield place

    def elsewhere(self, port: int) -> str:
        """The server's address at another port of this machine."""
        scheme, _, rest = self.endpoint.partition("://")
        _, slash, path = rest.partition("/")
        return f"{scheme}://127.0.0.1:{port}{slash}{path}"


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[Cloud]:
    """Amazon's, as SeaweedFS."""
    with seaweedfs.seaweedfs(folder) as server:
        wrong = {**seaweedfs.WRITER, "AWS_SECRET_ACCESS_KEY": "a-wrong-secret-value"}
        unknown = {**seaweedfs.WRITER, "AWS_ACCESS_KEY_ID": "nobodyskey01"}
        data = seaweedfs.BUCKET
        yield Cloud(
            "s3",
            lambda bucket, prefix: f"s3://{bucket}/{prefix}",
            data,
            server.url,
            seaweedfs.WRITER,
            {
                "wrong secret": Refusal(Access.UNAUTHENTICATED, wrong, data),
                "unknown key": Refusal(Access.UNAUTHENTICATED, unknown, data),
                "read-only identity": Refusal(Access.DENIED, seaweedfs.READER, data, write=True),
                "another's bucket": Refusal(Access.DENIED, seaweedfs.WRITER, "others"),
                "missing bucket": Refusal(Access.MISSING, seaweedfs.ADMIN, "nosuchbucket"),
            },
        )


@contextlib.contextmanager
def wasb(folder: Path) -> Iterator[Cloud]:
    """Microsoft's, as Azurite."""
    with azurite.azurite(folder) as server:
        good = {"AZURE_STORAGE_ACCOUNT_KEY": azurite.KEY}
        wrong = {"AZURE_STORAGE_ACCOUNT_KEY": "YSB3cm9uZyBrZXkgb2Ygc29tZSBsZW5ndGg="}
        reading = {"AZURE_STORAGE_SAS_TOKEN": server.read_only_sas}
        tampered = {"AZURE_STORAGE_SAS_TOKEN": server.read_only_sas.replace("sp=rl", "sp=rwl")}
        data = azurite.CONTAINER
        yield Cloud(
            "wasb",
            lambda bucket, prefix: f"wasbs://{bucket}@{azurite.ACCOUNT}.blob.core.windows.net/{prefix}",
            data,
            server.url,
            good,
            {
                "wrong key": Refusal(Access.UNAUTHENTICATED, wrong, data),
                "tampered token": Refusal(Access.UNAUTHENTICATED, tampered, data),
                "read-only token": Refusal(Access.DENIED, reading, data, write=True),
                "missing container": Refusal(Access.MISSING, good, "nosuchcontainer"),
            },
        )


@contextlib.contextmanager
def gcs(folder: Path) -> Iterator[Cloud]:
    """Google's, as fake-gcs-server, which checks nobody: its refusals come from a server that does nothing else."""
    with fake_gcs.fake_gcs(folder) as server, fake_gcs.refusing_gcs() as refusing:
        yield Cloud(
            "gcs",
            lambda bucket, prefix: f"gs://{bucket}/{prefix}",
            fake_gcs.BUCKET,
            server.url,
            {},
            {
                "unknown": Refusal(Access.UNAUTHENTICATED, {}, "who", endpoint=refusing.url),
                "forbidden": Refusal(Access.DENIED, {}, "others", endpoint=refusing.url),
                "missing bucket": Refusal(Access.MISSING, {}, "nosuchbucket"),
            },
        )


@contextlib.contextmanager
def port_of_nobody() -> Iterator[int]:
    """A port of this machine that refuses connections."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def port_of_a_mute() -> Iterator[int]:
    """A port of this machine that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]
