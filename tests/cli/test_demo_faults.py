"""The demo made to fail, step by step: it must never say that it has shown what it has not."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Told
from tlog.client import Anchor, EventClass, Proof
from tlog.core.note import parse_vkey

pytest.importorskip("sklearn", reason="the demo needs scikit-learn")

from tlog.cli.demo import evidence, faces, opening, outside, planted, stage
from tlog.cli.demo.deciding import make_client
from tlog.cli.demo.opening import Site
from tlog.cli.demo.processes import DemoError, Processes
from tlog.cli.demo.stage import Stage

pytestmark = [pytest.mark.slow, pytest.mark.e2e]

Capture = pytest.CaptureFixture[str]
Patch = pytest.MonkeyPatch


@pytest.fixture
def site(told: Told, tmp_path: Path) -> Site:
    """A new home with the files that a run of the demo left, and its log; nothing runs."""
    made = Site(Stage(tmp_path, kept=True), Processes(), 0)
    made.log = told.home / "log"
    made.stage.names["$VKEY"] = (told.home / "vkey").read_text().strip()
    for name in ("regulator", "patients"):
        made.stage.names[f"${name.upper()}"] = (told.home / f"{name}.vkey").read_text().strip()
    for file in told.home.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path)
    shutil.copytree(told.home / "anchor", tmp_path / "anchor")
    return made


def reviewed(told: Told) -> int:
    """The sequence of the entry that the demo changes."""
    found = re.search(r"Entry (\d+) is the review", told.text)
    assert found
    return int(found[1])


def test_a_change_that_is_not_found(
    site: Site, told: Told, monkeypatch: Patch, capsys: Capture
) -> None:
    """Were the byte not changed, `tlog verify` would pass, and the demo must not."""

    def copied(log: Path, copy: Path, *_: object) -> int:
        shutil.copytree(log, copy)
        return 0

    monkeypatch.setattr(planted, "copy_and_change", copied)
    with pytest.raises(DemoError, match="ended with 0, not 1"):
        planted.change_one_byte(site, "case-1", reviewed(told))
    assert "Found" not in capsys.readouterr().out


def test_another_entry_is_named(
    site: Site, told: Told, monkeypatch: Patch, capsys: Capture
) -> None:
    """Were another entry named, or the change elsewhere, the demo must not pass."""
    honest = planted.copy_and_change

    def elsewhere(log: Path, copy: Path, stream: str, at: int, old: bytes, new: bytes) -> int:
        return honest(log, copy, stream, 1, b'"MODEL_REGISTERED"', b'"MODEL_REGISTERER"')

    monkeypatch.setattr(planted, "copy_and_change", elsewhere)
    with pytest.raises(DemoError, match="was not named"):
        planted.change_one_byte(site, "case-1", reviewed(told))
    assert "Found" not in capsys.readouterr().out


def altered(site: Site, **changes: Any) -> Proof:
    """The proof package that was left, with members changed."""
    package = json.loads((site.home / "proof.json").read_text())
    return Proof({**package, **changes}, parse_vkey(site.stage.names["$VKEY"]))


def test_a_proof_that_does_not_verify(site: Site) -> None:
    """One bad proof among all of them ends it; so does one that no witness cosigned."""
    honest = altered(site)
    evidence.check_all_proofs(site, [honest, honest])
    with pytest.raises(DemoError, match="does not verify"):
        evidence.check_all_proofs(site, [honest, altered(site, version=2), honest])

    root = honest.raw["root"]
    alone = [line for line in root["checkpoint"].splitlines() if "/witness" not in line]
    unwitnessed = altered(site, root={**root, "checkpoint": "\n".join([*alone, ""])})
    with pytest.raises(DemoError, match="witnessed"):
        evidence.check_all_proofs(site, [honest, unwitnessed])


def test_a_verdict_that_does_not_pass(site: Site) -> None:
    """All four must be there and pass."""
    passing = [f"{name}  PASS  it is" for name in evidence.VERDICTS]
    evidence.four_verdicts(site, "\n".join(passing), evidence.VERDICTS)
    for missing in ("time  NOT SHOWN  it is not", "time  FAIL  it is not", ""):
        with pytest.raises(DemoError, match="must pass"):
            evidence.four_verdicts(site, "\n".join([*passing[:3], missing]), evidence.VERDICTS)


def test_a_form_that_does_not_verify(site: Site) -> None:
    """A COSE receipt with another last byte: the command says so, and the demo does not go on."""
    receipt = (site.home / "receipt.cose").read_bytes()
    (site.home / "receipt.cose").write_bytes(receipt[:-1] + bytes([receipt[-1] ^ 1]))
    with pytest.raises(DemoError, match=r"receipt\.cose .*ended with 1, not 0"):
        evidence.check_forms(site)


def test_a_hash_that_differs(site: Site) -> None:
    """An entry with another byte has another hash."""
    evidence.check_hash(site)
    package = json.loads((site.home / "proof.json").read_text())
    package["entry"] = package["entry"].replace("e", "f", 1)
    (site.home / "proof.json").write_text(json.dumps(package, separators=(",", ":")))
    with pytest.raises(DemoError, match="not the block hash"):
        evidence.check_hash(site)


def test_a_timestamp_that_does_not_hold(site: Site, told: Told) -> None:
    """OpenSSL must say that it does, in its own words, about these very bytes."""
    commands = re.findall(r"\$ (openssl ts -verify .*)", told.text)
    outside.run_openssl(site, commands, site.home / "anchor")
    with pytest.raises(DemoError, match="did not say"):
        outside.run_openssl(site, ["openssl version"], site.home / "anchor")
    for note in (site.home / "anchor").glob("*.note"):
        note.write_bytes(note.read_bytes() + b"x")
    with pytest.raises(DemoError, match="ended with 1, not 0"):
        outside.run_openssl(site, commands[:1], site.home / "anchor")


@pytest.mark.parametrize(
    ("rows", "status", "fault"),
    [
        ("2026-11-22T09:39:47.936Z  demo.example  6  demo  not delivered\n", "", "does not have"),
        ("", "", "does not have"),
        ("2026-11-22T09:39:47.936Z  demo.example  6  demo  delivered\n", "pending", "pending"),
    ],
)
def test_an_anchor_that_is_not_there(
    site: Site, monkeypatch: Patch, rows: str, status: str, fault: str
) -> None:
    """Not delivered, none at all, or of a day that the log does not call complete."""

    async def answer(site: Site, day: str) -> Anchor:
        return Anchor(day, status)

    monkeypatch.setattr(site.stage, "run", lambda *_, **__: rows)
    monkeypatch.setattr(outside, "_ask", answer)
    site.timestamps = True
    with pytest.raises(DemoError, match=fault):
        outside.show_anchor(site)


def test_a_fork_proof_that_does_not_hold(site: Site, capsys: Capture) -> None:
    """Exit code 5 or none: neither a good proof nor a fork proof with another byte is one."""
    faces.check_fork(site)
    fork = (site.home / "fork.json").read_text()
    for document in ((site.home / "proof.json").read_text(), fork.replace("\\n13\\n", "\\n14\\n")):
        (site.home / "fork.json").write_text(document)
        capsys.readouterr()
        with pytest.raises(DemoError, match="not 5"):
            faces.check_fork(site)
        assert "Exit code 5" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A log with one event and two witnesses that neither gossip nor audit, where OpenSSL is missing."""
    silent = {"WITNESS_PEERS": "", "WITNESS_AUDIT_INTERVAL": "0"}
    with pytest.MonkeyPatch.context() as patch, Processes() as processes:
        patch.setattr(opening, "WITNESS_SETTINGS", {**opening.WITNESS_SETTINGS, **silent})
        patch.setattr(opening.shutil, "which", lambda _: None)
        made = Site(Stage(tmp_path_factory.mktemp("deaf"), kept=True), processes, 0)
        made.open()
        asyncio.run(write(made))
        yield made


async def write(site: Site) -> None:
    """One event, under a head that both witnesses cosigned."""
    async with make_client(site.stage, site.url, site.home / "state") as client:
        receipt = await client.ingest(
            event_class=EventClass.OUTCOME, event_type="complaint.received", payload={"n": 1}
        )
        await client.get_proof(receipt.event_id, wait="witnessed")


def test_openssl_is_missing(deaf: Site, capsys: Capture) -> None:
    """It is said, and nothing of an anchor is pretended."""
    outside.show_anchor(deaf)

    said = capsys.readouterr().out
    assert "Skipped: openssl" in said
    assert "anchor now" not in said
    assert not (deaf.home / "authority").exists()


def test_witnesses_that_do_not_audit(deaf: Site, monkeypatch: Patch, capsys: Capture) -> None:
    """Two cosignatures are not four: it waits for what was audited, and says that it did not come."""
    monkeypatch.setattr(stage, "PATIENCE", 2.0)
    with pytest.raises(DemoError, match="cosigned and audited: not within 2 s"):
        outside.show_cosigned_head(deaf)
    assert "all lines verify" not in capsys.readouterr().out


def test_witnesses_that_do_not_gossip(deaf: Site, monkeypatch: Patch, capsys: Capture) -> None:
    """Both cosign what they are shown, nobody notices, nothing is frozen; and the demo says so."""
    deaf.stop_log()
    copies = faces.copy_twice(deaf)
    servers = faces.serve_faces(deaf, copies)
    for name, event_type in faces.ENDINGS.items():
        faces.show_face(deaf, name, servers[name].url, event_type, "case-1")
    monkeypatch.setattr(stage, "PATIENCE", 2.0)
    with pytest.raises(DemoError, match="a fork proof at the regulator: not within 2 s"):
        faces.show_caught(deaf, 0.0)
    assert "Caught" not in capsys.readouterr().out
    with pytest.raises(DemoError, match="has not frozen the log"):
        faces.show_frozen(deaf, servers)


def test_a_page_that_is_not_there(site: Site) -> None:
    """Nobody answers, or with another status: both are said with the address."""
    with pytest.raises(DemoError, match=r"GET http://127\.0\.0\.1:\d+/checkpoint: "):
        outside.cosigned_head(site)


def test_a_witness_that_shows_what_it_did_not_sign(site: Site, monkeypatch: Patch) -> None:
    """A head with the log's line alone, or of another log, is not what a witness saw."""
    note = json.loads((site.home / "proof.json").read_text())["root"]["checkpoint"]
    size = int(note.splitlines()[1])
    pages = {"whole": note, "alone": note.partition("— regulator")[0], "other": f"x{note}"}
    for name, page in pages.items():
        monkeypatch.setattr(site.stage, "get", lambda *_, page=page, **__: page.encode())
        if name == "whole":
            assert outside.seen_by(site, "regulator") == size
            continue
        with pytest.raises(DemoError, match="did not cosign"):
            outside.seen_by(site, "regulator")


@pytest.mark.parametrize("end", [(2, "witness patients.example/witness"), (1, "out of memory")])
def test_a_start_that_is_refused_for_another_reason(
    site: Site, monkeypatch: Patch, end: tuple[int, str]
) -> None:
    """The refusal that is shown is that of a store which a witness contradicts, and no other."""

    class Refusing:
        def refused(self) -> tuple[int, str]:
            return end

    monkeypatch.setattr(site, "serve", lambda *_: Refusing())
    with pytest.raises(DemoError, match="did not name the witness"):
        faces.show_refused_start(site, {"regulator": site.home}, {})


def test_an_independent_verifier_that_is_not_there_or_not_sure(
    site: Site, monkeypatch: Patch, tmp_path: Path, capsys: Capture
) -> None:
    """Outside of a checkout it is said that it is missing; where it does not say VERIFIED, it ends the demo."""
    monkeypatch.setattr(evidence, "four_verdicts", lambda *_: None)
    monkeypatch.setattr(stage, "CHECKOUT", tmp_path / "elsewhere")
    evidence.check_forms(site)
    assert "there is none here" in capsys.readouterr().out

    script = tmp_path / "elsewhere" / stage.INDEPENDENT
    script.parent.mkdir(parents=True)
    script.write_text("print('VERIFIED, perhaps')")
    with pytest.raises(DemoError, match="did not say VERIFIED"):
        evidence.check_forms(site)
