"""Chapter 3: what the outside says of the log: two witnesses cosigned its head and audited it, an authority dated it."""

from __future__ import annotations

import asyncio
import hashlib
import shlex
import shutil
from functools import partial
from pathlib import Path
from typing import Any

from tlog.cli.demo.deciding import make_client
from tlog.cli.demo.opening import ORIGIN, STREAM, TSA_ROOTS, WITNESSES, Site
from tlog.cli.demo.processes import DemoError
from tlog.client import Anchor
from tlog.core.checkpoint import open_checkpoint
from tlog.core.note import Note, parse_vkey
from tlog.core.policy import parse_policy
from tlog.errors import VerificationError

ANCHOR = "anchor"
OPENSSL_SAYS = "Verification: OK"


def show_cosigned_head(site: Site) -> None:
    """One head of everything, and who vouches for it. Raises: DemoError when a line is missing or wrong."""
    stage = site.stage
    stage.title("Two witnesses vouch for the head of everything")
    size, note = stage.wait(
        "a head that both witnesses cosigned and audited", lambda: cosigned_head(site)
    )
    stage.command("GET", f"{site.url}/checkpoint")
    for line in note.splitlines():
        stage.line(line if len(line) < 80 else f"{line[:72]}…")
    stage.line(
        f"The log signed a head of {size} leaves, and each of the others a cosignature; all lines verify."
    )
    stage.line(
        "A witness promises: this log only grew. With its second key, `/audited`: I read all of it by its"
    )
    stage.line(
        "tiles, every leaf keeps the rules, every head of every stream is true, and pymerkle agrees."
    )
    for name in WITNESSES:
        url = f"{site.witness_url(name)}/audit/{ORIGIN}"
        look = partial(_audited, site, url, size)
        report = stage.wait(f"an audit of the {name} that found nothing", look)
        stage.command("GET", url)
        stage.line(f"status {report['status']}, audited up to size {report['audited']['size']}")
    page = f"audited/{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    name = "regulator"
    shown = stage.get(f"{site.witness_url(name)}/{page}")
    opened = _open(site, shown)
    if opened is None or f"{WITNESSES[name]}/audited" not in _names(opened[1]):
        raise DemoError(f"the {name} does not show what it audited:\n{shown.decode()}")
    stage.line(f"Its page of audited heads, for everybody: size {opened[0]}, with its line.")


def seen_by(site: Site, name: str) -> int:
    """The size of the newest head that a witness cosigned, by its own page. Raises: DemoError when that is not so."""
    page = f"{hashlib.sha256(ORIGIN.encode()).hexdigest()}/checkpoint"
    note = site.stage.get(f"{site.witness_url(name)}/{page}", show=False)
    opened = _open(site, note)
    if opened is None or WITNESSES[name] not in _names(opened[1]):
        raise DemoError(f"the {name} shows what it did not cosign:\n{note.decode()}")
    return opened[0]


def _audited(site: Site, url: str, size: int) -> dict[str, Any] | None:
    report: dict[str, Any] = site.stage.get_json(url, show=False)
    found = report["status"] == "ok" and report["audited"]["size"] >= size
    return report if found else None


def cosigned_head(site: Site) -> tuple[int, str] | None:
    """The published head, once all four lines of the two witnesses are on it and verify."""
    note = site.stage.get(f"{site.url}/checkpoint", show=False)
    opened = _open(site, note)
    wanted = {f"{name}{suffix}" for name in WITNESSES.values() for suffix in ("", "/audited")}
    if opened is None or not wanted <= _names(opened[1]):
        return None
    return opened[0], note.decode()


def _open(site: Site, note: bytes) -> tuple[int, Note] | None:
    policy = parse_policy(site.policy.read_bytes())
    log = parse_vkey(site.stage.names["$VKEY"])
    try:
        head, opened = open_checkpoint(note, [log], ORIGIN, policy.witness_verifiers)
    except VerificationError:
        return None
    return head.size, opened


def _names(note: Note) -> set[str]:
    return {signature.name for signature in note.signatures}


def show_anchor(site: Site) -> None:
    """A timestamp of somebody who knows neither log nor witness. Raises: DemoError when OpenSSL does not accept it."""
    stage = site.stage
    stage.title("An outside clock dates it")
    if not site.timestamps:
        stage.line(
            "Skipped: openssl, which plays the timestamp authority here, is not installed.",
            "yellow",
        )
        return
    directory = site.home / "regulator"
    stage.run("witness", "anchor", "now", directory)
    stage.line(
        "The regulator had the newest cosigned head stamped (RFC 3161), and delivered it to the log."
    )
    stage.line("Every day it does so by itself; this one is for the impatient. What it has:")
    rows = stage.run("witness", "anchor", "list", directory).splitlines()
    for row in rows:
        stage.line(row)
    if not rows or not all(row.endswith("  delivered") for row in rows):
        raise DemoError("the witness has an anchor that the log does not have")
    day = rows[-1].partition("T")[0]
    anchor = asyncio.run(_ask(site, day))
    if anchor.anchor_status != "complete":
        raise DemoError(f"the log says of {day}: {anchor.anchor_status}")
    stage.command("GET", f"{site.url}/api/v1/anchor/{day}")
    stage.line(
        f"anchor_status {anchor.anchor_status}, {len(anchor.timestamps)} timestamps, each with its commands:"
    )
    check_anchor(site, anchor)


async def _ask(site: Site, day: str) -> Anchor:
    async with make_client(site.stage, site.url, site.home / "state") as client:
        return await client.get_anchor(day)


def check_anchor(site: Site, anchor: Anchor) -> None:
    """Save a day's anchors, and have the newest checked by OpenSSL."""
    directory = site.home / ANCHOR
    directory.mkdir()
    anchor.save(directory)
    shutil.copy(site.home / TSA_ROOTS, directory / "tsa-roots.pem")
    run_openssl(site, anchor.timestamps[-1]["verify"], directory)


def run_openssl(site: Site, commands: list[str], directory: Path) -> None:
    """Run the commands that check an anchor. Raises: DemoError when OpenSSL finds fault."""
    for command in commands:
        said = site.stage.check(*shlex.split(command), cwd=directory)
        site.stage.line(said.strip())
        if said.strip() != OPENSSL_SAYS:
            raise DemoError(f"openssl did not say {OPENSSL_SAYS!r}")


def event_proofs(site: Site, event_id: str) -> None:
    """Fetch the proof of one event in all of its forms, as files."""
    stage = site.stage
    stage.title("The proof of one decision, in every form")
    for form, name in FORMS.items():
        words = ["tlog", "proof", "get", event_id, "--url", site.url, "--stream", STREAM]
        wait = ["--wait", "witnessed"] if form == "json" else []
        output = ["--format", form, *wait, "-o", str(site.home / name)]
        stage.run(*words, *output, TLOG_API_KEY="$KEY")
    stage.line(
        "One file has everything. The other three are for programs that others wrote: C2SP and COSE."
    )


FORMS = {
    "json": "proof.json",
    "tlog-proof": "event.tlog-proof",
    "tlog-proof-head": "head.tlog-proof",
    "cose": "receipt.cose",
}
