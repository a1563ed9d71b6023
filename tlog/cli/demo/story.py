"""The demo, told step by step. Whatever does not come out as it should ends it with an error."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from tlog.cli.demo import classifier, recorder
from tlog.cli.demo.change import copy_and_change
from tlog.cli.demo.classifier import CONFIDENT, Trained, train
from tlog.cli.demo.processes import DemoError, Server, run, tlog
from tlog.cli.demo.recorder import Recorded
from tlog.cli.verify import progress_bar
from tlog.client import AuditClient, Proof, Receipt, code_hash
from tlog.core.wire import b64decode
from tlog.verdicts import verify_file

ORIGIN = "demo.example"
TENANT = "clinic"
AGENT = "screening"
STREAM = f"{TENANT}:prod:{AGENT}"
INDEPENDENT = Path("conformance") / "verifier" / "verify.py"
_CHECKOUT = Path(__file__).resolve().parents[3]


class Story:
    """One run: a home directory, a log in it, and what was recorded."""

    def __init__(self, home: Path, port: int, *, kept: bool) -> None:
        self._home = home
        self._port = port
        self._kept = kept
        self._console = Console(highlight=False, soft_wrap=True)
        self._started = time.monotonic()
        self._log = home / "log"
        self._vkey = ""

    def tell(self) -> None:
        """From an empty directory to the change that is found. Raises: DemoError, TlogError."""
        say = self._console.print
        say("A transparency log, from an event to a checked proof.", style="bold")
        say(
            "The server, the classifier, its cases and every check are real; the reviewers are not."
        )
        with ExitStack() as stack:
            server, key = self._open_log(stack)
            trained = self._train()
            cases, proofs = asyncio.run(self._use(server.url, key, trained))
            self._check_store()
        self._check_proofs(proofs)
        self._leave_evidence(cases, proofs)
        self._change_one_byte(cases)
        self._repeat(cases)

    # ---- the steps -----------------------------------------------------------------------------

    def _open_log(self, stack: ExitStack) -> tuple[Server, str]:
        self._title("A log, served by a process of its own")
        self._command("tlog init", self._log, "--origin", ORIGIN)
        self._vkey = tlog("init", self._log, "--origin", ORIGIN).strip()
        self._line(self._vkey)
        self._line("This is the log's vkey. Who knows it can check everything below, offline.")
        self._command("tlog tenant create", self._log, TENANT)
        key = tlog("tenant", "create", self._log, TENANT).strip()
        self._command("tlog serve", self._log, "--listen", f"127.0.0.1:{self._port}")
        server = Server(self._log, self._port, self._home / "server.log")
        stack.callback(server.stop)
        self._line(f"It answers at {server.url}.")
        return server, key

    def _train(self) -> Trained:
        self._title("An AI system that decides about people")
        trained = train()
        self._line(f"Logistic regression, trained on {trained.training_cases} breast-cancer cases.")
        self._line(
            f"It decides {len(trained)} others, and is right in {trained.accuracy:.1%} of them."
        )
        self._line(f"Where it is less than {CONFIDENT:.0%} sure, a human decides (simulated here).")
        return trained

    async def _use(
        self, url: str, key: str, trained: Trained
    ) -> tuple[list[Recorded], list[Proof]]:
        client = AuditClient(
            base_url=url,
            tenant_id=TENANT,
            agent_id=AGENT,
            agent_code_hash=code_hash(classifier.__file__),
            api_key=key,
            vkey=self._vkey,
            state_dir=self._home / "state",
        )
        async with client:
            self._title("Every decision is recorded, over HTTP")
            started = time.monotonic()
            receipts = await recorder.record_model(client, trained)
            decisions = list(trained.decisions())
            with progress_bar("recording cases", least=1) as progress:
                cases = await recorder.record_cases(client, decisions, progress)
            receipts += [receipt for case in cases for receipt in case.receipts]
            self._tell_recorded(cases, len(receipts), time.monotonic() - started)
            self._title("The stream is verified")
            said = await client.verify(STREAM)
            if not said.verified or said.checked_count != len(receipts) + 1:
                raise DemoError(f"the server says of the stream: {said}")
            self._line(
                f"GET /api/v1/verify: the server re-derived {said.checked_count} entries "
                f"({len(receipts)} events and the one that opened the stream), no lie."
            )
            with progress_bar("fetching proofs", least=1) as progress:
                proofs = await recorder.fetch_proofs(client, receipts, progress)
        return cases, proofs

    def _tell_recorded(self, cases: list[Recorded], count: int, seconds: float) -> None:
        reviews = [case.review for case in cases if case.review is not None]
        flagged = sum(review.velocity_flag_triggered for review in reviews)
        self._line(
            f"{count} events in {seconds:.1f} s: 3 about the model, {len(cases)} inferences, "
            f"{len(reviews)} human reviews, {len(cases)} outcomes."
        )
        self._line(
            "The SDK checked each receipt before it returned: this event, in the log, signed."
        )
        self._line(
            f"{flagged} reviews were signed off within 10 s. The log took them, and flagged them."
        )
        case, review = _reviewed(cases)
        record = json.loads(b64decode(review.raw["entry"]))["payload"]
        self._line(f"The entry of one review, number {review.sequence_counter}, says among others:")
        for name in ("eventType", "subject", "actor", "decisionSurface", "commitment"):
            self._line(f"    {name:<16} {json.dumps(record[name])}")
        self._line(
            f"{case.decision.case_id} and the reviewer are pseudonyms there. Payloads are a commitment:"
        )
        self._line(
            "whoever may see them can check them, and they can be erased without harm to the log."
        )

    def _check_store(self) -> None:
        self._command("tlog verify", self._log)
        for line in tlog("verify", self._log, "--vkey", self._vkey).splitlines():
            self._line(line)

    def _check_proofs(self, proofs: list[Proof]) -> None:
        self._title("Every proof is checked, with the server stopped")
        started = time.monotonic()
        with progress_bar("checking proofs", least=1) as progress:
            for number, proof in enumerate(proofs, 1):
                verdicts = verify_file(orjson.dumps(proof.raw), self._vkey)
                if not verdicts.verified:
                    raise DemoError("\n".join([f"{proof} does not verify:", *verdicts.lines()]))
                progress(number, len(proofs))
        self._line(
            f"{len(proofs)} of {len(proofs)} proof packages verified against the vkey alone, "
            f"in {time.monotonic() - started:.1f} s."
        )

    def _leave_evidence(self, cases: list[Recorded], proofs: list[Proof]) -> None:
        case, review = _reviewed(cases)
        case.inference.save(self._home / "receipt.json")
        _save(self._home / "event.json", case.event)
        next(one for one in proofs if one["event_id"] == review.event_id).save(
            self._home / "proof.json"
        )
        (self._home / "vkey").write_text(self._vkey + "\n")
        for command in self._checks():
            self._command(*command)
            expanded = [self._vkey if part == "$VKEY" else part for part in command[1:]]
            answer = tlog(*expanded) if command[0] == "tlog" else run(*expanded)
            self._line(answer.splitlines()[0 if command[0] == "tlog" else -1])

    def _change_one_byte(self, cases: list[Recorded]) -> None:
        self._title("One byte is changed, behind the log's back")
        case, review = _reviewed(cases)
        sequence, copy = review.sequence_counter, self._home / "copy"
        old, new = (
            f'"human_decision":"{recorder.CODES[label]}"'.encode()
            for label in ("MALIGNANT", "BENIGN")
        )
        offset = copy_and_change(self._log, copy, STREAM, sequence, old, new) + len(old) - 2
        self._line(
            f"The store is copied. Entry {sequence} is the review of {case.decision.case_id}, in which a"
        )
        self._line(
            "human found C5, malignant. In the copy one byte makes it C2, benign: 5 becomes 2."
        )
        self._line(f"Byte {offset} of {copy / 'log' / 'data.mdb'}.")
        self._command("tlog verify", copy)
        answer = tlog("verify", copy, "--vkey", self._vkey, expect=1)
        for line in answer.splitlines():
            self._line(line)
        if f"{STREAM}: LIES, first at sequence {sequence}\n" not in answer:
            raise DemoError(f"the entry that was changed, {sequence}, was not named")
        self._line(
            f"Found: it lies at sequence {sequence}, which is the one that was changed.", "green"
        )

    def _repeat(self, cases: list[Recorded]) -> None:
        seconds = time.monotonic() - self._started
        events = 3 + sum(len(case.receipts) for case in cases)
        self._console.print(
            f"\n{events} events recorded, {events} proofs verified, the planted change found, "
            f"in {seconds:.0f} s.",
            style="bold green",
        )
        home = shlex.quote(str(self._home))
        self._console.print("\nA stranger repeats the check with these files and nothing else:")
        self._console.print(f'    VKEY="$(cat {home}/vkey)"')
        for command in self._checks():
            program = [_python()] if command[0] == "python" else _tlog()
            self._console.print("    " + _shell([*program, *command[1:]]))
        self._console.print(
            f'    grep -o \'"entry": "[^"]*"\' {home}/proof.json | cut -d\'"\' -f4 | base64 -d | sha256sum'
        )
        self._console.print(f"    grep block_hash {home}/proof.json    # the same digits")
        if self._kept:
            self._console.print("and the log and its changed copy are there too:")
            for name in ("log", "copy"):
                self._console.print("    " + _shell([*_tlog(), "verify", f"{self._home}/{name}"]))
        else:
            self._console.print(f"rm -r {home} when you are done; --keep keeps the log as well.")

    def _checks(self) -> list[list[str]]:
        home = str(self._home)
        checks = [["tlog", "proof", "verify", f"{home}/proof.json", "--vkey", "$VKEY"]]
        if (script := _CHECKOUT / INDEPENDENT).exists():
            where = script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script
            independent = ["python", str(where)]
            checks.append([*independent, f"{home}/proof.json", "--vkey", "$VKEY"])
            given = ["--vkey", "$VKEY", "--payload", f"{home}/event.json"]
            checks.append([*independent, f"{home}/receipt.json", *given])
        return checks

    # ---- printing ------------------------------------------------------------------------------

    def _title(self, text: str) -> None:
        self._console.print(f"\n{text}", style="bold cyan", markup=False)

    def _line(self, text: str, style: str | None = None) -> None:
        self._console.print(f"    {text}", style=style, markup=False)

    def _command(self, *parts: str | Path) -> None:
        self._console.print(
            f"  $ {_shell([str(part) for part in parts])}", markup=False, style="dim"
        )


def _reviewed(cases: list[Recorded]) -> tuple[Recorded, Receipt]:
    """A case from the middle, of which a human said that it is malignant."""
    found = [
        (case, case.review)
        for case in cases
        if case.review is not None and case.final == "MALIGNANT"
    ]
    return found[len(found) // 2]


def _save(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def _shell(parts: list[str]) -> str:
    words = [part if part.startswith("tlog ") else shlex.quote(part) for part in parts]
    return " ".join(words).replace("'$VKEY'", '"$VKEY"')


def _python() -> str:
    return _near(Path(sys.executable))


def _tlog() -> list[str]:
    script = Path(sys.executable).with_name("tlog")
    return [_near(script)] if script.exists() else [_python(), "-m", "tlog"]


def _near(path: Path) -> str:
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
