"""Authorities made once per run: OpenSSL's, with an RSA and a P-256 key, and one that forges."""

from __future__ import annotations

import shutil
from typing import NamedTuple

import pytest
from cryptography import x509

from tests.tsa import forge
from tlog.cli.demo.tsa import Authority
from tlog.core.timestamp import build_request

NOTE = b"log.example.com\n7\nnotes have signatures, which are stamped too\n"
NONCE = (1 << 63) | 12345


@pytest.fixture(scope="session", params=["rsa", "ec"])
def authority(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Authority:
    """OpenSSL's, with a key of each kind."""
    if shutil.which("openssl") is None:
        pytest.skip("timestamps by OpenSSL need the program openssl")
    return Authority.create(tmp_path_factory.mktemp("tsa") / "authority", key=request.param)


class Liar(NamedTuple):
    """An authority whose replies can be anything; `root` is trusted."""

    root: forge.Party
    wish: forge.Wish
    request: bytes

    @property
    def roots(self) -> tuple[x509.Certificate, ...]:
        return (self.root.certificate,)


@pytest.fixture(scope="session")
def liar() -> Liar:
    """One root, one signer."""
    root = forge.certify("Lab Root", ca=True)
    signer = forge.certify("Lab TSA", root)
    return Liar(root, forge.Wish(signer), build_request(NOTE, NONCE))
