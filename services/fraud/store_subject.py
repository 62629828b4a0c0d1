"""What fraud keeps of one account: its sets in the memory, its place in a ring."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from services.common.db import Database
from services.common.erased import Entry, Erased, ErasedRows, State, subject_of
from services.common.errors import Unavailable
from services.common.subject_data import NothingKept, Rows, Subject
from services.fraud.memory import Memory
from services.fraud.ringbook import RingBook
from services.fraud.store import RingStore
from services.fraud.store_outcomes import OutcomeStore
from usher.fraud.v1 import fraud_pb2


class FraudSubjects(NothingKept):
    """The `SubjectStore` of fraud."""

    def __init__(
        self, memory: Memory, rings: RingStore, book: RingBook, database: Database, rows: ErasedRows
    ) -> None:
        self._memory = memory
        self._rings = rings
        self._book = book
        self._database = database
        self._rows = rows
        self._outcomes = OutcomeStore(database)

    async def start(self) -> None:
        """Looks whether an older copy was put back, and forgets whom an older snapshot of the memory brought back."""
        await self._database.run(self._rows.look)
        key = await self._database.read(self._rows.key)
        if key:
            erased = await self._database.read(self._rows.all)
            await self._forget_named(key, erased)

    async def healthy(self) -> None:
        """Returns when memory and rows can be used. Raises Unavailable, ERASURES_BEHIND among others."""
        self._book.check()
        await asyncio.gather(self._memory.healthy(), self._database.ping())
        if self._rows.restored:
            raise Unavailable(
                "ERASURES_BEHIND",
                "an older copy of the rows was put back; they are used once the erasure ledger was applied again",
                retry_after=2.0,
            )

    async def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        """Devices, payment instruments, addresses, places; the ring without its other members."""
        tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for store, row in await self._memory.told(subject.tenant, subject.user_id):
            tables[store].append(row)
        for store, rows in tables.items():
            yield store, rows
        turned_out = await self._database.read(self._outcomes.of, subject.tenant, subject.user_id)
        if turned_out:
            yield (
                "outcomes",
                [
                    {"verdict": fraud_pb2.OutcomeVerdict.Name(verdict), "final_from_ms": mature_ms}
                    for verdict, mature_ms in turned_out
                ],
            )
        ring = await self._database.read(self._rings.ring_of, subject.tenant, subject.user_id)
        if ring is not None:
            ring_id, members, score, card = ring
            yield (
                "ring",
                [
                    {
                        "ring_id": ring_id,
                        "accounts": members,
                        "score": round(score, 6),
                        "flagged": card.flagged,
                        "first_seen": card.first_seen_time.ToJsonString(),
                        "last_seen": card.last_seen_time.ToJsonString(),
                        "innocent_explanations": list(card.innocent_explanations),
                    }
                ],
            )

    async def erase(self, subject: Subject, key: bytes, entry: Entry | None) -> Erased:
        erased: dict[str, int] = {}
        tenant, user_id = subject.tenant, subject.user_id
        if not subject.keeps_all("memory"):
            erased["memory"] = await self._memory.forget(tenant, user_id, subject.event_ids)
        if not subject.keeps_all("rings"):
            erased["rings"] = await self._database.run(self._rings.forget, tenant, user_id)
            erased["outcomes"] = await self._database.run(self._outcomes.forget, tenant, user_id)
        self._book.forget(tenant, user_id)
        await self._database.run(
            self._database.scrub, [user_id.encode()], ("rings", "ring_members", "outcomes")
        )
        if erased.get("outcomes"):
            await self._book.renew()
        if entry is not None:
            await self._database.run(self._rows.record, key, [entry])
        return Erased({store: number for store, number in erased.items() if number})

    async def remaining(self, subject: Subject) -> Mapping[str, int]:
        tenant, user_id = subject.tenant, subject.user_id
        found = {}
        if not subject.keeps_all("memory"):
            found["memory"] = await self._memory.holds(tenant, user_id, subject.event_ids)
        if not subject.keeps_all("rings"):
            ring = await self._database.read(self._rings.ring_of, tenant, user_id)
            found["rings"] = int(ring is not None)
            found["outcomes"] = len(await self._database.read(self._outcomes.of, tenant, user_id))
        return found

    async def erasure_state(self) -> State:
        return await self._database.read(self._rows.state)

    async def reapply(self, key: bytes, entries: Sequence[Entry], complete: bool) -> Mapping[str, int]:
        forgotten = await self._forget_named(key, {entry.subject: entry.erased_ms for entry in entries})
        await self._database.run(lambda: self._rows.record(key, entries, complete=complete))
        return forgotten

    async def _forget_named(self, key: bytes, erased: Mapping[bytes, int]) -> dict[str, int]:
        """Forgets erased accounts, but for those that came back after their erasure."""
        if not erased:
            return {}
        named: dict[tuple[str, str], int] = {}
        async for tenant, account, newest_ms in self._memory.accounts():
            named[tenant, account] = max(newest_ms, named.get((tenant, account), 0))
        for tenant, account in await self._database.read(self._rings.members):
            named.setdefault((tenant, account), 0)
        for tenant, account in await self._database.read(self._outcomes.accounts):
            named.setdefault((tenant, account), 0)
        done = {"accounts": 0}
        for (tenant, account), newest_ms in named.items():
            erased_ms = erased.get(subject_of(key, tenant, account))
            if erased_ms is not None and newest_ms <= erased_ms:
                await self.erase(Subject(tenant, account), key, None)
                done["accounts"] += 1
        return done
