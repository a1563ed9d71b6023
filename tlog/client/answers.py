"""From the log's answer to receipts that prove what was asked for. Pure.

Source: design §4. In scope: an answer proves that its entries are in the signed log (`tlog.core.receipt`), and each
is the event that was sent (`tlog.client.receipts`), recorded for who sent it.
Out of scope: keeping heads (`heads`), evidence (`client`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from tlog.client.models import BatchProof, Receipt
from tlog.client.outgoing import Outgoing
from tlog.client.receipts import check_submission
from tlog.client.session import Identity
from tlog.core.binding import member
from tlog.core.checkpoint import Checkpoint
from tlog.core.note import Verifier
from tlog.core.receipt import VerifiedReceipt, verify_batch, verify_receipt
from tlog.errors import VerificationError


class Opened(NamedTuple):
    """One result per event, in order: None where the entry is not the event that was sent.

    `heads` are the root heads that were verified on the way, with their notes.
    """

    receipts: list[Receipt | None]
    heads: list[tuple[Checkpoint, bytes]]


def open_answer(
    body: bytes, events: list[Outgoing], log: Verifier, identity: Identity, *, pinned: bool
) -> Opened:
    """Verify the answer to a request of `events`: a receipt for one alone, a batch answer for several.

    Raises:
        VerificationError: the answer as a whole proves nothing.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise VerificationError from None
    if not isinstance(document, dict):
        raise VerificationError
    if len(events) == 1:
        documents = [document]
        verified = [verify_receipt(document, log)]
        proofs: dict[str, BatchProof] = {}
    else:
        verified = verify_batch(document, log)
        documents = document["receipts"]
        heads, ranges = document["heads"], document["ranges"]
        proofs = {stream: BatchProof(heads[stream], ranges[stream]) for stream in ranges}
    if len(verified) != len(events):
        raise VerificationError
    receipts: list[Receipt | None] = []
    for event, shown, proven in zip(events, documents, verified, strict=True):
        proof = None if member(shown, "replayed", bool) else proofs.get(shown["stream_id"])
        if proof is not None:
            proof.leaves.append(shown["leaf_hash"])
        try:
            check_own(event, shown, proven, identity)
        except VerificationError:
            receipts.append(None)
        else:
            receipts.append(Receipt(shown, log_key_pinned=pinned, batch=proof))
    roots = {proven.note.data: (proven.root, proven.note.data) for proven in verified}
    return Opened(receipts, list(roots.values()))


def check_own(
    event: Outgoing, shown: dict[str, Any], proven: VerifiedReceipt, identity: Identity
) -> None:
    """Check that a verified entry is `event`, in every member that was set, for the attested tenant and agent.

    The session is not compared: a first request may have been recorded under an earlier one.

    Raises: VerificationError.
    """
    check_submission(shown, event.submission, entry=proven.entry)
    record = proven.entry.record
    agent = record.get("agent", {})
    if (
        record["organisationId"] != identity.tenant_id
        or agent.get("id") != identity.agent_id
        or agent.get("codeHash") != identity.code_hash
    ):
        raise VerificationError
