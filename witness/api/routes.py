"""The route table: one row per endpoint, in the order in which aiohttp tries them. The README lists each."""

from __future__ import annotations

from tlog.core.add_checkpoint import PATH
from witness.api import audit, cosigning, gossip, pages
from witness.api.context import Route

ROUTES: tuple[Route, ...] = (
    Route("POST", PATH, cosigning.post_add_checkpoint, "C2SP tlog-witness: cosign a checkpoint"),
    Route(
        "GET",
        "/{origin_hash}/checkpoint",
        cosigning.get_checkpoint,
        "the newest cosigned checkpoint of the log whose origin has this SHA-256, in hex",
    ),
    Route("GET", "/", pages.get_index, "name, vkeys and logs, for people"),
    Route("GET", "/health", pages.get_health, "is the witness cosigning, and which logs not"),
    Route("GET", "/metrics", pages.get_metrics, "Prometheus metrics"),
    *gossip.ROUTES,
    *audit.ROUTES,
)
