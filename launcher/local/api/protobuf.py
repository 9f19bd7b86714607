"""Kubernetes' protobuf as far as clients insist on it: what kubectl posts, read into what JSON would have said. Pure.

The body is a magic number, then an envelope (``runtime.Unknown``) that names the kind, then the object. Hostile
input is a 400 ``StatusError``, a kind without a row below a 415; fields that no row names are left out, as old
servers leave out new fields.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from launcher.local.api.status import StatusError, bad_request

PROTOBUF = "application/vnd.kubernetes.protobuf"

_MAGIC = b"k8s\0"

# Field numbers from Kubernetes' own generated.proto. One row: a shape's name, after an @ the API version of an
# object that may be sent by itself (* for any), a colon, and its fields as NUMBER=NAME:TYPE. TYPE is one of
#
#     str int bool time raw    scalars; bytes are base64 in JSON; int? leaves out a zero, which Go writes where
#     bytes int?               nothing was said
#     [TYPE] {TYPE}            a list; a mapping from strings
#     Name                     another row, but none that leads back to this one
_ROWS = """
Unknown: 1=typeMeta:TypeMeta 2=raw:raw 3=contentEncoding:str 4=contentType:str
TypeMeta: 1=apiVersion:str 2=kind:str
Timestamp: 1=seconds:int 2=nanos:int
ObjectMeta: 1=name:str 2=generateName:str 3=namespace:str 5=uid:str 6=resourceVersion:str 7=generation:int?
  8=creationTimestamp:time 9=deletionTimestamp:time 10=deletionGracePeriodSeconds:int 11=labels:{str}
  12=annotations:{str} 13=ownerReferences:[OwnerReference] 14=finalizers:[str]
OwnerReference: 1=kind:str 3=name:str 4=uid:str 5=apiVersion:str 6=controller:bool 7=blockOwnerDeletion:bool
DeleteOptions@*: 1=gracePeriodSeconds:int 2=preconditions:Preconditions 3=orphanDependents:bool
  4=propagationPolicy:str 5=dryRun:[str] 6=ignoreStoreReadErrorWithClusterBreakingPotential:bool
Preconditions: 1=uid:str 2=resourceVersion:str
ObjectReference: 1=kind:str 2=namespace:str 3=name:str 4=uid:str 5=apiVersion:str 6=resourceVersion:str 7=fieldPath:str
LocalObjectReference: 1=name:str

Namespace@v1: 1=metadata:ObjectMeta 2=spec:NamespaceSpec 3=status:NamespaceStatus
NamespaceSpec: 1=finalizers:[str]
NamespaceStatus: 1=phase:str
ConfigMap@v1: 1=metadata:ObjectMeta 2=data:{str} 3=binaryData:{bytes} 4=immutable:bool
Secret@v1: 1=metadata:ObjectMeta 2=data:{bytes} 3=type:str 4=stringData:{str} 5=immutable:bool
ServiceAccount@v1: 1=metadata:ObjectMeta 2=secrets:[ObjectReference] 3=imagePullSecrets:[LocalObjectReference]
  4=automountServiceAccountToken:bool
Event@v1: 1=metadata:ObjectMeta 2=involvedObject:ObjectReference 3=reason:str 4=message:str 5=source:EventSource
  6=firstTimestamp:time 7=lastTimestamp:time 8=count:int? 9=type:str 10=eventTime:time 11=series:EventSeries
  12=action:str 13=related:ObjectReference 14=reportingComponent:str 15=reportingInstance:str
EventSource: 1=component:str 2=host:str
EventSeries: 1=count:int? 2=lastObservedTime:time
Binding@v1: 1=metadata:ObjectMeta 2=target:ObjectReference

Role@rbac.authorization.k8s.io/v1: 1=metadata:ObjectMeta 2=rules:[PolicyRule]
RoleBinding@rbac.authorization.k8s.io/v1: 1=metadata:ObjectMeta 2=subjects:[Subject] 3=roleRef:RoleRef
PolicyRule: 1=verbs:[str] 2=apiGroups:[str] 3=resources:[str] 4=resourceNames:[str] 5=nonResourceURLs:[str]
Subject: 1=kind:str 2=apiGroup:str 3=name:str 4=namespace:str
RoleRef: 1=apiGroup:str 2=kind:str 3=name:str

SelfSubjectReview@authentication.k8s.io/v1: 1=metadata:ObjectMeta
TokenRequest@authentication.k8s.io/v1: 1=metadata:ObjectMeta 2=spec:TokenRequestSpec
TokenRequestSpec: 1=audiences:[str] 3=boundObjectRef:BoundObjectReference 4=expirationSeconds:int
BoundObjectReference: 1=kind:str 2=apiVersion:str 3=name:str 4=uid:str
SelfSubjectAccessReview@authorization.k8s.io/v1: 1=metadata:ObjectMeta 2=spec:SelfSubjectAccessReviewSpec
SelfSubjectAccessReviewSpec: 1=resourceAttributes:ResourceAttributes 2=nonResourceAttributes:NonResourceAttributes
ResourceAttributes: 1=namespace:str 2=verb:str 3=group:str 4=version:str 5=resource:str 6=subresource:str 7=name:str
NonResourceAttributes: 1=path:str 2=verb:str
SelfSubjectRulesReview@authorization.k8s.io/v1: 1=metadata:ObjectMeta 2=spec:SelfSubjectRulesReviewSpec
SelfSubjectRulesReviewSpec: 1=namespace:str

Lease@coordination.k8s.io/v1: 1=metadata:ObjectMeta 2=spec:LeaseSpec
LeaseSpec: 1=holderIdentity:str 2=leaseDurationSeconds:int 3=acquireTime:time 4=renewTime:time 5=leaseTransitions:int
  6=strategy:str 7=preferredHolder:str
Eviction@policy/v1: 1=metadata:ObjectMeta 2=deleteOptions:DeleteOptions
"""

# Wire types: how a field's value is laid out, and the bytes of those of fixed length. Groups (3 and 4) are older
# than Kubernetes.
_VARINT, _BYTES = 0, 2
_FIXED = {1: 8, 5: 4}

# Bytes of the longest varint: 64 bits, seven a byte.
_VARINT_MAX = 10

_Value = int | bytes
_Put = Callable[[dict[str, Any], Any, "_Budget"], None]

# Fields of one body, those of messages in it included: more than an object of a mebibyte has, and read in a fifth of
# a second. A hostile body has a million of them.
FIELDS_MAX = 100_000

# Fields of a time, each given twice at most.
_TIME_FIELDS = 4


class _Malformed(Exception):
    """The bytes are no message of the shape that they claim to be."""


class _Budget:
    """How many fields may still be read."""

    def __init__(self, fields: int) -> None:
        self.left = fields

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise _Malformed("it has too many fields")


def is_protobuf(body: bytes) -> bool:
    """Whether the body is in Kubernetes' protobuf, whatever its type says."""
    return body.startswith(_MAGIC)


def decode(body: bytes) -> dict[str, Any]:
    """The object as its JSON would be, with kind and apiVersion. Raises ``StatusError`` 400 and 415."""
    try:
        budget = _Budget(FIELDS_MAX)
        envelope = _SHAPES["Unknown"].read(body.removeprefix(_MAGIC), budget)
        named = envelope.get("typeMeta", {})
        kind, version = named.get("kind", ""), named.get("apiVersion", "")
        shape = _OBJECTS.get((kind, version)) or _OBJECTS.get((kind, "*"))
        if shape is None or envelope.get("contentEncoding") or envelope.get("contentType", PROTOBUF) != PROTOBUF:
            raise _unknown(kind, version)
        return {"kind": kind, "apiVersion": version, **shape.read(envelope.get("raw", b""), budget)}
    except _Malformed as exc:
        raise bad_request(f"the body of the request is not valid protobuf: {exc}") from None


def _unknown(kind: str, version: str) -> StatusError:
    what = f"a {kind[:60]} of {version[:60]}" if kind else "an object without a kind"
    message = f"the local cluster doesn't read {what} as protobuf: send it as application/json"
    return StatusError(415, "UnsupportedMediaType", message)


class _Shape:
    """A message. ``fields`` holds what puts each field into the object, by its number and wire type."""

    def __init__(self) -> None:
        self.fields: dict[tuple[int, int], _Put] = {}

    def read(self, data: bytes, budget: _Budget) -> dict[str, Any]:
        return self.merge({}, data, budget)

    def merge(self, into: dict[str, Any], data: bytes, budget: _Budget) -> dict[str, Any]:
        for key, value in _pairs(data):
            budget.spend()
            if put := self.fields.get(key):
                put(into, value, budget)
        return into


def _pairs(data: bytes) -> Iterator[tuple[tuple[int, int], _Value]]:
    """Each field's number and wire type, and its value."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        key = (tag >> 3, tag & 7)
        if key[1] == _VARINT:
            value, at = _varint(data, at)
            yield key, value
            continue
        if key[1] == _BYTES:
            length, at = _varint(data, at)
        elif key[1] in _FIXED:
            length = _FIXED[key[1]]
        else:
            raise _Malformed(f"field {key[0]} has the wire type {key[1]}")
        if length > end - at:
            raise _Malformed("it ends in the middle of a field")
        yield key, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    # Most are one byte long, and a hostile body has a million of them.
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    value = 0
    for count, byte in enumerate(data[at : at + _VARINT_MAX]):
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & (2**64 - 1), at + count + 1
    raise _Malformed("it ends in the middle of a number, or a number is too long")


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _Malformed("a string isn't UTF-8") from None


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _time(value: bytes) -> str:
    """RFC 3339; nothing for Go's zero time, which is sent as an empty message."""
    if not value:
        return ""
    moment = _SHAPES["Timestamp"].read(value, _Budget(_TIME_FIELDS))
    try:
        since = timedelta(seconds=moment.get("seconds", 0), microseconds=moment.get("nanos", 0) // 1000)
        return (_EPOCH + since).isoformat().replace("+00:00", "Z")
    except OverflowError:
        raise _Malformed("a time is out of range") from None


@attrs.frozen
class _Scalar:
    """``sparse``: a zero says nothing and is left out."""

    wire: int
    convert: Callable[[Any], Any]
    sparse: bool = False


_EPOCH = datetime.fromtimestamp(0, UTC)
_SCALARS: Mapping[str, _Scalar] = {
    "str": _Scalar(_BYTES, _text, sparse=True),
    "bytes": _Scalar(_BYTES, _base64),
    "raw": _Scalar(_BYTES, bytes),
    "int": _Scalar(_VARINT, _signed),
    "int?": _Scalar(_VARINT, _signed, sparse=True),
    "bool": _Scalar(_VARINT, bool),
    "time": _Scalar(_BYTES, _time, sparse=True),
}


def _one(name: str, scalar: _Scalar) -> _Put:
    def put(into: dict[str, Any], value: Any, _budget: _Budget) -> None:
        converted = scalar.convert(value)
        if converted or not scalar.sparse:
            into[name] = converted

    return put


def _message(name: str, shape: _Shape) -> _Put:
    def put(into: dict[str, Any], value: Any, budget: _Budget) -> None:
        # A message that comes twice is one message, as protobuf has it.
        shape.merge(into.setdefault(name, {}), value, budget)

    return put


def _list(name: str, element: _Scalar | _Shape) -> _Put:
    def put(into: dict[str, Any], value: Any, budget: _Budget) -> None:
        read = element.read(value, budget) if isinstance(element, _Shape) else element.convert(value)
        into.setdefault(name, []).append(read)

    return put


def _mapping(name: str, scalar: _Scalar) -> _Put:
    entry = _Shape()
    entry.fields = {(1, _BYTES): _one("key", _SCALARS["str"]), (2, scalar.wire): _one("value", scalar)}

    def put(into: dict[str, Any], value: Any, budget: _Budget) -> None:
        pair = entry.read(value, budget)
        into.setdefault(name, {})[pair.get("key", "")] = pair.get("value", "")

    return put


def _field(name: str, spelled: str, shapes: Mapping[str, _Shape]) -> tuple[int, _Put]:
    """The field's wire type, and what puts it into an object."""
    inner = spelled.strip("[]{}")
    scalar = _SCALARS.get(inner)
    if spelled.startswith("["):
        return _BYTES, _list(name, scalar or shapes[inner])
    if scalar is None:
        return _BYTES, _message(name, shapes[inner])
    return (_BYTES, _mapping(name, scalar)) if spelled.startswith("{") else (scalar.wire, _one(name, scalar))


def _shapes(rows: str) -> tuple[dict[str, _Shape], dict[tuple[str, str], _Shape]]:
    """Every shape by its name, and those that may be sent by themselves by kind and API version."""
    table = [row.partition(":") for row in rows.replace("\n  ", " ").splitlines() if row]
    shapes = {head.partition("@")[0]: _Shape() for head, _, _ in table}
    objects = {}
    for head, _, fields in table:
        name, _, version = head.partition("@")
        for field in fields.split():
            number, spelled, kind = re.split("[=:]", field)
            wire, put = _field(spelled, kind, shapes)
            shapes[name].fields[int(number), wire] = put
        if version:
            objects[name, version] = shapes[name]
    return shapes, objects


_SHAPES, _OBJECTS = _shapes(_ROWS)
