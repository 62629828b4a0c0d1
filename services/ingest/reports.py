"""What the newest reports on outcomes say, as metrics: the job that writes them ends and has none of its own."""

from __future__ import annotations

import asyncio

from prometheus_client import Gauge

from services.common.clock import Clock
from services.common.errors import UsherError
from services.common.telemetry import Telemetry
from services.ingest.store_feedback import FeedbackStore
from usher.ingest.v1 import feedback_pb2

_EVERY_S = 60.0


class Reports:
    """Looks at the reports of all tenants. `run` looks until it is cancelled."""

    def __init__(self, store: FeedbackStore, clock: Clock, telemetry: Telemetry) -> None:
        self._store = store
        self._clock = clock
        self._log = telemetry.logger("reports")
        self._oldest_ms: int | None = None
        self._alarming = Gauge(
            "usher_fairness_groups_alarming",
            "Groups whose false alarms differ from all others' beyond the bounds, in the newest reports of all tenants.",
            registry=telemetry.registry,
        )
        Gauge(
            "usher_feedback_report_age_seconds",
            "Age of the tenant's newest report on outcomes that is oldest; 0 where no outcomes were ever looked at.",
            registry=telemetry.registry,
        ).set_function(
            lambda: (
                0.0 if self._oldest_ms is None else max(0.0, (self._clock.now_ms() - self._oldest_ms) / 1000)
            )
        )

    async def run(self) -> None:
        """Looks once a minute, for ever."""
        while True:
            try:
                await self.look()
            except UsherError as error:
                self._log.warning("reports cannot be looked at", extra={"reason": error.reason})
            await asyncio.sleep(_EVERY_S)

    async def look(self) -> None:
        """Looks once."""
        bodies = await self._store.database.read(self._store.reports)
        reports = [feedback_pb2.FeedbackReport.FromString(body) for body in bodies]
        self._alarming.set(sum(group.alarming for report in reports for group in report.groups))
        self._oldest_ms = min((report.time.ToMilliseconds() for report in reports), default=None)
