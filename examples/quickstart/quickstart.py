"""A job with real data, on the local cluster: which modules of Python's standard library are the largest?

The job's script travels with it, reads the standard library through a read-only connection and leaves a table and
a chart in the artifacts store. On a real cluster only the settings differ.
"""

import asyncio
import csv
import os
from pathlib import Path

import launcher

HERE = Path(__file__).parent

SETTINGS = launcher.Settings(
    cluster="local",
    connections=[
        launcher.Connection(
            name="stdlib",
            kind="host_path",
            description="the standard library of the Python that runs this",
            schema={"hostPath": str(Path(os.__file__).parent), "mountPath": "/data/stdlib", "readOnly": True},
        )
    ],
)

JOB = launcher.Job(
    name="stdlib-sizes",
    image="python:3.12-slim",
    command=["python", "analyse.py"],
    files=[str(HERE / "analyse.py")],
    connections=["stdlib"],
    timeout="5m",
)


async def main() -> None:
    """Run the job, tell of each phase, show what came out."""
    async with launcher.Launcher(SETTINGS) as pad:
        print(f"cluster   {pad.cluster}")
        print("note      a local cluster runs commands as processes of this machine: images mean nothing to it")
        run = await pad.submit(JOB)
        print(f"run       {run.id}")
        async for event in run.events():
            if event.previous is not None:
                print(f"  {event.previous:11} {seconds(event.seconds)}")
        result = (await run.wait()).raise_for_failure()
        for file in result.outputs:
            print(f"output    {result.outputs.url}/{file.path} ({file.bytes:,} bytes)")
        print(f"log       {result.log_url}")
        print(f"          {result.log.strip()}")
        folder = Path(result.outputs.url)
        print(table(folder / "modules.csv"))


def seconds(value: float | None) -> str:
    """A duration as the API server tells it, in whole seconds."""
    return "" if value is None else f"{value:g} s" if value else "under 1 s"


def table(path: Path, rows: int = 8) -> str:
    """The first rows of a CSV file, in columns."""
    with path.open(newline="") as file:
        shown = [row for _, row in zip(range(rows + 1), csv.reader(file), strict=False)]
    return "\n".join("  ".join(f"{cell:>12}" for cell in row) for row in shown)


if __name__ == "__main__":
    asyncio.run(main())
