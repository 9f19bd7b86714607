"""YAML text to plain data and back, safely: bounded in size, depth and aliases; plain data only; no surprises.

Reads YAML 1.2's plain values: ``yes`` and ``on`` stay text, and so do dates and ``1:30``. A key that is there
twice is an error, since the earlier one would be lost in silence. JSON is YAML, so both are read by one reader.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from launcher.errors import InvalidSpec, Problem

# Bytes of a YAML or JSON file, the same limit as for the files of a job. A job has some hundred lines.
FILE_LIMIT = 900_000

# Nodes once aliases are followed: what 900 kB of short lines could hold without any.
NODE_LIMIT = 200_000

# Levels of nesting: a pod with affinity has about 12, and the parser's own stack ends near 1,000.
DEPTH_LIMIT = 100

# Digits of a number: more than any count here needs, and fewer than Python refuses to print.
DIGITS = 100

# Characters that only escapes keep: controls, and what YAML takes for a line's end.
_ODD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]")


def read(path: Path) -> Any:
    """The plain data of a YAML or JSON file. Raises ``InvalidSpec`` when it can't be read or isn't YAML."""
    return parse(_bytes(path), str(path))


def read_all(path: Path) -> list[Any]:
    """The documents of a YAML file that holds several, as Kubernetes' own files do. Raises ``InvalidSpec``."""
    documents: list[Any] = _loaded(_bytes(path), str(path), _all_documents)
    return documents


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
        raise InvalidSpec([Problem("", f"it can't be read: {reason}")], str(path)) from exc
    if len(data) > FILE_LIMIT:
        raise InvalidSpec([Problem("", f"it is larger than {FILE_LIMIT // 1000} kB")], str(path))
    return data


def parse(data: str | bytes, source: str = "") -> Any:
    """The plain data of YAML or JSON text. Raises ``InvalidSpec``."""
    return _loaded(data, source, _json_or_yaml)


def _json_or_yaml(text: str) -> Any:
    # JSON first: it escapes what lies beyond U+FFFF in a way that YAML doesn't read.
    if text.lstrip()[:1] in ("{", "["):
        with suppress(json.JSONDecodeError):
            return json.loads(text, object_pairs_hook=_pairs, parse_int=_json_int)
    _bound(text)
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader, made stricter


def _all_documents(text: str) -> list[Any]:
    _bound(text)
    return [item for item in yaml.load_all(text, _Loader) if item]


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice")
    return found


def _json_int(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _loaded(data: str | bytes, source: str, load: Callable[[str], Any]) -> Any:
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return load(text)
    except UnicodeDecodeError as exc:
        raise InvalidSpec([Problem("", f"it isn't UTF-8 text (byte {exc.start})")], source) from exc
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise InvalidSpec([Problem("", f"it isn't valid YAML: {_reason(exc)}")], source) from exc


def dump(value: Any) -> str:
    """Plain data as YAML, in the given order, readable by ``parse``."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def _bound(text: str) -> None:
    depth = nodes = 0
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    for event in yaml.parse(text, yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"the alias *{event.anchor} stands inside what it names")
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            open_anchors.append((event.anchor, nodes))
            nodes += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
            anchor, before = open_anchors.pop()
            if anchor:
                sizes[anchor] = nodes - before
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        if depth > DEPTH_LIMIT or nodes > NODE_LIMIT:
            raise ValueError(f"it nests deeper than {DEPTH_LIMIT} levels or unfolds to over {NODE_LIMIT} values")


def _reason(exc: Exception) -> str:
    if isinstance(exc, yaml.MarkedYAMLError) and exc.problem_mark is not None:
        mark = exc.problem_mark
        return f"{exc.problem} (line {mark.line + 1}, column {mark.column + 1})"
    return " ".join(str(exc).split())


class _Loader(yaml.CSafeLoader):
    """A SafeLoader that knows YAML 1.2's plain values and refuses a key that is there twice."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable) or key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} is there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """A SafeDumper whose lists stand under their key, without aliases, whose text survives any YAML reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None
    if _ODD.search(value):
        style = '"'
    elif "\n" in value and value.isascii():
        style = "|"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)

_PLAIN = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+", "-+0123456789"),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "merge": (r"<<", "<"),
}
for _tag, (_pattern, _first) in _PLAIN.items():
    # The dumper has them beside its own of YAML 1.1, so that what it writes plainly is text to both.
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}",
            re.compile(f"^(?:{_pattern})$"),
            ["" if ch == "\0" else ch for ch in _first],
        )


def _int(loader: _Loader, node: yaml.ScalarNode) -> int:
    # PyYAML would read 010 as octal and 1_000 as 1000; YAML 1.2 reads ten and text.
    text = loader.construct_scalar(node)
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if len(digits) > DIGITS:
        raise ValueError(f"it holds a number of {len(digits)} digits")
    base = {"0x": 16, "0o": 8}.get(digits[:2], 10)
    return sign * int(digits[2:] if base != 10 else digits, base)


def _float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _int)
_Loader.add_constructor("tag:yaml.org,2002:float", _float)
