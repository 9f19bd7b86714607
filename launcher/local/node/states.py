"""What a node knows of a pod's containers: frozen values, from which ``status`` makes Kubernetes' own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import attrs


class Role(Enum):
    """The three lives that a container can have in a pod; the value is its list in the spec."""

    INIT = "initContainers"
    SIDECAR = "initContainers (restartPolicy: Always)"
    MAIN = "containers"

    @property
    def field(self) -> str:
        """The list in the pod's spec that it stands in."""
        return self.value.partition(" ")[0]


@attrs.frozen
class Waiting:
    """Not running, but may yet."""

    reason: str
    message: str = ""


@attrs.frozen
class Running:
    """Running since ``started``."""

    started: datetime
    container_id: str


@attrs.frozen
class Terminated:
    """Ended. ``started`` is None when the command never ran."""

    exit_code: int
    reason: str
    finished: datetime | None = None
    started: datetime | None = None
    message: str = ""
    container_id: str = ""


State = Waiting | Running | Terminated


@attrs.frozen
class Attempts:
    """What is known of a container whose process is gone with an earlier process of the node."""

    restarts: int
    ended: Terminated


@attrs.frozen
class Seen:
    """One container at one moment. ``last`` is how its previous attempt ended."""

    role: Role
    spec: Mapping[str, Any]
    state: State
    last: Terminated | None = None
    restarts: int = 0

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def succeeded(self) -> bool:
        return isinstance(self.state, Terminated) and self.state.exit_code == 0

    @property
    def has_started(self) -> bool:
        """Whether some attempt of it ran, or at least ended."""
        return self.last is not None or not isinstance(self.state, Waiting)

    @property
    def ready(self) -> bool:
        """An init container is ready when it has ended well, any other while it runs."""
        return self.succeeded if self.role is Role.INIT else isinstance(self.state, Running)


@attrs.frozen
class Snapshot:
    """A pod at one moment; ``generation`` is that of the spec and the deletion that the node knows of.

    ``final`` says that nothing of the pod runs any more, so that its phase may be the last one; ``stopped``,
    that it was ended from outside. ``reason`` and ``message`` say why the node ended it, where it did.
    """

    containers: tuple[Seen, ...]
    restart_policy: str
    generation: int
    sandbox: bool = False
    final: bool = False
    stopped: bool = False
    reason: str = ""
    message: str = ""

    def having(self, *roles: Role) -> tuple[Seen, ...]:
        """Its containers of these roles, in their order."""
        return tuple(seen for seen in self.containers if seen.role in roles)
