"""Proves that the vault's cipher is XAES-256-GCM as published, that its randomness never repeats (threads, fork), and that the
key file is private and checked."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from tlog import keys
from tlog.errors import InvalidInput, Refused, VerificationError
from tlog.keys import FileKey, Xaes, derive, random_bytes, xaes_subkey

NONCE = b"ABCDEFGHIJKLMNOPQRSTUVWX"
PLAIN = b"XAES-256-GCM"


class Replay:
    """Gives out bytes that were chosen beforehand."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __call__(self, size: int) -> bytes:
        piece, self.data = self.data[:size], self.data[size:]
        assert len(piece) == size
        return piece


@pytest.mark.parametrize(
    ("key", "aad", "subkey", "ciphertext"),
    [
        (  # the first bit of L is 0
            b"\1" * 32,
            b"",
            "c8612c9ed53fe43e8e005b828a1631a0bbcb6ab2f46514ec4f439fcfd0fa969b",
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271",
        ),
        (  # it is 1
            b"\3" * 32,
            b"c2sp.org/XAES-256-GCM",
            "e9c621d4cdd9b11b00a6427ad7e559aeedd66b3857646677748f8ca796cb3fd8",
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
        ),
    ],
)
def test_published_vectors(
    monkeypatch: pytest.MonkeyPatch, key: bytes, aad: bytes, subkey: str, ciphertext: str
) -> None:
    """https://c2sp.org/XAES-256-GCM, "Test vectors"."""
    assert xaes_subkey(key, NONCE[:12]).hex() == subkey
    monkeypatch.setattr(keys, "random_bytes", Replay(NONCE))

    box = Xaes(key).encrypt(PLAIN, aad)

    assert box == NONCE + bytes.fromhex(ciphertext)
    assert Xaes(key).decrypt(box, aad) == PLAIN


def test_accumulated_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same document, "Accumulated randomized tests", 10,000 iterations."""
    stream = hashlib.shake_128(b"").digest(10_000 * (32 + 24 + 2 * 256))
    result = hashlib.shake_128()
    at = 0

    def take(size: int) -> bytes:
        nonlocal at
        at += size
        return stream[at - size : at]

    for _ in range(10_000):
        key, nonce = take(32), take(24)
        plain = take(take(1)[0])
        aad = take(take(1)[0])
        monkeypatch.setattr(keys, "random_bytes", Replay(nonce))
        result.update(Xaes(key).encrypt(plain, aad)[24:])

    assert (
        result.hexdigest(32) == "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"
    )


def test_box_opens_only_as_it_was_made() -> None:
    """Every flipped bit, every shorter length, another AAD and another key are refused with the one error."""
    key = os.urandom(32)
    box = Xaes(key).encrypt(b"secret", b"aad")
    assert Xaes(key).decrypt(box, b"aad") == b"secret"

    wrong = [
        bytes([*box[:i], box[i] ^ 1 << bit, *box[i + 1 :]])
        for i in range(len(box))
        for bit in range(8)
    ]
    wrong += [box[:size] for size in range(len(box))] + [box + b"\0"]
    for other in wrong:
        with pytest.raises(VerificationError):
            Xaes(key).decrypt(other, b"aad")
    with pytest.raises(VerificationError):
        Xaes(key).decrypt(box, b"aae")
    with pytest.raises(VerificationError):
        Xaes(os.urandom(32)).decrypt(box, b"aad")


def test_one_object_opens_boxes_of_many_subkeys() -> None:
    """The subkey kept from the last opening is not used for a box with another nonce prefix."""
    key = os.urandom(32)
    boxes = [Xaes(key).encrypt(bytes([i]), b"") for i in range(3)]
    reader = Xaes(key)

    assert [reader.decrypt(boxes[i], b"") for i in (0, 1, 2, 0, 0, 1)] == [
        bytes([i]) for i in (0, 1, 2, 0, 0, 1)
    ]


def test_nonces(monkeypatch: pytest.MonkeyPatch) -> None:
    """No nonce repeats; the subkey changes after its share of messages, and with the object."""
    monkeypatch.setattr(keys, "SUBKEY_MESSAGES", 100)
    key = os.urandom(32)
    one, two = Xaes(key), Xaes(key)
    boxes = [one.encrypt(b"", b"") for _ in range(250)] + [two.encrypt(b"", b"") for _ in range(50)]

    assert len({box[:24] for box in boxes}) == 300
    assert len({box[12:24] for box in boxes}) == 300
    assert [len({box[:12] for box in boxes[a:b]}) for a, b in ((0, 100), (0, 250), (0, 300))] == [
        1,
        3,
        4,
    ]


@pytest.mark.parametrize("size", [0, 1, 12, 16, 24, 32, 33, 5000])
def test_random_length(size: int) -> None:
    """The size asked for, pooled or not."""
    assert len(random_bytes(size)) == size


def test_random_never_repeats_between_threads() -> None:
    """Threads that refill and draw at the same time get no piece twice."""
    drawn: list[list[bytes]] = [[] for _ in range(4)]

    def draw(into: list[bytes]) -> None:
        into.extend(random_bytes(12) for _ in range(20_000))

    threads = [threading.Thread(target=draw, args=(into,)) for into in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set().union(*drawn)) == 80_000


def test_random_never_repeats_after_fork() -> None:
    """A forked child does not draw what its parent's pool holds."""
    random_bytes(16)
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(into, b"".join(random_bytes(16) for _ in range(100)))
        finally:
            os._exit(0)
    os.close(into)
    os.waitpid(child, 0)
    with os.fdopen(out, "rb") as pipe:
        theirs = pipe.read()
    ours = {random_bytes(16) for _ in range(1000)}

    assert len(theirs) == 1600
    assert not ours & {theirs[at : at + 16] for at in range(0, 1600, 16)}


def test_derive_separates() -> None:
    """Another label or key gives another child; RFC 4231 test case 2 says it is HMAC-SHA256."""
    assert derive(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    assert len({derive(k, x) for k in (b"a", b"b") for x in (b"1", b"2")}) == 4


def test_file_key(tmp_path: Path) -> None:
    """Created with mode 0600 and 32 bytes, never overwritten, the same key when read again, silent in its repr."""
    path = tmp_path / "vault.key"
    made = FileKey.create(path)
    read = FileKey(path)
    secret = path.read_bytes()

    assert path.stat().st_mode & 0o777 == 0o600
    assert len(secret) == 32
    assert read.key_id == made.key_id
    assert read.unwrap(made.wrap(b"key", b"aad"), b"aad") == b"key"
    with pytest.raises(VerificationError):
        read.unwrap(made.wrap(b"key", b"aad"), b"other")
    with pytest.raises(Refused) as refused:
        FileKey.create(path)
    assert refused.value.kind == "exists"
    assert path.read_bytes() == secret
    assert secret.hex() not in repr(read)
    assert repr(secret) not in repr(vars(read)) + repr(read)


def test_file_key_refused(tmp_path: Path) -> None:
    """Missing, of another size, or open to others."""
    path = tmp_path / "vault.key"
    with pytest.raises(InvalidInput) as missing:
        FileKey(path)
    assert missing.value.kind == "no-key"
    for size in (0, 31, 33):
        path.write_bytes(bytes(size))
        path.chmod(0o600)
        with pytest.raises(InvalidInput) as size_error:
            FileKey(path)
        assert size_error.value.kind == "invalid-key"
    path.write_bytes(bytes(32))
    for mode in (0o640, 0o604, 0o620):
        path.chmod(mode)
        with pytest.raises(Refused) as exposed:
            FileKey(path)
        assert exposed.value.kind == "exposed-key"
