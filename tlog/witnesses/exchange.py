"""One `add-checkpoint` with one witness: C2SP tlog-witness, the duties of the log.

An *endpoint* is a submission URL. Several witnesses of the policy may share it (a service with several keys): it is asked
once, and its answer judged for each of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tlog.core import add_checkpoint
from tlog.core.add_checkpoint import SIZE_TYPE, encode_request, parse_size, read_cosignatures
from tlog.core.hashes import Hash
from tlog.core.note import VerifiedSignature
from tlog.errors import InvalidInput
from tlog.witnesses.http import Answer, Http
from tlog.witnesses.keeper import AHEAD, LYING, OK, REFUSING, UNREACHABLE, Keeper

# The first try may learn the size, the second is right; a third, should others feed the same witness at this moment.
MAX_TRIES = 3
# A witness may be wrong by so much; a later time would be shown, and stay the newest, until it has come.
MAX_FUTURE = 300


class Knowledge(NamedTuple):
    """What an exchange needs of the log: consistency proofs, the size of its newest root, its clock in POSIX seconds."""

    prove: Callable[[int, int], Awaitable[Sequence[Hash]]]
    newest: Callable[[], int]
    now: Callable[[], int]


@dataclass(slots=True)
class Endpoint:
    """A submission URL without a slash at its end. `old` is the size that it cosigned last, as far as we know."""

    url: str
    keepers: tuple[Keeper, ...]
    old: int = 0
    failures: int = 0  # exchanges in a row after which a cosignature was still missing
    answered: int = -1  # number of the publication that it has cosigned
    partly: bool = False  # in the last exchange some of its keys cosigned, if not all

    @property
    def names(self) -> str:
        """Its witnesses, for messages."""
        return ", ".join(keeper.name for keeper in self.keepers)

    def ended(self, state: str, error: str = "") -> None:
        """An exchange ended so for all of its witnesses."""
        for keeper in self.keepers:
            keeper.ended(state, error)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an exchange. `suspicious`: it says something that our own signature might show to be true."""

    cosigned: tuple[tuple[Keeper, VerifiedSignature], ...] = ()
    suspicious: bool = False
    retry_after: int = 0


async def submit(http: Http, endpoint: Endpoint, size: int, note: bytes, log: Knowledge) -> Result:
    """Ask an endpoint to cosign a root, with the consistency proof from what it cosigned last.

    `note` is under our signature alone. What was wrong is on the keepers afterwards.
    Raises: Unavailable (unreachable), and what `log.prove` raises.
    """
    for _ in range(MAX_TRIES):
        # What it has seen beyond `size`, it will be asked about when that is published.
        old = min(endpoint.old, size)
        body = encode_request(old, await log.prove(old, size), note)
        answer = await http.post(
            endpoint.url + add_checkpoint.PATH, body, add_checkpoint.MAX_RESPONSE
        )
        if answer.status == 200:
            return _judge(endpoint, size, note, answer.body, log.now())
        if answer.status != 409 or answer.media_type != SIZE_TYPE:
            return _refused(endpoint, answer)
        try:
            told = parse_size(answer.body)
        except InvalidInput:
            endpoint.ended(LYING, "it answers 409 with something that is no size")
            return Result()
        # SPEC: tlog-witness "The response body MUST consist of the tree size of the latest cosigned checkpoint". Nobody
        # signed that answer, so a size that we do not have is a claim, not a fact.
        if size < told <= log.newest():
            # It follows the log by itself as well, and was faster.
            endpoint.old = told
            endpoint.ended(OK, "it has cosigned a newer root meanwhile")
            return Result()
        if told > size:
            endpoint.ended(AHEAD, f"it says that it cosigned {told} leaves, we published {size}")
            return Result(suspicious=True)
        if told == old:
            break
        endpoint.old = told
    endpoint.ended(REFUSING, f"it answers 409 to the size that it told us, {endpoint.old}")
    return Result()


def _judge(endpoint: Endpoint, size: int, note: bytes, body: bytes, now: int) -> Result:
    """Take the cosignatures that verify; drop and count everything else."""
    text = note[: note.rindex(b"\n\n") + 1]
    try:
        answers = [(k, read_cosignatures(body, text, k.verifier)) for k in endpoint.keepers]
    except InvalidInput as error:
        endpoint.ended(LYING, error.detail)
        return Result()
    good, absent = [], []
    for keeper, answer in answers:
        keeper.outcomes["forged-line"] += answer.forged
        signature = answer.cosignature
        if signature is not None and (signature.timestamp or 0) > now + MAX_FUTURE:
            keeper.outcomes["future-line"] += 1
            keeper.ended(LYING, f"its cosignature is of the future: POSIX {signature.timestamp}")
        elif signature is not None:
            good.append((keeper, signature))
            keeper.ended(OK, "beside the good line it sent a forged one" if answer.forged else "")
        elif answer.forged:
            keeper.ended(LYING, "its cosignature does not verify over our note")
        else:
            absent.append(keeper)
    lines = body.count(b"\n") + (not body.endswith(b"\n") and bool(body))
    foreign = lines - sum(lines - answer.foreign for _, answer in answers)
    endpoint.keepers[0].outcomes["foreign-line"] += foreign
    if good:
        endpoint.old = size
    for keeper in absent:
        if good:  # of another key of its service: this one's may come later
            keeper.ended(OK, "no cosignature of its key yet")
        else:
            keeper.ended(LYING, "it answers 200 without a cosignature of the key in the policy")
    return Result(tuple(good))


def _refused(endpoint: Endpoint, answer: Answer) -> Result:
    """An answer that is neither a cosignature nor a size."""
    status = answer.status
    told = answer.body[:120].decode("utf-8", "replace").strip()
    if status == 429 or status >= 500:
        endpoint.ended(UNREACHABLE, f"HTTP {status} {told}")
    elif 300 <= status < 400:
        endpoint.ended(REFUSING, f"HTTP {status}: it redirects, which is not followed")
    elif status in _MEANING:
        endpoint.ended(REFUSING, f"HTTP {status}: {_MEANING[status]} ({told})")
    else:
        endpoint.ended(REFUSING, f"HTTP {status} {told}")
    if status not in (409, 422):
        return Result(retry_after=answer.retry_after)
    # It holds a root that ours does not extend, or we remember a size that it never cosigned.
    endpoint.old = 0
    return Result(suspicious=True, retry_after=answer.retry_after)


_MEANING = {
    400: "it finds our request malformed",
    403: "it does not accept our signature, or does not know this log",
    404: "it does not know this log, or the URL is not its submission prefix",
    409: "it knows another root of the same size",
    422: "it holds a root that ours does not extend",
}
