"""``launcher run`` and ``launcher render``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from launcher.cli.asking import NOTHING_ASKED, Asked, Words
from launcher.cli.exits import WrongUsage, of_result
from launcher.cli.options import COMMON, Common, Json

if TYPE_CHECKING:
    from launcher.cli.screen import Screen
    from launcher.job import Job
    from launcher.launch import Launcher

_SOME_ID = Annotated[str | None, Parameter(help="The run's id, instead of a new one.", metavar="ID")]
_Detach = Annotated[bool, Parameter(help="Print the run's id and leave; the run goes on.")]


async def run(
    *file_or_command: Words,
    asked: Asked = NOTHING_ASKED,
    run_id: _SOME_ID = None,
    detach: _Detach = False,
    json: Json = False,
    common: Common = COMMON,
) -> int:
    """Run a job and follow it to its end: its log on stdout, all else on stderr, its exit code as ours.

    Ctrl-C cancels the run and removes its pod.
    """
    from launcher import cluster
    from launcher.cli.screen import Screen
    from launcher.errors import LauncherError
    from launcher.launch import Launcher

    job, settings, screen = asked.job(file_or_command), common.settings(), Screen.open()
    choice = cluster.choose(settings)
    if detach and json:
        raise WrongUsage("--json tells how a run ended, and --detach doesn't wait for that")
    if detach and choice.target is None:
        raise LauncherError(
            "--detach needs a cluster that outlives this process (`launcher cluster start` keeps a local one running)"
        )
    screen.say(f"cluster: {choice}")
    if choice.local and settings.local_isolation != "podman":
        screen.say(f"the command runs as a process of this machine: the image {job.image} means nothing here")
    async with Launcher(settings) as pad:
        return await (_detached(pad, job, run_id, screen) if detach else _followed(pad, job, run_id, screen, json))


async def _detached(pad: Launcher, job: Job, run_id: str | None, screen: Screen) -> int:
    started = await pad.submit(job, run_id=run_id)
    for warning in started.warnings:
        screen.warn(warning)
    await screen.out(f"{started.id}\n")
    screen.say(f"follow it with `launcher logs -f {started.id}`, end it with `launcher cancel {started.id}`")
    return 0


async def _followed(pad: Launcher, job: Job, run_id: str | None, screen: Screen, json: bool) -> int:
    from launcher.cli import following, tables

    async with following.owned(pad, job, run_id, screen) as started:
        screen.say(f"run {started.id}", "bold")
        for warning in started.warnings:
            screen.warn(warning)
        result = await following.shown(started, screen, screen.err if json else screen.out)
    following.summary(result, screen, started.warnings)
    if json:
        await tables.show_json(screen, following.as_data(result))
    return of_result(result)


async def render(*file_or_command: Words, asked: Asked = NOTHING_ASKED, common: Common = COMMON) -> int:
    """Print the Kubernetes objects that a job becomes, as YAML for `kubectl create -f -`. Asks no cluster."""
    from launcher.cli.screen import Screen
    from launcher.launch import Launcher

    screen = Screen.open()
    manifest = Launcher(common.settings()).render(asked.job(file_or_command))
    screen.say("nothing was looked up: claims, secrets and rights are taken to be there")
    await screen.out(manifest.to_yaml())
    return 0
