"""GET /metrics: the same facts as health, and counts, for Prometheus. What is asked for is read at that moment.

Anyone may read it: it tells volume and the state of witnesses, which the public tree heads and health tell as well. No
tenant, stream, key or person is named.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tlog.api.context import WRITER
from tlog.api.query import refuse_query
from tlog.log import Log
from tlog.witnesses.keeper import STATUSES

PROMETHEUS = CONTENT_TYPE_LATEST


async def get_metrics(request: web.Request) -> web.Response:
    """Counters and gauges in the text format of Prometheus."""
    refuse_query(request)
    registry = CollectorRegistry()
    registry.register(_LogCollector(request.app[WRITER]))
    return web.Response(
        body=generate_latest(registry),
        headers={"Content-Type": PROMETHEUS, "Cache-Control": "no-store"},
    )


class _LogCollector(Collector):
    def __init__(self, log: Log) -> None:
        self._log = log

    def describe(self) -> list[Metric]:
        """Nothing: a registry that asks would collect twice."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The metrics of this moment."""
        log = self._log
        sequencer, newest = log.sequencer, log.publication.newest
        head = sequencer.head
        yield CounterMetricFamily("tlog_commits", "Commits of the log.", head.commit)
        yield CounterMetricFamily(
            "tlog_events", "Events recorded by this process.", sequencer.committed_events
        )
        for name, what, value in (
            ("tlog_taking_events", "1 while events are taken.", sequencer.status == "ok"),
            ("tlog_waiting_events", "Events that wait for a commit.", sequencer.waiting),
            ("tlog_root_size", "Leaves of the newest signed root.", head.root.size),
            (
                "tlog_published_size",
                "Leaves of the newest published root.",
                0 if newest is None else newest[0],
            ),
            ("tlog_disk_free_bytes", "Free disk under the store.", log.store.disk_free()),
        ):
            yield GaugeMetricFamily(name, what, float(value))
        if log.workers is not None:
            workers, alive = log.workers()
            yield GaugeMetricFamily("tlog_workers", "Front ends that there should be.", workers)
            yield GaugeMetricFamily("tlog_workers_alive", "Front ends that are there.", alive)
        yield from _witnesses(log)


def _witnesses(log: Log) -> Iterator[Metric]:
    newest = log.publication.newest
    size = 0 if newest is None else newest[0]
    now, patience = time.monotonic(), log.publication.patience
    cosigned = GaugeMetricFamily(
        "tlog_witness_cosigned_size", "Leaves of the root cosigned last.", labels=["witness"]
    )
    leaves = GaugeMetricFamily(
        "tlog_witness_lag_leaves", "Published leaves not cosigned.", labels=["witness"]
    )
    seconds = GaugeMetricFamily(
        "tlog_witness_lag_seconds",
        "For how long a published root has waited for its cosignature.",
        labels=["witness"],
    )
    status = GaugeMetricFamily(
        "tlog_witness_status", "1 for the status that it has.", labels=["witness", "status"]
    )
    pushes = CounterMetricFamily(
        "tlog_witness_pushes",
        "Exchanges, and dropped lines, by outcome.",
        labels=["witness", "outcome"],
    )
    for keeper in log.publication.keepers:
        name = [keeper.name]
        cosigned.add_metric(name, keeper.size)
        leaves.add_metric(name, max(0, size - keeper.size))
        seconds.add_metric(name, keeper.lag(now))
        is_now = keeper.status(now, patience)
        for one in STATUSES:
            status.add_metric([keeper.name, one], float(one == is_now))
        for outcome, count in sorted(keeper.outcomes.items()):
            pushes.add_metric([keeper.name, outcome], count)
    yield from (cosigned, leaves, seconds, status, pushes)
