"""What can be asked of a pod or a service account beside its fields: binding, eviction, tokens; and who
one is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import attrs

from launcher.local.api.intake import rfc3339
from launcher.local.api.query import Query
from launcher.local.api.registry import Registry
from launcher.local.api.removal import Deletion
from launcher.local.api.resources import BY_KIND
from launcher.local.api.status import (
    Cause,
    bad_request,
    conflict,
    invalid,
    invalid_object,
    invalid_options,
    required,
    uid_mismatch,
    unsupported,
)
from launcher.local.api.store import Stored
from launcher.local.api.tokens import Tokens

_POD = BY_KIND["Pod"]

# Seconds: Kubernetes' shortest and longest life of a service account's token.
TOKEN_SHORTEST = 600
TOKEN_LONGEST = 2**32

# Whom a token is for that names nobody.
AUDIENCE = "https://kubernetes.default.svc"

# Phases in which an eviction is an ordinary delete.
_NOT_RUNNING = ("Pending", "Succeeded", "Failed")

_POLICIES = ("Foreground", "Background", "Orphan")

SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


def bind(registry: Registry, pod: Stored, body: Any, query: Query) -> dict[str, Any]:
    """POST pods/NAME/binding: the scheduler's decision. Raises 409 when the pod has a node already."""
    binding = registry.intake().read("Binding", body)
    node, spec, name = binding["target"].get("name", ""), pod.object["spec"], pod.key[1]
    metadata = binding.get("metadata", {})
    if metadata.get("name", name) != name:
        raise bad_request("name in URL does not match name in Binding object")
    if not node:
        raise invalid_object("Binding", "", name, [required("target.name")])
    if (kind := binding["target"].get("kind", "")) not in ("", "Node"):
        raise invalid_object("Binding", "", name, [unsupported("target.kind", kind, ["Node", "<empty>"])])
    if (uid := metadata.get("uid", pod.metadata["uid"])) != pod.metadata["uid"]:
        raise uid_mismatch(_POD, pod.key, uid, pod.metadata["uid"])
    problem = ""
    if "deletionTimestamp" in pod.metadata:
        problem = f"pod {name} is being deleted, cannot be assigned to a host"
    elif spec.get("nodeName"):
        problem = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
    elif spec.get("schedulingGates"):
        problem = f"pod {name} has non-empty .spec.schedulingGates"
    if problem:
        raise conflict("pods/binding", name, problem)
    if query.dry_run:
        return SUCCESS
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
    policy = options.get("propagationPolicy")
    if policy and "orphanDependents" in options:
        text = "orphanDependents and deletionPropagation cannot be both set"
        raise invalid_options("DeleteOptions", invalid("propagationPolicy", policy, text))
    if policy not in (None, *_POLICIES):
        raise invalid_options("DeleteOptions", unsupported("propagationPolicy", policy, [*_POLICIES, "nil"]))
    return Deletion(
        grace=options.get("gracePeriodSeconds"),
        uid=preconditions.get("uid", ""),
        version=preconditions.get("resourceVersion", ""),
        orphan=policy == "Orphan" or options.get("orphanDependents") is True,
        foreground=policy == "Foreground",
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
        bound = "less than 10 minutes" if seconds < TOKEN_SHORTEST else "larger than 2^32 seconds"
        text = f"may not specify a duration {bound}"
        causes = [invalid("spec.expirationSeconds", seconds, text)]
        raise invalid_object("TokenRequest", "authentication.k8s.io", "", causes)
    expires = registry.now() + timedelta(seconds=seconds)
    token = tokens.issue(f"system:serviceaccount:{account.key[0]}:{account.key[1]}", registry.now(), expires)
    return {
        "kind": "TokenRequest",
        "apiVersion": "authentication.k8s.io/v1",
        "metadata": {
            "name": account.key[1],
            "namespace": account.key[0],
            "uid": account.metadata["uid"],
            "creationTimestamp": rfc3339(registry.now()),
        },
        "spec": {"audiences": [AUDIENCE], **request["spec"]},
        "status": {"token": token, "expirationTimestamp": rfc3339(expires)},
    }


@attrs.frozen
class Asker:
    """Who asks, in which namespace, and whose tokens count."""

    user: str
    namespace: str
    tokens: Tokens


def answer_question(registry: Registry, kind: str, body: Any, asker: Asker) -> dict[str, Any]:
    """POST of a review: everybody who has a token may do everything here. Raises 400 and 422."""
    question = registry.intake().read(kind, body)
    spec = question.get("spec", {})
    if kind in _ACCESS and (cause := _misasked(kind, spec, asker.namespace)):
        # Without a kind, as the real server says it.
        raise invalid_object("", "authorization.k8s.io", "", [cause])
    metadata = {**question.get("metadata", {}), **({"namespace": asker.namespace} if asker.namespace else {})}
    if kind == "SelfSubjectReview":
        metadata["creationTimestamp"] = rfc3339(registry.now())
    return {**question, "metadata": metadata, "status": _ANSWERS[kind](registry, spec, asker)}


def _misasked(kind: str, spec: Mapping[str, Any], namespace: str) -> Cause | None:
    attributes = spec.get("resourceAttributes")
    if (attributes is None) is (spec.get("nonResourceAttributes") is None):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        return invalid("spec.resourceAttributes", attributes, text)
    if kind != "SelfSubjectAccessReview" and not spec.get("user") and not spec.get("groups"):
        return invalid("spec.user", "", "at least one of user or group must be specified")
    if namespace and (attributes or {}).get("namespace", "") != namespace:
        asked = (attributes or {}).get("namespace", "")
        return invalid("spec.resourceAttributes.namespace", asked, "must match metadata.namespace")
    return None


def _user(name: str) -> dict[str, Any]:
    if name.startswith("system:serviceaccount:"):
        return {"username": name, "groups": ["system:authenticated"]}
    return {"username": name, "uid": "admin", "groups": _ADMIN_GROUPS}


def _who(_registry: Registry, _spec: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
    return {"userInfo": _user(asker.user)}


def _may(_registry: Registry, _spec: Mapping[str, Any], _asker: Asker) -> dict[str, Any]:
    return {"allowed": True}


def _rules(_registry: Registry, spec: Mapping[str, Any], _asker: Asker) -> dict[str, Any]:
    if not spec.get("namespace"):
        raise bad_request("no namespace on request")
    return {
        "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        "incomplete": False,
    }


def _token_of(registry: Registry, spec: Mapping[str, Any], asker: Asker) -> dict[str, Any]:
    token = spec.get("token", "")
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    user = asker.tokens.user(f"Bearer {token}", registry.now())
    if user is None:
        return {"user": {}, "error": "invalid bearer token"}
    return {"authenticated": True, "user": _user(user)}


_ADMIN_GROUPS = ["system:masters", "system:authenticated"]

# The questions about what somebody may do.
_ACCESS = ("SelfSubjectAccessReview", "SubjectAccessReview", "LocalSubjectAccessReview")

_ANSWERS: Mapping[str, Callable[[Registry, Mapping[str, Any], Asker], dict[str, Any]]] = {
    **dict.fromkeys(_ACCESS, _may),
    "SelfSubjectReview": _who,
    "SelfSubjectRulesReview": _rules,
    "TokenReview": _token_of,
}
