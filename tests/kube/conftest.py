"""A misbehaving server, and a session on it, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from launcher.kube.session import Session
from tests.kube.misbehaving import Server, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A server that does as it is told, and that every client has left at the end."""
    async with serving() as server:
        yield server


@pytest.fixture
async def session(server: Server) -> AsyncIterator[Session]:
    """An open session on the server."""
    async with Session(server.address) as session:
        yield session
