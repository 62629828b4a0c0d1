"""Looks at drift now and then: metrics, and a message to alerts for each column that has moved much."""

from __future__ import annotations

import asyncio
from typing import Self

from prometheus_client import Gauge

from services.common.background import Background
from services.common.client import connect
from services.common.clock import SystemClock
from services.common.errors import UsherError
from services.common.telemetry import Telemetry
from services.scoring import drift
from services.scoring.engine import Engine, Engines
from services.scoring.settings import ScoringSettings
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc

KIND = "duty.drift"
_DAY_MS = 86_400_000


class Drifting:
    """An async context manager that looks while it is open."""

    def __init__(self, engines: Engines, settings: ScoringSettings, telemetry: Telemetry) -> None:
        self._engines = engines
        self._settings = settings
        self._telemetry = telemetry
        self._log = telemetry.logger("drift")
        self._clock = SystemClock()
        self._channel = None if settings.alerts is None else connect(settings.alerts, telemetry=telemetry)
        self._psi = Gauge(
            "usher_scoring_drift_psi",
            "Population stability index of a feature or score against the training of the model in use.",
            ("column",),
            registry=telemetry.registry,
        )
        Gauge(
            "usher_scoring_unexplained_decisions",
            "Decisions of the policy set in use whose factors could not be computed, since it was loaded.",
            registry=telemetry.registry,
        ).set_function(lambda: engine.unexplained if (engine := engines.newest()) else 0)
        # Not in health: scoring decides whether or not drift can be told.
        self._background = Background(self._log)

    async def __aenter__(self) -> Self:
        self._background.start({"drift": self._run})
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._background.stop()
        if self._channel is not None:
            await self._channel.close()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.drift_seconds)
            try:
                await self.look()
            except UsherError as error:
                # The next look tells it: the message's id is stable over the day.
                self._log.warning("drift could not be told", extra={"reason": error.reason})

    async def look(self) -> list[str]:
        """Looks once; returns the columns that have moved much."""
        engine = self._engines.newest()
        if engine is None or engine.drift is None:
            return []
        found = engine.drift.indices()
        for name, value in found.items():
            self._psi.labels(name).set(value)
        moved = sorted((name for name, value in found.items() if value > drift.MOVED), key=found.__getitem__)
        if moved and self._channel is not None:
            messages = [drift_alert(self._settings.drift_tenant, engine, moved, self._clock.now_ms())]
            stub = alerts_pb2_grpc.AlertsServiceStub(self._channel)
            await stub.RaiseAlerts(alerts_pb2.RaiseAlertsRequest(messages=messages))
        return moved


def drift_alert(tenant: str, engine: Engine, moved: list[str], now_ms: int) -> alerts_pb2.AlertMessage:
    """The message that columns have moved; one a day and policy set. `moved` ends with what moved most."""
    most = ", ".join(reversed(moved[-5:]))
    message = alerts_pb2.AlertMessage(
        tenant=tenant,
        event_id=f"drift.{engine.id}.{now_ms // _DAY_MS}",
        kind=KIND,
        entity_kind="service",
        entity="scoring",
        severity=alerts_pb2.SEVERITY_MEDIUM,
        summary=f"{len(moved)} features or scores moved from their training, most of all {most}",
    )
    message.event_time.FromMilliseconds(now_ms)
    return message
