"""Plots of rate and latency against clients and against the size of the tree, where matplotlib is installed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MISSING = "no plots: matplotlib is not installed (pip install -r requirements-bench.lock)"
SIDES = re.compile(r"(?:single )?(?P<side>lean|full|[Tt]log[^,:]*|Tessera), (?P<x>\d+) clients")
SIZES = re.compile(r"(?P<side>growth to|proof at) (?P<x>[\d,]+)")

Lines = dict[str, dict[int, float]]


def collect(figures: Mapping[str, float], title: re.Pattern[str], what: str) -> Lines:
    """The figures `<title>: <what>` as lines: what the title names against its number."""
    lines: Lines = {}
    for name, value in figures.items():
        head, _, tail = name.rpartition(": ")
        if (found := title.fullmatch(head)) and tail == what:
            x = int(found["x"].replace(",", ""))
            lines.setdefault(found["side"], {})[x] = value
    return lines


def draw(figures: Mapping[str, float], path: Path) -> str:
    """Write PNG files beside `path`; their names, or why there are none."""
    panels = {
        "clients": {
            "entries/s": collect(figures, SIDES, "events/s")
            or collect(figures, SIDES, "entries/s"),
            "p50 ms": collect(figures, SIDES, "p50 ms"),
            "p99 ms": collect(figures, SIDES, "p99 ms"),
        },
        "tree size": {
            "appended entries/s": collect(figures, SIZES, "events/s"),
            "µs for a proof": collect(figures, SIZES, "µs"),
        },
    }
    wanted = {axis: shown for axis, shown in panels.items() if all(shown.values())}
    if not wanted:
        return "nothing to plot"
    if find_spec("matplotlib") is None:
        return MISSING
    names = []
    for axis, shown in wanted.items():
        target = path.with_name(f"{path.stem}-{axis.replace(' ', '-')}.png")
        _figure(axis, shown, target)
        names.append(target.name)
    return ", ".join(names)


def _figure(axis: str, panels: Mapping[str, Lines], target: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    drawing, places = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 4), squeeze=False)
    for place, (what, lines) in zip(places[0], panels.items(), strict=True):
        _panel(place, axis, what, lines)
    drawing.tight_layout()
    drawing.savefig(target, dpi=120)
    pyplot.close(drawing)


def _panel(place: Any, axis: str, what: str, lines: Lines) -> None:
    for side, points in lines.items():
        xs = sorted(points)
        place.plot(xs, [points[x] for x in xs], marker="o", label=side)
    place.set_xscale("log")
    values = [value for points in lines.values() for value in points.values()]
    if max(values) > 20 * min(values):
        place.set_yscale("log")
    else:
        place.set_ylim(0, 1.1 * max(values))
    ticks = sorted({x for points in lines.values() for x in points})
    place.set_xticks(ticks, [f"{x:,}" for x in ticks])
    place.set_xticks([], minor=True)
    place.set_xlabel(axis)
    place.set_title(what)
    place.grid(visible=True, which="both", alpha=0.3)
    place.legend()
