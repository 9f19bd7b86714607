"""The manifest of a run: its pod and the objects that go with it. Pure."""

from __future__ import annotations

import base64
import copy
from collections.abc import Mapping
from typing import Any

import attrs

from launcher import yamltext
from launcher.plan import Plan
from launcher.pod import containers, labels, patch, volumes
from launcher.pod.volumes import Placed

# Seconds that a pod with `save` may take to end: at 20 MB/s enough for 12 GB of outputs.
SAVING_GRACE = 600

# Seconds that a job's command may take to end after SIGTERM when nothing has to be saved: Kubernetes' own default.
PLAIN_GRACE = 30

# Seconds beyond `timeout` that the pod's own deadline allows for queueing, pulling, fetching and saving. It only
# stops a pod whose launcher is gone; the launcher itself counts from the start of the command.
BACKSTOP = 6 * 3600


@attrs.frozen
class Manifest:
    """What is sent to the cluster: ``objects`` first, then ``pod``. Plain Kubernetes dicts.

    Example: ``print(pad.render(job).to_yaml())``
    """

    pod: dict[str, Any]
    objects: tuple[dict[str, Any], ...] = ()

    def to_yaml(self) -> str:
        """All of it as one YAML stream, such that ``kubectl create -f -`` takes it."""
        return "---\n".join(yamltext.dump(item) for item in (*self.objects, self.pod))


def build(plan: Plan) -> Manifest:
    """The manifest of a plan. Raises ``InvalidSpec`` when the job's patch does what it may not."""
    placed = list(volumes.placed(plan))
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": plan.run_id,
            "namespace": plan.namespace,
            "labels": labels.pod_labels(plan),
            "annotations": labels.pod_annotations(plan),
        },
        "spec": _spec(plan, placed),
    }
    extras = {"initContainers": _extras(plan)} if plan.job.init_containers or plan.job.sidecars else {}
    if extras or plan.job.patch:
        pod = patch.patched(plan, pod, {"spec": extras}, plan.job.patch or {})
    return Manifest(pod, (_files_object(plan),) if plan.files else ())


def _spec(plan: Plan, placed: list[Placed]) -> dict[str, Any]:
    job = plan.job
    before = [containers.save(plan, placed)] if plan.save else []
    before += [containers.fetch(plan, placed)] if plan.fetch else []
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": SAVING_GRACE if plan.save else PLAIN_GRACE,
        "containers": [containers.main(plan, placed)],
        "volumes": [item.volume for item in placed],
        "initContainers": before,
        "activeDeadlineSeconds": int(job.timeout) + BACKSTOP if job.timeout else None,
        "serviceAccountName": job.service_account,
        "priorityClassName": job.priority_class,
        "imagePullSecrets": [{"name": name} for name in job.image_pull_secrets],
        "nodeSelector": dict(job.node_selector),
        "tolerations": [_plain(item) for item in job.tolerations],
        "affinity": _affinity(plan),
        "securityContext": containers.pod_security(plan),
    }
    return {key: value for key, value in spec.items() if value or value is False}


def _extras(plan: Plan) -> list[dict[str, Any]]:
    sidecars = [{**item, "restartPolicy": "Always"} for item in plan.job.sidecars]
    return [*(_plain(item) for item in (*plan.job.init_containers, *sidecars))]


def _affinity(plan: Plan) -> dict[str, Any]:
    affinity = _plain(plan.job.affinity or {})
    terms = [_plain(term) for use in plan.uses if use.mount for term in use.mount.node_affinity]
    if terms:
        node = affinity.setdefault("nodeAffinity", {})
        required = node.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
        own = required.get("nodeSelectorTerms") or [{}]
        # Terms of a list are alternatives: every one of the job's own must hold with every storage's.
        required["nodeSelectorTerms"] = [_joined(term, terms) for term in own]
    return affinity


def _joined(term: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    expressions = list(term.get("matchExpressions") or [])
    for other in others:
        expressions += other.get("matchExpressions") or []
    return {**term, "matchExpressions": expressions}


def _files_object(plan: Plan) -> dict[str, Any]:
    data = {
        volumes.files_key(index, file): base64.b64encode(file.data).decode() for index, file in enumerate(plan.files)
    }
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": volumes.files_name(plan),
            "namespace": plan.namespace,
            "labels": {labels.RUN: plan.run_id, labels.LAUNCHER: plan.launcher_id},
        },
        "binaryData": data,
        "immutable": True,
    }


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """A deep copy: what a user handed in is never part of what we send, and never changed."""
    return copy.deepcopy(dict(value))
