"""What the API server says of a pod, as frozen values: the one place that reads a pod's status. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from launcher.backend import frozen_mapping
from launcher.kube.errors import clean


@attrs.frozen
class PodRef:
    """One pod and no other: its name may be taken again, its uid never."""

    namespace: str
    name: str
    uid: str

    @property
    def path(self) -> str:
        """Its address in the API."""
        return f"/api/v1/namespaces/{self.namespace}/pods/{self.name}"


@attrs.frozen(kw_only=True)
class ContainerState:
    """One container: waiting, running or terminated; times are the server's."""

    name: str
    init: bool = False
    sidecar: bool = False
    state: str = "waiting"
    reason: str = ""
    message: str = ""
    exit_code: int | None = None
    signal: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    restarts: int = 0
    image: str = ""
    image_id: str = ""

    @property
    def has_run(self) -> bool:
        """Whether a process of it ever started."""
        # A command that couldn't start shows as terminated, started in 1970.
        return self.state == "running" or self.started is not None or self.restarts > 0


@attrs.frozen(kw_only=True)
class Condition:
    """A condition of a pod."""

    type: str
    status: bool
    reason: str = ""
    message: str = ""
    since: datetime | None = None


@attrs.frozen(kw_only=True)
class PodState:
    """A pod at one moment."""

    ref: PodRef
    version: str
    phase: str = "Pending"
    reason: str = ""
    message: str = ""
    node: str = ""
    created: datetime | None = None
    deleting: bool = False
    gone: bool = False
    """Whether the API server has no such pod any more."""
    containers: tuple[ContainerState, ...] = ()
    conditions: tuple[Condition, ...] = ()
    labels: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping)
    annotations: Mapping[str, str] = attrs.field(factory=dict, converter=frozen_mapping, repr=False)

    @classmethod
    def of(cls, pod: Mapping[str, Any], *, gone: bool = False) -> PodState:
        """The state that a pod object shows. Missing parts are taken as not yet there."""
        meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
        return cls(
            ref=PodRef(meta["namespace"], meta["name"], meta["uid"]),
            version=str(meta.get("resourceVersion", "")),
            phase=str(status.get("phase", "Pending")),
            reason=str(status.get("reason", "")),
            message=clean(str(status.get("message", ""))),
            node=str(spec.get("nodeName", "")),
            created=moment(meta.get("creationTimestamp")),
            deleting="deletionTimestamp" in meta,
            gone=gone,
            containers=tuple(_containers(spec, status)),
            conditions=tuple(_condition(item) for item in status.get("conditions") or []),
            labels=meta.get("labels") or {},
            annotations=meta.get("annotations") or {},
        )

    @property
    def ended(self) -> bool:
        """Whether every container has ended for good: the phase says so, one event after the last of them."""
        return self.phase in ("Succeeded", "Failed")

    def container(self, name: str) -> ContainerState | None:
        """The container of that name: by name and never by position, since a mesh may add its own."""
        return next((c for c in self.containers if c.name == name), None)

    def condition(self, kind: str) -> Condition | None:
        """The condition of that type."""
        return next((c for c in self.conditions if c.type == kind), None)


@attrs.frozen
class Note:
    """A Kubernetes event about a pod: the only place that tells of mounts and scheduling."""

    reason: str
    message: str
    warning: bool = False
    time: datetime | None = None

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Note:
        """The note that an event object holds."""
        return cls(
            str(event.get("reason", "")),
            clean(str(event.get("message", ""))),
            event.get("type") == "Warning",
            moment(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp")),
        )


def moment(text: Any) -> datetime | None:
    """A time of the API; None for none, for what isn't one, and for 1970, which a kubelet writes for never."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except (ValueError, TypeError):
        return None
    return found if found is not None and found.tzinfo is not None and found.timestamp() > 0 else None


def _containers(spec: Mapping[str, Any], status: Mapping[str, Any]) -> list[ContainerState]:
    found = []
    for group, statuses, init in (
        ("initContainers", "initContainerStatuses", True),
        ("containers", "containerStatuses", False),
    ):
        known = {item.get("name"): item for item in status.get(statuses) or []}
        for container in spec.get(group) or []:
            sidecar = init and container.get("restartPolicy") == "Always"
            found.append(_container(container["name"], known.get(container["name"]) or {}, init, sidecar))
    return found


def _container(name: str, status: Mapping[str, Any], init: bool, sidecar: bool) -> ContainerState:
    state = status.get("state") or {}
    kind = next((k for k in ("terminated", "running", "waiting") if k in state), "waiting")
    detail = state.get(kind) or {}
    return ContainerState(
        name=name,
        init=init,
        sidecar=sidecar,
        state=kind,
        reason=str(detail.get("reason", "")),
        message=str(detail.get("message", "")),
        exit_code=detail.get("exitCode"),
        signal=int(detail.get("signal", 0) or 0),
        started=moment(detail.get("startedAt")),
        finished=moment(detail.get("finishedAt")),
        restarts=int(status.get("restartCount", 0)),
        image=str(status.get("image", "")),
        image_id=str(status.get("imageID", "")),
    )


def _condition(item: Mapping[str, Any]) -> Condition:
    return Condition(
        type=str(item.get("type", "")),
        status=item.get("status") == "True",
        reason=str(item.get("reason", "")),
        message=clean(str(item.get("message", ""))),
        since=moment(item.get("lastTransitionTime")),
    )
