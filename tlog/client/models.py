"""What the SDK hands out: classes of events, receipts, results, proofs. Anchors are in `anchor`.

Attribute names are those of SYEN's guide; `raw` is always the log's JSON, for everything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import orjson

from tlog.client.errors import BadAnswer
from tlog.client.pins import write_durably
from tlog.core.hashes import Hash, node_hash
from tlog.core.merkle import Node, subtree_nodes
from tlog.core.note import Verifier
from tlog.core.policy import parse_policy
from tlog.core.proofs import inclusion_proof
from tlog.core.wire import b64decode, b64encode
from tlog.verdicts import Verdicts, verify_document

T = TypeVar("T")


class EventClass(str, Enum):
    """The eleven classes of events."""

    EXECUTION = "EXECUTION"  # AI tool calls, model inference, human approvals
    OUTCOME = "OUTCOME"  # final decisions: approved, blocked, escalated
    ACCESS = "ACCESS"  # session grants, privilege escalation
    DATA = "DATA"  # query execution, dataset snapshots
    INTENT = "INTENT"  # policy definitions, rule updates
    ANALYSIS = "ANALYSIS"  # derived findings, drift detection
    DETECTION = "DETECTION"  # security incident detection
    RESPONSE = "RESPONSE"  # actions taken during incidents
    CONTAINMENT = "CONTAINMENT"  # containment actions
    ERADICATION = "ERADICATION"  # threat removal confirmation
    RECOVERY = "RECOVERY"  # system recovery confirmation


class BatchProof:
    """The proof that the events of one stream in one batch share, from which each one's own is made."""

    def __init__(self, head: Mapping[str, Any], proof: Mapping[str, Any]) -> None:
        """`head` and `proof` are the verified members of `heads` and `ranges`, design §2.6."""
        self.root: dict[str, Any] = head["root"]
        self._origin: str = head["origin"]
        self._size: int = proof["tree_size"]
        self._first: int = proof["first"]
        self._last: int = proof["last"]
        self._sides = proof["left"], proof["right"]
        self._nodes: dict[Node, Hash] = {}
        self.leaves: list[str] = []  # base64, of first to last

    def inclusion(self, index: int) -> dict[str, Any]:
        """The `inclusion` member of a receipt for leaf `index` of the batch."""
        if not self._nodes:
            left, right = self._sides
            for nodes, hashes in (
                (subtree_nodes(0, self._first), left),
                (subtree_nodes(self._last + 1, self._size), right),
                ([(0, leaf) for leaf in range(self._first, self._last + 1)], self.leaves),
            ):
                self._nodes.update(zip(nodes, map(b64decode, hashes), strict=True))
        path = inclusion_proof(index, self._size, self)
        return {
            "origin": self._origin,
            "leaf_index": index,
            "tree_size": self._size,
            "hashes": [b64encode(node) for node in path],
        }

    def read_nodes(self, nodes: Sequence[Node]) -> list[Hash]:
        """The hashes of nodes beside the path of a leaf of the batch: `NodeReader`."""
        return [self._node(node) for node in nodes]

    def _node(self, node: Node) -> Hash:
        # A node beside the path either lies within [0, first) or [last + 1, size) and is one of their maximal
        # subtrees, since its parent does not; or it holds leaves of the batch, and so do its parts.
        known = self._nodes.get(node)
        if known is None:
            level, index = node
            if level == 0:
                raise LookupError(f"leaf {index} is not of this batch")
            left, right = self._node((level - 1, 2 * index)), self._node((level - 1, 2 * index + 1))
            known = self._nodes[node] = node_hash(left, right)
        return known


class Receipt:
    """Proof that an event was recorded. It was verified before it was handed out.

    `log_key_pinned` is True when the log's key was configured, so that not even the first contact could be with
    an impostor; False means trust on first use: the key was taken from the log itself and pinned then.
    """

    __slots__ = ("_batch", "_document", "log_key_pinned")

    def __init__(
        self, document: dict[str, Any], *, log_key_pinned: bool, batch: BatchProof | None = None
    ) -> None:
        """`document` is a verified receipt; `batch` holds its proofs when it has none of its own."""
        self._document = document
        self._batch = batch
        self.log_key_pinned = log_key_pinned

    @property
    def event_id(self) -> str:
        """`evt_` and 26 characters; it says where the event is."""
        return self._document["event_id"]  # type: ignore[no-any-return]

    @property
    def sequence_counter(self) -> int:
        """Leaf index in the stream: the first event is 1, the stream's genesis is 0."""
        return self._document["sequence_counter"]  # type: ignore[no-any-return]

    @property
    def stream_id(self) -> str:
        """`tenant:environment:name`."""
        return self._document["stream_id"]  # type: ignore[no-any-return]

    @property
    def timestamp(self) -> str:
        """The log's time of the entry, UTC with milliseconds."""
        return self._document["timestamp"]  # type: ignore[no-any-return]

    @property
    def block_hash(self) -> str:
        """SHA-256 of the entry's bytes as `sha256:` and hex; the next entry names it."""
        return self._document["block_hash"]  # type: ignore[no-any-return]

    @property
    def previous_hash(self) -> str:
        """`block_hash` of the entry before."""
        return self._document["previous_hash"]  # type: ignore[no-any-return]

    @property
    def leaf_hash(self) -> str:
        """RFC 6962 leaf hash of the entry's bytes, base64."""
        return self._document["leaf_hash"]  # type: ignore[no-any-return]

    @property
    def velocity_flag_triggered(self) -> bool:
        """Whether the signoff came under the threshold of its complexity tier."""
        return self._document["velocity_flag_triggered"]  # type: ignore[no-any-return]

    @property
    def replayed(self) -> bool:
        """Whether an earlier request had recorded it, whose answer was lost."""
        return self._document["replayed"]  # type: ignore[no-any-return]

    @property
    def inclusion(self) -> dict[str, Any]:
        """`{origin, leaf_index, tree_size, hashes}`: the entry in the tree of its stream."""
        if self._batch is not None:
            return self._batch.inclusion(self.sequence_counter)
        return self._document["inclusion"]  # type: ignore[no-any-return]

    @property
    def root(self) -> dict[str, Any]:
        """`{leaf_index, tree_size, hashes, checkpoint}`: the stream's head in the signed root log."""
        if self._batch is not None:
            return self._batch.root
        return self._document["root"]  # type: ignore[no-any-return]

    @property
    def raw(self) -> dict[str, Any]:
        """The receipt as JSON, complete: whoever has it and the log's vkey can verify it."""
        if self._batch is None:
            return self._document
        return {**self._document, "inclusion": self.inclusion, "root": self.root}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the receipt to a file, durably. `tlog proof verify` checks it offline."""
        save_json(path, self.raw)

    def __repr__(self) -> str:
        return f"<Receipt {self.event_id} sequence {self.sequence_counter} of {self.stream_id}>"


class Failure(msgspec.Struct, frozen=True):
    """One lie that the log found in its own store."""

    sequence: int
    check: str
    detail: str = ""


class VerifyResult(msgspec.Struct, frozen=True):
    """What the log says after re-deriving a stream from its stored bytes.

    It is the operator who says it. `tlog verify URL` checks the head that is reported; a receipt or proof needs nobody.
    """

    verified: bool
    checked_count: int
    tree_size: int
    root_hash: str | None = None
    first_failure_sequence: int | None = None
    failures: tuple[Failure, ...] = ()


class Document(Mapping[str, Any]):
    """A JSON object of the log, read like a dict."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = raw

    def __getitem__(self, name: str) -> Any:
        return self.raw[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, durably."""
        save_json(path, self.raw)


class Event(Document):
    """A recorded event in Audital's schema, with `payloadStatus` and `verified`."""

    def __repr__(self) -> str:
        return f"<Event {self.raw.get('id')}>"


class Proof(Document):
    """A proof package: everything that a verifier needs beside its own configuration, and no payload."""

    def __init__(self, raw: dict[str, Any], log: Verifier) -> None:
        """`log` is the key the client knows the log by, and `verify` uses."""
        super().__init__(raw)
        self._log = log

    def verify(self, policy: str | bytes | None = None) -> Verdicts:
        """Judge the package offline: integrity, position, witnessed, time.

        `policy` is the text of a C2SP tlog-policy; without one nothing can be witnessed.
        """
        text = policy.encode() if isinstance(policy, str) else policy
        return verify_document(self.raw, self._log, None if text is None else parse_policy(text))

    def __repr__(self) -> str:
        return f"<Proof of {self.raw.get('event_id')}>"


def convert(document: dict[str, Any], kind: type[T]) -> T:
    """A result from the log's JSON; members that it does not know are passed over. Raises BadAnswer."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise BadAnswer(f"the answer is not a {kind.__name__}: {error}") from None


def save_json(path: str | os.PathLike[str], value: object) -> None:
    """Write indented JSON to `path`, whole or not at all."""
    write_durably(Path(path), orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n")
