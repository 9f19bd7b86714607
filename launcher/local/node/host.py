"""What all pods of one node share, and how long a kubelet waits between tries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from launcher.kube.session import Session
from launcher.local.node.events import Events
from launcher.local.node.isolation import Isolation
from launcher.local.node.logfiles import LogStore

# Seconds, as in a kubelet. The first restart comes at once, the second after 10 s, then twice as long each
# time up to 5 minutes; an attempt that ran for 10 minutes starts the row anew.
RESTART_FIRST = 10.0
RESTART_LONGEST = 300.0
RESTART_FORGIVEN = 600.0

# Seconds between two tries of mounting a volume, doubling.
MOUNT_FIRST = 0.5
MOUNT_LONGEST = 122.0

# Seconds between two looks for what a container's configuration lacks, doubling; a kubelet's rounds take 10
# to 15.
CONFIG_FIRST = 1.0
CONFIG_LONGEST = 12.0

# Seconds between two measurements of the emptyDir volumes that have a limit. A kubelet takes up to a minute;
# locally a user is waiting.
DISK_CHECK = 3.0

# Seconds between two pulls of an image that can't be had, doubling, as in a kubelet; a wrong name is looked at
# in a kubelet's rounds, as the configuration is.
PULL_FIRST = 10.0
PULL_LONGEST = 300.0

# Seconds that a container gets after SIGTERM, however little of the pod's grace is left, and those that an
# eviction leaves in all.
MINIMUM_GRACE = 2.0
EVICTION_GRACE = 1.0


@attrs.frozen
class Host:
    """One node, as its pods see it.

    ``address`` is the API server's host and port. ``mark`` is in the environment of every process, so that
    the warden finds them. ``pace`` multiplies the node's own waits (not what pods
    ask for): 1.0 is a kubelet's.
    """

    session: Session
    name: str
    folder: Path
    isolation: Isolation
    events: Events
    logs: LogStore
    allocatable: Mapping[str, str]
    address: tuple[str, int]
    mark: str
    pace: float = 1.0


def doubling(first: float, longest: float, times: int) -> float:
    """Seconds before try ``times + 1``: ``first`` after the first, then twice as long each time."""
    return min(longest, first * 2.0 ** min(times, 60))
