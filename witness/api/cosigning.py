"""POST /add-checkpoint and GET /<origin hash>/checkpoint: C2SP tlog-witness over HTTP.

Source: https://c2sp.org/tlog-witness (main, after v1.0.0). Which decision has which status is known here alone.
"""

from __future__ import annotations

import logging
import re
import time

from aiohttp import web

from tlog.core.add_checkpoint import MAX_REQUEST, SIZE_TYPE, encode_size
from tlog.errors import TlogError, Unavailable
from witness import state
from witness.api.context import METRICS, SERVICE, plain, read_body
from witness.cosigner import Answer, Cosigned
from witness.state import Conflict

STATUS = {
    state.MALFORMED: 400,
    state.OLD_TOO_LARGE: 400,
    state.UNTRUSTED: 403,
    state.FROZEN: 403,
    state.UNKNOWN_LOG: 404,
    state.WRONG_ROOT: 422,
    state.INCONSISTENT: 422,
    state.CLOCK: 503,
    state.HELD: 503,
    # Of the transport and of the load.
    "request-timeout": 408,
    "length-required": 411,
    "body-too-large": 413,
    "unsupported-media-type": 415,
    "rate-limited": 429,
    "overloaded": 503,
    "starting": 503,
    "stopping": 503,
    "disk-full": 503,
    "audit-behind": 503,
    "unknown-outcome": 503,
}

logger = logging.getLogger(__name__)

_hash = re.compile("[0-9a-f]{64}").fullmatch


async def post_add_checkpoint(request: web.Request) -> web.StreamResponse:
    """Cosign a checkpoint that extends the one cosigned last."""
    service, metrics = request.app[SERVICE], request.app[METRICS]
    began = time.perf_counter()
    try:
        seconds = service.witness.config.request_timeout
        body = await read_body(request, limit=MAX_REQUEST, seconds=seconds)
        response = respond(await service.add_checkpoint(body))
    except TlogError as error:
        response = failure(error)
    metrics.requests.labels(str(response.status)).inc()
    metrics.seconds.observe(time.perf_counter() - began)
    return response


def respond(answer: Answer) -> web.Response:
    """The response for an answer."""
    if isinstance(answer, Cosigned):
        # SPEC: tlog-witness "The response body MUST be a sequence of one or more note signature lines, each starting
        # with the `—` character (U+2014) and ending with a newline character (U+000A)."
        return web.Response(
            body=answer.lines, content_type="text/plain", charset="utf-8", headers=_NO_STORE
        )
    if isinstance(answer, Conflict):
        # SPEC: "The response MUST have a `Content-Type` of `text/x.tlog.size`." No charset: clients compare it whole.
        headers = {"Content-Type": SIZE_TYPE, **_NO_STORE}
        return web.Response(status=409, body=encode_size(answer.size), headers=headers)
    return plain(STATUS[answer.kind], answer.detail)


def failure(error: TlogError) -> web.Response:
    """The response for a request that was not decided."""
    if error.kind not in STATUS:
        logger.error("cannot answer add-checkpoint", exc_info=error)
        return plain(500, "the witness failed to answer; the fault is recorded")
    retry_after = error.retry_after if isinstance(error, Unavailable) else None
    return plain(STATUS[error.kind], error.detail, retry_after)


async def get_checkpoint(request: web.Request) -> web.StreamResponse:
    """The newest checkpoint cosigned of the log whose origin has this SHA-256, with its lines and ours."""
    text = request.match_info["origin_hash"]
    return note_response(
        request.app[SERVICE].published(bytes.fromhex(text)) if _hash(text) else None
    )


def note_response(note: bytes | None) -> web.Response:
    """A checkpoint for everybody, or 404."""
    # SPEC: tlog-witness "If the witness has never cosigned a checkpoint for that log, it MUST respond with a "404 Not
    # Found" HTTP status code instead."
    if note is None:
        return plain(404, "no checkpoint of such a log was cosigned")
    headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*"}
    return web.Response(body=note, content_type="text/plain", charset="utf-8", headers=headers)


_NO_STORE = {"Cache-Control": "no-store"}
