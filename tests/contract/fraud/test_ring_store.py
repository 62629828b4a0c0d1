"""Rings in the database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.fraud.memory import DEVICE, AccountFacts, Component, Edge, Resource
from services.fraud.parameters import RingParameters
from services.fraud.rings import find_rings
from services.fraud.store import RingStore
from usher.fraud.v1 import fraud_pb2

PARAMETERS = RingParameters(minimum_accounts=5, flagged_accounts=6, degree=40)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/fraud.db" if on_sqlite else request.getfixturevalue("postgres_url")
    with open_database(DatabaseSettings(url=url), schema="fraud") as opened:
        migrate(opened, "fraud")
        yield opened


@pytest.fixture
def store(database: Database) -> RingStore:
    made = RingStore(database, ManualClock(1_000))
    made.open()
    return made


def sharing(*devices: str) -> Component:
    """Component of devices, each given as its accounts' letters."""
    accounts = {letter: AccountFacts("", "") for device in devices for letter in device}
    resources = [
        Resource(
            DEVICE, f"device {i}", [Edge(letter, 10 + n, 50, 1) for n, letter in enumerate(device)], False
        )
        for i, device in enumerate(devices)
    ]
    return Component(accounts, resources)


def record(store: RingStore, component: Component, tenant: str = "acme") -> dict[str, str]:
    """account -> ring id."""
    candidates = find_rings(component, PARAMETERS)
    assignments = store.record(tenant, sorted(component.accounts), candidates, PARAMETERS)
    return {account: a.ring_id for a in assignments for account in a.candidate.members}


def page(store: RingStore, tenant: str = "acme", minimum: int = 0) -> list[fraud_pb2.Ring]:
    return [ring for _, ring in store.page(tenant, minimum, None, 100)]


def test_a_ring_is_listed_with_its_card(store: RingStore) -> None:
    ids = record(store, sharing("abcdef"))
    [ring] = page(store)
    assert set(ids.values()) == {ring.ring_id}
    assert list(ring.members) == list("abcdef")
    assert (ring.member_count, ring.flagged) == (6, True)
    assert ring.first_seen_time.ToMilliseconds() == 11  # the second account came
    assert ring.last_seen_time.ToMilliseconds() == 50
    [shared] = ring.shared
    assert (shared.kind, shared.accounts, len(shared.fingerprint)) == (fraud_pb2.RESOURCE_KIND_DEVICE, 6, 16)
    assert "device 0" not in ring.SerializeToString().decode("latin-1")


def test_recording_twice_changes_nothing(store: RingStore) -> None:
    record(store, sharing("abcde"))
    first = page(store)
    record(store, sharing("abcde"))
    assert page(store) == first


def test_the_id_stays_while_the_ring_grows(store: RingStore) -> None:
    before = set(record(store, sharing("abcde")).values())
    after = record(store, sharing("abcde", "efghijkl"))
    assert set(after.values()) == before
    assert len(after) == 12
    [ring] = page(store)
    assert ring.member_count == 12


def test_the_smallest_id_stays_when_rings_merge(store: RingStore) -> None:
    [one] = set(record(store, sharing("abcde")).values())
    [two] = set(record(store, sharing("vwxyz")).values())
    assert one != two
    merged = record(store, sharing("abcde", "vwxyz", "ev"))
    assert set(merged.values()) == {min(one, two)}
    assert [ring.ring_id for ring in page(store)] == [min(one, two)]


def test_the_larger_part_keeps_the_id_when_a_ring_splits(store: RingStore) -> None:
    [whole] = set(record(store, sharing("abcdef", "uvwxyz", "fghu", "gx")).values())
    parts = record(store, sharing("abcdef", "uvwxyzgh"))
    assert parts["u"] == whole
    assert parts["a"] != whole
    assert len(page(store)) == 2


def test_a_ring_that_fell_apart_is_listed_no_more(store: RingStore) -> None:
    record(store, sharing("abcde"))
    record(store, sharing("ab", "cde"))
    assert page(store) == []
    again = record(store, sharing("abcde"))
    assert len(set(again.values())) == 1
    assert len(page(store)) == 1


def test_tenants_are_apart(store: RingStore) -> None:
    ids = {tenant: record(store, sharing("abcde"), tenant)["a"] for tenant in ("acme", "other")}
    assert ids["acme"] != ids["other"]
    assert [ring.ring_id for ring in page(store, "other")] == [ids["other"]]


def test_pages_go_from_the_riskiest_on(store: RingStore) -> None:
    for first in range(5):
        names = "".join(chr(0x100 + 20 * first + i) for i in range(5 + first % 3))
        record(store, sharing(names))
    whole = store.page("acme", 0, None, 100)
    assert [score for score, _ in whole] == sorted((score for score, _ in whole), reverse=True)
    paged = []
    after = None
    while part := store.page("acme", 0, after, 2):
        paged += part
        after = (part[-1][0], part[-1][1].ring_id)
    assert paged == whole
    assert len(whole) == 5
    best = whole[0][0]
    assert all(score == best for score, _ in store.page("acme", best, None, 100))


def test_fingerprints_are_keyed_and_stay(store: RingStore, database: Database) -> None:
    again = RingStore(database, ManualClock(1))
    again.open()
    assert store.fingerprint("acme", DEVICE, "tv") == again.fingerprint("acme", DEVICE, "tv")
    assert store.fingerprint("acme", DEVICE, "tv") != store.fingerprint("other", DEVICE, "tv")
