"""What a real kubelet reported of some thirty pods, as the states and notes that the launcher reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from launcher.kube.podstate import Note, PodState

_TIMELINE = Path(__file__).parent / "recordings" / "timeline.jsonl"


@attrs.frozen
class Recorded:
    """One pod: its watch events in their order, and the warnings about it."""

    name: str
    events: list[dict[str, Any]]
    notes: list[Note]

    @property
    def states(self) -> list[PodState]:
        """Every state that a follower of the pod sees."""
        return [PodState.of(_pod(event), gone=event["type"] == "DELETED") for event in self.events]

    @property
    def main(self) -> str:
        """The first of its containers, which is what its name is about."""
        name: str = self.events[0]["object"]["spec"]["containers"][0]["name"]
        return name


def _pod(event: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = event["object"]
    return {**pod, "metadata": {"namespace": "default", **pod["metadata"]}}


def recorded() -> dict[str, Recorded]:
    """Every recorded pod by its name."""
    lines = [json.loads(line) for line in _TIMELINE.read_text().splitlines()]
    return {
        line["name"]: Recorded(line["name"], line["states"], [Note.of(note) for note in line["notes"]])
        for line in lines
    }
