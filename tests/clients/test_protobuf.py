"""Kubernetes' protobuf as the API reads it: whole where it knows the kind, refused in plain words where it doesn't."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.local.api import ApiServer
from launcher.local.api.protobuf import PROTOBUF, decode, is_protobuf
from launcher.local.api.status import StatusError

TOKEN = "protobuf-token"


def field(number: int, value: int | bytes | str) -> bytes:
    """One field as protobuf has it."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value % 2**64)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def message(version: str, kind: str, raw: bytes, *more: bytes) -> bytes:
    named = field(1, version) + field(2, kind)
    return b"k8s\0" + field(1, named) + field(2, raw) + b"".join(more)


def named(name: str, *more: bytes) -> bytes:
    return field(1, field(1, name) + b"".join(more))


def test_every_form_of_field() -> None:
    """Strings, bytes, mappings, lists, times, numbers and messages in messages are what JSON would have said."""
    owner = field(1, "Pod") + field(3, "p") + field(4, "u") + field(5, "v1") + field(6, 1) + field(7, 0)
    label = field(11, field(1, "team") + field(2, "x"))
    metadata = named(
        "s", field(2, ""), field(7, 0), label, field(13, owner), field(14, "a/b"), field(8, field(1, 86400))
    )
    raw = metadata + field(2, field(1, "key") + field(2, b"\xff\0")) + field(3, "Opaque") + field(5, 0)
    assert decode(message("v1", "Secret", raw)) == {
        "kind": "Secret",
        "apiVersion": "v1",
        "metadata": {
            "name": "s",
            "labels": {"team": "x"},
            "ownerReferences": [
                {
                    "kind": "Pod",
                    "name": "p",
                    "uid": "u",
                    "apiVersion": "v1",
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
            "finalizers": ["a/b"],
            "creationTimestamp": "1970-01-02T00:00:00Z",
        },
        "data": {"key": "/wA="},
        "type": "Opaque",
        "immutable": False,
    }


def test_what_go_writes_for_nothing() -> None:
    """Empty strings and zero times say nothing, a zero that may be absent does; unknown fields are left out."""
    options = field(1, 0) + field(4, "") + field(3, 0)
    decoded = decode(
        message("rbac.authorization.k8s.io/v1", "DeleteOptions", options + field(99, "new") + b"\x9d\x06abcd")
    )
    assert decoded == {
        "kind": "DeleteOptions",
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "gracePeriodSeconds": 0,
        "orphanDependents": False,
    }
    assert "creationTimestamp" not in decode(message("v1", "Namespace", named("n", field(8, b""))))["metadata"]
    assert decode(message("v1", "Event", field(8, -1)))["count"] == -1


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (message("v1", "Pod", b""), 415, "doesn't read a Pod of v1 as protobuf: send it as application/json"),
        (message("events.k8s.io/v1", "Event", b""), 415, "Event of events.k8s.io/v1"),
        (message("v1", "Secret", b"", field(3, "gzip")), 415, "Secret"),
        (message("v1", "Secret", b"{}", field(4, "application/json")), 415, "Secret"),
        (b"k8s\0", 415, "an object without a kind"),
        (message("v1", "K" * 10_000, b""), 415, "K" * 60),
        (message("v1", "Secret", b"\x0a\x05ab"), 400, "ends in the middle of a field"),
        (message("v1", "Secret", b"\xff" * 20), 400, "a number is too long"),
        (message("v1", "Secret", b"\x0a\xff"), 400, "ends in the middle of a number"),
        (message("v1", "Secret", b"\x0b"), 400, "field 1 has the wire type 3"),
        (message("v1", "Secret", named("\0") + field(3, b"\xff")), 400, "UTF-8"),
        (message("v1", "Event", field(6, field(1, 2**62))), 400, "out of range"),
    ],
)
def test_refusals(body: bytes, code: int, text: str) -> None:
    """What isn't protobuf is 400 and what isn't known is 415, each in a short sentence."""
    with pytest.raises(StatusError) as caught:
        decode(body)
    assert caught.value.code == code
    assert text in caught.value.message
    assert len(caught.value.message) < 300


KINDS = st.sampled_from(
    [("v1", "Event"), ("v1", "Secret"), ("v1", "DeleteOptions"), ("coordination.k8s.io/v1", "Lease")]
)
NESTED = st.recursive(
    st.binary(max_size=12) | st.integers(-(2**63), 2**63 - 1),
    lambda inner: st.lists(st.tuples(st.integers(1, 18), inner), max_size=4).map(
        lambda pairs: b"".join(field(number, value) for number, value in pairs)
    ),
    max_leaves=12,
)


@given(kind=KINDS, fields=st.lists(st.tuples(st.integers(1, 18), NESTED), max_size=6), tail=st.binary(max_size=6))
def test_hostile_bytes(kind: tuple[str, str], fields: list[tuple[int, Any]], tail: bytes) -> None:
    """Whatever the bytes are, there is an object or a refusal."""
    raw = b"".join(field(number, value) for number, value in fields) + tail
    try:
        assert decode(message(*kind, raw))["kind"] == kind[1]
    except StatusError as exc:
        assert exc.code == 400


def test_what_it_looks_like() -> None:
    """Only the magic number tells protobuf."""
    assert is_protobuf(b"k8s\0")
    assert not is_protobuf(b'{"kind": "k8s"}')


async def test_over_http() -> None:
    """Objects and options of a delete come as protobuf and go as JSON; a kind that isn't read is 415, nonsense 400."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": PROTOBUF}
    async with ApiServer(token=TOKEN) as server, aiohttp.ClientSession(server.url, headers=headers) as http:
        async with http.post("/api/v1/namespaces", data=message("v1", "Namespace", named("jobs"))) as answer:
            assert (answer.status, (await answer.json())["metadata"]["name"]) == (201, "jobs")
        maps = "/api/v1/namespaces/jobs/configmaps"
        made = message("v1", "ConfigMap", named("c") + field(2, field(1, "a") + field(2, "b")))
        async with http.post(maps, data=made) as answer:
            assert (await answer.json())["data"] == {"a": "b"}
        other = message("v1", "DeleteOptions", field(2, field(1, "another")))
        async with http.delete(f"{maps}/c", data=other) as answer:
            assert answer.status == 409
        async with http.delete(f"{maps}/c", data=message("v1", "DeleteOptions", field(1, 0))) as answer:
            assert answer.status == 200
        for body, code in ((message("v1", "Pod", b""), 415), (b"k8s\0\xff", 400), (b"nonsense", 400)):
            async with http.post("/api/v1/namespaces/jobs/pods", data=body) as answer:
                assert (answer.status, (await answer.json())["code"]) == (code, code)
