"""Storage plugins by entry points: found, refused by name, and never in the way of other jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import pytest

from launcher import Connection, InvalidSpec, Job, Launcher, PluginError, Problem, Settings
from launcher.backend import Credential, Mode, Mount, Remote
from launcher.registry import GROUP, Registry, _extra

MODULE = "tests_plugins_of_a_third_party"


@attrs.frozen
class FolderSchema:
    place: str
    mount_path: str | None = None


class Folder:
    """A plugin that mounts, in twenty lines."""

    api = 1
    schema = FolderSchema
    modes = (Mode.MOUNT,)
    credentials = ()

    def problems(self, schema: FolderSchema) -> list[Problem]:
        return [] if schema.place.startswith("/") else [Problem("place", "isn't absolute")]

    def needs(self, schema: FolderSchema) -> tuple[()]:
        return ()

    def mount(self, use: Any, facts: Any) -> Mount:
        term = {"matchExpressions": [{"key": "rack", "operator": "In", "values": ["1"]}]}
        return Mount({"hostPath": {"path": use.schema.place}}, {"my/note": "x"}, (term,), ("slow",))

    def remote(self, schema: FolderSchema, secrets: Mapping[str, str]) -> Remote:
        return Remote("file", schema.place)

    def classify(self, error: BaseException) -> None:
        return None


@attrs.frozen
class MemorySchema:
    folder: str = "/"
    mount_path: str | None = None
    read_only: bool = False


class Memory:
    """A plugin that copies through fsspec, in twenty lines."""

    api = 1
    schema = MemorySchema
    modes = (Mode.COPY, Mode.STREAM)
    credentials = (Credential("password", required=True),)

    def problems(self, schema: MemorySchema) -> list[Problem]:
        return []

    def needs(self, schema: MemorySchema) -> tuple[()]:
        return ()

    def mount(self, use: Any, facts: Any) -> Mount:
        raise NotImplementedError

    def remote(self, schema: MemorySchema, secrets: Mapping[str, str]) -> Remote:
        return Remote("memory", schema.folder, environment={"MEMORY_PASSWORD": "password"})

    def classify(self, error: BaseException) -> None:
        return None


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module that entry points can name, there for one test."""
    made = ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, made)
    return made


def point(kind: str, attribute: str, module: str = MODULE) -> EntryPoint:
    return EntryPoint(kind, f"{module}:{attribute}", GROUP)


def registry(*points: EntryPoint) -> Registry:
    return Registry.of([*entry_points(group=GROUP), *points])


def launcher(registry: Registry, *connections: Connection) -> Launcher:
    fine = Connection(name="fine", kind="host_path", schema={"hostPath": "/fine"})
    return Launcher(Settings(connections=[fine, *connections]), registry=registry)


def variant(base: type, **members: Any) -> type:
    return type("Variant", (base,), members)


def test_built_ins_are_found_like_any_other() -> None:
    """The five built-in kinds are entry points of the same group."""
    found = Registry.installed()
    assert set(found.kinds()) >= {"host_path", "volume_claim", "s3", "gcs", "wasb"}
    assert "podlauncher" in found.origin("s3") and "launcher_backends.s3:S3" in found.origin("s3")


@pytest.mark.parametrize(
    ("kind", "said"),
    [("s4", "s3"), ("waasb", "did you mean 'wasb'?"), ("hostpath", "'host_path'"), ("zzz", "known: gcs, host_path")],
)
def test_missing_kind(kind: str, said: str) -> None:
    """A kind without a plugin is named with the nearest known one."""
    with pytest.raises(PluginError, match=kind) as caught:
        Registry.installed().get(kind)
    assert said in str(caught.value)


def test_two_plugins_for_one_kind(module: ModuleType) -> None:
    """Two plugins for one kind are an error that names both."""
    vars(module).update(One=Folder, Two=Memory)
    found = registry(point("folder", "One"), point("folder", "Two"))
    with pytest.raises(PluginError, match="claimed by 2 plugins") as caught:
        found.get("folder")
    assert f"{MODULE}:One" in str(caught.value) and f"{MODULE}:Two" in str(caught.value)


def test_built_in_kind_claimed_by_another(module: ModuleType) -> None:
    """Nobody takes a built-in kind over in silence, and the built-in doesn't win either."""
    vars(module).update(Mine=Folder)
    with pytest.raises(PluginError, match="claimed by 2"):
        registry(point("s3", "Mine")).get("s3")


def test_one_plugin_seen_twice(module: ModuleType) -> None:
    """One distribution that is on the path twice is still one plugin."""
    vars(module).update(Mine=Folder)
    assert isinstance(registry(point("folder", "Mine"), point("folder", "Mine")).get("folder"), Folder)


def _raises(*args: Any) -> Any:
    raise KeyError("boom")


BROKEN: dict[str, Any] = {
    "wrong version": variant(Folder, api=2),
    "no version": variant(Folder, api=None),
    "no modes": variant(Folder, modes=()),
    "modes that aren't": variant(Folder, modes=None),
    "unhashable modes": variant(Folder, modes=([],)),
    "unknown mode": variant(Folder, modes=("teleport",)),
    "schema that isn't a class": variant(Folder, schema="text"),
    "schema without attrs": variant(Folder, schema=dict),
    "fails when made": variant(Folder, __init__=_raises),
    "wants an argument": variant(Folder, __init__=lambda self, x: None),
    "problems fail": variant(Folder, problems=_raises),
    "problems give nonsense": variant(Folder, problems=lambda self, schema: [5]),
    "needs fail": variant(Folder, needs=_raises),
    "needs give nonsense": variant(Folder, needs=lambda self, schema: [5]),
    "mount fails": variant(Folder, mount=_raises),
    "mount gives nothing": variant(Folder, mount=lambda self, use, facts: None),
    "not a class": 5,
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_plugins_name_themselves_and_others_go_on(module: ModuleType, what: str) -> None:
    """A plugin that is broken in any way is an error that names its kind for the jobs that use it, and for no other."""
    vars(module).update(Broken=BROKEN[what])
    connection = Connection(name="mine", kind="folder", schema={"place": "/x"})
    pad = launcher(registry(point("folder", "Broken")), connection)
    assert pad.render(Job(name="j", image="i", connections=["fine"])).pod
    with pytest.raises((InvalidSpec, PluginError), match="'folder'"):
        pad.render(Job(name="j", image="i", connections=["mine"]))


@pytest.mark.parametrize(
    "member", ["schema", "modes", "credentials", "problems", "needs", "mount", "remote", "classify"]
)
def test_missing_members(module: ModuleType, member: str) -> None:
    """A plugin that lacks a part of the contract is refused with that part's name."""
    members = {name: value for name, value in vars(Folder).items() if name != member}
    vars(module).update(Broken=type("Partial", (), members))
    with pytest.raises(PluginError, match=f"'folder'.* lacks {member}"):
        registry(point("folder", "Broken")).get("folder")


def test_schema_that_cannot_be_resolved(module: ModuleType) -> None:
    """A schema whose annotations name nothing is the plugin's fault, and nobody else's."""
    exec("from __future__ import annotations\nimport attrs\n@attrs.frozen\nclass S:\n    x: Nope = 1\n", vars(module))
    vars(module).update(Broken=variant(Folder, schema=vars(module)["S"]))
    pad = launcher(registry(point("folder", "Broken")), Connection(name="mine", kind="folder", schema={"x": 1}))
    assert pad.render(Job(name="j", image="i", connections=["fine"])).pod
    with pytest.raises(InvalidSpec, match="'folder'"):
        pad.render(Job(name="j", image="i", connections=["mine"]))


def test_plugin_that_mounts(module: ModuleType) -> None:
    """A third party's plugin that mounts gives the pod its volume, annotations, affinity and warnings."""
    vars(module).update(Mine=Folder)
    connection = Connection(name="mine", kind="folder", schema={"place": "/srv/data", "mountPath": "/data"})
    pad = launcher(registry(point("folder", "Mine")), connection)
    pod = pad.render(Job(name="j", image="i", connections=["mine"], outputs=None)).pod
    assert {"name": "connection-mine", "hostPath": {"path": "/srv/data"}} in pod["spec"]["volumes"]
    assert {"name": "connection-mine", "mountPath": "/data"} in pod["spec"]["containers"][0]["volumeMounts"]
    assert pod["metadata"]["annotations"]["my/note"] == "x"
    terms = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert terms["nodeSelectorTerms"][0]["matchExpressions"][0]["key"] == "rack"


def test_plugin_that_copies(module: ModuleType) -> None:
    """A third party's plugin that copies gets an agent with its schema, and its secret in the agent alone."""
    from launcher import SecretRef

    vars(module).update(Mine=Memory)
    connection = Connection(name="mine", kind="memory", schema={"folder": "/a"}, secret=SecretRef("pw"))
    pad = launcher(registry(point("memory", "Mine")), connection)
    spec = pad.render(Job(name="j", image="i", connections=["mine"])).pod["spec"]
    fetch = next(c for c in spec["initContainers"] if c["name"] == "fetch")
    orders = json.loads(fetch["env"][0]["value"])
    assert orders["parts"][0]["kind"] == "memory"
    assert orders["parts"][0]["schema"] == {"folder": "/a"}
    assert "credentials-mine" in {mount["name"] for mount in fetch["volumeMounts"]}
    assert "credentials-mine" not in {mount["name"] for mount in spec["containers"][0]["volumeMounts"]}


def test_plugin_says_what_is_wrong(module: ModuleType) -> None:
    """What a third party's plugin finds wrong is told with the place in the settings, nearest keys included."""
    vars(module).update(Mine=Folder)
    with pytest.raises(InvalidSpec) as caught:
        launcher(
            registry(point("folder", "Mine")),
            Connection(name="a", kind="folder", schema={"place": "x"}),
            Connection(name="b", kind="folder", schema={"plaice": "/x"}),
        )
    said = str(caught.value)
    assert "schema.place: isn't absolute" in said and "did you mean 'place'?" in said


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder of installed packages with three plugins: one fine, one whose library is missing, one made twice."""
    metadata = tmp_path / "acme_storage-1.2.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-storage\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text(
        f"[{GROUP}]\nacme = acme_plugin:Acme\nneedy = acme_needy:Needy [fast]\ns3 = acme_plugin:Acme\n"
    )
    (tmp_path / "acme_needy.py").write_text("import a_library_that_nobody_has\n")
    source = Path(__file__).read_text()
    body = source[source.index("@attrs.frozen\nclass FolderSchema") : source.index("@attrs.frozen\nclass MemorySchema")]
    head = "import attrs\nfrom typing import Any\nfrom collections.abc import Mapping\nfrom launcher import Problem\n"
    head += "from launcher.backend import Mode, Mount, Remote\n"
    (tmp_path / "acme_plugin.py").write_text(head + body.replace("class Folder:", "class Acme:"))
    yield tmp_path


def _installed(site: Path, code: str) -> str:
    program = (
        f"from launcher.registry import Registry; from launcher import PluginError; r = Registry.installed()\n{code}"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(site)}
    )
    return done.stdout


def test_installed_distribution(site: Path) -> None:
    """A distribution that is installed beside ours is found, by name and version."""
    out = _installed(site, "print(r.origin('acme'), type(r.get('acme')).__name__, 'needy' in r.kinds())")
    assert out.split() == ["acme-storage", "1.2,", "acme_plugin:Acme", "Acme", "True"]


def test_plugin_whose_library_is_missing(site: Path) -> None:
    """A plugin that can't be imported names itself, its distribution and what to install."""
    said = _installed(site, "try: r.get('needy')\nexcept PluginError as exc: print(exc)")
    for word in ("'needy'", "acme-storage 1.2", "acme_needy:Needy", "a_library_that_nobody_has", "acme-storage[fast]"):
        assert word in said


def test_installed_collision(site: Path) -> None:
    """An installed distribution that claims a built-in kind is an error that names both distributions."""
    said = _installed(
        site, "try: r.get('s3')\nexcept PluginError as exc: print(exc)\nprint(type(r.get('gcs')).__name__)"
    )
    assert "acme-storage 1.2" in said and "podlauncher" in said and said.endswith("GCS\n")


def test_a_missing_library_names_its_extra() -> None:
    """A kind whose fsspec library isn't installed says which extra brings it; others say nothing."""
    registry = Registry.installed()
    assert registry.lacking("s3", "s3") == ""
    assert registry.lacking("host_path", "file") == ""
    (point,) = [point for point in Registry.installed_points() if point.name == "s3"]
    assert _extra(point, "s3fs") == "podlauncher[s3]"
    assert _extra(point, "adlfs") == "podlauncher[azure]"
