"""The route table: one line per endpoint. The README and the OpenAPI document are tested against it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from tlog.api.attest import attest
from tlog.api.events import post_batch, post_event
from tlog.api.health import get_health
from tlog.api.lookup import get_event, list_events
from tlog.api.openapi import get_openapi
from tlog.api.proof import get_consistency, get_inclusion, get_package
from tlog.api.sth import get_sth, get_streams
from tlog.api.verify import get_verify


class Route(NamedTuple):
    """`who` is the credential: an API key, a token's scope, "public" (public streams: anyone), or anyone."""

    method: str
    path: str
    who: str
    handler: Callable[[web.Request], Awaitable[web.Response]]


ROUTES = (
    Route("POST", "/api/v1/attest", "API key", attest),
    Route("POST", "/api/v1/events", "ingest", post_event),
    Route("POST", "/api/v1/events/batch", "ingest", post_batch),
    Route("GET", "/api/v1/events/{event_id}", "read", get_event),
    Route("GET", "/api/v1/events", "read", list_events),
    Route("GET", "/api/v1/proof/inclusion", "public", get_inclusion),
    Route("GET", "/api/v1/proof/consistency", "public", get_consistency),
    Route("GET", "/api/v1/proof/{event_id}", "read", get_package),
    Route("GET", "/api/v1/verify", "read", get_verify),
    Route("GET", "/api/v1/streams", "public", get_streams),
    Route("GET", "/api/v1/sth", "public", get_sth),
    Route("GET", "/api/v1/health", "anyone", get_health),
    Route("GET", "/openapi.json", "anyone", get_openapi),
)
