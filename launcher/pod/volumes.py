"""The pod's volumes, and which container mounts them where. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from launcher import names
from launcher.backend import Mode
from launcher.files import File
from launcher.plan import FILES_PATH, Plan, PlannedUse
from launcher.record import OUTPUTS

# Folders in the agents' own containers: never the user's paths, which could hide the agent's programs.
DATA = "/launcher/data"
SECRETS = "/launcher/secrets"
STORE = "/launcher/store"
STATE = "/launcher/state"
TOKEN = "/launcher/token"  # noqa: S105 - a folder

# Seconds that save's API token lives; the kubelet renews it from 80 % of that on.
TOKEN_SECONDS = 3600

FILES_VOLUME, OUTPUTS_VOLUME, STORE_VOLUME = "launcher-files", "launcher-outputs", "launcher-store"
STATE_VOLUME, TOKEN_VOLUME, SHM_VOLUME = "launcher-state", "launcher-token", "launcher-shm"


@attrs.frozen
class Placed:
    """One volume, and its mount in the user's container, in fetch and in save, where each has one."""

    volume: dict[str, Any]
    main: dict[str, Any] | None = None
    fetch: dict[str, Any] | None = None
    save: dict[str, Any] | None = None


def volume_name(name: str) -> str:
    """The volume of a connection."""
    return names.dns_label(f"connection-{name}")


def secret_volume_name(name: str) -> str:
    """The volume of a connection's credentials."""
    return names.dns_label(f"credentials-{name}")


def data_folder(name: str) -> str:
    """Where the agents see a connection's files."""
    return f"{DATA}/{volume_name(name)}"


def secret_folder(name: str) -> str:
    """Where the agents see a connection's credentials, a file a key."""
    return f"{SECRETS}/{volume_name(name)}"


def files_key(index: int, file: File) -> str:
    """The config map's key for a file: keys hold no slashes, so they are numbers, and items name the paths."""
    return f"f{index}"


def placed(plan: Plan) -> Iterator[Placed]:
    """Every volume of the pod, in a fixed order."""
    for use in plan.uses:
        yield from _use(plan, use)
    yield from _outputs(plan)
    yield from _store_access(plan)
    if plan.files:
        yield _files(plan)
    if plan.job.shared_memory:
        source = {"emptyDir": {"medium": "Memory", "sizeLimit": plan.job.shared_memory}}
        yield Placed({"name": SHM_VOLUME, **source}, main=_mount(SHM_VOLUME, "/dev/shm"))  # noqa: S108 - the pod's


def _use(plan: Plan, use: PlannedUse) -> Iterator[Placed]:
    name = volume_name(use.name)
    if use.mount is not None:
        whole = _mount(name, data_folder(use.name), read_only=use.read_only)
        yield Placed(
            {"name": name, **use.mount.source},
            main=_mount(name, use.mount_path, read_only=use.read_only, sub_path=use.sub_path),
            fetch=whole if use.sub_path else None,
        )
    elif use.mode is Mode.COPY:
        agent = _mount(name, data_folder(use.name))
        yield Placed(
            {"name": name, "emptyDir": {}},
            main=_mount(name, use.mount_path, read_only=use.read_only),
            fetch=agent,
            save=None if use.read_only else agent,
        )
        if use.secret:
            yield _credentials(plan, use)
    elif use.resolved.secret and use.resolved.secret.mount_path:
        path = use.resolved.secret.mount_path
        volume = _secret_volume(secret_volume_name(use.name), use.secret, use.resolved.secret.items)
        yield Placed(volume, main=_mount(volume["name"], path, read_only=True))
    if use.resolved.connection.config_map:
        yield _config_map(use)


def _credentials(plan: Plan, use: PlannedUse) -> Placed:
    assert use.resolved.secret is not None  # noqa: S101 - asked by the caller
    name = secret_volume_name(use.name)
    mount = _mount(name, secret_folder(use.name), read_only=True)
    volume = _secret_volume(name, use.secret, use.resolved.secret.items)
    return Placed(volume, fetch=mount, save=None if use.read_only else mount)


def _config_map(use: PlannedUse) -> Placed:
    reference = use.resolved.connection.config_map
    assert reference is not None  # noqa: S101 - asked by the caller
    name = names.dns_label(f"config-{use.name}")
    source: dict[str, Any] = {"name": reference.name}
    if reference.items:
        source["items"] = [{"key": key, "path": key} for key in reference.items]
    return Placed({"name": name, "configMap": source}, main=_mount(name, reference.mount_path, read_only=True))


def _outputs(plan: Plan) -> Iterator[Placed]:
    path = plan.job.outputs
    if path is None:
        return
    if plan.store is None or plan.store.mount is None:
        mount = _mount(OUTPUTS_VOLUME, path)
        yield Placed({"name": OUTPUTS_VOLUME, "emptyDir": {}}, main=mount, save=mount)
        return
    sub_path = f"{plan.run_id}/{OUTPUTS}"
    volume = {"name": STORE_VOLUME, **plan.store.mount.source}
    folder = _run_folder(plan) if plan.save else None
    yield Placed(volume, main=_mount(STORE_VOLUME, path, sub_path=sub_path), fetch=folder, save=folder)


def _run_folder(plan: Plan) -> dict[str, Any]:
    """The run's own folder of the store, at its place below ``STORE``: save sees no other run's."""
    return _mount(STORE_VOLUME, f"{STORE}/{plan.run_id}", sub_path=plan.run_id)


def _store_access(plan: Plan) -> Iterator[Placed]:
    if not plan.save:
        return
    state = _mount(STATE_VOLUME, STATE)
    yield Placed({"name": STATE_VOLUME, "emptyDir": {}}, fetch=state, save=state)
    if plan.store is None:
        return
    name = plan.store.resolved.connection.name
    if plan.store.mount is not None and plan.job.outputs is None:
        folder = _run_folder(plan)
        yield Placed({"name": STORE_VOLUME, **plan.store.mount.source}, fetch=folder, save=folder)
    secret = plan.store.resolved.secret
    if plan.store.mount is None and secret:
        volume = _secret_volume(names.dns_label(f"store-credentials-{name}"), secret.name, secret.items)
        mount = _mount(volume["name"], f"{SECRETS}/store", read_only=True)
        yield Placed(volume, fetch=mount, save=mount)
    sources = [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": TOKEN_SECONDS}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]
    token = {"name": TOKEN_VOLUME, "projected": {"sources": sources}}
    yield Placed(token, save=_mount(TOKEN_VOLUME, TOKEN, read_only=True))


def _files(plan: Plan) -> Placed:
    items = [
        {"key": files_key(index, file), "path": file.path, "mode": 0o755 if file.executable else 0o644}
        for index, file in enumerate(plan.files)
    ]
    volume = {"name": FILES_VOLUME, "configMap": {"name": files_name(plan), "items": items}}
    return Placed(volume, main=_mount(FILES_VOLUME, FILES_PATH, read_only=True))


def files_name(plan: Plan) -> str:
    """The config map that carries the job's files."""
    return f"{plan.run_id}-files"


def _secret_volume(name: str, secret: str, items: tuple[str, ...]) -> dict[str, Any]:
    source: dict[str, Any] = {"secretName": secret}
    if items:
        source["items"] = [{"key": key, "path": key} for key in items]
    return {"name": name, "secret": source}


def _mount(name: str, path: str, *, read_only: bool = False, sub_path: str = "") -> dict[str, Any]:
    mount: dict[str, Any] = {"name": name, "mountPath": path}
    if read_only:
        mount["readOnly"] = True
    if sub_path:
        mount["subPath"] = sub_path
    return mount
