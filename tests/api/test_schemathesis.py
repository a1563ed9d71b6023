"""Requests made from the OpenAPI document, good and bad, against a served log: no answer is a 5xx, every answer is one that the
document has, and at the end every entry that was recorded on the way verifies.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    missing_required_header,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.api.deployment import EVENT, Keys, Site, copy, serve
from tlog.api.openapi import document
from tlog.api.routes import ROUTES

pytestmark = pytest.mark.slow

# Not `positive_data_acceptance`: a schema cannot say that two times are in order, or that a stream exists.
CHECKS = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    missing_required_header,
    unsupported_method,
]

schema = schemathesis.openapi.from_dict(orjson.loads(document(ROUTES)))
# "Refused" in general: an array of 10,001 events is 413.
schema.config.checks.negative_data_rejection.expected_statuses = ["4xx"]


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """One JSON value a line; what is no text is one line."""
    return value.encode() if isinstance(value, str) else orjson.dumps(value, default=str)


class Served(NamedTuple):
    """A log served by another thread."""

    url: str
    key: str
    token: str
    loop: asyncio.AbstractEventLoop
    site: Site


@pytest.fixture(scope="module")
def served(
    template: tuple[Path, Keys], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    directory = copy(template[0], tmp_path_factory.mktemp("schemathesis") / "log")
    keys = template[1]
    ready = threading.Event()
    found: list[Served] = []
    stop = asyncio.Event()

    async def run() -> None:
        async with serve(directory, keys, token_lifetime=3600) as site:
            token = await site.token(keys.create)
            await site.record(EVENT)
            loop = asyncio.get_running_loop()
            found.append(Served(f"http://127.0.0.1:{site.port}", keys.both, token, loop, site))
            ready.set()
            await stop.wait()
            site.check()

    failures: list[BaseException] = []

    def target() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failures.append(error)
            ready.set()

    thread = threading.Thread(target=target)
    thread.start()
    ready.wait()
    yield found[0]
    found[0].loop.call_soon_threadsafe(stop.set)
    thread.join()
    assert failures == []


@schema.parametrize()
@settings(
    max_examples=50,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_the_document_is_kept(case: Any, served: Served) -> None:
    credential = served.key if case.operation.path == "/api/v1/attest" else served.token
    headers = {"Authorization": f"Bearer {credential}"}
    response = case.call(base_url=served.url, headers=headers)
    case.validate_response(response, checks=CHECKS, headers=headers)
