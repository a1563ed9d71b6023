"""proof get: one GET of a proof in one of its forms, with a token or with what an API key gets."""

from __future__ import annotations

import asyncio

from tlog.cli.proof import FORMATS
from tlog.cli.remote import AGENT
from tlog.client.session import Identity, attest, code_hash
from tlog.client.transport import Transport, problem, query
from tlog.core.ids import parse_event_id, parse_stream_id
from tlog.errors import InvalidInput

_TIMEOUT = 30.0
_ACCEPT = dict(
    zip(FORMATS, ("application/json", "application/cose", "text/plain", "text/plain"), strict=True)
)
_PART = {"tlog-proof": "event", "tlog-proof-head": "head"}


def fetch_proof(
    url: str,
    event_id: str,
    form: str,
    wait: str | None,
    *,
    stream_id: str | None,
    api_key: str | None,
    token: str | None,
) -> bytes:
    """The bytes that the server sends, which nobody has verified. `form` is one of `FORMATS`.

    Raises: InvalidInput, Refused, Unavailable, BadAnswer.
    """
    parse_event_id(event_id)
    try:
        transport = Transport(url, _TIMEOUT)
    except ValueError as error:
        raise InvalidInput("usage", str(error)) from error
    if token is None and stream_id is None:
        detail = "give --token, or --stream with an API key: the key gets a token for that stream"
        raise InvalidInput("usage", detail)
    return asyncio.run(_fetch(transport, event_id, form, wait, stream_id, api_key, token))


async def _fetch(
    transport: Transport,
    event_id: str,
    form: str,
    wait: str | None,
    stream_id: str | None,
    api_key: str | None,
    token: str | None,
) -> bytes:
    try:
        if token is None and stream_id is not None:
            tenant = parse_stream_id(stream_id).tenant
            identity = Identity(
                tenant, AGENT, code_hash(__file__), stream_id, None, open_stream=False
            )
            token = (await attest(transport, identity, api_key)).token
        answer = await transport.request(
            "GET",
            f"/api/v1/proof/{event_id}",
            token=token,
            params=query(wait=wait, part=_PART.get(form)),
            accept=_ACCEPT[form],
        )
        if answer.status != 200:
            raise problem(answer)
        return answer.body
    finally:
        await transport.close()
