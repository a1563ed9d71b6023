"""Which form of an answer a client wants: Accept, RFC 9110 section 12.5.1."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from aiohttp import web

from tlog.api.body import JSON
from tlog.core import cose
from tlog.errors import Refused


class Form(NamedTuple):
    """One representation: its media type without parameters, these, and the Content-Type in full."""

    media_type: str
    parameters: dict[str, str]
    content_type: str


# RFC 8259 section 11: charset is no parameter of it and changes nothing, but clients write it.
JSON_FORM = Form(JSON, {"charset": "utf-8"}, JSON)
COSE_FORM = Form("application/cose", {"cose-type": "cose-sign1"}, cose.MEDIA_TYPE)
# No specification registers a media type for C2SP tlog-proof; it is a text.
TEXT_FORM = Form("text/plain", {"charset": "utf-8"}, "text/plain; charset=utf-8")

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_ELEMENT = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+', re.DOTALL)
_RANGE = re.compile(rf"[ \t]*({_TOKEN}/{_TOKEN})[ \t]*(?=;|$)")
_PARAMETER = re.compile(rf';[ \t]*(?:({_TOKEN})=({_TOKEN}|"(?:\\.|[^"\\])*"))?[ \t]*')
_WEIGHT = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")


def choose(request: web.Request, *offered: Form) -> Form:
    """The offered form that the client likes best; among equals the one offered first.

    Without the header that is the first. Raises: Refused (not-acceptable).
    """
    headers = request.headers.getall("Accept", ())
    if not headers:
        return offered[0]
    best, weight = offered[0], 0.0
    ranges = list(_ranges(headers))
    for form in offered:
        liked = _weight(form, ranges)
        if liked > weight:
            best, weight = form, liked
    if not weight:
        known = ", ".join(form.content_type for form in offered)
        raise Refused("not-acceptable", f"what is asked for is available as {known}")
    return best


def _ranges(headers: Iterable[str]) -> Iterable[tuple[str, dict[str, str], float]]:
    """Media type, parameters and weight of each element. What is malformed names nothing."""
    for element in _ELEMENT.findall(",".join(headers)):
        match = _RANGE.match(element)
        at = len(element) if match is None else match.end()
        parameters: dict[str, str] = {}
        while match is not None and at < len(element):
            match_one = _PARAMETER.match(element, at)
            if match_one is None:
                match = None
                break
            at = match_one.end()
            if match_one[1] and "q" not in parameters:  # what follows the weight is no parameter
                parameters[match_one[1].lower()] = _unquoted(match_one[2]).lower()
        text = parameters.pop("q", "1")
        if match is not None and _WEIGHT.fullmatch(text):
            yield match[1].lower(), parameters, float(text)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value


def _weight(form: Form, ranges: Iterable[tuple[str, dict[str, str], float]]) -> float:
    """The weight that the most specific range gives this form; 0 if none names it."""
    found: list[tuple[int, float]] = []
    family = form.media_type.partition("/")[0] + "/*"
    for media_type, parameters, weight in ranges:
        if media_type not in (form.media_type, family, "*/*"):
            continue
        if any(form.parameters.get(name) != value for name, value in parameters.items()):
            continue
        exact = 2 + len(parameters) if media_type == form.media_type else 0
        found.append((exact or int(media_type == family), weight))
    return max(found, default=(0, 0.0))[1]
