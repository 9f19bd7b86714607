"""The requests whose answers are compared with a real API server's: scenarios of steps. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

JSON = "application/json"
MERGE = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
YAML = "application/yaml"

NS = "/api/v1/namespaces/<ns>"
CONFIGS, PODS, SECRETS = f"{NS}/configmaps", f"{NS}/pods", f"{NS}/secrets"
CLAIMS, EVENTS, ACCOUNTS = f"{NS}/persistentvolumeclaims", f"{NS}/events", f"{NS}/serviceaccounts"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/<ns>/leases"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/<ns>/roles"
AUTHORIZATION = "/apis/authorization.k8s.io/v1"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"


@attrs.frozen
class Step:
    """One request. ``keep`` names its answer for later steps."""

    method: str
    path: str
    body: Any = None
    content_type: str = JSON
    keep: str = ""


@attrs.frozen
class Scenario:
    """Steps that follow one another, in a namespace of their own."""

    name: str
    steps: tuple[Step, ...]

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return f"answers-{self.name}"


def _config(name: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": name, **more.pop("metadata", {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": "1"}, **more}


def _pod(name: str, **spec: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "busybox:1", "command": ["true"]}
    own = {"serviceAccountName": "default", "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": own}


def _named(kind: str, version: str, name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


def _owned(name: str, owner: str, **reference: Any) -> dict[str, Any]:
    own = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": f"<{owner}.uid>", **reference}
    return _config(name, metadata={"ownerReferences": [own]})


def _applied(name: str, data: dict[str, str] | None, **metadata: Any) -> dict[str, Any]:
    value = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return value if data is None else {**value, "data": data}


_STORAGE = {"requests": {"storage": "1Gi"}}
_CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": _STORAGE}
_LEASE = {"holderIdentity": "me", "leaseDurationSeconds": 15}
_RULES = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
_ASKED = {"resourceAttributes": {"namespace": "default", "verb": "get", "resource": "pods"}}

_OBJECTS = (
    Scenario(
        "configmaps",
        (
            Step("POST", CONFIGS, _config("a", metadata={"labels": {"x": "1"}}), keep="a"),
            Step("GET", f"{CONFIGS}/a"),
            Step("POST", CONFIGS, _config("a")),
            Step("GET", f"{CONFIGS}/none"),
            Step("PUT", f"{CONFIGS}/a", _config("a", data={"b": "2"})),
            Step("PUT", f"{CONFIGS}/a", _config("a", metadata={"resourceVersion": "<a.version>"})),
            Step("PUT", f"{CONFIGS}/a", _config("b")),
            Step("PUT", f"{CONFIGS}/none", _config("none")),
            Step("PUT", f"{CONFIGS}/a", _config("a", metadata={"uid": "other"})),
            Step("POST", CONFIGS, _config("Bad_Name")),
            Step("POST", CONFIGS, _config("c", metadata={"namespace": "elsewhere"})),
            Step("POST", CONFIGS, _config("c", metadata={"resourceVersion": "7"})),
            Step("POST", CONFIGS, _config("c", data={"bad key": "1"})),
            Step("POST", CONFIGS, _config("c", metadata={"labels": {"x": "bad value"}})),
            Step("POST", CONFIGS, _config("c", data=7)),
            Step("POST", CONFIGS, _config("c", data={"x": 7})),
            Step("POST", CONFIGS, _config("fixed", immutable=True)),
            Step("PATCH", f"{CONFIGS}/fixed", {"data": {"a": "2"}}, MERGE),
            Step("PATCH", f"{CONFIGS}/fixed", {"immutable": False}, MERGE),
            Step("DELETE", f"{CONFIGS}/a"),
            Step("DELETE", f"{CONFIGS}/a"),
            Step("POST", "/api/v1/namespaces/nowhere/configmaps", _config("c")),
            Step("GET", "/api/v1/namespaces/nowhere/configmaps"),
        ),
    ),
    Scenario(
        "kinds",
        (
            Step("POST", SECRETS, _named("Secret", "v1", "s", stringData={"k": "v"})),
            Step("PATCH", f"{SECRETS}/s", {"type": "other"}, MERGE),
            Step("POST", SECRETS, _named("Secret", "v1", "t", type="kubernetes.io/tls")),
            Step("POST", SECRETS, _named("Secret", "v1", "t", data={"k": "not base64!"})),
            Step("DELETE", f"{SECRETS}/s"),
            Step("POST", CLAIMS, _named("PersistentVolumeClaim", "v1", "c", spec=_CLAIM)),
            Step("PATCH", f"{CLAIMS}/c", {"spec": {"accessModes": ["ReadOnlyMany"]}}, MERGE),
            Step("POST", CLAIMS, _named("PersistentVolumeClaim", "v1", "d", spec={})),
            Step("POST", LEASES, _named("Lease", "coordination.k8s.io/v1", "l", spec=_LEASE)),
            Step("POST", LEASES, _named("Lease", "coordination.k8s.io/v1", "m", spec={"leaseDurationSeconds": 0})),
            Step("PATCH", f"{LEASES}/l", {"spec": {"leaseTransitions": -1}}, MERGE),
            Step("GET", LEASES),
            Step("DELETE", f"{LEASES}/l"),
            Step("POST", ROLES, _named("Role", "rbac.authorization.k8s.io/v1", "r", rules=_RULES)),
            Step("POST", ROLES, _named("Role", "rbac.authorization.k8s.io/v1", "q", rules=[{"verbs": []}])),
            Step("DELETE", f"{ROLES}/r"),
            Step("POST", EVENTS, _named("Event", "v1", "e", involvedObject={"namespace": "<ns>"}, reason="R")),
            Step("POST", EVENTS, _named("Event", "v1", "f", involvedObject={"namespace": "other"}, reason="R")),
            Step("GET", f"{EVENTS}?fieldSelector=reason%3DR"),
            Step("POST", ACCOUNTS, _named("ServiceAccount", "v1", "a")),
            Step("POST", "/api/v1/namespaces", _named("Namespace", "v1", "a.b")),
            Step("POST", "/api/v1/namespaces", _named("Namespace", "v1", "answers-more")),
            Step("DELETE", "/api/v1/namespaces/default"),
            Step("DELETE", "/api/v1/namespaces"),
        ),
    ),
    Scenario(
        "names",
        (
            Step("POST", CONFIGS, {"metadata": {"generateName": "generated-"}, "data": {}}),
            Step("POST", CONFIGS, {"metadata": {"generateName": "Bad_"}}),
            Step("POST", CONFIGS, {"metadata": {}}),
            Step("POST", CONFIGS, {}),
            Step("POST", f"{CONFIGS}?dryRun=All", _config("dry")),
            Step("GET", f"{CONFIGS}/dry"),
            Step("POST", f"{CONFIGS}?dryRun=Some", _config("dry")),
            Step("POST", CONFIGS, _config("real")),
            Step("PATCH", f"{CONFIGS}/real?dryRun=All", {"data": {"b": "2"}}, MERGE),
            Step("DELETE", f"{CONFIGS}/real?dryRun=All"),
            Step("DELETE", f"{CONFIGS}?dryRun=All"),
            Step("GET", f"{CONFIGS}/real"),
        ),
    ),
    Scenario(
        "fields",
        (
            Step("POST", f"{CONFIGS}?fieldValidation=Strict", _config("a", extra=1)),
            Step("POST", f"{CONFIGS}?fieldValidation=Warn", _config("a", extra=1)),
            Step("POST", f"{CONFIGS}?fieldValidation=Ignore", _config("b", extra=1)),
            Step("POST", f"{CONFIGS}?fieldValidation=Loose", _config("c")),
            Step("PATCH", f"{CONFIGS}/a?fieldValidation=Strict", {"extra": 1}, MERGE),
            Step("PUT", f"{CONFIGS}/a?fieldValidation=Strict", _config("a", extra=1)),
            Step("POST", f"{PODS}?fieldValidation=Strict", _pod("p", hostnme="x", containers=[{"nam": "a"}])),
            Step("POST", f"{CONFIGS}?fieldValidation=Strict", '{"metadata":{"name":"d"},"data":{"a":"1","a":"2"}}'),
        ),
    ),
)

_REFUSED = (
    Scenario(
        "bodies",
        (
            Step("POST", CONFIGS, "{nonsense"),
            Step("POST", CONFIGS, ""),
            Step("POST", CONFIGS, "[]"),
            Step("POST", CONFIGS, "null"),
            Step("POST", CONFIGS, {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x"}}),
            Step("POST", CONFIGS, {"kind": "ConfigMap", "apiVersion": "v2", "metadata": {"name": "x"}}),
            Step("POST", CONFIGS, {"kind": "Nothing", "apiVersion": "v1", "metadata": {"name": "x"}}),
            Step("POST", CONFIGS, "metadata: {name: plain}\ndata: {a: b}\n", YAML),
            Step("POST", CONFIGS, "metadata: [unclosed", YAML),
            Step("POST", CONFIGS, "a=b", "application/x-www-form-urlencoded"),
            Step("POST", CONFIGS, "a", "text/plain"),
            Step("PATCH", f"{CONFIGS}/y", {}, JSON),
            Step("PATCH", f"{CONFIGS}/y", "[1", JSON_PATCH),
            Step("PATCH", f"{CONFIGS}/y", "{1", MERGE),
            Step("PATCH", f"{CONFIGS}/y", "[]", MERGE),
            Step("DELETE", f"{CONFIGS}/y", "{nonsense"),
            Step("DELETE", f"{CONFIGS}/y", {"propagationPolicy": "Sideways"}),
            Step("DELETE", f"{CONFIGS}/y", {"propagationPolicy": "Orphan", "orphanDependents": True}),
            Step("DELETE", f"{CONFIGS}/y?gracePeriodSeconds=x"),
        ),
    ),
    Scenario(
        "methods",
        (
            Step("POST", f"{CONFIGS}/x", _config("x")),
            Step("PUT", CONFIGS, _config("x")),
            Step("PATCH", CONFIGS, {}, MERGE),
            Step("POST", "/api/v1/configmaps", _config("x")),
            Step("DELETE", "/api/v1/configmaps"),
            Step("GET", f"{AUTHORIZATION}/selfsubjectaccessreviews"),
            Step("GET", f"{PODS}/x/binding"),
            Step("GET", f"{PODS}/x/eviction"),
            Step("DELETE", f"{PODS}/x/status"),
            Step("GET", "/api/v1/namespaces/<ns>/things"),
            Step("GET", f"{CONFIGS}/x/status"),
            Step("GET", "/api/v2/pods"),
            Step("GET", "/apis/nothing.example/v1/things"),
        ),
    ),
    Scenario(
        "lists",
        (
            Step("POST", CONFIGS, _config("a", metadata={"labels": {"n": "1"}})),
            Step("POST", CONFIGS, _config("b", metadata={"labels": {"n": "2"}})),
            Step("POST", CONFIGS, _config("c")),
            Step("GET", f"{CONFIGS}?limit=2", keep="page"),
            Step("GET", f"{CONFIGS}?limit=2&continue=<page.continue>"),
            Step("GET", f"{CONFIGS}?continue=nonsense"),
            Step("GET", f"{CONFIGS}?limit=x"),
            Step("GET", f"{CONFIGS}?labelSelector=n"),
            Step("GET", f"{CONFIGS}?labelSelector=n%21%3D1&limit=1"),
            Step("GET", f"{CONFIGS}?labelSelector=n+in+%281,2%29,n+notin+%282%29"),
            Step("GET", f"{CONFIGS}?labelSelector=n+in"),
            Step("GET", f"{CONFIGS}?labelSelector=a%3Db%3Dc"),
            Step("GET", f"{CONFIGS}?labelSelector=%3D"),
            Step("GET", f"{CONFIGS}?fieldSelector=metadata.name%3Da"),
            Step("GET", f"{CONFIGS}?fieldSelector=data.a%3D1"),
            Step("GET", f"{CONFIGS}?fieldSelector=nonsense"),
            Step("GET", f"{PODS}?fieldSelector=spec.color%3Dred"),
            Step("GET", f"{CONFIGS}?resourceVersion=x"),
            Step("GET", f"{CONFIGS}?resourceVersionMatch=Exact"),
            Step("GET", f"{CONFIGS}?resourceVersionMatch=Sometimes&resourceVersion=1"),
            Step("GET", f"{CONFIGS}?watch=true&resourceVersion=x"),
            Step("GET", f"{CONFIGS}?watch=true&labelSelector=%3D"),
            Step("GET", f"{CONFIGS}?watch=true&sendInitialEvents=true"),
            Step("GET", f"{CONFIGS}?watch=true&timeoutSeconds=x"),
            Step("DELETE", f"{CONFIGS}?labelSelector=n"),
            Step("GET", CONFIGS),
        ),
    ),
)

_PATCHES = (
    Scenario(
        "patches",
        (
            Step("POST", CONFIGS, _config("a"), keep="a"),
            Step("PATCH", f"{CONFIGS}/a", {"data": {"b": "2", "a": None}}, MERGE),
            Step("PATCH", f"{CONFIGS}/a", [{"op": "add", "path": "/data/c", "value": "3"}], JSON_PATCH),
            Step("PATCH", f"{CONFIGS}/a", [{"op": "test", "path": "/data/c", "value": "4"}], JSON_PATCH),
            Step("PATCH", f"{CONFIGS}/a", [{"op": "remove", "path": "/data/none"}], JSON_PATCH),
            Step("PATCH", f"{CONFIGS}/a", [{"op": "dance", "path": "/data"}], JSON_PATCH),
            Step("PATCH", f"{CONFIGS}/a", {"op": "add"}, JSON_PATCH),
            Step("PATCH", f"{CONFIGS}/a", {"data": {"$patch": "replace", "z": "9"}}, STRATEGIC),
            Step("PATCH", f"{CONFIGS}/a", {"metadata": {"resourceVersion": "1"}}, MERGE),
            Step("PATCH", f"{CONFIGS}/a", {"metadata": {"name": "b"}}, MERGE),
            Step("PATCH", f"{CONFIGS}/none", {"data": {}}, MERGE),
            Step("PATCH", f"{CONFIGS}/a", {}, MERGE),
        ),
    ),
    Scenario(
        "pods",
        (
            Step("POST", PODS, _pod("p"), keep="p"),
            Step("PATCH", f"{PODS}/p", {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}, STRATEGIC),
            Step("PATCH", f"{PODS}/p", {"spec": {"restartPolicy": "Never"}}, MERGE),
            Step("PATCH", f"{PODS}/p", {"metadata": {"labels": {"x": "1"}}}, STRATEGIC),
            Step("PATCH", f"{PODS}/p/status", {"status": {"phase": "Running"}}, MERGE),
            Step("POST", PODS, _pod("q", containers=[])),
            Step("POST", PODS, _pod("q", containers=[{"name": "main"}])),
            Step("POST", PODS, _pod("q", restartPolicy="Sometimes")),
            Step("POST", PODS, _pod("q", containers="x")),
            Step("DELETE", f"{PODS}/p", {"preconditions": {"uid": "other"}}),
            Step("DELETE", f"{PODS}/p", {"preconditions": {"resourceVersion": "1"}}),
            Step("DELETE", f"{PODS}/p", {"preconditions": {"uid": "<p.uid>"}}),
            Step("DELETE", f"{PODS}/p"),
        ),
    ),
    Scenario(
        "applies",
        (
            Step("PATCH", f"{CONFIGS}/a", _applied("a", {"x": "1", "y": "1"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=one", _applied("a", {"x": "1", "y": "1"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=one", _applied("a", {"x": "1"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", _applied("a", {"x": "2"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two&force=true", _applied("a", {"x": "2"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=one", _applied("a", {"x": "1", "w": "1"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=one", _applied("a", None), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", _applied("a", {"x": "2"}, labels={"l": "1"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", _applied("a", {"x": "2"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=edit", {"data": {"x": "3"}}, MERGE),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", _applied("a", {"x": "2"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", {"data": {"x": "2"}}, APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", _applied("b", {"x": "2"}), APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", "nonsense: [", APPLY),
            Step("PATCH", f"{CONFIGS}/a?fieldManager=two", _applied("a", {"x": "2"}, managedFields=[{}]), APPLY),
            Step("PATCH", f"{CONFIGS}/a?force=true", {"data": {}}, MERGE),
            Step("PATCH", f"{CONFIGS}/new?fieldManager=two&dryRun=All", _applied("new", {"x": "2"}), APPLY),
            Step("GET", f"{CONFIGS}/new"),
            Step("PATCH", f"{PODS}/p?fieldManager=one", _pod("p"), APPLY),
            Step("PATCH", f"{PODS}/p?fieldManager=one", _pod("p", tolerations=[{"key": "a"}]), APPLY),
        ),
    ),
)

_ENDS = (
    Scenario(
        "deletion",
        (
            Step("POST", CONFIGS, _config("held", metadata={"finalizers": ["example.com/hold"]})),
            Step("DELETE", f"{CONFIGS}/held"),
            Step("GET", f"{CONFIGS}/held"),
            Step("POST", CONFIGS, _config("held")),
            Step("PATCH", f"{CONFIGS}/held", {"metadata": {"finalizers": ["example.com/more"]}}, MERGE),
            Step("PATCH", f"{CONFIGS}/held", {"metadata": {"finalizers": None}}, MERGE),
            Step("GET", f"{CONFIGS}/held"),
            Step("POST", CONFIGS, _config("bad", metadata={"finalizers": ["nonsense"]})),
            Step("POST", CONFIGS, _config("owner"), keep="owner"),
            Step("POST", CONFIGS, _owned("owned", "owner", blockOwnerDeletion=True)),
            Step("POST", CONFIGS, _owned("wrong", "owner", uid="")),
            Step("DELETE", f"{CONFIGS}/owner", {"propagationPolicy": "Foreground"}),
            Step("GET", f"{CONFIGS}/owner"),
            Step("POST", CONFIGS, _config("keeper"), keep="keeper"),
            Step("POST", CONFIGS, _owned("kept", "keeper")),
            Step("DELETE", f"{CONFIGS}/keeper", {"propagationPolicy": "Orphan"}),
            Step("POST", CONFIGS, _config("parent"), keep="parent"),
            Step("DELETE", f"{CONFIGS}/parent", {"propagationPolicy": "Background"}),
        ),
    ),
    Scenario(
        "binding",
        (
            Step("POST", PODS, _pod("p"), keep="p"),
            Step("POST", f"{PODS}/p/binding?dryRun=All", {"metadata": {"name": "p"}, "target": {"name": "n"}}),
            Step("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {}}),
            Step("POST", f"{PODS}/p/binding", {"metadata": {"name": "q"}, "target": {"name": "n"}}),
            Step("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"name": "n", "kind": "Cloud"}}),
            Step("POST", f"{PODS}/p/binding", {"metadata": {"name": "p", "uid": "x"}, "target": {"name": "n"}}),
            Step("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}),
            Step("POST", f"{PODS}/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}),
            Step("POST", f"{PODS}/none/binding", {"metadata": {"name": "none"}, "target": {"name": "n"}}),
            Step("PATCH", f"{PODS}/p/status", {"status": {"phase": "Running"}}, MERGE),
            Step("DELETE", f"{PODS}/p?dryRun=All"),
            Step("DELETE", f"{PODS}/p?gracePeriodSeconds=5"),
            Step("POST", PODS, _pod("p")),
            Step("DELETE", f"{PODS}/p", {"gracePeriodSeconds": 0}),
        ),
    ),
    Scenario(
        "eviction",
        (
            Step("POST", PODS, _pod("p")),
            Step("POST", f"{PODS}/p/eviction", _named("Eviction", "policy/v1", "q")),
            Step("POST", f"{PODS}/p/eviction", {"metadata": {"name": "p"}}),
            Step("POST", f"{PODS}/none/eviction", _named("Eviction", "policy/v1", "none")),
            Step(
                "POST",
                f"{PODS}/p/eviction",
                _named("Eviction", "policy/v1", "p", deleteOptions={"preconditions": {"uid": "x"}}),
            ),
            Step("POST", f"{PODS}/p/eviction", _named("Eviction", "policy/v1", "p", deleteOptions={"dryRun": ["All"]})),
            Step("POST", f"{PODS}/p/eviction", _named("Eviction", "policy/v1", "p")),
            Step("GET", f"{PODS}/p"),
        ),
    ),
)

_QUESTIONS = (
    Scenario(
        "reviews",
        (
            Step("POST", ACCOUNTS, _named("ServiceAccount", "v1", "robot")),
            Step("POST", f"{ACCOUNTS}/robot/token", {"spec": {"expirationSeconds": 600}}),
            Step("POST", f"{ACCOUNTS}/robot/token", {"spec": {"expirationSeconds": 1}}),
            Step("POST", f"{ACCOUNTS}/none/token", {"spec": {}}),
            Step("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": _ASKED}),
            Step("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {"spec": {}}),
            Step("POST", f"{AUTHORIZATION}/selfsubjectaccessreviews", {}),
            Step("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {"namespace": "default"}}),
            Step("POST", f"{AUTHORIZATION}/selfsubjectrulesreviews", {"spec": {}}),
            Step("POST", f"{AUTHENTICATION}/selfsubjectreviews", {}),
            Step(
                "POST",
                f"{AUTHORIZATION}/subjectaccessreviews",
                {"spec": {**_ASKED, "user": "x", "groups": ["system:masters"]}},
            ),
            Step("POST", f"{AUTHORIZATION}/subjectaccessreviews", {"spec": _ASKED}),
            Step(
                "POST",
                f"{AUTHORIZATION}/namespaces/default/localsubjectaccessreviews",
                {"spec": {**_ASKED, "user": "x", "groups": ["system:masters"]}},
            ),
            Step(
                "POST",
                f"{AUTHORIZATION}/namespaces/<ns>/localsubjectaccessreviews",
                {"spec": {**_ASKED, "user": "x"}},
            ),
            Step("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {"token": "nonsense"}}),
            Step("POST", f"{AUTHENTICATION}/tokenreviews", {"spec": {}}),
        ),
    ),
)

SCENARIOS = (*_OBJECTS, *_REFUSED, *_PATCHES, *_ENDS, *_QUESTIONS)

# Why some of our answers aren't the real ones: by reason, each a scenario and the place of a step in it.
DIFFERENCES: Mapping[str, tuple[str, ...]] = {
    "the real one answers 500 to a client's mistake, ours 400 or 422": (
        "configmaps 12",
        "lists 21",
        "binding 3",
        "binding 5",
    ),
    "the real one shows the difference between two Go structs": ("kinds 7", "pods 3"),
    "the real one tells what its Go parsers and decoders say, ours what is wrong": (
        *(f"bodies {step}" for step in (1, 2, 3, 9, 16)),
        *(f"lists {step}" for step in (6, 11, 12, 13, 22)),
        "patches 7",
        "applies 14",
    ),
    "ours says what the real one leaves out": ("bodies 12", "methods 13", "patches 4", "patches 5", "patches 6"),
    "ours doesn't protect claims in use: nothing would take the finalizer away": ("kinds 6",),
    "ours refuses an unknown field of a patch as it does that of an object": ("fields 5",),
    "only managers that apply own fields in ours": ("applies 11", "applies 13"),
    "ours collects at once what waits for a controller in the recording": ("deletion 13", "deletion 16"),
    "ours has no roles: its one rule allows everything": ("reviews 8",),
}
