"""C2SP tlog-proofs, judged by `transparency-dev/formats/proof` and `transparency-dev/merkle` in Go.

    python -m conformance.peers.tlog_proofs

It is given the golden files, the entries that they are of, and the vkey of the log of each checkpoint. What it parses it
writes again: the same bytes. It must refuse the bad ones whose fault is in the path, the index, the leaf or the signature;
other faults are bindings of ours, which a reader of the format cannot know, or spellings that its parser lets pass.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

from conformance.peers.golang import build, go_missing, run
from conformance.peers.keys import vkey_under
from conformance.peers.peer import REPOSITORY, json_object
from conformance.peers.table import Row, render

VECTORS = REPOSITORY / "conformance" / "vectors"
COMMAND = "go run ./tlogproof -proof FILE -leaf FILE -vkey VKEY"

REFUSED = tuple(
    f"tlog-proofs/bad/{name}.tlog-proof"
    for name in """
    version-2 index-missing no-empty-line no-checkpoint hash-of-31-bytes bytes-behind-the-note
    hashes-flipped hashes-too-short hashes-too-long hashes-swapped 64-hashes
    index-of-another-leaf index-beyond-the-tree of-another-entry
    checkpoint-by-another-key checkpoint-of-another-root checkpoint-of-another-size checkpoint-forged
    checkpoint-under-the-root-log-name
    head-at-another-leaf head-path-too-short head-of-another-size head-note-by-another-key
    """.split()
)


def check(work: Path) -> list[Row]:
    """The good files, and the bad ones that every reader of the format must refuse."""
    row = Row("formats/proof", COMMAND, skipped=go_missing())
    if row.skipped:
        return [row]
    program = build("./tlogproof")
    index = json.loads((VECTORS / "index.json").read_bytes())
    vkey, files = index["keys"]["log"], index["files"]
    good = [path for path in files if path.startswith("tlog-proofs/good/")]
    for path in good:
        done = run([program, *_arguments(path, files[path], vkey, work)])
        answer = json_object(done.stdout)
        if done.returncode or answer.get("same") is not True:
            row.disagreements.append(f"{path}: {done.stderr.strip()[-200:] or answer}")
    for path in REFUSED:
        if run([program, *_arguments(path, files[path], vkey, work)]).returncode == 0:
            row.disagreements.append(f"{path}: accepted")
    row.checked = f"{len(good)} proofs: parsed, verified, written again"
    row.faults.append(f"{len(REFUSED)} bad proofs")
    return [row]


def _arguments(path: str, expected: dict[str, Any], vkey: str, work: Path) -> list[object]:
    """Part `event` has its entry beside it and is under the stream's key; part `head` has its leaf inside."""
    proof = VECTORS / path
    held = expected.get("held")
    if held is None:
        return ["-proof", proof, "-vkey", vkey]
    document = json.loads((VECTORS / held["entry"]).read_bytes())
    leaf = work / "entry"
    leaf.write_bytes(base64.b64decode(document["entry"]))
    stream = vkey_under(vkey, document["inclusion"]["origin"])
    return ["-proof", proof, "-leaf", leaf, "-vkey", stream]


def main() -> int:
    """This peer alone."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tlog-proofs-") as directory:
        rows = check(Path(directory))
    print(render(rows))
    return 1 if rows[0].disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
