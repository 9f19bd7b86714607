"""Opening a filesystem from a plugin's ``Remote``: asynchronous, without caches, and closed on leaving."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from launcher.backend import Remote

# Seconds for closing connections: it says goodbye to servers that may be gone.
CLOSE = 5.0


@asynccontextmanager
async def opened(remote: Remote) -> AsyncGenerator[Any]:
    """An fsspec filesystem whose underscored methods are awaited; closed on leaving, whatever happened.

    Raises what the library raises, ``ImportError`` among it: ``launcher.check.translated`` makes it an error of
    ours. Nothing is asked of the storage yet.
    """
    fs = _made(remote)
    try:
        yield fs
    finally:
        if remote.close is not None:
            await _closed(remote.close(fs))


def _made(remote: Remote) -> Any:
    from fsspec import get_filesystem_class

    cls = get_filesystem_class(remote.protocol)
    options = {**remote.options, "skip_instance_cache": True, "use_listings_cache": False}
    if getattr(cls, "async_impl", False):
        # Where a class starts a thread of its own unless it is given a loop, it is given ours.
        own = accepted(cls.__init__, {"loop": asyncio.get_running_loop()})
        return cls(asynchronous=True, **own, **options)
    from fsspec.implementations.asyn_wrapper import AsyncFileSystemWrapper

    return AsyncFileSystemWrapper(cls(**options), asynchronous=True)


async def _closed(closing: Any) -> None:
    try:
        async with asyncio.timeout(CLOSE):
            await closing
    except Exception:  # noqa: S110 - what was transferred is safe, and nobody can mend a failed goodbye
        pass


def accepted(function: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Those options that a function has a parameter for: filesystems differ in what can be tuned."""
    known = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if name in known}
