"""The authority of the demo over HTTP: RFC 3161 section 3.4, and as a process of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from tests.paths import REPOSITORY
from tests.tsa.conftest import NONCE, NOTE
from tlog.cli.demo.tsa import KEYS, QUERY, REPLY, Authority, serve
from tlog.core.timestamp import build_request, parse_roots, verify_timestamp


async def test_over_http(authority: Authority) -> None:
    request = build_request(NOTE, NONCE)
    roots = parse_roots(authority.root.read_bytes())
    async with serve(authority) as url, aiohttp.ClientSession() as http:
        lengths = []
        for path in ("/", "/chain"):
            headers = {"Content-Type": QUERY}
            async with http.post(url + path, data=request, headers=headers) as answer:
                assert (answer.status, answer.content_type) == (200, REPLY)
                reply = await answer.read()
            verify_timestamp(reply, request, NOTE, roots=roots)
            lengths.append(len(reply))
        assert lengths[1] > lengths[0]
        async with http.post(url, data=request) as answer:
            assert answer.status == 415
        async with http.get(url) as answer:
            assert answer.status == 405
    assert set(KEYS) == {"rsa", "ec"}


def test_as_a_process(tmp_path: Path) -> None:
    """Makes its authority, says where it is, and finds it again."""
    if shutil.which("openssl") is None:
        pytest.skip("timestamps by OpenSSL need the program openssl")
    command = [sys.executable, "-m", "tlog.cli.demo.tsa", str(tmp_path / "tsa"), "0"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        request = build_request(NOTE, NONCE)
        sent = urllib.request.Request(url, request, {"Content-Type": QUERY})
        with urllib.request.urlopen(sent, timeout=20) as answer:
            reply = answer.read()
    finally:
        process.kill()
        process.communicate()
    roots = parse_roots((tmp_path / "tsa" / "root.pem").read_bytes())
    verify_timestamp(reply, request, NOTE, roots=roots)
