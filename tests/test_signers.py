"""The one signer of the log key signs only what the guard remembers and what is in the root log."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.harness import ORIGIN, TestLog, new_log
from tlog.core.checkpoint import Checkpoint, open_checkpoint
from tlog.core.cose import log_header, to_be_signed
from tlog.core.hashes import EMPTY_ROOT, leaf_hash
from tlog.core.note import parse_vkey
from tlog.errors import InvalidInput, Refused, VerificationError
from tlog.signers import create_key, load_key
from tlog.store.layout import ROOT_LOG


def test_key_files(tmp_path: Path) -> None:
    """A key is written once, for its owner only, and reads back."""
    path = tmp_path / "log.key"
    made = create_key(path, ORIGIN)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path).vkey == made.vkey
    with pytest.raises(Refused, match="never overwritten"):
        create_key(path, ORIGIN)
    path.chmod(0o640)
    with pytest.raises(Refused, match=r"chmod 600 log\.key") as refused:
        load_key(path)
    assert refused.value.kind == "exposed-key"
    path.chmod(0o600)
    path.write_text("PRIVATE+KEY+nonsense")
    with pytest.raises(InvalidInput):
        load_key(path)


def test_only_the_guarded_root_is_signed(tmp_path: Path) -> None:
    """Another size, root or origin than the guard's is a fault of the program, not a signature."""
    with TestLog(new_log(tmp_path / "log")) as log:
        log.append([log.prepare()])
        head = log.log.sequencer.head.root
        assert log.log.signer.sign_root(head) == log.log.sequencer.head.note
        for wrong in (
            Checkpoint(head.origin, head.size + 1, head.root),
            Checkpoint(head.origin, head.size - 1, head.root),
            Checkpoint(head.origin, head.size, bytes(32)),
            Checkpoint("other.example.com", head.size, head.root),
        ):
            with pytest.raises(AssertionError, match="guard"):
                log.log.signer.sign_root(wrong)


def test_only_streams_heads_in_the_root_log_are_signed(tmp_path: Path) -> None:
    """A head with a proof under a signed root is signed; another root, size, place or root size is not."""
    with TestLog(new_log(tmp_path / "log")) as log:
        log.append([log.prepare(payload={"n": n}) for n in range(5)])
        head, proof, signed = log.log.reader.stream_head(2)
        size = signed.root.size
        signer = log.log.signer
        note = signer.sign_stream(head, proof.leaf_index, proof.hashes, size)
        opened, _ = open_checkpoint(
            note, [parse_vkey(signer.stream_vkey(head.origin))], head.origin
        )
        assert opened == head
        lies = [
            (Checkpoint(head.origin, head.size, bytes(32)), proof.leaf_index, size),
            (Checkpoint(head.origin, head.size + 1, head.root), proof.leaf_index, size),
            (Checkpoint(ORIGIN, head.size, head.root), proof.leaf_index, size),
            (head, proof.leaf_index - 1, size),
            (head, proof.leaf_index, size + 1),
        ]
        for lie, index, root_size in lies:
            with pytest.raises(VerificationError):
                signer.sign_stream(lie, index, proof.hashes, root_size)


def test_leaves_of_the_root_log_that_are_no_streams_heads_are_not_signed(tmp_path: Path) -> None:
    """Leaf 0 is the root log's own empty head, and other leaves under its origin are reserved: no note is of those."""
    with TestLog(new_log(tmp_path / "log")) as log:
        signer, size = log.log.signer, log.log.sequencer.head.root.size
        empty = Checkpoint(ORIGIN, 0, EMPTY_ROOT)
        leaf = leaf_hash(empty.body())
        path = log.log.reader.inclusion(ROOT_LOG, 0, size, leaf).hashes  # it is there
        with pytest.raises(VerificationError):
            signer.sign_stream(empty, 0, path, size)
        with pytest.raises(VerificationError):
            signer.sign_receipt(empty, (0, path, size))


def test_receipts_are_signed_for_shown_heads_only(tmp_path: Path) -> None:
    """The rule of `sign_stream`; of the root log only roots that this process signed."""
    with TestLog(new_log(tmp_path / "log")) as log:
        log.append([log.prepare(payload={"n": n}) for n in range(5)])
        head, proof, signed = log.log.reader.stream_head(2)
        place = (proof.leaf_index, proof.hashes, signed.root.size)
        signer, key = log.log.signer, parse_vkey(log.log.vkey)
        header, signature = signer.sign_receipt(head, place)
        assert header == log_header(ORIGIN, key.public_key, head.origin)
        message = to_be_signed(header, head.root)
        assert message[0] == 0x84
        key.verify(message, header.key_id + signature)
        root = signed.root
        header, signature = signer.sign_receipt(root, None)
        key.verify(to_be_signed(header, root.root), header.key_id + signature)
        lies: list[tuple[Checkpoint, Any]] = [
            (Checkpoint(head.origin, head.size, bytes(32)), place),
            (Checkpoint(head.origin, head.size + 1, head.root), place),
            (Checkpoint(ORIGIN, head.size, head.root), place),
            (head, (proof.leaf_index - 1, *place[1:])),
            (head, (*place[:2], root.size + 1)),
            (head, None),
            (Checkpoint(ORIGIN, root.size, bytes(32)), None),
            (Checkpoint(ORIGIN, root.size - 1, root.root), None),
            (Checkpoint(ORIGIN, 10**6, root.root), None),
            (Checkpoint(head.origin, root.size, root.root), None),
        ]
        for lie, where in lies:
            with pytest.raises(VerificationError):
                signer.sign_receipt(lie, where)
