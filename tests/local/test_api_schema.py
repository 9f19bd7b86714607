"""The types of the API are Kubernetes' own, told as a real server tells them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from launcher.local.api import ApiServer
from launcher.local.api.decode import Schema
from launcher.local.api.patch import strategic
from launcher.local.api.resources import RESOURCES
from launcher.local.api.schema import Shapes, shapes
from launcher.local.api.schema_additions import ADDITIONS, EMBEDDED
from tests.local.schema_generator import TARGET, generate

TOKEN = "schema-token"
CORE = "/api/v1/namespaces/default"
RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
PATHS = {
    "Pod": f"{CORE}/pods",
    "ConfigMap": f"{CORE}/configmaps",
    "Secret": f"{CORE}/secrets",
    "PersistentVolumeClaim": f"{CORE}/persistentvolumeclaims",
    "Role": f"{RBAC}/roles",
}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with ApiServer(token=TOKEN) as server, aiohttp.ClientSession(server.url, headers=headers) as http:
        async with http.post("/api/v1/namespaces", json={"metadata": {"name": "default"}}) as made:
            assert made.status == 201
        yield http


def test_the_shipped_schema_is_kubernetes_own() -> None:
    """The file is byte for byte what the generator makes of Kubernetes' schemas."""
    assert TARGET.read_text() == generate(), "run python -m tests.local.schema_generator"


def test_every_kind_and_everything_that_it_reaches_can_be_read() -> None:
    """All types that the tables name exist."""
    schema = Schema()
    for name, fields in shapes().items():
        for field in fields.values():
            assert callable(schema.type(field.type))
            plain = field.element.isidentifier() and field.element[0].isupper()
            assert not plain or field.element in shapes(), f"{name} names {field.element}"
    assert {resource.kind for resource in RESOURCES} <= set(shapes())


def test_additions_change_the_schema_and_bring_nothing() -> None:
    """Every shape and field of the additions is one of the schema."""
    added = Shapes(ADDITIONS, "")
    for name in added:
        assert added[name].keys() <= shapes()[name].keys()
    assert EMBEDDED.keys() <= set(shapes())


def pod(spec: str = "", *, main: str = "", meta: str = "", top: str = "") -> str:
    return (
        f'{{{top}"apiVersion":"v1","kind":"Pod","metadata":{{{meta}"name":"x"}},'
        f'"spec":{{{spec}"containers":[{{{main}"name":"main","image":"busybox:1"}}]}}}}'
    )


def other(kind: str, fields: str, version: str = "v1") -> str:
    return f'{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"name":"x"}},{fields}}}'


FIELD = "json: cannot unmarshal {} into Go struct field {} of type {}".format
CONTAINERS = '{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"x"}},"spec":{{"containers":{}}}}}'.format
QUANTITY = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
LAYOUT = "2006-01-02T15:04:05Z07:00"
PROBED_PORT = "HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port"

# Bodies, and what a real API server of this version says of them in strict validation, after the words "Pod in
# version "v1" cannot be handled as a Pod: ".
TOLD: list[tuple[str, str, str]] = [
    ("Pod", pod('"foo":1,'), 'strict decoding error: unknown field "spec.foo"'),
    ("Pod", pod('"hostnetwork":true,'), 'strict decoding error: unknown field "spec.hostnetwork"'),
    (
        "Pod",
        pod('"zip":{},', main='"foo":1,"bar":2,', meta='"q":1,', top='"top":1,'),
        'strict decoding error: unknown field "top", unknown field "metadata.q", unknown field "spec.zip",'
        ' unknown field "spec.containers[0].foo", unknown field "spec.containers[0].bar"',
    ),
    ("Pod", pod(meta='"labels":{"a":"b","a":"c"},'), 'strict decoding error: duplicate field "metadata.labels.a"'),
    ("ConfigMap", other("ConfigMap", '"data":{"a":"1","a":"2"}'), 'strict decoding error: duplicate field "data.a"'),
    (
        "Pod",
        pod('"foo":1,"hostNetwork":false,"hostNetwork":false,"zed":1,', main='"tty":true,"tty":true,"bar":1,"bar":2,'),
        'strict decoding error: unknown field "spec.foo", duplicate field "spec.hostNetwork", unknown field "spec.zed",'
        ' duplicate field "spec.containers[0].tty", unknown field "spec.containers[0].bar"',
    ),
    ("Pod", pod('"hostNetwork":"yes",'), FIELD("string", "PodSpec.spec.hostNetwork", "bool")),
    ("Pod", pod('"hostNetwork":"yes","hostPID":3,'), FIELD("string", "PodSpec.spec.hostNetwork", "bool")),
    ("Pod", pod(main='"command":[7],'), FIELD("number", "Container.spec.containers.command", "string")),
    ("Pod", pod(main='"command":"ls",'), FIELD("string", "Container.spec.containers.command", "[]string")),
    ("Pod", CONTAINERS("{}"), FIELD("object", "PodSpec.spec.containers", "[]v1.Container")),
    ("Pod", CONTAINERS('["a"]'), FIELD("string", "PodSpec.spec.containers", "v1.Container")),
    ("Pod", '{"apiVersion":"v1","kind":"Pod","metadata":[]}', FIELD("array", "Pod.metadata", "v1.ObjectMeta")),
    ("Pod", other("Pod", '"spec":"s"'), FIELD("string", "Pod.spec", "v1.PodSpec")),
    ("Pod", pod(main='"env":{"A":"b"},'), FIELD("object", "Container.spec.containers.env", "[]v1.EnvVar")),
    (
        "Pod",
        pod(main='"env":[{"name":"A","value":1}],'),
        FIELD("number", "EnvVar.spec.containers.env.value", "string"),
    ),
    ("Pod", pod(meta='"labels":{"a":1},'), FIELD("number", "ObjectMeta.metadata.labels", "string")),
    ("Pod", pod(meta='"labels":["a"],'), FIELD("array", "ObjectMeta.metadata.labels", "map[string]string")),
    ("Pod", pod('"priority":2147483648,'), FIELD("number 2147483648", "PodSpec.spec.priority", "int32")),
    (
        "Pod",
        pod('"activeDeadlineSeconds":1.5,'),
        FIELD("number 1.5", "PodSpec.spec.activeDeadlineSeconds", "int64"),
    ),
    (
        "Pod",
        pod('"activeDeadlineSeconds":30.0,'),
        FIELD("number 30.0", "PodSpec.spec.activeDeadlineSeconds", "int64"),
    ),
    ("Pod", pod('"activeDeadlineSeconds":"30",'), FIELD("string", "PodSpec.spec.activeDeadlineSeconds", "int64")),
    (
        "Pod",
        pod('"activeDeadlineSeconds":9223372036854775808,'),
        FIELD("number 9223372036854775808", "PodSpec.spec.activeDeadlineSeconds", "int64"),
    ),
    ("Pod", pod(main='"resources":{"limits":{"cpu":"1x"}},'), QUANTITY),
    ("Pod", pod(main='"resources":{"limits":{"cpu":true}},'), QUANTITY),
    (
        "Pod",
        pod(meta='"creationTimestamp":"today",'),
        f'parsing time "today" as "{LAYOUT}": cannot parse "today" as "2006"',
    ),
    (
        "Pod",
        pod(meta='"creationTimestamp":"2026-01-01 00:00:00Z",'),
        f'parsing time "2026-01-01 00:00:00Z" as "{LAYOUT}": cannot parse " 00:00:00Z" as "T"',
    ),
    (
        "Pod",
        pod(meta='"creationTimestamp":"2026-01-01T00:00:00Zx",'),
        'parsing time "2026-01-01T00:00:00Zx": extra text: "x"',
    ),
    (
        "Pod",
        pod(meta='"creationTimestamp":"2026-13-01T00:00:00Z",'),
        'parsing time "2026-13-01T00:00:00Z": month out of range',
    ),
    (
        "Pod",
        pod(meta='"creationTimestamp":"2026-02-30T00:00:00Z",'),
        'parsing time "2026-02-30T00:00:00Z": day out of range',
    ),
    ("Secret", other("Secret", '"data":{"a":"aaa"}'), "illegal base64 data at input byte 0"),
    (
        "Pod",
        pod(meta='"creationTimestamp":5,'),
        FIELD("number", "ObjectMeta.metadata.creationTimestamp", "string"),
    ),
    ("Pod", pod(main='"livenessProbe":{"httpGet":{"port":true}},'), FIELD("bool", PROBED_PORT, "int32")),
    ("Pod", pod(main='"livenessProbe":{"httpGet":{"port":1.5}},'), FIELD("number 1.5", PROBED_PORT, "int32")),
    ("Pod", pod(main='"livenessProbe":"x",'), FIELD("string", "Container.spec.containers.livenessProbe", "v1.Probe")),
    (
        "Pod",
        pod('"volumes":[{"name":"v","emptyDir":"x"}],'),
        FIELD("string", "Volume.spec.volumes.VolumeSource.emptyDir", "v1.EmptyDirVolumeSource"),
    ),
    ("ConfigMap", other("ConfigMap", '"data":{"a":1}'), FIELD("number", "ConfigMap.data", "string")),
    ("Secret", other("Secret", '"data":{"a":"!!"}'), "illegal base64 data at input byte 0"),
    ("Secret", other("Secret", '"data":{"a":1}'), FIELD("number", "Secret.data", "[]uint8")),
    (
        "Role",
        other("Role", '"rulez":[]', "rbac.authorization.k8s.io/v1"),
        'strict decoding error: unknown field "rulez"',
    ),
    (
        "Role",
        other("Role", '"rules":[{"verbs":"get"}]', "rbac.authorization.k8s.io/v1"),
        FIELD("string", "PolicyRule.rules.verbs", "[]string"),
    ),
]

# The same of what the schema doesn't tell, after the words "Pod "x" is invalid: ".
REFUSED = [
    (
        pod('"restartPolicy":"Maybe",'),
        'spec.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "OnFailure", "Never"',
    ),
    (
        pod('"dnsPolicy":"No",'),
        'spec.dnsPolicy: Unsupported value: "No": supported values: "ClusterFirstWithHostNet", "ClusterFirst",'
        ' "Default", "None"',
    ),
    (
        pod('"readinessGates":[{"conditionType":"a b"}],'),
        'spec.readinessGates[0].conditionType: Invalid value: "a b": name part must consist of alphanumeric characters,'
        " '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or"
        " '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
    ),
    (
        pod(main='"securityContext":{"appArmorProfile":{"type":"z"}},'),
        'spec.containers[0].securityContext.appArmorProfile.type: Unsupported value: "z": supported values:'
        ' "Localhost", "RuntimeDefault", "Unconfined"',
    ),
    (pod('"securityContext":{"sysctls":[{}]},'), "spec.securityContext.sysctls[0].name: Required value"),
    (
        pod(main='"securityContext":{"procMount":"x"},'),
        'spec.containers[0].securityContext.procMount: Unsupported value: "x": supported values: "Default", "Unmasked"',
    ),
]


async def refusal(http: aiohttp.ClientSession, kind: str, body: str) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    async with http.post(f"{PATHS[kind]}?fieldValidation=Strict", data=body, headers=headers) as answer:
        return answer.status, (await answer.json()).get("message", "")


@pytest.mark.parametrize(("kind", "body", "words"), TOLD, ids=[f"{kind} {words}" for kind, _, words in TOLD])
async def test_wrong_fields_are_told_as_kubernetes_tells_them(
    http: aiohttp.ClientSession, kind: str, body: str, words: str
) -> None:
    """Unknown fields and wrong types are 400 with the real server's whole sentence."""
    prefix = f'{kind} in version "v1" cannot be handled as a {kind}: '
    assert await refusal(http, kind, body) == (400, prefix + words)


@pytest.mark.parametrize(("body", "words"), REFUSED, ids=[words for _, words in REFUSED])
async def test_invalid_values_are_told_as_kubernetes_tells_them(
    http: aiohttp.ClientSession, body: str, words: str
) -> None:
    """Values that the schema alone would accept are 422 with the real server's whole sentence."""
    assert await refusal(http, "Pod", body) == (422, f'Pod "x" is invalid: {words}')


# Volumes as sent, and what a real API server adds to each.
FILLED_IN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("hostPath", {"path": "/x"}, {"type": ""}),
    ("secret", {"secretName": "s"}, {"defaultMode": 420}),
    ("image", {"reference": "r"}, {"pullPolicy": "Always"}),
    ("image", {"reference": "r:1"}, {"pullPolicy": "IfNotPresent"}),
    ("rbd", {"monitors": ["a"], "image": "i"}, {"pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}),
    (
        "azureDisk",
        {"diskName": "d", "diskURI": "u"},
        {"cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared", "readOnly": False},
    ),
]


@pytest.mark.parametrize(("source", "sent", "added"), FILLED_IN, ids=[source for source, _, _ in FILLED_IN])
async def test_volumes_are_completed_as_kubernetes_does(
    http: aiohttp.ClientSession, source: str, sent: dict[str, Any], added: dict[str, Any]
) -> None:
    """A volume gets the defaults of its own source."""
    spec = {"containers": [{"name": "main", "image": "busybox:1"}], "volumes": [{"name": "v", source: sent}]}
    async with http.post(f"{CORE}/pods", json={"metadata": {"name": "x"}, "spec": spec}) as answer:
        assert (await answer.json())["spec"]["volumes"] == [{"name": "v", source: {**sent, **added}}]


async def test_subjects_of_role_bindings_are_completed(http: aiohttp.ClientSession) -> None:
    """A user and a group belong to the group of RBAC, a service account to none."""
    group = "rbac.authorization.k8s.io"
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
    body = {"metadata": {"name": "x"}, "roleRef": {"kind": "Role", "name": "r"}, "subjects": subjects}
    async with http.post(f"{RBAC}/rolebindings", json=body) as answer:
        made = await answer.json()
    assert made["roleRef"] == {"apiGroup": group, "kind": "Role", "name": "r"}
    assert made["subjects"] == [{**subjects[0], "apiGroup": group}, subjects[1]]


def test_lists_are_merged_by_the_keys_of_their_place() -> None:
    """A strategic patch merges a list where the schema says so, and replaces lists of the same name elsewhere."""
    claims = {"claims": [{"name": "a"}]}
    document = {
        "kind": "Pod",
        "metadata": {"finalizers": ["a"]},
        "spec": {
            "containers": [{"name": "main", "image": "one", "resources": claims}],
            "tolerations": [{"key": "a"}],
            "nodeSelector": {"a": "b"},
        },
    }
    patch = {
        "metadata": {"finalizers": ["b"]},
        "spec": {
            "containers": [
                {"name": "main", "env": [{"name": "A"}], "resources": {"claims": [{"name": "b"}]}},
                {"name": "other", "image": "two"},
            ],
            "tolerations": [{"key": "b"}],
            "nodeSelector": {"c": "d"},
        },
    }
    main = {"name": "main", "image": "one", "env": [{"name": "A"}], "resources": {"claims": [{"name": "b"}]}}
    assert strategic(document, patch) == {
        "kind": "Pod",
        "metadata": {"finalizers": ["a", "b"]},
        "spec": {
            "containers": [main, {"name": "other", "image": "two"}],
            "tolerations": [{"key": "b"}],
            "nodeSelector": {"a": "b", "c": "d"},
        },
    }


async def get(http: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    async with http.get(path) as answer:
        return answer.status, json.loads(await answer.read())


def references(value: Any) -> set[str]:
    """Every schema that a document refers to."""
    if isinstance(value, list):
        return {name for item in value for name in references(item)}
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set()
    return own | {name for item in value.values() for name in references(item)}


async def test_openapi_documents_hold_what_they_name(http: aiohttp.ClientSession) -> None:
    """Every group's document has its kinds and all types that they reach, with merge keys and enums."""
    _, index = await get(http, "/openapi/v3")
    kinds = set()
    for entry in index["paths"].values():
        status, document = await get(http, entry["serverRelativeURL"])
        assert status == 200
        schemas = document["components"]["schemas"]
        assert references(document) <= schemas.keys()
        for schema in schemas.values():
            kinds |= {kind["kind"] for kind in schema.get("x-kubernetes-group-version-kind", ())}
    assert kinds == {resource.kind for resource in RESOURCES}
    _, core = await get(http, "/openapi/v3/api/v1")
    spec = core["components"]["schemas"]["PodSpec"]["properties"]
    assert spec["containers"]["x-kubernetes-patch-merge-key"] == "name"
    assert spec["restartPolicy"] == {"type": "string", "enum": ["Always", "OnFailure", "Never"], "default": "Always"}


async def test_a_group_that_is_not_served_has_no_openapi(http: aiohttp.ClientSession) -> None:
    """Its document is a 404."""
    status, answer = await get(http, "/openapi/v3/apis/nobody.example/v1")
    assert (status, answer["reason"]) == (404, "NotFound")
