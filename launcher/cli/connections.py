"""``launcher connections``: the storage that jobs can use by name, as the settings describe it. Asks no cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from launcher.cli.options import COMMON, Common, Json

if TYPE_CHECKING:
    from launcher.connection import Connection
    from launcher.settings import Settings

app = App(name="connections")

_COLUMNS = ("name", "kind", "modes", "read_only", "version", "description")

_Name = Annotated[str, Parameter(help="The connection's name.", metavar="NAME")]


@app.command
async def ls(*, json: Json = False, common: Common = COMMON) -> int:
    """List the connections; one that can't be used says why."""
    from launcher.cli import tables
    from launcher.cli.screen import Screen

    settings, screen = common.settings(), Screen.open()
    rows = _rows(settings)
    if json:
        await tables.show_json(screen, rows)
    elif rows:
        await tables.show(screen, _COLUMNS, rows)
    else:
        screen.say(f"{settings.source}: no connections (`launcher init` writes a file with examples)")
    for row in rows:
        if row["unusable"]:
            screen.warn(f"{row['name']} can't be used: {row['unusable']}")
    return 0


@app.command
async def show(name: _Name, /, *, json: Json = False, common: Common = COMMON) -> int:
    """Show all that is known of one connection. The values of its secret aren't."""
    from launcher import codec, yamltext
    from launcher.cli import tables
    from launcher.cli.screen import Screen
    from launcher.errors import InvalidSpec, Problem

    settings, screen = common.settings(), Screen.open()
    connection = settings.connection(name)
    if connection is None:
        hint = codec.nearest(name, settings.names())
        raise InvalidSpec([Problem("", f"no connection {name!r}", hint)], settings.source)
    found = _details(connection, next(row for row in _rows(settings) if row["name"] == name))
    await (tables.show_json(screen, found) if json else screen.out(yamltext.dump(found)))
    return 0


def _rows(settings: Settings) -> list[dict[str, Any]]:
    from launcher.catalog import Catalog, Resolved
    from launcher.registry import Registry

    catalog = Catalog.of(settings, Registry.installed())
    store = settings.artifacts_store.name if settings.artifacts_store else None
    rows = []
    for name, entry in catalog.entries.items():
        connection = settings.connection(name)
        assert connection is not None  # the catalog holds what the settings name  # noqa: S101
        resolved = entry if isinstance(entry, Resolved) else None
        rows.append(
            {
                "name": name,
                "kind": connection.kind,
                "modes": [mode.value for mode in resolved.modes] if resolved else [],
                "read_only": resolved.read_only if resolved else None,
                "version": connection.version,
                "description": connection.description,
                "artifacts_store": name == store,
                "unusable": "" if resolved else str(entry),
            }
        )
    return rows


def _details(connection: Connection, row: dict[str, Any]) -> dict[str, Any]:
    """What its file says of it, with what is decided elsewhere: its modes, and whether it is the store."""
    from launcher import codec

    found: dict[str, Any] = {**codec.unstructure(connection), "modes": row["modes"], "readOnly": row["read_only"]}
    if row["artifacts_store"]:
        found["artifactsStore"] = True
    if row["unusable"]:
        found["unusable"] = row["unusable"]
    return found
