"""Chapter 4: what a stranger checks, and how. Every command here is told again at the end, to be repeated."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from pathlib import Path
from typing import Any

import orjson

from tlog.cli.demo.opening import TSA_ROOTS, WITNESSES, Site
from tlog.cli.demo.processes import DemoError
from tlog.cli.demo.recorder import Recorded
from tlog.cli.demo.stage import Word
from tlog.cli.verify import progress_bar
from tlog.client import Proof
from tlog.core.policy import Policy, parse_policy
from tlog.core.timestamp import Roots, parse_roots
from tlog.verdicts import verify_file

VERDICTS = ("integrity", "position", "witnessed", "time")


def verify_whole(site: Site) -> None:
    """All of the log, from its store and from outside."""
    stage = site.stage
    stage.title("All of the log is checked")
    _tell(site, stage.run("tlog", "verify", site.log, "--vkey", "$VKEY"))
    stage.line(
        "That was the operator, who reads the store. A stranger reads nothing but what is public:"
    )
    memory = str(site.home / "stranger")
    said = stage.run("tlog", "verify", site.url, "--vkey", "$VKEY", TLOG_STATE=memory)
    _tell(site, said)
    stage.line("It remembers what it saw: the next visit demands that the log only grew.")


def save_submitted(site: Site, case: Recorded) -> None:
    """What the clinic has of one decision: its receipt, and the event as it was submitted."""
    case.inference.save(site.home / "receipt.json")
    _save(site.home / "event.json", case.event)


def check_forms(site: Site) -> None:
    """One proof, in every form, by two programs. Raises: DemoError when one of four verdicts is not PASS."""
    stage, home = site.stage, site.home
    stage.title("A stranger checks one decision, offline")
    trust: list[Word] = ["--vkey", "$VKEY", "--policy", home / site.policy.name]
    dated: list[Word] = ["--tsa-roots", home / TSA_ROOTS] if site.timestamps else []
    said = stage.check("tlog", "proof", "verify", home / "proof.json", *trust, *dated)
    four_verdicts(site, said, VERDICTS)
    stage.line(
        "The file, the log's vkey, the policy and the authority's root certificate: no more was needed."
    )
    if site.timestamps:
        stage.line(
            "Whoever believes no witness has the time from the authority, out of the same file:"
        )
        said = stage.check(
            "tlog", "proof", "verify", home / "proof.json", "--vkey", "$VKEY", *dated
        )
        four_verdicts(site, said, ("integrity", "position", "time"))
    entry: list[Word] = ["--entry", home / "proof.json", "--head", home / "head.tlog-proof"]
    for name in ("event.tlog-proof", "receipt.cose"):
        said = stage.check("tlog", "proof", "verify", home / name, *entry, *trust)
        four_verdicts(site, said, VERDICTS[:3])
    independent = stage.independent()
    if independent is None:
        stage.line("The independent verifier is in conformance/ of a checkout; there is none here.")
        return
    stage.line(
        "The same by a program that shares no line with the log, one file to be read from top to bottom:"
    )
    keys = [word for name in WITNESSES for word in ("--witness", f"${name.upper()}")]
    payload: list[Word] = ["--vkey", "$VKEY", "--payload", home / "event.json"]
    files: list[list[Word]] = [
        [home / "proof.json", "--vkey", "$VKEY", *keys],
        [home / "event.tlog-proof", *entry, "--vkey", "$VKEY", *keys],
        [home / "receipt.json", *payload],
    ]
    for words in files:
        said = stage.check(*independent, *words)
        stage.line(said.splitlines()[-1])
        if said.splitlines()[-1] != "VERIFIED":
            raise DemoError("the independent verifier did not say VERIFIED")


def check_hash(site: Site) -> None:
    """The hash of the entry, by tools that are on every machine. Raises: DemoError when it is not the one in the file."""
    if any(shutil.which(tool) is None for tool in ("grep", "cut", "base64", "sha256sum")):
        return
    file = shlex.quote(str(site.home / "proof.json"))
    site.stage.line("And by hand: the block hash is the plain SHA-256 of the entry's bytes.")
    member = 'grep -o \'"{}":"[^"]*\' {} | cut -d\'"\' -f4'
    computed = site.stage.check_pipe(f"{member.format('entry', file)} | base64 -d | sha256sum")
    site.stage.line(computed.strip())
    claimed = site.stage.check_pipe(member.format("block_hash", file))
    site.stage.line(claimed.strip())
    if computed.split()[0] != claimed.strip().removeprefix("sha256:"):
        raise DemoError("the hash of the entry is not the block hash that the proof names")


def four_verdicts(site: Site, said: str, passing: tuple[str, ...]) -> None:
    """Print the verdicts in what `tlog proof verify` said. Raises: DemoError when one of `passing` does not pass."""
    lines = [line for line in said.splitlines() if line.startswith(VERDICTS)]
    for line in lines:
        site.stage.line(line)
    passed = {line.split()[0] for line in lines if line.split()[1] == "PASS"}
    if not passed >= set(passing):
        raise DemoError(f"{', '.join(passing)} must pass; these did: {', '.join(sorted(passed))}")


def check_all_proofs(site: Site, proofs: list[Proof]) -> None:
    """Every proof package, by what a stranger has. Raises: DemoError for one that does not verify."""
    stage = site.stage
    stage.title("Every proof is checked, with the log and the witnesses out of reach")
    vkey, policy = stage.names["$VKEY"], parse_policy(site.policy.read_bytes())
    roots = parse_roots((site.home / TSA_ROOTS).read_bytes()) if site.timestamps else None
    started = time.monotonic()
    with progress_bar("checking proofs", least=1) as progress:
        for number, proof in enumerate(proofs, 1):
            _check_proof(proof, vkey, policy, roots)
            progress(number, len(proofs))
    stage.line(
        f"{len(proofs)} of {len(proofs)} proof packages verified under vkey and policy, "
        f"in {time.monotonic() - started:.1f} s."
    )


def _check_proof(proof: Proof, vkey: str, policy: Policy, roots: Roots | None) -> None:
    verdicts = verify_file(orjson.dumps(proof.raw), vkey, policy, None, roots)
    if not verdicts.verified or verdicts.witnessed.verdict != "pass":
        raise DemoError("\n".join([f"{proof} does not verify:", *verdicts.lines()]))


def _tell(site: Site, said: str) -> None:
    for line in said.splitlines():
        site.stage.line(line)


def _save(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
