"""Chapter 2: an AI system that decides about people, and the record of it, event by event over the SDK."""

from __future__ import annotations

import json
import time
from pathlib import Path

from tlog.cli.demo import classifier, recorder
from tlog.cli.demo.classifier import CONFIDENT, Trained, train
from tlog.cli.demo.opening import AGENT, STREAM, TENANT
from tlog.cli.demo.processes import DemoError
from tlog.cli.demo.recorder import Recorded
from tlog.cli.demo.stage import Stage
from tlog.cli.verify import progress_bar
from tlog.client import AuditClient, Proof, Receipt, code_hash
from tlog.core.wire import b64decode


def make_client(stage: Stage, url: str, state: Path) -> AuditClient:
    """The SDK, as the clinic uses it; what it remembers of the log is in `state`."""
    return AuditClient(
        base_url=url,
        tenant_id=TENANT,
        agent_id=AGENT,
        agent_code_hash=code_hash(classifier.__file__),
        api_key=stage.names["$KEY"],
        vkey=stage.names["$VKEY"],
        state_dir=state,
    )


def train_one(stage: Stage) -> Trained:
    """A real classifier on real cases."""
    stage.title("An AI system that decides about people")
    trained = train()
    stage.line(f"Logistic regression, trained on {trained.training_cases} breast-cancer cases.")
    stage.line(f"It decides {len(trained)} others, and is right in {trained.accuracy:.1%} of them.")
    stage.line(f"Where it is less than {CONFIDENT:.0%} sure, a human decides (simulated here).")
    return trained


async def record(stage: Stage, url: str, trained: Trained) -> tuple[list[Recorded], list[Proof]]:
    """Every decision, review and outcome; then the proof of each, under a root that the witnesses cosigned."""
    async with make_client(stage, url, stage.home / "state") as client:
        stage.title("Every decision is recorded, over HTTP")
        started = time.monotonic()
        receipts = await recorder.record_model(client, trained)
        decisions = list(trained.decisions())
        with progress_bar("recording cases", least=1) as progress:
            cases = await recorder.record_cases(client, decisions, progress)
        receipts += [receipt for case in cases for receipt in case.receipts]
        _tell_recorded(stage, cases, len(receipts), time.monotonic() - started)
        stage.title("The stream is verified")
        said = await client.verify(STREAM)
        if not said.verified or said.checked_count != len(receipts) + 1:
            raise DemoError(f"the server says of the stream: {said}")
        stage.line(
            f"GET /api/v1/verify: the server re-derived {said.checked_count} entries "
            f"({len(receipts)} events and the one that opened the stream), no lie."
        )
        with progress_bar("fetching proofs", least=1) as progress:
            proofs = await recorder.fetch_proofs(client, receipts, progress)
    stage.line(f"{len(proofs)} proofs fetched, each under a head that both witnesses cosigned.")
    return cases, proofs


def _tell_recorded(stage: Stage, cases: list[Recorded], count: int, seconds: float) -> None:
    reviews = [case.review for case in cases if case.review is not None]
    flagged = sum(review.velocity_flag_triggered for review in reviews)
    stage.line(
        f"{count} events in {seconds:.1f} s: 3 about the model, {len(cases)} inferences, "
        f"{len(reviews)} human reviews, {len(cases)} outcomes."
    )
    stage.line("The SDK checked each receipt before it returned: this event, in the log, signed.")
    stage.line(
        f"{flagged} reviews were signed off within 10 s. The log took them, and flagged them."
    )
    case, review = reviewed(cases)
    entry = json.loads(b64decode(review.raw["entry"]))["payload"]
    stage.line(f"The entry of one review, number {review.sequence_counter}, says among others:")
    for name in ("eventType", "subject", "actor", "decisionSurface", "commitment"):
        stage.line(f"    {name:<16} {json.dumps(entry[name])}")
    stage.line(
        f"{case.decision.case_id} and the reviewer are pseudonyms there. Payloads are a commitment:"
    )
    stage.line(
        "whoever may see them can check them, and they can be erased without harm to the log."
    )


def reviewed(cases: list[Recorded]) -> tuple[Recorded, Receipt]:
    """A case from the middle, of which a human said that it is malignant."""
    found = [
        (case, case.review)
        for case in cases
        if case.review is not None and case.final == "MALIGNANT"
    ]
    return found[len(found) // 2]
