"""Forgetting an account, in every memory and in the rings' rows."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.erased import Entry, ErasedRows, subject_of
from services.common.migrations import migrate
from services.common.subject_data import Subject
from services.fraud.memory import NOTHING_KNOWN, Memory, Sighting, pack_place
from services.fraud.parameters import shipped
from services.fraud.ringbook import RingBook
from services.fraud.store import RingStore
from services.fraud.store_outcomes import OutcomeStore
from services.fraud.store_redis import RedisMemory
from services.fraud.store_snapshot import SnapshotMemory
from services.fraud.store_subject import FraudSubjects
from tests.sightings import make_sighting
from usher.fraud.v1 import fraud_pb2

NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z
TENANT = "acme"
KEY = bytes(32)
ANNA, BOB = "anna-4711", "bob-4712"


@pytest.fixture(params=["snapshot", "redis"])
async def memory(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Memory]:
    made: Memory
    if request.param == "snapshot":
        made = SnapshotMemory(tmp_path / "snapshots", interval=3600)
    else:
        made = RedisMemory(request.getfixturevalue("redis_url"), allow_volatile=True, timeout=10)
    await made.open()
    yield made
    await made.close()


def sighting(event_id: str, user: str, **changes: Any) -> Sighting:
    values: dict[str, Any] = {
        "device": f"device-of-{user}",
        "payment": "",
        "address": "192.0.2.7",
        "household": f"home-of-{user}",
        "time_ms": NOON,
        "place": pack_place(NOON, event_id, 524_000, 49_000, 50, 0x4E4C, 1136),
    }
    return make_sighting(event_id, user, **{**values, **changes})


async def see(memory: Memory, *sightings: Sighting, tenant: str = TENANT) -> list[Any]:
    return await memory.observe(tenant, sightings, committed_through_ms=0, batch_time_ms=NOON)


async def everything(memory: Memory, tmp_path: Path, redis_url: str | None) -> bytes:
    """All that the memory holds, as bytes."""
    if isinstance(memory, SnapshotMemory):
        await memory.save()
        return b"".join(path.read_bytes() for path in (tmp_path / "snapshots").iterdir())
    assert redis_url is not None
    parts = []
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        async for key in client.scan_iter("*"):
            parts += [key, await client.dump(key) or b""]
            kind = await client.type(key)
            if kind == b"hash":
                parts += itertools.chain.from_iterable((await client.hgetall(key)).items())
            elif kind == b"zset":
                parts += await client.zrange(key, 0, -1)
            elif kind == b"set":
                parts += await client.smembers(key)
            else:
                parts.append(await client.get(key))
    return b"\0".join(parts)


@pytest.fixture
def url_of_memory(request: pytest.FixtureRequest, memory: Memory) -> str | None:
    return None if isinstance(memory, SnapshotMemory) else str(request.getfixturevalue("redis_url"))


async def test_nothing_of_a_forgotten_account_is_left_and_others_stay(
    memory: Memory, tmp_path: Path, url_of_memory: str | None
) -> None:
    await see(
        memory,
        sighting("ev-a1", ANNA, failed=True, payment="card-of-anna"),
        sighting("ev-a2", ANNA, failed=True, device="shared-tv"),
        sighting("ev-b1", BOB, failed=True, device="shared-tv"),
        sighting("ev-b2", BOB),
    )
    await see(memory, sighting("ev-x", ANNA), tenant="other")

    taken = await memory.forget(TENANT, ANNA, frozenset(("ev-a1", "ev-a2")))

    assert taken > 0
    assert await memory.holds(TENANT, ANNA, frozenset(("ev-a1", "ev-a2"))) == 0
    assert await memory.told(TENANT, ANNA) == []
    assert await memory.holds("other", ANNA, frozenset()) > 0
    await memory.forget("other", ANNA, frozenset(("ev-x",)))
    content = await everything(memory, tmp_path, url_of_memory)
    for word in (ANNA, "ev-a1", "ev-a2", "card-of-anna"):
        assert word.encode() not in content, word
    for word in (BOB, "ev-b1", "shared-tv"):
        assert word.encode() in content, word
    # Anna is new again, and Bob's device is his alone.
    again, bob = await see(
        memory, sighting("ev-a9", ANNA, device="x"), sighting("ev-b9", BOB, device="shared-tv")
    )
    assert (again.component, again.counts[0]) == ("", 0)
    assert bob.device_accounts == 0
    assert bob.counts[0] == 1


async def test_a_component_named_after_the_forgotten_account_goes_on(memory: Memory) -> None:
    users = [f"user-{number}" for number in range(4)]
    for user in users:
        await see(memory, sighting(f"ev-{user}", user, device="tv"))
    [seen] = await see(memory, sighting("ev-again", users[1], device="tv"))
    for user in (seen.component, users[3]):
        await memory.forget(TENANT, user, frozenset())
        assert await memory.holds(TENANT, user, frozenset()) == 0
    left = [user for user in users if user not in (seen.component, users[3])]
    component = await memory.component(TENANT, left[0])
    assert component is not None
    assert set(component.accounts) == set(left)


async def test_what_is_told_of_an_account_names_nobody_else(memory: Memory) -> None:
    await see(memory, sighting("ev-a1", ANNA, failed=True, device="tv"), sighting("ev-b1", BOB, device="tv"))

    rows = await memory.told(TENANT, ANNA)

    assert BOB not in repr(rows)
    stores = {store for store, _ in rows}
    assert stores == {"account", "places", "edges", "recent", "windows"}
    [edge] = [row for store, row in rows if store == "edges" and row["kind"] == "device"]
    assert (edge["kind"], edge["name"], edge["first_seen_ms"], edge["days_of_last_30"]) == (
        "device",
        "tv",
        NOON,
        1,
    )
    [place] = [row for store, row in rows if store == "places"]
    assert (place["country"], place["latitude"]) == ("NL", 52.4)


async def test_an_unknown_account_is_nothing_to_forget(memory: Memory) -> None:
    await see(memory, sighting("ev-b1", BOB))
    assert await memory.forget(TENANT, "nobody*[a-z]", frozenset(("x",))) == 0
    assert await memory.forget("nowhere", BOB, frozenset()) == 0
    assert await memory.holds(TENANT, BOB, frozenset()) > 0


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    name = request.param
    url = f"sqlite:///{tmp_path}/fraud.db" if name == "sqlite" else request.getfixturevalue("postgres_url")
    async with open_database(DatabaseSettings(url=url), schema="fraud") as opened:
        await asyncio.to_thread(migrate, opened, "fraud")
        yield opened


async def ring_of_five(
    tmp_path: Path, database: Database
) -> tuple[FraudSubjects, list[str], RingBook, Memory]:
    memory = SnapshotMemory(tmp_path / "ring", interval=3600)
    await memory.open()
    store = RingStore(database, ManualClock(NOON))
    await database.run(store.open)
    book = RingBook(memory, store, database)
    users = [f"ring-member-{number}" for number in range(6)]
    parameters = shipped().rings
    for number, user in enumerate(users):
        for device in ("box-1", "box-2"):
            far = {
                "household": "",
                "address": f"198.51.100.{number}",
                "payment": "card",
                "signup": "203.0.113.9",
            }
            [seen] = await see(memory, sighting(f"ev-{device}-{number}", user, device=device, **far))
    [seen] = await see(memory, sighting("ev-last", users[0], device="box-1", household=""))
    await book.refresh(TENANT, [(users[0], seen)], parameters)
    assert seen != NOTHING_KNOWN
    subjects = FraudSubjects(memory, store, book, database, ErasedRows(database))
    await subjects.start()
    return subjects, users, book, memory


async def test_a_ring_loses_the_erased_member_and_nobody_else(tmp_path: Path, database: Database) -> None:
    subjects, users, _, memory = await ring_of_five(tmp_path, database)
    subject = Subject(TENANT, users[0])
    told = {store: rows async for store, rows in subjects.export(subject, b"")}  # type: ignore[misc]
    [ring] = told["ring"]
    assert ring["accounts"] == 6
    assert not any(user in repr(told) for user in users[1:])

    entry = Entry(3, subject_of(KEY, TENANT, users[0]), NOON + 1, "er_3")
    erased = await subjects.erase(subject, KEY, entry)

    assert erased.erased["rings"] == 1
    assert not any((await subjects.remaining(subject)).values())
    assert (await subjects.erasure_state())[:2] == (3, False)
    [left] = [
        rows async for store, rows in subjects.export(Subject(TENANT, users[1]), b"") if store == "ring"
    ]
    assert left[0]["accounts"] == 5
    await memory.close()


async def test_an_older_snapshot_is_cleaned_at_the_start(tmp_path: Path, database: Database) -> None:
    subjects, users, book, memory = await ring_of_five(tmp_path, database)
    assert isinstance(memory, SnapshotMemory)
    await memory.save()
    older = (tmp_path / "ring" / "memory.jsonl").read_bytes()
    erased_ms = NOON + 86_400_000
    await subjects.erase(
        Subject(TENANT, users[0]), KEY, Entry(1, subject_of(KEY, TENANT, users[0]), erased_ms, "er")
    )
    await memory.close()
    (tmp_path / "ring" / "memory.jsonl").write_bytes(older)

    again = SnapshotMemory(tmp_path / "ring", interval=3600)
    await again.open()
    store = RingStore(database, ManualClock(NOON))
    await database.run(store.open)
    restarted = FraudSubjects(again, store, book, database, ErasedRows(database))
    await restarted.start()

    assert not any((await restarted.remaining(Subject(TENANT, users[0]))).values())
    assert await again.holds(TENANT, users[1], frozenset()) > 0
    await again.close()


async def test_what_turned_out_of_an_account_is_told_and_erased_and_of_others_stays(
    tmp_path: Path, database: Database
) -> None:
    memory = SnapshotMemory(tmp_path / "outcomes", interval=3600)
    await memory.open()
    store = RingStore(database, ManualClock(NOON))
    await database.run(store.open)
    book = RingBook(memory, store, database)
    subjects = FraudSubjects(memory, store, book, database, ErasedRows(database))
    await subjects.start()
    outcomes = OutcomeStore(database)
    fraud, innocent = fraud_pb2.OUTCOME_VERDICT_FRAUD, fraud_pb2.OUTCOME_VERDICT_INNOCENT
    await database.run(
        outcomes.record,
        [
            fraud_pb2.Outcome(
                tenant=tenant,
                user_id=user,
                event_id=event,
                verdict=verdict,
                mature_ms=mature,
                position=position,
            )
            for position, (tenant, user, event, verdict, mature) in enumerate(
                [
                    (TENANT, ANNA, "ev-a1", fraud, NOON + 2),
                    (TENANT, ANNA, "", innocent, NOON + 1),
                    (TENANT, BOB, "ev-b1", fraud, NOON),
                    ("other", ANNA, "ev-a1", fraud, NOON),
                ],
                start=1,
            )
        ],
        4,
    )
    anna = Subject(TENANT, ANNA)
    told = {name: rows async for name, rows in subjects.export(anna, b"")}  # type: ignore[misc]
    assert told == {
        "outcomes": [
            {"verdict": "OUTCOME_VERDICT_INNOCENT", "final_from_ms": NOON + 1},
            {"verdict": "OUTCOME_VERDICT_FRAUD", "final_from_ms": NOON + 2},
        ]
    }
    assert (await subjects.remaining(anna))["outcomes"] == 2

    erased = await subjects.erase(anna, KEY, Entry(1, subject_of(KEY, TENANT, ANNA), NOON + 3, "er_1"))

    assert erased.erased == {"outcomes": 2}
    assert not any((await subjects.remaining(anna)).values())
    assert [part async for part in subjects.export(anna, b"")] == []
    assert sorted(await database.read(outcomes.accounts)) == [(TENANT, BOB), ("other", ANNA)]
    # An older copy of the rows names her again; the ledger, applied again, takes her out and nobody else.
    late = fraud_pb2.Outcome(tenant=TENANT, user_id=ANNA, verdict=fraud, mature_ms=NOON, position=5)
    await database.run(outcomes.record, [late], 5)
    entry = Entry(1, subject_of(KEY, TENANT, ANNA), NOON + 3, "er_1")
    assert await subjects.reapply(KEY, [entry], True) == {"accounts": 1}
    assert sorted(await database.read(outcomes.accounts)) == [(TENANT, BOB), ("other", ANNA)]
    await memory.close()
