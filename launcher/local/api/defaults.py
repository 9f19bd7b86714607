"""What the API server fills in where it depends on other fields; plain defaults are in the table of shapes.
Pure.

``PREPARE`` changes a new object in place, ``status`` included: clients can't set the status of what they
create.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from launcher.local.api.quantities import parse

# Seconds that a pod stays on a node that isn't ready, as the DefaultTolerationSeconds plugin has it.
TOLERATED = 300
_NODE_TROUBLES = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")

_GATED = "Scheduling is blocked due to non-empty scheduling gates"


def containers(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Every container of a pod's spec: init containers first, as Kubernetes visits them."""
    for group in ("initContainers", "containers"):
        yield from spec.get(group) or ()


def _pod(pod: dict[str, Any], now: str) -> None:
    spec = pod["spec"]
    for container in containers(spec):
        _container(container)
    for volume in spec.get("volumes") or ():
        if len(volume) == 1:
            volume["emptyDir"] = {}
        if image := volume.get("image"):
            image.setdefault("pullPolicy", _pull_policy(image.get("reference", "")))
    # The deprecated name of the same field; older clients read it.
    spec["serviceAccount"] = spec["serviceAccountName"]
    _tolerations(spec)
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(spec)}
    if spec.get("schedulingGates"):
        pod["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastTransitionTime": now,
                "reason": "SchedulingGated",
                "message": _GATED,
            }
        ]


def _container(container: dict[str, Any]) -> None:
    container.setdefault("imagePullPolicy", _pull_policy(container.get("image", "")))
    resources = container["resources"]
    if limits := resources.get("limits"):
        resources["requests"] = {**limits, **resources.get("requests", {})}


def _pull_policy(image: str) -> str:
    name, _, tag = image.rpartition("/")[2].partition(":")
    latest = "@" not in name and (not tag or tag == "latest")
    return "Always" if latest else "IfNotPresent"


def _tolerations(spec: dict[str, Any]) -> None:
    own = spec.get("tolerations") or []
    covered = {item.get("key") for item in own if item.get("effect") in (None, "", "NoExecute")}
    extra = [
        {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": TOLERATED}
        for key in _NODE_TROUBLES
        if key not in covered and None not in covered
    ]
    if own or extra:
        spec["tolerations"] = own + extra


def qos_class(spec: Mapping[str, Any]) -> str:
    """BestEffort without cpu and memory, Guaranteed when every container limits both to its requests."""
    seen, guaranteed = False, True
    for container in containers(spec):
        resources = container["resources"]
        limits, requests = resources.get("limits", {}), resources.get("requests", {})
        for name in ("cpu", "memory"):
            seen = seen or _positive(limits.get(name)) or _positive(requests.get(name))
            if not _positive(limits.get(name)) or requests.get(name) != limits[name]:
                guaranteed = False
    if not seen:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _positive(quantity: str | None) -> bool:
    return quantity is not None and parse(quantity) > 0


def _secret(secret: dict[str, Any], now: str) -> None:
    if plain := secret.pop("stringData", None):
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}
        secret["data"] = {**secret.get("data", {}), **encoded}


def _namespace(namespace: dict[str, Any], now: str) -> None:
    name = namespace["metadata"].get("name", "")
    metadata = namespace["metadata"]
    metadata["labels"] = {**metadata.get("labels", {}), "kubernetes.io/metadata.name": name}
    namespace["spec"] = {"finalizers": ["kubernetes"]}
    namespace["status"] = {"phase": "Active"}


def _claim(claim: dict[str, Any], now: str) -> None:
    claim["status"] = {"phase": "Pending"}


def _volume(volume: dict[str, Any], now: str) -> None:
    volume["status"] = {"phase": "Pending", "lastPhaseTransitionTime": now}


def _role_binding(binding: dict[str, Any], now: str) -> None:
    for subject in binding.get("subjects") or ():
        if subject["kind"] in ("User", "Group"):
            subject.setdefault("apiGroup", binding["roleRef"]["apiGroup"])


def _csi_driver(driver: dict[str, Any], now: str) -> None:
    driver["spec"].setdefault("volumeLifecycleModes", ["Persistent"])


PREPARE: Mapping[str, Callable[[dict[str, Any], str], None]] = {
    "Pod": _pod,
    "Secret": _secret,
    "Namespace": _namespace,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "RoleBinding": _role_binding,
    "CSIDriver": _csi_driver,
}
