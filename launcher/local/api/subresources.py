"""What can be asked of a pod or a service account beside its fields: binding, eviction, tokens; and who
one is."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from launcher.local.api.intake import rfc3339
from launcher.local.api.registry import Registry
from launcher.local.api.removal import Deletion
from launcher.local.api.resources import BY_KIND
from launcher.local.api.status import bad_request, conflict, invalid, invalid_object, required
from launcher.local.api.store import Stored
from launcher.local.api.tokens import Tokens

_POD = BY_KIND["Pod"]

# Seconds: Kubernetes' shortest and longest life of a service account's token.
TOKEN_SHORTEST = 600
TOKEN_LONGEST = 2**32

# Phases in which an eviction is an ordinary delete.
_NOT_RUNNING = ("Pending", "Succeeded", "Failed")

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(registry: Registry, pod: Stored, body: Any) -> dict[str, Any]:
    """POST pods/NAME/binding: the scheduler's decision. Raises 409 when the pod has a node already."""
    binding = registry.intake().read("Binding", body)
    node, spec, name = binding["target"].get("name", ""), pod.object["spec"], pod.key[1]
    if not node:
        raise invalid_object("Binding", "", name, [required("target.name")])
    problem = ""
    if binding.get("metadata", {}).get("uid", pod.metadata["uid"]) != pod.metadata["uid"]:
        problem = "the UID in the precondition does not match the UID in record"
    elif "deletionTimestamp" in pod.metadata:
        problem = f"pod {name} is being deleted, cannot be assigned to a host"
    elif spec.get("nodeName"):
        problem = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    elif spec.get("schedulingGates"):
        problem = f"pod {name} has non-empty .spec.schedulingGates"
    if problem:
        raise conflict("pods/binding", name, problem)
    status = with_condition(registry, pod, {"type": "PodScheduled", "status": "True"})
    registry.update(_POD, pod, {**pod.object, "spec": {**spec, "nodeName": node}, "status": status})
    return SUCCESS


def evict(registry: Registry, pod: Stored, body: Any) -> dict[str, Any]:
    """POST pods/NAME/eviction: mark a running pod as disrupted, then delete it with its grace."""
    eviction = registry.intake().read("Eviction", body)
    if eviction.get("metadata", {}).get("name", pod.key[1]) != pod.key[1]:
        raise bad_request("name in URL does not match name in Eviction object")
    deletion = deletion_of(eviction.get("deleteOptions", {}))
    deletion.check(_POD, pod)
    if deletion.dry_run:
        return SUCCESS
    if pod.object["status"].get("phase") not in _NOT_RUNNING and "deletionTimestamp" not in pod.metadata:
        reason = {"reason": "EvictionByEvictionAPI", "message": "Eviction API: evicting"}
        status = with_condition(registry, pod, {"type": "DisruptionTarget", "status": "True", **reason})
        pod = registry.update(_POD, pod, {**pod.object, "status": status})
    registry.delete(_POD, pod, Deletion(grace=deletion.grace))
    return SUCCESS


def deletion_of(options: dict[str, Any]) -> Deletion:
    """The decoded DeleteOptions as our own value."""
    preconditions = options.get("preconditions", {})
    return Deletion(
        grace=options.get("gracePeriodSeconds"),
        uid=preconditions.get("uid", ""),
        version=preconditions.get("resourceVersion", ""),
        orphan=options.get("propagationPolicy") == "Orphan" or options.get("orphanDependents") is True,
        dry_run="All" in options.get("dryRun", []),
    )


def with_condition(registry: Registry, pod: Stored, condition: dict[str, Any]) -> dict[str, Any]:
    """The pod's status with the condition in the place of one of its type, or at the end."""
    status: dict[str, Any] = pod.object["status"]
    old = status.get("conditions", [])
    same = next((item for item in old if item.get("type") == condition["type"]), None)
    moment = rfc3339(registry.now())
    if same is not None and same.get("status") == condition["status"]:
        moment = same.get("lastTransitionTime", moment)
    new = {**condition, "lastTransitionTime": moment}
    return {**status, "conditions": [new if item is same else item for item in old] + ([] if same else [new])}


def issue_token(registry: Registry, account: Stored, body: Any, tokens: Tokens) -> dict[str, Any]:
    """POST serviceaccounts/NAME/token: a token that this server accepts until it expires."""
    request = registry.intake().read("TokenRequest", body)
    seconds = request["spec"]["expirationSeconds"]
    if not TOKEN_SHORTEST <= seconds <= TOKEN_LONGEST:
        text = "may not specify a duration less than 10 minutes or larger than 2^32 seconds"
        causes = [invalid("spec.expirationSeconds", seconds, text)]
        raise invalid_object("TokenRequest", "authentication.k8s.io", account.key[1], causes)
    expires = registry.now() + timedelta(seconds=seconds)
    token = tokens.issue(f"system:serviceaccount:{account.key[0]}:{account.key[1]}", registry.now(), expires)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {"name": account.key[1], "namespace": account.key[0]},
        "spec": request["spec"],
        "status": {"token": token, "expirationTimestamp": rfc3339(expires)},
    }


def answer_question(registry: Registry, kind: str, body: Any, user: str) -> dict[str, Any]:
    """POST of a review: everybody who has a token may do everything here."""
    question = registry.intake().read(kind, body)
    return {"metadata": {}, **question, "status": _ANSWERS[kind](user)}


def _who(user: str) -> dict[str, Any]:
    groups = ["system:authenticated"] if user.startswith("system:serviceaccount:") else _ADMIN_GROUPS
    return {"userInfo": {"username": user, "groups": groups}}


def _may(_user: str) -> dict[str, Any]:
    return {"allowed": True, "reason": "the local cluster allows everything"}


def _rules(_user: str) -> dict[str, Any]:
    every = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]
    return {
        "resourceRules": every,
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }


_ADMIN_GROUPS = ["system:masters", "system:authenticated"]

_ANSWERS = {"SelfSubjectReview": _who, "SelfSubjectAccessReview": _may, "SelfSubjectRulesReview": _rules}
