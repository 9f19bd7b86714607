"""Building a manifest: what a launcher does fifty thousand times before any cluster is asked."""

from __future__ import annotations

import json
from functools import partial

from benchmarks.rows import best, row
from launcher import Connection, Job, Launcher, Settings, Use
from launcher.backend import Mode
from launcher.facts import Facts
from launcher.plan import plan
from launcher.pod.manifest import build

SETTINGS = Settings(
    connections=[
        Connection(name="data", kind="host_path", schema={"hostPath": "/data", "readOnly": True}),
        Connection(name="claim", kind="volume_claim", schema={"volumeClaim": "claim"}),
        Connection(name="bucket", kind="gcs", schema={"bucket": "gs://bucket/prefix"}),
        Connection(name="s3", kind="s3", schema={"bucket": "s3://bucket/prefix"}),
    ],
    cluster="local",
)


def main() -> None:
    """Print a row for mounted connections and one for copied ones, which need both agents."""
    pad = Launcher(SETTINGS)
    cases: dict[str, list[str | Use]] = {
        "three mounted": ["data", "claim", Use("bucket", mode=Mode.MOUNT)],
        "two mounted, one copied": ["data", "claim", "s3"],
    }
    for name, connections in cases.items():
        job = Job(name="bench", image="python:3.12-slim", command=["true"], connections=connections)
        around = pad._circumstances(job, "bench-1", local=True)
        decided = plan(job, around, Facts.assume())
        pod = build(decided).pod
        encode = best(partial(json.dumps, pod), rounds=5, repeat=500)
        made = best(partial(build, decided), rounds=5, repeat=500)
        planned = best(partial(plan, job, around, Facts.assume()), rounds=5, repeat=200)
        row(f"build, {name}", made * 1e6, "us", "json.dumps of the same pod", encode * 1e6, "100 us")
        row(f"plan, {name}", planned * 1e6, "us", "json.dumps of the same pod", encode * 1e6, "-")


if __name__ == "__main__":
    main()
