"""``launcher cluster``: which cluster jobs go to and why; the local one in the background, started and stopped."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from launcher.cli.options import COMMON, Common

if TYPE_CHECKING:
    from launcher.cli.screen import Screen
    from launcher.cluster import Choice, LocalState
    from launcher.settings import Settings

app = App(name="cluster")

_Kubeconfig = Annotated[
    bool, Parameter(help="Print a kubeconfig for the local cluster in the background; it holds its token.")
]
_Port = Annotated[int, Parameter(help="The port to listen on, on this machine alone; any free one by default.")]
_State = Annotated[
    Path | None,
    Parameter(
        help="A folder that keeps objects, claims' data, token and port, so that the next start goes on from there."
        " Without one, `stop` leaves nothing."
    ),
]


@app.default
async def cluster(*, kubeconfig: _Kubeconfig = False, common: Common = COMMON) -> int:
    """Say which cluster jobs go to, why, and whether it answers."""
    from launcher.cli.screen import Screen
    from launcher.cluster import choose

    settings, screen = common.settings(), Screen.open()
    if kubeconfig:
        return await _print_kubeconfig(settings, screen)
    choice = choose(settings)
    await screen.out(f"{choice}\n")
    await screen.out(f"{await _state_of(choice)}\n")
    return 0


@app.command
async def start(*, port: _Port = 0, state: _State = None, common: Common = COMMON) -> int:
    """Start a local cluster that stays in the background, so that every shell of yours meets the same runs."""
    from launcher.cli.screen import Screen
    from launcher.local import background

    settings, screen = common.settings(), Screen.open()
    begun = await background.start(settings, common.config, port, state)
    if begun.running_before:
        screen.say(f"a local cluster runs in the background already: {_where(begun.state)}")
        if state is not None:
            screen.say("its state is where it was: --state counts for the next one, after `launcher cluster stop`")
        return 0
    screen.say(f"the local cluster runs in the background: {_where(begun.state)}", "green")
    screen.say("  use it      launcher run JOB.yaml   (with `cluster: local`, or where no other is configured)")
    screen.say("  kubectl     launcher cluster --kubeconfig > local.kubeconfig")
    screen.say("  end it      launcher cluster stop")
    return 0


@app.command
async def stop(*, common: Common = COMMON) -> int:
    """Stop the local cluster in the background, with everything that runs on it."""
    from launcher.cli.screen import Screen
    from launcher.local import background

    stopped = await background.stop(common.settings())
    text = f"the local cluster (process {stopped.pid}) has ended" if stopped else "no local cluster runs"
    Screen.open().say(text)
    return 0


async def _print_kubeconfig(settings: Settings, screen: Screen) -> int:
    from launcher import yamltext
    from launcher.cluster import DEFAULT_NAMESPACE, read_state
    from launcher.errors import LauncherError
    from launcher.local.cluster import kubeconfig

    state = read_state(settings)
    if state is None:
        raise LauncherError("no local cluster runs in the background (`launcher cluster start` starts one)")
    _keep_private()
    await screen.out(yamltext.dump(kubeconfig(state.url, state.token, settings.namespace or DEFAULT_NAMESPACE)))
    return 0


def _keep_private() -> None:
    """A file that stdout was sent to will hold a token: nobody else may read it."""
    if sys.stdout is not None and stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        os.fchmod(sys.stdout.fileno(), 0o600)


async def _state_of(choice: Choice) -> str:
    from launcher.kube.session import Session

    if choice.target is None:
        return "it starts with each `launcher run` and ends with it; `launcher cluster start` keeps one running"
    async with Session(choice.target) as session:
        version = await session.get("/version")
    return f"it answers: Kubernetes {version.get('gitVersion', 'of an unknown version')}"


def _where(state: LocalState) -> str:
    return f"{state.url} (process {state.pid})"
