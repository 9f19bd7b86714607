"""Whether a pod fits this node, and the scheduler's sentence when it doesn't. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from launcher.local.api.quantities import parse
from launcher.local.node.claims import Binding

Amounts = Mapping[str, Decimal]

_UNAVAILABLE = "0/1 nodes are available: "
_PREEMPTION = ". no new claims to deallocate, preemption: 0/1 nodes are available: 1 "
_HOPELESS = "Preemption is not helpful for scheduling."
_NO_VICTIMS = "No preemption victims found for incoming pod."


def requests_of(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a pod takes: its main containers and sidecars together, or its largest init container beside them.

    A request that is missing is its limit, as the API server fills it in. Raises ``ValueError``.
    """
    total: dict[str, Decimal] = {"pods": Decimal(1)}
    peak: dict[str, Decimal] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(total, _requests(container))
        else:
            beside = dict(total)
            _add(beside, _requests(container))
            peak = {name: max(peak.get(name, Decimal(0)), value) for name, value in beside.items()} | {
                name: value for name, value in peak.items() if name not in beside
            }
    for container in spec["containers"]:
        _add(total, _requests(container))
    return {name: max(total.get(name, Decimal(0)), peak.get(name, Decimal(0))) for name in total | peak}


def _requests(container: Mapping[str, Any]) -> dict[str, Decimal]:
    resources = container.get("resources") or {}
    texts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse(str(text)) for name, text in texts.items()}


def _add(total: dict[str, Decimal], more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, Decimal(0)) + value


def misfit(spec: Mapping[str, Any], requests: Amounts, labels: Mapping[str, str], has: Amounts, used: Amounts) -> str:
    """Why a pod can't run here now, as the scheduler says it; empty when it can."""
    if not selected(spec, labels):
        return f"{_UNAVAILABLE}1 node(s) didn't match Pod's node affinity/selector{_PREEMPTION}{_HOPELESS}"
    short = [
        name
        for name, value in requests.items()
        if value and value > has.get(name, Decimal(0)) - used.get(name, Decimal(0))
    ]
    if not short:
        return ""
    hopeless = any(requests[name] > has.get(name, Decimal(0)) for name in short)
    words = ", ".join("1 Too many pods" if name == "pods" else f"1 Insufficient {name}" for name in sorted(short))
    return f"{_UNAVAILABLE}{words}{_PREEMPTION}{_HOPELESS if hopeless else _NO_VICTIMS}"


def unclaimed(name: str, binding: Binding) -> str:
    """Why a pod can't run whose claim is missing or unbound."""
    if binding is Binding.MISSING:
        return f'{_UNAVAILABLE}persistentvolumeclaim "{name}" not found. not found'
    return f"{_UNAVAILABLE}pod has unbound immediate PersistentVolumeClaims. not found"


def selected(spec: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether the pod's node selector and its required node affinity accept these labels."""
    wanted = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    return any(_accepts(term, labels) for term in affinity.get("nodeSelectorTerms") or ())


def _accepts(term: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    # The only field that Kubernetes knows here is the node's name, which is its host name label too.
    fields = {"metadata.name": labels.get("kubernetes.io/hostname", "")}
    listed = [(e, labels) for e in term.get("matchExpressions") or ()]
    listed += [(e, fields) for e in term.get("matchFields") or ()]
    return bool(listed) and all(_matches(expression, values) for expression, values in listed)


def _matches(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    test = _OPERATORS.get(str(expression.get("operator")))
    return test is not None and test(labels.get(str(expression.get("key"))), list(expression.get("values") or ()))


def _number(text: str | None) -> int | None:
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def _compared(label: str | None, values: list[str], sign: int) -> bool:
    have, limit = _number(label), _number(values[0] if values else None)
    return have is not None and limit is not None and (have - limit) * sign > 0


_OPERATORS: Mapping[str, Callable[[str | None, list[str]], bool]] = {
    "In": lambda label, values: label in values,
    "NotIn": lambda label, values: label not in values,
    "Exists": lambda label, _: label is not None,
    "DoesNotExist": lambda label, _: label is None,
    "Gt": lambda label, values: _compared(label, values, 1),
    "Lt": lambda label, values: _compared(label, values, -1),
}
