"""Our labels and annotations: what a pod is found by, and what a later process goes on from. Pure."""

from __future__ import annotations

from typing import Any

from launcher import names
from launcher.names import CONNECTION_PREFIX, PREFIX
from launcher.plan import Plan
from launcher.record import dumps

RUN = f"{PREFIX}/run"
JOB = f"{PREFIX}/job"
ATTEMPT = f"{PREFIX}/attempt"
LAUNCHER = f"{PREFIX}/launcher"

RECORD = f"{PREFIX}/record"
SPEC = f"{PREFIX}/spec"
RAW_JOB = f"{PREFIX}/job-name"
RAW_CONNECTIONS = f"{PREFIX}/connections"

# A pod that an autoscaler moves is a job that starts again: these two keep the known ones away.
_STAY = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "karpenter.sh/do-not-disrupt": "true"}


def pod_labels(plan: Plan) -> dict[str, str]:
    """The pod's labels: the user's, then ours."""
    record = plan.record
    return {
        **plan.job.labels,
        RUN: record.run,
        JOB: names.label(record.job),
        ATTEMPT: str(record.attempt),
        LAUNCHER: plan.launcher_id,
        **{connection_label(use.name): "ro" if use.read_only else "rw" for use in plan.uses},
    }


def connection_label(name: str) -> str:
    """The label that tells who uses a connection: ``kubectl get pods -l connection.podlauncher.dev/faces``."""
    return f"{CONNECTION_PREFIX}/{names.label(name)}"


def pod_annotations(plan: Plan) -> dict[str, str]:
    """The pod's annotations: those of connections and of the job, then ours."""
    found: dict[str, str] = {}
    for use in plan.uses:
        found.update(use.resolved.connection.annotations)
        found.update(use.mount.annotations if use.mount else {})
    found.update(plan.job.annotations)
    found.update(_STAY)
    found[RECORD] = dumps(plan.record)
    found[SPEC] = plan.record.spec
    found[RAW_JOB] = plan.job.name
    if plan.uses:
        found[RAW_CONNECTIONS] = ", ".join(use.name for use in plan.uses)
    return found


def is_ours(key: str) -> bool:
    """Whether a label or annotation belongs to the launcher."""
    return key.split("/", maxsplit=1)[0] in (PREFIX, CONNECTION_PREFIX)


def selector(launcher_id: str) -> str:
    """The label selector of every pod of one launcher."""
    return f"{LAUNCHER}={launcher_id}"


def of_run(run_id: str) -> str:
    """The label selector of a run's pods."""
    return f"{RUN}={run_id}"


def metadata_of(pod: dict[str, Any], key: str) -> str:
    """An annotation of a pod, or nothing."""
    return str((pod["metadata"].get("annotations") or {}).get(key, ""))
