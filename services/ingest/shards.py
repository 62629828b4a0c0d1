"""Which process decides what waits in the inbox.

Events accepted at the Submit door lie in 64 shards by viewer. On SQLite the one process owns them all. On PostgreSQL the
processes share them: each holds an advisory lock for itself and one for every shard it owns, on a connection of its own;
the locks fall with the connection, so a crashed process's shards are free at once. A process that lost its connection but
does not know it yet is fenced by the compare-and-set of the profiles and the receipts' primary key.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Any

import sqlalchemy as sa

from services.common.errors import UsherError
from services.common.event_types import event_class
from services.common.telemetry import Telemetry, parse_traceparent
from services.ingest import receipts
from services.ingest.items import IMPORT, Item
from services.ingest.pipeline import Pipeline
from services.ingest.records import InboxRow
from services.ingest.store import Store
from usher.event.v1 import event_pb2

_POLL_S = 0.25
_LEAST_PAUSE_S = 0.02
_AT_ONCE = 1_000
_SHARD_LOCK = 0x55534801
_PROCESS_LOCK = 0x55534802
_MOST_PROCESSES = 64


class Shards:
    """The shards that this process owns, and the road from the inbox into the pipeline."""

    def __init__(self, store: Store, pipeline: Pipeline, telemetry: Telemetry) -> None:
        self._store = store
        self._pipeline = pipeline
        self._log = telemetry.logger("shards")
        self._connection: sa.Connection | None = None
        self._slot = -1
        self._closed = False
        self._arrived = asyncio.Event()
        self.owned: set[int] = set()

    async def start(self) -> None:
        """Claims shards and takes up what waits in them from before."""
        await self._claim()
        await self._take_waiting()

    async def run(self) -> None:
        """Claims, gives up and polls, for ever; takes up at once what this process has accepted."""
        claimed = time.monotonic()
        while True:
            await asyncio.sleep(_LEAST_PAUSE_S)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), _POLL_S - _LEAST_PAUSE_S)
            self._arrived.clear()
            try:
                if time.monotonic() - claimed >= _POLL_S:
                    claimed = time.monotonic()
                    await self._claim()
                await self._take_waiting()
            except UsherError as error:
                self._log.warning("the inbox cannot be read", extra={"reason": error.reason})

    def accepted(self, item: Item) -> None:
        """Takes an event just put into the inbox by this process; those of other processes' shards wait for them."""
        if receipts.shard(item.user_key) not in self.owned:
            return
        if self._store.database.dialect == "sqlite":
            self._pipeline.enqueue(item)
        else:
            # Through the inbox, in its order: the viewer's event before may have been accepted by another process, and
            # wait there for this one.
            self._arrived.set()

    def close(self) -> None:
        """Takes up no more of what waits: the process is draining."""
        self._closed = True

    def release(self) -> None:
        """Gives all shards up. Blocks."""
        self.owned.clear()
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    async def _take_waiting(self) -> None:
        if not self.owned:
            return
        rows = await self._store.database.read(self._store.inbox_rows, sorted(self.owned), _AT_ONCE)
        for row in rows:
            if not self._closed and not self._pipeline.is_under_way(row.key):
                self._pipeline.enqueue(item_of(row))

    async def _claim(self) -> None:
        if self._store.database.dialect == "sqlite":
            self.owned = set(range(receipts.SHARDS))
            return
        self.owned = await self._store.database.run(self._claim_postgresql)

    def _claim_postgresql(self) -> set[int]:
        try:
            if self._connection is None:
                # Not of the pool: the locks live as long as this connection.
                self._connection = self._store.database.engine.connect().execution_options(
                    isolation_level="AUTOCOMMIT"
                )
                self._connection.detach()
                self.owned = set()
                self._slot = next(
                    slot
                    for slot in range(_MOST_PROCESSES)
                    if self._lock("pg_try_advisory_lock", _PROCESS_LOCK, slot)
                )
            return self._balance(self._connection)
        except sa.exc.DBAPIError as error:
            self._log.warning(
                "the connection that holds the shards was lost", extra={"error": type(error).__name__}
            )
            self.release()
            return set()

    def _balance(self, connection: sa.Connection) -> set[int]:
        processes = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = %s "
            "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            (_PROCESS_LOCK,),
        ).scalar_one()
        share = math.ceil(receipts.SHARDS / max(int(processes), 1))
        owned = set(self.owned)
        while len(owned) > share:
            # What is under way of it still commits; who takes it over meets it in the receipts.
            given = owned.pop()
            self._lock("pg_advisory_unlock", _SHARD_LOCK, given)
        for shard in range(receipts.SHARDS):
            if len(owned) >= share:
                break
            if shard not in owned and self._lock("pg_try_advisory_lock", _SHARD_LOCK, shard):
                owned.add(shard)
        return owned

    def _lock(self, function: str, kind: int, number: int) -> bool:
        assert self._connection is not None
        row: Any = self._connection.exec_driver_sql(f"SELECT {function}(%s::int, %s::int)", (kind, number))
        return bool(row.scalar_one())


def item_of(row: InboxRow) -> Item:
    """An item made from an inbox row."""
    event = event_pb2.Event.FromString(row.payload)
    return _item(row, event)


def _item(row: InboxRow, event: event_pb2.Event) -> Item:
    item = Item(
        tenant=row.tenant,
        event_id=event.event_id,
        user_id=event.user_id,
        key=row.key,
        user_key=receipts.user_key(row.tenant, event.user_id),
        address=event.ip_address,
        device=receipts.device_hash(event.device_id),
        device_id=event.device_id,
        payment=event.payment_fingerprint,
        fingerprint=row.fingerprint,
        payload=row.payload,
        event_ms=event.event_time.seconds * 1000 + event.event_time.nanos // 1_000_000,
        event_class=event_class(event.event_type),
        flags=row.flags,
        import_id=event.import_id if row.flags & IMPORT else "",
        started=time.perf_counter(),
        deadline=None,
        trace=parse_traceparent(row.traceparent) if row.traceparent else None,
        answer=None,
    )
    item.from_inbox = True
    return item
