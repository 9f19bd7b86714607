"""What loads also dumps, and what was dumped loads again as the same value."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import attrs
import hypothesis
import pytest

from launcher import Connection, Job, Resources, Settings, Use, codec, yamltext
from launcher.fields import camel
from launcher.record import History, RunRecord, SavedFile, SavedManifest, StoreRecord, UseRecord, dumps, loads
from tests import strategies


def _through_yaml(value: Any) -> Any:
    return codec.structure(yamltext.parse(codec.to_yaml(value)), type(value))


def _through_json(value: Any) -> Any:
    return codec.structure(json.loads(json.dumps(codec.unstructure(value))), type(value))


@hypothesis.given(strategies.jobs)
def test_job_through_a_yaml_file(job: Job) -> None:
    """A job written as YAML loads from its file as an equal job."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "job.yaml")
        path.write_text(job.to_yaml(), encoding="utf-8")
        assert Job.load(path) == job


@hypothesis.given(strategies.settings)
def test_settings_through_a_yaml_file(settings: Settings) -> None:
    """Settings written as YAML load from their file as equal settings."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "launcher.yaml")
        path.write_text(settings.to_yaml(), encoding="utf-8")
        assert Settings.load(path) == settings


@hypothesis.given(strategies.jobs | strategies.settings)
def test_json_is_as_good_as_yaml(value: Job | Settings) -> None:
    """What is dumped as plain data survives JSON, and the YAML reader reads that JSON the same."""
    data = codec.unstructure(value)
    assert _through_json(value) == value
    assert codec.structure(yamltext.parse(json.dumps(data)), type(value)) == value


@hypothesis.given(strategies.connections | strategies.uses | strategies.resources)
def test_parts_round_trip(value: Connection | Use | Resources) -> None:
    """Connections, uses and resources alone survive YAML too."""
    assert _through_yaml(value) == value


@hypothesis.given(strategies.jobs)
def test_dumping_says_only_what_was_said(job: Job) -> None:
    """Fields at their defaults aren't written, so that a dumped job stays readable."""
    written = set(codec.unstructure(job))
    at_default = {
        camel(field.name) for field in codec.written_fields(Job) if getattr(job, field.name) == codec.default_of(field)
    }
    assert not written & at_default
    assert "folder" not in written


@pytest.mark.parametrize("text", strategies.ODD_TEXTS)
def test_odd_texts_survive_yaml(text: str) -> None:
    """A word that some YAML reader takes for a number, a date or a switch stays the text that it was."""
    job = Job(name="a", image="b", command=[text], annotations={"note": text})
    assert _through_yaml(job) == job


records = RunRecord(
    run="count-1",
    job="count",
    spec="ab",
    image="python",
    timeout=2.5,
    saved_by="save",
    store=StoreRecord(name="s", kind="s3", schema={"bucket": "s3://b/"}, secret="x", url="s3://b/count-1"),
    uses=[UseRecord(name="faces", kind="s3", mode="copy", writable=True, version="v3")],
)


@pytest.mark.parametrize(
    "value",
    [
        records,
        History(record=records, durations={"running": 1.5}, exit_code=0, files_out=3),
        SavedManifest(run="count-1", complete=True, files=[SavedFile(path="a b/ü.csv", bytes=3, sha256="0" * 64)]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_records_round_trip(value: Any) -> None:
    """What outlives a run reads back as the same value."""
    assert loads(dumps(value), type(value)) == value
    assert loads(dumps(value).encode(), type(value)) == value


@pytest.mark.parametrize("name", ["a\x7f", "a\x85b", "a\nb", "a\tb", "\x01", "a\\b", '"', "日本\U0001f600", "\ufffe"])
def test_manifest_holds_any_file_name(name: str) -> None:
    """An output may have any name that a file can have, and the manifest still reads back."""
    manifest = SavedManifest(run="r", complete=True, files=[SavedFile(path=name, bytes=1)])
    assert loads(dumps(manifest), SavedManifest) == manifest


def test_manifest_of_many_files() -> None:
    """A run that leaves thirty thousand files leaves a manifest that can be read."""
    files = [SavedFile(path=f"part-{i}.csv", bytes=i, sha256="0" * 64) for i in range(30_000)]
    manifest = SavedManifest(run="r", complete=True, files=files)
    assert len(loads(dumps(manifest), SavedManifest).files) == 30_000


def test_values_are_frozen() -> None:
    """Neither a value nor a mapping in it can be changed after it was made."""
    env = {"A": "1"}
    job = Job(name="a", image="b", env=env)
    env["A"] = "2"
    assert job.env["A"] == "1"
    with pytest.raises(TypeError):
        job.env["A"] = "3"  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        job.name = "c"  # type: ignore[misc]
