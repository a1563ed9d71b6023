"""What a file is, by its first bytes or its members, and who judges it. A kind of file is one row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from tlog.core import cose, tlog_proof
from tlog.core.note import parse_vkey
from tlog.core.policy import Policy
from tlog.core.strict_json import loads
from tlog.core.timestamp_chain import Roots
from tlog.errors import InvalidInput
from tlog.verdicts.forks import is_fork_proof, judge_fork
from tlog.verdicts.model import Held, Steps, Trust, Verdicts, failed
from tlog.verdicts.packages import judge_batch, judge_event
from tlog.verdicts.portable import judge_cose, judge_tlog_proof

Document: TypeAlias = Mapping[str, Any]


class BytesKind(NamedTuple):
    """A kind that its first bytes tell."""

    begins: bytes
    judge: Callable[[bytes, Trust, Held], Verdicts]


class JsonKind(NamedTuple):
    """A kind that is a JSON object; the first row that `fits` judges it."""

    fits: Callable[[Document], bool]
    judge: Callable[[Document, Trust, Held], Verdicts]


BYTES_KINDS = (
    BytesKind(tlog_proof.HEADER, judge_tlog_proof),
    BytesKind(cose.FIRST_BYTES, judge_cose),
)
JSON_KINDS = (
    JsonKind(is_fork_proof, judge_fork),
    JsonKind(lambda document: "receipts" in document, judge_batch),
    JsonKind(lambda document: True, judge_event),
)


def verify_file(
    data: bytes,
    vkey: str,
    policy: Policy | None = None,
    held: Held | None = None,
    tsa_roots: Roots | None = None,
) -> Verdicts:
    """Judge a file: proof package, receipt, batch answer, C2SP tlog-proof, COSE receipt or fork proof.

    `vkey` is the log's, from the verifier's own configuration; nothing in the file is trusted.

    Raises:
        InvalidInput: `vkey` is not one.
    """
    trust, held = Trust(parse_vkey(vkey), policy, tsa_roots), held or Held()
    for kind in BYTES_KINDS:
        if data.startswith(kind.begins):
            return kind.judge(data, trust, held)
    try:
        document = loads(data)
    except InvalidInput as fault:
        return failed("", Steps(), f"The file is not strict JSON: {fault.detail}.")
    if not isinstance(document, dict):
        return failed("", Steps(), "The file is neither a proof package nor a receipt.")
    return next(row.judge(document, trust, held) for row in JSON_KINDS if row.fits(document))
