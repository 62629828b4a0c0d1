"""One suite for the consent ledger's rows, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from services.common.db import Database, DatabaseSettings, open_database
from services.common.errors import Conflict
from services.common.migrations import migrate
from services.compliance import ledger
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import consent_pb2

NOON_MS = 1_767_268_800_000


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = (
        f"sqlite:///{tmp_path}/compliance.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    async with open_database(DatabaseSettings(url=url), schema="compliance") as opened:
        await asyncio.to_thread(migrate, opened, "compliance")
        yield opened


@pytest.fixture
def store(database: Database) -> ConsentStore:
    return ConsentStore(database)


def given(purpose: str = "analytics", **fields: Any) -> consent_pb2.ConsentRecord:
    return consent_pb2.ConsentRecord(
        act=consent_pb2.CONSENT_ACT_GIVEN, purpose=purpose, source="cmp", **fields
    )


def execute(database: Database, statement: str, **values: Any) -> None:
    with database.begin() as connection:
        connection.execute(sa.text(statement), values)


async def problems(store: ConsentStore, tenant: str = "acme") -> list[tuple[int, str]]:
    chain, entries = await store.chain(tenant, 0, 1_000)
    previous, found = (0, chain), []
    for entry in entries:
        if problem := ledger.broken(entry, previous):
            found.append((entry.seq, problem))
        previous = (entry.seq, entry.chain)
    return found


async def test_entries_are_chained_by_tenant(store: ConsentStore) -> None:
    first = await store.record("acme", "ann", [given(), given("personalisation")], "", NOON_MS)
    second = await store.record("acme", "ben", [given()], "", NOON_MS + 1)
    other = await store.record("zeta", "ann", [given()], "", NOON_MS)

    assert [entry.seq for entry in [*first.entries, *second.entries, *other.entries]] == [1, 2, 3, 1]
    assert await problems(store) == []
    assert len({entry.receipt_id for entry in [*first.entries, *second.entries, *other.entries]}) == 4
    assert await store.of_viewer("acme", "ann") == first.entries
    assert await store.of_viewers("acme", ["ann", "ben", "cat"]) == {
        "ann": first.entries,
        "ben": second.entries,
    }
    assert await store.versions("acme", ["ann", "ben", "cat"]) == {"ann": 2, "ben": 3}
    assert await store.holds_any("acme")
    assert not await store.holds_any("nobody")


async def test_a_request_is_recorded_once(store: ConsentStore) -> None:
    records = [given(), given("personalisation")]
    first = await store.record("acme", "ann", records, "r", NOON_MS)
    again = await store.record("acme", "ann", records, "r", NOON_MS + 99)

    assert (first.repeated, again.repeated) == (False, True)
    assert again.entries == first.entries
    for user, other in (("ann", [given()]), ("ben", records)):
        with pytest.raises(Conflict, match="REQUEST_ID_CONFLICT"):
            await store.record("acme", user, other, "r", NOON_MS)
    # Another tenant's request of the same name is another one.
    assert not (await store.record("zeta", "ann", records, "r", NOON_MS)).repeated
    assert len(await store.page("acme", "", 10, 0)) == 2


async def test_requests_at_once_take_turns(store: ConsentStore) -> None:
    await asyncio.gather(*(store.record("acme", f"u{n}", [given()], "", NOON_MS) for n in range(12)))
    same = await asyncio.gather(*(store.record("acme", "ann", [given()], "same", NOON_MS) for _ in range(6)))

    assert [entry.seq for entry in await store.page("acme", "", 50, 0)] == list(range(13, 0, -1))
    assert sum(not one.repeated for one in same) == 1
    assert await problems(store) == []


async def test_pages_are_newest_first(store: ConsentStore) -> None:
    for number in range(5):
        await store.record("acme", "ann" if number % 2 else "ben", [given()], "", NOON_MS + number)

    assert [entry.seq for entry in await store.page("acme", "", 3, 0)] == [5, 4, 3]
    assert [entry.seq for entry in await store.page("acme", "", 3, 3)] == [2, 1]
    assert [entry.seq for entry in await store.page("acme", "ann", 3, 0)] == [4, 2]


async def test_erasing_leaves_receipts_and_chain(store: ConsentStore, database: Database) -> None:
    anns = await store.record("acme", "ann", [given(), given("personalisation")], "r", NOON_MS)
    await store.record("acme", "ben", [given()], "", NOON_MS)

    assert await store.erase("acme", "ann", NOON_MS + 5) == 2
    assert await store.erase("acme", "ann", NOON_MS + 6) == 0
    assert await store.of_viewer("acme", "ann") == []
    erasure, bens, second, first = await store.page("acme", "", 10, 0)
    assert [entry.receipt_id for entry in (first, second)] == [entry.receipt_id for entry in anns.entries]
    assert [(entry.user_id, entry.salt, entry.content) for entry in (first, second)] == [
        (None, None, None)
    ] * 2
    assert (erasure.act, erasure.content, erasure.user_id) == (ledger.ERASED, b"1,2", None)
    assert bens.user_id == "ben"
    assert await problems(store) == []
    # A repeat of the erased request adds nothing, and nothing tells whose it was.
    assert (await store.record("acme", "ann", [given()], "r", NOON_MS)).repeated
    with database.reading() as connection:
        dump = str(connection.execute(sa.text("SELECT * FROM consents")).fetchall())
    assert "ann" not in dump


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("UPDATE consents SET content = :other WHERE seq = 2", 2),
        ("UPDATE consents SET recorded_ms = recorded_ms - 1 WHERE seq = 2", 2),
        ("UPDATE consents SET act = 3 WHERE seq = 1", 1),
        ("DELETE FROM consents WHERE seq = 2", 3),
        ("UPDATE consents SET digest = :other WHERE seq = 3", 3),
    ],
)
async def test_what_is_altered_is_found(
    store: ConsentStore, database: Database, statement: str, place: int
) -> None:
    for number in range(4):
        await store.record("acme", "ann", [given()], "", NOON_MS + number)
    values = {"other": given("personalisation").SerializeToString()} if ":other" in statement else {}
    await asyncio.to_thread(execute, database, statement, **values)

    assert (await problems(store))[0][0] == place
