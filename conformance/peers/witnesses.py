"""Our log and witnesses that others wrote; our witness and logs that others wrote."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from conformance.peers.deployment import ORIGIN, Deployment, command
from conformance.peers.golang import TESSERA, build, go_missing, run
from conformance.peers.keys import COSIGNER_KEY, new_key
from conformance.peers.peer import checkpoint_lines, get, json_object
from conformance.peers.python import aics_missing, aics_program
from conformance.peers.suites import NAME, VECTORS, timed, witness_of_ours, witness_of_theirs
from conformance.peers.table import Row

COSIGN_SECONDS = 30.0
PUBLISH_SECONDS = 60.0
REFUSED_SECONDS = 10.0  # it would wait for ever for a cosignature that does not come
FEEDER = Path(__file__).parent / "aics_feeder.py"


def check(directory: Path) -> list[Row]:
    """Every pair of a log and a witness; `directory` is for their servers."""
    return [
        timed(aics_cosigns_our_log, directory / "aics-cosigns"),
        timed(aics_feeds_our_witness, directory / "aics-feeds"),
        timed(tessera_asks_our_witness, directory / "tessera-asks"),
    ]


def aics_cosigns_our_log(directory: Path) -> Row:
    """Our log asks `aics-witness`; `aics-tlog` then finds the quorum on the published head."""
    row = Row(
        "aics-witness",
        "aics-witness serve, named in our witness_policy; "
        "aics-tlog verify-checkpoint --witness-key V --quorum 1",
    )
    row.skipped = aics_missing()
    if row.skipped:
        return row
    directory.mkdir()
    deployment = Deployment(directory, TLOG_WITNESS_POLICY="witnesses.policy")
    with witness_of_theirs(directory, {ORIGIN: deployment.vkey}) as (url, vkey):
        policy = f"log {deployment.vkey}\nwitness w1 {vkey} {url}\nquorum w1\n"
        (directory / "log" / "witnesses.policy").write_text(policy, encoding="ascii")
        with deployment as log:
            log.open_stream()
            for root, stream in ((4, 2), (60, 300), (61, 301)):
                log.grow(root, stream)
                fault = _cosigned(log, vkey, row)
                if fault:
                    row.disagreements.append(f"root of {root}: {fault}")
            row.checked = "every published root cosigned, by consistency proofs from our tiles"
            other = new_key(NAME, COSIGNER_KEY)[1]
            if _quorum(log, other):
                row.faults.append("another key than the witness's")
            else:
                row.disagreements.append("aics-tlog finds a quorum of a witness that did not sign")
    return row


def _cosigned(log: Deployment, vkey: str, row: Row) -> str:
    """Wait until the newest root is published with the witness's line: "" or what aics-tlog says."""
    deadline, fault = time.monotonic() + COSIGN_SECONDS, ""
    while time.monotonic() < deadline:
        _, note = get(log.url + "checkpoint")
        if f"\n{log.root}\n".encode() in note and f"\u2014 {NAME} ".encode() in note:
            fault = _quorum(log, vkey)
            row.sizes.setdefault("root", []).append(log.root)
            return fault
        time.sleep(0.1)
    return f"not cosigned within {COSIGN_SECONDS:.0f} s: {note!r}"


def _quorum(log: Deployment, witness: str) -> str:
    options = ["--tiles", log.url, "--log-key", log.vkey, "--origin", ORIGIN]
    quorum = ["--witness-key", witness, "--quorum", "1", "--max-age", "600"]
    done = run([aics_program("aics-tlog"), "verify-checkpoint", *options, *quorum])
    if done.returncode == 0 and json_object(done.stdout).get("ok") is True:
        return ""
    return (done.stdout + done.stderr).strip()[-300:]


class TesseraLog:
    """A log in files, run by Tessera's example for as long as it takes to publish."""

    def __init__(self, program: Path, directory: Path) -> None:
        self._program, self._directory = program, directory
        self.skey, self.vkey = new_key("log.example.org/tessera")
        self.size = 0

    def policy(self, url: str, vkey: str) -> None:
        """The witness that it asks from now on."""
        text = f"witness w1 {vkey} {url}/\nquorum w1\n"
        (self._directory / "policy").write_text(text, encoding="ascii")

    def grow(self, size: int, seconds: float = PUBLISH_SECONDS) -> str:
        """Add entries up to `size`: "" once a head of that size is published with a cosignature, else what went wrong."""
        added = self._directory / f"entries-{size}"
        added.mkdir()
        for number in range(self.size, size):
            (added / str(number)).write_text(f"entry {number}", encoding="ascii")
        storage = self._directory / "storage"
        options = [f"--storage_dir={storage}", f"--entries={added}/*"]
        options += [f"--witness_policy_file={self._directory / 'policy'}", "--witness_timeout=5s"]
        try:
            done = subprocess.run(
                [str(self._program), *options],
                env={**os.environ, "LOG_PRIVATE_KEY": self.skey},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"not published within {seconds:.0f} s"
        self.size = size
        note = (storage / "checkpoint").read_bytes()
        if (
            done.returncode
            or checkpoint_lines(note)[1] != size
            or f"\u2014 {NAME} ".encode() not in note
        ):
            return f"{done.stderr[-300:]} {note!r}"
        return ""


def tessera_asks_our_witness(directory: Path) -> Row:
    """Tessera's example log: finds out our size, sends proofs, publishes only with our cosignature."""
    row = Row(
        "tessera posix-oneshot",
        f"go run {TESSERA}/cmd/examples/posix-oneshot --storage_dir=D --entries=GLOB --witness_policy_file=P",
    )
    row.skipped = go_missing()
    if row.skipped:
        return row
    program = build(f"{TESSERA}/cmd/examples/posix-oneshot")
    with witness_of_ours(directory) as (url, vkeys):
        log = TesseraLog(program, directory)
        command("add-log", directory / "w", "--vkey", log.vkey, program="witness")
        log.policy(url, vkeys.partition("\n")[0])
        for size in (1, 2, 40, 300):
            fault = log.grow(size)
            if fault:
                row.disagreements.append(f"log of {size}: {fault}")
            row.sizes.setdefault("its log", []).append(size)
        row.checked = "our 409 to `old 0`, proofs, our cosignature under our vkey"
        log.policy(url, new_key(NAME, COSIGNER_KEY)[1])
        if log.grow(301, REFUSED_SECONDS):
            row.faults.append("another key than the witness's")
        else:
            row.disagreements.append("publishes with a cosignature of another key")
    return row


def aics_feeds_our_witness(directory: Path) -> Row:
    """`aics_witness.feeder.WitnessClient` submits the honest steps of an exchange; it judges each line that comes back."""
    row = Row(
        "aics-witness feeder", "aics_witness.feeder.WitnessClient(URL, VKEY).submit(NOTE, PROOF)"
    )
    row.skipped = aics_missing()
    if row.skipped:
        return row
    with witness_of_ours(directory) as (url, vkeys):
        vkey = vkeys.partition("\n")[0]
        for key in (new_key(NAME, COSIGNER_KEY)[1], vkey):
            done = run(
                [aics_program("python"), FEEDER, url, key, VECTORS / "exchanges" / "growth.json"]
            )
            if key != vkey:
                caught = done.returncode == 1 and "refused:" in done.stdout
                row.faults += ["another key than the witness's"] if caught else []
                row.disagreements += (
                    [] if caught else [f"takes the line of another key: {done.stdout}"]
                )
            elif done.returncode:
                row.disagreements.append((done.stdout + done.stderr)[-500:])
        row.checked = done.stdout.strip()
    return row
