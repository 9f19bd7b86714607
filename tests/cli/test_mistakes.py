"""What users get wrong: one message that names the place and the remedy, exit code 125, and never a traceback."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.cli.shell import Said, Shell

GOOD = "name: greet\nimage: x\ncommand: ['true']\n"

BUCKETS = """
connections:
  - {name: faces, kind: s4, schema: {bucket: "s3://b/"}}
  - {name: other, kind: s3, schema: {bukket: "s3://b/"}}
  - {name: third, kind: gcs, schema: {bucket: "s3://b/"}}
"""


def refused(said: Said, *texts: str) -> None:
    """The command ended with 125 and one message that holds all these texts; nothing was printed on stdout."""
    assert said.code == 125, said
    assert said.out == ""
    assert "Traceback" not in said.err
    for text in texts:
        assert text in said.err


@pytest.mark.parametrize(
    ("job", "texts"),
    [
        ("- a\n- b\n", ("must be a mapping, not a list",)),
        ("name: [\n", ("isn't valid YAML",)),
        ("name: a\nimage: x\ncomand: ['true']\n", ("comand: is unknown", "'command'")),
        ("image: x\n", ("name: is missing",)),
        (GOOD + "resources: {memory: 8}\n", ("resources.memory: 8 means 8 bytes", "8Gi?")),
        (GOOD + "resources: {cpu: lots}\n", ("resources.cpu", "500m")),
        (GOOD + "connections: [facse]\n", ("connections[0]: no connection 'facse'", "'faces'")),
        (GOOD + "connections: [{name: faces, subPath: ../up}]\n", ("connections[0].subPath", "'..'")),
        (GOOD + "connections: [{name: faces, readOnly: false}]\n", ("connections[0].readOnly", "read-only")),
        (GOOD + "connections: [gone]\n", ("connections[0]", "/nowhere/at/all", "isn't there")),
        (GOOD + "files: nosuch.py\n", ("files[0]", "nosuch.py")),
        (GOOD + "env: {TOKEN: {secret: nosuch, key: a}}\n", ("env.TOKEN", "no secret 'nosuch'")),
        (f"name: {'😀' * 300}\nimage: x\n", ("name: has 300 characters",)),
        (GOOD + "timeout: soon\nimagePullPolicy: Sometimes\n", ("2 problems", "timeout", "imagePullPolicy")),
    ],
)
def test_a_bad_job_is_refused_with_each_problems_place(launcher: Shell, job: str, texts: tuple[str, ...]) -> None:
    """Every problem of a job's file is said with its path and the nearest known word."""
    faces = f"{{name: faces, kind: host_path, schema: {{hostPath: {launcher.folder}, readOnly: true}}}}"
    gone = "{name: gone, kind: host_path, schema: {hostPath: /nowhere/at/all}}"
    launcher.write("launcher.yaml", f"connections: [{faces}, {gone}]\n")
    refused(launcher("run", launcher.write("job.yaml", job)), *texts)
    assert not list(Path(launcher.environment["XDG_DATA_HOME"]).rglob("run.json"))


def test_a_file_that_cant_be_read_is_named(launcher: Shell) -> None:
    """A missing file and a folder are both said by name and reason."""
    refused(launcher("run", "nosuch.yaml"), "nosuch.yaml", "No such file")
    refused(launcher("run", "."), "Is a directory")


def test_files_that_are_too_large_are_named_with_their_sizes(launcher: Shell) -> None:
    """More than 900 kB doesn't travel, and the largest file is named."""
    launcher.write("big.bin", "x" * 950_000)
    refused(launcher("run", "--image", "x", "--file", "big.bin", "--", "true"), "big.bin", "950,000")


def test_bad_settings_show_all_their_problems_at_once(launcher: Shell) -> None:
    """Unknown keys and malformed buckets of all connections are listed together, each with its path."""
    launcher.write("launcher.yaml", BUCKETS)
    refused(
        launcher("run", launcher.write("job.yaml", GOOD)),
        "in launcher.yaml",
        "connections[1].schema.bukket: is unknown (did you mean 'bucket'?)",
        "connections[2].schema.bucket",
    )


def test_an_unknown_kind_stops_only_the_jobs_that_need_it(launcher: Shell) -> None:
    """A connection whose plugin isn't installed is an error for its own jobs; the others go on."""
    launcher.write("launcher.yaml", 'connections: [{name: faces, kind: s4, schema: {bucket: "s3://b/"}}]\n')
    job = launcher.write("job.yaml", GOOD)
    assert launcher("run", job).code == 0
    refused(launcher("run", job, "-c", "faces"), "no plugin for the kind 's4'")


def test_two_plugins_for_one_kind_are_both_named(launcher: Shell) -> None:
    """A kind that two distributions claim can't be used, and both of them are named."""
    info = launcher.folder / "site" / "rival-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rival\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[launcher.backends]\nhost_path = rival:HostPath\n")
    launcher.write("launcher.yaml", "connections: [{name: faces, kind: host_path, schema: {hostPath: /tmp}}]\n")
    crowded = launcher.with_environment(PYTHONPATH=str(info.parent))
    said = crowded("run", "--image", "x", "-c", "faces", "--", "true")
    refused(said, "claimed by 2 plugins", "rival 1.0", "podlauncher")
    assert "rival 1.0" in crowded("admin", "backends").out


def test_a_plugin_that_cant_be_loaded_is_named_with_its_distribution(launcher: Shell) -> None:
    """A broken plugin shows its reason in the lists, where the others stand unharmed."""
    info = launcher.folder / "site" / "broken-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[launcher.backends]\nftp = nosuchmodule:FTP\n")
    crowded = launcher.with_environment(PYTHONPATH=str(info.parent))
    said = crowded("admin", "backends")
    assert said.code == 0
    assert "broken 2.0" in said.out
    assert "No module named 'nosuchmodule'" in said.out
    assert "launcher_backends.s3:S3" in said.out


def test_a_cluster_that_doesnt_answer_is_an_error(launcher: Shell) -> None:
    """A configured cluster that is gone is never replaced by the local one; the first line says which it is and why."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        launcher.write("kubeconfig", KUBECONFIG.format(port=held.getsockname()[1]))
        there = launcher.with_environment(LAUNCHER_CLUSTER="auto", KUBECONFIG=str(launcher.folder / "kubeconfig"))
        said = there("run", launcher.write("job.yaml", GOOD))
        refused(said, "no answer from context dead", "is the address right")
        assert said.err.startswith("cluster: context dead")
        asked = there("cluster")
    assert asked.code == 125
    assert "context dead" in asked.out
    assert "no answer" in asked.err


KUBECONFIG = """
current-context: dead
clusters: [{{name: dead, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: me, user: {{token: secret-token}}}}]
contexts: [{{name: dead, context: {{cluster: dead, user: me}}}}]
"""


def test_an_unknown_context_is_named_with_those_there_are(launcher: Shell) -> None:
    """`--cluster` with a context that the kubeconfig lacks lists those that it has."""
    launcher.write("kubeconfig", KUBECONFIG.format(port=1))
    there = launcher.with_environment(KUBECONFIG=str(launcher.folder / "kubeconfig"))
    refused(there("ps", "--cluster", "live"), "no context 'live'", "dead")


@pytest.mark.parametrize("command", ["logs", "outputs", "cancel"])
def test_a_run_that_nobody_knows_is_named(launcher: Shell, command: str) -> None:
    """Commands about a run that doesn't exist say where they looked."""
    refused(launcher(command, "nosuch-run"), "nosuch-run", "launcher ps")


def test_a_bad_namespace_on_the_command_line_is_refused(launcher: Shell) -> None:
    """What the command line says is checked as a file's words are."""
    refused(launcher("ps", "--namespace", "No Such"), "namespace", "can't be a namespace")


def test_messages_show_control_characters_instead_of_obeying_them(launcher: Shell) -> None:
    """A key that holds a terminal's escape sequence is spelled out, also in our own messages."""
    said = launcher("run", launcher.write("job.yaml", GOOD + '"a\\e[31mb": 1\n'))
    assert said.code == 125
    assert "\x1b" not in said.err
