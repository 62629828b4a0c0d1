"""Step 7: tells others what was committed, at least once, from rows that the commit wrote.

The committing process delivers at once; what it did not manage (it crashed, the other end was away) the sweep takes
when its lease is over, with exponential backoff and jitter. A message is gone only once the other end has acknowledged it.
"""

from __future__ import annotations

import asyncio
import contextvars
import random

from prometheus_client import Counter

from services.common.clock import Clock
from services.common.errors import UsherError
from services.common.telemetry import NEW_TRACE, Telemetry, parse_traceparent
from services.ingest.erasures import ErasedViewers
from services.ingest.faults import crash_point
from services.ingest.ledger import Ledger
from services.ingest.peers import Peers
from services.ingest.store import Store
from usher.alerts.v1 import alerts_pb2

ALERTS = "alerts"

_SWEEP_S = 0.5
_LEASE_MS = 10_000
_MOST = 16
_FIRST_DELAY_MS = 500
_LONGEST_DELAY_MS = 60_000


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
        self._tasks: set[asyncio.Task[None]] = set()
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
        task = asyncio.get_running_loop().create_task(
            self._deliver(row_id, topic, traceparent, body, 0), context=contextvars.Context()
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Returns once the deliveries under way have ended."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)

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
                for row in rows:
                    await self._deliver(row.id, row.topic, row.traceparent, row.body, row.attempts)
            except UsherError as error:
                self._log.warning("the outbox cannot be read", extra={"reason": error.reason})
                rows = []
            if len(rows) < _MOST:
                await asyncio.sleep(_SWEEP_S)

    async def _deliver(self, row_id: int, topic: str, traceparent: str, body: bytes, attempts: int) -> None:
        request = alerts_pb2.RaiseAlertsRequest.FromString(body)
        for index in range(len(request.messages) - 1, -1, -1):
            # Read before its subject was erased.
            if self._erased.concerns(request.messages[index]):
                del request.messages[index]
        if not request.messages:
            self._ledger.delivered(row_id)
            return
        crash_point("tell.before")
        parent = parse_traceparent(traceparent) if traceparent else None
        call = asyncio.get_running_loop().create_future()
        self._calls.add(call)
        try:
            with self._telemetry.span("ingest.tell", parent=parent or NEW_TRACE):
                answer = await self._peers.raise_alerts(request)
        except UsherError as error:
            self._failures.labels(topic).inc()
            self._log.warning(
                "a message could not be delivered; it is tried again",
                extra={"topic": topic, "attempts": attempts, "reason": error.reason},
            )
            delay = min(_LONGEST_DELAY_MS, _FIRST_DELAY_MS << min(attempts, 16))
            due = self._clock.now_ms() + int(delay * random.uniform(0.5, 1.0))
            await self._store.database.run(self._store.postpone_outbox, row_id, due)
            return
        finally:
            self._calls.discard(call)
            call.set_result(None)
        invalid = [
            result.error for result in answer.results if result.status == alerts_pb2.RAISE_STATUS_INVALID
        ]
        if invalid:
            # Trying again cannot help; the row would come back for ever.
            self._log.error("alerts refused messages", extra={"topic": topic, "errors": invalid[:8]})
        crash_point("tell.after")
        self._delivered.labels(topic).inc()
        self._ledger.delivered(row_id)
