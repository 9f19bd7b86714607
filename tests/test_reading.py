"""Jobs and settings as people write them: the shapes of DESIGN.md, mistakes named in full, hostile files refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from launcher import ConfigMapKey, InvalidSpec, Job, Resources, SecretKey, SecretRef, Settings, Use, codec, yamltext
from launcher.catalog import Catalog, Resolved
from launcher.cluster import LocalState
from launcher.fields import camel
from launcher.record import FetchReport, History, RunRecord, SavedManifest, SaveReport
from launcher.registry import Registry
from tests import strategies

# DESIGN.md, section 3, word for word.
PRINTED = """\
artifactsStore:                 # where outputs and logs go; when absent: a path on the host node
  name: my-artifacts-store
  kind: host_path
  schema: {mountPath: /artifacts, hostPath: /path/to/artifacts}
connections:
  - name: my-artifacts-store    # the store may be listed again when its definition is the same
    kind: host_path
    schema: {mountPath: /artifacts, hostPath: /path/to/artifacts}
  - name: my-volume
    kind: volume_claim
    description: "faces v3: 2,113 relabelled images, see CHANGES"
    version: v3
    tags: [vision]
    schema: {mountPath: /datasets/path, volumeClaim: dataset-2-pvc, readOnly: true}
  - name: azure-bucket
    kind: wasb
    schema: {bucket: "wasbs://container@account.blob.core.windows.net/"}
    secret: {name: az-secret}
  - name: s3-bucket
    kind: s3
    schema: {bucket: "s3://bucket/"}
    secret: {name: s3-secret}
  - name: gcs-bucket2
    kind: gcs
    schema: {bucket: "gs://bucket/"}
    secret: {name: gcs-secret}
cluster: auto                   # auto | local | a context of the kubeconfig
namespace: jobs                 # and agentImage, preflight, cleanup, defaults for jobs
"""


def job_of(text: str) -> Job:
    return codec.structure(yamltext.parse(text), Job)


def settings_of(tmp_path: Path, text: str | bytes) -> Settings:
    path = tmp_path / "launcher.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return Settings.load(path)


def problems(read: Any, *args: Any) -> list[str]:
    """Every problem of what can't be read, as text."""
    with pytest.raises(InvalidSpec) as caught:
        read(*args)
    return [str(problem) for problem in caught.value.problems]


def paths(read: Any, *args: Any) -> list[str]:
    with pytest.raises(InvalidSpec) as caught:
        read(*args)
    return [problem.path for problem in caught.value.problems]


def test_settings_as_printed(tmp_path: Path) -> None:
    """The settings of DESIGN.md load exactly as they are printed there."""
    settings = settings_of(tmp_path, PRINTED)
    assert settings.names() == ["my-artifacts-store", "my-volume", "azure-bucket", "s3-bucket", "gcs-bucket2"]
    assert settings.namespace == "jobs"
    assert settings.connections[1].version == "v3"
    assert settings.connections[1].tags == ("vision",)
    assert settings.connections[3].secret == SecretRef("s3-secret")
    assert settings.connections[3].schema == {"bucket": "s3://bucket/"}
    assert settings.artifacts_store == settings.connections[0]


def test_printed_connections_have_their_plugins(tmp_path: Path) -> None:
    """Every connection of DESIGN.md is one that the installed plugins accept."""
    catalog = Catalog.of(settings_of(tmp_path, PRINTED), Registry.installed())
    modes = {name: entry.modes for name, entry in catalog.entries.items() if isinstance(entry, Resolved)}
    assert {name: modes[name][0] for name in modes} == {
        "my-artifacts-store": "mount",
        "my-volume": "mount",
        "azure-bucket": "copy",
        "s3-bucket": "copy",
        "gcs-bucket2": "copy",
    }
    assert all("stream" not in allowed for allowed in modes.values())


def test_job_as_written() -> None:
    """A job's YAML is camelCase for our fields, and verbatim for what Kubernetes and users name."""
    job = job_of(
        """
        name: count
        image: python:3.12-slim
        command: [python, count.py, 3]
        files: .
        env: {MY_KEY: 1, TOKEN: {secret: hf, key: my_token}, C: {configMap: m, key: k}}
        connections: [faces, {name: ckpt, mountPath: /ckpt, subPath: run-7, readOnly: false, mode: copy}]
        resources: {memory: 8Gi, cpu: 0.5, gpu: 1, ephemeralStorage: 20Gi}
        workingDir: /src
        timeout: 1h30m
        nodeSelector: {node_pool: big}
        sharedMemory: 1Gi
        initContainers: [{name: prepare, image: busybox, some_field: 1}]
        patch: {spec: {snake_case: {inner_key: 1}}}
        """
    )
    assert job.command == ("python", "count.py", "3")
    assert job.files == (".",)
    assert job.env == {"MY_KEY": "1", "TOKEN": SecretKey("hf", "my_token"), "C": ConfigMapKey("m", "k")}
    assert job.connections == ("faces", Use("ckpt", mount_path="/ckpt", sub_path="run-7", read_only=False, mode="copy"))
    assert job.resources == Resources(memory="8Gi", cpu="0.5", gpu="1", ephemeral_storage="20Gi")
    assert (job.working_dir, job.timeout, job.shared_memory) == ("/src", 5400.0, "1Gi")
    assert job.node_selector == {"node_pool": "big"}
    assert job.init_containers[0]["some_field"] == 1
    assert job.patch == {"spec": {"snake_case": {"inner_key": 1}}}


def test_no_outputs_is_said_with_null() -> None:
    """``outputs: null`` asks for none; leaving it out means the usual directory."""
    assert job_of("{name: a, image: b, outputs: null}").outputs is None
    assert job_of("{name: a, image: b}").outputs == "/launcher/outputs"
    assert job_of("{name: a, image: b, env: , connections: }") == job_of("{name: a, image: b}")


def test_one_of_many_needs_no_list() -> None:
    """A single connection, tag or key may be written without a list, and is never taken apart into letters."""
    assert job_of("{name: a, image: b, connections: faces}").connections == ("faces",)
    assert Job(name="a", image="b", connections="faces").connections == ("faces",)
    assert job_of("{name: a, image: b, connections: {name: faces, mode: copy}}").connections == (
        Use("faces", mode="copy"),
    )


def test_json_file(tmp_path: Path) -> None:
    """A job's file may be JSON, as any program writes it."""
    (tmp_path / "job.json").write_text(json.dumps({"name": "caf\u00e9 \U0001f600", "image": "b", "timeout": "2h"}))
    job = Job.load(tmp_path / "job.json")
    assert (job.name, job.timeout) == ("café \U0001f600", 7200.0)


def test_job_knows_its_folder(tmp_path: Path) -> None:
    """Relative files of a job's file start at its folder."""
    (tmp_path / "job.yaml").write_text("{name: a, image: b, files: code}")
    assert Job.load(tmp_path / "job.yaml").folder == tmp_path


MISTAKEN = """
nam: count
image: "a b"
command: python count.py
env: {A: true, T: {secrte: hf, key: token}, "a-b": x, LAUNCHER_X: "1"}
connections: [faces, {name: ckpt, mountPath: ckpt, subPath: ../a, mode: cpy, readOnly: maybe}]
resources: {memory: 8, cpu: half, gpus: 1, gpu: 1.5}
timeout: 1:30
outputs: ../x
labels: {podlauncher.dev/run: x, "bad key": x, ok: "a b"}
annotations: {note: {a: 1}}
imagePullPolicy: always
imagePullSecrets: [Bad]
sidecars: [{name: main}, {image: x}, {name: a}, {name: a}]
patch: [a]
"""


def test_every_mistake_of_a_job_at_once() -> None:
    """All that is wrong in a job's file is told at once, each with its exact path."""
    assert sorted(paths(job_of, MISTAKEN)) == sorted(
        [
            "nam",
            "name",
            "image",
            "command",
            "env.A",
            "env.T.secrte",
            "env.T.secret",
            "env.a-b",
            "env.LAUNCHER_X",
            "connections[1].mountPath",
            "connections[1].subPath",
            "connections[1].mode",
            "connections[1].readOnly",
            "resources.memory",
            "resources.cpu",
            "resources.gpus",
            "resources.gpu",
            "timeout",
            "outputs",
            "labels.podlauncher.dev/run",
            "labels.bad key",
            "labels.ok",
            "annotations.note",
            "imagePullPolicy",
            "imagePullSecrets[0]",
            "sidecars[0].name",
            "sidecars[1].name",
            "sidecars[3].name",
            "patch",
        ]
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{name: a, image: b, conections: [x]}", "did you mean 'connections'?"),
        ("{name: a, image: b, working_dir: /x}", "did you mean 'workingDir'?"),
        ("{name: a, image: b, connections: [{name: x, mode: copi}]}", "did you mean 'copy'?"),
        ("{name: a, image: b, env: {A: {secrt: x, key: y}}}", "did you mean 'secret'?"),
        ("{name: a, image: b, resources: {memory: 8}}", "8 means 8 bytes (8Gi?)"),
        ("{name: a, image: b, resources: {memory: 8192}}", "(512Mi?)"),
        ("{name: a, image: b, sharedMemory: 2}", "2Gi?"),
        ("{name: a, image: b, env: {DEBUG: yes, B: true}}", 'env.B: must be text, not true (quote it: "true")'),
        ("{name: a, image: b, env: {VERSION: 1.10}}", "env.VERSION: must be text"),
        ("{name: a, image: b, command: python x.py}", 'write ["python", "x.py"]'),
        ("{name: a, image: b, timeout: -1}", "timeout: -1"),
        ("{name: a, image: b, connections: [{name: x, subPath: /a}]}", "'a'?"),
    ],
)
def test_remedies(text: str, said: str) -> None:
    """A mistake that is often made comes with what was probably meant."""
    assert said in "\n".join(problems(job_of, text))


def test_settings_mistakes_at_once(tmp_path: Path) -> None:
    """All that is wrong in the settings' file is told at once, each with its exact path."""
    found = paths(
        settings_of,
        tmp_path,
        """
        artifactStore: {}
        clutser: auto
        cleanup: sometimes
        namespace: Jobs_1
        preflight: 1
        defaults: {command: [x], timeout: soon, gpu: 1, image: x}
        connections:
          - {name: a, kind: s3, schema: 5}
          - {name: a, kind: s3, secret: {nam: x}}
          - {kind: "", mode: copy, modes: [copy, fly], env: {a-b: x}}
        """,
    )
    assert sorted(found) == sorted(
        [
            "artifactStore",
            "clutser",
            "cleanup",
            "namespace",
            "preflight",
            "defaults.command",
            "defaults.image",
            "defaults.timeout",
            "defaults.gpu",
            "connections[0].schema",
            "connections[1].secret.nam",
            "connections[1].secret.name",
            "connections[2].name",
            "connections[2].kind",
            "connections[2].mode",
            "connections[2].modes[1]",
            "connections[2].env.a-b",
        ]
    )


def test_one_name_twice(tmp_path: Path) -> None:
    """Two connections of one name are refused, from a file and from Python alike."""
    text = "connections: [{name: a, kind: s3}, {name: b, kind: s3}, {name: a, kind: gcs}]"
    assert paths(settings_of, tmp_path, text) == ["connections[2].name"]


def test_store_listed_again(tmp_path: Path) -> None:
    """The store may be among the connections when its definition is the same, and only then."""
    store = "{name: st, kind: host_path, schema: {hostPath: /a}}"
    same = settings_of(tmp_path, f"artifactsStore: {store}\nconnections: [{store}]")
    assert same.names() == ["st"]
    other = "{name: st, kind: host_path, schema: {hostPath: /b}}"
    assert paths(settings_of, tmp_path, f"artifactsStore: {store}\nconnections: [{other}]") == ["connections[0]"]


def test_schema_mistakes_have_the_path_of_the_file(tmp_path: Path) -> None:
    """What a plugin finds wrong in a schema is told with its place in the file, for all connections at once."""
    settings = settings_of(
        tmp_path,
        """
        artifactsStore: {name: st, kind: host_path, schema: {hostPath: x}}
        connections:
          - {name: a, kind: s3, schema: {bukcet: "s3://bucket/"}}
          - {name: b, kind: volume_claim, schema: {volumeClaim: Nope, mountPath: data}}
          - {name: c, kind: gcs, schema: {bucket: "s3://bucket/"}, modes: [fly]}
        """.replace(", modes: [fly]", ""),
    )
    with pytest.raises(InvalidSpec) as caught:
        Catalog.of(settings, Registry.installed())
    assert sorted(problem.path for problem in caught.value.problems) == [
        "artifactsStore.schema.hostPath",
        "connections[0].schema.bucket",
        "connections[0].schema.bukcet",
        "connections[1].schema.mountPath",
        "connections[1].schema.volumeClaim",
        "connections[2].schema.bucket",
    ]


# Each is a whole file; what it must not do is in the name.
HOSTILE: dict[str, str | bytes] = {
    "list": "- a",
    "text": "hello",
    "number": "5",
    "unclosed": "name: [a",
    "tabs": "\t- a",
    "key twice": "name: a\nname: b\nimage: c",
    "key twice inside": "name: a\nimage: b\nenv: {A: x, A: y}",
    "python object": "name: !!python/object/apply:os.system [true]\nimage: b",
    "binary tag": "name: !!binary aGk=\nimage: b",
    "custom tag": "name: !thing a\nimage: b",
    "list as key": "? [a]\n: 1",
    "mapping as key": "? {a: 1}\n: 1",
    "nul": b"name: a\0b\nimage: c",
    "binary": bytes(range(256)),
    "utf-16": "name: a".encode("utf-16"),
    "latin-1": "name: café".encode("latin-1"),
    "two documents": "name: a\nimage: b\n---\nname: c\nimage: d",
    "deep": "[" * 50_000,
    "deep mapping": "a: " * 200,
    "deep but closed": "[" * 5000 + "]" * 5000,
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{b}: &{b} [*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a},*{a}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "merge bomb": "a: &a {x: 1}\n" + "".join(f"b{i}: &b{i} {{<<: [*a, *a]}}\n" for i in range(3)) + "c: {<<: [*b0, 5]}",
    "cycle": "name: a\nimage: b\npatch: &p {x: *p}",
    "cycle in a list": "name: a\nimage: b\ntolerations: &t [{x: *t}]",
    "unknown alias": "name: *nope",
    "large": b"name: a\nimage: b\nenv: {A: " + b"x" * 1_000_000 + b"}",
    "many digits": "name: a\nimage: b\ntimeout: " + "9" * 6000,
    "hex digits": "name: 0x" + "f" * 6000 + "\nimage: b",
    "emoji name": "name: " + "\U0001f600" * 300 + "\nimage: b",
    "control name": 'name: "a\\e[2Jb"\nimage: b',
    "nul in a command": 'name: a\nimage: b\ncommand: ["a\\0"]',
    "nul in a path": 'name: a\nimage: b\nfiles: ["a\\0"]',
    "lone surrogate": 'name: "\\ud800"\nimage: b',
    "infinite time": "name: a\nimage: b\ntimeout: .inf",
    "no time": "name: a\nimage: b\ntimeout: .nan",
    "empty": "",
    "null": "~",
    "comment": "# nothing",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_job_files(tmp_path: Path, what: str) -> None:
    """A file that isn't a job is refused in a sentence that names the file, whatever it holds."""
    content = HOSTILE[what]
    path = tmp_path / "job.yaml"
    path.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    with pytest.raises(InvalidSpec) as caught:
        Job.load(path)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("what", [what for what in HOSTILE if what not in ("empty", "null", "comment")])
def test_hostile_settings_files(tmp_path: Path, what: str) -> None:
    """A file that isn't settings is refused in the same way."""
    content = HOSTILE[what]
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    with pytest.raises(InvalidSpec):
        settings_of(tmp_path, data)


@pytest.mark.parametrize("content", ["", "~", "# nothing", "{}"])
def test_empty_settings_are_the_defaults(tmp_path: Path, content: str) -> None:
    """A file of settings that says nothing gives the defaults."""
    assert settings_of(tmp_path, content) == Settings()


@pytest.mark.parametrize("path", ["/nonexistent/launcher.yaml", "/", "a\0b", "/dev/null/x"])
def test_files_that_cannot_be_read(path: str) -> None:
    """A file that isn't there, a folder and a name that can't be one are refused alike."""
    for load in (Job.load, Settings.load):
        with pytest.raises(InvalidSpec, match="it can't be read"):
            load(path)


JOB_KEYS = [camel(field.name) for field in codec.written_fields(Job)] + ["secret", "key", "memory", "mountPath"]
SETTINGS_KEYS = [camel(field.name) for field in codec.written_fields(Settings)] + ["name", "kind", "schema"]


@hypothesis.settings(max_examples=150)
@hypothesis.given(strategies.wild_mapping(JOB_KEYS) | strategies.wild(JOB_KEYS))
def test_anything_at_all_as_a_job(raw: Any) -> None:
    """Whatever stands in a job's file, it is a job or an InvalidSpec."""
    try:
        job = codec.structure(raw, Job)
    except InvalidSpec as exc:
        assert str(exc)
        return
    assert codec.structure(codec.unstructure(job), Job) == job


@hypothesis.settings(max_examples=150)
@hypothesis.given(strategies.wild_mapping(SETTINGS_KEYS))
def test_anything_at_all_as_settings(raw: Any) -> None:
    """Whatever stands in the settings' file, they are settings or an InvalidSpec."""
    try:
        codec.structure(raw, Settings)
    except InvalidSpec as exc:
        assert str(exc)


READ_BACK = (RunRecord, History, SavedManifest, SaveReport, FetchReport, LocalState)


@pytest.mark.parametrize("cls", READ_BACK, ids=lambda cls: cls.__name__)
def test_anything_at_all_in_a_record(cls: type) -> None:
    """Whatever stands in a pod's annotation or in a store, it is a record or an InvalidSpec."""
    keys = [camel(field.name) for field in codec.written_fields(cls)]

    @hypothesis.settings(max_examples=60)
    @hypothesis.given(strategies.wild_mapping(keys))
    def read(raw: Any) -> None:
        try:
            codec.structure(raw, cls)
        except InvalidSpec as exc:
            assert str(exc)

    read()
