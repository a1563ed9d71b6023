"""What a client says about representations: Accept-Encoding and If-None-Match, RFC 9110 sections 12.5.3 and 13.1.2."""

from __future__ import annotations

import re
from collections.abc import Iterable

_CODING = re.compile(
    r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def prefers_gzip(accept_encoding: Iterable[str], *, gains: bool = True) -> bool:
    """Whether to send gzip rather than the plain bytes; `gains`: it is the smaller one.

    Without the header the bytes are sent as they are: those who do not name a coding often cannot undo one. What is
    malformed names no coding.
    """
    weights: dict[str, float] = {}
    for part in ",".join(accept_encoding).split(","):
        match = _CODING.fullmatch(part.strip(" \t"))
        if match is not None:
            weights[match[1].lower()] = float(match[2] or 1)
    others = weights.get("*")
    gzip = weights.get("gzip", weights.get("x-gzip", others or 0.0))
    # Acceptable unless excluded, and after all that was named.
    identity = weights.get("identity", 0.0005 if others is None else others)
    if not gains:
        return gzip > 0 and identity == 0
    return gzip > 0 and gzip >= identity


def matches(if_none_match: Iterable[str], tag: str) -> bool:
    """Whether the client holds the representation with this strong entity tag already."""
    text = ",".join(if_none_match).strip(" \t")
    return text == "*" or tag in _TAG.findall(text)
