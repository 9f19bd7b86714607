"""A plan and what it is made of. Values only."""

from __future__ import annotations

import attrs

from launcher.backend import Mode, Mount
from launcher.catalog import Catalog, Resolved
from launcher.errors import Problem
from launcher.files import File
from launcher.job import Job
from launcher.record import RunRecord

# Where the files of a job are mounted, and its working directory when it has any.
FILES_PATH = "/launcher/files"

# What an agent needs from the settings on a real cluster, in the words of messages.
AGENT_HINT = "set `agentImage` in launcher.yaml to the image built from Dockerfile.agent"


@attrs.frozen(kw_only=True)
class PlannedUse:
    """One use of a connection with everything decided."""

    resolved: Resolved
    mode: Mode
    mount_path: str
    sub_path: str = ""
    read_only: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    mount: Mount | None = None

    @property
    def name(self) -> str:
        """The connection's raw name."""
        return self.resolved.connection.name

    @property
    def secret(self) -> str:
        """The name of the Kubernetes secret with its credentials, or nothing."""
        return self.resolved.secret.name if self.resolved.secret else ""


@attrs.frozen(kw_only=True)
class PlannedStore:
    """Where outputs and log go. ``mount`` is the volume, None for a store that only agents reach."""

    resolved: Resolved
    mount: Mount | None


@attrs.frozen(kw_only=True)
class Plan:
    """One run, decided. ``fetch`` and ``save`` say which agents it needs."""

    job: Job
    record: RunRecord
    namespace: str
    launcher_id: str
    uses: tuple[PlannedUse, ...]
    store: PlannedStore | None
    files: tuple[File, ...] = attrs.field(repr=False)
    agent_image: str = ""
    fetch: bool = False
    save: bool = False
    restricted: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def run_id(self) -> str:
        """The run's id, which is the pod's name."""
        return self.record.run


@attrs.frozen(kw_only=True)
class Circumstances:
    """What a plan needs beside the job: who launches, where, with what."""

    run_id: str
    namespace: str
    launcher_id: str
    catalog: Catalog
    store: Resolved | None
    store_is_default: bool = False
    agent_image: str | None = None
    files: tuple[File, ...] = attrs.field(default=(), repr=False)
    problems: tuple[Problem, ...] = ()
    """What is wrong with the files, for the plan to tell with everything else."""
