"""GET /openapi.json: the OpenAPI 3.1 document, generated from the route table and from the Structs that validate."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from aiohttp import web
from msgspec import Struct

from tlog import __version__
from tlog.api.answers import Problem
from tlog.api.body import JSON, NDJSON
from tlog.api.context import json_response
from tlog.api.metrics import PROMETHEUS
from tlog.api.problems import PROBLEM_JSON, URN, status_of_kind
from tlog.api.query import NoQuery, refuse_query

if TYPE_CHECKING:
    from tlog.api.routes import Route

DOCUMENT: web.AppKey[bytes] = web.AppKey("openapi", bytes)

_REF = "#/components/schemas/{name}"
_EVENT_ID = {
    "name": "event_id",
    "in": "path",
    "required": True,
    "description": "An id of another spelling, of another tenant's event, and of no event: not found.",
    "schema": {"type": "string", "pattern": "^evt_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
}
_DATE = {
    "name": "date",
    "in": "path",
    "required": True,
    "description": "A UTC day.",
    "schema": {"type": "string", "format": "date", "examples": ["2026-03-20"]},
}
_PATH = {
    "label": "A private stream's label, or `tenant/environment/name` of a public one.",
    "L": "Level of the tile, 0 to 63.",
    "N": "Index in groups of three digits, each but the last after an x; of a partial tile, `.p/` and its width.",
}
_HEADERS: dict[str, dict[str, Any]] = {
    "Idempotency-Key": {
        "description": "Same key and body within 24 h: the same entry. Scope: the agent in its stream.",
        "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
    },
    "Prefer": {
        "description": "`return=minimal` leaves entry and proofs out.",
        "schema": {"type": "string", "examples": ["return=minimal"]},
    },
    "If-None-Match": {
        "description": "The entity tags that the client holds.",
        "schema": {"type": "string"},
    },
    "Accept-Encoding": {
        "description": "`gzip` where the client can undo it.",
        "schema": {"type": "string", "enum": ["gzip", "identity", "gzip, identity"]},
    },
    "Accept": {"description": "The forms of the answer; weights (`q`) are respected."},
}
_EXAMPLES: dict[str, dict[str, Any]] = {
    "AttestRequest": {
        "tenant_id": "acme",
        "agent_id": "credit-scorer",
        "agent_code_hash": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    },
    "AnchorRequest": {
        "checkpoint": "log.example.com\n7\nqpnFhHkjZTSB6cA6qZcNmTVCf9NqjHiY2NzD8+tXgSs=\n\n— log.example.com l8KcKeHG…\n",
        "request": "MEACAQEwMTANBglghkgBZQMEAgEFAAQg…",
        "reply": "MIIDwzADAgEAMIIDugYJKoZIhvcNAQcC…",
    },
    "SyenEvent": {
        "event_class": "EXECUTION",
        "event_type": "credit.decision.made",
        "payload": {"applicant_id": "app-991", "decision": "APPROVED"},
        "decision_surface": {
            "explainability_artifact_hash": "sha256-of-artifact-shown",
            "human_decision": "APPROVE",
            "presentation_timestamp": "2026-03-20T14:00:00Z",
            "signoff_timestamp": "2026-03-20T14:00:03Z",
            "decision_complexity_tier": 2,
        },
    },
    "AuditalEvent": {
        "eventType": "INFERENCE",
        "modelId": "mdl_abc123",
        "actor": {"type": "SERVICE", "id": "svc_scorer_api", "ipAddress": "10.0.1.45"},
        "payload": {"latencyMs": 142, "confidence": 0.97, "decisionOutput": "APPROVED"},
        "tags": ["credit-risk", "high-value"],
    },
}
_TOKEN = ("invalid-token", "missing-scope", "rate-limited")
_PROBLEMS_OF = {
    "API key": ("invalid-credentials", "rate-limited"),
    "ingest": _TOKEN,
    "read": _TOKEN,
    "public": _TOKEN,
    "anyone": (),
}
_QUERY_PROBLEMS = ("repeated-parameter", "missing-parameter", "invalid-value")
_BODY_PROBLEMS = (
    "invalid-request length-required request-timeout body-too-large unsupported-media-type "
    "invalid-json not-utf8 byte-order-mark too-deep duplicate-member number-out-of-range lone-surrogate "
    "wrong-type missing-member unknown-member invalid-value"
).split()
_ANY_PROBLEMS = ("unknown-parameter", "expectation-failed", "internal")


async def get_openapi(request: web.Request) -> web.Response:
    """This document."""
    refuse_query(request)
    return json_response(request.app[DOCUMENT])


def document(routes: Iterable[Route]) -> bytes:
    """The document of these routes as JSON."""
    structs: dict[str, type[Struct]] = {"Problem": Problem}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        for struct in (*route.success.values(), *route.body):
            if struct is not None:
                structs[struct.__name__] = struct
        paths.setdefault(template(route.path), {})[route.method.lower()] = _operation(route)
    _, schemas = msgspec.json.schema_components(structs.values(), ref_template=_REF)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": {
                "title": "tlog",
                "version": __version__,
                "summary": "A transparency log for the decisions of AI systems.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {
                    "apiKey": _bearer("An API key, `ak_live_…`: only for POST /api/v1/attest."),
                    "token": _bearer("The token that POST /api/v1/attest answers."),
                },
            },
        }
    )


def template(path: str) -> str:
    """A path as OpenAPI writes it: `<L>` of C2SP is `{L}`; what may follow an `<N>` is part of it."""
    return path.replace("[.p/<W>]", "").replace("<", "{").replace(">", "}")


def problems_of(route: Route) -> list[str]:
    """The kinds of problem that an endpoint answers with, `method-not-allowed` and router errors aside."""
    kinds = {*_ANY_PROBLEMS, *_PROBLEMS_OF[route.who], *route.problems}
    if route.query is not NoQuery:
        kinds.update(_QUERY_PROBLEMS)
    if route.body:
        kinds.update(_BODY_PROBLEMS)
    return sorted(kinds)


def _operation(route: Route) -> dict[str, Any]:
    words = (inspect.getdoc(route.handler) or "").partition("\n")
    operation: dict[str, Any] = {
        "operationId": getattr(route.handler, "__name__", ""),
        "summary": words[0],
        "security": _security(route.who),
        "parameters": list(_parameters(route)),
        "responses": {**_answers(route), **_problems(route)},
    }
    if words[2].strip():
        operation["description"] = words[2].strip()
    if route.who in ("ingest", "read"):
        operation["x-scope"] = route.who
    if route.body:
        operation["requestBody"] = {"required": True, "content": _content(route)}
    return operation


def _security(who: str) -> list[dict[str, list[str]]]:
    if who == "API key":
        return [{"apiKey": []}]
    if who == "anyone":
        return []
    return [{"token": []}, {}] if who == "public" else [{"token": []}]


def _parameters(route: Route) -> Iterable[dict[str, Any]]:
    for parameter in (_EVENT_ID, _DATE):
        if f"{{{parameter['name']}}}" in route.path:
            yield parameter
    for name, text in _PATH.items():
        if f"<{name}>" in route.path:
            yield {
                "name": name,
                "in": "path",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
    _, schemas = msgspec.json.schema_components([route.query], ref_template=_REF)
    schema = schemas[route.query.__name__]
    for name, member in schema["properties"].items():
        parameter = {"name": name, "in": "query", "required": name in schema["required"]}
        if "description" in member:
            parameter["description"] = member.pop("description")
        yield {**parameter, "schema": member}
    for name in route.headers:
        header = {"name": name, "in": "header", "required": False, **_HEADERS[name]}
        if name == "Accept":
            known = [JSON, *[form.media_type for form in route.forms], "*/*"]
            header["schema"] = {"type": "string", "enum": known}
        yield header


def _content(route: Route) -> dict[str, Any]:
    flavours = [_ref(struct) for struct in route.body]
    schema = flavours[0] if len(flavours) == 1 else {"anyOf": flavours}
    values = {struct.__name__: _EXAMPLES[struct.__name__] for struct in route.body}
    if not route.batch:
        return {JSON: {"schema": schema, "examples": {n: {"value": v} for n, v in values.items()}}}
    array = {"type": "array", "items": schema, "minItems": 1, "maxItems": 10_000}
    every = list(values.values())
    return {
        JSON: {"schema": array, "examples": {"both": {"value": every}}},
        NDJSON: {
            "schema": {"type": "string"},
            "example": b"\n".join(map(orjson.dumps, every)).decode(),
        },
    }


def _answers(route: Route) -> dict[str, Any]:
    documented = {}
    for status, struct in route.success.items():
        if route.media != JSON:
            documented[str(status)] = _bytes(status, route.media)
            continue
        schema = {"type": "object"} if struct is None else _ref(struct)
        text = (inspect.getdoc(struct) or "").partition("\n")[0] if struct else "OpenAPI 3.1."
        content = {JSON: {"schema": schema}, **{form.media_type: {} for form in route.forms}}
        documented[str(status)] = {"description": text, "content": content}
    return documented


def _bytes(status: int, media: str) -> dict[str, Any]:
    if status == 304:
        return {"description": "What the client holds is the newest."}
    text = "For Prometheus." if media == PROMETHEUS else "As C2SP tlog-tiles says."
    return {"description": text, "content": {media: {}}}


def _problems(route: Route) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {405: ["method-not-allowed"]}
    for kind in problems_of(route):
        by_status.setdefault(status_of_kind(kind), []).append(kind)
    documented = {}
    for status, kinds in sorted(by_status.items()):
        if status in route.success:
            continue
        schema = {
            "allOf": [
                _ref(Problem),
                {"properties": {"type": {"enum": [URN + kind for kind in kinds]}}},
            ]
        }
        documented[str(status)] = {
            "description": ", ".join(kinds),
            "headers": _headers(status),
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
    return documented


def _headers(status: int) -> dict[str, Any]:
    names = {401: "WWW-Authenticate", 405: "Allow", 415: "Accept-Encoding"}
    if status in (429, 503):
        return {
            "Retry-After": {"required": True, "schema": {"type": "string", "pattern": "^[0-9]+$"}}
        }
    return (
        {names[status]: {"required": True, "schema": {"type": "string"}}} if status in names else {}
    )


def _bearer(description: str) -> dict[str, str]:
    return {"type": "http", "scheme": "bearer", "description": description}


def _ref(struct: type[Struct]) -> dict[str, str]:
    return {"$ref": _REF.format(name=struct.__name__)}
