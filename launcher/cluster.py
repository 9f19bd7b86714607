"""Which cluster jobs go to, and why: what ``cluster: auto`` means is decided here and nowhere else.

A cluster that is configured is used, or is an error; it is never silently replaced by the local one.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from launcher import yamltext
from launcher.errors import ClusterUnreachable, InvalidSpec, LauncherError
from launcher.kube.target import SERVICE_ACCOUNT, Address, Context, InCluster, Target
from launcher.settings import Settings

# The namespace of a kubeconfig that names none, and of the local cluster.
DEFAULT_NAMESPACE = "default"


@attrs.frozen(kw_only=True)
class Choice:
    """A cluster and the reason for it. ``target`` is None for a local cluster that is to be started in the process."""

    target: Target | None
    name: str
    why: str
    namespace: str
    local: bool = False

    def __str__(self) -> str:
        return f"{self.name}, namespace {self.namespace} ({self.why})"


def choose(settings: Settings) -> Choice:
    """The cluster that the settings mean. Raises ``ClusterUnreachable`` when the configured one can't be used."""
    around = settings.surroundings
    if settings.cluster == "local":
        return _local(settings, "cluster: local")
    if settings.cluster != "auto":
        return _context(settings, settings.cluster, f"cluster: {settings.cluster}")
    if around.service_host:
        return Choice(
            target=InCluster(around.service_host, around.service_port),
            name="the cluster around this pod",
            why="this process runs in a pod",
            namespace=settings.namespace or _pod_namespace(),
        )
    if around.kubeconfig:
        return _context(settings, "", f"the current context of {around.kubeconfig}")
    return _local(settings, "no cluster is configured")


def _context(settings: Settings, name: str, why: str) -> Choice:
    path = settings.surroundings.kubeconfig
    if not path:
        raise ClusterUnreachable(f"there is no kubeconfig to find the context {name!r} in (set KUBECONFIG)")
    found, namespace = _from_kubeconfig(path, name)
    target = Context(path, found)
    return Choice(
        target=target,
        name=f"context {found}",
        why=why,
        namespace=settings.namespace or namespace or DEFAULT_NAMESPACE,
    )


def _from_kubeconfig(paths: str, name: str) -> tuple[str, str]:
    """The context's name, the file's current one when none is asked for, and its namespace."""
    contexts: dict[str, str] = {}
    current = ""
    several = [path for path in paths.split(":") if path]
    # As kubectl does: of several files, those that aren't there are passed over.
    for path in [p for p in several if Path(p).exists()] or several:
        try:
            raw = yamltext.read(Path(path))
        except InvalidSpec as exc:
            raise ClusterUnreachable(f"the kubeconfig {path} can't be used: {exc.problems[0].text}") from exc
        raw = raw if isinstance(raw, dict) else {}
        current = current or str(raw.get("current-context") or "")
        listed = raw.get("contexts")
        for item in listed if isinstance(listed, list) else []:
            if isinstance(item, dict) and "name" in item:
                detail = item.get("context")
                namespace = detail.get("namespace") if isinstance(detail, dict) else None
                contexts.setdefault(str(item["name"]), str(namespace or ""))
    wanted = name or current
    if wanted not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        which = f"no context {wanted!r}" if wanted else "no current context"
        raise ClusterUnreachable(
            f"{paths} has {which}; it has {known} (`kubectl config use-context` sets one; `cluster: local` in"
            " launcher.yaml runs jobs on this machine)"
        )
    return wanted, contexts[wanted]


def _local(settings: Settings, why: str) -> Choice:
    running = running_local(settings)
    return Choice(
        target=running,
        name="the local cluster" if running else "a local cluster in this process",
        why=why,
        namespace=settings.namespace or DEFAULT_NAMESPACE,
        local=True,
    )


def _pod_namespace() -> str:
    try:
        return (SERVICE_ACCOUNT / "namespace").read_text().strip() or DEFAULT_NAMESPACE
    except OSError:
        return DEFAULT_NAMESPACE


@attrs.frozen(kw_only=True)
class LocalState:
    """Where a local cluster in the background is: what ``launcher cluster start`` leaves for other shells."""

    url: str
    token: str = attrs.field(repr=False)
    pid: int


def state_file(settings: Settings) -> Path:
    """The file that tells of a local cluster in the background; only its owner may read it."""
    return settings.surroundings.state / "cluster.json"


def read_state(settings: Settings) -> LocalState | None:
    """The local cluster in the background, or None when none was started, or its process is gone."""
    from launcher import codec

    try:
        state = codec.structure(yamltext.read(state_file(settings)), LocalState)
        words = Path(f"/proc/{state.pid}/cmdline").read_bytes().split(b"\0")
    except (LauncherError, OSError):
        return None
    # The number may have passed to another process; a cluster that was killed can't take its file away.
    return state if b"launcher.local" in words else None


def running_local(settings: Settings) -> Address | None:
    """The address of the local cluster in the background, if one runs."""
    state = read_state(settings)
    return Address(state.url, state.token) if state else None
