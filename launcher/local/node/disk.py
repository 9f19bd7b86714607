"""Watching the emptyDir volumes that have a size limit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from launcher.local.api.quantities import parse
from launcher.local.node.folders import size_of
from launcher.local.node.host import DISK_CHECK
from launcher.local.node.volumes import Mounted


async def over_limit(volumes: Iterable[Mapping[str, Any]], mounted: Mapping[str, Mounted], pace: float) -> str:
    """Wait until one of ``volumes`` holds more than its limit; the kubelet's sentence about it.

    Never returns where none has a limit. ``mounted`` fills while this waits.
    """
    limits = {
        str(volume["name"]): str(volume["emptyDir"]["sizeLimit"])
        for volume in volumes
        if (volume.get("emptyDir") or {}).get("sizeLimit")
    }
    if not limits:
        await asyncio.Event().wait()
    while True:
        await asyncio.sleep(DISK_CHECK * pace)
        for name, limit in limits.items():
            if name in mounted and await size_of(mounted[name].path) > parse(limit):
                return f'Usage of EmptyDir volume "{name}" exceeds the limit "{limit}". '
