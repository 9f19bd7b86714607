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
WHITE, BLACK, BLUE, ORANGE = b"\xff\xff\xff", b"\x22\x22\x22", b"\x33\x66\xcc", b"\xee\x88\x22"
# Letters of three by five dots, row by row from the top, the first dot in the highest of fifteen bits.
FONT = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz0123456789_.,-",
        (
            0o25755, 0o65656, 0o34443, 0o65556, 0o74647, 0o74644, 0o34553, 0o55755, 0o72227, 0o11152,
            0o55655, 0o44447, 0o57755, 0o65555, 0o25552, 0o65644, 0o25573, 0o65655, 0o34216, 0o72222,
            0o55557, 0o55552, 0o55775, 0o55255, 0o55222, 0o71247, 0o75557, 0o26227, 0o61247, 0o61616,
            0o55711, 0o74617, 0o34757, 0o71222, 0o75757, 0o75716, 0o00007, 0o00002, 0o00024, 0o00700,
        ),
        strict=True,
    )
)  # fmt: skip
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
    """A bar chart as PNG: the most complex packages, their lines in blue and their branches in orange."""
    shown = rows[:16]
    canvas = Canvas(760, 60 + 30 * len(shown))
    canvas.text(10, 10, f"lines, at most {max(int(row['lines']) for row in shown)}", BLUE)
    canvas.text(10, 26, f"branches, at most {max(int(row['complexity']) for row in shown)}", ORANGE)
    for index, row in enumerate(shown):
        top = 50 + 30 * index
        canvas.text(10, top + 6, str(row["package"])[:18], BLACK)
        for offset, key, colour in ((0, "lines", BLUE), (11, "complexity", ORANGE)):
            most = max(int(other[key]) for other in shown) or 1
            canvas.box(170, top + offset, 570 * int(row[key]) // most, 10, colour)
    canvas.save(path)


class Canvas:
    """A picture made of boxes and small letters: enough for a chart without any library."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.rows = [bytearray(WHITE * width) for _ in range(height)]

    def box(self, left: int, top: int, width: int, height: int, colour: bytes) -> None:
        """Fill a rectangle."""
        for y in range(top, top + height):
            self.rows[y][3 * left : 3 * (left + width)] = colour * width

    def text(self, left: int, top: int, text: str, colour: bytes) -> None:
        """Write letters of three by five dots, each dot two pixels wide and high."""
        for index, letter in enumerate(text.lower()):
            bits = FONT.get(letter, 0)
            for dot in range(15):
                if bits >> (14 - dot) & 1:
                    self.box(left + 8 * index + 2 * (dot % 3), top + 2 * (dot // 3), 2, 2, colour)

    def save(self, path: Path) -> None:
        """Write the picture as PNG."""
        raw = b"".join(b"\0" + bytes(row) for row in self.rows)
        header = struct.pack(">IIBBBBB", self.width, len(self.rows), 8, 2, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n"
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b"")):
            data += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        path.write_bytes(data)


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
