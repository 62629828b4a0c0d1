"""Steps 3 to 6: batches of events are looked up, asked about, decided and committed.

Batching is natural: no timer gathers events. At most `batches_in_flight` batches run; what arrives meanwhile is the
next one. A viewer is in one batch at a time, in order of arrival, so that profiles fold in order; between processes the
compare-and-set of the profile's version sees to it.
"""

from __future__ import annotations

import asyncio
import collections
import contextvars
import math
import random
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Iterator, Sequence
from typing import Any, NamedTuple, cast

from prometheus_client import Counter, Gauge, Histogram

from services.common.clock import Clock
from services.common.errors import (
    Aborted,
    FieldViolation,
    Gone,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    StateBehind,
    UsherError,
)
from services.common.telemetry import NEW_TRACE, Telemetry, TraceContext
from services.ingest import accounts, control, degrade, listed, wire
from services.ingest.assembly import Answers, assemble, positions_of
from services.ingest.fair_queue import FairQueue
from services.ingest.faults import crash_point
from services.ingest.items import FOLD_ONLY, IMPORT, LATE, NO_COMPLIANCE, NO_FRAUD, OLD, SUPPRESSED, Item
from services.ingest.ledger import Ledger, failed_event
from services.ingest.lists import Lists
from services.ingest.messages import outage_alert
from services.ingest.outbox import ALERTS, Outbox
from services.ingest.peers import AwayError, Peers, RefusedBatchError
from services.ingest.places import PlacesInForce
from services.ingest.policy import PolicyInForce
from services.ingest.records import ERASED, NO_PROFILE, Commit, Committed, LostRaceError, Profile, Receipt
from services.ingest.restore import FraudMemory
from services.ingest.settings import PipelineSettings
from services.ingest.store import Store
from services.ingest.store_control import ControlStore
from usher.alerts.v1 import alerts_pb2
from usher.compliance.v1 import compliance_pb2
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2
from usher.ingest.v1 import ingest_pb2, lists_pb2
from usher.scoring.v1 import scoring_pb2

MAX_FOLDED_AT_ONCE = 1_000
"""Backlog events a call to scoring; its contract allows 2,000 events a call."""
MAX_BATCH_BYTES = 2 << 20
"""Bytes of events a batch or a piece of backlog: half of what a message may have, profiles and columns beside."""
_PENDING = NotFound(
    "DECISION_PENDING", "the event was sent again and waits for its decision", retry_after=0.0
)
_FIRST_PAUSE_S = 0.05
"""Before an event that met a defect is tried again; twice as long each time."""
_LEAST_TIMEOUT_S = 0.25
# Of what is left of the callers' time, so that a service that hangs leaves enough for a degraded answer.
_SHARE_OF_ASKING = 0.5
_SHARE_OF_DECIDING = 0.75


class Asked(NamedTuple):
    """What compliance and fraud said of a batch."""

    verdicts: compliance_pb2.EvaluateEventsResponse | None
    assessments: fraud_pb2.AssessEventsResponse | None
    errors: dict[int, tuple[str, event_pb2.ItemError]]
    """Events that a service could not answer, with the service's name."""
    carried: list[int]
    """Positions that fraud was given before it assessed this batch, which it did."""


class Pipeline:
    """Takes items, answers them. One a process."""

    def __init__(
        self,
        *,
        store: Store,
        peers: Peers,
        ledger: Ledger,
        outbox: Outbox,
        policy: PolicyInForce,
        lists: Lists,
        memory: FraudMemory,
        places: PlacesInForce,
        settings: PipelineSettings,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._peers = peers
        self._ledger = ledger
        self._outbox = outbox
        self._policy = policy
        self._lists = lists
        self._memory = memory
        self._places = places
        self._settings = settings
        self._clock = clock
        self._telemetry = telemetry
        self._log = telemetry.logger("pipeline")
        self._queue = FairQueue(settings.max_queued_events, settings.max_queued_bytes)
        self._pace = Pace()
        self._under_way: dict[bytes, Item] = {}
        self._busy: set[bytes] = set()
        self._free = settings.batches_in_flight
        self._tasks: set[asyncio.Task[None]] = set()
        self._profiles: OrderedDict[bytes, Profile] = OrderedDict()
        self._told_outages: set[tuple[str, int]] = set()
        self._control_cap = control.Cap(ControlStore(store.database))
        self._idle = asyncio.Event()
        self._idle.set()
        self._watchers: set[asyncio.Event] = set()
        registry = telemetry.registry
        self._decided = Counter(
            "usher_events_decided", "Events decided.", ("outcome", "event_class"), registry=registry
        )
        self._degraded = Counter(
            "usher_decisions_degraded", "Decisions made without a service.", ("service",), registry=registry
        )
        self._stage = Histogram(
            "usher_batch_stage_seconds",
            "Time of a batch by stage.",
            ("stage",),
            registry=registry,
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
        )
        self._batch_size = Histogram(
            "usher_batch_events",
            "Events a batch.",
            registry=registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
        )
        self._controlled = Counter(
            "usher_control_group_events", "Events let through for the control group.", registry=registry
        )
        self._races = Counter(
            "usher_commit_races", "Batches decided again after a lost race.", registry=registry
        )
        self._poisoned = Counter(
            "usher_events_poisoned",
            "Events kept as failed because a defect met them.",
            ("component",),
            registry=registry,
        )
        self._truncated = Counter(
            "usher_backlog_truncated",
            "Events that will never be folded: the backlog was full.",
            registry=registry,
        )
        Gauge("usher_queue_events", "Events waiting for a batch.", registry=registry).set_function(
            lambda: len(self._queue)
        )
        Gauge(
            "usher_queue_bytes", "Bytes of the events waiting for a batch.", registry=registry
        ).set_function(lambda: self._queue.bytes)

    # -- in and out --------------------------------------------------------------------------------

    def room_for(self, tenant: str, number: int, size: int) -> None:
        """Raises ResourceExhausted (QUEUE_FULL) where that many more events, of `size` bytes, would overfill the queue.

        The delay is how long the events that wait take at the pace of the last seconds.
        """
        queue = self._queue
        if not queue.fits(tenant, number, size):
            most = self._settings.max_queued_events
            raise ResourceExhausted(
                "QUEUE_FULL",
                f"{len(queue)} events are waiting, {queue.waiting_of(tenant)} of them of this tenant; try again",
                metadata={"limit": str(most), "waiting": str(len(queue))},
                retry_after=self._pace.seconds_for(len(queue) + number),
            )

    def is_under_way(self, key: bytes) -> bool:
        """Whether the event is queued or in a batch of this process."""
        return key in self._under_way

    def enqueue(self, item: Item) -> None:
        """Takes an item; its answer comes through its future. A repeat of one under way follows that one."""
        first = self._under_way.get(item.key)
        if first is not None:
            first.followers.append(item)
            return
        self._under_way[item.key] = item
        self._queue.append(item)
        self._idle.clear()
        if self._free:
            # After what is ready to run: the rest of the call's events come into the same batch.
            asyncio.get_running_loop().call_soon(self._start_batches)

    async def drained(self) -> None:
        """Returns once nothing is queued or in a batch."""
        await self._idle.wait()

    def forget(self, user_key: bytes) -> None:
        """Drops what is cached of a viewer; a batch under way loses its race and looks again."""
        self._profiles.pop(user_key, None)

    def watch(self) -> asyncio.Event:
        """An event that is set after every commit; give it back with `unwatch`."""
        event = asyncio.Event()
        self._watchers.add(event)
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        """Ends a watch."""
        self._watchers.discard(event)

    # -- batches -----------------------------------------------------------------------------------

    def _start_batches(self) -> None:
        while self._free and self._queue:
            batch = self._queue.take(self._busy, self._settings.max_batch, MAX_BATCH_BYTES)
            if not batch:
                return
            self._busy.update([item.user_key for item in batch])
            self._free -= 1
            # A context of its own: the batch serves many calls and inherits no call's deadline or trace.
            task = asyncio.get_running_loop().create_task(self._run(batch), context=contextvars.Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, batch: list[Item]) -> None:
        self._batch_size.observe(len(batch))
        single = len(batch) == 1
        links = [] if single else [item.trace for item in batch if item.trace is not None][:128]
        parent = (batch[0].trace if single else None) or NEW_TRACE
        try:
            with self._telemetry.span(
                "ingest.batch", parent=parent, links=links, attributes={"usher.events": len(batch)}
            ) as span:
                await self._process(batch, span.context)
        except UsherError as error:
            self._log.error(
                "a batch could not be decided", extra={"reason": error.reason, "events": len(batch)}
            )
            self._refuse(batch, error)
        except Exception as error:  # noqa: BLE001
            # A defect, here or in a service: the answers must come, and the loop of batches must go on.
            self._log.exception("a batch failed; its events are tried in parts")
            await self._isolate(batch, error, parent)
        finally:
            self._busy.difference_update([item.user_key for item in batch])
            self._pace.ended(len(batch))
            for item in batch:
                self._under_way.pop(item.key, None)
                for follower in item.followers:
                    self.enqueue(follower)
            self._free += 1
            self._start_batches()
            if not self._under_way:
                self._idle.set()
            for watcher in self._watchers:
                watcher.set()

    async def _isolate(self, batch: list[Item], error: Exception, trace: TraceContext) -> None:
        """Decides what a batch that failed holds in ever smaller parts, in order, so that a poison event fails alone."""
        since = time.monotonic()
        parts = deque(_halves(batch)) if len(batch) > 1 else deque()
        if len(batch) == 1:
            await self._try_last(batch[0], error, since, trace)
        while parts:
            part = parts.popleft()
            failed = await self._try(part, trace)
            if failed is None:
                continue
            if len(part) > 1:
                parts.extendleft(reversed(_halves(part)))
            else:
                await self._try_last(part[0], failed, since, trace)

    async def _try(self, part: list[Item], trace: TraceContext) -> Exception | None:
        """Decides some events; the error where they failed by a defect. What is refused is answered here."""
        try:
            await self._process(part, trace)
        except UsherError as error:
            self._log.error(
                "events could not be decided", extra={"reason": error.reason, "events": len(part)}
            )
            self._refuse(part, error)
        except Exception as error:  # noqa: BLE001
            return error
        return None

    async def _try_last(self, item: Item, error: Exception | None, since: float, trace: TraceContext) -> None:
        """Tries one event again after a pause each, as often as its budget allows; then keeps it as failed.

        A service that refuses it counts as away instead where it has answered nothing else meanwhile: then not the event is
        at fault, and it is decided without that service.
        """
        for attempt in range(self._settings.poison_retries):
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt * random.uniform(0.5, 1.0))
            error = await self._try([item], trace)
            if error is None:
                return
        component = "ingest"
        if isinstance(error, RefusedBatchError):
            component, peer = error.service, self._peers.named(error.service)
            if not peer.answered_since(since):
                peer.skip(error.reason)
                error = await self._try([item], trace)
                if error is None:
                    return
        self._poisoned.labels(component).inc()
        self._log.error(
            "an event cannot be decided and is kept as failed",
            extra={"component": component, "error": type(error).__name__},
        )
        cause = error.reason if isinstance(error, RefusedBatchError) else "INTERNAL"
        told = event_pb2.ItemError(reason=cause, message="a defect; the log holds it under this reason")
        self._fail_items([item], {0: (component, told)})
        await self._ledger.flush()

    async def _process(self, batch: list[Item], trace: TraceContext) -> None:
        settings, database = self._settings, self._store.database
        items = batch
        # Looked for once an event, however often its batch loses a race: a limit counts acts.
        hits: dict[bytes, listed.Hit | None] = {}
        # Likewise a place in the control group, which an act keeps.
        places_taken: dict[bytes, bool] = {}
        for attempt in range(settings.max_attempts):
            if attempt:
                self._races.inc()
                await asyncio.sleep(random.uniform(0, min(0.2, 0.005 * 2**attempt)))
            times = [time.perf_counter()]
            crash_point("look_up.before")
            rows = {user: self._profiles.get(user) for user in dict.fromkeys([i.user_key for i in items])}
            missing = [user for user, row in rows.items() if row is None]
            found = await database.read(self._store.look_up, [i.key for i in items], missing)
            for user in missing:
                rows[user] = found.profiles.get(user, NO_PROFILE)
                self._remember(user, rows[user] or NO_PROFILE)
            if found.receipts or found.pending or any(i.from_inbox for i in items):
                items = await self._answer_known(items, found.receipts, found.pending)
                if not items:
                    return
            crash_point("look_up.after")
            profiles = {i.user_key: rows[i.user_key] or NO_PROFILE for i in items}
            for item in items:
                # From the sender's bytes each time: after a lost race the facts may be others.
                item.payload = accounts.carry(item.sent, profiles[item.user_key].facts)
            times.append(time.perf_counter())
            crash_point("ask.before")
            batch_ms, policy_set = self._clock.now_ms(), self._policy.policy_set
            hits |= await self._lists.find([item for item in items if item.key not in hits], batch_ms)
            data = self._places.current
            places = data.columns([item.address for item in items])
            asked = await self._ask(items, places, policy_set, batch_ms)
            crash_point("ask.after")
            if asked.errors:
                items = self._fail_items(items, asked.errors)
                if not items:
                    await self._ledger.flush()
                    return
                continue
            times.append(time.perf_counter())
            crash_point("decide.before")
            commit, undecidable = await self._decide(
                items, profiles, places, data.version, asked, policy_set, hits, places_taken, batch_ms, times
            )
            crash_point("decide.after")
            if commit is None:
                items = self._fail_items(items, undecidable)
                if not items:
                    await self._ledger.flush()
                    return
                continue
            commit.seen_at_last = asked.carried
            outages = self._tell_outages(commit, items[0].tenant, trace)
            side = self._ledger.take()
            self._merge(commit, side)
            try:
                committed = await database.run(self._store.commit, commit)
            except (LostRaceError, Aborted) as error:
                self._ledger.give_back(side)
                for user in error.keys if isinstance(error, LostRaceError) and error.keys else profiles:
                    self._profiles.pop(user, None)
                continue
            except BaseException:
                self._ledger.give_back(side)
                for user in profiles:
                    self._profiles.pop(user, None)
                raise
            self._ledger.written(side)
            self._memory.seen(asked.carried)
            self._told_outages.update(outages)
            self._after_commit(items, commit, committed, batch_ms, trace)
            times.append(time.perf_counter())
            for stage, start, end in zip(
                ("look_up", "ask", "decide", "commit"), times, times[1:], strict=False
            ):
                self._stage.labels(stage).observe(end - start)
            return
        raise Aborted("TRANSACTION_CONFLICT", "other writers were first too many times; try again")

    # -- step 3: look up ---------------------------------------------------------------------------

    def _remember(self, user: bytes, profile: Profile) -> None:
        self._profiles[user] = profile
        self._profiles.move_to_end(user)
        while len(self._profiles) > self._settings.profile_cache:
            self._profiles.popitem(last=False)

    async def _answer_known(
        self, items: list[Item], receipts: dict[bytes, Receipt], pending: dict[bytes, bytes]
    ) -> list[Item]:
        """Answers repeats and conflicts; returns the items that are new (or wait in the inbox)."""
        new: list[Item] = []
        repeats: list[tuple[Item, int]] = []
        for item in items:
            receipt = receipts.get(item.key)
            if receipt is None:
                waiting = pending.get(item.key)
                if waiting is not None and item.replay_of:
                    # Sent again since, and accepted: that one is decided.
                    _answer(item, refused_result(item.event_id, _PENDING))
                    continue
                if waiting is not None and waiting != item.fingerprint:
                    self._answer_conflict(item)
                    continue
                if waiting is None and item.from_inbox and item.answer is None:
                    # Its row was read just before it ended without a decision: it has failed already.
                    continue
                # Accepted at the Submit door before: whoever decides it first ends the inbox row.
                item.from_inbox = waiting is not None
                new.append(item)
            elif item.replay_of:
                self._ledger.supersede_replay(item.tenant, item.replay_of)
                repeats.append((item, receipt.position))
            elif item.from_inbox and item.answer is None:
                self._ledger.supersede(item.tenant, item.key)
            elif receipt.position == ERASED:
                self._ledger.refuse(item.tenant, "GONE")
                _answer(item, gone_result(item.event_id))
            elif receipt.fingerprint == item.fingerprint:
                repeats.append((item, receipt.position))
            else:
                self._answer_conflict(item)
        if repeats:
            decisions = await self._store.database.read(self._store.decisions_at, [p for _, p in repeats])
            for item, position in repeats:
                if not item.replay_of:
                    self._ledger.count(item.tenant, "received")
                    self._ledger.count(item.tenant, "duplicate")
                _answer(
                    item,
                    wire.result(
                        ingest_pb2.EVENT_STATUS_DUPLICATE, item.event_id, decisions.get(position, b"")
                    ),
                )
        return new

    def _answer_conflict(self, item: Item) -> None:
        self._ledger.count(item.tenant, "received")
        self._ledger.count(item.tenant, "conflict")
        _answer(item, conflict_result(item.event_id))

    # -- step 4: ask -------------------------------------------------------------------------------

    async def _ask(
        self, items: list[Item], places: event_pb2.Places, policy_set: str, batch_ms: int
    ) -> Asked:
        tenant = items[0].tenant
        events = [item.payload for item in items]
        timeout = self._timeout(items, _SHARE_OF_ASKING)
        verdicts, (assessments, carried) = await asyncio.gather(
            _or_none(
                self._peers.evaluate(
                    compliance_pb2.EvaluateEventsRequest(
                        tenant=tenant, policy_set=policy_set, events=events, places=places
                    ),
                    timeout,
                    patient=_imported(items),
                )
            ),
            self._assess(items, events, places, tenant, policy_set, batch_ms, timeout),
        )
        errors: dict[int, tuple[str, event_pb2.ItemError]] = {}
        for name, answer in (("compliance", verdicts), ("fraud", assessments)):
            if answer is not None:
                for error in answer.errors:
                    errors.setdefault(error.index, (name, error))
        return Asked(verdicts, assessments, errors, carried)

    async def _assess(
        self,
        items: list[Item],
        events: list[bytes],
        places: event_pb2.Places,
        tenant: str,
        policy_set: str,
        batch_ms: int,
        timeout: float | None,
    ) -> tuple[fraud_pb2.AssessEventsResponse | None, list[int]]:
        """Fraud's answer, or None; and the positions that fraud was given before it."""
        request = fraud_pb2.AssessEventsRequest(
            tenant=tenant,
            policy_set=policy_set,
            events=events,
            item_flags=[item.flags for item in items],
            places=places,
            committed_through_ms=self._memory.committed_through_ms,
            batch_time_ms=batch_ms,
        )
        patient = _imported(items)
        try:
            await self._memory.carry_unsighted()
            carried = self._memory.carried()
            try:
                return await self._peers.assess(request, timeout, patient=patient), carried
            except StateBehind as behind:
                # What it was given before may lie beyond what is restored: it is given that once more.
                self._memory.doubted()
                await self._memory.restore(behind)
                await self._memory.carry_unsighted()
                carried = self._memory.carried()
                return await self._peers.assess(request, timeout, patient=patient), carried
        except (AwayError, StateBehind):
            self._memory.doubted()
            return None, []

    def _timeout(self, items: Sequence[Item], share: float) -> float | None:
        """A share of the longest time that a caller of the batch still waits; None where one waits for ever.

        Never below a quarter of a second: the decision is kept and answered on repeat, and a caller in a great hurry must
        not make a service look away for everybody.
        """
        latest = 0.0
        for item in items:
            if item.deadline is None:
                return None
            latest = max(latest, item.deadline)
        return max(_LEAST_TIMEOUT_S, (latest - time.monotonic()) * share)

    def _fail_items(
        self, items: list[Item], errors: dict[int, tuple[str, event_pb2.ItemError]]
    ) -> list[Item]:
        """Fails the events that a service cannot answer, alone; returns the others."""
        kept = []
        for index, item in enumerate(items):
            if index not in errors:
                kept.append(item)
                continue
            component, error = errors[index]
            failed = failed_event(
                item.tenant,
                item.event_id,
                item.sent,
                [FieldViolation(error.field, error.reason, error.message)],
                self._clock.now_ms(),
                component=component,
                undecidable=True,
                failed_id=item.replay_of,
            )
            if item.replay_of:
                # It is kept already; who replays it notes what came of it.
                _answer(item, failed_result(failed))
                continue
            self._ledger.fail(failed, inbox_key=item.key if item.from_inbox else None)
            if item.from_inbox and item.answer is not None:
                # It came through both doors: the Submit door accepted it, this one met it again.
                self._ledger.count(item.tenant, "received")
                self._ledger.count(item.tenant, "duplicate")
            waiter = asyncio.get_running_loop().create_task(
                self._answer_after_flush(item, failed_result(failed))
            )
            self._tasks.add(waiter)
            waiter.add_done_callback(self._tasks.discard)
        return kept

    async def _answer_after_flush(self, item: Item, result: bytes) -> None:
        try:
            await self._ledger.flush()
        except UsherError as error:
            _answer(item, refused_result(item.event_id, error))
        except Exception:  # noqa: BLE001
            # A defect of ours, or of the database: the answer must come all the same.
            self._log.exception("a failed event could not be kept")
            _answer(item, refused_result(item.event_id, UsherError("INTERNAL", "internal error")))
        else:
            _answer(item, result)

    # -- step 5: decide ----------------------------------------------------------------------------

    async def _decide(
        self,
        items: list[Item],
        profiles: dict[bytes, Profile],
        places: event_pb2.Places,
        place_data: str,
        asked: Asked,
        policy_set: str,
        hits: dict[bytes, listed.Hit | None],
        places_taken: dict[bytes, bool],
        batch_ms: int,
        times: list[float],
    ) -> tuple[Commit | None, dict[int, tuple[str, event_pb2.ItemError]]]:
        """The transaction of the batch; or None and the events that scoring cannot decide."""
        tenant = items[0].tenant
        modes = self._policy.modes(tenant)
        verdict_of, verdict_bytes, risks, verdict_flags = _verdict_columns(asked.verdicts, len(items))
        flags = [
            item.flags
            | (NO_COMPLIANCE if asked.verdicts is None else 0)
            | (NO_FRAUD if asked.assessments is None else 0)
            | (SUPPRESSED if verdict_flags[i] >> decision_pb2.VERDICT_FLAG_SECURITY_SUPPRESSED & 1 else 0)
            for i, item in enumerate(items)
        ]
        users = list(profiles)
        place = {user: index for index, user in enumerate(users)}
        bodies = await self._catch_up(items, profiles, tenant, policy_set)
        request = scoring_pb2.DecideEventsRequest(
            tenant=tenant,
            policy_set=policy_set,
            events=[item.payload for item in items],
            profiles=[profile.body for profile in profiles.values()] if bodies is None else bodies.values(),
            profile_of=[place[item.user_key] for item in items],
            item_flags=flags,
            places=places,
            compliance_risk=risks,
            verdict_flags=verdict_flags,
            modes=cast(Any, modes),
        )
        if asked.assessments is not None and asked.assessments.signal_width:
            request.signal_width = asked.assessments.signal_width
            request.signals.MergeFrom(asked.assessments.signals)
            for index, serialised in enumerate(asked.assessments.assessments):
                if serialised:
                    evidence = decision_pb2.Assessment.FromString(serialised).evidence
                    if evidence:
                        request.evidence.add(index=index, reasons=evidence)
        scores = None
        if bodies is not None:
            timeout, patient = self._timeout(items, _SHARE_OF_DECIDING), _imported(items)
            scores = await _or_none(self._peers.decide(request, timeout, patient=patient))
        if scores is not None and not scores.errors and self._policy.feedback.control_share:
            await self._draw_control_group(
                items, scores, hits, places_taken, modes, verdict_flags, asked, batch_ms
            )
        if scores is not None and scores.errors:
            return None, {error.index: ("scoring", error) for error in scores.errors}
        times.append(time.perf_counter())
        after: dict[bytes, bytes] = {}
        if scores is not None and bodies is not None:
            after = {user: scores.profiles[index] or bodies[user] for user, index in place.items()}
        answers = Answers(
            items=items,
            policy_set=policy_set,
            place_data=place_data,
            places=places,
            modes=modes,
            flags=flags,
            verdicts=verdict_bytes,
            verdict_of=verdict_of,
            assessments=None if asked.assessments is None else list(asked.assessments.assessments),
            compliant=asked.verdicts is not None,
            decisions=None if scores is None else list(scores.decisions),
            outcomes=[] if scores is None else list(scores.outcomes),
            profiles=profiles,
            bodies=after,
            hits=[listed.lawful(hits[item.key], verdict_flags[i]) for i, item in enumerate(items)],
            batch_ms=batch_ms,
            times=times,
        )
        for service in answers.missing():
            self._degraded.labels(degrade.SERVICE_NAMES[service]).inc(len(items))
        commit, truncated = assemble(answers)
        if truncated:
            self._truncated.inc(truncated)
        if scores is not None:
            self._list_addresses(commit, items, scores, places, batch_ms)
        return commit, {}

    async def _draw_control_group(
        self,
        items: list[Item],
        scores: scoring_pb2.DecideEventsResponse,
        hits: dict[bytes, listed.Hit | None],
        taken: dict[bytes, bool],
        modes: Sequence[int],
        verdict_flags: Sequence[int],
        asked: Asked,
        batch_ms: int,
    ) -> None:
        """Lets through what is drawn; nothing of it while a service is away."""
        if asked.verdicts is None or asked.assessments is None:
            return
        policy = self._policy.feedback
        drawn = [
            index
            for index, (item, outcome) in enumerate(zip(items, scores.outcomes, strict=True))
            if outcome >= decision_pb2.OUTCOME_REVIEW
            and hits[item.key] is None
            and control.is_drawn(policy, item, outcome, modes[item.event_class], verdict_flags[index])
        ]
        new = [items[index].key for index in drawn if items[index].key not in taken]
        granted = await self._control_cap.take(items[0].tenant, len(new), policy.control_an_hour, batch_ms)
        taken |= {key: number < granted for number, key in enumerate(new)}
        self._controlled.inc(granted)
        for index in drawn:
            if taken[items[index].key]:
                part, outcome = control.let_through(scores.decisions[index])
                scores.decisions[index], scores.outcomes[index] = part, outcome

    def _list_addresses(
        self,
        commit: Commit,
        items: list[Item],
        scores: scoring_pb2.DecideEventsResponse,
        places: event_pb2.Places,
        batch_ms: int,
    ) -> None:
        """Proposes the list entries that decisions ask the mesh for, once an address."""
        entries: dict[str, lists_pb2.ListEntry] = {}
        for index, (item, outcome) in enumerate(zip(items, scores.outcomes, strict=True)):
            # Nothing is listed for what is simply allowed, or only observed (which answers ALLOW).
            if outcome <= decision_pb2.OUTCOME_ALLOW or not listed.asks_to_list(scores.decisions[index]):
                continue
            entry = self._lists.automatic(item, places.flags[index], batch_ms)
            if entry is not None and entry.entity not in entries and not item.flags & (IMPORT | OLD):
                entries[entry.entity] = entry
        commit.listed.extend((items[0].tenant, entry) for entry in entries.values())

    async def _catch_up(
        self, items: list[Item], profiles: dict[bytes, Profile], tenant: str, policy_set: str
    ) -> dict[bytes, bytes] | None:
        """Profiles with what was decided while scoring was away folded in, oldest first; None where it is still away."""
        bodies = {user: profile.body for user, profile in profiles.items()}
        waiting = [
            (user, position)
            for user, profile in profiles.items()
            for position in positions_of(profile.backlog)
        ]
        for start in range(0, len(waiting), MAX_FOLDED_AT_ONCE):
            some = waiting[start : start + MAX_FOLDED_AT_ONCE]
            positions = [position for _, position in some]
            events = await self._store.database.read(self._store.events_at, positions)
            flags = await self._store.database.read(self._store.flags_at, positions)
            for piece in _pieces([(user, events[at], flags[at]) for user, at in some if at in events]):
                place = {
                    user: index for index, user in enumerate(dict.fromkeys(user for user, _, _ in piece))
                }
                request = scoring_pb2.DecideEventsRequest(
                    tenant=tenant,
                    policy_set=policy_set,
                    events=[event for _, event, _ in piece],
                    profiles=[bodies[user] for user in place],
                    profile_of=[place[user] for user, _, _ in piece],
                    # What was late then is late still.
                    item_flags=[FOLD_ONLY | flag & (LATE | IMPORT) for _, _, flag in piece],
                    places=self._places.current.columns(
                        [event_pb2.Event.FromString(event).ip_address for _, event, _ in piece]
                    ),
                    compliance_risk=[0.0] * len(piece),
                    verdict_flags=[0] * len(piece),
                )
                answer = await _or_none(self._peers.decide(request, self._timeout(items, _SHARE_OF_DECIDING)))
                if answer is None:
                    return None
                if answer.errors:
                    # A backlog event that cannot be folded must not keep its viewer from ever being decided.
                    self._log.error(
                        "scoring cannot fold some events of a backlog", extra={"events": len(answer.errors)}
                    )
                for user, index in place.items():
                    bodies[user] = answer.profiles[index] or bodies[user]
        return bodies

    def _tell_outages(self, commit: Commit, tenant: str, trace: TraceContext) -> list[tuple[str, int]]:
        """Adds a message for each outage not told yet; returns those, to be noted once the commit is durable."""
        outages = []
        for peer in (self._peers.compliance, self._peers.scoring, self._peers.fraud):
            since = peer.away_since_ms
            if since is not None and (peer.name, since) not in self._told_outages:
                outages.append((peer.name, since))
                request = alerts_pb2.RaiseAlertsRequest(messages=[outage_alert(tenant, peer.name, since)])
                commit.outbox.append((ALERTS, trace.traceparent, request.SerializeToString()))
        return outages

    # -- step 6 and 7: commit, tell ----------------------------------------------------------------

    @staticmethod
    def _merge(commit: Commit, side: Commit) -> None:
        commit.replays_superseded.extend(side.replays_superseded)
        commit.failed.extend(side.failed)
        commit.inbox_done.extend(side.inbox_done)
        commit.superseded.extend(side.superseded)
        commit.outbox_done.extend(side.outbox_done)
        for key, n in side.counts.items():
            commit.counts[key] = commit.counts.get(key, 0) + n

    def _after_commit(
        self, items: list[Item], commit: Commit, committed: Committed, batch_ms: int, trace: TraceContext
    ) -> None:
        for user, profile in committed.profiles.items():
            self._remember(user, profile)
        self._memory.committed(
            batch_ms if commit.sighted_ms else 0, any(not d.sighted for d in commit.decided)
        )
        keep_batch = False
        kinds = collections.Counter((decided.outcome, decided.event_class) for decided in commit.decided)
        for (outcome, event_class), number in kinds.items():
            self._decided.labels(*_labels(outcome, event_class)).inc(number)
        for item, decided, decision in zip(items, commit.decided, committed.decisions, strict=True):
            if decided.outcome >= decision_pb2.OUTCOME_REVIEW and item.trace is not None:
                keep_batch = item.kept = True
                self._telemetry.keep_trace(item.trace)
            _answer(item, wire.result(ingest_pb2.EVENT_STATUS_DECIDED, item.event_id, decision))
        if keep_batch:
            self._telemetry.keep_trace(trace)
        if commit.listed:
            self._lists.proposed(commit.listed)
        for row_id, (topic, _, body) in zip(committed.outbox_ids, commit.outbox, strict=True):
            self._outbox.deliver_soon(row_id, topic, trace.traceparent, body)

    def _refuse(self, batch: list[Item], error: UsherError) -> None:
        for item in batch:
            if item.answer is not None and not item.answer.given:
                if not (item.from_inbox or item.replay_of):
                    self._ledger.refuse(item.tenant, error.reason)
                _answer(item, refused_result(item.event_id, error))


class Pace:
    """How fast events come to an end, as a mean over about the last five seconds."""

    _SPAN_S = 5.0
    _SHORTEST_S, _LONGEST_S = 0.1, 10.0

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._ended = 0.0

    def ended(self, number: int) -> None:
        """Notes that so many events have come to an end."""
        self._fade()
        self._ended += number

    def seconds_for(self, number: int) -> float:
        """Seconds that so many events will take, 0.1 to 10."""
        self._fade()
        per_second = self._ended / self._SPAN_S
        if per_second <= 0:
            return 1.0
        return min(self._LONGEST_S, max(self._SHORTEST_S, number / per_second))

    def _fade(self) -> None:
        now = time.monotonic()
        self._ended *= math.exp(-(now - self._since) / self._SPAN_S)
        self._since = now


# -- pieces ------------------------------------------------------------------------------------------


def _halves(batch: list[Item]) -> list[list[Item]]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def _imported(items: Sequence[Item]) -> bool:
    """Whether all events are imported: no viewer waits for what they may do."""
    return all(item.flags & IMPORT for item in items)


async def _or_none(call: Awaitable[Any]) -> Any:
    try:
        return await call
    except AwayError:
        return None


def _verdict_columns(
    answer: compliance_pb2.EvaluateEventsResponse | None, number: int
) -> tuple[Sequence[int], list[bytes], list[float], list[int]]:
    if answer is None:
        verdict = degrade.verdict_without_compliance()
        unknown = decision_pb2.Verdict.FromString(verdict).flags
        return [0] * number, [verdict], [0.0] * number, [unknown] * number
    verdict_of = list(answer.verdict_of)
    if len(verdict_of) != number:
        raise InvalidArgument(
            "COLUMN_LENGTH", "compliance answered another number of events than it was asked"
        )
    risks, flags = list(answer.risks), list(answer.flags)
    return verdict_of, list(answer.verdicts), [risks[v] for v in verdict_of], [flags[v] for v in verdict_of]


def _pieces(events: Sequence[tuple[bytes, bytes, int]]) -> Iterator[list[tuple[bytes, bytes, int]]]:
    """Cuts (user, event, flags) into pieces that fit into a message."""
    piece: list[tuple[bytes, bytes, int]] = []
    size = 0
    for one in events:
        if piece and size + len(one[1]) > MAX_BATCH_BYTES:
            yield piece
            piece, size = [], 0
        piece.append(one)
        size += len(one[1])
    if piece:
        yield piece


_OUTCOMES = {value: name.removeprefix("OUTCOME_") for name, value in decision_pb2.Outcome.items()}
_CLASSES = {value: name.removeprefix("EVENT_CLASS_") for name, value in event_pb2.EventClass.items()}


def _labels(outcome: int, event_class: int) -> tuple[str, str]:
    return _OUTCOMES[outcome], _CLASSES[event_class]


def _answer(item: Item, result: bytes) -> None:
    if item.answer is not None:
        item.answer.give(result)


def failed_result(failed: ingest_pb2.FailedEvent) -> bytes:
    """The EventResult of a failed event."""
    return ingest_pb2.EventResult(
        status=ingest_pb2.EVENT_STATUS_FAILED, event_id=failed.event_id, failure=failed.failure
    ).SerializeToString()


def conflict_result(event_id: str) -> bytes:
    """The EventResult of an id that was used for another event."""
    result = ingest_pb2.EventResult(status=ingest_pb2.EVENT_STATUS_CONFLICT, event_id=event_id)
    result.failure.reason = "EVENT_ID_REUSED"
    result.failure.message = "another event was sent under this event_id before; send this one under a new id"
    return result.SerializeToString()


def gone_result(event_id: str) -> bytes:
    """The EventResult of an event that was erased, or happened before its viewer was."""
    return refused_result(
        event_id,
        Gone(message="the event was erased with its viewer's data and is not taken again", retry_after=0.0),
    )


def refused_result(event_id: str, error: UsherError) -> bytes:
    """The EventResult of an event that was not stored."""
    result = ingest_pb2.EventResult(status=ingest_pb2.EVENT_STATUS_REFUSED, event_id=event_id)
    result.failure.reason = error.reason
    result.failure.message = error.message
    result.failure.retry_after_ms = int((error.retry_after if error.retry_after is not None else 0.25) * 1000)
    return result.SerializeToString()
