"""From a container's spec to a ``Launch``: environment, command, mounts and user, all looked up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from launcher.local.node.configuration import ConfigError
from launcher.local.node.environment import Environment, base, expand, of_machine
from launcher.local.node.folders import Escape, enter
from launcher.local.node.host import Host
from launcher.local.node.isolation import RUNC, Bind, Image, Launch
from launcher.local.node.process import StartFailed
from launcher.local.node.volumes import Mounted
from launcher.local.node.warden import VARIABLE

DEFAULT_MESSAGE_PATH = "/dev/termination-log"


@contextlib.asynccontextmanager
async def launch_of(
    host: Host,
    pod: Mapping[str, Any],
    container: Mapping[str, Any],
    volumes: Mapping[str, Mounted],
    scratch: Path,
) -> AsyncIterator[Launch]:
    """Everything about one attempt, looked up now; ``scratch`` is its own folder.

    Raises ``ConfigError`` for what may come yet, ``StartFailed`` for what can't be started at all.
    """
    identity = user_of(pod, container)
    resolver = Environment(host.session, pod, container, host.allocatable)
    imaged = host.isolation.images is not None
    variables = await resolver.variables(({} if imaged else of_machine()) | base(pod, *host.address))
    message = scratch / "termination-log"
    message.touch()
    message.chmod(0o666)
    with contextlib.ExitStack() as opened:
        binds = [_bind(mount, container, volumes, variables, opened) for mount in container.get("volumeMounts") or ()]
        message_path = container.get("terminationMessagePath") or DEFAULT_MESSAGE_PATH
        yield Launch(
            argv=() if imaged else _argv(container, variables),
            # Last, and after everything was expanded: no pod can do without it.
            env=variables | {VARIABLE: host.mark},
            cwd=container.get("workingDir") or "/",
            binds=(*binds, Bind(message, message_path, read_only=False)),
            scratch=scratch,
            hidden=host.folder,
            uid=identity[0],
            gid=identity[1],
            image=image_of(container, variables) if imaged else None,
        )


def image_of(container: Mapping[str, Any], variables: Mapping[str, str]) -> Image:
    """What the container says to a runtime that has images."""
    name = str(container.get("image") or "")
    tag = name.rpartition("/")[2].partition(":")[2]
    newest = "@" not in name and tag in ("", "latest")
    return Image(
        name,
        container.get("imagePullPolicy") or ("Always" if newest else "IfNotPresent"),
        tuple(expand(word, variables) for word in container.get("command") or ()),
        tuple(expand(word, variables) for word in container.get("args") or ()),
        container.get("workingDir") or "",
        bool((container.get("securityContext") or {}).get("readOnlyRootFilesystem")),
    )


def user_of(pod: Mapping[str, Any], container: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The uid and gid to run as; None where nothing is asked for.

    Raises ``ConfigError`` where it must not be root, and would be.
    """
    context = {**(pod["spec"].get("securityContext") or {}), **(container.get("securityContext") or {})}
    uid, gid = context.get("runAsUser"), context.get("runAsGroup")
    effective = os.geteuid() if uid is None else uid
    if context.get("runAsNonRoot") and effective == 0:
        meta = pod["metadata"]
        told = f'(pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {container["name"]})'
        if uid is None:
            raise ConfigError(f"container has runAsNonRoot and image will run as root {told}")
        raise ConfigError(f"container's runAsUser breaks non-root policy {told}")
    if uid is not None and gid is None:
        gid = 0  # as a container runtime does for a uid that its image doesn't know
    return uid, gid


def _argv(container: Mapping[str, Any], variables: Mapping[str, str]) -> tuple[str, ...]:
    command = container.get("command")
    if not command:
        raise StartFailed(
            RUNC.format(
                "no command specified. The local cluster runs processes, and an image's entrypoint means"
                f" nothing to it: give container {container['name']} a `command`"
            )
        )
    return tuple(expand(word, variables) for word in [*command, *(container.get("args") or ())])


def _bind(
    mount: Mapping[str, Any],
    container: Mapping[str, Any],
    volumes: Mapping[str, Mounted],
    variables: Mapping[str, str],
    opened: contextlib.ExitStack,
) -> Bind:
    name = mount["name"]
    if name not in volumes:
        raise ConfigError(f'volume "{name}" of container "{container["name"]}" is not mounted')
    volume = volumes[name]
    read_only = bool(mount.get("readOnly")) or volume.read_only
    below = expand(mount["subPathExpr"], variables) if mount.get("subPathExpr") else mount.get("subPath")
    if not below:
        return Bind(volume.path, mount["mountPath"], read_only)
    try:
        path, fd = enter(volume.path, below)
    except (Escape, OSError) as exc:
        raise ConfigError(
            f'failed to prepare subPath for volumeMount "{name}" of container "{container["name"]}"'
        ) from exc
    opened.callback(os.close, fd)
    return Bind(path, mount["mountPath"], read_only, fd)
