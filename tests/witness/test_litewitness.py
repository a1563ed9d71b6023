"""The exchange that litewitness is tested with, in order: nine requests to one log, and what the text of today says to each.

Source: filippo.io/torchwood, cmd/litewitness/testdata/litewitness.txt: leaf hashes {0x2a, i, 0…}, roots of 1, 3 and 5 leaves. The
bodies are rebuilt here, under a key of our own. There an unknown log is 403; C2SP tlog-witness has made it 404 since.
"""

from __future__ import annotations

from pathlib import Path

from tests.witness.conftest import serving
from tests.witness.harness import Times, WitnessedLog, new_witness
from tlog.core.add_checkpoint import encode_request
from tlog.core.wire import b64encode

ORIGIN = "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
ROOTS = {
    1: "KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    3: "RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=",
    5: "QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=",
}
LEAVES = [bytes([0x2A, number]) + bytes(30) for number in range(5)]


def test_roots_and_proofs_are_those_of_the_source() -> None:
    """Our trees over their leaf hashes."""
    log = WitnessedLog(origin=ORIGIN, leaves=LEAVES)
    assert {size: b64encode(log.root(size)) for size in ROOTS} == ROOTS
    assert list(log.proof(1, 3)) == LEAVES[1:3]
    assert [b64encode(one) for one in log.proof(3, 5)] == [
        b64encode(LEAVES[2]),
        b64encode(LEAVES[3]),
        "wgiIFdZfYNv6WU1OllBKsWnLYIS/DBMqt8Uh/S4OukE=",
        b64encode(LEAVES[4]),
    ]


async def test_the_exchange(tmp_path: Path) -> None:
    """Status by status, body by body."""
    log = WitnessedLog(origin=ORIGIN, leaves=LEAVES)
    stranger = WitnessedLog(origin=ORIGIN[:-1] + "3", leaves=LEAVES)
    garbled = (log.proof(1, 3)[0], log.proof(1, 3)[1][:-1] + b"\x10")
    forged = log.note(1).split(b"\n\n")[1]
    exchange = [
        (log.body(0, 1), 200, b""),
        (
            encode_request(1, log.proof(1, 3), log.note(3).split(b"\n\n")[0] + b"\n\n" + forged),
            403,
            b"",
        ),
        (stranger.body(1, 3), 404, b""),
        (encode_request(1, (), log.note(3)), 422, b""),
        (encode_request(1, garbled, log.note(3)), 422, b""),
        (log.body(1, 3), 200, b""),
        (log.body(1, 5), 409, b"3\n"),
        (log.body(3, 5), 200, b""),
        (log.body(0, 5), 409, b"5\n"),
    ]
    async with serving(new_witness(tmp_path / "w", log), Times()) as served:
        for number, (body, status, answer) in enumerate(exchange):
            reply = await served.add(body)
            assert reply.status == status, (number, reply)
            if status == 409:
                assert (reply.body, reply.type) == (answer, "text/x.tlog.size")
            if status == 200:
                assert reply.body.startswith("\u2014 witness.example.org/w1 ".encode())
