"""How much waits, for how long, and whether there is room for more: measured every second.

What waits too long, here, at a source or for a subscriber, and a disk that fills, are told to alerts through the outbox:
once from the moment it begins until it is over.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import NamedTuple

from prometheus_client import Gauge

from services.common.clock import Clock
from services.common.errors import ResourceExhausted, UsherError
from services.common.telemetry import Telemetry
from services.ingest.fair_queue import fits_with_measured
from services.ingest.messages import condition_alert
from services.ingest.outbox import ALERTS, Outbox
from services.ingest.records import Commit
from services.ingest.settings import PipelineSettings
from services.ingest.store import Store
from services.ingest.store_flow import FlowStore
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import flow_pb2

OPERATOR = "usher"
"""The tenant under which conditions are told that concern no tenant."""
ENDED = "ENDED"
"""What a source that came to its end says it waits for: nothing."""

_EVERY_S = 1.0
_SOURCES_EVERY = 5
_SILENT_MS = 120_000
_DAY_MS = 86_400_000
_GONE_MS = 30 * _DAY_MS
_DISK_DELAY_S = 30.0
_INBOX_DELAY_S = 5.0


class Condition(NamedTuple):
    """Something that people should know while it lasts."""

    tenant: str
    kind: str
    entity_kind: str
    entity: str
    summary: str
    critical: bool


class Backlog:
    """Measures, and refuses what has no room. `run` measures until it is cancelled."""

    def __init__(
        self,
        *,
        store: Store,
        flow: FlowStore,
        outbox: Outbox,
        settings: PipelineSettings,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._flow = flow
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._log = telemetry.logger("backlog")
        self._pending: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._oldest: tuple[int, str] | None = None
        self._free_bytes: int | None = None
        self._folder = _folder_of(store)
        self._reports: list[flow_pb2.SourceReport] = []
        self._untold: list[tuple[str, str, int]] = []
        self._told: dict[tuple[str, str, str], int] = {}
        registry = telemetry.registry
        Gauge("usher_pending_events", "Events accepted and not yet decided.", registry=registry).set_function(
            lambda: sum(self._pending.values())
        )
        Gauge(
            "usher_oldest_pending_seconds",
            "Age of the oldest event that was accepted and not yet decided; 0 if none.",
            registry=registry,
        ).set_function(lambda: self._oldest_ms() / 1000)
        Gauge(
            "usher_disk_free_bytes", "Room on the disk of the database; -1 if not watched.", registry=registry
        ).set_function(lambda: -1 if self._free_bytes is None else self._free_bytes)
        self._lag = Gauge(
            "usher_sources_lag_seconds",
            "Age of the oldest record that waits at a source of that kind; 0 if none.",
            ("kind",),
            registry=registry,
        )

        Gauge(
            "usher_subscribers_lag_seconds",
            "Age of the oldest decision that a subscriber has not acknowledged, of all that lag; 0 if none.",
            registry=registry,
        ).set_function(lambda: max((self._age_ms(oldest) for *_, oldest in self._untold), default=0) / 1000)

    # -- room --------------------------------------------------------------------------------------

    def room_on_disk(self) -> None:
        """Raises ResourceExhausted (DISK_FULL)."""
        if self._free_bytes is not None and self._free_bytes < self._settings.disk_reserve_bytes:
            raise ResourceExhausted(
                "DISK_FULL",
                "the disk of the database is nearly full; free some room, then send again",
                metadata={"reserve_bytes": str(self._settings.disk_reserve_bytes)},
                retry_after=_DISK_DELAY_S,
            )

    def room_in_inbox(self, tenant: str, number: int) -> None:
        """Raises ResourceExhausted (QUEUE_FULL) where the inbox has no room for that many events of a tenant."""
        counts = {
            name: self._pending.get(name, 0) + self._taken.get(name, 0)
            for name in {*self._pending, *self._taken}
        }
        most = self._settings.max_inbox_events
        if not fits_with_measured(number, tenant, counts, most):
            raise ResourceExhausted(
                "QUEUE_FULL",
                f"{sum(counts.values())} accepted events are waiting, {counts.get(tenant, 0)} of them of this tenant",
                metadata={"limit": str(most), "waiting": str(sum(counts.values()))},
                retry_after=_INBOX_DELAY_S,
            )

    def accepted(self, tenant: str, number: int) -> None:
        """Counts events put into the inbox since it was last measured."""
        self._taken[tenant] = self._taken.get(tenant, 0) + number

    # -- measuring ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Measures, for ever."""
        round_number = 0
        while True:
            try:
                await self.measure(sources=round_number % _SOURCES_EVERY == 0)
            except UsherError as error:
                self._log.warning("the backlog cannot be measured", extra={"reason": error.reason})
            round_number += 1
            await asyncio.sleep(_EVERY_S)

    async def measure(self, *, sources: bool = True) -> None:
        """Measures once, and tells what is new."""
        counted, self._taken = self._taken, {}
        try:
            pending = await self._store.database.read(self._store.pending)
        except UsherError:
            for tenant, number in counted.items():
                self._taken[tenant] = self._taken.get(tenant, 0) + number
            raise
        self._pending = {tenant: number for tenant, (number, _) in pending.items()}
        self._oldest = min(((oldest, tenant) for tenant, (_, oldest) in pending.items()), default=None)
        if self._folder is not None and self._settings.disk_reserve_bytes:
            self._free_bytes = (await asyncio.to_thread(shutil.disk_usage, self._folder)).free
        if sources:
            await self._read_reports()
            since = self._clock.now_ms() - _GONE_MS
            self._untold = await self._store.database.read(self._flow.untold, since)
        await self._tell(self.conditions())

    async def _read_reports(self) -> None:
        since = self._clock.now_ms() - _DAY_MS
        bodies = await self._store.database.read(self._flow.reports, None, since)
        self._reports = [flow_pb2.SourceReport.FromString(body) for body in bodies]
        lags: dict[str, float] = {}
        for report in self._reports:
            lags[report.kind] = max(lags.get(report.kind, 0.0), report.lag_ms / 1000)
        for kind, seconds in lags.items():
            self._lag.labels(kind).set(seconds)

    def _oldest_ms(self) -> int:
        return 0 if self._oldest is None else self._age_ms(self._oldest[0])

    def _age_ms(self, since_ms: int) -> int:
        return max(0, self._clock.now_ms() - since_ms)

    def conditions(self) -> list[Condition]:
        """What people should know now."""
        limit_ms = self._settings.oldest_pending_alert_seconds * 1000
        found = []
        if self._oldest is not None and self._oldest_ms() > limit_ms:
            found.append(
                Condition(
                    self._oldest[1],
                    "ingest.backlog",
                    "service",
                    "ingest",
                    f"Accepted events have waited for more than {limit_ms / 1000:g} s",
                    False,
                )
            )
        if self._free_bytes is not None and self._free_bytes < self._settings.disk_reserve_bytes:
            found.append(
                Condition(
                    OPERATOR,
                    "ingest.disk",
                    "service",
                    "ingest",
                    "The disk is full: nothing is taken in",
                    True,
                )
            )
        now_ms = self._clock.now_ms()
        for report in self._reports:
            who = f"{report.name}.{report.instance}"
            ended = report.waiting_for == ENDED
            if not ended and now_ms - report.report_time.ToMilliseconds() > _SILENT_MS:
                found.append(
                    Condition(
                        report.tenant, "source.silent", "source", who, "A source does not report", False
                    )
                )
            elif not ended and report.lag_ms > limit_ms:
                found.append(
                    Condition(
                        report.tenant,
                        "source.lag",
                        "source",
                        who,
                        f"Records have waited at a source for more than {limit_ms / 1000:g} s",
                        False,
                    )
                )
        for tenant, name, oldest in self._untold:
            if self._age_ms(oldest) > limit_ms:
                summary = f"Decisions have waited for a subscriber for more than {limit_ms / 1000:g} s"
                found.append(Condition(tenant, "subscriber.lag", "subscriber", name, summary, False))
        return found

    async def _tell(self, conditions: list[Condition]) -> None:
        now = {(one.tenant, one.kind, one.entity): one for one in conditions}
        self._told = {key: since for key, since in self._told.items() if key in now}
        new = [one for key, one in now.items() if key not in self._told]
        if not new:
            return
        now_ms = self._clock.now_ms()
        messages = [
            condition_alert(
                one.tenant,
                kind=one.kind,
                entity_kind=one.entity_kind,
                entity=one.entity,
                since_ms=now_ms,
                severity=alerts_pb2.SEVERITY_CRITICAL if one.critical else alerts_pb2.SEVERITY_HIGH,
                summary=one.summary,
            )
            for one in new
        ]
        body = alerts_pb2.RaiseAlertsRequest(messages=messages).SerializeToString()
        committed = await self._store.database.run(self._store.commit, Commit(outbox=[(ALERTS, "", body)]))
        for row_id in committed.outbox_ids:
            self._outbox.deliver_soon(row_id, ALERTS, "", body)
        for one in new:
            self._told[(one.tenant, one.kind, one.entity)] = now_ms
            self._log.warning(one.summary, extra={"kind": one.kind, "entity": one.entity})


def _folder_of(store: Store) -> Path | None:
    if store.database.dialect != "sqlite":
        return None
    with store.database.reading() as connection:
        files = [row[2] for row in connection.exec_driver_sql("PRAGMA database_list") if row[1] == "main"]
    return Path(files[0]).parent if files and files[0] else None
