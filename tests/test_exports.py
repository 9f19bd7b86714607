"""The public door: what ``import launcher`` offers, and what it must not drag in."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import launcher

ROOT = Path(launcher.__file__).parent
STORAGE = {"s3fs", "gcsfs", "adlfs", "fsspec", "botocore", "aiobotocore", "azure", "google", "obstore"}
HEAVY = {"kubernetes_asyncio", "aiohttp", "rich", "cyclopts", "launcher_backends"}


def _fresh(code: str) -> set[str]:
    """The names of the modules that a new interpreter has loaded after ``code``."""
    script = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").split(".")[0])
    return found


def test_all_is_sorted_and_each_name_once() -> None:
    """What the package exports is listed once, in order."""
    assert list(launcher.__all__) == sorted(set(launcher.__all__))


def _named_for_type_checkers() -> set[str]:
    """What the package imports from its modules where only type checkers look."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    return {f"{node.module}.{alias.name}" for node in imports for alias in node.names}


def test_all_is_what_can_be_imported() -> None:
    """Every listed name can be had from the package, and type checkers see the same names from the same places."""
    homes = {f"{getattr(launcher, name).__module__}.{name}" for name in launcher.__all__}
    assert homes == _named_for_type_checkers()
    assert {name.rpartition(".")[2] for name in homes} == set(launcher.__all__)


def test_nothing_else_is_public() -> None:
    """After all of it was used, the package shows no name that isn't listed, but for its own modules."""
    for name in launcher.__all__:
        getattr(launcher, name)
    modules = {path.stem for path in ROOT.iterdir()}
    public = {name for name in dir(launcher) if not name.startswith("_") and name != "annotations"}
    assert public - modules | {"run"} & public == set(launcher.__all__) - modules | {"run"}


def test_unknown_names_are_attribute_errors() -> None:
    """A name that the package doesn't have is refused as Python does it."""
    with pytest.raises(AttributeError, match="nonesuch"):
        launcher.nonesuch  # noqa: B018


def test_exported_classes_are_documented() -> None:
    """Everything that users may import says what it is."""
    assert [name for name in launcher.__all__ if not getattr(launcher, name).__doc__] == []


def test_import_is_light() -> None:
    """``import launcher`` loads neither the cluster library nor any storage library or plugin."""
    top = {name.split(".")[0] for name in _fresh("import launcher")}
    assert top & (HEAVY | STORAGE) == set()


@pytest.mark.parametrize("kind", ["host_path", "volume_claim", "s3", "gcs", "wasb"])
def test_plugins_import_no_storage_library(kind: str) -> None:
    """A plugin can be loaded and asked about a schema without any storage library."""
    loaded = _fresh(f"from launcher.registry import Registry; Registry.installed().get({kind!r})")
    assert {name.split(".")[0] for name in loaded} & STORAGE == set()


def test_rendering_needs_no_cluster_library() -> None:
    """A manifest is rendered without the library that talks to clusters."""
    code = "import launcher; launcher.Launcher(launcher.Settings()).render(launcher.Job(name='a', image='b'))"
    assert {name.split(".")[0] for name in _fresh(code)} & {"kubernetes_asyncio", "aiohttp"} == set()


def test_core_never_imports_the_built_in_plugins() -> None:
    """No module of the core imports the built-in plugins: they have no privilege."""
    guilty = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if "launcher_backends" in _imports(path)]
    assert guilty == []


def test_only_kube_imports_the_cluster_library() -> None:
    """One package talks to the cluster library."""
    guilty = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if "kubernetes_asyncio" in _imports(path) and path.parent.name != "kube"
    ]
    assert guilty == []
