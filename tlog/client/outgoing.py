"""One event on its way to the log: checked, frozen and salted when it is handed over.

In scope: from the arguments of `ingest` to the bytes of the request, but for stream and producer, which are known
when it is sent. Out of scope: sending (`batching`).

HOT: once per event. The bytes are made at once, because the caller may change its payload while it waits; what is
checked and later compared with the log's entry is parsed from these bytes, as the log parses them.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import orjson

from tlog.core.canonical import canonical
from tlog.core.commitment import pointer_escape
from tlog.core.strict_json import MAX_DEPTH, loads
from tlog.errors import InvalidInput
from tlog.events.submission import SALT_SIZE, Submission, parse_event

if TYPE_CHECKING:
    from tlog.client.models import Receipt

_large = re.compile(rb"[0-9]{16}|e\+").search


class Outgoing:
    """An event that waits for its receipt.

    `future` gets the receipt or an error; `since` is the event loop's time of the call; `sequence` is the producer
    sequence it was last sent with, 0 before.
    """

    __slots__ = ("_raw", "future", "sequence", "since", "submission")

    def __init__(
        self,
        raw: bytes,
        submission: Submission,
        future: asyncio.Future[Receipt],
        since: float,
    ) -> None:
        """`raw` is the JSON object of `submission`."""
        self._raw = raw
        self.submission = submission
        self.future = future
        self.since = since
        self.sequence = 0

    @property
    def size(self) -> int:
        """Bytes of the event's JSON without stream and producer."""
        return len(self._raw)

    def body(self, stream_id: str, producer_id: str) -> bytes:
        """The event's JSON, to be sent with `sequence`.

        Both ids are of alphabets that JSON does not escape.
        """
        sub = self.submission
        end = f',"producer":{{"id":"{producer_id}","sequence":{self.sequence}}}}}'
        if "stream_id" not in sub.source:
            end = f',"stream_id":"{stream_id}"' + end
        sub.stream_id = stream_id
        sub.producer_id = producer_id
        sub.producer_sequence = self.sequence
        return self._raw[:-1] + end.encode()

    def fail(self, error: BaseException) -> None:
        """Give the caller an error, unless it went away."""
        if not self.future.done():
            self.future.set_exception(error)


def encode_event(
    *,
    event_type: str,
    payload: Mapping[str, Any],
    event_class: str | None = None,
    decision_surface: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    stream_id: str | None = None,
    model_id: str | None = None,
    severity: str | None = None,
    actor: Mapping[str, Any] | None = None,
    subject_id: str | None = None,
    tags: Sequence[str] | None = None,
    occurred_at: str | datetime | None = None,
) -> tuple[bytes, Submission]:
    """The JSON of an event with a fresh salt, and what the log will make of it.

    Raises:
        InvalidInput: as the log would answer, with the JSON Pointer of the member at fault.
    """
    value: dict[str, Any] = {
        "event_type": event_type,
        "payload": payload if type(payload) is dict else _object(payload, "payload"),
        # Drawn here, so that the log cannot choose it; and it makes every event unlike any other (`batching`).
        "salt": b64encode(token_bytes(SALT_SIZE)).decode("ascii"),
    }
    if event_class is not None:
        value["event_class"] = _text(event_class)
    if decision_surface is not None:
        value["decision_surface"] = _object(decision_surface, "decision_surface")
    if context is not None:
        value["context"] = _object(context, "context")
    if stream_id is not None:
        value["stream_id"] = stream_id
    if model_id is not None:
        value["model_id"] = model_id
    if severity is not None:
        value["severity"] = severity
    if actor is not None:
        value["actor"] = _object(actor, "actor")
    if subject_id is not None:
        value["subject_id"] = subject_id
    if tags is not None:
        value["tags"] = _list(tags, "tags")
    if occurred_at is not None:
        value["occurred_at"] = _time(occurred_at)
    raw = _encode(value)
    return raw, parse_event(_reread(raw))


def _encode(value: dict[str, Any]) -> bytes:
    """The canonical form. Raises: InvalidInput, with the pointer that `canonical` has not."""
    try:
        return canonical(value)
    except InvalidInput as error:
        raise InvalidInput(error.kind, error.detail, _place(value)) from None


def _place(value: object) -> str:
    """The JSON Pointer of the innermost value that has no canonical form."""
    members: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        members = value.items()
    elif isinstance(value, list | tuple):
        members = enumerate(value)
    for name, member in members:
        try:
            canonical(member)
        except InvalidInput as error:
            # What is too deep may have no end.
            inner = "" if error.kind == "too-deep" else _place(member)
            return f"/{pointer_escape(str(name))}{inner}"
    return ""


def _reread(raw: bytes) -> Any:
    """What the log will read in the canonical form `raw`. Raises InvalidInput, as `strict_json.loads`."""
    # The strict reader only when it could find what the canonical form lets pass: an integer beyond 2^53 - 1 that was
    # a float, which has 16 digits or an exponent, and nesting.
    if _large(raw) is not None or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        return loads(raw)
    return orjson.loads(raw)


def _object(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidInput("wrong-type", "must be an object", f"/{name}")
    return dict(value)


def _text(value: object) -> object:
    # Of an enum member: its value. What is no text is named by `parse_event`.
    return str.__str__(value) if isinstance(value, str) else value


def _list(value: Iterable[str], name: str) -> list[str]:
    # Text can be iterated too, and would be recorded letter by letter.
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidInput("wrong-type", "must be a list", f"/{name}")
    return list(value)


def _time(value: str | datetime) -> str:
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        raise InvalidInput(
            "invalid-time", "a datetime without a time zone says no time", "/occurred_at"
        )
    return value.isoformat()
