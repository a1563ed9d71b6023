"""What the peers said, as a table for a person."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

COLUMNS = {"peer": 20, "command": 46, "checked": 34, "sizes": 24, "result": 9, "faults caught": 18}


@dataclass
class Row:
    """One peer. `skipped` says why it did not run; `disagreements` what it, or we of it, found wrong."""

    peer: str
    command: str
    checked: str = ""
    sizes: dict[str, list[int]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    skipped: str = ""
    disagreements: list[str] = field(default_factory=list)

    @property
    def result(self) -> str:
        """One word."""
        if self.skipped:
            return "skipped"
        return "DISAGREES" if self.disagreements else "agrees"

    def cells(self) -> list[str]:
        """The texts of the columns."""
        sizes = "; ".join(f"{log} {' '.join(map(str, found))}" for log, found in self.sizes.items())
        caught = ", ".join(self.faults)
        return [self.peer, self.command, self.skipped or self.checked, sizes, self.result, caught]


def render(rows: list[Row]) -> str:
    """The table, wrapped, with a line per disagreement below it."""
    lines = [_line(list(COLUMNS)), _line(["-" * width for width in COLUMNS.values()])]
    for row in rows:
        cells = [
            textwrap.wrap(cell, width, break_on_hyphens=False) or [""]
            for cell, width in zip(row.cells(), COLUMNS.values(), strict=True)
        ]
        height = max(map(len, cells))
        for number in range(height):
            lines.append(_line([cell[number] if number < len(cell) else "" for cell in cells]))
        lines.append("")
    lines += [f"{row.peer}: {fault}" for row in rows for fault in row.disagreements]
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return "  ".join(
        cell.ljust(width) for cell, width in zip(cells, COLUMNS.values(), strict=True)
    ).rstrip()
