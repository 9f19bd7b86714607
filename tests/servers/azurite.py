"""Azurite: a server of Azure Blob Storage that checks account keys and SAS tokens."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from tests.servers.process import free_ports, running

CONTAINER = "data"

# The account that Azurite is delivered with, and its published key.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# Where it is installed when it isn't there: a folder that git ignores.
_CACHE = Path(__file__).parents[2] / ".cache" / "azurite"


@attrs.frozen
class Azurite:
    """A running server with the container ``data``."""

    url: str
    read_only_sas: str


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[Azurite]:
    """The server, all of it in memory."""
    [port] = free_ports(1)
    command = [
        shutil.which("node") or "node", str(_installed()), "--blobHost", "127.0.0.1", "--blobPort", str(port),
        "--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry",
    ]  # fmt: skip
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    with running(command, folder / "azurite.log", [port]):
        yield Azurite(url, _prepared(url))


def _installed() -> Path:
    script = _CACHE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
    if not script.is_file():
        _CACHE.mkdir(parents=True, exist_ok=True)
        command = [shutil.which("npm") or "npm", "install", "azurite@3", "--no-audit", "--no-fund", "--loglevel=error"]
        # A package.json, else npm looks for one in the folders above and installs there.
        (_CACHE / "package.json").write_text('{"private": true}')
        subprocess.run(command, cwd=_CACHE, check=True, timeout=300)
    return script


def _prepared(url: str) -> str:
    """Makes the container; gives a token that may read and list it."""
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas

    with ContainerClient(url, CONTAINER, credential={"account_name": ACCOUNT, "account_key": KEY}) as client:
        client.create_container()
    return generate_container_sas(
        ACCOUNT,
        CONTAINER,
        account_key=KEY,
        permission=ContainerSasPermissions(read=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
