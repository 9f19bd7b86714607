"""Trying again what may have failed in passing. What storage refused stays refused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

# Tries of one request, on top of what the libraries do by themselves (two to six within a minute).
TRIES = 3

# Seconds before the second try; four times as long before each further one.
FIRST_PAUSE = 0.5


async def again(attempt: Callable[[], Awaitable[T]], final: Callable[[BaseException], bool]) -> T:
    """What ``attempt`` gives, tried up to ``TRIES`` times, unless ``final`` says that its error won't pass."""
    for turn in range(TRIES - 1):
        try:
            return await attempt()
        except Exception as exc:
            if final(exc):
                raise
        # Spread over half to whole, so that many that were refused together don't return together.
        await asyncio.sleep(FIRST_PAUSE * 4**turn * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
    return await attempt()
