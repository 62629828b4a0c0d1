"""What sweeps and analysts say of rings, as the processes that answer for accounts take it over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.fraud.forget import SubjectMemory
from services.fraud.memory import COMPONENT_CAP
from services.fraud.parameters import shipped
from services.fraud.ringbook import RingBook
from services.fraud.rings import Candidate
from services.fraud.signals import ALONE, Standing
from services.fraud.store import CONFIRMED, DISMISSED, OPEN, RingStore
from tests.sightings import make_sighting

NOW = 1_795_348_800_000
TENANT = "acme"
PARAMETERS = shipped().rings
CHAIN = [f"u{number:03}" for number in range(COMPONENT_CAP + 88)]
"""Each shares a device with the next: more than one component holds."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/fraud.db" if on_sqlite else request.getfixturevalue("postgres_url")
    with open_database(DatabaseSettings(url=url), schema="fraud") as opened:
        migrate(opened, "fraud")
        yield opened


class Replica:
    """A ring book and a store as one process has them; the memory may be shared."""

    def __init__(self, database: Database, memory: SubjectMemory) -> None:
        clock = ManualClock(NOW)
        self.memory = memory
        self.rings = RingStore(database, clock)
        self.rings.open()
        self.book = RingBook(self.memory, self.rings, database, clock)

    async def seen(self, event_id: str, user: str, **fields: Any) -> Standing:
        """Where an account stands at a sighting."""
        values = {
            "device": f"own-{user}",
            "payment": "",
            "address": "",
            "household": "",
            "time_ms": NOW,
            "place": b"",
        }
        one = make_sighting(event_id, user, **{**values, **fields})
        [known] = await self.memory.observe(TENANT, [one], committed_through_ms=0, batch_time_ms=NOW)
        if known.component:
            await self.book.refresh(TENANT, [(user, known)], PARAMETERS)
        return self.book.standing(TENANT, user, known)

    async def chain(self) -> None:
        for number, user in enumerate(CHAIN):
            await self.seen(f"a{number}", user, device=f"d{number}")
            await self.seen(f"b{number}", user, device=f"d{number + 1}")

    async def six_on_one(self) -> Standing:
        """Six accounts on one box, one card and one sign-up address; the standing of the first."""
        shared = {"device": "box", "payment": "card", "signup": "203.0.113.1"}
        for number in range(6):
            await self.seen(f"s{number}", f"six{number}", **shared, address=f"192.0.2.{number}")
        return await self.seen("s", "six0", **shared)


def swept(store: RingStore, *members: str) -> str:
    """A sweep that finds one ring; returns its id."""
    central = (1.0,) * len(members)
    found = Candidate(tuple(sorted(members)), 0.9, 0.8, (), 10, 50, (), (), centrality=central)
    recorded = store.record(TENANT, CHAIN, [found], PARAMETERS, swept_ms=NOW)
    store.finish_sweep(TENANT, NOW)
    return recorded.assignments[0].ring_id


async def test_a_ring_that_no_component_shows_lives_on_as_events_come(database: Database) -> None:
    replica = Replica(database, SubjectMemory())
    await replica.chain()
    component = await replica.memory.component(TENANT, CHAIN[0])
    assert component is not None
    assert len(component.accounts) == COMPONENT_CAP
    assert (await replica.seen("x", CHAIN[0])).ring is None
    ring_id = swept(replica.rings, *CHAIN)
    await replica.book.renew()

    async def all_stand() -> None:
        # In the component, in what would not fit into it, and where an account is now seen alone.
        for number in (0, 5, 511, 512, 599):
            ring = (await replica.seen(f"y{number}", CHAIN[number], device=f"d{number}")).ring
            assert ring is not None
            assert (ring.ring_id, ring.members, ring.score) == (ring_id, len(CHAIN), 0.9)
        assert replica.rings.ring(TENANT, ring_id).member_count == len(CHAIN)

    await all_stand()
    # Everything is looked at again by a process that has just started on the memory, and new accounts come.
    replica = Replica(database, replica.memory)
    await replica.book.renew()
    await all_stand()
    for number in range(100):
        await replica.seen(f"z{number}", f"new{number}", device="d3")
    await all_stand()
    # It ends when a sweep no more finds it.
    replica.rings.record(TENANT, CHAIN, [], PARAMETERS, swept_ms=NOW + 1)
    replica.rings.finish_sweep(TENANT, NOW + 1)
    await replica.book.renew()
    assert {(await replica.seen(f"w{number}", CHAIN[number])).ring for number in (0, 511, 599)} == {None}


async def test_an_account_that_is_tied_to_nobody_now_stands_in_its_swept_ring(database: Database) -> None:
    replica = Replica(database, SubjectMemory())
    ring_id = swept(replica.rings, *CHAIN[:20])
    assert await replica.seen("x", CHAIN[0]) == ALONE
    await replica.book.renew()
    ring = (await replica.seen("y", CHAIN[0])).ring
    assert ring is not None
    assert ring.ring_id == ring_id
    replica.book.forget(TENANT, CHAIN[0])
    assert await replica.seen("z", CHAIN[0]) == ALONE


async def test_what_an_analyst_says_counts_on_every_replica(database: Database) -> None:
    memory = SubjectMemory()
    here, there = Replica(database, memory), Replica(database, memory)
    for replica in (here, there):
        ring = (await replica.six_on_one()).ring
        assert ring is not None
        assert not ring.confirmed
        ring_id = ring.ring_id
    for status in (CONFIRMED, DISMISSED, OPEN):
        here.rings.set_status(TENANT, ring_id, status, "ann", "")
        for replica in (here, there):
            await replica.book.renew()
            now = (await replica.six_on_one()).ring
            assert (now is None) == (status == DISMISSED)
            assert now is None or now.confirmed == (status == CONFIRMED)


async def test_a_ring_that_a_sweep_ended_stands_no_more_before_its_component_changes(
    database: Database,
) -> None:
    replica = Replica(database, SubjectMemory())
    found = (await replica.six_on_one()).ring
    assert found is not None
    replica.rings.record(TENANT, [f"six{number}" for number in range(6)], [], PARAMETERS, swept_ms=NOW + 1)
    replica.rings.finish_sweep(TENANT, NOW + 1)
    assert (await replica.seen("x", "six0", device="box")).ring == found
    await replica.book.renew()
    # Looked at again as it is now: the memory still shows it, under an id that says so.
    again = (await replica.seen("y", "six0", device="box")).ring
    assert again is not None
    assert again.ring_id != found.ring_id
