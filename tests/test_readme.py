"""What the README, the docs and the examples show is what happens."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from launcher import Connection, InvalidSpec, Job, Launcher, SecretRef, Settings, Use
from launcher.registry import GROUP, Registry

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(mark: str, language: str = "") -> str:
    """The code block that follows the comment ``<!-- mark -->``."""
    found = re.search(rf"<!-- {re.escape(mark)} -->\n```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block {mark!r}"
    return found[1]


async def python(script: Path, **environment: str) -> tuple[int, str]:
    """Run a script with this interpreter, in its own folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        cwd=script.parent,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The README's launcher.yaml, from a file."""
    (tmp_path / "launcher.yaml").write_text(block("file: launcher.yaml", "yaml"))
    return Settings.load(tmp_path / "launcher.yaml")


def test_the_yaml_loads_and_the_job_renders(settings: Settings, tmp_path: Path) -> None:
    """The job of the README fits the connections of the README."""
    (tmp_path / "train.py").write_text("print('trained')\n")
    (tmp_path / "job.yaml").write_text(block("file: job.yaml", "yaml"))
    pod = Launcher(settings.evolve(cluster="local")).render(Job.load(tmp_path / "job.yaml")).pod
    main = pod["spec"]["containers"][0]
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in main["volumeMounts"]}
    assert mounts["/data/books"] is True
    assert mounts["/connections/faces"] is True
    assert mounts["/ckpt"] is False
    assert main["resources"]["limits"] == {"cpu": "2", "memory": "8Gi"}


async def test_the_python_runs(tmp_path: Path) -> None:
    """The longer Python of the README runs as it stands, but for the folder that only its writer has."""
    books = tmp_path / "books"
    books.mkdir()
    for name in ("one.txt", "two.txt"):
        (books / name).write_text(name)
    script = tmp_path / "example.py"
    script.write_text(block("python: run", "python").replace("/srv/books", str(books)))
    code, output = await python(script)
    assert code == 0, output
    assert output.startswith("2\nsucceeded 0 ['count.txt']\n")
    assert "kind: Pod" in output
    assert "container 'main' ended with exit code 1" in output
    assert (tmp_path / "here" / "count.txt").read_text() == "2\n"


def test_the_mistakes_are_told_as_shown(tmp_path: Path) -> None:
    """The README's list of problems is what its mistakes give, word for word."""
    (tmp_path / "job.yaml").write_text(
        "name: train\nimage: python:3.12-slim\nimagee: x\ncommand: python train.py\n"
        "connections: [{name: faces, subpath: train}]\nresources: {memory: 8}\nenv: {DEBUG: true}\ntimeout: 2 hours\n"
    )
    with pytest.raises(InvalidSpec) as caught:
        Job.load(tmp_path / "job.yaml")
    shown = block("problems").strip().splitlines()
    said = str(caught.value).replace(str(tmp_path / "job.yaml"), "job.yaml").splitlines()
    assert (said[0], sorted(said)) == (shown[0], sorted(shown))


def test_the_plugin_is_usable(tmp_path: Path) -> None:
    """The README's plugin, behind an entry point, copies a connection into a pod."""
    module = ModuleType("acme_storage")
    exec(block("python: plugin", "python"), module.__dict__)
    sys.modules["acme_storage"] = module
    try:
        registry = Registry.of(
            [*Registry.installed_points(), EntryPoint("ftp", "acme_storage:FTP", GROUP)],
        )
        good = Connection(name="mirror", kind="ftp", schema={"host": "ftp.example.org"}, secret=SecretRef("ftp"))
        pad = Launcher(Settings(connections=[good], cluster="local"), registry=registry)
        pod = pad.render(Job(name="j", image="i", connections=[Use("mirror")])).pod
        assert [container["name"] for container in pod["spec"]["initContainers"]] == ["fetch"]
        bad = Connection(name="mirror", kind="ftp", schema={"host": "ftp://x/y"})
        with pytest.raises(InvalidSpec, match="isn't a host"):
            Launcher(Settings(connections=[bad]), registry=registry)
    finally:
        del sys.modules["acme_storage"]


async def test_the_quickstart_shows_its_table(tmp_path: Path) -> None:
    """examples/quickstart runs on the local cluster, whatever kubeconfig lies about, and leaves a table and a chart."""
    code, output = await python(
        ROOT / "examples" / "quickstart" / "quickstart.py",
        XDG_DATA_HOME=str(tmp_path),
        KUBECONFIG=str(tmp_path / "nothing"),
    )
    assert code == 0, output
    for expected in ("local cluster", "running", "modules.csv", "modules.png", "main.log", "complexity"):
        assert expected in output
    (chart,) = tmp_path.rglob("modules.png")
    assert chart.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


def test_nothing_in_the_docs_points_nowhere() -> None:
    """Every relative link of README and docs leads to a file."""
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


async def test_the_commands_exist() -> None:
    """Each subcommand that the README names is one of the command's own help."""
    launcher = Path(sys.executable).with_name("launcher")
    process = await asyncio.create_subprocess_exec(launcher, "--help", stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    listed = set(re.findall(r"^\s+(\w+): ", output.decode(), re.MULTILINE))
    named = set(re.findall(r"^\$ launcher (\w+)", README, re.MULTILINE))
    assert {"run", "ps", "connections", "render", "cluster"} <= named <= listed
