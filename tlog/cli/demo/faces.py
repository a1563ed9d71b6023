"""Chapter 6: the operator signs two histories, one for each witness. Gossip brings them together, and a file convicts the log."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from functools import partial
from pathlib import Path

from tlog.cli.demo import outside
from tlog.cli.demo.deciding import make_client
from tlog.cli.demo.opening import ORIGIN, POLICY, WITNESSES, Site
from tlog.cli.demo.processes import DemoError, Process
from tlog.cli.demo.stage import Word
from tlog.client import EventClass

PROOF = "fork.json"
#: The first is what the operator does to get on. The second: neither face is shown before its witness cosigned it.
FACE_SETTINGS = {"TLOG_WITNESS_POLICY": "one.policy", "TLOG_WITNESS_WAIT": "60"}
LIED = 5
#: What each witness is to see of one and the same complaint.
ENDINGS = {"regulator": "complaint.upheld", "patients": "complaint.dismissed"}


def show_two_faces(site: Site, case_id: str) -> None:
    """From two copies to a checked fork proof. Raises: DemoError when it is not caught."""
    stage = site.stage
    stage.title("The log shows two faces")
    stage.line(
        "The operator stops the log and copies it twice, with its key and its guard. Nothing can prevent that."
    )
    faces = copy_twice(site)
    servers = serve_faces(site, faces)
    stage.line(
        "Each copy has a policy that names one witness, and each address leads to another copy. So each witness"
    )
    stage.line(
        f"meets a log that only grows. Each is told another end of the complaint about {case_id}:"
    )
    for name, event_type in ENDINGS.items():
        show_face(site, name, servers[name].url, event_type, case_id)
    started = time.monotonic()
    stage.line(
        "Each history alone is without fault. But the witnesses tell each other what they saw."
    )
    show_caught(site, started)
    show_frozen(site, servers)
    show_refused_start(site, faces, servers)


def copy_twice(site: Site) -> dict[str, Path]:
    """A copy of the stopped log for each witness, whose policy names no other."""
    faces = {}
    for name, full in WITNESSES.items():
        faces[name] = site.home / f"face-{name}"
        shutil.copytree(site.log, faces[name])
        lines = (site.log / POLICY).read_text().splitlines()
        kept = [line for line in lines if line.startswith(("log ", f"witness {full} "))]
        text = "\n".join([*kept, f"quorum {full}", ""])
        (faces[name] / "one.policy").write_text(text)
    return faces


def serve_faces(site: Site, faces: dict[str, Path]) -> dict[str, Process]:
    """Start both copies, and lead the address of each witness to its own."""
    servers = {
        name: site.serve(faces[name], site.spare_ports[name], **FACE_SETTINGS) for name in faces
    }
    if site.front is not None:
        site.processes.stop(site.front)
    site.front = site.lead(site.spare_ports)
    for process in (*servers.values(), site.front):
        process.ready()
    return servers


def show_face(site: Site, name: str, url: str, event_type: str, case_id: str) -> None:
    """Write to one face and wait until its witness cosigned it. Raises: DemoError when it never does."""
    size = outside.seen_by(site, name)
    sequence = asyncio.run(_grow(site, name, url, event_type, case_id))

    def grown() -> int | None:
        now = outside.seen_by(site, name)
        return now if now > size else None

    stage = site.stage
    cosigned = stage.wait(f"a cosignature of the {name} on the history that it is shown", grown)
    stage.line(f"to the {name}: {event_type} at sequence {sequence}, with a receipt that verifies;")
    stage.line(f"a head of {cosigned} leaves, which extends that of {size}; cosigned.")


async def _grow(site: Site, name: str, url: str, event_type: str, case_id: str) -> int:
    """Write to one face, as somebody who knows no other: the SDK would notice if it saw both."""
    async with make_client(site.stage, url, site.home / f"state-{name}") as client:
        receipt = await client.ingest(
            event_class=EventClass.OUTCOME,
            event_type=event_type,
            payload={"case": case_id},
            subject_id=case_id,
        )
        return receipt.sequence_counter


def show_caught(site: Site, started: float) -> None:
    """Both witnesses have the fork proof; it is checked offline. Raises: DemoError when one has none, or it does not hold."""
    stage = site.stage
    found = {
        name: stage.wait(f"a fork proof at the {name}", partial(fork_of, site, name))
        for name in WITNESSES
    }
    seconds = time.monotonic() - started
    stage.title(f"Caught, {seconds:.1f} s after the second history was shown")
    for name in WITNESSES:
        stage.command("GET", f"{site.witness_url(name)}/evidence")
        stage.line(f"kind fork, id {found[name][:16]}, of {ORIGIN}")
    identifier = found["regulator"][:16]
    file = site.home / PROOF
    stage.run("witness", "evidence", "export", site.home / "regulator", identifier, "-o", file)
    stage.line(
        f"{file.stat().st_size} bytes that convict the log before everybody, whoever shows them. Offline:"
    )
    check_fork(site)


def fork_of(site: Site, name: str) -> str | None:
    """The id of the newest fork proof that a witness shows to everybody."""
    page = site.stage.get_json(f"{site.witness_url(name)}/evidence", show=False)
    forks = [
        row["id"] for row in page["evidence"] if row["kind"] == "fork" and row["log"] == ORIGIN
    ]
    return forks[-1] if forks else None


def check_fork(site: Site) -> None:
    """Two programs must say that the log lied: exit code 5 stands for nothing else."""
    stage = site.stage
    words: list[Word] = [site.home / PROOF, "--vkey", "$VKEY"]
    for program in filter(None, (["tlog", "proof", "verify"], stage.independent())):
        said = stage.check(*program, *words, expect=LIED)
        for line in said.strip().splitlines():
            stage.line(line)
    stage.line(
        f"Exit code {LIED}: the log's key signed two things that cannot both be true.", "green"
    )


def show_frozen(site: Site, servers: dict[str, Process]) -> None:
    """No witness cosigns it any more. Raises: DemoError when one would."""
    stage = site.stage
    for name in WITNESSES:
        listing = stage.run("witness", "list-logs", site.home / name).splitlines()[0]
        stage.line(listing)
        if "frozen" not in listing.split():
            raise DemoError(f"the {name} has not frozen the log")
    stage.line("Frozen: neither cosigns anything of this log again until a person decides.")
    asyncio.run(_grow(site, "patients", servers["patients"].url, "complaint.reopened", "case-0"))
    error = stage.wait("a witness that refuses", lambda: _refusal(site, servers["patients"].url))
    stage.command("GET", f"{servers['patients'].url}/api/v1/health")
    stage.line(f"the log says of the patients' witness: {error}")


def _refusal(site: Site, url: str) -> str | None:
    for row in site.stage.get_json(f"{url}/api/v1/health", show=False)["witnesses"]:
        if row["status"] == "refusing":
            return json.dumps({"status": row["status"], "error": row["error"]})
    return None


def show_refused_start(site: Site, faces: dict[str, Path], servers: dict[str, Process]) -> None:
    """With the policy that everybody knows, the log refuses to go on from one of its faces."""
    stage = site.stage
    site.processes.stop(*servers.values())
    stage.line(
        "And with the policy of before, which names both, the log itself refuses to start from either copy:"
    )
    server = site.serve(faces["regulator"], site.spare_ports["regulator"])
    code, words = server.refused()
    stage.line(f"{words} (exit code {code})")
    if code != 1 or WITNESSES["patients"] not in words:
        raise DemoError("the log did not name the witness that saw another history")
