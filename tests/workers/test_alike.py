"""The same requests to one process and to several: the same answers, head and body, whoever gives them."""

from __future__ import annotations

import http.client
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.conftest import Served
from tests.workers.site import Keys, Run, serve

pytestmark = pytest.mark.e2e

NO_EVENT = "evt_00000000000000000000000000"
JSON = "Content-Type: application/json\r\n"


@pytest.fixture(scope="module")
def single(template: tuple[Path, Keys], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The same log as `served`, in one process."""
    directory = tmp_path_factory.mktemp("single") / "log"
    shutil.copytree(template[0], directory)
    with serve(directory, None) as run:
        yield run


def _post(path: str, head: str, body: str = "") -> str:
    return f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n{body}"


def _get(path: str, head: str = "", method: str = "GET") -> str:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n"


def requests(key: str) -> dict[str, str]:
    """Requests of which no answer depends on the time or on chance."""
    auth = f"Authorization: Bearer {key}\r\n"
    asked = '{"tenant_id":"acme","agent_id":"A","agent_code_hash":"5"}'
    one = f"{len(asked):x}\r\n{asked}\r\n0\r\n\r\n"
    found = {
        "no key": _post("/api/v1/attest", f"{JSON}Content-Length: 2\r\n", "{}"),
        "bad key": _post("/api/v1/attest", f"{JSON}Authorization: Bearer x\r\nContent-Length: 0\r\n"),
        "no length": _post("/api/v1/attest", JSON + auth),
        "no body": _post("/api/v1/attest", f"{JSON}{auth}Content-Length: 0\r\n"),
        "another type": _post("/api/v1/attest", f"Content-Type: text/x\r\n{auth}Content-Length: 2\r\n", "{}"),
        "compressed": _post("/api/v1/attest", f"{JSON}{auth}Content-Encoding: gzip\r\nContent-Length: 2\r\n", "{}"),
        "chunks": _post("/api/v1/attest", f"{JSON}{auth}Transfer-Encoding: chunked\r\n", one),
        "broken chunks": _post("/api/v1/attest", f"{JSON}{auth}Transfer-Encoding: chunked\r\n", "zz\r\n"),
        "too large": _post("/api/v1/attest", f"{JSON}{auth}Content-Length: 100000\r\n"),
        "too large in chunks": _post(
            "/api/v1/attest", f"{JSON}{auth}Transfer-Encoding: chunked\r\n", f"20000\r\n{'x' * 0x20000}\r\n"
        ),
        "expect": _post("/api/v1/attest", f"{JSON}{auth}Expect: 100-continue\r\nContent-Length: {len(asked)}\r\n", asked),
        "expect much": _post("/api/v1/attest", f"{JSON}{auth}Expect: miracle\r\nContent-Length: 2\r\n", "{}"),
        "query": _post("/api/v1/attest?x=1", f"{JSON}{auth}Content-Length: 2\r\n", "{}"),
        "an anchor": _post("/api/v1/anchors", f"{JSON}Content-Length: 2\r\n", "{}"),
        "anchor of many": _post("/api/v1/anchors", f"{JSON}Content-Length: 4000\r\n", "[" * 4000),
        "event without token": _post("/api/v1/events", f"{JSON}Content-Length: 2\r\n", "{}"),
        "batch without token": _post("/api/v1/events/batch", f"{JSON}Content-Length: 2\r\n", "[]"),
        "no method": _get("/api/v1/attest", method="DELETE"),
        "no path": _get("/api/v1/nothing"),
        "a cose proof for nobody": _get("/api/v1/proof/inclusion?leaf_index=9999&tree_size=2", "Accept: application/cose\r\n"),
        "a cose proof": _get("/api/v1/proof/inclusion?leaf_index=0&x=1", "Accept: application/cose\r\n"),
        "no such form": _get("/api/v1/proof/inclusion?leaf_index=0", "Accept: image/png\r\n"),
        "no such form of one": _get(f"/api/v1/proof/{NO_EVENT}", f"Accept: image/png\r\n{auth}"),
        "metrics, asked wrongly": _get("/metrics?x=1"),
    }  # fmt: skip
    for path in (
        "/checkpoint",
        "/api/v1/sth",
        "/streams/tlog/log/operations/checkpoint",
        "/tile/0/000",
    ):
        for tail in ("", "?", "?x=1", "#x", "/", "%20", "?a=b#c"):
            found[path + tail] = _get(path + tail)
        found[f"absolute {path}"] = _get(f"http://elsewhere{path}")
        found[f"HEAD {path}"] = _get(path, method="HEAD")
        found[f"cached {path}"] = _get(path, "If-None-Match: *\r\n")
        found[f"old {path}"] = _get(path).replace("HTTP/1.1", "HTTP/1.0")
        found[f"old, without host {path}"] = f"GET {path} HTTP/1.0\r\n\r\n"
    for path in (
        "/api/v1/events",
        f"/api/v1/events/{NO_EVENT}",
        f"/api/v1/proof/{NO_EVENT}",
        "/api/v1/verify",
    ):
        found[f"no token {path}"] = _get(path)
        found[f"two tokens {path}"] = _get(path, auth + auth)
    return found


def answer(run: Run, request: str, *, head_only: bool) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to these bytes."""
    host, _, port = run.netloc.partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request.encode())
        response = http.client.HTTPResponse(connection, method="HEAD" if head_only else "GET")
        response.begin()
        headers = {name: value for name, value in response.getheaders() if name != "Date"}
        return response.status, headers, response.read()


@pytest.mark.parametrize("name", requests(""))
def test_answers_are_alike(served: Served, single: Run, name: str) -> None:
    """Byte for byte, whether a front end answers itself or passes the request on."""
    if single.vkey != served.run.vkey:
        raise AssertionError("two different logs are compared")
    request = requests(served.keys.key)[name]
    head_only = request.startswith("HEAD")
    wanted = answer(single, request, head_only=head_only)
    found = answer(served.run, request, head_only=head_only)
    if found[0] == 200:  # the logs have grown apart
        wanted[1].pop("Content-Length", None), found[1].pop("Content-Length", None)
        wanted[1].pop("ETag", None), found[1].pop("ETag", None)
        assert (found[0], found[1], bool(found[2])) == (wanted[0], wanted[1], bool(wanted[2]))
    elif found[0] == 304:
        assert {*found[1]} == {*wanted[1]}
    else:
        assert found == wanted
