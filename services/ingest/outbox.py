"""Step 7: tells others what was committed, at least once, from rows that the commit wrote.

The committing process delivers at once, and what is committed during one call goes with the next; what it did not
manage (it crashed, the other end was away) the sweep takes when its lease is over, with exponential backoff and jitter.
A message is gone only once the other end has acknowledged it.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Sequence

from prometheus_client import Counter

from services.common.clock import Clock
from services.common.errors import DeadlineExceeded, ResourceExhausted, Unavailable, UsherError
from services.common.telemetry import NEW_TRACE, Telemetry, parse_traceparent
from services.ingest.erasures import ErasedViewers
from services.ingest.faults import crash_point
from services.ingest.ledger import Ledger
from services.ingest.peers import Peers
from services.ingest.records import OutboxRow
from services.ingest.store import Store
from usher.alerts.v1 import alerts_pb2

ALERTS = "alerts"

_SWEEP_S = 0.5
_LEASE_MS = 10_000
_MOST = 16
_FIRST_DELAY_MS = 500
_LONGEST_DELAY_MS = 60_000
_MOST_TOGETHER = 64
"""Rows of one call, each with the messages of one commit."""
_MOST_BYTES = 1 << 20
_MOST_MESSAGES = 1_000
"""What alerts takes in one call."""
_MOST_WAITING = 1_024
"""Rows that wait in memory for the call before them; what comes beyond is left to the sweep."""
_TRANSIENT = (Unavailable, DeadlineExceeded, ResourceExhausted)


class Outbox:
    """Delivers. `run` sweeps until it is cancelled."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        peers: Peers,
        erased: ErasedViewers,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._peers = peers
        self._erased = erased
        self._calls: set[asyncio.Future[None]] = set()
        self._clock = clock
        self._telemetry = telemetry
        self._log = telemetry.logger("outbox")
        self._fresh: list[OutboxRow] = []
        self._task: asyncio.Task[None] | None = None
        self._delivered = Counter(
            "usher_outbox_delivered", "Messages delivered.", ("topic",), registry=telemetry.registry
        )
        self._failures = Counter(
            "usher_outbox_failures",
            "Deliveries that failed and are tried again.",
            ("topic",),
            registry=telemetry.registry,
        )

    def deliver_soon(self, row_id: int, topic: str, traceparent: str, body: bytes) -> None:
        """Delivers a message just committed, beside everything else."""
        if len(self._fresh) >= _MOST_WAITING:
            return
        self._fresh.append(OutboxRow(row_id, topic, 0, traceparent, body))
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(
                self._deliver_fresh(), context=contextvars.Context()
            )

    async def _deliver_fresh(self) -> None:
        while self._fresh:
            rows = _together(self._fresh)
            del self._fresh[: len(rows)]
            await self._deliver(rows)

    async def settle(self) -> None:
        """Returns once the deliveries under way have ended."""
        while self._task is not None and not self._task.done():
            await asyncio.wait({self._task})

    async def calls_ended(self) -> None:
        """Returns once the calls that are under way now have ended."""
        if self._calls:
            await asyncio.wait(set(self._calls))

    async def run(self) -> None:
        """Takes what is due, for ever."""
        while True:
            try:
                rows = await self._store.database.run(
                    self._store.claim_outbox, self._clock.now_ms(), _LEASE_MS, _MOST
                )
                left = list(rows)
                while left:
                    some = _together(left)
                    del left[: len(some)]
                    await self._deliver(some)
            except UsherError as error:
                self._log.warning("the outbox cannot be read", extra={"reason": error.reason})
                rows = []
            if len(rows) < _MOST:
                await asyncio.sleep(_SWEEP_S)

    async def _deliver(self, rows: Sequence[OutboxRow]) -> None:
        """Delivers rows in one call; those that it did not manage are put off."""
        request, told = alerts_pb2.RaiseAlertsRequest(), []
        for row in rows:
            read = alerts_pb2.RaiseAlertsRequest.FromString(row.body).messages
            # Without those that were read before their subject was erased.
            messages = [one for one in read if not self._erased.concerns(one)]
            if messages:
                request.messages.extend(messages)
                told.append(row)
            else:
                self._ledger.delivered(row.id)
        if not told:
            return
        crash_point("tell.before")
        traces = [
            one for one in (parse_traceparent(row.traceparent) for row in told if row.traceparent) if one
        ]
        alone = len(told) == 1
        call = asyncio.get_running_loop().create_future()
        self._calls.add(call)
        try:
            with self._telemetry.span(
                "ingest.tell",
                parent=traces[0] if alone and traces else NEW_TRACE,
                links=[] if alone else traces,
            ):
                answer = await self._peers.raise_alerts(request)
        except UsherError as error:
            if not alone and not isinstance(error, _TRANSIENT):
                # One that cannot be taken must not hold up the others.
                for row in told:
                    await self._deliver([row])
                return
            await self._put_off(told, error)
            return
        finally:
            self._calls.discard(call)
            call.set_result(None)
        invalid = [
            result.error for result in answer.results if result.status == alerts_pb2.RAISE_STATUS_INVALID
        ]
        if invalid:
            # Trying again cannot help; the row would come back for ever.
            self._log.error("alerts refused messages", extra={"topic": ALERTS, "errors": invalid[:8]})
        crash_point("tell.after")
        for row in told:
            self._delivered.labels(row.topic).inc()
            self._ledger.delivered(row.id)

    async def _put_off(self, rows: Sequence[OutboxRow], error: UsherError) -> None:
        now_ms = self._clock.now_ms()
        due = {}
        for row in rows:
            self._failures.labels(row.topic).inc()
            delay = min(_LONGEST_DELAY_MS, _FIRST_DELAY_MS << min(row.attempts, 16))
            due[row.id] = now_ms + int(delay * random.uniform(0.5, 1.0))
        await self._store.database.run(self._store.postpone_outbox, due)
        self._log.warning(
            "messages could not be delivered; they are tried again",
            extra={
                "topic": ALERTS,
                "rows": len(rows),
                "attempts": max(row.attempts for row in rows),
                "reason": error.reason,
            },
        )


def _together(rows: Sequence[OutboxRow]) -> list[OutboxRow]:
    """The first rows that one call carries, at least one."""
    found: list[OutboxRow] = []
    size = number = 0
    for row in rows[:_MOST_TOGETHER]:
        size += len(row.body)
        number += len(alerts_pb2.RaiseAlertsRequest.FromString(row.body).messages)
        if found and (size > _MOST_BYTES or number > _MOST_MESSAGES):
            break
        found.append(row)
    return found
