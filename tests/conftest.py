"""Every test starts as on a fresh machine: nobody's configuration is read, and nothing of theirs is written."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from launcher.testing import cluster  # noqa: F401
from tests.lab import Lab, laboratory
from tests.real import shared_control_plane

hypothesis.settings.register_profile(
    "launcher",
    # Milliseconds of one example say more about the neighbours on this machine than about the code.
    deadline=None,
    max_examples=40,
    # Shrinking a job of thirty fields takes minutes; explaining it takes more.
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate, hypothesis.Phase.shrink],
    database=None,
    # The fixture below is the same for all examples of a test.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("launcher")

_OURS = ("LAUNCHER_", "KUBECONFIG", "KUBERNETES_SERVICE_")


@pytest.fixture(scope="session", autouse=True)
def real_api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """With ``KUBEBUILDER_ASSETS`` every lab's API server is a real one."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if not assets:
        yield
        return
    with shared_control_plane(Path(assets), tmp_path_factory.mktemp("control-plane")):
        yield


@pytest.fixture(autouse=True)
def fresh_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder of a user who has configured nothing."""
    home = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(_OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    for kind in ("CONFIG", "STATE", "DATA", "CACHE"):
        monkeypatch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
    return home


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """A local cluster of real processes, and launchers that reach it as those of several shells would."""
    async with laboratory(tmp_path) as lab:
        yield lab
