"""Whole manifests, compared with those in ``tests/golden``, so that every change to a pod is seen and meant.

``python -m tests.pod.test_golden`` writes them anew; read the difference before you keep it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher import ConfigMapKey, Connection, Job, Manifest, Resources, SecretKey, Use
from launcher.facts import Facts
from launcher.plan import Circumstances
from tests import planning
from tests.planning import LOCAL, REAL, around, job

GOLDEN = Path(__file__).parent.parent / "golden"

RESTRICTED = Facts(cluster="the test's cluster", pod_security="restricted")
WHOLE = Job(
    name="Count \U0001f600",
    image="registry.example/count@sha256:abc",
    command=["python", "count.py", "$(HOME)"],
    args=["--pid", "$$"],
    files=["."],
    env={
        "LEVEL": "a$(B)",
        "PRICE": "$$5",
        "TOKEN": SecretKey("tokens", "hf"),
        "CONFIG": ConfigMapKey("settings", "level"),
    },
    connections=[
        "stdlib",
        Use("faces", sub_path="v3", read_only=True),
        Use("s3-bucket", read_only=False, include="*.png"),
    ],
    resources=Resources(cpu=0.5, memory="8Gi", gpu=1, ephemeral_storage="20Gi"),
    timeout="2h",
    labels={"team": "vision"},
    annotations={"note": "yes"},
    node_selector={"pool": "gpu"},
    tolerations=[{"key": "gpu", "operator": "Exists"}],
    affinity={"podAntiAffinity": {}},
    service_account="runner",
    image_pull_policy="Always",
    image_pull_secrets=["registry"],
    priority_class="low",
    security_context={"runAsUser": 1000, "runAsNonRoot": True, "fsGroup": 2000},
    shared_memory="1Gi",
    init_containers=[{"name": "prepare", "image": "busybox", "command": ["true"]}],
    sidecars=[{"name": "proxy", "image": "envoy"}],
    patch={"spec": {"hostname": "count", "containers": [{"name": "main", "stdin": True}]}},
)

CASES: dict[str, tuple[Job, Facts, Circumstances]] = {
    "plain": (job(command=["true"]), REAL, around(store=None)),
    "plain-local": (job(command=["true"]), LOCAL, around()),
    "no-outputs": (job(outputs=None), LOCAL, around()),
    "files": (job(files=["."]), LOCAL, around(files=planning.files("count.py", "lib/ü.py"))),
    "host-path": (job("stdlib", "scratch"), LOCAL, around()),
    "volume-claim": (job("faces", Use("frozen", sub_path="a/b")), LOCAL, around()),
    "s3-copy": (job("s3-bucket"), LOCAL, around()),
    "s3-write-back": (job(Use("s3-bucket", read_only=False)), LOCAL, around()),
    "s3-stream": (job("streamed"), LOCAL, around()),
    "gcs-mount": (job("gcs-bucket"), LOCAL, around()),
    "gcs-stream-with-files": (job("filed"), LOCAL, around()),
    "wasb-mount": (job(Use("azure-bucket", mode="mount")), LOCAL, around()),
    "store-claim": (
        job(),
        REAL,
        around(store=Connection(name="st", kind="volume_claim", schema={"volumeClaim": "runs"})),
    ),
    "store-s3": (job("s3-bucket"), REAL, around(store=planning.BUCKET_STORE)),
    "whole": (WHOLE, RESTRICTED, around(store=planning.BUCKET_STORE, files=planning.files("count.py"))),
}


def rendered(case: str) -> str:
    """The manifest as YAML, without the hash that any change of the job's own fields changes."""
    job, facts, circumstances = CASES[case]
    manifest: Manifest = planning.built(job, facts, circumstances)
    spec = planning.planned(job, facts, circumstances).record.spec
    return manifest.to_yaml().replace(spec, "SPEC")


@pytest.mark.parametrize("case", CASES)
def test_manifest_is_the_golden_one(case: str) -> None:
    """The manifest of each case is the one that was read and kept."""
    assert rendered(case) == (GOLDEN / f"{case}.yaml").read_text()


def test_no_golden_file_is_left_over() -> None:
    """Each kept manifest belongs to a case."""
    assert {path.stem for path in GOLDEN.iterdir()} == set(CASES)


if __name__ == "__main__":
    for name in CASES:
        (GOLDEN / f"{name}.yaml").write_text(rendered(name))
