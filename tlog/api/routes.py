"""The route table: all that is known of an endpoint outside of its handler. The application is built from it, the OpenAPI
document is generated from it, and the README is tested against it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web
from msgspec import Struct

from tlog.api import anchor_answers, answers, query
from tlog.api.accept import COSE_FORM, JSON_FORM, TEXT_FORM, Form, choose
from tlog.api.anchor import get_anchor, post_anchor
from tlog.api.attest import AttestAnswer, AttestRequest, attest
from tlog.api.body import JSON
from tlog.api.events import post_batch, post_event
from tlog.api.health import get_health
from tlog.api.health_answers import Health
from tlog.api.lookup import get_event, list_events
from tlog.api.metrics import PROMETHEUS, get_metrics
from tlog.api.openapi import get_openapi
from tlog.api.proof import get_package
from tlog.api.sth import get_sth, get_streams
from tlog.api.surface import (
    ENTRIES,
    OCTETS,
    STREAM,
    TEXT,
    TILE,
    get_checkpoint,
    get_entries,
    get_stream_checkpoint,
    get_stream_entries,
    get_stream_tile,
    get_tile,
)
from tlog.api.tree_proofs import get_consistency, get_inclusion
from tlog.api.verify import get_verify
from tlog.errors import TlogError
from tlog.events.input import AuditalEvent, SyenEvent

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

KEY, INGEST, READ, PUBLIC, ANYONE = "API key", "ingest", "read", "public", "anyone"


Relay = Callable[[web.Request], bool]


def none(request: web.Request) -> bool:
    """No request is passed on."""
    return False


def every(request: web.Request) -> bool:
    """Each one is."""
    return True


def signed(request: web.Request) -> bool:
    """Those for a COSE receipt, which has to be signed, are."""
    try:
        return choose(request, JSON_FORM, COSE_FORM) == COSE_FORM
    except TlogError:  # the handler will refuse it too, in its turn
        return False


class Route(NamedTuple):
    """One endpoint.

    `who`: an API key, a token's scope, "public" (a token with read, or anyone for what is public), or anyone. `body`: the
    flavours of one event or request, in an array or by lines if `batch`. `success`: status -> answer. `problems`: kinds
    beyond those that its credential, its parameters and its body bring along. `headers`: request headers that matter.
    `media`: what it answers; `forms`: what else by Accept. `pattern`: for the router, of a path that is written as its
    specification writes it. `relay`: which requests only the process that commits can answer, as it alone has the signer, the
    publication and the witnesses; where there are front ends of their own, they pass these on.
    """

    method: str
    path: str
    who: str
    handler: Handler
    success: dict[int, type[Struct] | None]
    query: type[Struct] = query.NoQuery
    body: tuple[type[Struct], ...] = ()
    batch: bool = False
    problems: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    media: str = JSON
    forms: tuple[Form, ...] = ()
    pattern: str = ""
    relay: Relay = none


EVENT = (SyenEvent, AuditalEvent)
WRITE = (
    "too-many-streams",
    "disk-full",
    "overloaded",
    "stopping",
    "unknown-outcome",
    "clock",
    "busy",
)
EVENT_PROBLEMS = (
    *WRITE,
    "not-found",
    "conflict",
    "producer-gap",
    "foreign-producer",
    "two-keys",
    "entry-too-large",
    "payload-too-large",
    "invalid-salt",
    "invalid-time",
    "reserved-event-type",
    "unknown-event-class",
)
TREE_PROBLEMS = ("not-found", "tree-size", "corrupt-store")
SURFACE_PROBLEMS = ("not-found", "corrupt-store")
KEYED = ("Idempotency-Key", "Prefer")

ROUTES = (
    Route(
        "POST", "/api/v1/attest", KEY, attest,
        {200: AttestAnswer},
        body=(AttestRequest,), problems=(*WRITE, "foreign-tenant", "missing-scope", "not-found"),
        relay=every,
    ),
    Route(
        "POST", "/api/v1/events", INGEST, post_event,
        {201: answers.Receipt, 200: answers.Receipt},
        body=EVENT, problems=EVENT_PROBLEMS, headers=KEYED,
    ),
    Route(
        "POST", "/api/v1/events/batch", INGEST, post_batch,
        {201: answers.BatchAnswer, 200: answers.BatchAnswer},
        body=EVENT, batch=True, problems=(*EVENT_PROBLEMS, "empty-batch", "too-many-events"), headers=KEYED,
    ),
    Route(
        "GET", "/api/v1/events", READ, list_events,
        {200: answers.EventPage},
        query=query.ListQuery, problems=("not-found", "invalid-time", "corrupt-store"),
    ),
    Route(
        "GET", "/api/v1/events/{event_id}", READ, get_event,
        {200: answers.RecordedEvent},
        problems=("not-found", "corrupt-store"),
    ),
    Route(
        "GET", "/api/v1/proof/inclusion", PUBLIC, get_inclusion,
        {200: answers.InclusionProof},
        query=query.InclusionQuery, problems=(*TREE_PROBLEMS, "leaf-index", "busy", "not-acceptable"),
        headers=("Accept",), forms=(COSE_FORM,), relay=signed,
    ),
    Route(
        "GET", "/api/v1/proof/consistency", PUBLIC, get_consistency,
        {200: answers.ConsistencyProof},
        query=query.ConsistencyQuery, problems=(*TREE_PROBLEMS, "not-acceptable"),
        headers=("Accept",), forms=(COSE_FORM,), relay=signed,
    ),
    Route(
        "GET", "/api/v1/proof/{event_id}", READ, get_package,
        {200: answers.Package},
        query=query.ProofQuery, problems=("not-found", "not-acceptable", "not-published", "no-policy", "corrupt-store"),
        headers=("Accept",), forms=(COSE_FORM, TEXT_FORM), relay=every,
    ),
    Route(
        "GET", "/api/v1/verify", READ, get_verify,
        {200: answers.Verification},
        query=query.VerifyQuery, problems=("not-found", "range", "busy"),
    ),
    Route(
        "GET", "/api/v1/streams", PUBLIC, get_streams,
        {200: answers.StreamPage},
        query=query.StreamsQuery,
    ),
    Route(
        "GET", "/api/v1/sth", PUBLIC, get_sth,
        {200: answers.TreeHead},
        query=query.StreamQuery, problems=("not-found", "corrupt-store"), relay=every,
    ),
    Route(
        "GET", "/api/v1/anchor/{date}", READ, get_anchor,
        {200: anchor_answers.AnchorDay},
        problems=("invalid-value", "corrupt-store"),
    ),
    Route(
        "POST", "/api/v1/anchors", ANYONE, post_anchor,
        {201: anchor_answers.AnchorReceipt, 200: anchor_answers.AnchorReceipt},
        body=(anchor_answers.AnchorRequest,),
        problems=(
            "rate-limited", "anchors-not-accepted", "invalid-checkpoint", "invalid-anchor", "too-many-anchors",
            "busy", "overloaded", "disk-full", "stopping", "unknown-outcome", "corrupt-store",
        ),
        relay=every,
    ),
    Route(
        "GET", "/api/v1/health", ANYONE, get_health,
        {200: Health, 503: Health}, relay=every,
    ),
    Route(
        "GET", "/metrics", ANYONE, get_metrics,
        {200: None}, media=PROMETHEUS, relay=every,
    ),
    Route(
        "GET", "/openapi.json", ANYONE, get_openapi,
        {200: None},
    ),
    Route(
        "GET", "/checkpoint", ANYONE, get_checkpoint,
        {200: None, 304: None},
        problems=("not-found",), headers=("If-None-Match",), media=TEXT, relay=every,
    ),
    Route(
        "GET", "/tile/<L>/<N>[.p/<W>]", ANYONE, get_tile,
        {200: None},
        problems=SURFACE_PROBLEMS, media=OCTETS, pattern=TILE,
    ),
    Route(
        "GET", "/tile/entries/<N>[.p/<W>]", ANYONE, get_entries,
        {200: None},
        problems=SURFACE_PROBLEMS, headers=("Accept-Encoding",), media=OCTETS, pattern=ENTRIES,
    ),
    # The router tries these in turn: what is asked for most comes first.
    Route(
        "GET", "/streams/<label>/tile/<L>/<N>[.p/<W>]", ANYONE, get_stream_tile,
        {200: None},
        problems=SURFACE_PROBLEMS, media=OCTETS, pattern=STREAM + TILE,
    ),
    Route(
        "GET", "/streams/<label>/tile/entries/<N>[.p/<W>]", PUBLIC, get_stream_entries,
        {200: None},
        problems=SURFACE_PROBLEMS, headers=("Accept-Encoding",), media=OCTETS, pattern=STREAM + ENTRIES,
    ),
    Route(
        "GET", "/streams/<label>/checkpoint", ANYONE, get_stream_checkpoint,
        {200: None, 304: None},
        problems=SURFACE_PROBLEMS, headers=("If-None-Match",), media=TEXT, pattern=STREAM + "/checkpoint",
        relay=every,
    ),
)  # fmt: skip
