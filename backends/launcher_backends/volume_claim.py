"""A PersistentVolumeClaim that exists already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from launcher.backend import Access, Claim, Credential, Facts, Mode, Mount, MountUse, Need, NeedKind
from launcher.errors import Problem
from launcher_backends.paths import absolute, object_name


@attrs.frozen
class VolumeClaimSchema:
    """``volume_claim`` is the claim's name in the job's namespace."""

    volume_claim: str
    mount_path: str | None = None
    read_only: bool = False


class VolumeClaim:
    """The kind ``volume_claim``."""

    api = 1
    schema = VolumeClaimSchema
    modes = (Mode.MOUNT,)
    credentials: tuple[Credential, ...] = ()

    def problems(self, schema: VolumeClaimSchema) -> Iterable[Problem]:
        yield from object_name("volumeClaim", schema.volume_claim)
        yield from absolute("mountPath", schema.mount_path)

    def needs(self, schema: VolumeClaimSchema) -> Iterable[Need]:
        yield Need(NeedKind.CLAIM, schema.volume_claim)

    def mount(self, use: MountUse, facts: Facts) -> Mount:
        return claim_mount(use.schema.volume_claim, use, facts.claim(use.schema.volume_claim))

    def remote(self, schema: VolumeClaimSchema, secrets: Mapping[str, str]) -> None:
        return None

    def classify(self, error: BaseException) -> Access | None:
        return None


def claim_mount(name: str, use: MountUse, claim: Claim | None) -> Mount:
    """A claim as a volume, with what its access modes mean for this use."""
    source = {"persistentVolumeClaim": {"claimName": name, **({"readOnly": True} if use.read_only else {})}}
    return Mount(source, warnings=tuple(_warnings(name, use, claim)))


def _warnings(name: str, use: MountUse, claim: Claim | None) -> Iterable[str]:
    if claim is None:
        return
    modes = set(claim.access_modes)
    if not use.read_only and modes == {"ReadOnlyMany"}:
        yield f"the claim {name!r} of {use.name!r} is ReadOnlyMany: writing to it will fail"
    if "ReadWriteOncePod" in modes:
        yield f"the claim {name!r} of {use.name!r} serves one pod at a time: this one waits while another has it"
    elif modes == {"ReadWriteOnce"}:
        yield f"the claim {name!r} of {use.name!r} serves one node at a time: pods that use it share that node"
