"""JSON Schemas say of a file what the loader says of it, as far as a schema can."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from launcher import codec, schemas
from launcher.fields import camel
from launcher.job import Job, Resources, Use
from launcher.registry import Registry
from launcher.settings import Settings


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return schemas.settings_schema(Registry.installed())


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """What a reference leads to."""
    while "$ref" in schema:
        schema = root["definitions"][schema["$ref"].rpartition("/")[2]]
    return schema


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [ref for item in value.values() for ref in references(item)]
    return [ref for item in value for ref in references(item)] if isinstance(value, list) else []


@pytest.mark.parametrize("cls", [Job, Settings])
def test_every_field_of_a_file_is_known_and_no_other(cls: type, settings: dict[str, Any]) -> None:
    """The keys are those that the loader takes, and only what it asks for is required."""
    schema = schemas.job_schema() if cls is Job else settings
    written = codec.written_fields(cls)
    assert set(schema["properties"]) == {camel(field.name) for field in written}
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {f.name for f in written if f.default is attrs.NOTHING}


def test_all_references_lead_somewhere(settings: dict[str, Any]) -> None:
    """A schema is whole in itself."""
    for schema in (schemas.job_schema(), settings):
        assert {ref.rpartition("/")[2] for ref in references(schema)} == set(schema["definitions"])


def test_types_are_those_that_the_loader_takes() -> None:
    """Text may be a whole number, an amount any number; a command is a list; one use needs no brackets."""
    job = schemas.job_schema()
    properties = job["properties"]
    assert properties["name"]["type"] == ["string", "integer"]
    assert properties["command"]["type"] == ["array", "null"]
    assert properties["timeout"]["type"] == ["string", "number", "null"]
    assert properties["outputs"]["type"] == ["string", "integer", "null"]
    assert properties["imagePullPolicy"]["enum"] == ["Always", "IfNotPresent", "Never", None]
    one, many, nothing = properties["connections"]["anyOf"][0], properties["connections"]["anyOf"][1], {"type": "null"}
    assert [resolved(item, job)["type"] for item in one["anyOf"]] == [["string", "integer"], "object"]
    assert many == {"type": "array", "items": one}
    assert nothing in properties["connections"]["anyOf"]
    use = resolved(one["anyOf"][1], job)
    assert set(use["properties"]) == {camel(field.name) for field in codec.written_fields(Use)}
    assert use["properties"]["mode"]["enum"] == ["mount", "copy", "stream", None]
    assert set(job["definitions"]["Resources"]["properties"]) == {
        camel(f.name) for f in codec.written_fields(Resources)
    }


def test_a_connections_schema_is_that_of_its_kind(settings: dict[str, Any]) -> None:
    """Each installed kind brings its own fields, found by the kind that stands beside them."""
    connection = settings["definitions"]["Connection"]
    assert connection["properties"]["kind"]["enum"] == Registry.installed().kinds()
    kinds = {rule["if"]["properties"]["kind"]["const"]: rule["then"] for rule in connection["allOf"]}
    bucket = kinds["s3"]["properties"]["schema"]
    assert bucket["required"] == ["bucket"]
    assert bucket["additionalProperties"] is False
    assert {"endpointUrl", "mountPath", "readOnly", "region", "volumeClaim"} < set(bucket["properties"])
    assert kinds["s3"]["required"] == ["schema"]
    assert "hostPath" in kinds["host_path"]["properties"]["schema"]["required"]


def test_defaults_of_a_team_need_nothing(settings: dict[str, Any]) -> None:
    """What holds for all jobs has the fields of a job, and none of them must be there."""
    defaults = settings["properties"]["defaults"]
    assert "timeout" in defaults["properties"]
    assert "required" not in defaults
