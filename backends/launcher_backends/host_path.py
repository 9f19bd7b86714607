"""A folder of the node: simple, fast, and gone with its node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from launcher.backend import Access, Credential, Facts, Mode, Mount, MountUse, Need, NeedKind, Remote
from launcher.errors import Problem
from launcher_backends.paths import absolute


@attrs.frozen
class HostPathSchema:
    """``host_path`` is the folder on the node, ``mount_path`` where a job sees it (default ``/connections/NAME``)."""

    host_path: str
    mount_path: str | None = None
    read_only: bool = False


class HostPath:
    """The kind ``host_path``."""

    api = 1
    schema = HostPathSchema
    modes = (Mode.MOUNT,)
    credentials: tuple[Credential, ...] = ()

    def problems(self, schema: HostPathSchema) -> Iterable[Problem]:
        yield from absolute("hostPath", schema.host_path)
        yield from absolute("mountPath", schema.mount_path)

    def needs(self, schema: HostPathSchema) -> Iterable[Need]:
        yield Need(NeedKind.HOST_PATH, schema.host_path)

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        # Without a type the kubelet would make a missing folder and say nothing.
        kind = "DirectoryOrCreate" if use.create else "Directory"
        warning = f"{use.name!r} is a folder of one node: it is lost when that node is"
        return Mount(
            {"hostPath": {"path": use.schema.host_path, "type": kind}},
            warnings=() if facts.local or use.read_only else (warning,),
        )

    def remote(self, schema: HostPathSchema, secrets: Mapping[str, str]) -> Remote:
        return Remote("file", schema.host_path)

    def classify(self, error: BaseException) -> Access | None:
        return None
