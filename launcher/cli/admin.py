"""``launcher admin``: which storage plugins are installed, and JSON Schemas for editors. Asks no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from launcher.cli.options import Json

if TYPE_CHECKING:
    from launcher.registry import Registry

app = App(name="admin")

_COLUMNS = ("kind", "modes", "plugin", "unusable")

_What = Annotated[Literal["job", "settings"], Parameter(help="What files the schema is for.")]


@app.command
async def backends(*, json: Json = False) -> int:
    """List the kinds of storage that are installed, or why one can't be used."""
    from launcher.cli import tables
    from launcher.cli.screen import Screen
    from launcher.registry import Registry

    registry, screen = Registry.installed(), Screen.open()
    rows = [_row(registry, kind) for kind in registry.kinds()]
    if json:
        await tables.show_json(screen, rows)
    else:
        broken = any(row["unusable"] for row in rows)
        await tables.show(screen, _COLUMNS if broken else _COLUMNS[:-1], rows)
    return 0


@app.command
async def schema(what: _What = "job", /) -> int:
    """Print the JSON Schema of a job's file, or of launcher.yaml.

    Save it, and begin a file with `# yaml-language-server: $schema=PATH`: editors then complete and mark it.
    """
    from launcher import schemas
    from launcher.cli import tables
    from launcher.cli.screen import Screen
    from launcher.registry import Registry

    found = schemas.job_schema() if what == "job" else schemas.settings_schema(Registry.installed())
    await tables.show_json(Screen.open(), found)
    return 0


def _row(registry: Registry, kind: str) -> dict[str, Any]:
    from launcher.errors import PluginError

    row: dict[str, Any] = {"kind": kind, "modes": [], "plugin": registry.origin(kind), "unusable": ""}
    try:
        row["modes"] = [mode.value for mode in registry.get(kind).modes]
    except PluginError as exc:
        row["unusable"] = str(exc)
    return row
