"""Plans and pods without a cluster: a catalog of every kind, and the shortest way from a job to its manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import pytest

from launcher import ConfigMapRef, Connection, InvalidSpec, Job, Problem, SecretRef, Settings
from launcher.catalog import Catalog, Resolved, resolve
from launcher.facts import Facts
from launcher.files import File
from launcher.plan import Circumstances, Plan, plan
from launcher.pod.manifest import Manifest, build
from launcher.registry import Registry

REGISTRY = Registry.installed()

HOST = Connection(
    name="stdlib", kind="host_path", schema={"hostPath": "/usr/lib/python3", "mountPath": "/data/lib", "readOnly": True}
)
SCRATCH = Connection(name="scratch", kind="host_path", schema={"hostPath": "/scratch"})
CLAIM = Connection(
    name="faces", kind="volume_claim", schema={"volumeClaim": "faces-pvc", "mountPath": "/datasets/faces"}
)
FROZEN = Connection(name="frozen", kind="volume_claim", schema={"volumeClaim": "frozen-pvc", "readOnly": True})
S3 = Connection(
    name="s3-bucket", kind="s3", schema={"bucket": "s3://bucket/v3", "region": "eu"}, secret=SecretRef("s3-secret")
)
GCS = Connection(
    name="gcs-bucket",
    kind="gcs",
    schema={"bucket": "gs://bucket/"},
    secret=SecretRef("gcs-secret"),
    modes=["mount", "copy"],
)
WASB = Connection(
    name="azure-bucket",
    kind="wasb",
    schema={"bucket": "wasbs://container@account.blob.core.windows.net/p"},
    secret=SecretRef("az-secret"),
)
STREAM = Connection(
    name="streamed",
    kind="s3",
    schema={"bucket": "s3://bucket/"},
    secret=SecretRef("stream-secret"),
    modes=["stream", "copy"],
    env={"AWS_REGION": "eu"},
)
FILED = Connection(
    name="filed",
    kind="gcs",
    schema={"bucket": "gs://other/"},
    secret=SecretRef("filed-secret", items=["key.json"], mount_path="/secrets/gcs"),
    config_map=ConfigMapRef("gcs-config", "/etc/gcs", items=["a"]),
    modes=["stream"],
    annotations={"team/note": "x"},
)
ALL = (HOST, SCRATCH, CLAIM, FROZEN, S3, GCS, WASB, STREAM, FILED)

STORE = Connection(name="artifacts", kind="host_path", schema={"hostPath": "/artifacts"})
BUCKET_STORE = Connection(
    name="results", kind="s3", schema={"bucket": "s3://results/runs"}, secret=SecretRef("results-secret")
)

# A cluster of which everything is known and well, and that isn't this machine.
REAL = Facts(cluster="the test's cluster")
LOCAL = Facts(cluster="the test's cluster", local=True)


def around(connections: Iterable[Connection] = ALL, store: Connection | None = STORE, **changes: Any) -> Circumstances:
    """The circumstances of a run that is called j-1."""
    settings = Settings(connections=list(connections))
    resolved: Resolved | None = resolve(store, REGISTRY) if store else None
    base = Circumstances(
        run_id="j-1",
        namespace="jobs",
        launcher_id="0123456789",
        catalog=Catalog.of(settings, REGISTRY),
        store=resolved,
        agent_image="registry/agent@sha256:abc",
    )
    return attrs.evolve(base, **changes)


def planned(job: Job, facts: Facts = REAL, circumstances: Circumstances | None = None) -> Plan:
    """The plan of a job in these circumstances."""
    return plan(job, circumstances or around(), facts)


def built(job: Job, facts: Facts = REAL, circumstances: Circumstances | None = None) -> Manifest:
    """The manifest of a job in these circumstances."""
    return build(planned(job, facts, circumstances))


def job(*connections: Any, **fields: Any) -> Job:
    """A job that uses these connections."""
    return Job(**{"name": "j", "image": "i", "connections": connections, **fields})


def problems_of(job: Job, facts: Facts = REAL, circumstances: Circumstances | None = None) -> list[Problem]:
    """Everything that is wrong with a job."""
    with pytest.raises(InvalidSpec) as caught:
        built(job, facts, circumstances)
    return list(caught.value.problems)


def said(job: Job, facts: Facts = REAL, circumstances: Circumstances | None = None) -> str:
    """The same as text."""
    return "\n".join(map(str, problems_of(job, facts, circumstances)))


def container(manifest: Manifest, name: str = "main") -> dict[str, Any]:
    """One container of a manifest's pod."""
    spec = manifest.pod["spec"]
    everything = [*spec["containers"], *spec.get("initContainers", [])]
    found: dict[str, Any] = next(item for item in everything if item["name"] == name)
    return found


def files(*paths: str) -> tuple[File, ...]:
    """Files of a job that hold their own path."""
    return tuple(File(path, path.encode()) for path in paths)
