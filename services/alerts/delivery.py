"""Takes what is due from the store to the channels, as long as the process runs.

Nothing is handed over in memory: a telling is a row of the transaction that raised it, so a crash at any point
delivers it later. The wake-up after a call only saves the wait for the next look.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Protocol

from prometheus_client import Counter

from services.alerts.channels import Channel, Delivery
from services.alerts.faults import crash_point
from services.alerts.settings import DeliverySettings
from services.common.clock import Clock
from services.common.telemetry import NEW_TRACE, Telemetry, parse_traceparent

MAX_BACKOFF_SECONDS = 300.0
"""Longest wait between two tries of one delivery."""


class DeliveryStore(Protocol):
    """What the deliverer needs of the store."""

    async def claim(self, limit: int, now_ms: int, claim_ms: int) -> list[Delivery]:
        """Takes up to `limit` deliveries that are due, oldest first; nobody else takes them for `claim_ms`."""
        ...

    async def delivered(self, delivery_ids: Sequence[int], now_ms: int) -> None:
        """Records that they were delivered."""
        ...

    async def put_off(self, delivery_id: int, due_ms: int) -> None:
        """Records a failed try; the delivery is due again at `due_ms`."""
        ...


def backoff_seconds(attempts: int) -> float:
    """Returns the wait after a failed try: 1 s after the first, doubled each time, at most 300 s.

    `attempts` counts the tries before this one, from 0.
    """
    return min(2.0 ** min(attempts, 30), MAX_BACKOFF_SECONDS)


class Deliverer:
    """The loop from store to channels. One a process; processes share the work through claims."""

    def __init__(
        self,
        store: DeliveryStore,
        channels: Mapping[str, Channel],
        settings: DeliverySettings,
        *,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        self._store = store
        self._channels = channels
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._logger: logging.Logger = telemetry.logger("delivery")
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._deliveries = Counter(
            "usher_alerts_deliveries",
            "Tellings by channel and by what became of the try.",
            ("channel", "result"),
            registry=telemetry.registry,
        )

    def start(self) -> None:
        """Begins the loop in the running event loop."""
        self._task = asyncio.create_task(self._run(), name="delivery")

    def wake(self) -> None:
        """Says that something may be due."""
        self._wake.set()

    async def stop(self) -> None:
        """Delivers what is due once more, then ends the loop."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def deliver_due(self) -> int:
        """Claims a batch and tries each delivery of it; returns how many were claimed."""
        batch = await self._store.claim(
            self._settings.batch, self._clock.now_ms(), round(self._settings.claim_seconds * 1000)
        )
        if batch:
            crash_point("alerts.deliver.claimed")
        done: list[int] = []
        for delivery in batch:
            if await self._try(delivery):
                done.append(delivery.delivery_id)
        if done:
            crash_point("alerts.deliver.sent")
            await self._store.delivered(done, self._clock.now_ms())
        return len(batch)

    async def _try(self, delivery: Delivery) -> bool:
        parent = parse_traceparent(delivery.traceparent) or NEW_TRACE
        attributes = {"alert_id": delivery.alert.alert_id, "channel": delivery.channel}
        try:
            with self._telemetry.span("alerts.deliver", parent=parent, attributes=attributes) as span:
                # Someone will look at it, and at the trace of what led to it.
                self._telemetry.keep_trace(span.context)
                async with asyncio.timeout(self._settings.timeout_seconds):
                    await self._channels[delivery.channel].deliver(delivery)
        except Exception as error:  # noqa: BLE001 - whatever a channel raises: tried again, counted, told
            wait = backoff_seconds(delivery.attempts)
            self._deliveries.labels(delivery.channel, "failed").inc()
            self._logger.warning(
                "a delivery failed and will be tried again",
                extra={
                    "telling_id": delivery.telling_id,
                    "channel": delivery.channel,
                    "attempts": delivery.attempts + 1,
                    "error": type(error).__name__,
                    "again_in_s": wait,
                },
            )
            await self._store.put_off(delivery.delivery_id, self._clock.now_ms() + round(wait * 1000))
            return False
        self._deliveries.labels(delivery.channel, "delivered").inc()
        return True

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            last = self._stopping
            claimed = 0
            try:
                claimed = await self.deliver_due()
            except Exception:
                # The store is away: what was claimed is due again when the claim ends.
                self._logger.warning("deliveries could not be taken from the store", exc_info=True)
            if last:
                return
            if not claimed:
                await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._settings.poll_seconds):
                await self._wake.wait()
        except TimeoutError:
            return
