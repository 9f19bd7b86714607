"""A third party's kind of storage: synchronous, with real folders, some of which may not be listed. Twenty lines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

import attrs
import fsspec
from fsspec.implementations.local import LocalFileSystem

from launcher.backend import Access, Credential, Facts, Mode, Mount, MountUse, Need, Remote
from launcher.catalog import Resolved, resolve
from launcher.connection import Connection
from launcher.errors import Problem
from launcher.registry import GROUP, Registry


class ShelfFileSystem(LocalFileSystem):  # type: ignore[misc] # fsspec has no types
    """Folders of this machine; those called ``locked`` can't be listed."""

    protocol = "shelf"

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        if path.rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return super().ls(path, detail=detail, **options)


fsspec.register_implementation("shelf", ShelfFileSystem, clobber=True)


@attrs.frozen
class ShelfSchema:
    folder: str


class Shelf:
    api = 1
    schema = ShelfSchema
    modes = (Mode.COPY,)
    credentials = (Credential("password"),)

    def problems(self, schema: ShelfSchema) -> Iterable[Problem]:
        return []

    def needs(self, schema: ShelfSchema) -> Iterable[Need]:
        return []

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        raise NotImplementedError

    def remote(self, schema: ShelfSchema, secrets: Mapping[str, str]) -> Remote:
        return Remote("shelf", schema.folder)

    def classify(self, error: BaseException) -> Access | None:
        return None


def shelf(folder: object) -> Resolved:
    """A connection of that kind."""
    registry = Registry.of([EntryPoint("shelf", "tests.servers.shelf:Shelf", GROUP)])
    return resolve(Connection(name="books", kind="shelf", schema={"folder": str(folder)}), registry)
