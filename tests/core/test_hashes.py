"""The leaf, node and empty hashes are those of RFC 6962, byte for byte."""

from __future__ import annotations

import base64
import hashlib

from hypothesis import given
from hypothesis import strategies as st

from tlog.core.hashes import EMPTY_ROOT, HASH_SIZE, leaf_hash, node_hash


def test_published_values() -> None:
    """C2SP tlog-checkpoint prints the empty root; the other two are RFC 6962 test data of CT."""
    assert base64.b64encode(EMPTY_ROOT) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert (
        leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert (
        node_hash(leaf_hash(b""), leaf_hash(b"\x00")).hex()
        == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    )


@given(st.binary(max_size=200))
def test_leaf_prefix(entry: bytes) -> None:
    assert leaf_hash(entry) == hashlib.sha256(b"\x00" + entry).digest()


@given(st.binary(min_size=64, max_size=64))
def test_node_prefix_separates_nodes_from_leaves(pair: bytes) -> None:
    node = node_hash(pair[:HASH_SIZE], pair[HASH_SIZE:])
    assert node == hashlib.sha256(b"\x01" + pair).digest()
    assert node != leaf_hash(pair)
