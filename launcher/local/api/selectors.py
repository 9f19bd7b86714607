"""Label and field selectors: text in, a ``Selector`` of objects out. Pure; bad text raises a 400
``StatusError``."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from launcher.local.api.names import label_value, qualified_name
from launcher.local.api.resources import Resource
from launcher.local.api.status import StatusError, bad_request

_SET = re.compile(r"(?P<key>[^\s,!=()<>]+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)")
_COMPARED = re.compile(r"(?P<key>[^\s,!=()<>]+)\s*(?P<op>==|!=|=|<|>)\s*(?P<value>[^\s,!=()<>]*)")
_EXISTS = re.compile(r"(?P<absent>!?)\s*(?P<key>[^\s,!=()<>]+)")
_FIELD = re.compile(r"(?P<key>[^=!,\\]+)(?P<op>==|!=|=)(?P<value>(?:\\.|[^\\,=])*)")

_LabelTest = Callable[[Mapping[str, str]], bool]


@attrs.frozen
class Selector:
    """What an object's labels and fields must be. A field's requirement is its place, its value, and whether it
    must be equal."""

    labels: list[_LabelTest]
    fields: list[tuple[int, str, bool]]

    def chooses(self, labels: Mapping[str, str], fields: tuple[str, ...]) -> bool:
        """Whether an object with these is chosen; ``fields`` in the order of ``field_paths``."""
        return all(test(labels) for test in self.labels) and all(
            (fields[place] == value) is equal for place, value, equal in self.fields
        )


def selector(resource: Resource, labels: str, fields: str) -> Selector | None:
    """The selector that both texts make together; None when both are empty and everything matches."""
    label_tests = [_label_test(part) for part in _split(labels)] if labels.strip() else []
    field_tests = [_field_test(resource, part) for part in _fields(fields)] if fields.strip() else []
    if not label_tests and not field_tests:
        return None
    return Selector(label_tests, field_tests)


@functools.cache
def field_paths(resource: Resource) -> dict[str, tuple[str, ...]]:
    """The fields of a kind that can be selected, and where each is found."""
    known = {"metadata.name": "metadata.name", **resource.fields}
    if resource.namespaced:
        known["metadata.namespace"] = "metadata.namespace"
    return {label: tuple(path.split(".")) for label, path in known.items()}


def _split(text: str) -> Iterator[str]:
    """Requirements, separated by commas outside parentheses."""
    depth, start = 0, 0
    for at, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            yield text[start:at].strip()
            start = at + 1
    yield text[start:].strip()


def _label_test(text: str) -> _LabelTest:
    if found := _SET.fullmatch(text):
        values = [value.strip() for value in found["values"].split(",")]
        return _membership(found["key"], values, wanted=found["op"] == "in")
    if found := _COMPARED.fullmatch(text):
        if found["op"] in "<>":
            return _ordering(found["key"], found["op"], found["value"])
        return _membership(found["key"], [found["value"]], wanted=found["op"] != "!=")
    if found := _EXISTS.fullmatch(text):
        key, present = _key(found["key"]), not found["absent"]
        return lambda labels: (key in labels) is present
    raise _unparsable(text, "expected: identifier, '!', 'in', 'notin', '=', '==', '!=', '<' or '>'")


def _membership(key: str, values: list[str], *, wanted: bool) -> _LabelTest:
    _key(key)
    for value in values:
        if problems := label_value(value):
            raise _unparsable(value, problems[0])
    allowed = frozenset(values)
    # An absent label is unequal to every value, so != and notin match it.
    return lambda labels: (labels[key] in allowed) is wanted if key in labels else not wanted


def _ordering(key: str, op: str, value: str) -> _LabelTest:
    _key(key)
    if not _integer(value):
        raise _unparsable(value, "for 'Gt', 'Lt' operators, the value must be an integer")
    limit, sign = int(value), 1 if op == ">" else -1

    def test(labels: Mapping[str, str]) -> bool:
        own = labels.get(key, "")
        return _integer(own) and (int(own) - limit) * sign > 0

    return test


def _integer(text: str) -> bool:
    # At most 18 digits, so that it is an int64 as in Kubernetes.
    return re.fullmatch(r"-?[0-9]{1,18}", text) is not None


def _key(key: str) -> str:
    if problems := qualified_name(key):
        raise _unparsable(key, problems[0])
    return key


def _unparsable(text: str, why: str) -> StatusError:
    return bad_request(f"unable to parse requirement: found {text[:100]!r}: {why}")


def _fields(text: str) -> Iterator[tuple[str, bool, str]]:
    """(label, whether it must be equal, value) of each requirement; a backslash escapes , = and itself."""
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        if found is None or (found.end() < len(text) and text[found.end()] != ","):
            raise bad_request(f"invalid selector: {text[:100]!r}; can't understand {text[at : at + 100]!r}")
        yield found["key"].strip(), found["op"] != "!=", re.sub(r"\\(.)", r"\1", found["value"])
        at = found.end() + 1


def _field_test(resource: Resource, requirement: tuple[str, bool, str]) -> tuple[int, str, bool]:
    label, equal, value = requirement
    known = list(field_paths(resource))
    if label not in known and not resource.fields:
        listed = ", ".join(json.dumps(name) for name in known)
        raise bad_request(f"{json.dumps(label[:100])} is not a known field selector: only {listed}")
    if label not in known:
        raise bad_request(f"field label not supported: {label[:100]}")
    return known.index(label), value, equal


def read_field(obj: Any, path: tuple[str, ...]) -> str:
    """The text at ``path``; empty when there is none."""
    for part in path:
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj if isinstance(obj, str) else ""
