"""Where outputs and log go, whether they can, and whether it takes an agent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launcher.backend import Mode, MountUse, NeedKind
from launcher.catalog import Resolved
from launcher.errors import Problem
from launcher.facts import Facts
from launcher.job import Job
from launcher.plan.uses import NEEDS, secret_problems
from launcher.plan.values import AGENT_HINT, Circumstances, PlannedStore, PlannedUse
from launcher.record import StoreRecord


def planned_store(job: Job, around: Circumstances, facts: Facts) -> PlannedStore | None:
    resolved = around.store
    if resolved is None:
        return None
    if not resolved.is_volume:
        return PlannedStore(resolved=resolved, mount=None)
    use = MountUse(resolved.connection.name, resolved.schema, job.outputs or "", around.run_id, False, create=True)
    return PlannedStore(resolved=resolved, mount=resolved.mount(use, facts))


def client_reaches(store: PlannedStore, facts: Facts) -> bool:
    remote = store.resolved.remote() if store.mount else None
    return facts.local and remote is not None and remote.protocol == "file"


def agent_problems(
    job: Job, uses: Iterable[PlannedUse], store: PlannedStore | None, *, agents: bool
) -> Iterator[Problem]:
    if agents:
        return
    for use in uses:
        if use.mode is Mode.COPY:
            yield Problem("", f"copying {use.name!r} into the pod needs an agent container", AGENT_HINT)
    if job.outputs and store is not None and store.mount is None:
        name = store.resolved.connection.name
        yield Problem("outputs", f"saving them to {name!r} needs an agent container", AGENT_HINT)


def store_problems(job: Job, around: Circumstances, facts: Facts) -> Iterator[Problem]:
    if around.store is None:
        return
    yield from (problem.under("artifactsStore") for problem in _missing(around.store, facts, around))
    if around.store.connection.kind in facts.lacking:
        yield Problem("artifactsStore", "can't be written from here", facts.lacking[around.store.connection.kind])
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


def _missing(store: Resolved, facts: Facts, around: Circumstances) -> Iterator[Problem]:
    # A store's folder may be made by the node, so only what can't be made counts.
    if around.store_is_default:
        return
    for need in store.needs():
        if need.kind is not NeedKind.HOST_PATH and facts.missing(need):
            yield Problem("", f"needs {NEEDS[need.kind].format(need.name)}, which isn't there")
    if store.secret:
        yield from secret_problems(store.connection.name, store, facts)


def store_record(store: PlannedStore, run_id: str) -> StoreRecord:
    resolved = store.resolved
    remote = resolved.remote()
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
