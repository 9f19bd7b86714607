"""The three containers of a pod: the user's main, and the agents fetch and save beside it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from launcher.agent.plan import AgentPlan, Part
from launcher.backend import Mode
from launcher.job import ConfigMapKey, EnvValue, Resources, SecretKey
from launcher.plan import FILES_PATH, Plan, PlannedUse
from launcher.pod import volumes
from launcher.pod.volumes import Placed
from launcher.record import dumps
from launcher.settings import AGENT_VARIABLE

MAIN, FETCH, SAVE = "main", "fetch", "save"

# What an agent may use: Python with one storage library is about 80 MB, with some parts in flight at most 165 MB,
# and 276 MB for Azure, which sends files below 64 MB whole.
# Requests equal limits, so that a Guaranteed pod stays one.
_AGENT_RESOURCES = {
    FETCH: {"cpu": "500m", "memory": "512Mi"},
    SAVE: {"cpu": "100m", "memory": "512Mi"},
}

# Fields of a security context that belong to the pod; all others are a container's.
_POD_FIELDS = frozenset({"fsGroup", "fsGroupChangePolicy", "supplementalGroups", "supplementalGroupsPolicy", "sysctls"})
# Fields by which the agents become the same user as the job, without which neither reads the other's files.
_IDENTITY = ("runAsUser", "runAsGroup", "runAsNonRoot")

_RESTRICTED = {"allowPrivilegeEscalation": False, "seccompProfile": {"type": "RuntimeDefault"}}
_NO_CAPABILITIES = {"capabilities": {"drop": ["ALL"]}}

_GPU = "nvidia.com/gpu"


def main(plan: Plan, placed: Iterable[Placed]) -> dict[str, Any]:
    """The user's container."""
    job = plan.job
    container: dict[str, Any] = {"name": MAIN, "image": job.image}
    if job.command:
        container["command"] = [_literal(word) for word in job.command]
    if job.args:
        container["args"] = [_literal(word) for word in job.args]
    directory = job.working_dir or (FILES_PATH if plan.files else None)
    if directory:
        container["workingDir"] = directory
    container["env"] = [*_own_env(plan), *_user_env(plan)]
    amounts = _resources(job.resources)
    if amounts:
        container["resources"] = {"requests": amounts, "limits": amounts}
    if job.image_pull_policy:
        container["imagePullPolicy"] = job.image_pull_policy
    container["volumeMounts"] = [item.main for item in placed if item.main]
    container["securityContext"] = _security(plan)
    return container


def pod_security(plan: Plan) -> dict[str, Any]:
    """The part of the job's security context that only a pod can have."""
    return {k: v for k, v in (plan.job.security_context or {}).items() if k in _POD_FIELDS}


def fetch(plan: Plan, placed: Iterable[Placed]) -> dict[str, Any]:
    """The init container that checks the connections and copies them in."""
    parts = [_part(use) for use in plan.uses if use.mode is Mode.COPY or (use.mount and use.sub_path)]
    orders = AgentPlan(
        record=plan.record,
        namespace=plan.namespace,
        pod=plan.run_id,
        parts=parts,
        store=_store_part(plan) if plan.save else None,
        state=volumes.STATE if plan.save else "",
    )
    return _agent(plan, FETCH, orders, [item.fetch for item in placed if item.fetch])


def save(plan: Plan, placed: Iterable[Placed]) -> dict[str, Any]:
    """The native sidecar that keeps log and outputs."""
    written = [use for use in plan.uses if use.mode is Mode.COPY and not use.read_only]
    orders = AgentPlan(
        record=plan.record,
        namespace=plan.namespace,
        pod=plan.run_id,
        parts=[_part(use) for use in written],
        store=_store_part(plan),
        outputs=plan.job.outputs or "",
        state=volumes.STATE,
        log=MAIN if plan.store else "",
        token=volumes.TOKEN,
    )
    agent = _agent(plan, SAVE, orders, [item.save for item in placed if item.save])
    return {**agent, "restartPolicy": "Always"}


def _agent(plan: Plan, name: str, orders: AgentPlan, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    amounts = _AGENT_RESOURCES[name]
    identity = {k: v for k, v in (plan.job.security_context or {}).items() if k in _IDENTITY}
    return {
        "name": name,
        "image": plan.agent_image,
        "command": ["python", "-m", "launcher.agent", name],
        "env": [{"name": AGENT_VARIABLE, "value": _literal(dumps(orders))}],
        "resources": {"requests": amounts, "limits": amounts},
        "volumeMounts": mounts,
        "securityContext": {**_RESTRICTED, **_NO_CAPABILITIES, **identity},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _part(use: PlannedUse) -> Part:
    connection = use.resolved.connection
    return Part(
        name=use.name,
        kind=connection.kind,
        schema=connection.schema,
        mode=use.mode.value,
        folder=volumes.data_folder(use.name),
        secret=volumes.secret_folder(use.name) if use.secret and use.mode is Mode.COPY else "",
        sub_path=use.sub_path,
        include=use.include,
        exclude=use.exclude,
        writable=not use.read_only,
    )


def _store_part(plan: Plan) -> Part | None:
    if plan.store is None:
        return None
    connection = plan.store.resolved.connection
    mounted = plan.store.mount is not None
    return Part(
        name=connection.name,
        kind=connection.kind,
        schema=connection.schema,
        mode=Mode.MOUNT.value if mounted else Mode.COPY.value,
        folder=volumes.STORE if mounted else "",
        secret=f"{volumes.SECRETS}/store" if connection.secret and not mounted else "",
        writable=True,
    )


def _own_env(plan: Plan) -> Iterable[dict[str, Any]]:
    yield {"name": "LAUNCHER_RUN_ID", "value": plan.run_id}
    yield {"name": "LAUNCHER_ATTEMPT", "value": str(plan.record.attempt)}
    if plan.job.outputs:
        yield {"name": "LAUNCHER_OUTPUTS", "value": plan.job.outputs}
    yield {
        "name": "LAUNCHER_CONNECTIONS",
        "value": _literal(json.dumps(_connections(plan), ensure_ascii=False)),
    }


def _connections(plan: Plan) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for use in plan.uses:
        if use.mode is Mode.STREAM:
            remote = use.resolved.remote()
            place = {"url": f"{remote.url}/{use.sub_path}".rstrip("/") if remote else ""}
        else:
            place = {"path": use.mount_path}
        found[use.name] = {**place, "mode": use.mode.value, "readOnly": use.read_only}
    return found


def _user_env(plan: Plan) -> Iterable[dict[str, Any]]:
    entries: dict[str, dict[str, Any]] = {}
    for use in plan.uses:
        for name, text in use.resolved.connection.env.items():
            entries[name] = {"name": name, "value": _literal(text)}
        entries.update((entry["name"], entry) for entry in _streamed_env(use))
    for name, value in plan.job.env.items():
        entries[name] = {"name": name, **_env_value(value)}
    return entries.values()


def _streamed_env(use: PlannedUse) -> Iterable[dict[str, Any]]:
    secret = use.resolved.secret
    if use.mode is not Mode.STREAM or secret is None or secret.mount_path:
        return
    remote = use.resolved.remote()
    for name, key in (remote.environment if remote else {}).items():
        if not secret.items or key in secret.items:
            # Optional: a plugin names every key it could use, and not every secret has all of them.
            reference = {"name": secret.name, "key": key, "optional": True}
            yield {"name": name, "valueFrom": {"secretKeyRef": reference}}


def _env_value(value: EnvValue) -> dict[str, Any]:
    if isinstance(value, SecretKey):
        return {"valueFrom": {"secretKeyRef": {"name": value.secret, "key": value.key}}}
    if isinstance(value, ConfigMapKey):
        return {"valueFrom": {"configMapKeyRef": {"name": value.config_map, "key": value.key}}}
    return {"value": _literal(value)}


def _literal(value: str) -> str:
    """Text that arrives as it is written: Kubernetes would replace ``$(NAME)``, and read ``$$`` as ``$``."""
    return value.replace("$", "$$") if "$(" in value or "$$" in value else value


def _resources(resources: Resources) -> dict[str, str]:
    amounts = {
        "cpu": resources.cpu,
        "memory": resources.memory,
        "ephemeral-storage": resources.ephemeral_storage,
        _GPU: resources.gpu,
    }
    return {name: amount for name, amount in amounts.items() if amount is not None}


def _security(plan: Plan) -> dict[str, Any]:
    own = {k: v for k, v in (plan.job.security_context or {}).items() if k not in _POD_FIELDS}
    return {**_RESTRICTED, **(_NO_CAPABILITIES if plan.restricted else {}), **own}
