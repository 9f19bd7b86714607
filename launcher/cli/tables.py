"""Rows as people read them in a terminal, as scripts cut them in a pipe, and as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from launcher.cli.screen import Screen
from launcher.cli.wording import one_line

Row = Mapping[str, Any]


async def show(screen: Screen, columns: Sequence[str], rows: Sequence[Row]) -> None:
    """The rows on stdout, one column a key; folded to the width of a terminal, whole in a pipe."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    heads = [column.replace("_", " ") for column in columns]
    terminal = sys.stdout is not None and sys.stdout.isatty()
    if terminal:
        _draw(heads, cells)
    else:
        await screen.out(_aligned([[head.upper() for head in heads], *cells]))


async def show_json(screen: Screen, value: Any) -> None:
    """Any plain value on stdout, as JSON that people can read too."""
    await screen.out(json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n")


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(_cell(item) for item in value)
    return "" if value is None else one_line(str(value))


def _draw(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, head in enumerate(heads):
        # The name that a row is called by stays whole as long as there is room for it: it will be copied.
        table.add_column(Text(head), overflow="fold", no_wrap=index == 0)
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False, markup=False, emoji=False).print(table)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    from rich.cells import cell_len

    widths = [max(cell_len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = (
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "".join(f"{line.rstrip()}\n" for line in lines)
