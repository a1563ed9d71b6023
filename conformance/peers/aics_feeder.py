"""Run by the Python that has `aics-witness`: its feeder submits the honest steps of an exchange to a witness.

    python aics_feeder.py URL VKEY EXCHANGE.json

Prints what was done; ends with 1 and `refused: …` when the feeder does not believe the witness.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any


def requests(path: Path) -> list[tuple[int, list[bytes], bytes]]:
    """Old size, proof and note of every step that must be cosigned."""
    found = []
    for step in json.loads(path.read_bytes())["steps"]:
        if step["status"] == [200]:
            header, _, note = base64.b64decode(step["request"]).partition(b"\n\n")
            old, *hashes = header.decode().split("\n")
            found.append(
                (int(old.removeprefix("old ")), [base64.b64decode(one) for one in hashes], note)
            )
    return found


def main() -> int:
    """Submit everything in order, then the newest once more by a client without memory."""
    from aics_witness import feeder

    url, vkey, path = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    steps = requests(path)
    client: Any = feeder.WitnessClient(url, vkey)
    try:
        for old, proof, note in steps:
            client.submit(note, (old, proof))
        fresh: Any = feeder.WitnessClient(url, vkey)
        fresh.submit(
            steps[-1][2], lambda old, new: []
        )  # it says 0 first, and learns our size by 409
    except Exception as error:
        print(f"refused: {type(error).__name__}: {error}")
        return 1
    print(f"{len(steps)} lines believed: type 04, time, signature; 409 understood")
    return 0


if __name__ == "__main__":
    sys.exit(main())
