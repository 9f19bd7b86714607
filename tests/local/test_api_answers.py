"""The local cluster's API answers as a recorded real one does, and the recording is still what a real one says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.local.api import ApiServer
from tests.local.api_answers import Answer, connected, real_server, recorded
from tests.local.api_requests import DIFFERENCES, SCENARIOS, Scenario

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", "")
TOKEN = "answers-token"
_DIFFERENT = {step for steps in DIFFERENCES.values() for step in steps}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_it_answers_as_a_real_one(scenario: Scenario) -> None:
    """Each answer equals the recorded one, or the table says why it doesn't."""
    async with ApiServer(token=TOKEN) as api, connected(api.url, TOKEN) as server:
        # Every cluster has it; in ours whoever starts the server makes it.
        async with server.http.post("/api/v1/namespaces", json={"metadata": {"name": "default"}}) as response:
            assert response.status == 201
        answers = await server.play(scenario)
    for step, ours, real in _side_by_side(scenario, answers):
        if step in _DIFFERENT:
            assert ours != real, f"{step} no longer differs: take it from the table"
        else:
            assert ours == real, step


def test_the_table_of_differences_names_steps() -> None:
    """No reason is kept for a step that isn't there, and none has two."""
    steps = {f"{scenario.name} {at}" for scenario in SCENARIOS for at in range(1, len(scenario.steps) + 1)}
    named = [step for group in DIFFERENCES.values() for step in group]
    assert set(named) <= steps
    assert len(named) == len(set(named))


@pytest.mark.cluster
@pytest.mark.timeout(120)
@pytest.mark.skipif(not ASSETS, reason="KUBEBUILDER_ASSETS points at no etcd and kube-apiserver")
async def test_the_recording_is_what_a_real_one_says(tmp_path: Path) -> None:
    """A real API server gives every recorded answer again."""
    async with real_server(Path(ASSETS), tmp_path) as server:
        for scenario in SCENARIOS:
            for step, now, before in _side_by_side(scenario, await server.play(scenario)):
                assert now == before, step


def _side_by_side(scenario: Scenario, answers: list[Answer]) -> Iterator[tuple[str, Answer, Answer]]:
    """Each step by its name in the table of differences, its answer and the recorded one."""
    for at, (answer, before) in enumerate(zip(answers, recorded()[scenario.name], strict=True), 1):
        yield f"{scenario.name} {at}", answer, before
