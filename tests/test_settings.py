"""Where settings come from, and what comes before what."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import InvalidSpec, Job, Launcher, Resources, Settings
from launcher.backend import Mode
from launcher.connection import Connection
from launcher.errors import LauncherError


def test_nothing_configured() -> None:
    """Without any file the settings are the defaults, and say so."""
    settings = Settings.load()
    assert settings == Settings()
    assert settings.source == "the defaults"


def test_places_of_the_file(tmp_path: Path, fresh_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """$LAUNCHER_CONFIG comes before ./launcher.yaml, and that before the user's configuration directory."""
    monkeypatch.chdir(tmp_path)
    user = fresh_machine / "config" / "podlauncher" / "launcher.yaml"
    user.parent.mkdir(parents=True)
    user.write_text("namespace: of-the-user")
    assert Settings.load().namespace == "of-the-user"
    (tmp_path / "launcher.yaml").write_text("namespace: of-the-folder")
    assert Settings.load().namespace == "of-the-folder"
    (tmp_path / "other.yaml").write_text("namespace: of-the-variable")
    monkeypatch.setenv("LAUNCHER_CONFIG", str(tmp_path / "other.yaml"))
    assert Settings.load().namespace == "of-the-variable"
    assert Settings.load(tmp_path / "launcher.yaml").namespace == "of-the-folder"


def test_named_file_must_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that $LAUNCHER_CONFIG names and that isn't there is an error, never passed over."""
    monkeypatch.setenv("LAUNCHER_CONFIG", "/nonexistent/launcher.yaml")
    with pytest.raises(InvalidSpec, match=r"/nonexistent/launcher\.yaml"):
        Settings.load()


def test_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the environment comes before the file, and code before both."""
    (tmp_path / "l.yaml").write_text("{namespace: file, cluster: file, agentImage: file}")
    monkeypatch.setenv("LAUNCHER_NAMESPACE", "env")
    monkeypatch.setenv("LAUNCHER_CLUSTER", "env")
    monkeypatch.setenv("LAUNCHER_AGENT_IMAGE", "")
    settings = Settings.load(tmp_path / "l.yaml")
    assert (settings.namespace, settings.cluster, settings.agent_image) == ("env", "env", "file")
    assert settings.evolve(namespace="code").namespace == "code"


def test_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says is held to the same rules as the file."""
    monkeypatch.setenv("LAUNCHER_NAMESPACE", "Not A Namespace")
    with pytest.raises(InvalidSpec, match="namespace"):
        Settings.load()


@pytest.mark.parametrize(
    "settings",
    [
        Settings(cleanup="sometimes"),
        Settings(namespace="Not A Namespace"),
        Settings(local_isolation="docker"),
        Settings(connections=[Connection(name="a", kind="s3"), Connection(name="a", kind="gcs")]),
        Settings(
            artifacts_store=Connection(name="a", kind="host_path", schema={"hostPath": "/a"}),
            connections=[Connection(name="a", kind="host_path", schema={"hostPath": "/b"})],
        ),
    ],
    ids=["cleanup", "namespace", "isolation", "one name twice", "store otherwise"],
)
def test_settings_made_in_python_are_checked(settings: Settings) -> None:
    """Settings that were made in Python are held to the same rules as those of a file."""
    with pytest.raises(InvalidSpec):
        Launcher(settings)


def test_modes_in_python_may_be_words() -> None:
    """The modes of a connection may be words in Python too."""
    connection = Connection(name="a", kind="s3", schema={"bucket": "s3://bucket/"}, modes=["stream"])
    assert connection.modes == (Mode.STREAM,)


def test_defaults_for_jobs() -> None:
    """A team's defaults fill what a job doesn't say; mappings are joined, and the job's words win."""
    settings = Settings(
        defaults={
            "resources": {"cpu": 1, "memory": "2Gi"},
            "env": {"A": "team", "B": "team"},
            "labels": {"team": "vision"},
            "timeout": "2h",
            "imagePullSecrets": ["registry"],
            "outputs": None,
        }
    )
    plain = settings.with_defaults(Job(name="a", image="b"))
    assert plain.resources == Resources(cpu=1, memory="2Gi")
    assert (plain.timeout, plain.image_pull_secrets, plain.labels) == (7200.0, ("registry",), {"team": "vision"})
    assert plain.outputs is None
    job = Job(name="a", image="b", env={"A": "job"}, resources=Resources(memory="4Gi"), timeout=5, outputs="/out")
    own = settings.with_defaults(job)
    assert own.env == {"A": "job", "B": "team"}
    assert own.resources == Resources(cpu=1, memory="4Gi")
    assert (own.timeout, own.outputs) == (5.0, "/out")


def test_local_objects_are_relative_to_the_file(tmp_path: Path) -> None:
    """``localObjects`` is found beside the settings' file, and holds Kubernetes objects."""
    (tmp_path / "objects.yaml").write_text("kind: Secret\nmetadata: {name: a}\n---\nkind: ConfigMap\n")
    (tmp_path / "l.yaml").write_text("localObjects: objects.yaml")
    assert [item["kind"] for item in Settings.load(tmp_path / "l.yaml").objects()] == ["Secret", "ConfigMap"]


@pytest.mark.parametrize("content", ["- a", "5", "kind: 5\n---\nname: x", "a: [", "\0"])
def test_local_objects_that_are_none(tmp_path: Path, content: str) -> None:
    """A file that holds no Kubernetes objects is refused by name."""
    path = tmp_path / "objects.yaml"
    path.write_text(content)
    with pytest.raises(InvalidSpec, match=r"objects\.yaml"):
        Settings(local_objects=str(path)).objects()


async def test_isolation_of_a_local_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``localIsolation: podman`` where there is no podman is an error with a remedy, and nothing else is taken."""
    (tmp_path / "l.yaml").write_text("{cluster: local, localIsolation: podman}")
    settings = Settings.load(tmp_path / "l.yaml")
    assert (Settings().local_isolation, settings.local_isolation) == ("auto", "podman")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LauncherError, match="install podman, or set localIsolation to auto"):
        async with Launcher(settings):
            pass


def test_settings_show_no_surroundings() -> None:
    """The repr of settings tells neither paths of the machine nor anything of its environment."""
    assert "kubeconfig" not in repr(Settings())
