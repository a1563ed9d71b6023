"""The offline judge: everything re-derived from stored bytes, the first lie named by its sequence.

For every leaf of a stream:
 1. the journal holds the record of this stream and index where the index says;
 2. the entry is valid: canonical, three members, RECORD of its schema (design section 2.2);
 3. its place agrees: streamId, chainPosition, the number in the id, time not before its predecessor's;
 4. previousHash is the hash of the entry before it (zeros for the genesis);
 5. producers count 1, 2, 3 … without a gap;
 6. full tiles hold the hashes that the entries give, at every level;
 7. the payload opens and gives the committed root, or its key was destroyed (only where a vault is at hand).
Then for the tree: 8. the newest head in the root log is the root of these entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

from tlog.bundles import Before, Prover
from tlog.core.commitment import verify_commitment
from tlog.core.entry import Entry, parse_entry
from tlog.core.hashes import Hash
from tlog.core.ids import parse_event_id
from tlog.errors import CorruptStore, InvalidInput, Refused, TlogError, VerificationError
from tlog.fsck_tree import Tree
from tlog.reader import Located, Reader
from tlog.sequencer.streams import StreamView
from tlog.store import layout
from tlog.vault import Sealer

MAX_FAILURES = 100
_BUNDLE = layout.TILE_WIDTH
GENESIS_LINK = "sha256:" + "0" * 64

Progress = Callable[[int, int], None]


class Failure(NamedTuple):
    """One lie. `check` is the name of the rule that is broken, `detail` a sentence."""

    sequence: int
    check: str
    detail: str


class Report(NamedTuple):
    """The verdict on one stream. `withheld` counts payloads that are missing without an erasure on record."""

    verified: bool
    checked_count: int
    first_failure_sequence: int | None
    failures: list[Failure]
    tree_size: int
    root_hash: Hash
    withheld: int = 0


class _Stream:
    """The running check of one stream, leaf by leaf."""

    def __init__(self, reader: Reader, number: int, vault: Sealer | None, *, whole: bool) -> None:
        self.reader = reader
        self.number = number
        self.vault = vault
        self.whole = whole  # from the genesis on, so that producers can be counted
        row = reader.source.rows[number]
        self.view = reader.source.view(number)
        self.stream_id = row.stream_id
        self.tenant = row.stream_id.partition(":")[0]
        self.failures: list[Failure] = []
        self.producers: dict[str, int] = {}
        self.time = ""
        self.withheld = 0
        # Links are judged two at a time: see `blame`.
        self.broken: list[int] = []
        self._prover = Prover(reader.source.store, number, row.stream_id, vault)

    def fail(self, sequence: int, check: str, detail: str) -> None:
        if len(self.failures) < MAX_FAILURES:
            self.failures.append(Failure(sequence, check, detail))

    def bundle(self, start: int, end: int, previous: str) -> tuple[list[Hash], str]:
        """Steps 1 to 5 and 7 of leaves [start, end): their hashes, and the block hash of the last. Raises: CorruptStore."""
        before = Before(previous[7:].encode(), self.time, self.producers if self.whole else None)
        proven = self._prover.prove(start, end, self.view, before)
        if proven is None:
            return self._entry_by_entry(self.reader.entries(self.number, start, end), previous)
        self.time = proven.time
        self.producers.update(proven.producers)
        self.withheld += proven.withheld
        return proven.leaves, "sha256:" + proven.block.decode()

    def _entry_by_entry(self, bundle: list[Located], previous: str) -> tuple[list[Hash], str]:
        """The slow and exact way: it finds what is wrong, and where."""
        for located in bundle:
            if (located.record.stream, located.record.index) != (self.number, located.index):
                self.fail(located.index, "store", "the index leads to a record of another place")
            self.content(located)
        entries = [located.record.entry for located in bundle]
        leaves, broken, last = chain_and_leaves(entries, previous)
        self.broken.extend(bundle[0].index + offset - 1 for offset in broken)
        return leaves, last

    def content(self, located: Located) -> None:
        """Steps 2, 3, 5 and 7."""
        try:
            entry = parse_entry(located.record.entry)
        except InvalidInput as error:
            self.fail(located.index, "entry", error.detail)
            return
        self.place(located, entry)
        producer = entry.record.get("producer")
        if producer is not None and self.whole:
            self.producer(located.index, producer["id"], producer["sequence"])
        if self.vault is not None:
            self.payload(located, entry, self.vault)

    def place(self, located: Located, entry: Entry) -> None:
        record = entry.record
        identity = parse_event_id(record["id"])
        if record["streamId"] != self.stream_id or identity.stream_number != self.number:
            self.fail(located.index, "stream", "the entry belongs to another stream")
        if record["chainPosition"] != located.index:
            self.fail(located.index, "position", "the entry belongs to another position")
        if entry.timestamp < self.time:
            self.fail(located.index, "time", "the entry is older than the one before it")
        self.time = entry.timestamp

    def producer(self, sequence: int, producer_id: str, number: int) -> None:
        expected = self.producers.get(producer_id, 0) + 1
        if number != expected:
            self.fail(
                sequence, "producer", f"{producer_id} sent {number} where {expected} must follow"
            )
        self.producers[producer_id] = number

    def payload(self, located: Located, entry: Entry, vault: Sealer) -> None:
        commitment = entry.record["commitment"]
        root = bytes.fromhex(commitment["root"][7:])
        try:
            salt, fields = vault.unseal(
                located.record.sealed, tenant=self.tenant, stream_id=self.stream_id, root=root
            )
            verify_commitment(fields, salt, commitment["fields"], root)
        except Refused:
            self.withheld += 1
        except (CorruptStore, VerificationError):
            self.fail(
                located.index, "payload", "the stored payload is not what the entry commits to"
            )

    def blame(self) -> None:
        """Name the entries behind broken links.

        A link (i, i+1) breaks when entry i changed, or when the previousHash inside entry i+1 did; the latter
        also breaks (i+1, i+2). So two broken links in a row accuse the entry between them, a single one the first.
        (The last entry has no successor to tell the two cases apart: the one before it is accused.)
        """
        at = 0
        while at < len(self.broken):
            link = self.broken[at]
            pair = at + 1 < len(self.broken) and self.broken[at + 1] == link + 1
            accused = link + 1 if pair or link < 0 else link
            self.fail(accused, "chain", "its hash is not the previousHash of the entry after it")
            at += 2 if pair else 1


def verify_stream(
    reader: Reader,
    stream_id: str,
    start: int = 0,
    end: int | None = None,
    *,
    vault: Sealer | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check leaves [start, end) of a stream, and its head where `end` reaches it.

    Raises: Refused (not-found), InvalidInput (range). A lie found is in the report, not an exception.
    """
    number = reader.number(stream_id)
    view = reader.source.view(number)
    end = view.size if end is None else end
    if not 0 <= start <= end <= view.size:
        raise InvalidInput("range", f"0 <= from_sequence <= to_sequence < {view.size} is required")
    check = _Stream(reader, number, vault, whole=start == 0)
    # Only from the beginning: a partial check leaves the tree to proofs.
    tree = Tree(reader.source.store, number) if start == 0 else None
    previous = GENESIS_LINK if start == 0 else _link_of(reader, number, start)
    at = start
    while at < end:
        bundle_end = min(end, (at // _BUNDLE + 1) * _BUNDLE)
        try:
            leaves, previous = check.bundle(at, bundle_end, previous)
        except CorruptStore as error:
            check.fail(at, "store", error.detail)
            break
        if tree is not None:
            for wrong in tree.grow(leaves):
                check.fail(at + wrong.offset, "tile", wrong.detail)
        at = bundle_end
        if progress is not None:
            progress(at - start, end - start)
    check.blame()
    if at == view.size:
        _check_head(check, tree, view)
    check.failures.sort()
    failures = check.failures
    first = failures[0].sequence if failures else None
    return Report(not failures, at - start, first, failures, view.size, view.root, check.withheld)


def chain_and_leaves(entries: list[bytes], previous: str) -> tuple[list[Hash], list[int], str]:
    """Leaf hashes, offsets whose link to their predecessor is broken, and the hash of the last entry.

    previousHash stands at a fixed
    distance from the end of a canonical entry, which step 2 checks.
    """
    sha256 = hashlib.sha256
    leaves = []
    broken = []
    for offset, entry in enumerate(entries):
        if entry[-112:-41] != previous.encode():
            broken.append(offset)
        previous = "sha256:" + sha256(entry).hexdigest()
        leaves.append(sha256(b"\x00" + entry).digest())
    return leaves, broken, previous


def _check_head(check: _Stream, tree: Tree | None, view: StreamView) -> None:
    """Step 8. With every link whole and every tile right, only the last entry can be the one that changed."""
    if tree is not None and tree.root() != view.root:
        check.fail(view.size - 1, "tree", "the entries do not give the root in the stream's head")
    try:
        check.reader.stream_head(check.number)
    except (CorruptStore, TlogError) as error:
        check.fail(view.size - 1, "head", error.detail)


def _link_of(reader: Reader, number: int, start: int) -> str:
    before = reader.leaf(number, start - 1).record.entry
    return "sha256:" + hashlib.sha256(before).hexdigest()
