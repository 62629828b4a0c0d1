"""What turned out to be true of accounts and rings, and what it means for who is tied to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.fraud.memory_process import ProcessMemory
from services.fraud.parameters import shipped
from services.fraud.ringbook import RingBook
from services.fraud.signals import Standing
from services.fraud.store import CONFIRMED, RingStore
from services.fraud.store_outcomes import OutcomeStore
from tests.sightings import make_sighting
from usher.fraud.v1 import fraud_pb2

NOW = 1_795_348_800_000
TENANT = "acme"
PARAMETERS = shipped().rings
FRAUD, INNOCENT = fraud_pb2.OUTCOME_VERDICT_FRAUD, fraud_pb2.OUTCOME_VERDICT_INNOCENT


def outcome(
    position: int, user: str, verdict: fraud_pb2.OutcomeVerdict = FRAUD, **fields: Any
) -> fraud_pb2.Outcome:
    values = {"tenant": TENANT, "user_id": user, "mature_ms": NOW, **fields}
    return fraud_pb2.Outcome(position=position, verdict=verdict, **values)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/fraud.db" if on_sqlite else request.getfixturevalue("postgres_url")
    with open_database(DatabaseSettings(url=url), schema="fraud") as opened:
        migrate(opened, "fraud")
        yield opened


class Service:
    """A memory, its ring book and a store, as one process has them."""

    def __init__(self, database: Database, clock: ManualClock) -> None:
        self.memory = ProcessMemory()
        self.rings = RingStore(database, clock)
        self.rings.open()
        self.book = RingBook(self.memory, self.rings, database, clock)
        self._number = 0

    async def standing(self, user: str, device: str, **fields: Any) -> Standing:
        """Where an account stands at a sighting on a device."""
        self._number += 1
        values = {"payment": "", "address": "", "household": "", "time_ms": NOW, "place": b"", **fields}
        one = make_sighting(f"e{self._number}", user, device=device, **values)
        [seen] = await self.memory.observe(TENANT, [one], committed_through_ms=0, batch_time_ms=NOW)
        await self.book.refresh(TENANT, [(user, seen)], PARAMETERS)
        return self.book.standing(TENANT, user, seen)


def test_taken_over_once_and_a_later_one_corrects(database: Database) -> None:
    store = OutcomeStore(database)
    assert store.through() == 0
    assert store.record([outcome(3, "a"), outcome(4, "b")], 5) == 5
    # An older piece, told again by another replica, changes nothing: not even what it says otherwise.
    assert store.record([outcome(3, "a", INNOCENT)], 4) == 5
    assert store.confirmed(NOW) == {TENANT: {"a", "b"}}
    assert store.record([outcome(6, "a", INNOCENT)], 6) == 6
    assert store.confirmed(NOW) == {TENANT: {"b"}}
    assert (store.through(), store.forget(TENANT, "b"), store.confirmed(NOW)) == (6, 1, {})


def test_what_is_said_of_one_event_is_taken_back_by_that_event_alone(database: Database) -> None:
    store = OutcomeStore(database)
    store.record([outcome(1, "a", event_id="e1"), outcome(2, "a", event_id="e2")], 2)
    store.record([outcome(3, "a", INNOCENT, event_id="e1")], 3)
    assert store.confirmed(NOW) == {TENANT: {"a"}}
    store.record([outcome(4, "a", INNOCENT, event_id="e2")], 4)
    assert store.confirmed(NOW) == {}


def test_a_chargeback_that_can_be_contested_does_not_count_yet(database: Database) -> None:
    store = OutcomeStore(database)
    store.record([outcome(1, "a", mature_ms=NOW + 1)], 1)
    assert store.confirmed(NOW) == {}
    assert store.confirmed(NOW + 1) == {TENANT: {"a"}}


async def test_two_accounts_on_a_device_need_no_ring_for_one_to_speak_against_the_other(
    database: Database,
) -> None:
    service = Service(database, ManualClock(NOW))
    await service.standing("bad", "box")
    assert (await service.standing("near", "box")).confirmed_neighbours == 0
    assert await service.book.record_outcomes([outcome(1, "bad")], 1) == 1
    assert (await service.standing("near", "box")).confirmed_neighbours == 1
    assert (await service.standing("far", "other")).confirmed_neighbours == 0
    # An address ties nobody.
    await service.standing("bad", "box", address="192.0.2.1")
    assert (await service.standing("guest", "phone", address="192.0.2.1")).confirmed_neighbours == 0
    await service.book.record_outcomes([outcome(2, "bad", INNOCENT)], 2)
    assert (await service.standing("near", "box")).confirmed_neighbours == 0


async def test_another_replica_and_a_restarted_one_take_it_over(database: Database) -> None:
    clock = ManualClock(NOW)
    one, other = Service(database, clock), Service(database, clock)
    for service in (one, other):
        await service.standing("bad", "box")
        await service.standing("near", "box")
    await one.book.record_outcomes([outcome(1, "bad")], 1)
    await other.book.renew()
    assert (await other.standing("near", "box")).confirmed_neighbours == 1
    assert await other.book.record_outcomes([outcome(1, "bad")], 1) == 1


async def test_a_ring_is_confirmed_by_its_label(database: Database) -> None:
    service = Service(database, ManualClock(NOW))
    for number in range(6):
        shared = {"payment": "card", "signup": "203.0.113.9"}
        await service.standing(f"m{number}", "box", **shared)
    standing = await service.standing("m0", "box", **shared)
    assert standing.ring is not None
    label = outcome(1, "", ring_id=standing.ring.ring_id, actor="ann")
    await service.book.record_outcomes([label, outcome(2, "", ring_id="ring_0000000000000000")], 2)
    assert service.rings.ring(TENANT, standing.ring.ring_id).status == CONFIRMED
    standing = await service.standing("m0", "box", payment="card")
    assert standing.ring is not None
    assert standing.ring.confirmed
