"""Where outputs and logs go, whether they can, and which agents that takes: DESIGN.md, sections 6 and 8."""

from __future__ import annotations

from typing import Any

import pytest

from launcher import Connection, Use
from launcher.facts import Facts
from tests import planning
from tests.planning import LOCAL, REAL, around, job, planned, problems_of, said

DEFAULT = around(store=planning.STORE, store_is_default=True)


@pytest.mark.parametrize("level", ["baseline", "restricted"])
def test_no_store_and_pod_security(level: str) -> None:
    """With no store set, a job that keeps outputs is refused where Pod Security refuses host paths."""
    facts = Facts(pod_security=level)
    (problem,) = problems_of(job(), facts, DEFAULT)
    assert problem.path == "outputs"
    assert "artifactsStore" in problem.hint
    assert planned(job(outputs=None), facts, DEFAULT)


@pytest.mark.parametrize("context", [{"runAsUser": 1000}, {"runAsNonRoot": True}])
def test_no_store_and_not_root(context: dict[str, Any]) -> None:
    """With no store set, a job that can't write to a root's folder is refused and told what to set."""
    assert problems_of(job(security_context=context), REAL, DEFAULT)[0].path == "outputs"
    assert planned(job(security_context={"runAsUser": 0}), REAL, DEFAULT)
    assert planned(job(security_context=context), LOCAL, DEFAULT)


def test_no_store_on_a_plain_cluster_warns() -> None:
    """With no store set, outputs go to a folder of the node, with a warning that they are lost with it."""
    decided = planned(job(), REAL, DEFAULT)
    assert any("lost when that node is" in warning for warning in decided.warnings)


def test_read_only_store() -> None:
    """A store that may not be written keeps no outputs."""
    store = Connection(name="s", kind="host_path", schema={"hostPath": "/a", "readOnly": True})
    assert "is read-only" in said(job(), REAL, around(store=store))


@pytest.mark.parametrize(
    ("store", "facts", "words"),
    [
        (planning.BUCKET_STORE, Facts(secrets={"results-secret": None}), "needs the secret 'results-secret'"),
        (
            Connection(name="c", kind="volume_claim", schema={"volumeClaim": "gone"}),
            Facts(claims={"gone": None}),
            "needs the claim 'gone'",
        ),
    ],
)
def test_store_that_lacks_something(store: Connection, facts: Facts, words: str) -> None:
    """What the store needs and isn't there is told as the store's problem."""
    (problem,) = problems_of(job(), facts, around(store=store))
    assert problem.path == "artifactsStore"
    assert words in problem.text


def test_no_agent_image() -> None:
    """Without an agent image on a real cluster, copies and outputs to a bucket are refused and told what to set."""
    bare = around(store=planning.BUCKET_STORE, agent_image=None)
    words = said(job("s3-bucket"), REAL, bare)
    assert "copying 's3-bucket' into the pod needs an agent container" in words
    assert "saving them to 'results' needs an agent container" in words
    assert words.count("agentImage") == 2


def test_without_agent_what_is_lost_is_told() -> None:
    """Without an agent, a volume works, and what can't be done for it is told as a warning."""
    bare = around(agent_image=None)
    decided = planned(job(Use("faces", sub_path="v3"), "frozen"), REAL, bare)
    assert not decided.fetch and not decided.save and decided.record.saved_by == ""
    assert any("'v3' is in 'faces'" in warning for warning in decided.warnings)
    assert any("the log stays with the pod" in warning for warning in decided.warnings)


@pytest.mark.parametrize(
    ("uses", "facts", "store", "agents"),
    [
        ([], LOCAL, planning.STORE, (False, False, "client")),
        ([], REAL, planning.STORE, (True, True, "save")),
        ([], REAL, None, (False, False, "")),
        (["s3-bucket"], REAL, None, (True, False, "")),
        ([Use("s3-bucket", read_only=False)], REAL, None, (True, True, "save")),
        ([Use("faces", sub_path="v3")], LOCAL, planning.STORE, (True, False, "client")),
        (["streamed"], LOCAL, planning.BUCKET_STORE, (True, True, "save")),
        (["faces"], LOCAL, planning.STORE, (False, False, "client")),
    ],
)
def test_agents_only_where_needed(
    uses: list[Any], facts: Facts, store: Connection | None, agents: tuple[bool, bool, str]
) -> None:
    """A pod has the agents that its uses and its store need, and no other."""
    decided = planned(job(*uses), facts, around(store=store))
    assert (decided.fetch, decided.save, decided.record.saved_by) == agents
