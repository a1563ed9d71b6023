"""The limits that hold over all processes of one run."""

from __future__ import annotations

from tlog.api.context import Gate
from tlog.served import Served
from tlog.workers.buckets import SharedBuckets
from tlog.workers.places import Places


def shared_gate(log: Served, places: Places) -> Gate:
    """A gate whose allowances per API key are the same in every process; all else it counts by itself."""
    config = log.config
    return Gate(
        log,
        requests=SharedBuckets(places.buckets("requests"), config.rate_requests, config.rate_burst),
        events=SharedBuckets(places.buckets("events"), config.rate_events, config.rate_burst),
    )
