"""Rules for single fields that the built-in kinds share. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Problem

_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def absolute(field: str, path: str | None) -> Iterator[Problem]:
    """A path that must start at the root and not climb; None is no path and no problem."""
    if path is None:
        return
    if not path.startswith("/") or "\0" in path:
        yield Problem(field, f"{path!r} isn't an absolute path", "start it with /")
    elif ".." in path.split("/"):
        yield Problem(field, f"{path!r} has a '..' in it", "write the path out")


def object_name(field: str, name: str | None) -> Iterator[Problem]:
    """The name of a Kubernetes object; None is no name and no problem."""
    if name is not None and not _OBJECT_NAME.fullmatch(name):
        yield Problem(field, f"{name!r} can't be the name of a Kubernetes object", "lower case, digits, '-', '.'")
