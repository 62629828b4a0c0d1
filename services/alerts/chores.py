"""What runs beside the calls: batches of messages, what time brings, labels for ingest, dead channels, retention."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from prometheus_client import Gauge

from services.alerts.settings import RetentionSettings
from services.alerts.store import AlertStore
from services.alerts.store_deliveries import DeliveryStore, Trouble
from services.alerts.store_retention import RetentionStore
from services.common.background import FAILED
from services.common.clock import Clock
from services.common.errors import InvalidArgument, UsherError
from services.common.telemetry import Telemetry
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2

MOST_AT_ONCE = 4_000
"""Messages of one transaction; calls that wait meanwhile share the next one."""
_SWEEP_S = 1.0
_TROUBLE_S = 15.0
_LABELS_S = 1.0
_RETENTION_S = 60.0
_LEASE_MS = 30_000
_LONGEST_DELAY_S = 300.0


_Waiting = tuple[Sequence[alerts_pb2.AlertMessage], asyncio.Future[list[alerts_pb2.RaiseResult]]]


class Raiser:
    """Takes messages of many calls into few transactions: what arrives during one is the next."""

    def __init__(self, store: AlertStore, clock: Clock, after: Callable[[], None]) -> None:
        """`after` is called when something was committed: it wakes deliveries and watchers."""
        self._store = store
        self._clock = clock
        self.wake = after
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    async def raise_messages(
        self, messages: Sequence[alerts_pb2.AlertMessage]
    ) -> list[alerts_pb2.RaiseResult]:
        """As AlertStore.raise_messages."""
        if not messages:
            return []
        future: asyncio.Future[list[alerts_pb2.RaiseResult]] = asyncio.get_running_loop().create_future()
        self._waiting.append((messages, future))
        if self._task is None or self._task.done():
            # A context of its own: the batch serves many calls and inherits no call's deadline or trace.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch: list[_Waiting] = []
            number = 0
            while self._waiting and (not batch or number + len(self._waiting[0][0]) <= MOST_AT_ONCE):
                batch.append(self._waiting.pop(0))
                number += len(batch[-1][0])
            together = [message for messages, _ in batch for message in messages]
            try:
                results = await self._store.raise_messages(together, self._clock.now_ms())
            except Exception as error:  # noqa: BLE001 - each call gets it and raises it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            start = 0
            for messages, future in batch:
                if not future.done():
                    future.set_result(results[start : start + len(messages)])
                start += len(messages)
            self.wake()


class Chores:
    """Everything that runs until the process ends."""

    def __init__(
        self,
        store: AlertStore,
        deliveries: DeliveryStore,
        raiser: Raiser,
        record_labels: Callable[[labels_pb2.RecordLabelsRequest], Awaitable[Any]] | None,
        dead_after_s: float,
        old: RetentionStore,
        retention: RetentionSettings,
        *,
        wake: Callable[[], None],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._deliveries = deliveries
        self._raiser = raiser
        self._record_labels = record_labels
        self._dead_after_ms = round(dead_after_s * 1000)
        self._old = old
        self._retention = retention
        self._wake = wake
        self._clock = clock
        self._log = telemetry.logger("chores")
        self._tasks: list[asyncio.Task[None]] = []
        self._dead = Gauge(
            "usher_alerts_channel_dead",
            "Deliveries that a channel has not got through for a while, by channel.",
            ("channel",),
            registry=telemetry.registry,
        )

    def start(self) -> None:
        """Begins."""
        loops: list[tuple[str, Callable[[], Awaitable[object]], float]] = [
            ("sweep", self.sweep, _SWEEP_S),
            ("trouble", self.tell_trouble, _TROUBLE_S),
            ("retention", self.forget, _RETENTION_S),
        ]
        if self._record_labels is not None:
            loops.append(("labels", self.hand_over_labels, _LABELS_S))
        else:
            self._log.warning("no ingest is configured: labels of resolved incidents wait here")
        self._tasks = [asyncio.create_task(self._repeat(*loop)) for loop in loops]

    async def stop(self) -> None:
        """Ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, name: str, chore: Callable[[], Awaitable[object]], pause: float) -> None:
        while True:
            try:
                await chore()
            except UsherError as error:
                self._log.warning("a chore waits", extra={"reason": error.reason})
            except Exception:  # noqa: BLE001
                # The last line of defence: what was not done is done at the next turn.
                FAILED.labels(name).inc()
                self._log.exception("a chore failed")
            await asyncio.sleep(pause)

    async def sweep(self) -> None:
        """Tells what waited for the end of a snooze, and incidents that are late."""
        if await self._store.sweep(self._clock.now_ms()):
            self._wake()

    async def tell_trouble(self) -> list[Trouble]:
        """Raises an alert for every channel that does not get through."""
        now_ms = self._clock.now_ms()
        found = await self._deliveries.trouble(now_ms, self._dead_after_ms)
        self._dead.clear()
        messages = []
        for one in found:
            self._dead.labels(one.channel).inc(one.waiting + one.dead)
            message = alerts_pb2.AlertMessage(
                tenant=one.tenant,
                # Once an hour while it lasts; the alert's window keeps it one alert.
                event_id=f"channel.{one.channel}.{now_ms // 3_600_000}",
                kind="channel.dead",
                entity_kind="channel",
                entity=one.channel,
                severity=alerts_pb2.SEVERITY_HIGH,
                summary=f"The channel {one.channel} does not get through",
            )
            message.event_time.FromMilliseconds(now_ms)
            messages.append(message)
        if messages:
            await self._raiser.raise_messages(messages)
        return found

    async def forget(self) -> None:
        """Deletes what has had its time, a little a transaction, until nothing has."""
        kept = self._retention
        while any(
            await self._old.forget(
                self._clock.now_ms(),
                messages_days=kept.messages_days,
                deliveries_days=kept.deliveries_days,
                alerts_days=kept.alerts_days,
            )
        ):
            continue

    async def hand_over_labels(self) -> None:
        """Hands what was labelled to ingest, until nothing is due."""
        assert self._record_labels is not None
        while True:
            found = await self._store.claim_labels(self._clock.now_ms(), _LEASE_MS)
            if found is None:
                return
            row_id, attempts, body = found
            try:
                answer = await self._record_labels(labels_pb2.RecordLabelsRequest.FromString(body))
            except InvalidArgument as error:
                # Trying again cannot help; the row would come back for ever.
                self._log.error("ingest refused labels", extra={"reason": error.reason})
            except UsherError as error:
                wait = min(_LONGEST_DELAY_S, 2.0 ** min(attempts, 10)) * random.uniform(0.5, 1.0)
                self._log.warning(
                    "labels could not be handed over; they are tried again", extra={"reason": error.reason}
                )
                await self._store.labels_later(row_id, self._clock.now_ms() + round(wait * 1000))
                return
            else:
                wrong = [one.error for one in answer.results if one.error]
                if wrong:
                    self._log.error("ingest refused labels", extra={"errors": wrong[:8]})
            await self._store.labels_done(row_id)
