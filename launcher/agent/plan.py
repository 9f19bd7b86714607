"""What the launcher tells an agent to do: JSON in one environment variable, without any secret's value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from launcher.backend import frozen_list, frozen_mapping
from launcher.record import RunRecord


@attrs.frozen(kw_only=True)
class Part:
    """One connection, or the store, as an agent sees it.

    ``folder`` is where its files are in the agent's container: the copy, or the mounted volume itself; empty for
    a store that is only reached through its backend. ``secret`` is the folder that holds one file a credential.
    """

    name: str
    kind: str
    schema: Mapping[str, Any] = attrs.field(factory=dict, converter=frozen_mapping)
    mode: str = "copy"
    folder: str = ""
    secret: str = ""
    sub_path: str = ""
    include: tuple[str, ...] = attrs.field(default=(), converter=frozen_list)
    exclude: tuple[str, ...] = attrs.field(default=(), converter=frozen_list)
    writable: bool = False


@attrs.frozen(kw_only=True)
class AgentPlan:
    """The whole of an agent's work in one run.

    ``state`` is a folder that ``fetch`` and ``save`` share: save says there that it is ready, fetch what it
    copied. ``log`` is the container whose log ``save`` follows into the store, empty for none; ``token`` the folder
    of its API token.
    """

    record: RunRecord
    namespace: str
    pod: str
    parts: tuple[Part, ...] = attrs.field(default=(), converter=frozen_list)
    store: Part | None = None
    outputs: str = ""
    state: str = ""
    log: str = ""
    token: str = ""
