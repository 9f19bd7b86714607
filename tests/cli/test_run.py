"""`launcher run` and `launcher render`: what goes where, and with which exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.cli.shell import Shell

JOB = """
name: greet
image: python:3.12-slim
command: [sh, -c, 'echo "hello $WHO"; echo "beside" >&2; echo left > "$LAUNCHER_OUTPUTS/left.txt"; exit $CODE']
env: {WHO: world, CODE: 0}
"""


def test_only_the_jobs_own_words_are_on_stdout(launcher: Shell) -> None:
    """stdout holds exactly what the job wrote; cluster, phases and where things are stand on stderr."""
    said = launcher("run", launcher.write("job.yaml", JOB))
    assert said.code == 0, said.err
    assert sorted(said.out.splitlines()) == ["beside", "hello world"]
    first, second, *rest = said.err.splitlines()
    assert first == "cluster: a local cluster in this process, namespace default (cluster: local)"
    assert "python:3.12-slim means nothing" in second
    assert [line.split()[0] for line in rest[1:5]] == ["scheduling", "mounting", "pulling", "running"]
    assert "1 file, 5 bytes: " in said.err
    outputs = Path(said.err.partition("1 file, 5 bytes: ")[2].splitlines()[0])
    assert (outputs / "left.txt").read_text() == "left\n"


def test_the_exit_code_is_the_jobs_own(launcher: Shell) -> None:
    """A job that ends with 3 makes the command end with 3, and stderr says why."""
    said = launcher("run", launcher.write("job.yaml", JOB), "--env", "CODE=3")
    assert said.code == 3
    assert "exit code 3" in said.err


def test_a_timeout_has_its_own_exit_code(launcher: Shell) -> None:
    """A job that outlives its timeout ends with 124, whatever it ends with itself."""
    shell = 'trap "exit 7" TERM; while :; do sleep 0.1; done'
    said = launcher("run", "--image", "x", "--timeout", "1", "--", "sh", "-c", shell)
    assert said.code == 124
    assert "timeout of 1 s" in said.err


def test_a_job_killed_by_a_signal_fails_with_its_code(launcher: Shell) -> None:
    """A job that is killed ends with 128 and the signal's number, as in a shell."""
    said = launcher("run", "--image", "x", "--", "sh", "-c", "sh -c 'kill -9 $$'; exit $?")
    assert said.code == 137


def test_json_is_all_that_stdout_holds(launcher: Shell) -> None:
    """With --json one object is on stdout, the same keys whatever happened, and the log is on stderr."""
    said = launcher("run", "--json", launcher.write("job.yaml", JOB), "--env", "CODE=4")
    assert said.code == 4
    result = json.loads(said.out)
    assert result["status"] == "failed"
    assert result["exit_code"] == 4
    assert result["diagnosis"]["code"] == "exit_code"
    assert [file["path"] for file in result["outputs"]["files"]] == ["left.txt"]
    assert Path(result["log_url"]).read_text().splitlines()
    assert {"run_id", "durations", "connections", "warnings"} <= set(result)
    assert "hello world" in said.err


def test_a_command_needs_no_file(launcher: Shell) -> None:
    """Image, command, environment, files and connections can all be said on the command line."""
    (launcher.folder / "data").mkdir()
    (launcher.folder / "data" / "in.txt").write_text("from the connection\n")
    launcher.write("script.sh", 'echo "$GREETING"; cat /data/in.txt; ls\n')
    launcher.write(
        "launcher.yaml",
        f"""
connections:
  - {{name: "odd:name", kind: host_path, schema: {{hostPath: {launcher.folder}/data, mountPath: /data}}}}
""",
    )
    words = ("--env", "GREETING=a=b", "--file", "script.sh", "--connection", "odd:name:ro")
    said = launcher("run", "--image", "busybox", *words, "--", "sh", "script.sh")
    assert said.code == 0, said.err
    assert said.out == "a=b\nfrom the connection\nscript.sh\n"


def test_words_after_two_hyphens_are_the_command(launcher: Shell) -> None:
    """What follows -- belongs to the job, even when it looks like an option of ours."""
    said = launcher("run", "--image", "x", "--", "echo", "--help", "--json", "-c")
    assert said.out == "--help --json -c\n"


def test_the_command_line_goes_over_the_file(launcher: Shell) -> None:
    """With a file, options replace what it says, and add to its environment and resources."""
    job = launcher.write("job.yaml", JOB + "resources: {cpu: 1}\n")
    said = launcher("render", job, "--env", "WHO=you", "--name", "other", "--memory", "64Mi")
    pod = next(item for item in yaml.safe_load_all(said.out) if item["kind"] == "Pod")
    main = pod["spec"]["containers"][0]
    assert pod["metadata"]["name"].startswith("other-")
    assert {"name": "WHO", "value": "you"} in main["env"]
    assert {"name": "CODE", "value": "0"} in main["env"]
    assert main["resources"]["limits"] == {"cpu": "1", "memory": "64Mi"}


def test_render_asks_no_cluster_and_says_so(launcher: Shell) -> None:
    """A manifest is printed although the configured cluster doesn't exist."""
    nowhere = launcher.with_environment(LAUNCHER_CLUSTER="nowhere")
    said = nowhere("render", launcher.write("job.yaml", JOB))
    assert said.code == 0
    assert "nothing was looked up" in said.err
    assert {item["kind"] for item in yaml.safe_load_all(said.out)} == {"Pod"}


def test_detach_is_refused_where_the_run_would_end_with_us(launcher: Shell) -> None:
    """On a cluster inside the process --detach names what to do instead, and starts nothing."""
    said = launcher("run", "--detach", launcher.write("job.yaml", JOB))
    assert said.code == 125
    assert "launcher cluster start" in said.err
    assert said.out == ""


def test_a_run_goes_on_when_nobody_reads_its_log(launcher: Shell) -> None:
    """A reader that leaves early (`| head -1`) ends the copy of the log, and neither the run nor its exit code."""
    job = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; done; exit 6'
    with launcher.started("run", "--image", "x", "--", "sh", "-c", job) as running:
        assert running.process.stdout is not None
        assert running.process.stdout.readline() == "line 1\n"
        running.process.stdout.close()
        running.until("nobody reads")
        running.until("exit code 6")
        assert running.process.wait(30) == 6
        assert "Traceback" not in running.err


def test_a_reader_may_take_its_time(launcher: Shell) -> None:
    """A log larger than any pipe arrives whole, also when its reader begins late."""
    with launcher.started("run", "--image", "x", "--", "seq", "60000") as running:
        running.until("pulling")
        said = running.end()
    assert said.code == 0
    assert said.out.splitlines() == [str(number) for number in range(1, 60001)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "one job's file is wanted"),
        (("a.yaml", "b.yaml"), "2 words given"),
        (("--image", "x", "job.yaml"), "job.yaml"),
        (("--image", "x", "--env", "A", "--", "true"), "--env A=VALUE"),
        (("job.yaml", "--nosuch"), "Unknown option"),
        (("job.yaml", "--json", "--detach"), "--json"),
    ],
)
def test_wrong_usage_ends_with_2(launcher: Shell, words: tuple[str, ...], says: str) -> None:
    """Words that don't fit together are named, with exit code 2 and nothing started."""
    launcher.write("job.yaml", JOB)
    said = launcher("run", *words)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err
