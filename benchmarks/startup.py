"""How long a user waits before anything happens: the import, the command's help, a local cluster."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.rows import row

TIMES = 7
COMMAND = Path(sys.executable).with_name("launcher")

# Prints the seconds of a first cluster in a process, which pays the cluster library's import (0.4), and of a second.
CLUSTER = """
import asyncio, time
from launcher.local.cluster import LocalCluster

async def start():
    begin = time.perf_counter()
    async with LocalCluster():
        return time.perf_counter() - begin

print(asyncio.run(start()), asyncio.run(start()))
"""


def seconds(*command: str) -> float:
    """The median time of a whole process."""
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[TIMES // 2]


def main() -> None:
    """Print the import's and the help's row, against a Python that does nothing."""
    nothing = seconds(sys.executable, "-c", "pass")
    imported = seconds(sys.executable, "-c", "import launcher")
    row(
        "import launcher (process less bare)",
        (imported - nothing) * 1e3,
        "ms",
        "python -c pass",
        nothing * 1e3,
        "100 ms",
    )
    row(
        "launcher --help (whole process)",
        seconds(str(COMMAND), "--help") * 1e3,
        "ms",
        "python -c pass",
        nothing * 1e3,
        "250 ms",
    )
    started = subprocess.run([sys.executable, "-c", CLUSTER], check=True, capture_output=True, text=True).stdout
    first, second = (float(word) * 1e3 for word in started.split())
    row("a local cluster, from a second test on", second, "ms", "the first of a process", first, "300 ms")


if __name__ == "__main__":
    main()
