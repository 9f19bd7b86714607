"""The local cluster in the background: several shells meet there, and it ends without a trace."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import stat
import subprocess
from pathlib import Path

import yaml

from tests.cli.shell import COMMAND, Shell, eventually, processes


def state_of(launcher: Shell) -> Path:
    return Path(launcher.environment["XDG_STATE_HOME"]) / "podlauncher"


def test_a_run_in_one_shell_is_followed_in_another(background: Shell) -> None:
    """Started and left here, followed there, its outputs fetched and its pod gone; the store remembers it."""
    job = "echo one; while [ ! -e /gate/open ]; do sleep 0.05; done; echo two; echo made > $LAUNCHER_OUTPUTS/it.txt"
    gate = f"{{name: gate, kind: host_path, schema: {{hostPath: {background.folder}, mountPath: /gate}}}}"
    background.write("launcher.yaml", f"connections: [{gate}]\n")
    words = ("run", "--detach", "--run-id", "meet-1", "--image", "x", "-c", "gate:ro", "--", "sh", "-c", job)
    started = background(*words)
    assert (started.code, started.out) == (0, "meet-1\n")
    with background.started("logs", "-f", "meet-1") as following:
        assert following.process.stdout is not None
        assert following.process.stdout.readline() == "one\n"
        assert "meet-1  x    running" in background("ps").out
        assert background("logs", "meet-1").out == "one\n"
        early = background("outputs", "meet-1")
        assert early.code == 125
        assert "is running" in early.err
        background.write("open", "")
        followed = following.end()
    assert followed.out == "two\n"
    assert "run meet-1: succeeded" in followed.err
    assert background("ps", "--json").out == "[]\n"
    listed = json.loads(background("outputs", "meet-1", "--json").out)
    assert [(file["path"], file["bytes"]) for file in listed["files"]] == [("it.txt", 5)]
    assert background("outputs", "meet-1", "--download", "here").code == 0
    assert (background.folder / "here" / "it.txt").read_text() == "made\n"
    assert background("logs", "meet-1").out == "one\ntwo\n"
    past = json.loads(background("ps", "--all", "--json").out)
    assert [(row["run"], row["status"]) for row in past] == [("meet-1", "succeeded")]


def test_cancel_ends_a_run_of_another_shell(background: Shell) -> None:
    """A run that somebody left is ended by its id, and following it tells so."""
    shell = 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done'
    background("run", "--detach", "--run-id", "long-1", "--image", "x", "--", "sh", "-c", shell)
    with background.started("logs", "-f", "long-1") as following:
        assert following.process.stdout is not None
        assert following.process.stdout.readline() == "up\n"
        said = background("cancel", "long-1")
        assert said.code == 0
        assert "run long-1: cancelled" in said.err
        assert following.end().code == 0
    again = background("cancel", "long-1")
    assert again.code == 0
    assert "has ended already" in again.err


def test_it_is_started_once_and_private(background: Shell) -> None:
    """A second start finds the first; its state, its log and a kubeconfig in a file are their owner's alone."""
    again = background("cluster", "start")
    assert again.code == 0
    assert "already" in again.err
    other = background("cluster", "start", "--state", "other")
    assert "--state counts for the next one" in other.err
    assert not (background.folder / "other").exists()
    for private in state_of(background).glob("cluster.*"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o600
    said = background("cluster")
    assert said.out.startswith("the local cluster, namespace default")
    assert "it answers" in said.out
    target = background.folder / "kubeconfig"
    with target.open("w") as file:
        target.chmod(0o644)
        words = [*COMMAND, "cluster", "--kubeconfig"]
        subprocess.run(words, cwd=background.folder, env=background.environment, stdout=file, check=True)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    reached = background.with_environment(LAUNCHER_CLUSTER="auto", KUBECONFIG=str(target))
    assert "context podlauncher-local" in reached("cluster").out
    server = yaml.safe_load(target.read_text())["clusters"][0]["cluster"]["server"]
    token = server.partition("launcher:")[2].partition("@")[0]
    assert token
    assert token not in again.err + said.out + said.err


def test_stop_ends_everything_that_runs_on_it(background: Shell) -> None:
    """After stop no process of any pod is left, no state, no data; a second stop has nothing to do."""
    mark = secrets.token_hex(8)
    shell = 'trap "" TERM; while :; do sleep 0.1; done'
    background("run", "--detach", "--image", "x", "--", "sh", "-c", shell, mark)
    assert eventually(lambda: bool(processes(mark)))
    stopped = background("cluster", "stop")
    assert stopped.code == 0
    assert "has ended" in stopped.err
    assert not processes(mark)
    assert not (state_of(background) / "cluster.json").exists()
    assert not (state_of(background) / "local").exists()
    assert "no local cluster runs" in background("cluster", "stop").err


def test_a_cluster_that_was_killed_is_not_taken_for_running(background: Shell) -> None:
    """Its state file is left behind; the number in it may be another process by now, which is never signalled."""
    file = state_of(background) / "cluster.json"
    state = json.loads(file.read_text())
    os.kill(state["pid"], signal.SIGKILL)
    assert eventually(lambda: "in this process" in background("cluster").out)
    file.write_text(json.dumps({**state, "pid": os.getpid()}))
    assert "no local cluster runs" in background("cluster", "stop").err
    assert background("cluster", "start").code == 0
    assert "it answers" in background("cluster").out


def test_a_state_folder_survives_the_clusters_death(launcher: Shell) -> None:
    """Killed in the middle and started again with its folder, it has its objects, and an old kubeconfig is right."""
    launcher.write("objects.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {word: sesame}\n")
    launcher.write("launcher.yaml", "localObjects: objects.yaml\n")
    job = "name: a\nimage: x\ncommand: [sh, -c, 'echo $WORD']\nenv: {WORD: {secret: s, key: word}}\n"
    begin = ("cluster", "start", "--state", "kept")
    try:
        assert launcher(*begin).code == 0
        kubeconfig = launcher("cluster", "--kubeconfig").out
        os.kill(json.loads((state_of(launcher) / "cluster.json").read_text())["pid"], signal.SIGKILL)
        assert eventually(lambda: "in this process" in launcher("cluster").out)
        launcher.write("launcher.yaml", "{}\n")
        again = launcher(*begin)
        assert again.code == 0, again.err
        assert launcher("cluster", "--kubeconfig").out == kubeconfig
        said = launcher("run", launcher.write("job.yaml", job))
        assert said.out == "sesame\n", said.err
    finally:
        launcher("cluster", "stop")
    assert stat.S_IMODE((launcher.folder / "kept").stat().st_mode) == 0o700


def test_a_folder_of_something_else_is_no_state_folder(launcher: Shell) -> None:
    """It is left as it is, and the message names it and what to do."""
    launcher.write("precious.txt", "mine")
    said = launcher("cluster", "start", "--state", ".")
    assert said.code == 125
    assert "holds other files" in said.err
    assert "Traceback" not in said.err
    assert [file.name for file in launcher.folder.iterdir()] == ["precious.txt"]


def test_a_start_that_fails_shows_why(launcher: Shell) -> None:
    """A port that is taken is named, from the log of the process that couldn't start; nothing is left running."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = launcher("cluster", "start", "--port", str(taken.getsockname()[1]))
    assert said.code == 125
    assert "didn't start" in said.err
    assert "address already in use" in said.err
    assert "Traceback" not in said.err
    assert "no local cluster runs" in launcher("cluster", "stop").err


def test_it_begins_with_the_objects_and_the_namespace_of_the_settings(launcher: Shell) -> None:
    """localObjects are there from the start, so that a job can name a secret of theirs."""
    launcher.write(
        "objects.yaml",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: pass, namespace: team}\nstringData: {word: sesame}\n",
    )
    launcher.write("launcher.yaml", "namespace: team\nlocalObjects: objects.yaml\n")
    job = "name: a\nimage: x\ncommand: [sh, -c, 'echo $WORD']\nenv: {WORD: {secret: pass, key: word}}\n"
    try:
        started = launcher("cluster", "start")
        assert started.code == 0, started.err
        said = launcher("run", launcher.write("job.yaml", job))
        assert said.out == "sesame\n", said.err
    finally:
        launcher("cluster", "stop")


def test_without_one_a_kubeconfig_is_refused(launcher: Shell) -> None:
    """There is nothing to print a kubeconfig for, and the message says how there would be."""
    said = launcher("cluster", "--kubeconfig")
    assert said.code == 125
    assert "launcher cluster start" in said.err
