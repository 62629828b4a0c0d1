"""Rings in the database, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from services.common.clock import ManualClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.errors import NotFound
from services.common.migrations import migrate
from services.fraud import sweep
from services.fraud.memory import DEVICE, PAYMENT, SIGNUP, AccountFacts, Component, Edge, Resource
from services.fraud.parameters import shipped
from services.fraud.rings import Candidate, find_rings
from services.fraud.signals import RingOfAccount
from services.fraud.store import CONFIRMED, DISMISSED, OPEN, Recorded, Revision, RingStore
from usher.fraud.v1 import fraud_pb2

PARAMETERS = shipped().rings


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseSettings:
    on_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/fraud.db" if on_sqlite else request.getfixturevalue("postgres_url")
    return DatabaseSettings(url=url)


@pytest.fixture
def database(settings: DatabaseSettings) -> Iterator[Database]:
    with open_database(settings, schema="fraud") as opened:
        migrate(opened, "fraud")
        yield opened


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1_000)


@pytest.fixture
def store(database: Database, clock: ManualClock) -> RingStore:
    made = RingStore(database, clock)
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
    kept = sweep.record(store, "acme", component, found, PARAMETERS, 1)
    assert [(ring.members, ring_id) for ring, ring_id in kept] == [(tuple("abcdef"), ids["a"])]
    assert store.ring("acme", ids["u"]).status == DISMISSED


def group(*members: str, score: float = 0.9) -> Candidate:
    """A ring of those accounts, as a search might find it."""
    central = tuple(round(1 / number, 3) for number in range(1, len(members) + 1))
    return Candidate(tuple(sorted(members)), score, 0.8, (), 10, 50, (), (), centrality=central)


def look(
    store: RingStore, accounts: Iterable[str], *found: Candidate, swept_ms: int = 0, tenant: str = "acme"
) -> Recorded:
    return store.record(tenant, sorted(accounts), found, PARAMETERS, swept_ms=swept_ms)


def standing(store: RingStore) -> dict[str, list[str]]:
    """Ring id -> members of every ring that stands, dismissed or not; the card's count is theirs."""
    rings = [
        ring
        for status in (OPEN, CONFIRMED, DISMISSED)
        for _, ring in store.page("acme", 0, None, 100, status)
    ]
    for ring in rings:
        assert ring.member_count == len(ring.members)
    return {ring.ring_id: list(ring.members) for ring in rings}


CROWD = [f"a{i:03}" for i in range(600)]
"""More accounts than a component of the incremental search holds."""


def test_what_a_sweep_found_of_600_accounts_stays_when_512_of_them_are_looked_at(store: RingStore) -> None:
    [found] = look(store, CROWD, group(*CROWD), swept_ms=900).assignments
    for part in (CROWD[:512], CROWD[512:], CROWD[:512]):
        recorded = look(store, part)
        assert standing(store) == {found.ring_id: CROWD}
        assert recorded.kept.keys() == set(part)
        assert recorded.kept[CROWD[512] if part[0] != "a000" else "a001"] == RingOfAccount(
            found.ring_id, 600, 0.9, round(1 / 513, 3) if part[0] != "a000" else 0.5
        )
    # A part of it as a ring is that ring, not another and not a smaller one.
    recorded = look(store, CROWD[:512], group(*CROWD[:500], score=0.6))
    assert (recorded.assignments, standing(store)) == ([], {found.ring_id: CROWD})


def test_communities_that_a_sweep_parted_are_not_put_together_again(store: RingStore) -> None:
    one, two, more = CROWD[:60], CROWD[60:120], CROWD[120:126]
    recorded = look(store, CROWD[:120], group(*one), group(*two), swept_ms=900)
    ids = [assignment.ring_id for assignment in recorded.assignments]
    look(store, CROWD[:126], group(*CROWD[:126]))
    assert standing(store) == dict(zip(ids, (one, two), strict=True))
    # A group beside them is found as ever, and stays when all are seen as one.
    [beside] = look(store, CROWD[:126], group(*more)).assignments
    look(store, CROWD[:126], group(*CROWD[:126]))
    assert standing(store) == {**dict(zip(ids, (one, two), strict=True)), beside.ring_id: more}


def test_a_swept_ring_grows_by_whom_a_look_at_a_part_of_it_finds(store: RingStore) -> None:
    [found] = look(store, CROWD, group(*CROWD[:200]), swept_ms=900).assignments
    part = [*CROWD[100:200], "new1", "new2"]
    recorded = look(store, part, group(*part, score=0.7))
    assert standing(store) == {found.ring_id: [*CROWD[:200], "new1", "new2"]}
    assert recorded.kept["new1"][:3] == (found.ring_id, 202, 0.9)
    # Seen whole it is that ring, with the card of today; and a part of it still takes nobody away.
    whole = [*CROWD[:200], "new1", "new2", "new3"]
    recorded = look(store, whole, group(*whole, score=0.8))
    assert [assignment.ring_id for assignment in recorded.assignments] == [found.ring_id]
    look(store, CROWD[:100])
    assert standing(store) == {found.ring_id: whole}


def test_a_small_swept_ring_is_judged_by_whoever_sees_all_of_it(store: RingStore) -> None:
    members = list("abcdefgh")
    look(store, members, group(*members), swept_ms=900)
    recorded = look(store, [*members[:7], "z"])
    assert len(recorded.kept) == 7
    look(store, [*members, "z"], group(*members[:6]))
    assert list(standing(store).values()) == [members[:6]]
    look(store, [*members, "z"])
    assert standing(store) == {}


def test_a_later_sweep_says_otherwise(store: RingStore, clock: ManualClock) -> None:
    [big] = look(store, CROWD, group(*CROWD[:300]), swept_ms=900).assignments
    [gone] = look(store, "abcdef", group(*"abcdef"), swept_ms=900).assignments
    [late] = look(store, "uvwxyz", group(*"uvwxyz"), swept_ms=900).assignments
    assert store.finish_sweep("acme", 900) == 0
    store.set_status("acme", late.ring_id, CONFIRMED, "ann", "")
    clock.advance(4_000)
    look(store, "ghijkl", group(*"ghijkl"))
    # It reads as of 3,000: the ring of "g" was recorded since, that of "a" is tied no more, "u" is confirmed.
    look(store, CROWD, group(*CROWD[:280]), swept_ms=3_000)
    assert store.finish_sweep("acme", 3_000) == 1
    left = standing(store)
    assert left.pop(big.ring_id) == CROWD[:280]
    assert left.pop(late.ring_id) == list("uvwxyz")
    assert (gone.ring_id in left, list(left.values())) == (False, [list("ghijkl")])


def test_members_that_came_while_a_sweep_read_stay_and_those_that_are_gone_leave(
    store: RingStore, clock: ManualClock
) -> None:
    members = CROWD[:10]
    look(store, [*members, "gone"], group(*members, "gone"), swept_ms=900)
    clock.advance(4_000)
    look(store, members, group(*members), swept_ms=4_000)
    assert list(standing(store).values()) == [members]
    look(store, [*members, "new"], group(*members, "new"))
    look(store, members, group(*members), swept_ms=4_500)
    assert list(standing(store).values()) == [[*members, "new"]]
    # So does a ring that was recorded since, and a sweep that read later ends it.
    look(store, "abcdef", group(*"abcdef"))
    look(store, "abcdefg", swept_ms=4_500)
    assert list("abcdef") in standing(store).values()
    look(store, "abcdefg", swept_ms=5_500)
    assert list("abcdef") not in standing(store).values()


def test_revisions_tell_of_sweeps_and_verdicts(store: RingStore) -> None:
    assert store.revisions() == {}
    [found] = look(store, "abcdef", group(*"abcdef"), swept_ms=900).assignments
    store.finish_sweep("acme", 900)
    assert store.revisions() == {"acme": Revision(0, 1)}
    store.set_status("acme", found.ring_id, CONFIRMED, "ann", "")
    assert store.revisions() == {"acme": Revision(1, 1)}
    swept, ids = store.swept("acme")
    assert swept["b"] == RingOfAccount(found.ring_id, 6, 0.9, 0.5, confirmed=True)
    assert (len(swept), ids) == (6, {found.ring_id})
    store.set_status("acme", found.ring_id, DISMISSED, "ann", "")
    assert store.swept("acme") == ({}, {found.ring_id})


@pytest.mark.parametrize("by_sweep", [False, True], ids=["as events come", "by a sweep"])
def test_a_dismissed_ring_stays_so_through_merge_split_and_restart(
    settings: DatabaseSettings, store: RingStore, by_sweep: bool
) -> None:
    swept_ms = 900 if by_sweep else 0
    a, b = list("abcdefgh"), list("stuvwxyz")
    [found] = look(store, a, group(*a), swept_ms=swept_ms).assignments
    store.set_status("acme", found.ring_id, DISMISSED, "ann", "a choir")

    def found_again(*groups: Candidate) -> None:
        # Every time by a process that knows what is in the database and nothing else.
        with open_database(settings, schema="fraud") as again:
            fresh = RingStore(again, ManualClock(9_000))
            fresh.open()
            look(fresh, [*a, *b], *groups, swept_ms=swept_ms)
            if by_sweep:
                fresh.finish_sweep("acme", swept_ms)
            assert not [ring for ring in page(fresh) if set(ring.members) & set(a)]
            assert fresh.ring("acme", found.ring_id).status == DISMISSED

    # As it was, with fewer, in halves of which each is of dismissed members alone, apart, and together again.
    for groups in ([a], [a[:6]], [], [a[:5]], [a[3:]], [a], [a, b], [[*a, *b[:3]]], [a]):
        found_again(*(group(*members) for members in groups))
    # Merged with as many others it is still that ring; the others' own ring comes back by itself.
    found_again(group(*a, *b))
    with open_database(settings, schema="fraud") as again:
        fresh = RingStore(again, ManualClock(9_000))
        fresh.open()
        look(fresh, [*a, *b], group(*a), group(*b), swept_ms=swept_ms)
        assert [list(ring.members) for ring in page(fresh)] == [b]


def test_a_dismissed_swept_ring_that_is_seen_in_part_stays_dismissed(store: RingStore) -> None:
    [found] = look(store, CROWD, group(*CROWD[:300]), swept_ms=900).assignments
    store.set_status("acme", found.ring_id, DISMISSED, "ann", "a festival")
    for part in (CROWD[:250], CROWD[250:400], [*CROWD[:100], "new"]):
        recorded = look(store, part, group(*part))
        assert recorded.kept == {}
        assert recorded.assignments == []
    assert page(store) == []
    assert store.ring("acme", found.ring_id).status == DISMISSED
