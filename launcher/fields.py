"""Checks of single fields: what a job or the settings may say, one small rule a function. Pure.

A check is attached to its field (``attrs.field(metadata=checked(...))``) and run by the codec on every value,
whether it came from YAML or from Python; it yields problems whose path is relative to the field.
"""

from __future__ import annotations

import json
import posixpath
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import attrs

from launcher.errors import Problem
from launcher.names import is_run_id
from launcher.quantity import parse_quantity

Check = Callable[[Any], Iterable[Problem]]

CHECK = "launcher.check"

# Marks a field that takes text and numbers alike; its own converter and checks sort them out.
AS_WRITTEN = "launcher.as_written"

# Characters of a name: Kubernetes' own limit for most names. Raw names are kept in annotations.
NAME_LIMIT = 253

# Less memory than this many bytes is a unit that was forgotten: no process starts in 4 MiB.
SMALLEST_MEMORY = 4 * 1024 * 1024

# Kubernetes counts in units of a billionth at the finest.
SMALLEST = Decimal("1e-9")

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def checked(*checks: Check) -> dict[str, Any]:
    """Field metadata that carries checks."""
    return {CHECK: checks}


def amount(*checks: Check) -> dict[str, Any]:
    """Field metadata for what a plain text or number may stand for: the field's converter makes the best of it."""
    return {CHECK: checks, AS_WRITTEN: True}


def field_problems(field: attrs.Attribute[Any], value: Any) -> Iterator[Problem]:
    """What one field's own checks find; paths are relative to the field."""
    if value is not None:
        for check in field.metadata.get(CHECK, ()):
            yield from check(value)


def camel(name: str) -> str:
    """``mount_path`` as users write it in YAML: ``mountPath``."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def name(value: str) -> Iterator[Problem]:
    if not value.strip():
        yield Problem("", "is empty", "give it a name")
    elif len(value) > NAME_LIMIT:
        yield Problem("", f"has {len(value)} characters", f"at most {NAME_LIMIT} are allowed")
    elif not value.isprintable():
        yield Problem("", f"{value!r} holds characters that can't be printed")


def not_empty(value: str) -> Iterator[Problem]:
    if not value.strip():
        yield Problem("", "is empty")


def words(value: Any) -> Iterator[Problem]:
    if not isinstance(value, tuple):
        try:
            example = json.dumps(shlex.split(str(value)))
        except ValueError:
            example = "[python, count.py]"
        yield Problem("", "is text where a list is wanted; no shell reads it", f"write {example}")


def no_nul(value: Any) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        texts = [(str(key), text) for key, text in value.items()]
    else:
        texts = [(f"[{index}]", text) for index, text in enumerate(value if isinstance(value, tuple) else ())]
    for place, text in texts:
        if isinstance(text, str) and "\0" in text:
            yield Problem(place, "holds a NUL character, which no process can be given")


def image(value: str) -> Iterator[Problem]:
    if not value or any(ch.isspace() or not ch.isprintable() for ch in value):
        yield Problem("", f"{value!r} isn't an image", "for example python:3.12-slim")


def env_names(value: Mapping[str, Any]) -> Iterator[Problem]:
    for key in value:
        if not _ENV_NAME.fullmatch(key):
            yield Problem(key, "isn't a name for an environment variable", "letters, digits and _ only")
        elif key.startswith("LAUNCHER_"):
            yield Problem(key, "is set by the launcher itself", "choose a name without LAUNCHER_")


def label_keys(value: Mapping[str, str]) -> Iterator[Problem]:
    for key in value:
        if not _LABEL_KEY.fullmatch(key):
            yield Problem(key, "isn't a label key", "at most 63 letters, digits, '-', '_' and '.' after the prefix")
        elif key.split("/")[0].endswith("podlauncher.dev") and "/" in key:
            yield Problem(key, "belongs to the launcher", "choose another prefix")


def label_values(value: Mapping[str, str]) -> Iterator[Problem]:
    for key, text in value.items():
        if not _LABEL_VALUE.fullmatch(text):
            yield Problem(key, f"{text!r} isn't a label value", "at most 63 letters, digits, '-', '_' and '.'")


def object_name(value: str) -> Iterator[Problem]:
    if not _OBJECT_NAME.fullmatch(value):
        yield Problem("", f"{value!r} can't be the name of a Kubernetes object", "lower case, digits, '-', '.'")


def object_names(value: Iterable[str]) -> Iterator[Problem]:
    for index, item in enumerate(value):
        yield from (problem.under(f"[{index}]") for problem in object_name(item))


def namespace(value: str) -> Iterator[Problem]:
    if not is_run_id(value):
        yield Problem("", f"{value!r} can't be a namespace", "lower case, digits and '-', at most 63")


def absolute_path(value: str) -> Iterator[Problem]:
    if "\0" in value or not value.startswith("/"):
        yield Problem("", f"{value!r} isn't an absolute path", "start it with /")
    elif ".." in value.split("/"):
        yield Problem("", f"{value!r} has a '..' in it", "write the path out")
    elif ":" in value:
        yield Problem("", f"{value!r} has a ':' in it, which Kubernetes refuses in a mount path")


def inner_path(value: str) -> Iterator[Problem]:
    if value.startswith("/") or "\0" in value:
        yield Problem("", f"{value!r} must be relative to the connection", f"{value.lstrip('/')!r}?")
    elif ".." in value.split("/"):
        yield Problem("", f"{value!r} has a '..' in it", "a use can't leave its connection")


def mount_place(value: str) -> Iterator[Problem]:
    yield from absolute_path(value)
    if value.startswith("/") and plain_path(value) in _TAKEN:
        yield Problem("", f"nothing can be mounted on {value!r}", "choose a folder of its own, like /data")


_TAKEN = frozenset({"/", "/proc", "/dev", "/sys", "/launcher", "/launcher/files"})


def plain_path(path: str) -> str:
    """A path in one spelling: POSIX lets two leading slashes stand, Kubernetes and Linux mean one."""
    return "/" + posixpath.normpath(path).lstrip("/")


def quantity(value: Any) -> Iterator[Problem]:
    try:
        amount = parse_quantity(value)
    except ValueError as exc:
        yield Problem("", str(exc), "for example 500m, 2 or 8Gi")
        return
    if 0 < amount < SMALLEST:
        yield Problem("", f"{value} is less than Kubernetes can count", "for example 500m")


def memory(value: Any) -> Iterator[Problem]:
    try:
        amount = parse_quantity(value)
    except ValueError as exc:
        yield Problem("", str(exc), "for example 512Mi or 8Gi")
        return
    if amount < SMALLEST_MEMORY:
        guess = f"{value}Gi" if re.fullmatch("[0-9]{1,3}", str(value)) else "512Mi"
        yield Problem("", f"{value} means {amount.normalize():f} bytes", f"{guess}?")


def whole_number(value: Any) -> Iterator[Problem]:
    if not re.fullmatch("[0-9]{1,9}", str(value)):
        yield Problem("", f"{value!r} isn't a whole number")


def positive(value: float) -> Iterator[Problem]:
    if not 0 < value < float("inf"):
        yield Problem("", f"{value:g} isn't a time to wait", "seconds above 0, or text like 90s or 2h")


def one_of(*choices: str) -> Check:
    def check(value: str) -> Iterator[Problem]:
        if value not in choices:
            yield Problem("", f"{value!r} isn't known", f"one of {', '.join(choices)}")

    return check


def named_containers(value: Iterable[Mapping[str, Any]]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, container in enumerate(value):
        raw = container.get("name")
        if not isinstance(raw, str) or not is_run_id(raw):
            yield Problem(f"[{index}].name", f"{raw!r} can't name a container", "lower case, digits and '-'")
        elif raw in ("main", "fetch", "save"):
            yield Problem(f"[{index}].name", f"{raw!r} is one of the launcher's own containers", "rename it")
        elif raw in seen:
            yield Problem(f"[{index}].name", f"{raw!r} is there twice")
        else:
            seen.add(raw)
