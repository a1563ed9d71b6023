"""A recorded event in Audital's schema: what its entry says, what its payload was, and whether both still hold."""

from __future__ import annotations

import hashlib
from typing import Any

from tlog.core.checkpoint import Checkpoint
from tlog.core.commitment import verify_commitment
from tlog.core.entry import Entry, parse_entry
from tlog.core.hashes import leaf_hash
from tlog.core.ids import event_id
from tlog.core.proofs import verify_inclusion
from tlog.core.wire import hash_text
from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError, VerificationError
from tlog.reader import Located
from tlog.served import Served

# Members of RECORD that are shown elsewhere or not at all.
_HIDDEN = frozenset({"v", "id", "streamId", "chainPosition", "commitment"})

Fields = list[tuple[str, Any]]


class Describer:
    """Describes the events of one answer; each stream's head is checked once."""

    def __init__(self, log: Served) -> None:
        self._log = log
        self._heads: dict[int, Checkpoint | None] = {}

    def describe(self, located: Located) -> dict[str, Any]:
        """The event as `answers.RecordedEvent`. `verified` is the outcome of checking it now.

        1. The entry is valid.  2. It is the leaf of its index in the stream's tree.  3. That tree's head is in the root
        log.  4. The stored payload opens and gives the committed root, or its key was destroyed.
        Of an entry that fails 1 only its place and its hash are shown.
        """
        raw = located.record.entry
        event: dict[str, Any] = {
            "streamId": self._log.source.rows[located.stream].stream_id,
            "chainPosition": located.index,
            "blockHash": hash_text(hashlib.sha256(raw).digest()),
        }
        try:
            entry = parse_entry(raw)  # 1
        except InvalidInput:
            ms = self._log.reader.commit_ms(located.position)
            event["id"] = event_id(ms, located.stream, located.index)
            return {**event, "verified": False, "payloadStatus": "withheld"}
        record = entry.record
        event["id"] = record["id"]
        event["previousHash"], event["timestamp"] = entry.previous_hash, entry.timestamp
        event.update({name: record[name] for name in record if name not in _HIDDEN})
        fields, intact = self._payload(located, entry)  # 4
        event["verified"] = self._included(located) and intact
        event["payloadStatus"] = "withheld" if fields is None else "present"
        if fields is not None:
            _disclose(event, fields)
        return event

    def _payload(self, located: Located, entry: Entry) -> tuple[Fields | None, bool]:
        """What was sealed, and whether nothing contradicts the commitment.

        No erasure is on record before the erasure commands write one: what is gone is withheld.
        """
        record = entry.record
        commitment = record["commitment"]
        root = bytes.fromhex(commitment["root"][7:])
        try:
            salt, fields = self._log.vault.unseal(
                located.record.sealed,
                tenant=record["organisationId"],
                stream_id=record["streamId"],
                root=root,
            )
        except Refused:
            return None, True
        except CorruptStore:
            return None, False
        try:
            verify_commitment(fields, salt, commitment["fields"], root)
        except VerificationError:
            return fields, False
        return fields, True

    def _included(self, located: Located) -> bool:
        number, index = located.stream, located.index
        try:
            head = self._head(number)  # 3
            proof = self._log.reader.inclusion(number, index, head.size)
            leaf = leaf_hash(located.record.entry)
            verify_inclusion(leaf, index, head.size, proof.hashes, head.root)  # 2
        except TlogError:
            return False
        return True

    def _head(self, number: int) -> Checkpoint:
        if number not in self._heads:
            self._heads[number] = None
            self._heads[number] = self._log.reader.stream_head(number)[0]
        head = self._heads[number]
        if head is None:
            raise CorruptStore("the stream's head is not in the root log")
        return head


def _disclose(event: dict[str, Any], fields: Fields) -> None:
    """Put the committed values where the submitter had them."""
    event["payload"] = {}
    for pointer, value in fields:
        section, _, name = pointer[1:].partition("/")
        name = name.replace("~1", "/").replace("~0", "~")
        if section == "subject":
            event["subjectId"] = value
        else:
            event[section] = {**event.get(section, {}), name: value}
