"""Documents to be broken: every place of a JSON value, and every change of one character in it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from tests.paths import REPOSITORY

VECTORS = REPOSITORY / "conformance" / "vectors"
INDEX: dict[str, Any] = json.loads((VECTORS / "index.json").read_bytes())["files"]

Path_ = tuple[str | int, ...]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def vectors(folder: str) -> list[str]:
    """The vectors of a folder that are JSON at all."""
    found = [path for path in INDEX if path.startswith(folder + "/")]
    return [path for path in found if "/file-" not in path]


def load(path: str) -> Any:
    """A vector."""
    return json.loads(Path(VECTORS / path).read_bytes())


def places(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Every value inside a JSON value, with its path."""
    yield path, value
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, inner in items:
        yield from places(inner, (*path, name))


def with_value(document: Any, path: Path_, value: Any) -> Any:
    """A copy with another value at a path that is not empty."""
    document = copy.deepcopy(document)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return document


def one_character_changes(document: Any, step: int = 1) -> Iterator[tuple[Path_, Any]]:
    """The document with one character of one text, one number or one truth value changed.

    `step` takes every so many characters of each text, beginning at another one for each text.
    """
    for number, (path, value) in enumerate(places(document)):
        if isinstance(value, bool):
            yield path, with_value(document, path, not value)
        elif isinstance(value, int):
            for other in (value - 1, value + 1):
                yield path, with_value(document, path, other)
        elif isinstance(value, str):
            for at in range(number % step, len(value), step):
                other_character = "A" if value[at] != "A" else "B"
                changed = value[:at] + other_character + value[at + 1 :]
                yield path, with_value(document, path, changed)
