"""Rows of figures, each beside what it is measured against and its goal."""

from __future__ import annotations

import time
from collections.abc import Callable


def row(name: str, value: float, unit: str, against: str, other: float, goal: str) -> None:
    """Print one figure, the other that was measured in the same run, and their ratio."""
    ratio = value / other if other else float("nan")
    print(f"{name:34} {value:10.1f} {unit:5} | {against:34} {other:10.1f} {unit:5} | x{ratio:<7.2f} goal {goal}")


def best(work: Callable[[], object], *, rounds: int, repeat: int) -> float:
    """Seconds of one call: the best round's mean, since every disturbance only adds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeat):
            work()
        times.append((time.perf_counter() - start) / repeat)
    return min(times)
