"""The uses of connections by a job, decided one by one. Pure."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

import attrs

from launcher import codec, names
from launcher.backend import Mode, Mount, MountUse, NeedKind
from launcher.catalog import Catalog, Resolved
from launcher.errors import InvalidSpec, PluginError, Problem
from launcher.facts import Facts, Unknown
from launcher.job import Job, Use
from launcher.plan.values import PlannedUse


def uses_of(job: Job) -> list[Use]:
    return [use if isinstance(use, Use) else Use(use) for use in job.connections]


def planned(use: Use, catalog: Catalog, facts: Facts) -> PlannedUse:
    resolved = catalog.entries.get(use.name)
    if resolved is None:
        raise InvalidSpec([Problem("", f"no connection {use.name!r}", codec.nearest(use.name, catalog.entries))])
    if isinstance(resolved, PluginError):
        raise resolved
    mode = use.mode or resolved.modes[0]
    read_only = use.read_only if use.read_only is not None else resolved.read_only or not resolved.is_volume
    problems = [*_widened(use, resolved, mode), *_missing(resolved, facts)]
    if mode is Mode.COPY and resolved.connection.kind in facts.lacking:
        problems.append(Problem("", f"{use.name!r} can't be copied here", facts.lacking[resolved.connection.kind]))
    planned = PlannedUse(
        resolved=resolved,
        mode=mode,
        mount_path=use.mount_path or resolved.mount_path or _default_path(use.name),
        sub_path=_inner(use.sub_path),
        read_only=read_only,
        include=use.include,
        exclude=use.exclude,
    )
    if mode is Mode.MOUNT and not problems:
        try:
            planned = attrs.evolve(planned, mount=_mount(planned, facts))
        except ValueError as exc:
            problems.append(Problem("mode", str(exc)))
    if problems:
        raise InvalidSpec(problems)
    return planned


def _inner(sub_path: str | None) -> str:
    plain = posixpath.normpath(sub_path) if sub_path else "."
    return "" if plain == "." else plain


def _mount(use: PlannedUse, facts: Facts) -> Mount:
    resolved = use.resolved
    return resolved.mount(
        MountUse(use.name, resolved.schema, use.mount_path, use.sub_path, use.read_only, use.secret), facts
    )


def _default_path(name: str) -> str:
    return f"/connections/{names.label(name)}"


def _widened(use: Use, resolved: Resolved, mode: Mode) -> Iterator[Problem]:
    if use.read_only is False and resolved.read_only:
        yield Problem("readOnly", f"{use.name!r} is read-only", "a use can narrow its connection, not widen it")
    if mode not in resolved.modes:
        why = "its administrator doesn't allow it" if mode in resolved.backend.modes else "its kind doesn't offer it"
        yield Problem("mode", f"{use.name!r} can't be used by {mode}: {why}", f"{', '.join(resolved.modes)}?")
    if (use.include or use.exclude) and mode is not Mode.COPY:
        yield Problem("include", f"only a copy can be filtered, and {use.name!r} is used by {mode}")


def _missing(resolved: Resolved, facts: Facts) -> Iterator[Problem]:
    name = resolved.connection.name
    for need in resolved.needs():
        if facts.missing(need):
            yield Problem("", f"{name!r} needs {NEEDS[need.kind].format(need.name)}, which isn't there")
    if resolved.secret:
        yield from secret_problems(name, resolved, facts)
    config_map = resolved.connection.config_map
    if config_map and facts.config_maps.get(config_map.name, frozenset()) is None:
        yield Problem("", f"{name!r} needs the config map {config_map.name!r}, which isn't in the namespace")


NEEDS = {
    NeedKind.CLAIM: "the claim {!r}",
    NeedKind.CSI_DRIVER: "the CSI driver {!r}",
    NeedKind.HOST_PATH: "the folder {}",
}


def secret_problems(name: str, resolved: Resolved, facts: Facts) -> Iterator[Problem]:
    secret = resolved.secret
    assert secret is not None  # noqa: S101 - asked by the caller
    keys = facts.secrets.get(secret.name, Unknown())
    if keys is None:
        yield Problem("", f"{name!r} needs the secret {secret.name!r}, which isn't in the namespace", _CREATE_SECRET)
    elif isinstance(keys, frozenset):
        taken = keys & set(secret.items) if secret.items else keys
        absent = [c.key for c in resolved.backend.credentials if c.required and c.key not in taken]
        absent += [item for item in secret.items if item not in keys]
        for key in dict.fromkeys(absent):
            yield Problem("", f"{name!r} needs the key {key!r} of the secret {secret.name!r}, which lacks it")


_CREATE_SECRET = "kubectl create secret generic makes one"  # noqa: S105 - a sentence
