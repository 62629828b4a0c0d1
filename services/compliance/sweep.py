"""What compliance does by itself: takes up erasures, watches the clocks, delivers its messages, applies the ledger."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial

from prometheus_client import Counter

from services.common.clock import Clock
from services.common.errors import UsherError
from services.common.telemetry import Telemetry
from services.compliance import breaches, telling
from services.compliance import requests as rules
from services.compliance.duties import Facts
from services.compliance.fulfil import LEASE_MS, Fulfilment
from services.compliance.peers import Peers
from services.compliance.store_records import NEVER, RecordStore
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1.records_pb2 import Breach, SubjectRequest, SubjectRight

_MOST = 16
_BREACH_SOON_MS = 12 * 3_600_000
"""How long before the end of a breach's period people are reminded."""
_LEDGER_EVERY_S = 2.0
_RETENTION_EVERY_S = 60.0
"""How often it is looked whether the retention job is due."""
_OUTBOX_LEASE_MS = 10_000
_LONGEST_DELAY_MS = 60_000


class Sweep:
    """What compliance does by itself."""

    def __init__(
        self,
        *,
        store: RecordStore,
        fulfilment: Fulfilment,
        peers: Peers,
        facts: Callable[[], Awaitable[tuple[Facts, ...]]],
        retain: Callable[[], Awaitable[None]],
        seconds: float,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._database = store.database
        self._fulfilment = fulfilment
        self._peers = peers
        self._facts = facts
        self._retain = retain
        self._seconds = seconds
        self._clock = clock
        self._log = telemetry.logger("sweep")
        self._tasks: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._overdue = Counter(
            "usher_subject_requests_overdue",
            "Subject requests whose due time passed without an answer.",
            ("right",),
            registry=telemetry.registry,
        )

    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Everything that is due, each for ever."""
        return {
            "requests": partial(self._every, self._seconds, self.once),
            "ledger": partial(self._every, _LEDGER_EVERY_S, self._ledger),
            "retention": partial(self._every, _RETENTION_EVERY_S, self._retain),
        }

    async def stop(self) -> None:
        """Ends the erasures under way; they are taken up again."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _every(self, seconds: float, what: Callable[[], Awaitable[object]]) -> None:
        told = ""
        while True:
            reason = ""
            try:
                await what()
            except UsherError as error:
                reason = error.reason
                if reason != told:
                    self._log.warning("what is due waits", extra={"reason": reason})
            told = reason
            await asyncio.sleep(seconds)

    async def _ledger(self) -> None:
        if self._peers.names:
            await self._fulfilment.reapply()

    async def once(self) -> None:
        """Looks at what is due now."""
        now_ms = self._clock.now_ms()
        for request in await self._database.run(self._store.claim_requests, now_ms, LEASE_MS, _MOST):
            key = (request.tenant, request.request_id)
            if request.state in (rules.FULFILLING, rules.HELD) or request.certificate:
                if key not in self._tasks:
                    task = asyncio.create_task(self._erase(request))
                    self._tasks[key] = task
                    task.add_done_callback(lambda _, key=key: self._tasks.pop(key, None))  # type: ignore[misc]
            else:
                await self._database.run(self._watch, request)
        for tenant, breach_id in await self._database.read(self._store.breaches_to_look_at, now_ms, _MOST):
            await self._database.run(self._watch_breach, tenant, breach_id)
        await self._deliver()

    async def _erase(self, request: SubjectRequest) -> None:
        renewing = asyncio.create_task(self._renew(request))
        try:
            if request.state in rules.CLOSED:
                await self._fulfilment.tidy(request)
            else:
                await self._fulfilment.erase(request, await self._facts())
        except UsherError as error:
            self._log.warning(
                "an erasure waits", extra={"request_id": request.request_id, "reason": error.reason}
            )
        except Exception:
            # It is taken up again when its lease is over; here is why it ended.
            self._log.exception("an erasure failed", extra={"request_id": request.request_id})
            raise
        finally:
            renewing.cancel()

    async def _renew(self, request: SubjectRequest) -> None:
        while True:
            await asyncio.sleep(LEASE_MS / 4_000)
            until_ms = self._clock.now_ms() + LEASE_MS
            await self._database.run(self._store.renew, request.tenant, request.request_id, until_ms)

    def _watch(self, request: SubjectRequest) -> None:
        told: list[alerts_pb2.AlertMessage] = []

        def change(one: SubjectRequest) -> int:
            now_ms = self._clock.now_ms()
            steps = {step.step for step in one.steps}
            if one.state in rules.CLOSED:
                return NEVER
            if rules.is_late(one, now_ms):
                one.overdue = True
                if "OVERDUE" not in steps:
                    rules.note(one, "OVERDUE", now_ms, "compliance", one.duties[0].cite)
                    told.append(telling.request_overdue(one, now_ms))
                    self._overdue.labels(_right(one)).inc()
                return NEVER
            one.overdue = False
            due = one.due_time.ToMilliseconds()
            if now_ms >= due - rules.DUE_SOON_MS and "DUE_SOON" not in steps:
                rules.note(one, "DUE_SOON", now_ms, "compliance")
                told.append(telling.request_due_soon(one, now_ms))
            return next_look(one, now_ms)

        self._store.change_request(
            request.tenant, request.request_id, change, lambda _: told[0] if told else None
        )

    def _watch_breach(self, tenant: str, breach_id: str) -> None:
        told: list[alerts_pb2.AlertMessage] = []

        def change(one: Breach) -> int:
            now_ms = self._clock.now_ms()
            steps = {step.step for step in one.steps}
            for duty in one.duties:
                duty.overdue = breaches.is_overdue(duty, now_ms)
                if (
                    duty.HasField("sent_time")
                    or duty.applies == breaches.NOT_DUE
                    or not duty.HasField("due_time")
                ):
                    continue
                name = f"{duty.regulation}.{duty.recipient}.{duty.stage}"
                if duty.overdue and f"OVERDUE {name}" not in steps:
                    rules.note(one, f"OVERDUE {name}", now_ms, "compliance", duty.cite)  # type: ignore[arg-type]
                    told.append(telling.notice_overdue(one, duty, now_ms))
                elif (
                    not duty.overdue
                    and now_ms >= duty.due_time.ToMilliseconds() - _BREACH_SOON_MS
                    and f"DUE_SOON {name}" not in steps
                ):
                    rules.note(one, f"DUE_SOON {name}", now_ms, "compliance")  # type: ignore[arg-type]
                    told.append(telling.notice_due_soon(one, duty, now_ms))
            return next_look_at_breach(one, now_ms)

        self._store.change_breach(tenant, breach_id, change, lambda _: told)

    async def _deliver(self) -> None:
        now_ms = self._clock.now_ms()
        if "alerts" not in self._peers.names or not await self._database.read(
            self._store.outbox_waits, now_ms
        ):
            return
        for row in await self._database.run(self._store.claim_outbox, now_ms, _OUTBOX_LEASE_MS, _MOST):
            request = alerts_pb2.RaiseAlertsRequest.FromString(row.body)
            try:
                answer = await self._peers.raise_alerts(request)
            except UsherError as error:
                self._log.warning("a message could not be delivered", extra={"reason": error.reason})
                delay = min(_LONGEST_DELAY_MS, 500 << min(row.attempts, 16))
                due = self._clock.now_ms() + int(delay * random.uniform(0.5, 1.0))
                await self._database.run(self._store.postpone, row.id, due)
                continue
            invalid = [r.error for r in answer.results if r.status == alerts_pb2.RAISE_STATUS_INVALID]
            if invalid:
                # Trying again cannot help; the row would come back for ever.
                self._log.error("alerts refused a message", extra={"errors": invalid})
            await self._database.run(self._store.told, row.id)


def next_look(request: SubjectRequest, now_ms: int) -> int:
    """When the clock of an open request has to be looked at next."""
    due = request.due_time.ToMilliseconds()
    soon = due - rules.DUE_SOON_MS
    if request.HasField("paused_since_time"):
        # Its end moves while it stands still: look once a day.
        return now_ms + 86_400_000
    return soon if now_ms < soon else due + 1


def next_look_at_breach(breach: Breach, now_ms: int) -> int:
    """When the clocks of a breach have to be looked at next; 0: never."""
    moments = [
        moment
        for duty in breach.duties
        if duty.HasField("due_time") and not duty.HasField("sent_time") and duty.applies != breaches.NOT_DUE
        for moment in (duty.due_time.ToMilliseconds() - _BREACH_SOON_MS, duty.due_time.ToMilliseconds() + 1)
        if moment > now_ms
    ]
    return 0 if breach.HasField("closed_time") else min(moments, default=0)


def _right(request: SubjectRequest) -> str:
    return SubjectRight.Name(request.right).removeprefix("SUBJECT_RIGHT_").lower()
