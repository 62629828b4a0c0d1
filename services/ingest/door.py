"""Steps 1 and 2: what comes in is checked, made canonical, and either accepted, failed or refused.

Both doors take the same way in. A call is taken in at one go, in order of arrival, so that a viewer's events keep their
order over calls sent one after the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from google.protobuf.message import DecodeError

from services.common.clock import Clock
from services.common.errors import (
    Aborted,
    FieldViolation,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    UsherError,
)
from services.common.event_json import parse_event
from services.common.event_types import event_class
from services.common.interceptors import current_deadline
from services.common.telemetry import Telemetry, current_trace, keep_current_trace
from services.ingest import check, receipts, wire
from services.ingest.backlog import Backlog
from services.ingest.erasures import ErasedViewers
from services.ingest.faults import crash_point
from services.ingest.items import ATTACK_MARKED, IMPORT, LATE, OLD, Call, Item, Reply
from services.ingest.ledger import Ledger, failed_event
from services.ingest.pipeline import Pipeline, conflict_result, failed_result, gone_result, refused_result
from services.ingest.records import ERASED, Commit, InboxRow, LostRaceError, Receipt
from services.ingest.security import Attack
from services.ingest.sentry import Sentry
from services.ingest.settings import PipelineSettings
from services.ingest.shards import Shards
from services.ingest.store import Store
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

NO_TENANT = "-"
"""Under this the books count what names no valid tenant."""

LARGE_EVENT_BYTES = 768
"""Events up to this size, which the usual ones have, hold no more text than the loop looks at in a moment."""
MUCH_TEXT = 512
"""Characters to be looked at for attacks, from which an event is checked beside the loop."""

_DAY_MS = 86_400_000
_MOST_IMPORTS = 10_000
# How long events are checked before the loop gets its turn.
_TURN_S = 0.001


class Taken(NamedTuple):
    """What one call brought, in order."""

    items: list[Item | bytes]
    """An item to decide, or the EventResult of one that was failed or refused."""
    failed: int
    """How many were failed; durable only after the ledger was flushed."""
    call: Call
    """Where the results are gathered, at the Decide door."""


class Checked(NamedTuple):
    """An event that went through the check."""

    event: event_pb2.Event
    """In its canonical form, unless something is wrong with it."""
    violations: list[FieldViolation]
    attacks: Sequence[Attack]
    payload: bytes
    """Its bytes."""


class Door:
    """Takes calls in."""

    def __init__(
        self,
        *,
        store: Store,
        pipeline: Pipeline,
        ledger: Ledger,
        shards: Shards,
        erased: ErasedViewers,
        sentry: Sentry,
        backlog: Backlog,
        settings: PipelineSettings,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._ledger = ledger
        self._shards = shards
        self._erased = erased
        self._backlog = backlog
        self._held_bytes = 0
        self._settings = settings
        self._clock = clock
        self._log = telemetry.logger("door")
        self._failing = frozenset(settings.attacks_fail)
        self._sentry = sentry
        self._in_order = asyncio.Lock()
        self._newest: dict[tuple[str, str], int] = {}
        self._closed = False
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._accepting: list[tuple[list[InboxRow], asyncio.Future[dict[bytes, Receipt | bytes]]]] = []
        self._accept_task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads how far the imports have come."""
        self._newest = await self._store.database.read(self._store.newest_of_imports)

    def close(self) -> None:
        """Takes no more calls in: the process is draining."""
        self._closed = True
        self._beside.shutdown(wait=False)

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Counts the bytes of a call until it is answered. Raises ResourceExhausted (QUEUE_FULL) where too many are held."""
        if self._held_bytes + size > self._settings.max_queued_bytes:
            # How many events it holds nobody has looked: it counts as one.
            self._ledger.refuse(NO_TENANT, "QUEUE_FULL")
            raise ResourceExhausted(
                "QUEUE_FULL",
                f"calls of {self._held_bytes} bytes are waiting for their answers; send fewer at once",
                metadata={"limit": str(self._settings.max_queued_bytes)},
                retry_after=0.5,
            )
        self._held_bytes += size
        try:
            yield
        finally:
            self._held_bytes -= size

    # -- the two doors -----------------------------------------------------------------------------

    async def decide(self, batch: ingest_pb2.EventBatch) -> bytes:
        """A serialised DecideEventsResponse. Raises InvalidArgument, ResourceExhausted, Unavailable."""
        checked = await self._checked_apart(batch, wait=True)
        async with self._in_order:
            taken = await self._take(batch, checked, wait=True)
            call = taken.call
            for index, item in enumerate(taken.items):
                if isinstance(item, Item):
                    self._pipeline.enqueue(item)
                else:
                    call.give(index, item)
        if taken.failed:
            await self._ledger.flush()
        await call.done
        if any(isinstance(item, Item) and item.kept for item in taken.items):
            keep_current_trace()
        crash_point("answer.before")
        return wire.results(call.results)

    async def submit(self, batch: ingest_pb2.EventBatch) -> bytes:
        """A serialised SubmitEventsResponse. Raises InvalidArgument, ResourceExhausted, Unavailable."""
        checked = await self._checked_apart(batch, wait=False)
        async with self._in_order:
            taken = await self._take(batch, checked, wait=False)
            items = [item for item in taken.items if isinstance(item, Item)]
            now_ms = self._clock.now_ms()
            rows = [
                InboxRow(
                    item.key,
                    item.fingerprint,
                    receipts.shard(item.user_key),
                    item.tenant,
                    now_ms,
                    item.flags,
                    item.trace.traceparent if item.trace is not None else "",
                    item.payload,
                )
                for item in items
            ]
            accepted = self._accept(rows)
        if taken.failed:
            await self._ledger.flush()
        known = await accepted if rows else {}
        answers = []
        for item in taken.items:
            if isinstance(item, bytes):
                answers.append(item)
                continue
            before = known.get(item.key)
            if before is None:
                # The first of two equal ids in one call is the accepted one.
                known[item.key] = item.fingerprint
                answers.append(wire.result(ingest_pb2.EVENT_STATUS_ACCEPTED, item.event_id))
                item.from_inbox = True
                item.answer = None
                self._shards.accepted(item)
            elif isinstance(before, Receipt) and before.position == ERASED:
                answers.append(gone_result(item.event_id))
            elif (before.fingerprint if isinstance(before, Receipt) else before) == item.fingerprint:
                answers.append(wire.result(ingest_pb2.EVENT_STATUS_DUPLICATE, item.event_id))
            else:
                answers.append(conflict_result(item.event_id))
        self._backlog.accepted(batch.tenant, len(rows))
        crash_point("answer.before")
        return wire.results(answers)

    async def replay(
        self, tenant: str, failed: Sequence[ingest_pb2.FailedEvent], *, accept_attacks: bool
    ) -> list[ingest_pb2.EventResult]:
        """Has failed events checked and decided again; one result each, in order. Raises Unavailable, ResourceExhausted.

        One that fails again is answered FAILED and stays as it was.
        """
        if self._closed:
            raise Unavailable("DRAINING", "this instance is shutting down; another one takes the call")
        self._erased.check()
        self._pipeline.room_for(tenant, len(failed), sum(len(one.payload) for one in failed))
        now_ms = self._clock.now_ms()

        def work() -> list[Checked]:
            return [self._checked_again(one, accept_attacks, now_ms) for one in failed]

        # What failed may be what was made to be hard.
        checked = await asyncio.get_running_loop().run_in_executor(self._beside, work)
        call = Call(len(failed))
        async with self._in_order:
            for index, (one, found) in enumerate(zip(failed, checked, strict=True)):
                item = self._replayed(tenant, one, found, now_ms, Reply(call, index))
                if isinstance(item, Item):
                    item.deadline, item.trace = current_deadline(), current_trace()
                    self._pipeline.enqueue(item)
                else:
                    call.give(index, item)
        await call.done
        return [ingest_pb2.EventResult.FromString(result) for result in call.results]

    def _checked_again(self, one: ingest_pb2.FailedEvent, accept_attacks: bool, now_ms: int) -> Checked:
        event = event_pb2.Event.FromString(one.payload)
        if event.HasField("unmapped"):
            # The sender's own text: this version may understand what that one did not.
            with contextlib.suppress(InvalidArgument):
                event = parse_event(event.unmapped.payload)
        return self._check(event, now_ms, accept_attacks=accept_attacks)

    def _replayed(
        self, tenant: str, one: ingest_pb2.FailedEvent, checked: Checked, now_ms: int, answer: Reply
    ) -> Item | bytes:
        event, violations, attacks, payload = checked
        if violations:
            return failed_result(
                failed_event(tenant, one.event_id, b"", violations, now_ms, failed_id=one.failed_id)
            )
        event_ms = _event_ms(event)
        if self._erased.covers(tenant, event.user_id, event_ms):
            return gone_result(event.event_id)
        flags = self._age_flags(tenant, event, event_ms, now_ms)
        # It came in time, and only its decision is late.
        flags = OLD if flags is None else flags
        return _item(
            tenant,
            event,
            event_ms,
            payload,
            flags | (ATTACK_MARKED if attacks else 0),
            answer,
            replay_of=one.failed_id,
        )

    # -- taking in ---------------------------------------------------------------------------------

    def _admit(self, batch: ingest_pb2.EventBatch, *, wait: bool) -> None:
        """Refuses a call that is none, and one for which there is no room."""
        tenant, number = batch.tenant, len(batch.events)
        if self._closed:
            raise Unavailable("DRAINING", "this instance is shutting down; another one takes the call")
        self._erased.check()
        if not check.valid_tenant(tenant):
            self._ledger.refuse(NO_TENANT, "TENANT_INVALID", number)
            raise InvalidArgument(
                "TENANT_INVALID",
                "a tenant is named by 1 to 63 characters of a-z, 0-9 and hyphen",
                violations=[FieldViolation("tenant", "TENANT_INVALID", "1 to 63 characters of [a-z0-9-]")],
            )
        if number > self._settings.max_call_events:
            self._ledger.refuse(tenant, "TOO_MANY_EVENTS", number)
            raise InvalidArgument(
                "TOO_MANY_EVENTS",
                f"{number} events in one call, at most {self._settings.max_call_events} are allowed",
                metadata={"limit": str(self._settings.max_call_events), "events": str(number)},
            )
        try:
            self._backlog.room_on_disk()
            self._pipeline.room_for(tenant, number, sum(map(len, batch.events)))
            if not wait:
                self._backlog.room_in_inbox(tenant, number)
        except UsherError as error:
            self._ledger.refuse(tenant, error.reason, number)
            raise

    async def _checked_apart(self, batch: ingest_pb2.EventBatch, *, wait: bool) -> dict[int, Checked]:
        """Checks the events with much text beside the loop, and before the order of calls: nobody waits for them.

        To look at 16 kB that were made to be hard takes tens of milliseconds. RE2 gives the interpreter free meanwhile.
        """
        large = [index for index, one in enumerate(batch.events) if len(one) > LARGE_EVENT_BYTES]
        if not large:
            return {}
        self._admit(batch, wait=wait)
        now_ms = self._clock.now_ms()
        texts: dict[int, event_pb2.Event] = {}
        for index in large:
            if len(batch.events[index]) <= check.MAX_EVENT_BYTES:
                # What cannot be read is told in its turn.
                with contextlib.suppress(DecodeError):
                    event = event_pb2.Event.FromString(batch.events[index])
                    if check.text_length(event) > MUCH_TEXT:
                        texts[index] = event

        def work() -> dict[int, Checked]:
            return {index: self._check(event, now_ms) for index, event in texts.items()}

        return await asyncio.get_running_loop().run_in_executor(self._beside, work) if texts else {}

    def _check(self, event: event_pb2.Event, now_ms: int, *, accept_attacks: bool = False) -> Checked:
        failing = frozenset() if accept_attacks else self._failing
        violations, attacks = check.examine(event, now_ms, failing)
        if accept_attacks:
            # Those in identifiers, which otherwise always fail.
            violations = [one for one in violations if not one.reason.startswith("ATTACK_")]
        if not violations:
            check.normalise(event)
        return Checked(event, violations, attacks, event.SerializeToString(deterministic=True))

    async def _take(
        self, batch: ingest_pb2.EventBatch, checked: Mapping[int, Checked], *, wait: bool
    ) -> Taken:
        self._admit(batch, wait=wait)
        tenant, number = batch.tenant, len(batch.events)
        events = self._parse(tenant, batch)
        deadline, trace = current_deadline(), current_trace()
        started, now_ms = time.perf_counter(), self._clock.now_ms()
        call = Call(number)
        items: list[Item | bytes] = []
        failed = 0
        turn_ends = started + _TURN_S
        for index, sent in enumerate(events):
            if time.perf_counter() > turn_ends:
                await asyncio.sleep(0)
                turn_ends = time.perf_counter() + _TURN_S
            event, violations, attacks, payload = checked.get(index) or self._check(sent, now_ms)
            if attacks:
                self._sentry.note(attacks)
            if violations:
                one = failed_event(tenant, event.event_id, payload, violations, now_ms)
                self._ledger.fail(one)
                items.append(failed_result(one))
                failed += 1
                continue
            event_ms = _event_ms(event)
            if self._erased.covers(tenant, event.user_id, event_ms):
                self._ledger.refuse(tenant, "GONE")
                items.append(gone_result(event.event_id))
                continue
            flags = self._age_flags(tenant, event, event_ms, now_ms)
            if attacks and flags is not None:
                flags |= ATTACK_MARKED
            if flags is None:
                self._ledger.refuse(tenant, "TOO_OLD")
                items.append(
                    refused_result(
                        event.event_id,
                        UsherError(
                            "TOO_OLD",
                            f"the event is older than {self._settings.receipt_retention_days} days; send old events "
                            "as an import",
                            retry_after=0.0,
                        ),
                    )
                )
                continue
            item = _item(tenant, event, event_ms, payload, flags, Reply(call, index) if wait else None)
            item.started, item.deadline, item.trace = started, deadline, trace
            items.append(item)
        crash_point("check.after")
        return Taken(items, failed, call)

    def _parse(self, tenant: str, batch: ingest_pb2.EventBatch) -> list[event_pb2.Event]:
        events = []
        for index, serialised in enumerate(batch.events):
            if len(serialised) > check.MAX_EVENT_BYTES:
                self._ledger.refuse(tenant, "EVENT_TOO_LARGE", len(batch.events))
                raise InvalidArgument(
                    "EVENT_TOO_LARGE",
                    f"event {index} has {len(serialised)} bytes, at most {check.MAX_EVENT_BYTES} are allowed",
                    metadata={"position": str(index), "limit": str(check.MAX_EVENT_BYTES)},
                    violations=[
                        FieldViolation(f"events[{index}]", "EVENT_TOO_LARGE", "send a smaller event")
                    ],
                )
            try:
                events.append(event_pb2.Event.FromString(serialised))
            except DecodeError:
                self._ledger.refuse(tenant, "MALFORMED_MESSAGE", len(batch.events))
                raise InvalidArgument(
                    "MALFORMED_MESSAGE",
                    f"event {index} is not a usher.event.v1.Event (strings must be UTF-8)",
                    metadata={"position": str(index)},
                    violations=[FieldViolation(f"events[{index}]", "MALFORMED_MESSAGE", "not an Event")],
                ) from None
        return events

    def _age_flags(self, tenant: str, event: event_pb2.Event, event_ms: int, now_ms: int) -> int | None:
        """Item flags by the event's age; None where a live event is older than the receipts are kept."""
        settings = self._settings
        flags = 0
        if event.origin == event_pb2.ORIGIN_IMPORT:
            flags = IMPORT
            key = (tenant, event.import_id)
            newest = max(self._newest.get(key, event_ms), event_ms)
            self._newest[key] = newest
            if len(self._newest) > _MOST_IMPORTS:
                # The import that began longest ago; its next event would be aged against itself.
                del self._newest[next(iter(self._newest))]
            age_ms = newest - event_ms
        else:
            age_ms = now_ms - event_ms
            if age_ms > settings.receipt_retention_days * _DAY_MS:
                return None
        if age_ms > settings.old_after_days * _DAY_MS:
            return flags | OLD
        if age_ms > settings.late_after_seconds * 1000:
            return flags | LATE
        return flags

    # -- the inbox ---------------------------------------------------------------------------------

    def _accept(self, rows: list[InboxRow]) -> asyncio.Future[dict[bytes, Receipt | bytes]]:
        """Puts rows into the inbox, together with those of other calls that wait (group commit)."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[dict[bytes, Receipt | bytes]] = loop.create_future()
        if not rows:
            future.set_result({})
            return future
        self._accepting.append((rows, future))
        if self._accept_task is None or self._accept_task.done():
            self._accept_task = loop.create_task(self._accept_waiting())
        return future

    async def _accept_waiting(self) -> None:
        while self._accepting:
            calls, self._accepting = self._accepting, []
            rows: dict[bytes, InboxRow] = {}
            repeated: list[InboxRow] = []
            for some, _ in calls:
                for row in some:
                    if row.key in rows:
                        repeated.append(row)
                    else:
                        rows[row.key] = row
            counts: dict[tuple[str, str], int] = {}
            for row in rows.values():
                counts[(row.tenant, "received")] = counts.get((row.tenant, "received"), 0) + 1
            side = Commit(counts=counts)
            try:
                known = await self._accept_once(list(rows.values()), side)
            except Exception as error:  # noqa: BLE001
                # Every call must be answered, whatever went wrong.
                if not isinstance(error, UsherError):
                    self._log.exception("events could not be accepted")
                for _, future in calls:
                    if not future.done():
                        future.set_exception(error)
                continue
            for row in repeated:
                before = known.get(row.key, rows[row.key].fingerprint)
                same = (before.fingerprint if isinstance(before, Receipt) else before) == row.fingerprint
                self._ledger.count(row.tenant, "received")
                self._ledger.count(row.tenant, "duplicate" if same else "conflict")
            seen: set[bytes] = set()
            for some, future in calls:
                answer: dict[bytes, Receipt | bytes] = {}
                for row in some:
                    if row.key in known:
                        answer[row.key] = known[row.key]
                    elif row.key in seen:
                        answer[row.key] = rows[row.key].fingerprint
                seen.update(row.key for row in some)
                if not future.done():
                    future.set_result(answer)

    async def _accept_once(self, rows: list[InboxRow], side: Commit) -> dict[bytes, Receipt | bytes]:
        for _ in range(self._settings.max_attempts):
            try:
                return await self._store.database.run(self._store.accept, rows, side)
            except (LostRaceError, Aborted):
                continue
        raise Unavailable("TRANSACTION_CONFLICT", "the inbox is contended; try again", retry_after=0.1)


def _event_ms(event: event_pb2.Event) -> int:
    time = event.event_time
    return time.seconds * 1000 + time.nanos // 1_000_000


def _item(
    tenant: str,
    event: event_pb2.Event,
    event_ms: int,
    payload: bytes,
    flags: int,
    answer: Reply | None,
    replay_of: str = "",
) -> Item:
    """An item of a well-formed event in canonical form."""
    return Item(
        tenant=tenant,
        event_id=event.event_id,
        user_id=event.user_id,
        key=receipts.event_key(tenant, event.event_id),
        user_key=receipts.user_key(tenant, event.user_id),
        address=event.ip_address,
        device=receipts.device_hash(event.device_id),
        device_id=event.device_id,
        payment=event.payment_fingerprint,
        fingerprint=receipts.fingerprint(payload),
        payload=payload,
        event_ms=event_ms,
        event_class=event_class(event.event_type),
        flags=flags,
        import_id=event.import_id if flags & IMPORT else "",
        started=time.perf_counter(),
        deadline=None,
        trace=None,
        answer=answer,
        replay_of=replay_of,
    )
