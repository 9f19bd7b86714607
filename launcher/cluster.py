"""Which cluster jobs go to, and why: what ``cluster: auto`` means is decided here and nowhere else.

A cluster that is configured is used, or is an error; it is never silently replaced by the local one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from launcher import yamltext
from launcher.errors import ClusterUnreachable, InvalidSpec
from launcher.kube.target import SERVICE_ACCOUNT, Address, Context, InCluster, Target
from launcher.record import dumps, loads
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
    """Where a local cluster is, and the process that holds it: what the cluster tells other processes of the user."""

    url: str
    token: str = attrs.field(repr=False)
    pid: int
    started: int
    """Of the process, in clock ticks since the machine started: with the pid it is never another process."""


@contextmanager
def told(state: Path, url: str, token: str) -> Iterator[None]:
    """Tell others below the folder ``state`` of a cluster that this process holds, until the block is left.

    The file is there whole or not at all, and private from its first byte. Raises ``OSError``.
    """
    file = _file(state)
    part = file.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(dumps(LocalState(url=url, token=token, pid=os.getpid(), started=started(os.getpid()))))
    part.replace(file)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read_state(settings: Settings) -> LocalState | None:
    """The local cluster of another process, or None when none was started, or its process is gone."""
    try:
        state = loads(_file(settings.surroundings.state).read_bytes(), LocalState)
        # A cluster that was killed can't take its file away, and its pid may have passed to another process.
        return state if started(state.pid) == state.started else None
    except (InvalidSpec, OSError):
        return None


def running_local(settings: Settings) -> Address | None:
    """The address of the local cluster of another process, if one runs."""
    state = read_state(settings)
    return Address(state.url, state.token) if state else None


def _file(state: Path) -> Path:
    return state / "cluster.json"


def started(pid: int) -> int:
    """When a process started, in clock ticks since the machine did. Raises ``OSError`` when it has ended."""
    # The fields come after the command's name, in parentheses, whatever is in it: the start is the 22nd of all.
    state, *fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    if state in (b"Z", b"X"):
        raise ProcessLookupError(f"process {pid} has ended, and waits for its parent to see it")
    return int(fields[18])
