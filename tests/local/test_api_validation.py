"""What the API refuses, in Kubernetes' own words; and that it never breaks on what it is sent."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.local.api import ApiServer
from launcher.local.api.quantities import canonical, parse

TOKEN = "validation-token"
PODS = "/api/v1/namespaces/jobs/pods"
CORE = "/api/v1/namespaces/jobs"


class Client:
    """Requests of raw bodies, answered as status and JSON."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def send(self, method: str, path: str, body: Any, kind: str = "application/json") -> tuple[int, Any]:
        data = body
        if not isinstance(body, AsyncIterator):
            data = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        headers = {"Content-Type": kind}
        async with self._http.request(method, self._url + path, data=data, headers=headers) as answer:
            return answer.status, json.loads(await answer.read())

    async def refusal(self, body: Any, path: str = PODS) -> str:
        status, answer = await self.send("POST", path, body)
        assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Failure", status)
        return f"{status} {answer['message']}"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with ApiServer(token=TOKEN) as server, aiohttp.ClientSession(headers=headers) as http:
        client = Client(server.url, http)
        await client.send("POST", "/api/v1/namespaces", {"metadata": {"name": "jobs"}})
        yield client


def pod(**container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "busybox:1", **container}
    return {"metadata": {"name": "x"}, "spec": {"containers": [main], "volumes": [{"name": "v", "emptyDir": {}}]}}


def spec(**fields: Any) -> dict[str, Any]:
    body = pod()
    body["spec"] |= fields
    return body


def main(**fields: Any) -> dict[str, Any]:
    return {"name": "main", "image": "busybox:1", **fields}


MOUNT = {"name": "v", "mountPath": "/v"}
OVER = {"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}
C0 = "spec.containers[0]"

REFUSED: list[tuple[dict[str, Any], str]] = [
    (pod(volumeMounts=[{"name": "y", "mountPath": "/y"}]), f'{C0}.volumeMounts[0].name: Not found: "y"'),
    (pod(volumeMounts=[MOUNT, MOUNT]), f'{C0}.volumeMounts[1].mountPath: Invalid value: "/v": must be unique'),
    (pod(volumeMounts=[{"name": "v"}]), f"{C0}.volumeMounts[0].mountPath: Required value"),
    (pod(volumeMounts=[{**MOUNT, "subPath": "../x"}]), "must not contain '..'"),
    (pod(image=""), f"{C0}.image: Required value"),
    (pod(name=""), f"{C0}.name: Required value"),
    (pod(name="A"), f'{C0}.name: Invalid value: "A": a lowercase RFC 1123 label must consist of'),
    (pod(env=[{"name": "A=B"}]), "a valid environment variable name must consist only of printable ASCII"),
    (pod(env=[{"name": "A", "valueFrom": {}}]), f'{C0}.env[0].valueFrom: Invalid value: "": must specify one of'),
    (pod(imagePullPolicy="Sometimes"), 'Unsupported value: "Sometimes": supported values: "Always"'),
    (pod(resources=OVER), f'{C0}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1'),
    (pod(resources={"limits": {"gpu": "1"}}), "must be a standard resource for containers"),
    (pod(resources={"requests": {"nvidia.com/gpu": "1"}}), "Limit must be set for non overcommitable resources"),
    (spec(containers=[]), "spec.containers: Required value"),
    (spec(containers=[main(), main()]), 'spec.containers[1].name: Duplicate value: "main"'),
    (spec(initContainers=[main()]), 'spec.initContainers[0].name: Duplicate value: "main"'),
    (spec(initContainers=[main(name="i", livenessProbe={})]), "may not be set for init containers"),
    (spec(restartPolicy="Maybe"), 'spec.restartPolicy: Unsupported value: "Maybe"'),
    (spec(activeDeadlineSeconds=0), "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and"),
    (spec(terminationGracePeriodSeconds=-1), "must be greater than or equal to 0"),
    (spec(volumes=[{"name": "v"}, {"name": "v"}]), 'spec.volumes[1].name: Duplicate value: "v"'),
    (spec(volumes=[{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]), "may not specify more than 1"),
    (spec(volumes=[{"name": "v", "hostPath": {"path": "/a/../b"}}]), "must not contain '..'"),
    (spec(volumes=[{"name": "v", "hostPath": {}}]), "spec.volumes[0].hostPath.path: Required value"),
    (spec(nodeSelector={"a b": "c"}), "spec.nodeSelector: Invalid value"),
    ({"metadata": {"name": "x"}}, "spec: Required value"),
]


@pytest.mark.parametrize(("body", "words"), REFUSED, ids=[words[:50] for _, words in REFUSED])
async def test_invalid_pods_are_refused_in_kubernetes_words(client: Client, body: dict[str, Any], words: str) -> None:
    """Each mistake is a 422 that names the field and what is wrong with it."""
    refusal = await client.refusal(body)
    assert refusal.startswith('422 Pod "x" is invalid: ')
    assert words in refusal


async def test_all_mistakes_are_reported_at_once(client: Client) -> None:
    """A Status lists every cause by field, and its message holds them in brackets."""
    body = pod(volumeMounts=[{"name": "y", "mountPath": "/y"}], image="")
    status, answer = await client.send("POST", PODS, body)
    assert status == 422
    assert answer["reason"] == "Invalid"
    assert answer["message"] == (
        'Pod "x" is invalid: [spec.containers[0].image: Required value,'
        ' spec.containers[0].volumeMounts[0].name: Not found: "y"]'
    )
    assert answer["details"] == {
        "name": "x",
        "kind": "Pod",
        "causes": [
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.containers[0].image"},
            {
                "reason": "FieldValueNotFound",
                "message": 'Not found: "y"',
                "field": "spec.containers[0].volumeMounts[0].name",
            },
        ],
    }


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"name": "X"}, 'metadata.name: Invalid value: "X": a lowercase RFC 1123 subdomain'),
        ({"name": "a" * 254}, "must be no more than 253 bytes"),
        ({}, "metadata.name: Required value: name or generateName is required"),
        ({"name": "x", "labels": {"a": "b@c"}}, 'metadata.labels: Invalid value: "b@c": a valid label must be'),
        ({"name": "x", "labels": {"a" * 64: ""}}, "name part must be no more than 63 bytes"),
        ({"name": "x", "labels": {"A.b/c/d": ""}}, "metadata.labels: Invalid value"),
        ({"name": "x", "annotations": {"a": "b" * 262144}}, "Too long: may not be more than 262144 bytes"),
        ({"name": "x", "finalizers": ["a b"]}, "metadata.finalizers[0]: Invalid value"),
        (
            {"name": "x", "ownerReferences": [{"kind": "Pod"}]},
            'ownerReferences.uid: Invalid value: "": must not be empty',
        ),
    ],
)
async def test_metadata_is_checked(client: Client, metadata: dict[str, Any], words: str) -> None:
    """Names, labels, annotations, finalizers and owners, for every kind."""
    refusal = await client.refusal({"metadata": metadata}, f"{CORE}/configmaps")
    assert refusal.startswith("422 ConfigMap ")
    assert words in refusal


@pytest.mark.parametrize(
    ("plural", "body", "words"),
    [
        ("configmaps", {"data": {"a/b": ""}}, "422 data[a/b]: Invalid value"),
        ("configmaps", {"data": {"a": "x" * 1048577}}, "422 Too long: may not be more than 1048576 bytes"),
        ("configmaps", {"data": {"a": "x"}, "binaryData": {"a": "eA=="}}, "422 duplicate of key present in binaryData"),
        ("secrets", {"data": {"a": "not base64"}}, "400 illegal base64 data at input byte 3"),
        ("secrets", {"stringData": {"a": "x" * 1048577}}, "422 data: Too long"),
        ("secrets", {"type": "kubernetes.io/tls"}, "422 data[tls.crt]: Required value"),
        (
            "persistentvolumeclaims",
            {},
            "422 spec.accessModes: Required value: at least 1 access mode is required, spec.",
        ),
        (
            "persistentvolumeclaims",
            {"spec": {"accessModes": ["Any"]}},
            '422 spec.accessModes: Unsupported value: "Any"',
        ),
        (
            "pods",
            {
                "spec": {
                    "volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}],
                    "containers": [],
                }
            },
            "422 spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
        ),
        ("events", {"involvedObject": {"namespace": "other"}}, "422 does not match event.namespace"),
    ],
)
async def test_other_kinds_are_checked(client: Client, plural: str, body: dict[str, Any], words: str) -> None:
    """Keys, sizes, encodings and required fields; the value of a secret is never repeated."""
    refusal = await client.refusal({"metadata": {"name": "x"}, **body}, f"{CORE}/{plural}")
    status, _, text = words.partition(" ")
    assert refusal.startswith(status)
    assert text in refusal
    assert "not base64" not in refusal


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff\xfe", "is not valid JSON"),
        (b"[" * 100_000, "exceeded max depth"),
        (b'{"metadata":{"name":' + b"9" * 5000 + b"}}", "is not valid JSON"),
        (b'{"spec":NaN}', "is not valid JSON"),
        (b"[]", "must be a Pod object"),
        (b'{"kind":"Secret"}', "converting (v1.Secret) to (core.Pod): unknown conversion"),
        (b'{"apiVersion":"apps/v1"}', 'no kind "Pod" is registered for version "apps/v1" in scheme'),
        (b'{"metadata":[]}', "cannot unmarshal array into Go struct field Pod.metadata of type v1.ObjectMeta"),
        (
            b'{"spec":{"containers":[{"name":7}]}}',
            "cannot unmarshal number into Go struct field Container.spec.containers.name of type string",
        ),
        (
            b'{"spec":{"hostNetwork":"yes"}}',
            "cannot unmarshal string into Go struct field PodSpec.spec.hostNetwork of type bool",
        ),
        (b'{"spec":{"priority":2147483648}}', "of type int32"),
        (b'{"spec":{"overhead":{"cpu":"1x"}}}', "quantities must match the regular expression"),
        (b'{"metadata":{"creationTimestamp":"today"}}', 'cannot parse "today" as "2006"'),
        (b'{"metadata":{"creationTimestamp":"0000-01-01T00:00:00Z"}}', "year out of range"),
        (b'{"metadata":{"creationTimestamp":"9999-12-31T23:59:59-23:00"}}', "date out of range"),
    ],
)
async def test_what_cannot_be_decoded_is_a_bad_request(client: Client, body: bytes, words: str) -> None:
    """Broken JSON, another kind and wrong types are 400, named by their path."""
    refusal = await client.refusal(body)
    assert refusal.startswith("400 ")
    assert words in refusal


async def test_too_large_bodies_are_refused(client: Client) -> None:
    """Over 3 MiB is 413, announced or in chunks, and an object over 1.5 MiB too."""
    padded = json.dumps(pod()).encode() + b" " * (3 * 1024 * 1024)
    assert await client.refusal(padded) == "413 Request entity too large: limit is 3145728"

    async def chunks() -> AsyncIterator[bytes]:
        for at in range(0, len(padded), 65536):
            yield padded[at : at + 65536]

    status, _ = await client.send("POST", PODS, chunks())
    assert status == 413
    body = pod(args=["x" * (1536 * 1024)])
    assert await client.refusal(body) == "413 etcdserver: request is too large"


async def test_half_characters_are_replaced(client: Client) -> None:
    """A lone surrogate, which no other client could encode, becomes the replacement character."""
    body = pod()
    body["metadata"]["annotations"] = {"a": "\ud800!"}
    status, made = await client.send("POST", PODS, body)
    assert status == 201
    assert made["metadata"]["annotations"] == {"a": "\ufffd!"}


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5) | st.sampled_from(["1Gi", "..", "2026-01-01T00:00:00Z", "x" * 300]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "a", ""]), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip

EVERYTHING = pod(
    env=[{"name": "A", "value": "b"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
    envFrom=[{"configMapRef": {"name": "c"}}],
    ports=[{"containerPort": 80}],
    volumeMounts=[{**MOUNT, "subPath": "s"}],
    resources={"limits": {"cpu": "1"}, "requests": {"cpu": "500m"}},
    livenessProbe={"httpGet": {"port": 80}},
    command=["a"],
)
EVERYTHING["metadata"] |= {"labels": {"a": "b"}, "annotations": {"c": "d"}, "finalizers": ["e.f/g"]}
EVERYTHING["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "u"}]
EVERYTHING["spec"] |= {
    "volumes": [
        {"name": "v", "projected": {"sources": [{"secret": {"name": "s", "items": [{"key": "k", "path": "p"}]}}]}},
        {"name": "h", "hostPath": {"path": "/h"}},
    ],
    "tolerations": [{"key": "k", "operator": "Exists"}],
    "nodeSelector": {"a": "b"},
    "schedulingGates": [{"name": "a.b/c"}],
}
EVERYTHING["status"] = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "True"}],
    "containerStatuses": [{"name": "main", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value but its root."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(list(places(EVERYTHING))), junk=JUNK)
async def test_nothing_in_a_pod_breaks_the_server(client: Client, place: tuple[Any, ...], junk: Any) -> None:
    """Whatever stands at whatever place, the pod is made or refused, changed, shown and deleted without a 500."""
    body = copy.deepcopy(EVERYTHING)
    parent = body
    for key in place[:-1]:
        parent = parent[key]
    parent[place[-1]] = junk
    allowed = {200, 201, 400, 404, 409, 422}
    await client.send("POST", PODS, EVERYTHING)
    table = f"{PODS}?includeObject=Object"
    for method, path in (("POST", PODS), ("PUT", f"{PODS}/x"), ("PUT", f"{PODS}/x/status"), ("GET", table)):
        status, answer = await client.send(method, path, body)
        assert status in allowed, answer
    for kind in ("merge-patch", "strategic-merge-patch"):
        for path in (f"{PODS}/x", f"{PODS}/x/status"):
            status, answer = await client.send("PATCH", path, body, f"application/{kind}+json")
            assert status in allowed, answer
    await client.send("PATCH", f"{PODS}/x", {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    status, answer = await client.send("DELETE", f"{PODS}/x", {"gracePeriodSeconds": 0})
    assert status in allowed, answer


@given(st.text(max_size=70) | st.from_regex(r"\A[+-]?[0-9]{1,20}(\.[0-9]{1,12})?([numkMGTPE]|[KMGTPE]i|e[0-9])?\Z"))
def test_canonical_quantities_mean_the_same(text: str) -> None:
    """A quantity and its canonical form are equal, and the form is its own; anything else is a ValueError."""
    try:
        form = canonical(text)
    except ValueError:
        return
    assert parse(form) == parse(text)
    assert canonical(form) == form
