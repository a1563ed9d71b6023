"""Whether a verified receipt is for the event that this client submitted.

Source: design §4 (what the SDK checks before `ingest` returns), §2.4 (commitment).
In scope: every member that the client set, nothing that it did not, and the commitment rebuilt from its
own values. Out of scope: whether the entry is in the log (`tlog.core.receipt.verify_receipt`, first).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tlog.core.binding import decoded, demand, natural, read_entry, same
from tlog.core.commitment import MASTER_SALT_SIZE, verify_commitment
from tlog.core.entry import Entry
from tlog.core.wire import parse_hash_text
from tlog.events.splice import expected_members
from tlog.events.submission import Submission

# Members of RECORD that the log sets; `system` is in its own entries only.
LOG_MEMBERS = frozenset(
    "v id streamId chainPosition organisationId clockSkew agent commitment".split()
)
_PSEUDONYM = re.compile("(usr|sub)_[0-7][0-9A-HJKMNP-TV-Z]{25}")


def check_submission(
    receipt: Mapping[str, Any],
    sub: Submission,
    *,
    entry: Entry | None = None,
    stream_id: str | None = None,
) -> None:
    """Check that the receipt's entry records `sub`, and nothing else in its name.

    1. Every member that the client set is in the record, equal.  2. There is no other, but those of
    the log.  3. Persons stand there as pseudonyms, just when they were given.  4. The salt is the
    client's own, if it gave one.  5. The commitment is that of the client's values under this salt.

    `entry` is that of the verified receipt, if there already; `stream_id` the session's stream, for
    an event that named none.

    Raises:
        VerificationError: for every cause, a receipt without entry or salt included.
    """
    record = (read_entry(receipt) if entry is None else entry).record
    expected = expected_members(sub)
    if stream_id is not None:
        expected.setdefault("streamId", stream_id)
    shown = {name: value for name, value in record.items() if name in expected}
    if sub.actor_type == "USER":
        actor = dict(shown.get("actor", {}))
        demand(_is_pseudonym(actor.pop("id", None), "usr"))
        shown["actor"] = actor
    demand(same(shown, expected))  # 1
    demand(record.keys() - LOG_MEMBERS <= expected.keys() | {"subject"})  # 2
    demand(("subject" in record) == (sub.subject_id is not None))  # 3
    demand("subject" not in record or _is_pseudonym(record["subject"], "sub"))
    salt = decoded(receipt, "salt", MASTER_SALT_SIZE)
    demand(sub.salt in (None, salt))  # 4
    commitment = record["commitment"]
    root = parse_hash_text(commitment["root"])
    verify_commitment(sub.fields, salt, natural(commitment, "fields"), root)  # 5


def _is_pseudonym(value: object, kind: str) -> bool:
    match = _PSEUDONYM.fullmatch(value) if isinstance(value, str) else None
    return match is not None and match[1] == kind
