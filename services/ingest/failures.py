"""Failed events: shown, replayed, and deleted when their time is over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.common.clock import Clock
from services.common.errors import InvalidArgument, UsherError
from services.common.telemetry import Telemetry
from services.ingest import receipts
from services.ingest.door import Door
from services.ingest.pipeline import refused_result
from services.ingest.store import Store
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import ingest_pb2

MOST_AT_ONCE = 256

_DAY_MS = 86_400_000
_SWEEP_S = 600.0
_DELETED_AT_ONCE = 1_000

_UNKNOWN = UsherError(
    "FAILED_EVENT_UNKNOWN", "no failed event of this tenant is kept under this failed_id", retry_after=0.0
)
_LOCKED = UsherError(
    "FAILED_EVENT_LOCKED",
    "its payload is encrypted under a key that is not in the key file, or it was changed; put the key back",
    retry_after=0.0,
)


class Failures:
    """What is done with failed events after they have failed."""

    def __init__(
        self, store: Store, door: Door, retention_days: int, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._store = store
        self._door = door
        self._retention_ms = retention_days * _DAY_MS
        self._clock = clock
        self._log = telemetry.logger("failures")

    async def listed(
        self, tenant: str, before: int, limit: int, *, reason: str, component: str, open_only: bool
    ) -> tuple[list[ingest_pb2.FailedEvent], int]:
        """Failed events below a row id, newest first and without payload; and the last one's row id, 0 for none."""
        rows = await self._store.database.read(
            self._store.list_failed, tenant, before, limit, reason, component, open_only
        )
        for row in rows:
            row.failed.ClearField("payload")
            self._dated(row.failed)
        return [row.failed for row in rows], rows[-1].id if rows else 0

    async def one(self, tenant: str, failed_id: str) -> ingest_pb2.FailedEvent | None:
        """A failed event with its payload."""
        failed = await self._store.database.read(self._store.failed_event, tenant, failed_id)
        return None if failed is None else self._dated(failed)

    async def replay(
        self, tenant: str, failed_ids: Sequence[str], *, accept_attacks: bool, actor: str
    ) -> list[ingest_pb2.ReplayResult]:
        """Has failed events decided after all; one result an id, in order. Raises InvalidArgument, Unavailable."""
        if not failed_ids:
            raise InvalidArgument("NO_FAILED_EVENTS", "name 1 to 256 failed events")
        if len(failed_ids) > MOST_AT_ONCE:
            raise InvalidArgument(
                "TOO_MANY_FAILED_EVENTS",
                f"{len(failed_ids)} failed events in one call, at most {MOST_AT_ONCE} are allowed",
                metadata={"limit": str(MOST_AT_ONCE)},
            )
        read = self._store.database.read
        results: dict[str, ingest_pb2.EventResult] = {}
        waiting: dict[str, ingest_pb2.FailedEvent] = {}
        for failed_id in dict.fromkeys(failed_ids):
            one = await read(self._store.failed_event, tenant, failed_id)
            if one is None:
                results[failed_id] = _refused("", _UNKNOWN)
            elif one.replayed:
                results[failed_id] = await self._decided_before(tenant, one.event_id)
            elif one.locked:
                results[failed_id] = _refused(one.event_id, _LOCKED)
            else:
                waiting[failed_id] = one
        if waiting:
            self._log.info(
                "failed events are replayed",
                extra={"events": len(waiting), "actor": actor, "accept_attacks": accept_attacks},
            )
            decided = await self._door.replay(tenant, list(waiting.values()), accept_attacks=accept_attacks)
            for failed_id, result in zip(waiting, decided, strict=True):
                results[failed_id] = result
                if result.status == ingest_pb2.EVENT_STATUS_FAILED:
                    await self._store.database.run(self._store.note_replay, tenant, failed_id, result.failure)
        return [
            ingest_pb2.ReplayResult(failed_id=failed_id, result=results[failed_id])
            for failed_id in failed_ids
        ]

    async def run(self) -> None:
        """Deletes what is older than the retention, for ever."""
        while True:
            try:
                await self._delete_old()
            except UsherError as error:
                self._log.warning("old failed events wait to be deleted", extra={"reason": error.reason})
            await asyncio.sleep(_SWEEP_S)

    async def _delete_old(self) -> None:
        before = self._clock.now_ms() - self._retention_ms
        deleted = _DELETED_AT_ONCE
        while deleted == _DELETED_AT_ONCE:
            deleted = await self._store.database.run(
                self._store.delete_failed_before, before, _DELETED_AT_ONCE
            )
            if deleted:
                self._log.info("failed events were deleted: their time is over", extra={"events": deleted})

    async def _decided_before(self, tenant: str, event_id: str) -> ingest_pb2.EventResult:
        found = await self._store.database.read(self._store.find, receipts.event_key(tenant, event_id))
        result = ingest_pb2.EventResult(status=ingest_pb2.EVENT_STATUS_DUPLICATE, event_id=event_id)
        if found is not None:
            result.decision.CopyFrom(decision_pb2.Decision.FromString(found[1]))
        return result

    def _dated(self, failed: ingest_pb2.FailedEvent) -> ingest_pb2.FailedEvent:
        failed.expire_time.FromMilliseconds(failed.failed_time.ToMilliseconds() + self._retention_ms)
        return failed


def _refused(event_id: str, error: UsherError) -> ingest_pb2.EventResult:
    return ingest_pb2.EventResult.FromString(refused_result(event_id, error))
