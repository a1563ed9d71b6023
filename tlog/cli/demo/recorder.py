"""What the demo records through the SDK, event by event: the model, inferences, human reviews, outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import cycle
from typing import Any

import orjson

from tlog.cli.demo.classifier import CONFIDENT, VERSION, Decision, Trained, sha256
from tlog.client import AuditClient, EventClass, Proof, Receipt

# Cytology reports in categories; C2 is benign and C5 malignant.
CODES = {"BENIGN": "C2", "MALIGNANT": "C5"}
TIER = 3  # high-risk: signing off within 10 s raises the velocity flag
REVIEWERS = ("dr.okafor@clinic.example", "dr.lindqvist@clinic.example", "dr.haddad@clinic.example")
# Seconds that the simulated reviewers look at a case. In a hurry, they agree with the model.
_LOOKS = (34.0, 21.5, 3.1, 48.2, 15.7, 27.9, 1.4, 61.0)
_HURRY = 10.0
_AT_ONCE = 32
_MODEL = "mdl_breast_screening"

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Recorded:
    """One case in the log: its events as they were sent, and their receipts."""

    decision: Decision
    inference: Receipt
    event: dict[str, Any]
    review: Receipt | None
    outcome: Receipt
    final: str

    @property
    def receipts(self) -> list[Receipt]:
        """All receipts of the case."""
        return [one for one in (self.inference, self.review, self.outcome) if one is not None]


async def record_model(client: AuditClient, trained: Trained) -> list[Receipt]:
    """The life of the model before its first decision."""
    facts = {"modelHash": trained.model_hash, "trainingDataHash": trained.data_hash}
    context = {"model_version": VERSION}
    receipts = []
    for kind, payload in (
        ("MODEL_REGISTERED", {**facts, "kind": "logistic regression", "inputs": 30}),
        ("TRAINING_COMPLETED", {**facts, "cases": trained.training_cases}),
        ("DEPLOYMENT", {**facts, "sendsToHumanBelow": CONFIDENT}),
    ):
        receipt = await client.ingest(
            event_type=kind, payload=payload, model_id=_MODEL, context=context
        )
        receipts.append(receipt)
    return receipts


async def record_cases(
    client: AuditClient, decisions: Sequence[Decision], progress: OnProgress
) -> list[Recorded]:
    """Record all cases at once, as many clinics would; the SDK sends what waits together."""
    looks, reviewers = cycle(_LOOKS), cycle(REVIEWERS)
    done = 0

    async def one(decision: Decision, look: float, reviewer: str) -> Recorded:
        nonlocal done
        recorded = await _record_case(client, decision, look, reviewer)
        done += 1
        progress(done, len(decisions))
        return recorded

    tasks = []
    for decision in decisions:
        unsure = decision.confidence < CONFIDENT
        look, reviewer = (next(looks), next(reviewers)) if unsure else (0.0, "")
        tasks.append(one(decision, look, reviewer))
    return await asyncio.gather(*tasks)


async def fetch_proofs(
    client: AuditClient, receipts: Sequence[Receipt], progress: OnProgress
) -> list[Proof]:
    """The proof package of every event, each under a published root that the quorum cosigned."""
    limit = asyncio.Semaphore(_AT_ONCE)
    done = 0

    async def one(receipt: Receipt) -> Proof:
        nonlocal done
        async with limit:
            proof = await client.get_proof(receipt.event_id, wait="witnessed")
        done += 1
        progress(done, len(receipts))
        return proof

    return await asyncio.gather(*[one(receipt) for receipt in receipts])


async def _record_case(
    client: AuditClient, decision: Decision, look: float, reviewer: str
) -> Recorded:
    event = inference(decision)
    made = await client.ingest(**event)
    review, final = None, decision.label
    if reviewer:
        final = decision.label if look < _HURRY else decision.truth
        review = await client.ingest(**_review(decision, made, final, look, reviewer))
    outcome = await client.ingest(
        event_class=EventClass.OUTCOME,
        event_type="diagnosis.confirmed",
        payload={
            "inference": made.event_id,
            "decision": final,
            "truth": decision.truth,
            "correct": final == decision.truth,
        },
        model_id=_MODEL,
        subject_id=decision.case_id,
    )
    return Recorded(decision, made, event, review, outcome, final)


def inference(decision: Decision) -> dict[str, Any]:
    """The event of one inference, as it is given to the SDK and could be posted."""
    return {
        "event_type": "INFERENCE",
        "payload": {
            "inputHash": decision.input_hash,
            "decision": decision.label,
            "confidence": decision.confidence,
            "contributions": decision.contributions,
            "latencyMs": decision.latency_ms,
        },
        "model_id": _MODEL,
        "subject_id": decision.case_id,
        "actor": {"type": "SERVICE", "id": "svc_screening"},
        "context": {
            "model_version": VERSION,
            "compliance_gate_result": "HUMAN" if decision.confidence < CONFIDENT else "AUTOMATIC",
        },
    }


def _review(
    decision: Decision, made: Receipt, final: str, look: float, reviewer: str
) -> dict[str, Any]:
    signed = datetime.now(timezone.utc)
    shown = signed - timedelta(seconds=look)
    return {
        "event_type": "HUMAN_REVIEW",
        "payload": {"inference": made.event_id, "agreesWithModel": final == decision.label},
        "decision_surface": {
            "explainability_artifact_hash": sha256(orjson.dumps(decision.contributions)),
            "human_decision": CODES[final],
            "presentation_timestamp": shown.isoformat(),
            "signoff_timestamp": signed.isoformat(),
            "decision_complexity_tier": TIER,
        },
        "model_id": _MODEL,
        "subject_id": decision.case_id,
        "actor": {"type": "USER", "id": reviewer},
        "tags": ["second-look"],
    }
