"""Size and complexity of a tree of Python modules: a CSV of all, a chart of the largest. Standard library only.

Runs inside the pod: its data is where the connection says, its outputs where LAUNCHER_OUTPUTS says.
"""

import ast
import csv
import json
import os
import struct
import sys
import zlib
from pathlib import Path

BRANCHES = (ast.If, ast.For, ast.While, ast.Try, ast.With, ast.BoolOp, ast.IfExp, ast.ExceptHandler, ast.comprehension)
FIELDS = ("package", "modules", "lines", "bytes", "functions", "complexity")


def measure(path: Path) -> dict[str, int]:
    """Lines, bytes, functions and branches of one module."""
    source = path.read_bytes()
    row = {"modules": 1, "lines": source.count(b"\n"), "bytes": len(source), "functions": 0, "complexity": 0}
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return row
    for node in ast.walk(tree):
        row["functions"] += isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        row["complexity"] += isinstance(node, BRANCHES)
    return row


def by_package(root: Path) -> list[dict[str, int | str]]:
    """One row a top-level package or module, the most complex first."""
    totals: dict[str, dict[str, int]] = {}
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if "site-packages" in relative.parts or "test" in relative.parts or "tests" in relative.parts:
            continue
        package = relative.parts[0].removesuffix(".py")
        into = totals.setdefault(package, dict.fromkeys(FIELDS[1:], 0))
        for key, value in measure(path).items():
            into[key] += value
    rows: list[dict[str, int | str]] = [{"package": name, **values} for name, values in totals.items()]
    return sorted(rows, key=lambda row: (-int(row["complexity"]), str(row["package"])))


def chart(rows: list[dict[str, int | str]], path: Path) -> None:
    """A bar chart as PNG, drawn by hand: the largest packages by lines (blue) and by complexity (orange)."""
    width, bar, gap, margin = 720, 12, 10, 20
    shown = rows[:16]
    height = 2 * margin + len(shown) * (2 * bar + gap)
    pixels = [bytearray(b"\xff" * 3 * width) for _ in range(height)]
    for index, row in enumerate(shown):
        for offset, (key, colour) in enumerate((("lines", b"\x33\x66\xcc"), ("complexity", b"\xee\x88\x22"))):
            most = max(int(other[key]) for other in shown) or 1
            length = int((width - 2 * margin) * int(row[key]) / most)
            top = margin + index * (2 * bar + gap) + offset * bar
            for y in range(top, top + bar - 1):
                pixels[y][3 * margin : 3 * (margin + length)] = colour * length
    raw = b"".join(b"\0" + bytes(line) for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    data = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


def main() -> int:
    """Read the connection, write the outputs, print the summary."""
    root = Path(json.loads(os.environ["LAUNCHER_CONNECTIONS"])["stdlib"]["path"])
    outputs = Path(os.environ["LAUNCHER_OUTPUTS"])
    rows = by_package(root)
    if not rows:
        print(f"no Python modules below {root}", file=sys.stderr)
        return 1
    with (outputs / "modules.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(rows)
    chart(rows, outputs / "modules.png")
    modules, lines = (sum(int(row[key]) for row in rows) for key in ("modules", "lines"))
    print(f"{modules:,} modules, {lines:,} lines in {len(rows)} packages of {root}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
