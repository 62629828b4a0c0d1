"""The side entries of the books: what is counted or kept without a decision.

Failed events must be durable before they are answered; counts of repeats and refusals may wait for the next
transaction. Both are gathered while a transaction runs and written together by the next one. A count that a crash
swallows was swallowed on both sides of its identity (received and its kind), so the books still close.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

from services import __version__
from services.common.clock import Clock
from services.common.errors import FieldViolation
from services.ingest.check import stage_of
from services.ingest.records import Commit
from services.ingest.store import Store
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2


class Ledger:
    """Gathers side entries and writes them."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._pending = Commit()
        self._handed: dict[int, asyncio.Future[bool]] = {}
        """Entries in a transaction under way, by identity: whether they were written."""
        self._flushing = asyncio.Lock()

    def count(self, tenant: str, name: str, n: int = 1) -> None:
        """Adds to a counter, to be written soon."""
        key = (tenant, name)
        self._pending.counts[key] = self._pending.counts.get(key, 0) + n

    def refuse(self, tenant: str, reason: str, n: int = 1) -> None:
        """Counts events that came in and were not stored."""
        self.count(tenant, "received", n)
        self.count(tenant, f"refused:{reason}", n)

    def delivered(self, outbox_id: int) -> None:
        """Notes that a message of the outbox was delivered."""
        self._pending.outbox_done.append(outbox_id)

    def fail(
        self, failed: ingest_pb2.FailedEvent, *, inbox_key: bytes | None = None, accepted: bool = True
    ) -> None:
        """Keeps a failed event; with `inbox_key` it was accepted before and ends there.

        Durable once `flush` has returned.
        """
        self._pending.failed.append(failed)
        if inbox_key is not None:
            self._pending.inbox_done.append(inbox_key)
        elif accepted:
            self.count(failed.tenant, "received")
            self.count(failed.tenant, "accepted")
        self.count(failed.tenant, "failed")

    def supersede(self, tenant: str, inbox_key: bytes) -> None:
        """Ends an inbox row whose event was found to be decided elsewhere."""
        self._pending.superseded.append((tenant, inbox_key))

    def supersede_replay(self, tenant: str, failed_id: str) -> None:
        """Ends a failed event whose id was found to be decided otherwise."""
        self._pending.replays_superseded.append((tenant, failed_id))

    def take(self) -> Commit:
        """Hands the gathered entries over to a transaction that is about to be written anyway.

        Tell how it ended: `written` or `give_back`.
        """
        taken, self._pending = self._pending, Commit()
        self._handed[id(taken)] = asyncio.get_running_loop().create_future()
        return taken

    def written(self, taken: Commit) -> None:
        """Notes that the transaction with these entries is durable."""
        self._handed.pop(id(taken)).set_result(True)

    def give_back(self, taken: Commit) -> None:
        """Takes entries back whose transaction failed."""
        self._handed.pop(id(taken)).set_result(False)
        now = self._pending
        taken.failed.extend(now.failed)
        taken.inbox_done.extend(now.inbox_done)
        taken.superseded.extend(now.superseded)
        taken.replays_superseded.extend(now.replays_superseded)
        taken.outbox_done.extend(now.outbox_done)
        for key, n in now.counts.items():
            taken.counts[key] = taken.counts.get(key, 0) + n
        self._pending = taken

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be written."""
        p = self._pending
        return not (
            p.counts or p.failed or p.outbox_done or p.superseded or p.replays_superseded or p.inbox_done
        )

    async def flush(self) -> None:
        """Writes what has been gathered; returns once it is durable, in whichever transaction it went."""
        # A caller that gives up must not take the write with it: it would be written again.
        await asyncio.shield(asyncio.get_running_loop().create_task(self._flush()))

    async def _flush(self) -> None:
        async with self._flushing:
            again = True
            while again:
                elsewhere = list(self._handed.values())
                if not self.empty:
                    taken = self.take()
                    try:
                        await self._store.database.run(self._store.commit, taken)
                    except BaseException:
                        self.give_back(taken)
                        raise
                    self.written(taken)
                again = not all([await one for one in elsewhere])


def failed_event(
    tenant: str,
    event_id: str,
    payload: bytes,
    violations: Sequence[FieldViolation],
    now_ms: int,
    *,
    component: str = "ingest",
    undecidable: bool = False,
    failed_id: str = "",
) -> ingest_pb2.FailedEvent:
    """A failed event with every error found; one without an id is given its failed id.

    `undecidable` says that it is well formed and the component could not decide it; `failed_id` is that of the failed event
    whose replay this is.
    """
    failed_id = failed_id or f"failed_{uuid.uuid4().hex}"
    reasons = {violation.reason for violation in violations}
    stages = [stage_of(violation.field, violation.reason) for violation in violations]
    if undecidable:
        reason, advice = (
            "UNDECIDABLE",
            f"{component} cannot decide this event; it is kept and can be replayed",
        )
    elif reasons == {"IN_THE_FUTURE"}:
        reason, advice = "IN_THE_FUTURE", "correct the time and send the event again under the same id"
    elif event_pb2.CHECK_STAGE_SECURITY in stages:
        reason, advice = (
            "SECURITY",
            "a field looks like an attack; correct the fields named and send the event again under the same id",
        )
    elif set(stages) == {event_pb2.CHECK_STAGE_SANITISING}:
        reason, advice = (
            "UNCLEAN",
            "take out what the fields named must not hold and send the event again under the same id",
        )
    else:
        reason, advice = (
            "INVALID_EVENT",
            "correct the fields named and send the event again under the same id",
        )
    failed = ingest_pb2.FailedEvent(
        failed_id=failed_id,
        tenant=tenant,
        event_id=event_id or failed_id,
        component=component,
        component_version=__version__,
        payload=payload,
    )
    failed.failed_time.FromMilliseconds(now_ms)
    failed.failure.reason = reason
    failed.failure.message = advice
    failed.failure.failed_id = failed_id
    for violation, stage in zip(violations, stages, strict=True):
        failed.failure.violations.add(
            field=violation.field, reason=violation.reason, message=violation.message, stage=stage
        )
    return failed
