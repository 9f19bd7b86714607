"""The fixture that is shipped: it leads everything to its own cluster, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

import launcher
from launcher.kube.session import Session
from launcher.local.cluster import LocalCluster
from tests.test_readme import ROOT, block

pytest_plugins = ["pytester"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer whose environment leads to clusters of others, where no test may run anything."""
    config = tmp_path / "theirs"
    server = {"name": "production", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "production", "context": {"cluster": "production", "user": "production"}}
    config.write_text(str({"clusters": [server], "contexts": [context], "current-context": "production"}))
    monkeypatch.setenv("KUBECONFIG", str(config))
    monkeypatch.setenv("LAUNCHER_CLUSTER", "production")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")


async def test_everything_leads_to_its_cluster(elsewhere: None, cluster: LocalCluster) -> None:
    """Settings of any kind and the command reach the fixture's cluster, whatever the environment named before."""
    job = launcher.Job(name="one", image="busybox", command=["true"])
    for settings in (None, launcher.Settings(), launcher.Settings.load()):
        async with launcher.Launcher(settings) as pad, Session(cluster.address) as session:
            run = await pad.submit(job)
            listed = await session.get("/api/v1/namespaces/default/pods")
            assert run.id in [pod["metadata"]["name"] for pod in listed["items"]]
            await run.cancel()
    command = [sys.executable, "-m", "launcher.cli.main", "run", "--image", "busybox", "--", "echo", "from the command"]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"from the command\n")
    assert b"the local cluster" in err


async def test_outputs_stay_with_the_test(cluster: LocalCluster, fresh_machine: Path) -> None:
    """What a job keeps is in the test's own folder, not among the developer's runs."""
    command = ["sh", "-c", 'echo 1 > "$LAUNCHER_OUTPUTS/kept"']
    result = await launcher.run(launcher.Job(name="one", image="busybox", command=command))
    assert [file.path for file in result.outputs] == ["kept"]
    assert not list(fresh_machine.rglob("kept"))
    assert list(Path(os.environ["XDG_DATA_HOME"]).rglob("kept"))


def test_the_readme_s_test_passes_and_leaves_nothing(pytester: pytest.Pytester, fresh_machine: Path) -> None:
    """The README's two files are a project whose tests pass; no process and no temporary folder outlives them."""
    temporary = pytester.path / "tmp"
    temporary.mkdir()
    pytester.makepyfile(conftest=block("file: conftest.py", "python"), test_jobs=block("file: test_jobs.py", "python"))
    pytester.makeini("[pytest]\nasyncio_mode = auto\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(temporary))
        told = pytester.runpytest_subprocess("--basetemp", str(pytester.path / "base"), timeout=60)
    told.assert_outcomes(passed=1)
    assert list(temporary.iterdir()) == []


async def test_the_example_s_tests_pass(tmp_path: Path) -> None:
    """examples/testing is a project that tests its jobs; its own tests find a job's mistake too."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base")),
        cwd=ROOT / "examples" / "testing",
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert re.search(r"2 passed", out.decode())
