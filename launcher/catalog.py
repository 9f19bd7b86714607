"""Connections with their plugin known: the schema checked and typed, the modes that are allowed. Pure.

A schema that is wrong is an error of the settings. A plugin that can't be used is an error only for the jobs
that need it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from launcher import codec
from launcher.backend import Backend, Facts, Mode, Mount, MountUse, Need, Remote
from launcher.connection import Connection, SecretRef
from launcher.errors import InvalidSpec, LauncherError, PluginError, Problem
from launcher.registry import Registry
from launcher.settings import Settings

T = TypeVar("T")


@attrs.frozen
class Resolved:
    """A connection, its plugin and its schema as the plugin's own type."""

    connection: Connection
    backend: Backend
    schema: Any
    modes: tuple[Mode, ...]
    """The modes that a job may use, its default first."""

    @property
    def read_only(self) -> bool:
        """Whether no job may write."""
        return bool(getattr(self.schema, "read_only", False))

    @property
    def mount_path(self) -> str | None:
        """Where the administrator wants the data to appear, if anywhere in particular."""
        path = getattr(self.schema, "mount_path", None)
        return str(path) if path else None

    @property
    def is_volume(self) -> bool:
        """Whether a mounted volume is its first choice: a bucket is copied and read-only unless asked for more."""
        return self.backend.modes[0] is Mode.MOUNT

    @property
    def secret(self) -> SecretRef | None:
        """Where its credentials are."""
        return self.connection.secret

    def needs(self) -> tuple[Need, ...]:
        """What must be looked up before it is used. Raises ``PluginError``."""
        with _blamed(self.connection.kind):
            return tuple(_expected(need, Need) for need in self.backend.needs(self.schema))

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        """It as a volume. Raises ``ValueError`` with the reason why it can't be one, ``PluginError``."""
        with _blamed(self.connection.kind, says=ValueError):
            return _expected(self.backend.mount(use, facts), Mount)

    def remote(self, secrets: Mapping[str, str] | None = None) -> Remote | None:
        """How fsspec reaches it, without credentials unless some are given. Raises ``PluginError``."""
        with _blamed(self.connection.kind):
            remote = self.backend.remote(self.schema, secrets or {})
            return None if remote is None else _expected(remote, Remote)


@attrs.frozen
class Catalog:
    """Every connection of the settings by name, usable or with the reason why not."""

    entries: Mapping[str, Resolved | PluginError]

    @classmethod
    def of(cls, settings: Settings, registry: Registry) -> Catalog:
        """The catalog of these settings. Raises ``InvalidSpec`` with everything wrong in all schemas."""
        entries: dict[str, Resolved | PluginError] = {}
        problems: list[Problem] = []
        for name in settings.names():
            connection = settings.connection(name)
            assert connection is not None  # names() lists what connection() finds  # noqa: S101
            try:
                entries[name] = resolve(connection, registry)
            except PluginError as exc:
                entries[name] = exc
            except InvalidSpec as exc:
                problems.extend(exc.problems)
        if problems:
            raise InvalidSpec(problems, settings.source)
        return cls(entries)


def resolve(connection: Connection, registry: Registry) -> Resolved:
    """One connection with its plugin. Raises ``PluginError``, or ``InvalidSpec`` for its schema and modes."""
    backend = registry.get(connection.kind)
    place = connection.place or f"connection {connection.name!r}"
    try:
        with _blamed(connection.kind):
            schema: Any = codec.structure(dict(connection.schema), backend.schema)
            problems = [_expected(problem, Problem) for problem in backend.problems(schema)]
    except InvalidSpec as exc:
        raise InvalidSpec(problem.under("schema").under(place) for problem in exc.problems) from None
    problems = [problem.under("schema") for problem in problems]
    refused = [mode for mode in connection.modes if mode not in backend.modes]
    problems += [
        Problem("modes", f"{connection.kind} doesn't offer {mode}", f"it offers {', '.join(backend.modes)}")
        for mode in refused
    ]
    if problems:
        raise InvalidSpec(problem.under(place) for problem in problems)
    # Streaming shows credentials to the user's container, so nobody gets it who wasn't given it.
    allowed = connection.modes or tuple(mode for mode in backend.modes if mode is not Mode.STREAM)
    return Resolved(connection, backend, schema, tuple(allowed))


@contextmanager
def _blamed(kind: str, says: type[Exception] | tuple[()] = ()) -> Iterator[None]:
    """A plugin's own failure, under its own name; ``says`` is an error by which it speaks to the user."""
    try:
        yield
    except LauncherError:
        raise
    except says:
        raise
    except Exception as exc:
        raise PluginError(f"the plugin for {kind!r} failed: {type(exc).__name__}: {exc}") from exc


def _expected(value: Any, cls: type[T]) -> T:
    """What a plugin gave, if it is what the contract says."""
    if not isinstance(value, cls):
        raise TypeError(f"it gave {type(value).__name__} where a {cls.__name__} is expected")
    return value
