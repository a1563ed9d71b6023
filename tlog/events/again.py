"""Whether an entry says what a submission says: how a retry is told from another event under the same key.

Source: design §3 (exactly once). An entry holds all of its event already: some members as they are, of the others a
commitment. So nothing need be kept for a comparison, and a retry alone pays for it.
In scope: which members of RECORD a retry repeats. Out of scope: opening what was sealed (`tlog.prepare`).
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.json import decode

from tlog.core.canonical import canonical
from tlog.core.commitment import Commitment
from tlog.core.wire import parse_hash_text
from tlog.events.splice import Segments, splice

# Of the place, the session or the salt: a retry has others.
_OF_THE_LOG = frozenset(("agent", "chainPosition", "clockSkew", "commitment", "id"))


class Said(NamedTuple):
    """What an entry holds of its event: RFC 8785 of the members that it shows, and the commitment to all others."""

    shown: bytes
    commitment: Commitment


def said(entry: bytes) -> Said:
    """What a recorded entry, or one that has no place yet (`unplaced`), holds of its event."""
    record = decode(entry)["payload"]
    shown = {name: member for name, member in record.items() if name not in _OF_THE_LOG}
    commitment = record["commitment"]
    return Said(
        canonical(shown), Commitment(commitment["fields"], parse_hash_text(commitment["root"]))
    )


def unplaced(segments: Segments) -> bytes:
    """The entry of `segments` at no place: for `said` only."""
    return splice(
        segments, position=0, clock_skew=False, event_id="", previous_hash="", timestamp=""
    )
