"""What the launcher makes of every pod that a real kubelet was recorded with: why it waits, how it ended."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from launcher.diagnosis import ending, waiting
from launcher.kube.podstate import Condition, ContainerState, Note, PodRef, PodState
from launcher.phases import Clocks, Phase, phase_of
from tests.recorded import Recorded, recorded

PODS = recorded()

# Code, exit code, container, and whether the job itself is not to blame; None for a pod that ended well.
ENDS: dict[str, tuple[str, int | None, str, bool] | None] = {
    "ok": None,
    "sidecar-ok": None,
    "sidecar-fails-at-end": None,
    "sidecar-restarts": None,
    "exit-3": ("exit_code", 3, "c", False),
    "termination-message": ("exit_code", 1, "c", False),
    "init-exit-7": ("exit_code", 7, "i", False),
    "deadline": ("deadline", None, "", False),
    "deleted-graceful": ("deleted", None, "", True),
    "deleted-killed": ("deleted", None, "", True),
    "evicted-by-api": ("evicted", None, "", True),
    "disk-limit-evicted": ("disk_full", None, "", False),
    "oom": ("oom_killed", 137, "c", False),
    "command-missing": ("start", 128, "c", False),
    "sidecar-main-fails": ("exit_code", 9, "m", False),
    "two-containers": ("exit_code", 4, "b", False),
}

# Code, and seconds after which it won't mend itself; None is never.
WAITS: dict[str, tuple[str, bool]] = {
    "image-never-pulled": ("image_never_pulled", True),
    "image-name-invalid": ("image_name", True),
    "image-pull-fails": ("image_pull", True),
    "secret-env-missing": ("configuration", True),
    "secret-key-missing": ("configuration", True),
    "non-root-refused": ("configuration", True),
    "secret-volume-missing": ("mount", True),
    "host-path-missing": ("mount", True),
    "claim-missing": ("unschedulable", False),
    "claim-unbound": ("unschedulable", False),
    "no-matching-node": ("unschedulable", False),
    "cpu-too-large": ("unschedulable", False),
}


def ended(pod: Recorded) -> PodState | None:
    return next((state for state in pod.states if state.ended), None)


def test_every_recording_is_judged() -> None:
    """Each recorded pod is among the ends or the waits of these tests, or known to do neither."""
    assert set(PODS) - set(ENDS) - set(WAITS) == {"gated", "restart-on-failure", "sidecar-never-starts"}


@pytest.mark.parametrize("name", ENDS)
def test_ends(name: str) -> None:
    """A pod that ended is told as well only when it is, and otherwise with what happened, where, and its exit code."""
    state = ended(PODS[name])
    assert state is not None
    diagnosis = ending(state, main=PODS[name].main)
    found = diagnosis and (diagnosis.code, diagnosis.exit_code, diagnosis.container, diagnosis.infrastructure)
    assert found == ENDS[name]


@pytest.mark.parametrize("name", [name for name, end in ENDS.items() if end is not None])
def test_no_state_of_a_failing_pod_is_taken_for_an_end_that_is_well(name: str) -> None:
    """Of a pod that doesn't end well, no state from its end on is told as well, not even when it shows Succeeded."""
    pod = PODS[name]
    wrong = [state for state in pod.states if state.ended and ending(state, main=pod.main) is None]
    assert wrong == []


@pytest.mark.parametrize("name", WAITS)
def test_waits(name: str) -> None:
    """A pod that can't start is told why, in the kubelet's words, and whether that may still mend itself."""
    pod = PODS[name]
    wait = waiting(pod.states[-1], pod.notes)
    assert wait is not None
    assert (wait.diagnosis.code, wait.patience is not None) == WAITS[name]
    assert wait.diagnosis.remedy


@pytest.mark.parametrize("name", [name for name in ENDS if "sidecar" not in name])
def test_pods_that_start_are_never_hopeless(name: str) -> None:
    """A pod that goes its way shows no reason to give it up."""
    pod = PODS[name]
    for state in pod.states:
        wait = waiting(state, pod.notes)
        assert wait is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("secret-env-missing", 'secret "nope" not found'),
        ("secret-key-missing", "couldn't find key nope"),
        ("host-path-missing", "/no/such/dir is not a directory"),
        ("claim-missing", 'persistentvolumeclaim "nope" not found'),
        ("cpu-too-large", "Insufficient cpu"),
        ("image-pull-fails", "connection refused"),
    ],
)
def test_the_kubelets_own_words(name: str, words: str) -> None:
    """The reason that the node gives is part of the sentence."""
    pod = PODS[name]
    wait = next(w for state in pod.states if (w := waiting(state, pod.notes)) and words in str(w.diagnosis))
    assert words in str(wait.diagnosis)


def test_termination_message_is_told() -> None:
    """What a container wrote as its last words is told with its exit code."""
    state = ended(PODS["termination-message"])
    assert state is not None
    assert str(ending(state, main="c")) == "container 'c' ended with exit code 1: oops"


PHASES = {
    "ok": ["scheduling", "mounting", "pulling", "running", "ended"],
    "sidecar-ok": ["scheduling", "mounting", "pulling", "fetching", "pulling", "running", "ended"],
    "init-exit-7": ["scheduling", "mounting", "pulling", "fetching", "pulling", "ended"],
    "host-path-missing": ["scheduling", "mounting"],
    "image-pull-fails": ["scheduling", "mounting", "pulling"],
    "no-matching-node": ["scheduling"],
    "gated": ["queued"],
    "deleted-graceful": ["scheduling", "mounting", "pulling", "running", "ended"],
}


@pytest.mark.parametrize("name", PHASES)
def test_phases(name: str) -> None:
    """A recorded pod goes through its phases as one would tell them."""
    seen = [phase_of(state, main=PODS[name].main).value for state in PODS[name].states]
    assert [phase for i, phase in enumerate(seen) if i == 0 or seen[i - 1] != phase] == PHASES[name]


@pytest.mark.parametrize("name", PODS)
def test_ended_is_for_good(name: str) -> None:
    """Once a pod has ended it has ended, and never before its own phase says so."""
    pod = PODS[name]
    phases = [phase_of(state, main=pod.main) for state in pod.states]
    first = next((i for i, state in enumerate(pod.states) if state.ended or state.gone), len(phases))
    assert Phase.ENDED not in phases[:first]
    assert set(phases[first:]) <= {Phase.ENDED}


@pytest.mark.parametrize("name", PODS)
def test_durations_are_those_of_the_recording(name: str) -> None:
    """No phase took less than nothing, or longer than the two and a half minutes of the recording."""
    pod, clocks = PODS[name], Clocks()
    for state in pod.states:
        clocks.note(state)
        assert all(0 <= seconds <= 150 for seconds in clocks.durations(main=pod.main).values())


def test_durations_of_a_run() -> None:
    """Phases are measured by the server's times."""
    pod, clocks = PODS["deleted-graceful"], Clocks()
    for state in pod.states:
        clocks.note(state)
    found = clocks.durations(main=pod.main)
    assert found[Phase.RUNNING] == pytest.approx(25, abs=1)
    assert {Phase.SCHEDULING, Phase.MOUNTING, Phase.PULLING} <= set(found)


# States that no recording shows.

REF = PodRef("jobs", "j-1", "uid")


def state(**fields: Any) -> PodState:
    base = PodState(ref=REF, version="1", phase="Failed", containers=(ContainerState(name="main"),))
    return attrs.evolve(base, **fields)


def main_ended(code: int, **fields: Any) -> ContainerState:
    return attrs.evolve(ContainerState(name="main", state="terminated", exit_code=code), **fields)


@pytest.mark.parametrize(
    ("container", "words"),
    [
        (main_ended(139), "SIGSEGV (exit code 139)"),
        (main_ended(137), "SIGKILL"),
        (main_ended(143), "SIGTERM"),
        (main_ended(255), "exit code 255"),
        (main_ended(1, signal=99), "signal 99"),
        (main_ended(127), "is the command in the image"),
        (main_ended(126), "executable?"),
        (main_ended(1, message="line 1\n\x1b[31mred\x1b[0m last\r\n\n"), "last"),
    ],
)
def test_exit_codes_in_words(container: ContainerState, words: str) -> None:
    """Exit codes and signals are told with what they usually mean, and no control characters."""
    diagnosis = ending(state(containers=(container,)))
    assert words in str(diagnosis)
    assert "\x1b" not in str(diagnosis)


@pytest.mark.parametrize("reason", ["NodeLost", "NodeShutdown", "Terminated", "UnexpectedAdmissionError", "Evicted"])
def test_the_nodes_own_reasons(reason: str) -> None:
    """A pod that its node gave up isn't the job's fault."""
    diagnosis = ending(state(reason=reason, message="gone", containers=(main_ended(0),)))
    assert diagnosis is not None and diagnosis.infrastructure


def test_failed_without_any_reason() -> None:
    """A pod that failed is never told as well, even when nothing says why."""
    assert ending(state()) is not None
    assert ending(state(containers=(main_ended(0),))) is not None
    assert ending(state(containers=())) is not None


def test_disrupted_while_all_looks_well() -> None:
    """A pod that heeded SIGTERM and ended 0 while it was moved isn't well."""
    disrupted = Condition(type="DisruptionTarget", status=True, reason="PreemptionByScheduler")
    diagnosis = ending(state(phase="Succeeded", containers=(main_ended(0),), conditions=(disrupted,)))
    assert diagnosis is not None and diagnosis.code == "evicted" and "PreemptionByScheduler" in diagnosis.summary


def test_containers_are_found_by_name() -> None:
    """A mesh's own container, before ours and failing, is not taken for the job's."""
    mesh = ContainerState(name="istio-proxy", state="terminated", exit_code=1)
    assert ending(state(phase="Succeeded", containers=(mesh, main_ended(0)))) is None
    failed = ending(state(containers=(mesh, main_ended(5))))
    assert failed is not None and failed.container == "main"


def test_old_notes_of_a_pod_that_runs() -> None:
    """A mount that failed at first says nothing once the container has run."""
    note = Note("FailedMount", "not yet", True)
    running = ContainerState(name="main", state="running")
    assert waiting(state(phase="Running", containers=(running,)), [note]) is None
    assert waiting(state(phase="Pending"), [note]) is not None


def test_events_of_scheduling_once_a_node_was_found() -> None:
    """That no node fitted at first says nothing once one was found."""
    note = Note("FailedScheduling", "0/1 nodes", True)
    assert waiting(state(phase="Pending", node="n1"), [note]) is None
