"""Everything about a run is decided, or refused with all that is wrong, before anything is sent."""

from __future__ import annotations

import copy
from typing import Any

import attrs
import hypothesis
import pytest
from hypothesis import strategies as st

from launcher import ConfigMapKey, Connection, InvalidSpec, Job, SecretKey, SecretRef, Use
from launcher.backend import Claim, Mode
from launcher.facts import UNKNOWN, Facts
from launcher.plan import wanted
from tests import planning, strategies
from tests.planning import REAL, around, built, job, planned, problems_of, said


def mode_and_rights(use: Any) -> tuple[Mode, bool, str]:
    (only,) = planned(job(use)).uses
    return only.mode, only.read_only, only.mount_path


@pytest.mark.parametrize(
    ("use", "mode", "read_only", "path"),
    [
        ("stdlib", "mount", True, "/data/lib"),
        ("scratch", "mount", False, "/connections/scratch"),
        ("faces", "mount", False, "/datasets/faces"),
        ("s3-bucket", "copy", True, "/connections/s3-bucket"),
        (Use("s3-bucket", read_only=False), "copy", False, "/connections/s3-bucket"),
        (Use("faces", read_only=True, mount_path="/x/"), "mount", True, "/x/"),
        ("gcs-bucket", "mount", True, "/connections/gcs-bucket"),
        (Use("gcs-bucket", mode="copy"), "copy", True, "/connections/gcs-bucket"),
        ("streamed", "stream", True, "/connections/streamed"),
        (Use("azure-bucket", mode="mount"), "mount", True, "/connections/azure-bucket"),
    ],
)
def test_defaults_of_a_use(use: Any, mode: str, read_only: bool, path: str) -> None:
    """A use gets its connection's first allowed mode and its path; buckets are read-only unless it asks to write."""
    assert mode_and_rights(use) == (mode, read_only, path)


@pytest.mark.parametrize(
    ("use", "path", "words"),
    [
        ("facse", "connections[0]", "did you mean 'faces'?"),
        (Use("stdlib", read_only=False), "connections[0].readOnly", "is read-only"),
        (Use("frozen", read_only=False), "connections[0].readOnly", "can narrow its connection, not widen it"),
        (Use("s3-bucket", mode="stream"), "connections[0].mode", "its administrator doesn't allow it"),
        (Use("faces", mode="copy"), "connections[0].mode", "its kind doesn't offer it"),
        (Use("gcs-bucket", mode="stream"), "connections[0].mode", "mount, copy?"),
        (Use("faces", mode="fly"), "connections[0].mode", "'fly' isn't a mode"),
        (Use("s3-bucket", mode="mount"), "connections[0].mode", "volumeClaim"),
        (Use("faces", include="*.png"), "connections[0].include", "only a copy can be filtered"),
        (Use("faces", mount_path="data"), "connections[0].mountPath", "isn't an absolute path"),
        (Use("faces", mount_path="/a/../b"), "connections[0].mountPath", "has a '..' in it"),
        (Use("faces", mount_path="/a:b"), "connections[0].mountPath", "has a ':' in it"),
        (Use("faces", mount_path="/"), "connections[0].mountPath", "nothing can be mounted on"),
        (Use("faces", mount_path="//proc"), "connections[0].mountPath", "nothing can be mounted on"),
        (Use("faces", mount_path="/launcher"), "connections[0].mountPath", "nothing can be mounted on"),
        (Use("faces", sub_path="../other"), "connections[0].subPath", "can't leave its connection"),
        (Use("faces", sub_path="a/../../b"), "connections[0].subPath", "can't leave its connection"),
        (Use("faces", sub_path="/a"), "connections[0].subPath", "must be relative"),
    ],
)
def test_uses_that_are_refused(use: Any, path: str, words: str) -> None:
    """A use may narrow its connection and never widen it, and its paths must stay inside."""
    (problem,) = problems_of(job(use))
    assert problem.path == path
    assert words in str(problem)


@pytest.mark.parametrize(
    "uses",
    [
        [Use("faces", mount_path="/data"), Use("scratch", mount_path="/data")],
        [Use("faces", mount_path="/data"), Use("scratch", mount_path="//data")],
        [Use("faces", mount_path="/data"), Use("scratch", mount_path="/data/")],
        [Use("faces", mount_path="/data"), Use("scratch", mount_path="/data/./inner")],
        [Use("scratch", mount_path="/data/inner"), Use("faces", mount_path="/data")],
        [Use("s3-bucket", mount_path="/launcher/outputs")],
        [Use("s3-bucket", mount_path="/launcher/outputs/x")],
        [Use("filed"), Use("faces", mount_path="/secrets/gcs")],
        [Use("filed"), Use("faces", mount_path="/etc/gcs/inner")],
    ],
)
def test_mounts_never_meet(uses: list[Use]) -> None:
    """No two mounts are on one path or inside each other, whichever way their paths are written."""
    assert "both mounted on" in said(job(*uses)) or "lies inside" in said(job(*uses))


def test_similar_paths_do_not_meet() -> None:
    """Paths that only begin alike are two places."""
    uses = [Use("faces", mount_path="/data"), Use("scratch", mount_path="/data-2"), Use("stdlib", mount_path="/dat")]
    assert built(job(*uses))


@pytest.mark.parametrize("path", ["/launcher/files", "/launcher/files/x"])
def test_nothing_is_mounted_on_the_files(path: str) -> None:
    """The place of a job's own files is taken."""
    with_files = around(files=planning.files("a.py"))
    assert said(job(Use("faces", mount_path=path), files=["a.py"]), REAL, with_files)


@pytest.mark.parametrize("path", ["/", "/proc", "/launcher", "/launcher/files", "/sys", "out", "/a/../b", "/a:b"])
def test_outputs_are_a_place_of_their_own(path: str) -> None:
    """Outputs can be any folder of their own, and nothing that a container needs for itself."""
    assert problems_of(job(outputs=path))[0].path == "outputs"


@pytest.mark.parametrize("path", ["/", "/proc", "/dev", "/a:b", "/launcher"])
def test_a_connections_own_path_is_checked_too(path: str) -> None:
    """The path that an administrator gave a connection is held to the same rules, when it is used there."""
    odd = Connection(name="odd", kind="host_path", schema={"hostPath": "/x", "mountPath": path})
    assert "'odd'" in said(job("odd", outputs=None), REAL, around([odd]))
    assert built(job(Use("odd", mount_path="/fine")), REAL, around([odd]))


def test_one_connection_twice() -> None:
    """A connection has one place in a pod, so using it twice is refused."""
    twice = job(Use("faces", mount_path="/a", sub_path="x"), Use("faces", mount_path="/b", sub_path="y"))
    assert "'faces' is used twice" in said(twice)


KNOWN: dict[str, Any] = {
    "secrets": {"s3-secret": frozenset({"AWS_ACCESS_KEY_ID"}), "gcs-secret": None, "az-secret": UNKNOWN},
    "config_maps": {"gcs-config": None, "settings": frozenset({"level"})},
    "claims": {"faces-pvc": None, "frozen-pvc": UNKNOWN},
    "host_paths": {"/scratch": False, "/usr/lib/python3": UNKNOWN},
}


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("s3-bucket", "needs the key 'AWS_SECRET_ACCESS_KEY' of the secret 's3-secret'"),
        ("gcs-bucket", "needs the secret 'gcs-secret', which isn't in the namespace"),
        ("filed", "needs the config map 'gcs-config'"),
        ("faces", "needs the claim 'faces-pvc', which isn't there"),
        ("scratch", "needs the folder /scratch, which isn't there"),
    ],
)
def test_what_the_cluster_lacks(use: str, words: str) -> None:
    """A secret, key, claim, config map or folder that isn't there is named before anything is submitted."""
    (problem,) = problems_of(job(use), Facts(**KNOWN))
    assert problem.path == "connections[0]"
    assert words in problem.text


@pytest.mark.parametrize("use", ["azure-bucket", "frozen", "stdlib"])
def test_what_may_not_be_looked_up_is_no_problem(use: str) -> None:
    """What the user's rights don't allow to look up is tried."""
    assert built(job(use), Facts(**KNOWN))


def test_secret_items_must_be_in_the_secret() -> None:
    """The keys that a connection takes of its secret must be there, and must hold what its kind requires."""
    narrow = Connection(
        name="n", kind="s3", schema={"bucket": "s3://bucket/"}, secret=SecretRef("s", items=["AWS_ACCESS_KEY_ID", "x"])
    )
    facts = Facts(secrets={"s": frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})})
    words = said(job("n"), facts, around([narrow]))
    assert "the key 'x'" in words and "the key 'AWS_SECRET_ACCESS_KEY'" in words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (SecretKey("gone", "k"), "there is no secret 'gone' in the namespace"),
        (SecretKey("tokens", "huggingface"), "has no key 'huggingface' (did you mean 'hugging-face'?)"),
        (ConfigMapKey("gone", "k"), "there is no config map 'gone'"),
        (ConfigMapKey("settings", "levle"), "did you mean 'level'?"),
        (SecretKey("s3-secret", "AWS_ACCESS_KEY_ID"), "holds the credentials of 's3-bucket'"),
    ],
)
def test_env_that_names_what_is_not_there(value: Any, words: str) -> None:
    """A variable from a secret or config map is checked, and may not be a connection's credentials."""
    known = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    facts = Facts(
        secrets={"gone": None, "tokens": frozenset({"hugging-face"}), "s3-secret": frozenset(known)},
        config_maps={"gone": None, "settings": frozenset({"level"})},
    )
    (problem,) = problems_of(job("s3-bucket", env={"A": value}), facts)
    assert problem.path == "env.A"
    assert words in str(problem)


def test_rights_and_namespace() -> None:
    """Missing rights and a missing namespace are told in words, with the rest of the problems."""
    facts = Facts(namespace_exists=False, cluster="here", refused=("start jobs (create pods)",))
    words = said(job("nonesuch"), facts)
    assert "there is no namespace 'jobs' in here" in words
    assert "you may not start jobs (create pods) in the namespace 'jobs'" in words
    assert "nonesuch" in words


def test_everything_at_once() -> None:
    """A job with a dozen mistakes is told of all of them in one go."""
    wrong = Job(
        name="\U0001f600" * 300,
        image="",
        command="python x.py",
        env={"PORT": 8080, "a-b": "x", "K": SecretKey("gone", "k")},
        connections=["facse", Use("stdlib", read_only=False), Use("scratch", mount_path="relative")],
        outputs="/",
        timeout="soon",
        labels={"podlauncher.dev/run": "x"},
    )
    paths = {problem.path for problem in problems_of(wrong, Facts(secrets={"gone": None}))}
    assert paths >= {
        "name",
        "image",
        "command",
        "env.a-b",
        "env.K",
        "connections[0]",
        "connections[1].readOnly",
        "connections[2].mountPath",
        "outputs",
        "timeout",
        "labels.podlauncher.dev/run",
    }


def test_numbers_in_env_are_fine_in_python() -> None:
    """A whole number as a variable's value means its text, in Python as in YAML."""
    main = planning.container(built(job(env={"PORT": 8080})))
    assert {"name": "PORT", "value": "8080"} in main["env"]


@pytest.mark.parametrize(
    "fields",
    [
        {"image": None},
        {"command": 5},
        {"args": [None]},
        {"args": [[]]},
        {"files": [5.5]},
        {"env": {"A": None}},
        {"env": ["A"]},
        {"env": {5.5: "x"}},
        {"connections": [5.5]},
        {"connections": [None]},
        {"connections": 5},
        {"resources": {"cpu": "half"}},
        {"timeout": []},
        {"labels": {"a": 5.5}},
        {"labels": "x"},
        {"tolerations": ["x"]},
        {"affinity": "x"},
        {"patch": ["x"]},
        {"sidecars": [5]},
        {"outputs": 5.5},
        {"service_account": True},
        {"shared_memory": []},
    ],
    ids=str,
)
def test_wrong_types_in_python(fields: dict[str, Any]) -> None:
    """A value of the wrong type in Python is a problem of its field, like one in a file."""
    with pytest.raises(InvalidSpec):
        built(Job(**{"name": "j", "image": "i", **fields}))


@pytest.mark.parametrize(
    ("modes", "use", "words"),
    [
        (("ReadOnlyMany",), "faces", "is ReadOnlyMany: writing to it will fail"),
        (("ReadWriteOnce",), "faces", "serves one node at a time"),
        (("ReadWriteOncePod",), "faces", "serves one pod at a time"),
        (("ReadWriteOncePod",), "frozen", "serves one pod at a time"),
    ],
)
def test_warnings_of_claims(modes: tuple[str, ...], use: str, words: str) -> None:
    """What a claim's access modes mean for a use is told before it runs."""
    facts = Facts(claims={name: Claim(modes, "Bound") for name in ("faces-pvc", "frozen-pvc")})
    assert any(words in warning for warning in planned(job(use), facts).warnings)


def test_no_warning_without_a_reason() -> None:
    """A claim that many may write, and read-only use of one that many may read, are fine."""
    facts = Facts(claims={"faces-pvc": Claim(("ReadWriteMany",), "Bound"), "frozen-pvc": Claim(("ReadOnlyMany",), "")})
    assert planned(job("faces", "frozen"), facts, around(store=None)).warnings == ()


def test_two_connections_set_one_variable() -> None:
    """Two connections that set one variable to different values are refused; the job's own word is fine."""
    a = Connection(name="a", kind="host_path", schema={"hostPath": "/a"}, env={"X": "1"})
    b = Connection(name="b", kind="host_path", schema={"hostPath": "/b"}, env={"X": "2"})
    assert "both set the variable X" in said(job("a", "b"), REAL, around([a, b]))
    same = attrs.evolve(b, env={"X": "1"})
    assert built(job("a", "b"), REAL, around([a, same]))


def test_wanted_names_all_that_is_looked_up() -> None:
    """Everything that a job's uses, its store and its variables need is looked up once."""
    circumstances = around(store=planning.BUCKET_STORE)
    env = {"A": SecretKey("tokens", "k"), "B": ConfigMapKey("settings", "k")}
    uses = job("s3-bucket", "faces", "filed", "nonesuch", env=env)
    asked = wanted(uses, circumstances.catalog, circumstances.store, store_is_default=False)
    assert asked.secrets == {"s3-secret", "filed-secret", "results-secret", "tokens"}
    assert asked.config_maps == {"gcs-config", "settings"}
    assert {need.name for need in asked.needs} == {"faces-pvc"}


any_job = st.builds(
    lambda base, uses: base.evolve(connections=uses, patch=None, init_containers=()),
    strategies.jobs,
    st.lists(st.sampled_from([c.name for c in planning.ALL]), unique=True, max_size=5),
)


@hypothesis.given(any_job)
def test_planning_and_building_are_pure(any_job: Job) -> None:
    """The same job in the same circumstances gives the same plan and the same manifest, and changes nothing."""
    circumstances = around(store=planning.BUCKET_STORE)
    before = copy.deepcopy(strategies.codec_form(any_job))
    try:
        first = built(any_job, REAL, circumstances)
    except InvalidSpec as exc:
        with pytest.raises(InvalidSpec) as again:
            built(any_job, REAL, circumstances)
        assert again.value.problems == exc.problems
    else:
        assert built(any_job, REAL, circumstances) == first
        first.pod["spec"]["containers"].clear()
        assert built(any_job, REAL, circumstances).pod["spec"]["containers"]
    assert strategies.codec_form(any_job) == before


def test_spec_hash_tells_jobs_apart() -> None:
    """The hash of the spec is the same for the same job, connections and files, and another for any change."""

    def spec(job: Job, **changes: Any) -> str:
        return planned(job, REAL, around(**changes)).record.spec

    base = spec(job("faces"))
    assert spec(job("faces"), run_id="j-2") == base
    moved = attrs.evolve(planning.CLAIM, schema={"volumeClaim": "other"})
    others = {
        spec(job("faces", args=["x"])),
        spec(job("frozen")),
        spec(job("faces"), connections=[moved]),
        spec(job("faces"), files=planning.files("a")),
        spec(job("faces"), files=planning.files("b")),
    }
    assert base not in others and len(others) == 5


raw_name = strategies.raw_names | st.text(max_size=60).filter(lambda name: name.strip() and name.isprintable())


@hypothesis.given(st.lists(raw_name, min_size=1, max_size=6, unique=True))
def test_derived_names_for_any_connections(raw: list[str]) -> None:
    """Whatever connections are called, the pod's volumes, labels and paths are valid and each its own."""
    connections = [
        Connection(name=name, kind="s3", schema={"bucket": "s3://bucket/"}, secret=SecretRef("s")) for name in raw
    ]
    pod = built(job(*raw), REAL, around(connections)).pod
    volumes = [volume["name"] for volume in pod["spec"]["volumes"]]
    assert len(set(volumes)) == len(volumes)
    assert all(strategies.DNS.fullmatch(name) for name in volumes)
    labels = [key for key in pod["metadata"]["labels"] if key.startswith("connection.podlauncher.dev/")]
    assert len(labels) == len(raw)
    assert all(strategies.LABEL.fullmatch(key.partition("/")[2]) for key in labels)
    paths = [mount["mountPath"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert len(set(paths)) == len(paths) and not any(":" in path for path in paths)
    for name in raw:
        assert name in pod["metadata"]["annotations"]["podlauncher.dev/connections"]
