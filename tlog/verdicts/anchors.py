"""RFC 3161 timestamps in a proof package: does each cover the head, and does an authority that is believed say when?

Source: design §2.6. An anchor whose path does not lead to the head is a lie. A timestamp that does not verify may be of an
authority that this verifier does not believe, so it counts for nothing; when all do, the proof of time fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tlog.core import binding
from tlog.core.binding import decoded, demand, member
from tlog.core.checkpoint import Checkpoint
from tlog.errors import InvalidInput, VerificationError
from tlog.verdicts.model import Trust

MAX_ANCHORS = 64


class Proven(NamedTuple):
    """That the entry existed at `ms` (Unix milliseconds), and who says so."""

    ms: int
    by: str


class Anchored(NamedTuple):
    """What the anchors of a file show. `broken`: why the time fails, or ""; `remark`: what else is to be said, or ""."""

    proven: tuple[Proven, ...] = ()
    broken: str = ""
    remark: str = ""


def judge_anchors(document: Mapping[str, Any], head: Checkpoint, trust: Trust) -> Anchored:
    """Check the `anchors` of a package whose entry leads to `head`."""
    anchors = document.get("anchors")
    if not isinstance(anchors, list) or not anchors:
        return Anchored()
    if trust.tsa_roots is None:
        return Anchored(
            remark=f" {len(anchors)} RFC 3161 timestamp(s) in the file were not checked."
        )
    if len(anchors) > MAX_ANCHORS:
        return Anchored(broken=f"The file has more than {MAX_ANCHORS} RFC 3161 timestamps.")
    proven = []
    for anchor in anchors:
        try:
            _check_path(document, anchor, head, trust)
        except VerificationError:
            return Anchored(
                broken="An RFC 3161 timestamp in the file is not over a root that holds this head."
            )
        stamp = _stamp(anchor, trust)
        if stamp is not None:
            proven.append(stamp)
    if not proven:
        broken = (
            "No RFC 3161 timestamp in the file verifies under the authorities that are believed."
        )
        return Anchored(broken=broken)
    others = len(anchors) - len(proven)
    remark = f" {others} RFC 3161 timestamp(s) of others were not believed." if others else ""
    return Anchored(tuple(proven), remark=remark)


def _check_path(
    document: Mapping[str, Any], anchor: object, head: Checkpoint, trust: Trust
) -> None:
    """The head is the same leaf of the root log under the anchored root, which the log signed."""
    root, _ = binding.open_note(member(anchor, "checkpoint", str), trust.log, trust.log.name)
    binding.check_position(head, anchor, root)
    if "root" in document:
        place = member(document, "root", dict)
        demand(binding.natural(anchor, "leaf_index") == binding.natural(place, "leaf_index"))


def _stamp(anchor: object, trust: Trust) -> Proven | None:
    # Here, because the client alone installs without the packages that it needs.
    from tlog.core.timestamp import verify_timestamp

    try:
        chain = [decoded({"one": one}, "one") for one in member(anchor, "chain", list)]
        stamp = verify_timestamp(
            decoded(anchor, "reply"),
            decoded(anchor, "request"),
            member(anchor, "checkpoint", str).encode(),
            roots=trust.tsa_roots or (),
            chain=chain,
        )
    except (VerificationError, InvalidInput):
        return None
    return Proven(stamp.gen_ms, f"a timestamp of {stamp.signer} proves")
