"""What an earlier process of this node reported of a pod, read back from the pod's status.

Its containers are gone: only what was reported is known of them. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from launcher.local.node.states import Attempts, Terminated
from launcher.local.node.status import LOST

_GROUPS = ("initContainerStatuses", "containerStatuses")


def attempts(pod: Mapping[str, Any]) -> Mapping[str, Attempts]:
    """Of each container that has ever run, its restarts and how the last attempt ended."""
    status = pod.get("status") or {}
    reported = [item for group in _GROUPS for item in status.get(group) or ()]
    found = {str(item["name"]): _ended(item) for item in reported}
    return {name: Attempts(restarts, ended) for name, (restarts, ended) in found.items() if ended is not None}


def _ended(item: Mapping[str, Any]) -> tuple[int, Terminated | None]:
    restarts, state = int(item.get("restartCount") or 0), item.get("state") or {}
    if state.get("running") is not None:
        return restarts, LOST
    told = state.get("terminated") or (item.get("lastState") or {}).get("terminated")
    return restarts, _terminated(told) if told else None


def _terminated(told: Mapping[str, Any]) -> Terminated:
    return Terminated(
        int(told["exitCode"]),
        str(told.get("reason") or ""),
        _time(told.get("finishedAt")),
        _time(told.get("startedAt")),
        str(told.get("message") or ""),
        str(told.get("containerID") or ""),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
