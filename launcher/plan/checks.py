"""What is wrong between the parts of a job, and between it and its cluster. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launcher import codec
from launcher.backend import Mode
from launcher.errors import Problem
from launcher.facts import Facts, Unknown
from launcher.fields import mount_place, plain_path
from launcher.job import ConfigMapKey, Job, SecretKey
from launcher.plan.values import FILES_PATH, PlannedUse


def env_problems(job: Job, facts: Facts, uses: Iterable[PlannedUse]) -> Iterator[Problem]:
    """Keys that aren't there, and credentials that only a connection which streams may show."""
    owners = {use.secret: use.name for use in uses if use.secret and use.mode is not Mode.STREAM}
    for variable, value in job.env.items():
        if isinstance(value, SecretKey) and value.secret in owners:
            text = f"the secret {value.secret!r} holds the credentials of {owners[value.secret]!r}"
            yield Problem(f"env.{variable}", text, "a connection that allows `stream` shows them to the job")
        if isinstance(value, SecretKey):
            keys, what, name = facts.secrets.get(value.secret, Unknown()), "secret", value.secret
        elif isinstance(value, ConfigMapKey):
            keys, what, name = (
                facts.config_maps.get(value.config_map, Unknown()),
                "config map",
                value.config_map,
            )
        else:
            continue
        if keys is None:
            yield Problem(f"env.{variable}", f"there is no {what} {name!r} in the namespace")
        elif isinstance(keys, frozenset) and value.key not in keys:
            yield Problem(
                f"env.{variable}",
                f"the {what} {name!r} has no key {value.key!r}",
                codec.nearest(value.key, keys),
            )


def cluster_problems(facts: Facts, namespace: str) -> Iterator[Problem]:
    if not facts.namespace_exists:
        yield Problem("", f"there is no namespace {namespace!r} in {facts.cluster}", "`namespace` in launcher.yaml")
    for right in facts.refused:
        yield Problem("", f"you may not {right} in the namespace {namespace!r}", "ask its administrator for a role")


def collisions(job: Job, uses: Iterable[PlannedUse]) -> Iterator[Problem]:
    places: list[tuple[str, str]] = []
    for use in uses:
        if use.mode is not Mode.STREAM:
            places.append((use.mount_path, f"connection {use.name!r}"))
        elif use.resolved.secret and use.resolved.secret.mount_path:
            places.append((use.resolved.secret.mount_path, f"the secret of {use.name!r}"))
        if use.resolved.connection.config_map:
            places.append((use.resolved.connection.config_map.mount_path, f"the config map of {use.name!r}"))
    for path, what in places:
        yield from (Problem("", f"{what}: {problem.text}", problem.hint) for problem in mount_place(path))
    places += [(job.outputs, "the outputs")] if job.outputs else []
    places += [(FILES_PATH, "the files")] if job.files else []
    places += [("/dev/shm", "the shared memory")] if job.shared_memory else []  # noqa: S108 - the pod's
    ordered = sorted((plain_path(path), what) for path, what in places)
    for index, (path, what) in enumerate(ordered):
        for other, owner in ordered[index + 1 :]:
            if other == path:
                yield Problem("", f"{what} and {owner} are both mounted on {path}", "give one its own mountPath")
            elif other.startswith(path.rstrip("/") + "/"):
                yield Problem("", f"{owner} on {other} lies inside {what} on {path}", "mount them side by side")


def used_twice(uses: Iterable[PlannedUse]) -> Iterator[Problem]:
    """A connection has one place in a pod: its label, its volume and its entry in LAUNCHER_CONNECTIONS."""
    names = [use.name for use in uses]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem("connections", f"{name!r} is used twice", "use it once, and its subfolders below its mountPath")


def environment_clashes(uses: Iterable[PlannedUse]) -> Iterator[Problem]:
    owners: dict[str, tuple[str, str]] = {}
    for use in uses:
        said = dict(use.resolved.connection.env)
        if use.mode is Mode.STREAM and use.resolved.secret and not use.resolved.secret.mount_path:
            remote = use.resolved.remote()
            said |= {key: f"secret {use.secret}" for key in (remote.environment if remote else {})}
        for variable, value in said.items():
            owner, before = owners.setdefault(variable, (use.name, value))
            if before != value:
                yield Problem("", f"{owner!r} and {use.name!r} both set the variable {variable}", "drop one")
