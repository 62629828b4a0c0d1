"""What the ledger says of batches: kept in memory, and never of an older version than the database holds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.compliance import ledger_reader
from services.compliance.ledger import GIVEN, WITHDRAWN
from services.compliance.ledger_reader import LedgerReader
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import consent_pb2
from usher.event.v1 import event_pb2

NOON_MS = 1_767_268_800_000


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(DatabaseSettings(url=f"{tmp_path}/c.db"), schema="compliance") as opened:
        await asyncio.to_thread(migrate, opened, "compliance")
        yield opened


def event(user: str, ahead_ms: int = 10, purpose: str = "Analytics") -> bytes:
    made = event_pb2.Event(user_id=user)
    made.event_time.FromMilliseconds(NOON_MS + ahead_ms)
    made.privacy.purpose = purpose
    return made.SerializeToString()


def record(act: int, ahead_ms: int = 0, expires_ms: int = 0) -> consent_pb2.ConsentRecord:
    made = consent_pb2.ConsentRecord(act=act, purpose="analytics", source="cmp")
    made.effective_time.FromMilliseconds(NOON_MS + ahead_ms)
    if expires_ms:
        made.expires_time.FromMilliseconds(NOON_MS + expires_ms)
    return made


async def statuses(reader: LedgerReader, *events: bytes, tenant: str = "acme") -> list[str | None]:
    told = await reader.tell(tenant, events)
    return [
        fact.status if (fact := told.get(place, (None, 0))[0]) is not None else None
        for place in range(len(events))
    ]


async def test_facts_turn_with_time_and_are_kept(database: Database) -> None:
    store = ConsentStore(database)
    reader = LedgerReader(store)
    assert await statuses(reader, event("ann")) == [None]
    await store.record("acme", "ann", [record(GIVEN, expires_ms=100)], "", NOON_MS)
    for _ in range(2):
        assert await statuses(
            reader,
            event("ann", -1),
            event("ann", 99),
            event("ben"),
            event("ann", 100),
            b"\xff",
            event("ann", 5, "ads"),
        ) == [None, "granted", None, "expired", None, ""]
    assert await statuses(reader, event("ann"), tenant="zeta") == [None]


async def test_what_another_process_records_is_seen_by_the_next_batch(database: Database) -> None:
    store, elsewhere = ConsentStore(database), ConsentStore(database)
    reader = LedgerReader(store)
    await elsewhere.record("acme", "ann", [record(GIVEN)], "", NOON_MS)
    assert await statuses(reader, event("ann")) == ["granted"]
    await elsewhere.record("acme", "ann", [record(WITHDRAWN, 5)], "", NOON_MS)
    assert await statuses(reader, event("ann")) == ["withdrawn"]
    told = await reader.tell("acme", [event("ann")])
    assert told[0][1] == 2
    await elsewhere.erase("acme", "ann", NOON_MS)
    assert await statuses(reader, event("ann")) == [None]
    assert not reader._viewers


async def test_a_viewer_is_forgotten_at_once(database: Database) -> None:
    store = ConsentStore(database)
    reader = LedgerReader(store)
    await store.record("acme", "ann", [record(GIVEN)], "", NOON_MS)
    assert await statuses(reader, event("ann")) == ["granted"]
    reader.forget("acme", "ann")
    reader.forget("acme", "ben")
    assert not reader._viewers


async def test_memory_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_reader, "KEPT_VIEWERS", 2)
    store = ConsentStore(database)
    reader = LedgerReader(store)
    users = [f"user-{number}" for number in range(5)]
    for user in users:
        await store.record("acme", user, [record(GIVEN)], "", NOON_MS)
    for _ in range(2):
        assert await statuses(reader, *map(event, users)) == ["granted"] * 5
    assert len(reader._viewers) == 2
