"""Prometheus metrics of one witness, in a registry of its own."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from witness.anchorer import Anchorer
from witness.audit.figures import AuditFigures
from witness.gossip import Gossip
from witness.lookout import Looked
from witness.rows import LatestRow, LogRow
from witness.service import Service

#: Above this number of logs there are no series per log: a list may name tens of thousands.
MOST_SERIES = 1_000
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """`registry` is for further metrics of this process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "witness_add_checkpoint",
            "Answers to add-checkpoint by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "witness_add_checkpoint_seconds",
            "From the head of an add-checkpoint request to its answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._commits = Histogram(
            "witness_commit_seconds",
            "One synced transaction with its guard.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._committed = Counter(
            "witness_committed_requests",
            "Requests that went through the writer.",
            registry=self.registry,
        )
        self._unread = Gauge(
            "witness_lookout_unread_pages",
            "Pages of logs and peers that could not be read in the last round.",
            registry=self.registry,
        )
        self._rounds = Counter(
            "witness_lookout_rounds",
            "Rounds over what logs and peers publish.",
            registry=self.registry,
        )

    def observe(self, service: Service) -> None:
        """Report the state of `service` with every scrape."""
        self.registry.register(_State(service))
        self.registry.register(GossipFigures(service.gossip))
        if service.anchorer is not None:
            self.registry.register(AnchorFigures(service.anchorer))
        if service.crew is not None:
            self.registry.register(AuditFigures(service.crew, MOST_SERIES))

    def committed(self, requests: int, seconds: float) -> None:
        """A batch was committed."""
        self._commits.observe(seconds)
        self._committed.inc(requests)

    def looked(self, result: Looked) -> None:
        """A round of the lookout is over."""
        self._rounds.inc()
        self._unread.set(result.failed)

    def page(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self.registry)


class _State(Collector):
    """What is asked for at the time of the scrape."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        status = self._service.status()
        store = self._service.witness.store
        latest = store.all("latest", LatestRow)
        for name, value, text in (
            (
                "cosigning",
                status.name == "ok",
                "1 if checkpoints are cosigned, 0 if something hinders it.",
            ),
            ("clock_right", status.name != "clock", "0 while the clock cannot be believed."),
            ("logs", len(store.all("logs", LogRow)), "Configured logs."),
            ("frozen_logs", len(status.frozen), "Logs frozen because of a fork."),
            (
                "held_logs",
                len(status.held),
                "Logs on hold because the store may be older than what was signed.",
            ),
            ("waiting_requests", self._service.writer.waiting, "Requests that wait for the disk."),
            ("disk_free_bytes", store.disk_free(), "Free bytes on the store's file system."),
        ):
            yield GaugeMetricFamily(f"witness_{name}", text, value=float(value))
        if len(latest) > MOST_SERIES:
            return
        size = GaugeMetricFamily("witness_log_size", "Newest cosigned size.", labels=["origin"])
        time = GaugeMetricFamily(
            "witness_log_cosigned_timestamp_seconds",
            "Time of the newest cosignature.",
            labels=["origin"],
        )
        for row in latest:
            size.add_metric([row.origin], row.size)
            time.add_metric([row.origin], row.time)
        yield size
        yield time


class GossipFigures(Collector):
    """What gossip has seen, asked for at the time of the scrape."""

    def __init__(self, gossip: Gossip) -> None:
        self._gossip = gossip

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """Counters and gauges."""
        watch = self._gossip.watch
        for name, count, text in (
            ("gossip_rounds", self._gossip.rounds, "Rounds over what logs publish and peers know."),
            ("gossip_notes", watch.looked_at, "Notes that a configured log signed."),
            ("gossip_dropped", watch.dropped, "Notes and proofs that did not count."),
        ):
            yield CounterMetricFamily(f"witness_{name}", text, value=count)
        waiting = len(watch.waiting())
        open_ = sum(not row.resolved for row in watch.evidence.all())
        for name, value, text in (
            ("gossip_unread_pages", self._gossip.unread, "Not answered in the last round."),
            ("gossip_waiting_heads", waiting, "Signed heads that could not be compared yet."),
            ("open_evidence", open_, "Evidence against logs that is not resolved."),
        ):
            yield GaugeMetricFamily(f"witness_{name}", text, value=value)
        alarms = CounterMetricFamily("witness_alarms", "Alarms by kind.", labels=["kind"])
        for kind, times in watch.alarms.counts.items():
            alarms.add_metric([kind], times)
        yield alarms


class AnchorFigures(Collector):
    """How anchoring stands, asked for at the time of the scrape."""

    def __init__(self, anchorer: Anchorer) -> None:
        self._anchorer = anchorer

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges."""
        now = self._anchorer.standing()
        for name, value, text in (
            ("anchors", now.stored, "Timestamps over cosigned checkpoints."),
            ("anchors_undelivered", now.undelivered, "Those that their log has not taken yet."),
            ("anchors_failing", len(now.failing), "Authorities and logs that are tried again."),
        ):
            yield GaugeMetricFamily(f"witness_{name}", text, value=value)
