"""A part of the plan as an open place: its plugin, its credentials as they are right now, its bucket or folder."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.agent.plan import Part
from launcher.backend import Backend, Remote
from launcher.catalog import Resolved, resolve
from launcher.connection import Connection
from launcher.errors import AccessError, LauncherError, Unauthenticated
from launcher.registry import Registry

if TYPE_CHECKING:
    from launcher.transfer.bucket import Bucket
    from launcher.transfer.folder import Place

# Bytes of one credential. A Kubernetes secret holds 1 MiB.
CREDENTIAL_LIMIT = 1024 * 1024


@asynccontextmanager
async def opened_bucket(part: Part, registry: Registry) -> AsyncGenerator[Bucket]:
    """The bucket of a part, at its ``sub_path``. Raises ``AccessError``, the connection named."""
    # Imported late: fsspec and its libraries are for those who copy.
    from launcher.transfer.bucket import bucket

    resolved, remote = _remote(part, registry)
    async with bucket(resolved, remote, part.sub_path) as found:
        yield found


@asynccontextmanager
async def opened_place(part: Part, registry: Registry) -> AsyncGenerator[Place]:
    """Where the store's files go: its mounted folder, or its bucket. Raises ``AccessError``."""
    from launcher.transfer.folder import Folder

    if part.folder:
        yield Folder(Path(part.folder), part.name)
        return
    async with opened_bucket(part, registry) as place:
        yield place


def _remote(part: Part, registry: Registry) -> tuple[Resolved, Remote]:
    try:
        resolved = resolve(Connection(name=part.name, kind=part.kind, schema=part.schema), registry)
    except LauncherError as exc:
        raise AccessError(f"connection {part.name!r}: {exc}", part.name) from exc
    found = secrets(part, resolved.backend)
    try:
        remote = resolved.backend.remote(resolved.schema, found)
    except Exception as exc:
        # Never its text: what a plugin couldn't read was a credential.
        raise Unauthenticated(
            f"connection {part.name!r}: its credentials can't be used ({type(exc).__name__})", part.name
        ) from None
    if remote is None:
        raise AccessError(f"connection {part.name!r}: a {part.kind} can't be copied, only mounted", part.name)
    return resolved, remote


def secrets(part: Part, backend: Backend) -> Mapping[str, str]:
    """The credentials that the plugin reads, by key. Raises ``Unauthenticated`` when a required one is missing."""
    if not part.secret:
        return {}
    found: dict[str, str] = {}
    for credential in backend.credentials:
        value = _read(part, credential.key)
        if value is not None:
            found[credential.key] = value
    missing = [c.key for c in backend.credentials if c.required and not found.get(c.key)]
    if missing:
        raise Unauthenticated(
            f"connection {part.name!r}: its secret lacks {', '.join(missing)} (add the key to the secret)", part.name
        )
    return found


def _read(part: Part, key: str) -> str | None:
    try:
        with (Path(part.secret) / key).open("rb") as file:
            data = file.read(CREDENTIAL_LIMIT)
        # A file's last line ends with a newline, and a credential never does.
        return data.decode().rstrip("\r\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it isn't text"
        raise Unauthenticated(f"connection {part.name!r}: {key} can't be read: {reason}", part.name) from None
