"""What the cluster says before anything is submitted: claims, the keys of secrets, rights, Pod Security.

Only names of secrets' keys are kept, never a value. What the user may not look up stays unknown, and unknown is
never a problem.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from launcher.backend import Claim, Need, NeedKind, frozen_mapping
from launcher.errors import ClusterError, Forbidden, NotFound
from launcher.kube.session import Session
from launcher.registry import Registry

# Seconds that what was looked up stays good: fifty thousand submissions shouldn't ask for one secret each time,
# and a claim made a moment ago should be found.
FRESH = 20.0

# What a launcher does in a namespace: verb, resource, subresource, and what it is for.
RIGHTS = (
    ("create", "pods", "", "start jobs"),
    ("get", "pods", "", "see how jobs do"),
    ("watch", "pods", "", "follow jobs"),
    ("delete", "pods", "", "cancel jobs"),
    ("get", "pods", "log", "read logs"),
)

_POD_SECURITY = "pod-security.kubernetes.io/enforce"


class Unknown:
    """What could not be looked up, because the user's rights don't allow it or nobody asked."""


UNKNOWN = Unknown()
Keys = frozenset[str] | Unknown | None
"""The keys of a secret or config map; None when there is no such object."""


@attrs.frozen
class Wanted:
    """What one job needs to have looked up."""

    secrets: frozenset[str] = frozenset()
    config_maps: frozenset[str] = frozenset()
    needs: frozenset[Need] = frozenset()
    libraries: frozenset[tuple[str, str]] = frozenset()
    """Kinds whose agents run on this machine where the cluster is local, each with its fsspec protocol."""


@attrs.frozen(kw_only=True)
class Facts:
    """What was looked up, frozen. ``assumed`` says that nothing was, and everything is taken to be well."""

    assumed: bool = False
    local: bool = False
    cluster: str = ""
    user: str = ""
    namespace_exists: bool = True
    pod_security: str = "privileged"
    refused: tuple[str, ...] = ()
    """What the user may not do, in words (``start jobs (create pods)``)."""
    secrets: Mapping[str, Keys] = attrs.field(factory=dict, converter=frozen_mapping, repr=False)
    config_maps: Mapping[str, Keys] = attrs.field(factory=dict, converter=frozen_mapping)
    claims: Mapping[str, Claim | Unknown | None] = attrs.field(factory=dict, converter=frozen_mapping)
    drivers: Mapping[str, bool | Unknown] = attrs.field(factory=dict, converter=frozen_mapping)
    host_paths: Mapping[str, bool | Unknown] = attrs.field(factory=dict, converter=frozen_mapping)
    lacking: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping)
    """Kinds whose storage library isn't installed here, and what to install."""

    @classmethod
    def assume(cls, *, local: bool = False) -> Facts:
        """The facts of a cluster that nobody asked: everything is there and allowed."""
        return cls(assumed=True, local=local)

    def claim(self, name: str) -> Claim | None:
        """The claim, where it could be looked up."""
        found = self.claims.get(name)
        return found if isinstance(found, Claim) else None

    def missing(self, need: Need) -> bool:
        """Whether the thing that a plugin needs is known not to be there."""
        table: Mapping[NeedKind, Mapping[str, Any]] = {
            NeedKind.CLAIM: self.claims,
            NeedKind.CSI_DRIVER: self.drivers,
            NeedKind.HOST_PATH: self.host_paths,
        }
        return table[need.kind].get(need.name, UNKNOWN) in (None, False)


class Lookup:
    """Looks things up in one namespace, and remembers them for a while. Owned by a ``Launcher``."""

    def __init__(self, session: Session, namespace: str, registry: Registry, *, local: bool, cluster: str) -> None:
        self._registry = registry
        self._session = session
        self._namespace = namespace
        self._local = local
        self._cluster = cluster
        self._known: dict[tuple[str, str], tuple[float, Any]] = {}

    async def facts(self, wanted: Wanted) -> Facts:
        """The facts for one job. Raises ``ClusterUnreachable`` and what else isn't a plain refusal."""
        base = f"/api/v1/namespaces/{self._namespace}"
        names = {kind: sorted(n.name for n in wanted.needs if n.kind is kind) for kind in NeedKind}
        namespace, user, refused, secrets, maps, claims, drivers = await asyncio.gather(
            self._once("namespace", "", f"/api/v1/namespaces/{self._namespace}", _labels),
            self._remembered("user", "", self._user),
            self._remembered("rights", "", self._refused),
            self._each("secret", wanted.secrets, f"{base}/secrets", _keys),
            self._each("configmap", wanted.config_maps, f"{base}/configmaps", _keys),
            self._each("claim", names[NeedKind.CLAIM], f"{base}/persistentvolumeclaims", _claim),
            self._each("driver", names[NeedKind.CSI_DRIVER], "/apis/storage.k8s.io/v1/csidrivers", _present),
        )
        labels = namespace if isinstance(namespace, dict) else {}
        return Facts(
            local=self._local,
            cluster=self._cluster,
            user=user,
            namespace_exists=namespace is not None,
            pod_security=str(labels.get(_POD_SECURITY, "privileged")),
            refused=refused,
            secrets=secrets,
            config_maps=maps,
            claims=claims,
            drivers={name: UNKNOWN if found is UNKNOWN else bool(found) for name, found in drivers.items()},
            host_paths={n: self._host_path(n) for n in names[NeedKind.HOST_PATH]},
            lacking=self._lacking(wanted),
        )

    def _lacking(self, wanted: Wanted) -> dict[str, str]:
        if not self._local:
            return {}  # there the agent's image has them, or its own message says so
        found = {kind: self._registry.lacking(kind, protocol) for kind, protocol in wanted.libraries}
        return {kind: hint for kind, hint in found.items() if hint}

    def _host_path(self, path: str) -> bool | Unknown:
        return Path(path).is_dir() if self._local else UNKNOWN

    async def _each(self, kind: str, names: Iterable[str], path: str, read: Any) -> dict[str, Any]:
        ordered = list(names)
        found = await asyncio.gather(*(self._once(kind, name, f"{path}/{name}", read) for name in ordered))
        return dict(zip(ordered, found, strict=True))

    async def _once(self, kind: str, name: str, path: str, read: Any) -> Any:
        async def ask() -> Any:
            try:
                return read(await self._session.get(path))
            except NotFound:
                return None
            except Forbidden:
                return UNKNOWN

        return await self._remembered(kind, name, ask)

    async def _remembered(self, kind: str, name: str, ask: Any) -> Any:
        at, value = self._known.get((kind, name), (0.0, None))
        if at and time.monotonic() - at < FRESH:
            return value
        value = await ask()
        if value is not None:  # what isn't there may be made in a moment, because a message asked for it
            self._known[kind, name] = (time.monotonic(), value)
        return value

    async def _user(self) -> str:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            answer = await self._session.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        except (Forbidden, NotFound):
            return ""  # servers before 1.28 don't know the question
        return str(answer.get("status", {}).get("userInfo", {}).get("username", ""))

    async def _refused(self) -> tuple[str, ...]:
        answers = await asyncio.gather(*(self._allowed(*right[:3]) for right in RIGHTS))
        return tuple(
            f"{purpose} ({verb} {resource}{'/' + sub if sub else ''})"
            for (verb, resource, sub, purpose), allowed in zip(RIGHTS, answers, strict=True)
            if not allowed
        )

    async def _allowed(self, verb: str, resource: str, sub: str) -> bool:
        attributes = {"namespace": self._namespace, "verb": verb, "resource": resource, "subresource": sub}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }
        try:
            answer = await self._session.create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        except ClusterError as exc:
            if exc.status in (403, 404):
                return True  # who can't be asked is tried
            raise
        return bool(answer.get("status", {}).get("allowed", True))


def _labels(namespace: dict[str, Any]) -> dict[str, Any]:
    return namespace["metadata"].get("labels") or {}


def _keys(item: dict[str, Any]) -> frozenset[str]:
    return frozenset([*(item.get("data") or {}), *(item.get("binaryData") or {})])


def _claim(item: dict[str, Any]) -> Claim:
    spec, status = item.get("spec") or {}, item.get("status") or {}
    return Claim(tuple(status.get("accessModes") or spec.get("accessModes") or ()), str(status.get("phase", "")))


def _present(item: dict[str, Any]) -> bool:
    return bool(item)
