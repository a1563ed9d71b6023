"""What the audit tells Prometheus, asked for at the time of the scrape."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from witness.audit import signs
from witness.audit.crew import Crew, Report, lag, lag_seconds

_FIGURES = (
    ("audited_size", "Leaves of the root log that are audited in full."),
    ("audit_lag_leaves", "Leaves of the root log that are signed and not audited."),
    ("audit_lag_seconds", "Seconds for which there has been something to audit."),
    ("audited_heads", "Stream heads checked since the start."),
    ("audit_round_seconds", "How long the last round took."),
)


class AuditFigures(Collector):
    """Of all logs that are followed; series by the log's origin."""

    def __init__(self, crew: Crew, most: int) -> None:
        """With more than `most` logs there are series only of those that are in trouble."""
        self._crew = crew
        self._most = most

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges; `witness_audit_trouble` is 1 for a trouble that was alarmed."""
        reports = self._crew.reports(self._most)
        families = [
            GaugeMetricFamily(f"witness_{name}", text, labels=["origin"]) for name, text in _FIGURES
        ]
        for report in reports:
            for family, value in zip(families, _values(report), strict=True):
                family.add_metric([report.log.origin], value)
        yield from families
        trouble = GaugeMetricFamily(
            "witness_audit_trouble", "1 while a log is in this trouble.", labels=["origin", "name"]
        )
        for report in reports:
            now = {sign.name for sign in report.signs if sign.raised}
            for name in signs.NAMES:
                trouble.add_metric([report.log.origin, name], float(name in now))
        yield trouble


def _values(report: Report) -> tuple[float, ...]:
    progress = report.progress
    late = lag_seconds(report, time.time())
    return (report.row.audited, lag(report), late, progress.counts.heads, progress.seconds)
