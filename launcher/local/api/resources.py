"""The table of what this API serves: one row a kind. Everything else is derived from these rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

_OBJECT_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@attrs.frozen(eq=False)
class Resource:
    """One kind of object, and how it differs from the others.

    ``fields`` are the field selectors beyond the name and namespace, each with the path that it reads.
    ``returns_deleted``: a delete answers with the object, not with a Status. ``graceful``: a delete waits for
    the object's grace period. ``counted``: the server keeps ``metadata.generation``. ``lifetime`` is the
    seconds that an object is kept, 0 for ever. ``stored`` is False for questions, which are only answered.
    ``created_with_status``: who creates it says how it is, as a kubelet does of its node.
    ``deleted_together``: a whole collection can be deleted.
    """

    plural: str
    kind: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    name_format: str = "dns_subdomain"
    fields: Mapping[str, str] = attrs.field(factory=dict)
    returns_deleted: bool = False
    graceful: bool = False
    counted: bool = False
    lifetime: int = 0
    stored: bool = True
    created_with_status: bool = False
    deleted_together: bool = True

    @property
    def qualified(self) -> str:
        """As messages name it: ``pods``, ``roles.rbac.authorization.k8s.io``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def has_status(self) -> bool:
        return "status" in self.subresources

    @property
    def verbs(self) -> tuple[str, ...]:
        if not self.stored:
            return ("create",)
        return tuple(verb for verb in _OBJECT_VERBS if self.deleted_together or verb != "deletecollection")


def _same(*paths: str) -> dict[str, str]:
    return {path: path for path in paths}


_POD_FIELDS = _same(
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
)
_INVOLVED = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = {
    **_same(*(f"involvedObject.{part}" for part in _INVOLVED), "reason", "reportingComponent", "type"),
    "source": "source.component",
}
_AUTHORIZATION = "authorization.k8s.io"
_STORAGE = "storage.k8s.io"
_RBAC = "rbac.authorization.k8s.io"

# Seconds that an event is kept, as the API server's default has it.
EVENT_LIFETIME = 3600

RESOURCES = (
    Resource(
        "pods",
        "Pod",
        short=("po",),
        categories=("all",),
        subresources=("binding", "eviction", "log", "status"),
        fields=_POD_FIELDS,
        returns_deleted=True,
        graceful=True,
        counted=True,
    ),
    Resource("configmaps", "ConfigMap", short=("cm",)),
    Resource("secrets", "Secret", fields=_same("type")),
    Resource(
        "persistentvolumeclaims",
        "PersistentVolumeClaim",
        short=("pvc",),
        subresources=("status",),
        returns_deleted=True,
    ),
    Resource(
        "persistentvolumes",
        "PersistentVolume",
        namespaced=False,
        short=("pv",),
        subresources=("status",),
        returns_deleted=True,
    ),
    Resource(
        "nodes",
        "Node",
        namespaced=False,
        short=("no",),
        subresources=("status",),
        created_with_status=True,
    ),
    Resource(
        "namespaces",
        "Namespace",
        namespaced=False,
        short=("ns",),
        subresources=("finalize", "status"),
        name_format="dns_label",
        fields=_same("status.phase"),
        returns_deleted=True,
        deleted_together=False,
    ),
    Resource("events", "Event", short=("ev",), fields=_EVENT_FIELDS, lifetime=EVENT_LIFETIME),
    Resource("serviceaccounts", "ServiceAccount", short=("sa",), subresources=("token",), returns_deleted=True),
    Resource("selfsubjectaccessreviews", "SelfSubjectAccessReview", _AUTHORIZATION, namespaced=False, stored=False),
    Resource("selfsubjectrulesreviews", "SelfSubjectRulesReview", _AUTHORIZATION, namespaced=False, stored=False),
    Resource("subjectaccessreviews", "SubjectAccessReview", _AUTHORIZATION, namespaced=False, stored=False),
    Resource("localsubjectaccessreviews", "LocalSubjectAccessReview", _AUTHORIZATION, stored=False),
    Resource("tokenreviews", "TokenReview", "authentication.k8s.io", namespaced=False, stored=False),
    Resource("leases", "Lease", "coordination.k8s.io"),
    Resource("selfsubjectreviews", "SelfSubjectReview", "authentication.k8s.io", namespaced=False, stored=False),
    Resource("csidrivers", "CSIDriver", _STORAGE, namespaced=False, returns_deleted=True),
    Resource("storageclasses", "StorageClass", _STORAGE, namespaced=False, short=("sc",), returns_deleted=True),
    Resource("roles", "Role", _RBAC, name_format="path_segment"),
    Resource("rolebindings", "RoleBinding", _RBAC, name_format="path_segment"),
)

BY_PLURAL: Mapping[tuple[str, str, str], Resource] = {(r.group, r.version, r.plural): r for r in RESOURCES}
BY_KIND: Mapping[str, Resource] = {r.kind: r for r in RESOURCES}
