"""Everything about one run decided, before anything is built or sent: all problems at once. Pure, no await.

A plan holds values only; secrets are named, never read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

import attrs

from launcher import codec, fields, names
from launcher.backend import Mode, Mount, MountUse, NeedKind
from launcher.catalog import Catalog, Resolved
from launcher.errors import InvalidSpec, PluginError, Problem
from launcher.facts import Facts, Unknown, Wanted
from launcher.files import File
from launcher.job import ConfigMapKey, Job, SecretKey, Use
from launcher.record import RunRecord, StoreRecord, UseRecord, digest, dumps

# Where the files of a job are mounted, and its working directory when it has any.
FILES_PATH = "/launcher/files"

# What an agent needs from the settings on a real cluster, in the words of messages.
_AGENT_HINT = "set `agentImage` in launcher.yaml to the image built from Dockerfile.agent"


@attrs.frozen(kw_only=True)
class PlannedUse:
    """One use of a connection with everything decided."""

    resolved: Resolved
    mode: Mode
    mount_path: str
    sub_path: str = ""
    read_only: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mount: Mount | None = None

    @property
    def name(self) -> str:
        """The connection's raw name."""
        return self.resolved.connection.name

    @property
    def secret(self) -> str:
        """The name of the Kubernetes secret with its credentials, or nothing."""
        return self.resolved.secret.name if self.resolved.secret else ""


@attrs.frozen(kw_only=True)
class PlannedStore:
    """Where outputs and log go. ``mount`` is the volume, None for a store that only agents reach."""

    resolved: Resolved
    mount: Mount | None


@attrs.frozen(kw_only=True)
class Plan:
    """One run, decided. ``fetch`` and ``save`` say which agents it needs."""

    job: Job
    record: RunRecord
    namespace: str
    launcher_id: str
    uses: tuple[PlannedUse, ...]
    store: PlannedStore | None
    files: tuple[File, ...] = attrs.field(repr=False)
    agent_image: str = ""
    fetch: bool = False
    save: bool = False
    restricted: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's id, which is the pod's name."""
        return self.record.run


@attrs.frozen(kw_only=True)
class Circumstances:
    """What a plan needs beside the job: who launches, where, with what."""

    run_id: str
    namespace: str
    launcher_id: str
    catalog: Catalog
    store: Resolved | None
    store_is_default: bool = False
    agent_image: str | None = None
    files: tuple[File, ...] = attrs.field(default=(), repr=False)


def wanted(job: Job, catalog: Catalog, store: Resolved | None, *, store_is_default: bool) -> Wanted:
    """What must be looked up for a job; what can't be resolved is left to ``plan`` to name."""
    resolved = [r for use in _uses(job) if isinstance(r := catalog.entries.get(use.name), Resolved)]
    # The default store may be made by the node; one that somebody named must be there, like any connection.
    needs = {need for r in resolved for need in r.backend.needs(r.schema)}
    if store is not None and not store_is_default:
        needs |= {need for need in store.backend.needs(store.schema) if need.kind is not NeedKind.HOST_PATH}
    stores = [store] if store is not None else []
    secrets = {r.secret.name for r in (*resolved, *stores) if r.secret}
    maps = {r.connection.config_map.name for r in resolved if r.connection.config_map}
    values = job.env.values()
    return Wanted(
        secrets=frozenset(secrets | {v.secret for v in values if isinstance(v, SecretKey)}),
        config_maps=frozenset(maps | {v.config_map for v in values if isinstance(v, ConfigMapKey)}),
        needs=frozenset(needs),
    )


def plan(job: Job, around: Circumstances, facts: Facts) -> Plan:
    """The plan of one run. Raises ``InvalidSpec`` with all problems, ``PluginError`` for a plugin that is missing."""
    problems = [
        *fields.problems_of(job),
        *_cluster_problems(facts, around.namespace),
        *_env_problems(job, facts),
    ]
    uses: list[PlannedUse] = []
    for index, use in enumerate(_uses(job)):
        place = f"connections[{index}]"
        try:
            uses.append(_planned(use, around.catalog, facts))
        except InvalidSpec as exc:
            problems.extend(problem.under(place) for problem in exc.problems)
        except PluginError as exc:
            problems.append(Problem(place, str(exc)))
    problems += [*_collisions(job, uses), *_environment_clashes(uses)]
    agents = facts.local or facts.assumed or bool(around.agent_image)
    store = _store(job, around, facts)
    problems += _agent_problems(job, uses, store, agents=agents)
    problems += _store_problems(job, around, facts)
    if problems:
        raise InvalidSpec(problems, f"job {job.name!r}")
    return _decided(job, around, facts, uses, store)


def _decided(job: Job, around: Circumstances, facts: Facts, uses: list[PlannedUse], store: PlannedStore | None) -> Plan:
    agents = facts.local or facts.assumed or bool(around.agent_image)
    by_client = store is not None and _client_reaches(store, facts)
    writes_back = any(use.mode is Mode.COPY and not use.read_only for use in uses)
    save = agents and ((store is not None and not by_client) or writes_back)
    looked_into = any(use.mode is Mode.MOUNT and use.sub_path for use in uses)
    fetch = agents and (any(use.mode is Mode.COPY for use in uses) or looked_into)
    saved_by = "save" if save else "client" if by_client else ""
    unchecked = [use for use in uses if use.sub_path and use.mode is Mode.MOUNT and not agents]
    warnings = [w for use in uses if use.mount for w in use.mount.warnings]
    warnings += list(store.mount.warnings) if store and store.mount and job.outputs else []
    warnings += [f"nobody checks that {u.sub_path!r} is in {u.name!r} ({_AGENT_HINT})" for u in unchecked]
    if store is not None and not saved_by:
        warnings.append(f"the log stays with the pod and isn't kept in the store ({_AGENT_HINT})")
    return Plan(
        job=job,
        record=_record(job, around, uses, store, saved_by),
        namespace=around.namespace,
        launcher_id=around.launcher_id,
        uses=tuple(uses),
        store=store,
        files=around.files,
        agent_image=around.agent_image or "podlauncher-agent",
        fetch=fetch,
        save=save,
        restricted=facts.pod_security == "restricted",
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _uses(job: Job) -> list[Use]:
    return [use if isinstance(use, Use) else Use(use) for use in job.connections]


def _planned(use: Use, catalog: Catalog, facts: Facts) -> PlannedUse:
    resolved = catalog.entries.get(use.name)
    if resolved is None:
        raise InvalidSpec([Problem("", f"no connection {use.name!r}", codec.nearest(use.name, catalog.entries))])
    if isinstance(resolved, PluginError):
        raise resolved
    mode = use.mode or resolved.modes[0]
    read_only = use.read_only if use.read_only is not None else resolved.read_only or not resolved.is_volume
    problems = [*_widened(use, resolved, mode), *_missing(resolved, facts)]
    planned = PlannedUse(
        resolved=resolved,
        mode=mode,
        mount_path=use.mount_path or resolved.mount_path or _default_path(use.name),
        sub_path=posixpath.normpath(use.sub_path) if use.sub_path else "",
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


def _mount(use: PlannedUse, facts: Facts) -> Mount:
    resolved = use.resolved
    return resolved.backend.mount(
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
    for need in resolved.backend.needs(resolved.schema):
        if facts.missing(need):
            yield Problem("", f"{name!r} needs {_NEEDS[need.kind].format(need.name)}, which isn't there")
    if resolved.secret:
        yield from _secret_problems(name, resolved, facts)
    config_map = resolved.connection.config_map
    if config_map and facts.config_maps.get(config_map.name, frozenset()) is None:
        yield Problem("", f"{name!r} needs the config map {config_map.name!r}, which isn't in the namespace")


_NEEDS = {
    NeedKind.CLAIM: "the claim {!r}",
    NeedKind.CSI_DRIVER: "the CSI driver {!r}",
    NeedKind.HOST_PATH: "the folder {}",
}


def _secret_problems(name: str, resolved: Resolved, facts: Facts) -> Iterator[Problem]:
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


def _env_problems(job: Job, facts: Facts) -> Iterator[Problem]:
    for variable, value in job.env.items():
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


def _cluster_problems(facts: Facts, namespace: str) -> Iterator[Problem]:
    if not facts.namespace_exists:
        yield Problem("", f"there is no namespace {namespace!r} in {facts.cluster}", "`namespace` in launcher.yaml")
    for right in facts.refused:
        yield Problem("", f"you may not {right} in the namespace {namespace!r}", "ask its administrator for a role")


def _collisions(job: Job, uses: Iterable[PlannedUse]) -> Iterator[Problem]:
    places: list[tuple[str, str]] = []
    for use in uses:
        if use.mode is not Mode.STREAM:
            places.append((use.mount_path, f"connection {use.name!r}"))
        elif use.resolved.secret and use.resolved.secret.mount_path:
            places.append((use.resolved.secret.mount_path, f"the secret of {use.name!r}"))
        if use.resolved.connection.config_map:
            places.append((use.resolved.connection.config_map.mount_path, f"the config map of {use.name!r}"))
    places += [(job.outputs, "the outputs")] if job.outputs else []
    places += [(FILES_PATH, "the files")] if job.files else []
    places += [("/dev/shm", "the shared memory")] if job.shared_memory else []  # noqa: S108 - the pod's
    ordered = sorted((posixpath.normpath(path), what) for path, what in places)
    for index, (path, what) in enumerate(ordered):
        for other, owner in ordered[index + 1 :]:
            if other == path:
                yield Problem("", f"{what} and {owner} are both mounted on {path}", "give one its own mountPath")
            elif other.startswith(path.rstrip("/") + "/"):
                yield Problem("", f"{owner} on {other} lies inside {what} on {path}", "mount them side by side")


def _environment_clashes(uses: Iterable[PlannedUse]) -> Iterator[Problem]:
    owners: dict[str, tuple[str, str]] = {}
    for use in uses:
        said = dict(use.resolved.connection.env)
        if use.mode is Mode.STREAM and use.resolved.secret and not use.resolved.secret.mount_path:
            remote = use.resolved.backend.remote(use.resolved.schema, {})
            said |= {key: f"secret {use.secret}" for key in (remote.environment if remote else {})}
        for variable, value in said.items():
            owner, before = owners.setdefault(variable, (use.name, value))
            if before != value:
                yield Problem("", f"{owner!r} and {use.name!r} both set the variable {variable}", "drop one")


def _store(job: Job, around: Circumstances, facts: Facts) -> PlannedStore | None:
    resolved = around.store
    if resolved is None:
        return None
    if not resolved.is_volume:
        return PlannedStore(resolved=resolved, mount=None)
    use = MountUse(resolved.connection.name, resolved.schema, job.outputs or "", around.run_id, False, create=True)
    return PlannedStore(resolved=resolved, mount=resolved.backend.mount(use, facts))


def _client_reaches(store: PlannedStore, facts: Facts) -> bool:
    remote = store.resolved.backend.remote(store.resolved.schema, {}) if store.mount else None
    return facts.local and remote is not None and remote.protocol == "file"


def _agent_problems(
    job: Job, uses: Iterable[PlannedUse], store: PlannedStore | None, *, agents: bool
) -> Iterator[Problem]:
    if agents:
        return
    for use in uses:
        if use.mode is Mode.COPY:
            yield Problem("", f"copying {use.name!r} into the pod needs an agent container", _AGENT_HINT)
    if job.outputs and store is not None and store.mount is None:
        name = store.resolved.connection.name
        yield Problem("outputs", f"saving them to {name!r} needs an agent container", _AGENT_HINT)


def _store_problems(job: Job, around: Circumstances, facts: Facts) -> Iterator[Problem]:
    if around.store is None:
        return
    yield from (problem.under("artifactsStore") for problem in _missing_for_store(around.store, facts, around))
    if around.store.read_only and job.outputs:
        yield Problem("artifactsStore", "is read-only, so no outputs can be kept", "drop its readOnly")
    if not job.outputs or not around.store_is_default or facts.local or facts.assumed:
        return
    context = job.security_context or {}
    remedy = "set `artifactsStore` in launcher.yaml, or `outputs: null` to keep none"
    if facts.pod_security in ("baseline", "restricted"):
        text = f"no artifacts store is set, and Pod Security ({facts.pod_security}) refuses a folder of the node"
        yield Problem("outputs", text, remedy)
    elif context.get("runAsNonRoot") or context.get("runAsUser"):
        text = "no artifacts store is set, and a job that isn't root can't write to a folder of the node"
        yield Problem("outputs", text, remedy)


def _missing_for_store(store: Resolved, facts: Facts, around: Circumstances) -> Iterator[Problem]:
    # A store's folder may be made by the node, so only what can't be made counts.
    if around.store_is_default:
        return
    for need in store.backend.needs(store.schema):
        if need.kind is not NeedKind.HOST_PATH and facts.missing(need):
            yield Problem("", f"needs {_NEEDS[need.kind].format(need.name)}, which isn't there")
    if store.secret:
        yield from _secret_problems(store.connection.name, store, facts)


def _record(
    job: Job, around: Circumstances, uses: Iterable[PlannedUse], store: PlannedStore | None, saved_by: str
) -> RunRecord:
    planned = list(uses)
    connections = [codec.unstructure(use.resolved.connection) for use in planned]
    files = {file.path: digest(file.data.hex()) for file in around.files}
    return RunRecord(
        run=around.run_id,
        job=job.name,
        spec=digest(dumps({"job": codec.unstructure(job), "connections": connections, "files": files})),
        image=job.image,
        timeout=job.timeout,
        outputs=job.outputs or "",
        saved_by=saved_by,
        store=_store_record(store, around.run_id) if store else None,
        uses=tuple(
            UseRecord(
                name=use.name,
                kind=use.resolved.connection.kind,
                mode=use.mode.value,
                writable=not use.read_only,
                version=use.resolved.connection.version,
            )
            for use in planned
        ),
    )


def _store_record(store: PlannedStore, run_id: str) -> StoreRecord:
    resolved = store.resolved
    remote = resolved.backend.remote(resolved.schema, {})
    if remote is None:
        url = f"{resolved.connection.kind} {resolved.connection.name}, {run_id}"
    else:
        url = f"{remote.root.rstrip('/')}/{run_id}" if remote.protocol == "file" else f"{remote.url}/{run_id}"
    return StoreRecord(
        name=resolved.connection.name,
        kind=resolved.connection.kind,
        schema=resolved.connection.schema,
        secret=resolved.secret.name if resolved.secret else "",
        url=url,
    )
