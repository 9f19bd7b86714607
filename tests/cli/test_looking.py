"""Commands that only look: connections, backends, schemas, help; and `launcher init`."""

from __future__ import annotations

import json
from importlib.metadata import version

from tests.cli.shell import Shell

SETTINGS = """
artifactsStore: {name: results, kind: host_path, schema: {hostPath: /tmp/results}}
connections:
  - name: "faces [bold]😀"
    kind: host_path
    version: v3
    description: "two\\nlines"
    schema: {hostPath: /data, readOnly: true}
  - {name: images, kind: s3, schema: {bucket: "s3://bucket/p"}, secret: {name: keys}, modes: [copy, stream]}
  - {name: odd, kind: nosuch, schema: {a: 1}}
"""


def test_connections_are_listed_each_on_its_line(launcher: Shell) -> None:
    """Odd names break no table, nothing in them is markup, and one that can't be used says why."""
    launcher.write("launcher.yaml", SETTINGS)
    said = launcher("connections", "ls")
    assert said.code == 0
    head, *rows = said.out.splitlines()
    assert head.split() == ["NAME", "KIND", "MODES", "READ", "ONLY", "VERSION", "DESCRIPTION"]
    assert [row.split("  ")[0] for row in rows] == ["faces [bold]😀", "images", "odd", "results"]
    assert rows[0].endswith("two\\nlines")
    assert "odd can't be used: no plugin for the kind 'nosuch'" in said.err
    listed = json.loads(launcher("connections", "ls", "--json").out)
    assert [(row["name"], row["modes"], row["read_only"]) for row in listed] == [
        ("faces [bold]😀", ["mount"], True),
        ("images", ["copy", "stream"], False),
        ("odd", [], None),
        ("results", ["mount"], False),
    ]


def test_one_connection_is_shown_whole(launcher: Shell) -> None:
    """All that its file says is shown; a name that isn't there gets the nearest one."""
    launcher.write("launcher.yaml", SETTINGS)
    shown = json.loads(launcher("connections", "show", "images", "--json").out)
    assert shown["schema"] == {"bucket": "s3://bucket/p"}
    assert shown["secret"] == {"name": "keys"}
    assert "artifactsStore: true" in launcher("connections", "show", "results").out
    wrong = launcher("connections", "show", "image")
    assert wrong.code == 125
    assert "did you mean 'images'?" in wrong.err


def test_init_writes_settings_that_load_and_keeps_what_is_there(launcher: Shell) -> None:
    """The file loads as it stands, and once more when every example in it is made real; it is never overwritten."""
    assert launcher("init").code == 0
    assert launcher("connections", "ls").code == 0
    file = launcher.folder / "launcher.yaml"
    lines = file.read_text().splitlines()
    real = [line.removeprefix("# ") if _is_example(line) else line for line in lines]
    file.write_text("\n".join(real))
    listed = launcher("connections", "ls", "--json")
    assert listed.code == 0, listed.err
    assert [row["kind"] for row in json.loads(listed.out)] == ["host_path", "volume_claim", "s3", "gcs", "wasb", "s3"]
    refused = launcher("init")
    assert refused.code == 125
    assert "--force" in refused.err
    assert file.read_text() == "\n".join(real)
    assert launcher("init", "--force").code == 0
    assert file.read_text().splitlines() == lines
    (launcher.folder / "sub").mkdir()
    assert launcher("init", "sub").code == 0
    assert (launcher.folder / "sub" / "launcher.yaml").exists()


def _is_example(line: str) -> bool:
    # An image's name in the template ends with "…", which stands for a digest.
    return line.startswith(("# - ", "#   ", "# artifactsStore", "# namespace", "# cleanup", "# defaults"))


def test_backends_are_listed_with_where_they_come_from(launcher: Shell) -> None:
    """The five built-in kinds are found as anybody's are, each with its distribution, class and modes."""
    rows = {row["kind"]: row for row in json.loads(launcher("admin", "backends", "--json").out)}
    assert set(rows) >= {"gcs", "host_path", "s3", "volume_claim", "wasb"}
    assert rows["s3"]["plugin"] == f"podlauncher {version('podlauncher')}, launcher_backends.s3:S3"
    assert rows["s3"]["modes"] == ["copy", "mount", "stream"]


def test_version_and_help_say_what_there_is(launcher: Shell) -> None:
    """--version is the distribution's; help names every command, and each command has help of its own."""
    assert launcher("--version").out.strip() == version("podlauncher")
    said = launcher("--help")
    assert said.code == 0
    commands = ["run", "render", "ps", "logs", "outputs", "cancel", "init", "connections", "cluster", "admin"]
    assert [line.split(":")[0].strip() for line in said.out.splitlines() if line.startswith("  ")][:10] == commands
    assert "--connection" in launcher("run", "--help").out
    assert "start" in launcher("cluster", "--help").out
    assert launcher("lgos").err.startswith('launcher: Unknown command "lgos". Did you mean "logs"?')


def test_a_schema_is_printed_for_jobs_and_for_settings(launcher: Shell) -> None:
    """Both are JSON Schemas that an editor can load."""
    assert json.loads(launcher("admin", "schema").out)["title"] == "Job"
    assert json.loads(launcher("admin", "schema", "settings").out)["title"] == "Settings"


def test_piped_output_is_plain(launcher: Shell) -> None:
    """Into a pipe goes no colour and no cursor movement, whatever the terminal could."""
    colourful = launcher.with_environment(TERM="xterm-256color", COLORTERM="truecolor")
    colourful.write("launcher.yaml", SETTINGS)
    for words in (("connections", "ls"), ("--help",), ("run", "--image", "x", "--", "true"), ("nosuch",)):
        said = colourful(*words)
        assert "\x1b" not in said.out + said.err
