"""Takes what is due from the store to the channels, as long as the process runs.

One loop a channel: a channel that hangs or fails holds up nobody else's. Nothing is handed over in memory: a telling is a
row of the transaction that raised it, so a crash at any point delivers it later. The wake-up after a call only saves
the wait for the next look.

While a channel gets through, more is claimed than goes out at once, so that it never waits for the store; what waited
too long for its claim is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram

from services.alerts import tables
from services.alerts.channels import Channel, RefusedError
from services.alerts.faults import crash_point
from services.alerts.settings import DeliverySettings
from services.alerts.store_deliveries import Exchange, Result
from services.alerts.tellings import Delivery
from services.common.clock import Clock
from services.common.outbound import AddressRefusedError
from services.common.telemetry import NEW_TRACE, Telemetry, parse_traceparent
from services.common.webhooks import LONGEST_RETRY_AFTER_SECONDS, retry_delay

_AHEAD = 4
"""Deliveries claimed ahead for each that may be under way."""


class Deliveries(Protocol):
    """What the deliverer needs of the store."""

    async def exchange(
        self, channel: str, results: Sequence[Result], limit: int, now_ms: int, lease_ms: int
    ) -> Exchange:
        """Records results and claims deliveries that are due."""
        ...


class Deliverer:
    """The loops from store to channels. One a process; processes share the work through claims."""

    def __init__(
        self,
        store: Deliveries,
        channels: Mapping[str, Channel],
        settings: DeliverySettings,
        *,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        metrics = _Metrics(telemetry)
        self._lines = [
            _Line(name, channel, store, settings, telemetry, clock, metrics)
            for name, channel in channels.items()
        ]

    def start(self) -> None:
        """Begins the loops in the running event loop."""
        for line in self._lines:
            line.start()

    def wake(self) -> None:
        """Says that something may be due."""
        for line in self._lines:
            line.wake()

    async def stop(self) -> None:
        """Delivers what is due once more, waits for what is under way, then ends the loops."""
        await asyncio.gather(*(line.stop() for line in self._lines))

    async def deliver_due(self) -> int:
        """Delivers what is due now through every channel, once; returns how many were tried. For tests and drills."""
        return sum(await asyncio.gather(*(line.once() for line in self._lines)))


class _Metrics:
    def __init__(self, telemetry: Telemetry) -> None:
        self.deliveries = Counter(
            "usher_alerts_deliveries",
            "Tellings by channel and by what became of the try.",
            ("channel", "result"),
            registry=telemetry.registry,
        )
        self.seconds = Histogram(
            "usher_alerts_delivery_seconds",
            "Time of one try.",
            ("channel",),
            registry=telemetry.registry,
            buckets=(0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
        )
        self.failing = Gauge(
            "usher_alerts_channel_failing",
            "Whether the channel's last try failed.",
            ("channel",),
            registry=telemetry.registry,
        )


class _Line:
    """One channel's loop."""

    def __init__(
        self,
        name: str,
        channel: Channel,
        store: Deliveries,
        settings: DeliverySettings,
        telemetry: Telemetry,
        clock: Clock,
        metrics: _Metrics,
    ) -> None:
        self._name = name
        self._channel = channel
        self._store = store
        self._settings = settings
        self._telemetry = telemetry
        self._clock = clock
        self._metrics = metrics
        self._logger: logging.Logger = telemetry.logger("delivery")
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._claimed: list[tuple[int, int, float, Delivery]] = []
        """A heap: the gravest first, then the oldest; with when the claim began (monotonic)."""
        self._getting_through = False
        self._results: list[Result] = []

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"delivery.{self._name}")

    def wake(self) -> None:
        self._wake.set()

    async def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task
            self._task = None

    async def once(self) -> int:
        """Claims what is due, tries it, records it."""
        found = await self._exchange(self._settings.in_flight)
        for delivery in found.deliveries:
            await self._try(delivery)
        await self._exchange(0)
        return len(found.deliveries)

    async def _exchange(self, limit: int) -> Exchange:
        results, self._results = self._results, []
        try:
            return await self._store.exchange(
                self._name,
                results,
                limit,
                self._clock.now_ms(),
                round(self._settings.claim_seconds * 1000),
            )
        except BaseException:
            # What cannot be recorded now is recorded next time; else it would go out again.
            self._results = results + self._results
            raise

    async def _run(self) -> None:
        last_round = False
        while True:
            self._wake.clear()
            self._start_claimed()
            wait = self._settings.poll_seconds
            limit = 0 if last_round else self._wanted()
            found = Exchange([], 0)
            began = time.monotonic()
            try:
                if limit > 0 or self._results:
                    found = await self._exchange(limit)
            except Exception:
                # The store is away: what was claimed is due again when the claim ends.
                self._logger.warning("deliveries could not be taken from the store", exc_info=True)
                if last_round:
                    return
                await asyncio.sleep(min(1.0, wait))
                continue
            for delivery in found.deliveries:
                heapq.heappush(self._claimed, (-delivery.severity, delivery.delivery_id, began, delivery))
            if found.deliveries:
                crash_point("alerts.deliver.claimed")
                continue
            if self._stopping and not self._under_way and not self._claimed:
                if last_round and not self._results:
                    return
                last_round = True
                continue
            if found.next_due_ms:
                wait = min(wait, max(0.0, (found.next_due_ms - self._clock.now_ms()) / 1000))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(wait, 0.005)):
                    await self._wake.wait()

    def _wanted(self) -> int:
        """How many to claim. Little is claimed ahead at a time: a claim is a transaction."""
        here = len(self._under_way) + len(self._claimed)
        most = self._settings.in_flight
        if not self._getting_through:
            return most - here
        most *= 1 + _AHEAD
        return most - here if here <= most // 2 else 0

    def _start_claimed(self) -> None:
        while self._claimed and len(self._under_way) < self._settings.in_flight:
            _, _, began, delivery = heapq.heappop(self._claimed)
            if time.monotonic() - began > self._settings.claim_seconds - self._settings.timeout_seconds:
                # Tried now it might be under way beyond its claim, and somebody else would repeat it.
                self._results.append(
                    Result(delivery.delivery_id, tables.PENDING, self._clock.now_ms(), 0, "", tried=False)
                )
                continue
            task = asyncio.create_task(self._try(delivery))
            self._under_way.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._start_claimed()
        self._wake.set()

    async def _try(self, delivery: Delivery) -> None:
        parent = parse_traceparent(delivery.traceparent) or NEW_TRACE
        attributes = {"alert_id": delivery.alert.alert_id, "channel": delivery.channel}
        began = time.monotonic()
        try:
            with self._telemetry.span("alerts.deliver", parent=parent, attributes=attributes) as span:
                # Someone will look at it, and at the trace of what led to it.
                self._telemetry.keep_trace(span.context)
                traced = delivery._replace(traceparent=span.context.traceparent)
                async with asyncio.timeout(self._settings.timeout_seconds):
                    sent = await self._channel.deliver(traced)
        except Exception as error:  # noqa: BLE001 - whatever a channel raises: tried again, counted, told
            self._results.append(self._failed(delivery, error))
        else:
            crash_point("alerts.deliver.sent")
            self._results.append(
                Result(
                    delivery.delivery_id, tables.DELIVERED, self._clock.now_ms(), sent.status, sent.response
                )
            )
            self._count("delivered", failing=False)
        self._metrics.seconds.labels(self._name).observe(time.monotonic() - began)

    def _failed(self, delivery: Delivery, error: Exception) -> Result:
        attempts = delivery.attempts + 1
        status, retry_after = 0, None
        if isinstance(error, RefusedError):
            status, retry_after, response = error.status, error.retry_after, error.response
        elif isinstance(error, AddressRefusedError):
            response = f"the address is refused: {error}"
        else:
            response = f"{type(error).__name__}: {error}"
        now_ms = self._clock.now_ms()
        if attempts >= self._settings.attempts:
            self._count("dead", failing=True)
            self._logger.error(
                "a delivery is given up; replay it with `usher alerts replay`",
                extra={"telling_id": delivery.telling_id, "channel": self._name, "attempts": attempts},
            )
            return Result(delivery.delivery_id, tables.DEAD, now_ms, status, response)
        # The other end's own wish is not stretched or shrunk.
        wait = max(
            retry_delay(attempts) * self._settings.retry_factor,
            min(retry_after or 0.0, LONGEST_RETRY_AFTER_SECONDS),
        )
        self._count("failed", failing=True)
        self._logger.warning(
            "a delivery failed and will be tried again",
            extra={
                "telling_id": delivery.telling_id,
                "channel": self._name,
                "attempts": attempts,
                "error": type(error).__name__,
                "status": status,
                "again_in_s": round(wait, 3),
            },
        )
        return Result(delivery.delivery_id, tables.PENDING, now_ms + round(wait * 1000), status, response)

    def _count(self, result: str, *, failing: bool) -> None:
        self._getting_through = not failing
        self._metrics.deliveries.labels(self._name, result).inc()
        self._metrics.failing.labels(self._name).set(failing)
