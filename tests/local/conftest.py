"""A node for each test, hurried: its own waits take a fiftieth of a kubelet's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis
import pytest

from launcher.local.node import Bubblewrap, Rewriting
from tests.local.node_lab import Lab, laboratory

PACE = 0.02

# For the fuzz of the API, when somebody has the time: `--hypothesis-profile=minutes --timeout=3600`.
hypothesis.settings.register_profile("minutes", hypothesis.settings.get_profile("launcher"), max_examples=10_000)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A node with bubblewrap."""
    isolation = Bubblewrap.installed()
    assert isolation is not None
    async with laboratory(tmp_path, isolation, PACE) as lab:
        yield lab


@pytest.fixture(params=["bubblewrap", "rewriting"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lab]:
    """A node with each isolation in turn."""
    isolation = Bubblewrap.installed() if request.param == "bubblewrap" else Rewriting()
    async with laboratory(tmp_path, isolation, PACE) as lab:
        yield lab
