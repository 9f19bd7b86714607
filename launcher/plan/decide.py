"""The plan of one run, from a job, its circumstances and the facts. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launcher import codec
from launcher.backend import Mode, NeedKind
from launcher.catalog import Catalog, Resolved
from launcher.errors import InvalidSpec, PluginError, Problem
from launcher.facts import Facts, Wanted
from launcher.job import ConfigMapKey, Job, SecretKey
from launcher.plan.checks import cluster_problems, collisions, env_problems, environment_clashes, used_twice
from launcher.plan.storing import agent_problems, client_reaches, planned_store, store_problems, store_record
from launcher.plan.uses import planned, uses_of
from launcher.plan.values import AGENT_HINT, Circumstances, Plan, PlannedStore, PlannedUse
from launcher.record import RunRecord, UseRecord, digest, dumps


def wanted(job: Job, catalog: Catalog, store: Resolved | None, *, store_is_default: bool) -> Wanted:
    """What must be looked up for a job; what can't be resolved is left to ``plan`` to name."""
    resolved = [r for use in uses_of(job) if isinstance(r := catalog.entries.get(use.name), Resolved)]
    # The default store may be made by the node; one that somebody named must be there, like any connection.
    needs = {need for r in resolved for need in r.needs()}
    if store is not None and not store_is_default:
        needs |= {need for need in store.needs() if need.kind is not NeedKind.HOST_PATH}
    stores = [store] if store is not None else []
    secrets = {r.secret.name for r in (*resolved, *stores) if r.secret}
    maps = {r.connection.config_map.name for r in resolved if r.connection.config_map}
    values = job.env.values()
    return Wanted(
        secrets=frozenset(secrets | {v.secret for v in values if isinstance(v, SecretKey)}),
        config_maps=frozenset(maps | {v.config_map for v in values if isinstance(v, ConfigMapKey)}),
        needs=frozenset(needs),
        libraries=frozenset(_libraries(job, catalog, store)),
    )


def _libraries(job: Job, catalog: Catalog, store: Resolved | None) -> Iterator[tuple[str, str]]:
    found = [(use.mode, catalog.entries.get(use.name)) for use in uses_of(job)]
    copied = [r for mode, r in found if isinstance(r, Resolved) and (mode or r.modes[0]) is Mode.COPY]
    for resolved in [*copied, *([store] if store is not None and not store.is_volume else [])]:
        remote = resolved.remote()
        if remote is not None:
            yield resolved.connection.kind, remote.protocol


def plan(job: Job, around: Circumstances, facts: Facts) -> Plan:
    """The plan of one run. Raises ``InvalidSpec`` with all problems, ``PluginError`` for a plugin that is missing."""
    job, problems = codec.sound(job)
    problems += [
        *around.problems,
        *cluster_problems(facts, around.namespace),
    ]
    uses: list[PlannedUse] = []
    for index, use in enumerate(uses_of(job)):
        place = f"connections[{index}]"
        try:
            uses.append(planned(use, around.catalog, facts))
        except InvalidSpec as exc:
            problems.extend(problem.under(place) for problem in exc.problems)
        except PluginError as exc:
            problems.append(Problem(place, str(exc)))
    problems += [*env_problems(job, facts, uses), *used_twice(uses), *collisions(job, uses), *environment_clashes(uses)]
    agents = facts.local or facts.assumed or bool(around.agent_image)
    store = planned_store(job, around, facts)
    problems += agent_problems(job, uses, store, agents=agents)
    problems += store_problems(job, around, facts)
    if problems:
        raise InvalidSpec(problems, f"job {job.name!r}")
    return _decided(job, around, facts, uses, store)


def _decided(job: Job, around: Circumstances, facts: Facts, uses: list[PlannedUse], store: PlannedStore | None) -> Plan:
    agents = facts.local or facts.assumed or bool(around.agent_image)
    by_client = store is not None and client_reaches(store, facts)
    writes_back = any(use.mode is Mode.COPY and not use.read_only for use in uses)
    save = agents and ((store is not None and not by_client) or writes_back)
    looked_into = any(use.mode is Mode.MOUNT and use.sub_path for use in uses)
    # Where save is, fetch goes before the job: it tries the store, and waits until save listens.
    fetch = save or (agents and (any(use.mode is Mode.COPY for use in uses) or looked_into))
    saved_by = "save" if save else "client" if by_client else ""
    unchecked = [use for use in uses if use.sub_path and use.mode is Mode.MOUNT and not agents]
    warnings = [w for use in uses if use.mount for w in use.mount.warnings]
    warnings += list(store.mount.warnings) if store and store.mount and job.outputs else []
    warnings += [f"nobody checks that {u.sub_path!r} is in {u.name!r} ({AGENT_HINT})" for u in unchecked]
    if store is not None and not saved_by:
        warnings.append(f"the log stays with the pod and isn't kept in the store ({AGENT_HINT})")
    return Plan(
        job=job,
        record=_record(job, around, uses, store, saved_by, user=facts.user),
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


def _record(
    job: Job, around: Circumstances, uses: Iterable[PlannedUse], store: PlannedStore | None, saved_by: str, *, user: str
) -> RunRecord:
    planned = list(uses)
    connections = [codec.unstructure(use.resolved.connection) for use in planned]
    files = {file.path: digest(file.data.hex()) for file in around.files}
    return RunRecord(
        run=around.run_id,
        job=job.name,
        spec=digest(dumps({"job": codec.unstructure(job), "connections": connections, "files": files})),
        image=job.image,
        user=user,
        timeout=job.timeout,
        outputs=job.outputs or "",
        files=len(around.files),
        saved_by=saved_by,
        store=store_record(store, around.run_id) if store else None,
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
