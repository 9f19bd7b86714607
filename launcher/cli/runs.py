"""``launcher ps``, ``logs``, ``outputs`` and ``cancel``: runs that somebody started, by their ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from launcher.cli.options import COMMON, Common, Json, RunId

if TYPE_CHECKING:
    from launcher.cli.screen import Screen
    from launcher.collect import Result
    from launcher.launch import Launcher, RunInfo
    from launcher.running import PastRun, Run

# Past runs whose history is read at once: enough to hide a bucket's latency.
_AT_ONCE = 16

_COLUMNS = ("run", "job", "status", "age", "node", "connections")

_All = Annotated[bool, Parameter(name=("--all", "-a"), help="Also the past runs that the store remembers.")]
_Follow = Annotated[bool, Parameter(name=("--follow", "-f"), help="Go on until the run has ended.")]
_Download = Annotated[Path | None, Parameter(help="Copy the files into this folder.", metavar="DIR")]


async def ps(*, past: _All = False, json: Json = False, common: Common = COMMON) -> int:
    """List the runs that the namespace knows, the newest last."""
    from launcher.cli import tables

    async with _opened(common) as (pad, screen):
        rows = [_row(info) for info in await pad.runs()]
        if past:
            rows = [*await _past_rows(pad, {row["run"] for row in rows}), *rows]
        if json:
            await tables.show_json(screen, rows)
        elif rows:
            await tables.show(screen, _COLUMNS, rows)
        else:
            screen.say("no runs" if past else "no runs (--all shows those that the store remembers)")
    return 0


async def logs(run: RunId, /, *, follow: _Follow = False, common: Common = COMMON) -> int:
    """Print what the job has written so far; with -f, also what it writes until it ends."""
    from launcher.cli.following import copy_log

    async with _opened(common) as (pad, screen):
        info = await _known(pad, run)
        if info is not None and not follow:
            await _so_far(pad, info, screen)
            return 0
        found = await pad.attach(run)
        async with screen.live():
            screen.status("" if info is None else f"run {run}")
            await copy_log(found.logs(), screen, screen.out)
            result = await _end_of(found)
        screen.say(f"run {run}: {result.status}")
    return 0


async def outputs(run: RunId, /, *, download: _Download = None, json: Json = False, common: Common = COMMON) -> int:
    """List the files that a run left, with their size in bytes and their SHA-256."""
    from launcher.cli import tables
    from launcher.cli.wording import counted
    from launcher.errors import LauncherError

    async with _opened(common) as (pad, screen):
        info = await _known(pad, run)
        if info is not None and info.phase != "ended":
            raise LauncherError(f"run {run} is {info.phase}: its outputs are there once it has ended")
        result = await _end_of(await pad.attach(run))
        rows = [
            {"path": file.path, "bytes": file.bytes, "sha256": file.sha256, "state": file.state}
            for file in result.outputs
        ]
        if download is not None:
            copied = await result.outputs.download(download)
            screen.say(f"{counted(len(copied), 'file')} copied to {download}")
        if json:
            await tables.show_json(screen, {"run": run, "url": result.outputs.url, "files": rows})
        elif rows and download is None:
            whole = all(row["state"] == "saved" for row in rows)
            await tables.show(screen, ("path", "bytes", "sha256") + (() if whole else ("state",)), rows)
        elif not rows:
            screen.say(f"run {run} left no files")
    return 0


async def cancel(run: RunId, /, *, common: Common = COMMON) -> int:
    """End a run: its command gets SIGTERM and a little time, then its pod is removed."""
    async with _opened(common) as (pad, screen):
        info = await _known(pad, run)
        found = await pad.attach(run)
        if info is None or info.phase == "ended":
            screen.say(f"run {run} has ended already: {(await found.wait()).status}")
            return 0
        async with screen.live():
            screen.status(f"run {run} is ending")
            result = await found.cancel()
        screen.say(f"run {run}: {result.status}")
    return 0


@asynccontextmanager
async def _opened(common: Common) -> AsyncIterator[tuple[Launcher, Screen]]:
    from launcher import cluster
    from launcher.cli.screen import Screen
    from launcher.launch import Launcher

    settings, screen = common.settings(), Screen.open()
    screen.say(f"cluster: {cluster.choose(settings)}")
    async with Launcher(settings) as pad:
        yield pad, screen


async def _known(pad: Launcher, run: str) -> RunInfo | None:
    return next((info for info in await pad.runs() if info.run_id == run), None)


async def _end_of(found: Run | PastRun) -> Result:
    """The result, once all that the run held is in the store and its pod is removed where it should be."""
    from launcher.running import Run

    result = await found.wait()
    if isinstance(found, Run):
        await found.settled()
    return result


async def _so_far(pad: Launcher, info: RunInfo, screen: Screen) -> None:
    """The log of the pod as it stands. Nothing is followed, and nothing that belongs to the run is touched."""
    main = info.state.container("main")
    if main is None or not main.has_run:
        screen.say(f"run {info.run_id} is {info.phase}: its command hasn't started (-f waits for it)")
        return
    async with pad.session.lines(f"{info.state.ref.path}/log", {"container": "main"}) as lines:
        async for line in lines:
            await screen.out(line.decode("utf-8", "replace") + "\n")


def _row(info: RunInfo) -> dict[str, Any]:
    from launcher.cli.wording import age
    from launcher.errors import InvalidSpec
    from launcher.pod.labels import RECORD
    from launcher.record import RunRecord, loads

    try:
        uses = loads(info.state.annotations.get(RECORD, "{}"), RunRecord).uses
    except InvalidSpec:
        uses = ()
    created = info.state.created
    return {
        "run": info.run_id,
        "job": info.job,
        "status": info.status if info.phase == "ended" or info.status == "ending" else info.phase.value,
        "age": age(datetime.now(UTC) - created) if created else "",
        "node": info.state.node,
        "connections": [use.name for use in uses],
    }


async def _past_rows(pad: Launcher, known: set[str]) -> list[dict[str, Any]]:
    room = asyncio.Semaphore(_AT_ONCE)

    async def row(run: str) -> dict[str, Any]:
        async with room:
            result = await (await pad.attach(run)).wait()
        names = [use.name for use in result.connections]
        return {"run": run, "status": result.status.value, "node": result.node, "connections": names}

    return await asyncio.gather(*(row(run) for run in await pad.past_runs() if run not in known))
