"""Requests to a Kubernetes API in small scenarios, and what a real kube-apiserver answers to each.

``python -m tests.local.api_answers`` records the answers anew from the etcd and kube-apiserver that
``KUBEBUILDER_ASSETS`` points at. Each scenario has a namespace of its own, ``<ns>`` in its requests. ``<name.uid>``
and ``<name.version>`` are of the answer that an earlier step kept under that name. What differs from run to run is
put out of the answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import attrs
import yaml

from tests.cluster.control_plane import control_plane
from tests.local.api_requests import SCENARIOS, Scenario, Step

FILE = Path(__file__).parents[1] / "recordings" / "api_answers.jsonl"

# What no two runs have in common, and what stands for it.
_VOLATILE = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "<time>"),
    (re.compile(r"(ResourceVersion in record|current:?) \(?\d+\)?"), r"\1 <version>"),
    (re.compile(r'("resourceVersion":")\d+'), r"\1<version>"),
    (re.compile(r"(generated-|Bad_)[a-z0-9]{5}\b"), r"\1<suffix>"),
)
_HIDDEN = {"resourceVersion": "<version>", "continue": "<continue>", "token": "<token>"}

Answer = dict[str, Any]


@attrs.frozen
class Server:
    """Where requests go: a client with the token in its headers, on the server's address."""

    http: aiohttp.ClientSession

    async def play(self, scenario: Scenario) -> list[Answer]:
        """The answers to a scenario's steps, in their order, normalised."""
        kept: dict[str, str] = {"<ns>": scenario.namespace}
        namespace = {"metadata": {"name": scenario.namespace}}
        async with self.http.post("/api/v1/namespaces", json=namespace) as response:
            assert response.status == 201, await response.text()
        return [await self._ask(step, kept) for step in scenario.steps]

    async def _ask(self, step: Step, kept: dict[str, str]) -> Answer:
        sent = step.body if isinstance(step.body, str) else json.dumps(step.body)
        data = _filled(sent, kept).encode() if step.body is not None else None
        headers = {"Content-Type": step.content_type} if data is not None else {}
        path = _filled(step.path, kept)
        async with self.http.request(step.method, path, data=data, headers=headers) as response:
            raw = await response.text()
            warnings = [value.partition(" - ")[2] for value in response.headers.getall("Warning", [])]
        answer: Any = raw
        if response.content_type == "application/json":
            answer = json.loads(raw)
            if step.keep:
                _keep(step.keep, answer, kept)
        return {"status": response.status, **({"warnings": warnings} if warnings else {}), "answer": normalised(answer)}


def _filled(text: str, kept: Mapping[str, str]) -> str:
    for name, value in kept.items():
        text = text.replace(name, value)
    return text


def _keep(name: str, answer: Answer, kept: dict[str, str]) -> None:
    metadata = answer.get("metadata", {})
    kept[f"<{name}.uid>"] = metadata.get("uid", "")
    kept[f"<{name}.version>"] = metadata.get("resourceVersion", "")
    kept[f"<{name}.continue>"] = metadata.get("continue", "")


def normalised(value: Any) -> Any:
    """``value`` without what differs from run to run, and without nulls: clients read them as nothing."""
    if isinstance(value, dict):
        return {
            key: _HIDDEN[key] if key in _HIDDEN and item else normalised(item)
            for key, item in value.items()
            if key != "managedFields" and item is not None
        }
    if isinstance(value, list):
        items = [normalised(item) for item in value]
        # Rules come in no order, and differently each time.
        return sorted(items, key=json.dumps) if any("verbs" in item for item in items) else items
    if isinstance(value, str):
        for pattern, standing in _VOLATILE:
            value = pattern.sub(standing, value)
    return value


@asynccontextmanager
async def real_server(assets: Path, folder: Path) -> AsyncIterator[Server]:
    """A real API server, without a node and without controllers."""
    async with control_plane(assets, folder) as plane:
        config = yaml.safe_load(plane.kubeconfig.read_text())
        async with connected(plane.url, config["users"][0]["user"]["token"]) as server:
            yield server


@asynccontextmanager
async def connected(url: str, token: str) -> AsyncIterator[Server]:
    """A client of the server at ``url``, whose certificate isn't looked at."""
    headers = {"Authorization": f"Bearer {token}"}
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as http:
        yield Server(http)


def recorded() -> dict[str, list[Answer]]:
    """The recorded answers of each scenario."""
    answers: dict[str, list[Answer]] = {}
    for line in FILE.read_text().splitlines():
        value = json.loads(line)
        answers.setdefault(value.pop("scenario"), []).append(value)
    return answers


async def _record(assets: Path) -> None:
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        async with real_server(assets, Path(folder)) as server:
            for scenario in SCENARIOS:
                answers = await server.play(scenario)
                lines += [json.dumps({"scenario": scenario.name, **answer}) for answer in answers]
    FILE.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} answers to {len(SCENARIOS)} scenarios in {FILE.name}")


if __name__ == "__main__":
    asyncio.run(_record(Path(os.environ["KUBEBUILDER_ASSETS"])))
