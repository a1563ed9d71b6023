"""Run every peer that this machine has; print what each said. Exit status 1 if one disagrees."""

from __future__ import annotations

import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from conformance.peers import (
    growth,
    litewitness,
    readers,
    scitt_cose,
    suites,
    tlog_proofs,
    witnesses,
)
from conformance.peers.table import Row, render

PARTS = (
    readers.check,
    growth.check,
    suites.check,
    witnesses.check,
    litewitness.check,
    tlog_proofs.check,
    scitt_cose.check,
)


def attempt(part: Callable[[Path], list[Row]], directory: Path) -> list[Row]:
    """A part's rows; what stops it half way is a disagreement, and the other parts are still run."""
    try:
        return part(directory)
    except Exception as error:
        traceback.print_exc()
        name = part.__module__.rpartition(".")[2]
        return [Row(name, "", disagreements=[f"stopped: {type(error).__name__}: {error}"])]


def main() -> int:
    """The whole run."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        rows = [row for part in PARTS for row in attempt(part, Path(directory))]
    print(render(rows))
    count = {
        word: sum(row.result == word for row in rows) for word in ("agrees", "DISAGREES", "skipped")
    }
    print(f"{time.monotonic() - began:.0f} seconds")
    print(f"{count['agrees']} passed, {count['DISAGREES']} failed, {count['skipped']} skipped")
    return 1 if count["DISAGREES"] else 0


if __name__ == "__main__":
    sys.exit(main())
