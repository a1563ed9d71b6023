"""From the log's answer to receipts that prove what was asked for. Pure.

Source: design §4. In scope: an answer proves that its entries are in the signed log (`tlog.core.receipt`), and each
is the event that was sent (`tlog.client.receipts`), recorded for who sent it.
Out of scope: keeping heads (`heads`), evidence (`client`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from tlog.client.models import BatchProof, Receipt
from tlog.client.outgoing import Outgoing
from tlog.client.rebuild import Rebuilder
from tlog.client.receipts import check_submission
from tlog.client.session import Identity, Session
from tlog.core.binding import member
from tlog.core.checkpoint import Checkpoint
from tlog.core.entry import Entry
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
    body: bytes,
    events: list[Outgoing],
    log: Verifier,
    identity: Identity,
    session: Session,
    *,
    pinned: bool,
) -> Opened:
    """Verify the answer to a request of `events`: a receipt for one alone, a batch answer for several.

    `session` is the one it was sent in; a replayed event may have been recorded in an earlier one.

    Raises:
        VerificationError: the answer as a whole proves nothing.
    """
    document = _object(body)
    rebuilt: set[int] = set()
    proofs: dict[str, BatchProof] = {}
    if len(events) == 1:
        documents = [document]
        verified = [verify_receipt(document, log)]
    else:
        rebuilder = Rebuilder(identity, session)

        def known(number: int, shown: Mapping[str, Any]) -> Entry | None:
            entry = rebuilder.entry(events[number], shown) if number < len(events) else None
            if entry is not None:
                rebuilt.add(number)
            return entry

        verified = verify_batch(document, log, known)
        documents = document["receipts"]
        for stream, proof in document["ranges"].items():
            proofs[stream] = BatchProof(document["heads"][stream], proof)
    if len(verified) != len(events):
        raise VerificationError
    receipts: list[Receipt | None] = []
    for number, (shown, proven) in enumerate(zip(documents, verified, strict=True)):
        batch = None if member(shown, "replayed", bool) else proofs.get(shown["stream_id"])
        if batch is not None:
            batch.leaves.append(shown["leaf_hash"])
        if number in rebuilt or is_own(events[number], shown, proven, identity):
            receipts.append(Receipt(shown, log_key_pinned=pinned, batch=batch))
        else:
            receipts.append(None)
    roots = {proven.note.data: (proven.root, proven.note.data) for proven in verified}
    return Opened(receipts, list(roots.values()))


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise VerificationError from None
    if not isinstance(document, dict):
        raise VerificationError
    return document


def is_own(
    event: Outgoing, shown: dict[str, Any], proven: VerifiedReceipt, identity: Identity
) -> bool:
    """Whether a verified entry is `event`, in every member that was set, for the attested tenant and agent.

    The session is not compared: a first request may have been recorded under an earlier one.
    """
    try:
        check_submission(shown, event.submission, entry=proven.entry)
    except VerificationError:
        return False
    record = proven.entry.record
    agent = record.get("agent", {})
    shown_for = record["organisationId"], agent.get("id"), agent.get("codeHash")
    return shown_for == (identity.tenant_id, identity.agent_id, identity.code_hash)
