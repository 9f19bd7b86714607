"""Why a pod waits or failed: a table of what a kubelet shows, with the words and the remedy. Pure.

The rows come from recordings of a real kubelet. The first that matches speaks.
"""

from __future__ import annotations

import re
import signal as signals
from collections.abc import Callable, Iterable, Sequence

import attrs

from launcher.kube.errors import clean
from launcher.kube.podstate import ContainerState, Note, PodState


@attrs.frozen(kw_only=True)
class Diagnosis:
    """What happened, in a form to read and a form to decide by.

    ``code`` is a stable word (``oom_killed``, ``image_pull``), ``summary`` a sentence, ``remedy`` what to do.
    ``infrastructure`` says that the job itself isn't to blame.
    """

    code: str
    summary: str
    remedy: str = ""
    container: str = ""
    exit_code: int | None = None
    infrastructure: bool = False

    def __str__(self) -> str:
        return f"{self.summary} ({self.remedy})" if self.remedy else self.summary


@attrs.frozen
class Wait:
    """Why a pod hasn't started, and how many seconds that may still mend itself; None is for ever."""

    diagnosis: Diagnosis
    patience: float | None


# Seconds. A registry that stumbles, a secret or volume that follows its pod: what is usual mends within these.
_REGISTRY, _CONFIGURATION, _MOUNT = 60.0, 30.0, 60.0
_AT_ONCE = 0.0


@attrs.frozen
class _Waiting:
    """A reason to wait: code, summary (``{c}``: who waits, ``{m}``: the kubelet's words), remedy, seconds."""

    code: str
    summary: str
    remedy: str
    patience: float | None


_IMAGE_REMEDY = "check the image's name and tag, and imagePullSecrets for a private registry"

_WAITING: dict[str, _Waiting] = {
    "InvalidImageName": _Waiting(
        "image_name", "{c}: its image's name is invalid: {m}", "for example python:3.12-slim", _AT_ONCE
    ),
    "ErrImageNeverPull": _Waiting(
        "image_never_pulled",
        "{c}: its image isn't on the node and may not be pulled: {m}",
        "imagePullPolicy: IfNotPresent",
        _AT_ONCE,
    ),
    "ErrImagePull": _Waiting("image_pull", "{c}: its image can't be pulled: {m}", _IMAGE_REMEDY, _REGISTRY),
    "ImagePullBackOff": _Waiting("image_pull", "{c}: its image can't be pulled: {m}", _IMAGE_REMEDY, _REGISTRY),
    "CreateContainerConfigError": _Waiting(
        "configuration",
        "{c} can't be configured: {m}",
        "make what it names, or correct the job",
        _CONFIGURATION,
    ),
    "CreateContainerError": _Waiting(
        "container", "{c} can't be made: {m}", "the node's runtime refuses it", _CONFIGURATION
    ),
    "RunContainerError": _Waiting("start", "{c} can't start: {m}", "is its command in the image?", _CONFIGURATION),
    "CrashLoopBackOff": _Waiting("crash_loop", "{c} ends again and again: {m}", "see its log", _MOUNT),
}

# Reasons of events while a pod waits: for mounts and scheduling only they say why.
_NOTES: dict[str, _Waiting] = {
    "FailedMount": _Waiting(
        "mount",
        "a volume can't be mounted: {m}",
        "does what it names exist, and may this node reach it?",
        _MOUNT,
    ),
    "FailedAttachVolume": _Waiting("attach", "a volume can't be attached: {m}", "is it in use on another node?", 300.0),
    "FailedCreatePodSandBox": _Waiting(
        "sandbox", "the node can't set the pod up: {m}", "the node's network or runtime", 300.0
    ),
    # No patience runs out here: an autoscaler may be adding a node, a queue may hold the job.
    "FailedScheduling": _Waiting(
        "unschedulable", "no node fits yet: {m}", "see resources, nodeSelector and tolerations", None
    ),
}


def waiting(state: PodState, notes: Sequence[Note]) -> Wait | None:
    """Why a pod doesn't start, if it shows a reason; None while all goes its way."""
    for container in state.containers:
        row = _WAITING.get(container.reason) if container.state == "waiting" else None
        if row and not (container.sidecar and _main_has_run(state)):
            return _wait(row, f"container {container.name!r}", container.message or container.reason, container.name)
    if any(container.has_run for container in state.containers):
        return None
    for note in reversed(notes):
        row = _NOTES.get(note.reason)
        if row and (row.code != "unschedulable" or not state.node):
            return _wait(row, "the pod", note.message)
    scheduled = state.condition("PodScheduled")
    if scheduled and not scheduled.status and scheduled.reason == "Unschedulable":
        return _wait(_NOTES["FailedScheduling"], "the pod", scheduled.message)
    return None


def _main_has_run(state: PodState) -> bool:
    return any(not c.init and c.has_run for c in state.containers)


def _wait(row: _Waiting, who: str, words: str, container: str = "") -> Wait:
    summary = row.summary.format(c=who, m=clean(words, 400))
    diagnosis = Diagnosis(code=row.code, summary=summary, remedy=row.remedy, container=container)
    return Wait(diagnosis, row.patience)


def ending(state: PodState, *, main: str = "main") -> Diagnosis | None:
    """Why a pod that has ended isn't well; None when it is.

    A pod that heeded SIGTERM and ended 0 while it was evicted or deleted shows Succeeded, and isn't well.
    """
    for rule in _RULES:
        found = rule(state, main)
        if found:
            return found
    return None


Rule = Callable[[PodState, str], Diagnosis | None]


def _evicted(state: PodState, main: str) -> Diagnosis | None:
    disruption = state.condition("DisruptionTarget")
    if state.reason != "Evicted" and not (disruption and disruption.status):
        return None
    words = state.message or (disruption.message if disruption else "")
    if "emptydir" in words.lower() or "ephemeral" in words:
        remedy = "ask for more: resources.ephemeralStorage, or sharedMemory for /dev/shm"
        return Diagnosis(code="disk_full", summary=f"the node evicted the pod: {words}", remedy=remedy)
    reason = disruption.reason if disruption else "Evicted"
    summary = f"the pod was evicted ({reason}): {words}" if words else f"the pod was evicted ({reason})"
    return Diagnosis(code="evicted", summary=summary, remedy="run it again", infrastructure=True)


def _deadline(state: PodState, main: str) -> Diagnosis | None:
    if state.reason != "DeadlineExceeded":
        return None
    return Diagnosis(
        code="deadline",
        summary="the pod outlived its deadline, queueing and pulling included",
        remedy="raise the job's timeout",
    )


def _node_lost(state: PodState, main: str) -> Diagnosis | None:
    if state.reason not in (
        "NodeLost",
        "NodeShutdown",
        "Terminated",
        "NodeAffinity",
        "UnexpectedAdmissionError",
    ):
        return None
    summary = f"the node gave the pod up ({state.reason}): {state.message}".rstrip(": ")
    return Diagnosis(code="node_lost", summary=summary, remedy="run it again", infrastructure=True)


def _init_failed(state: PodState, main: str) -> Diagnosis | None:
    user = state.container(main)
    if user is None or user.state != "waiting":
        return None
    for container in state.containers:
        if container.init and not container.sidecar and _failed(container):
            return _container_ended(container)
    return None


def _main_failed(state: PodState, main: str) -> Diagnosis | None:
    container = state.container(main)
    return _container_ended(container) if container and _failed(container) else None


def _other_failed(state: PodState, main: str) -> Diagnosis | None:
    if state.phase != "Failed":
        return None
    for container in state.containers:
        if not container.sidecar and container.name != main and _failed(container):
            return _container_ended(container)
    words = state.message or state.reason or "no reason given"
    return Diagnosis(code="failed", summary=f"the pod failed: {words}")


def _deleted(state: PodState, main: str) -> Diagnosis | None:
    if not state.deleting:
        return None
    return Diagnosis(
        code="deleted",
        summary="the pod was deleted while it ran, by somebody other than this launcher",
        remedy="`kubectl get events` may say who",
        infrastructure=True,
    )


# Deletion stands before the containers' own ends: 137 after a delete is its consequence.
_RULES: tuple[Rule, ...] = (
    _evicted,
    _deadline,
    _node_lost,
    _deleted,
    _init_failed,
    _main_failed,
    _other_failed,
)


def _failed(container: ContainerState) -> bool:
    return container.state == "terminated" and container.exit_code != 0


def _container_ended(container: ContainerState) -> Diagnosis:
    who = f"container {container.name!r}"
    code = container.exit_code
    if container.reason == "OOMKilled":
        return _ended(
            container,
            "oom_killed",
            f"{who} used more memory than its limit and was killed",
            "raise resources.memory",
        )
    if container.reason in ("StartError", "ContainerCannotRun"):
        # The runtime's own layers say nothing to a user: what counts begins at the command.
        words = clean(container.message.rpartition("unable to start container process: ")[2], 300)
        return _ended(
            container,
            "start",
            f"{who} could not start: {words}",
            "is its command in the image, and executable?",
        )
    words = f": {_last_line(container.message)}" if container.message.strip() else ""
    number = container.signal or (code - 128 if code is not None and 128 < code < 160 else 0)
    if number:
        name = _signal_name(number)
        return _ended(
            container,
            "signal",
            f"{who} was ended by {name} (exit code {code}){words}",
            _SIGNALS.get(name, ""),
        )
    return _ended(container, "exit_code", f"{who} ended with exit code {code}{words}", _EXIT_CODES.get(code or 0, ""))


_SIGNALS = {
    "SIGKILL": "often memory: see resources.memory",
    "SIGSEGV": "a crash in native code",
    "SIGTERM": "something asked it to stop",
}
_EXIT_CODES = {
    126: "is the command executable?",
    127: "is the command in the image, and spelled right?",
}


def _ended(container: ContainerState, code: str, summary: str, remedy: str) -> Diagnosis:
    return Diagnosis(code=code, summary=summary, remedy=remedy, container=container.name, exit_code=container.exit_code)


def _signal_name(number: int) -> str:
    try:
        return signals.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(text: str) -> str:
    lines: Iterable[str] = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    return clean(list(lines)[-1], 300)
