"""Write the golden vectors in `conformance/vectors/`: deterministic, one fault per file.

    python -m conformance.make_vectors [DIRECTORY]

What a file must be judged as is declared beside the fault, in `conformance/golden/`, and written to
`index.json`; no verifier is asked. Where the operator of a log could sign a fault, it is signed: only
the binding that the file is named for is broken.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from conformance.golden import basics, documents, exchanges, forks, portable, receipts, tiles
from conformance.golden.honest import LOG, POLICY, W1, W2
from conformance.golden.vectors import Vectors

VECTORS = Path(__file__).parent / "vectors"

PROVENANCE = """# Golden vectors

Written by `python -m conformance.make_vectors`; a test writes them again and compares every byte. Keys are
SHA-256 of fixed texts and times are fixed: whoever runs the program gets these files.

- log `{log}`
- witnesses `{w1}` and `{w2}`; `policy.txt` asks for both
- `index.json` says what each file must be judged as. For receipts, batches and packages: the four verdicts
  under `policy.txt`, and the exit status of `verifier/verify.py`, which knows the log's key and nothing else.
  `held` names the files that a verifier of a C2SP tlog-proof or COSE receipt is given beside it: entry, genesis, head, old.
  For fork proofs: the rule that the log broke, null for a file that shows nothing.
- `exchanges/`: requests to a fresh witness that knows the logs of `exchanges/logs.txt`, in the order of each file, with the
  statuses of C2SP tlog-witness; bodies for the first witness, whose clock shows each step's `time`.
- `tiles/`: SHA-256 of every tile and entry bundle of a log of 70,000 entries that follow a formula.

One fault per file, named by the file. What only the log could do wrong is signed with the log's key, so that
no signature and no hash but the binding in question is broken.
"""


def build() -> dict[str, bytes]:
    """Every file, by its path under the directory."""
    vectors = Vectors()
    basics.add_notes(vectors)
    basics.add_checkpoints(vectors)
    basics.add_entries(vectors)
    basics.add_commitments(vectors)
    documents.add_receipts(vectors)
    documents.add_packages(vectors)
    documents.add_batches(vectors)
    portable.add_labels(vectors)
    portable.add_tlog_proofs(vectors)
    receipts.add_cose(vectors)
    forks.add_forks(vectors)
    exchanges.add_exchanges(vectors)
    tiles.add_tiles(vectors)
    provenance = PROVENANCE.format(log=LOG.vkey, w1=W1.vkey, w2=W2.vkey)
    keys = {"log": LOG.vkey, "witnesses": [W1.vkey, W2.vkey]}
    index = json.dumps({"keys": keys, "files": vectors.index}, indent=1, sort_keys=True) + "\n"
    return {
        **vectors.files,
        "PROVENANCE.md": provenance.encode(),
        "policy.txt": POLICY.encode(),
        "index.json": index.encode(),
    }


def main() -> None:
    """Write all files; nothing is removed."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS
    for path, data in build().items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


if __name__ == "__main__":
    main()
