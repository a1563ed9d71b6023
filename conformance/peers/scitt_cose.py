"""COSE receipts, judged by `scitt-cose` of PyPI, in an environment of its own.

    python -m conformance.peers.scitt_cose

It verifies receipts of inclusion with the entry and the log's public key, and knows nothing of our profile: what it accepts
is a receipt to everybody who reads RFC 9942. It must refuse every one of the golden receipts with one bit flipped.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from conformance.peers.golang import run
from conformance.peers.peer import BUILD, REPOSITORY, json_object
from conformance.peers.table import Row, render

LOCK = Path(__file__).parent / "scitt.lock"
ENVIRONMENT = BUILD / "scitt-cose"
INSTALL_SECONDS = 300.0
VECTORS = REPOSITORY / "conformance" / "vectors"
COMMAND = "scitt_cose.verify_receipt(receipt, leaf_entry_hex=…, log_public_key_pem=…)"

# Golden receipts of inclusion, and the receipt that holds their entry.
GOOD = {"event": "event", "tree-of-one": "tree-of-one"}

# Runs inside the environment: verdicts on many receipts at once, as JSON.
_JUDGE = """
import json, sys
from scitt_cose import verify_receipt
case = json.load(open(sys.argv[1]))
said = []
for receipt in case["receipts"]:
    result = verify_receipt(
        bytes.fromhex(receipt), leaf_entry_hex=case["entry"], log_public_key_pem=case["key"].encode()
    )
    said.append([result.ok, result.root, result.issuer, result.subject])
print(json.dumps({"said": said}))
"""


def missing() -> str:
    """ "" once the environment stands, else why not."""
    stamp, lock = ENVIRONMENT / "installed.lock", LOCK.read_bytes()
    if stamp.is_file() and stamp.read_bytes() == lock:
        return ""
    BUILD.mkdir(parents=True, exist_ok=True)
    made = run([sys.executable, "-m", "venv", "--clear", ENVIRONMENT])
    if made.returncode:
        return f"no virtual environment: {made.stderr.strip()[-200:]}"
    pip = [str(_python()), "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes"]
    done = subprocess.run(
        [*pip, "--disable-pip-version-check", "-r", str(LOCK)],
        capture_output=True,
        text=True,
        check=False,
        timeout=INSTALL_SECONDS,
    )
    if done.returncode == 0:
        stamp.write_bytes(lock)
        return ""
    if "HASHES" in done.stderr:
        raise RuntimeError(f"scitt.lock does not fit what was downloaded: {done.stderr[-1000:]}")
    return "the pinned packages are not to be had from the registry"


def _python() -> Path:
    return ENVIRONMENT / "bin" / "python"


def public_key_pem(vkey: str) -> str:
    """The log's public key, as other programs want it."""
    raw = base64.b64decode(vkey.split("+", 2)[2])[1:]
    key = Ed25519PublicKey.from_public_bytes(raw)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def judge(receipts: list[bytes], entry: bytes, vkey: str, work: Path) -> list[list[object]]:
    """For each receipt: accepted, root in hex, issuer, subject. Raises: RuntimeError with what the program said."""
    case = {
        "receipts": [receipt.hex() for receipt in receipts],
        "entry": entry.hex(),
        "key": public_key_pem(vkey),
    }
    path = work / "scitt-cose.json"
    path.write_text(json.dumps(case), encoding="utf-8")
    done = run([_python(), "-c", _JUDGE, path])
    said = json_object(done.stdout).get("said")
    if not isinstance(said, list) or len(said) != len(receipts):
        raise RuntimeError(f"scitt-cose: {done.stderr.strip()[-500:]}")
    return said


def flipped(receipt: bytes) -> list[bytes]:
    """The receipt with one bit changed, at every byte."""
    return [
        receipt[:at] + bytes([receipt[at] ^ 1 << at % 8]) + receipt[at + 1 :]
        for at in range(len(receipt))
    ]


def check(work: Path) -> list[Row]:
    """Golden receipts: the good ones, and each of them with one bit flipped, at every byte."""
    row = Row("scitt-cose", COMMAND, skipped=missing())
    if row.skipped:
        return [row]
    index = json.loads((VECTORS / "index.json").read_bytes())
    vkey, count = index["keys"]["log"], 0
    for name, held in GOOD.items():
        receipt = (VECTORS / "cose" / "good" / f"{name}.cose").read_bytes()
        document = json.loads((VECTORS / "receipts" / "good" / f"{held}.json").read_bytes())
        entry, tree = base64.b64decode(document["entry"]), document["inclusion"]["origin"]
        (ok, _, issuer, subject), *said = judge([receipt, *flipped(receipt)], entry, vkey, work)
        if (ok, issuer, subject) != (True, vkey.split("+", 1)[0], tree):
            row.disagreements.append(f"{name}: not accepted as a receipt of {tree}")
        count += len(said)
        bits = [at for at, one in enumerate(said) if one[0]]
        row.disagreements += [f"{name}: accepted with a bit of byte {at} changed" for at in bits]
    row.checked = f"{len(GOOD)} receipts of inclusion"
    row.faults.append(f"one bit flipped: {count} receipts")
    return [row]


def main() -> int:
    """This peer alone."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="scitt-cose-") as directory:
        rows = check(Path(directory))
    print(render(rows))
    return 1 if rows[0].disagreements else 0


if __name__ == "__main__":
    sys.exit(main())
