"""Many small works, a few at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

T = TypeVar("T")


async def each(items: Iterable[T], at_once: int, do: Callable[[T], Awaitable[None]], name: str) -> None:
    """Does ``do`` for every item, ``at_once`` of them at a time, in order of their beginning.

    The first error ends it: the others are cancelled and awaited, then it is raised as it is.
    """
    waiting = iter(items)

    async def work() -> None:
        for item in waiting:
            await do(item)

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(at_once):
                group.create_task(work(), name=f"{name} {number}")
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
