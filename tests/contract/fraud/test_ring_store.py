"""Rings in the database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.errors import NotFound
from services.common.migrations import migrate
from services.fraud import sweep
from services.fraud.memory import DEVICE, PAYMENT, SIGNUP, AccountFacts, Component, Edge, Resource
from services.fraud.parameters import shipped
from services.fraud.rings import find_rings
from services.fraud.store import CONFIRMED, DISMISSED, RingStore
from usher.fraud.v1 import fraud_pb2

PARAMETERS = shipped().rings


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


def sharing(*hands: str) -> Component:
    """Component of groups, each given as its accounts' letters: each shares a device, a card and a sign-up address."""
    accounts = {letter: AccountFacts() for hand in hands for letter in hand}
    resources = [
        Resource(
            kind,
            f"{kind} {i}",
            [Edge(letter, 10 + n, 50, 1) for n, letter in enumerate(hand)],
            False,
            len(hand),
        )
        for i, hand in enumerate(hands)
        for kind in (DEVICE, PAYMENT, SIGNUP)
    ]
    return Component(accounts, resources)


def record(store: RingStore, component: Component, tenant: str = "acme") -> dict[str, str]:
    """account -> ring id."""
    candidates = find_rings(component, PARAMETERS)
    recorded = store.record(tenant, sorted(component.accounts), candidates, PARAMETERS)
    return {account: a.ring_id for a in recorded.assignments for account in a.candidate.members}


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
    assert {shared.kind for shared in ring.shared} == {
        fraud_pb2.RESOURCE_KIND_DEVICE,
        fraud_pb2.RESOURCE_KIND_PAYMENT,
        fraud_pb2.RESOURCE_KIND_SIGNUP_ADDRESS,
    }
    assert all((shared.accounts, len(shared.fingerprint)) == (6, 16) for shared in ring.shared)
    assert ring.status == fraud_pb2.RING_STATUS_OPEN
    assert {finding.code for finding in ring.findings} > {"shared_devices", "shared_payments", "base"}
    assert "d 0" not in ring.SerializeToString().decode("latin-1")


def test_recording_twice_changes_nothing(store: RingStore) -> None:
    record(store, sharing("abcde"))
    first = page(store)
    record(store, sharing("abcde"))
    assert page(store) == first


def test_the_id_stays_while_the_ring_grows(store: RingStore) -> None:
    before = set(record(store, sharing("abcde")).values())
    after = record(store, sharing("abcde", "defghijkl"))
    assert set(after.values()) == before
    assert len(after) == 12
    [ring] = page(store)
    assert ring.member_count == 12


def test_the_smallest_id_stays_when_rings_merge(store: RingStore) -> None:
    [one] = set(record(store, sharing("abcde")).values())
    [two] = set(record(store, sharing("vwxyz")).values())
    assert one != two
    merged = record(store, sharing("abcde", "vwxyz", "dev"))
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


def test_a_dismissed_ring_does_not_come_back_by_itself(store: RingStore) -> None:
    [ring_id] = set(record(store, sharing("abcdef")).values())
    store.set_status("acme", ring_id, DISMISSED, "ann", "a theatre group")
    assert page(store) == []
    [ring] = [ring for _, ring in store.page("acme", 0, None, 9, DISMISSED)]
    assert (ring.ring_id, ring.decided_by, ring.note) == (ring_id, "ann", "a theatre group")
    # It is seen again, it falls apart and forms again, and it grows: it stays dismissed under its id.
    for groups in (["abcdef"], ["ab", "cdef"], ["abcdef"], ["abcdefghij"]):
        ids = set(record(store, sharing(*groups)).values())
        assert ids <= {ring_id}
        assert page(store) == []
    # Of thirty accounts six were looked at: that is another matter.
    record(store, sharing("abcdef" + "".join(chr(0x100 + i) for i in range(24))))
    assert [ring.status for ring in page(store)] == [fraud_pb2.RING_STATUS_OPEN]


def test_a_verdict_can_be_taken_back_and_survives_growth(store: RingStore) -> None:
    [ring_id] = set(record(store, sharing("abcdef")).values())
    assert store.set_status("acme", ring_id, CONFIRMED, "ann", "").status == CONFIRMED
    component = sharing("abcdefgh")
    recorded = store.record("acme", sorted(component.accounts), find_rings(component, PARAMETERS), PARAMETERS)
    assert recorded.statuses == {ring_id: CONFIRMED}
    assert recorded.confirmed == frozenset("abcdef")
    assert store.set_status("acme", ring_id, fraud_pb2.RING_STATUS_OPEN, "bob", "").status == 1
    record(store, component)
    assert [ring.status for ring in page(store)] == [fraud_pb2.RING_STATUS_OPEN]


def test_a_ring_that_ended_in_another_answers_that_one(store: RingStore) -> None:
    ids = {record(store, sharing("abcde"))["a"], record(store, sharing("vwxyz"))["v"]}
    record(store, sharing("abcde", "vwxyz", "dev"))
    assert {store.ring("acme", ring_id).ring_id for ring_id in ids} == {min(ids)}
    with pytest.raises(NotFound):
        store.ring("other", min(ids))


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


def test_what_a_sweep_records_has_the_ids_and_verdicts_of_the_service(store: RingStore) -> None:
    component = sharing("abcdef", "uvwxyz")
    ids = record(store, component)
    store.set_status("acme", ids["u"], DISMISSED, "ann", "a choir")
    found = find_rings(component, PARAMETERS)
    kept = sweep.record(store, "acme", component, found, PARAMETERS)
    assert [(ring.members, ring_id) for ring, ring_id in kept] == [(tuple("abcdef"), ids["a"])]
    assert store.ring("acme", ids["u"]).status == DISMISSED
