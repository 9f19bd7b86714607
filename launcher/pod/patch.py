"""The job's extra containers and its patch over the finished pod, and what they may not do. Pure.

Mappings are merged, null removes, lists of named things are merged by their names (mounts by their paths), other
lists are replaced. ``launcher.pod.guard`` then says whether the pod is still what its connections allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from launcher.errors import InvalidSpec, Problem
from launcher.plan import Plan
from launcher.pod.guard import refused

# The key by which the items of a list are the same item, in the order in which they are tried.
_MERGE_KEYS = ("mountPath", "name", "containerPort", "ip")


def patched(plan: Plan, pod: dict[str, Any], extras: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The pod with the job's extra containers and its patch merged over it.

    Raises ``InvalidSpec`` with everything that they may not touch.
    """
    try:
        after: dict[str, Any] = _merged(_merged(pod, _plain(extras)), _plain(patch))
        problems = list(refused(plan, pod, after))
    except (AttributeError, TypeError, KeyError, RecursionError):
        problems = [
            Problem("patch", "doesn't leave a pod: a list or mapping became something else", "`launcher render`")
        ]
    if problems:
        raise InvalidSpec(problems, f"job {plan.job.name!r}")
    return after


def _plain(value: Any) -> Any:
    """Dicts and lists of our own, whatever kind of mapping and sequence a user wrote in Python."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _merged(before: Any, patch: Any) -> Any:
    if isinstance(patch, dict):
        result = dict(before) if isinstance(before, dict) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = _merged(result.get(key), value)
        return result
    if isinstance(before, list) and isinstance(patch, list):
        return _merged_lists(before, patch)
    return patch


def _merged_lists(before: list[Any], patch: list[Any]) -> list[Any]:
    everything = [*before, *patch]
    for key in _MERGE_KEYS:
        if all(isinstance(item, dict) and key in item for item in everything):
            by_key = {item[key]: item for item in before}
            for item in patch:
                by_key[item[key]] = _merged(by_key.get(item[key]), item)
            return list(by_key.values())
    return patch
