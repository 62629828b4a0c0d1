"""Rings: what makes one, what does not, and what happens to their ids."""

from __future__ import annotations

import random

import pytest

from services.fraud.memory import DAY_MS, DEVICE, PAYMENT, AccountFacts, Component, Edge, Resource
from services.fraud.parameters import RingParameters
from services.fraud.rings import Candidate, assign, find_rings, new_ring_id

PARAMETERS = RingParameters(minimum_accounts=5, flagged_accounts=6, degree=40)
NEW = AccountFacts("", "")


def resource(
    name: str, accounts: list[str], *, kind: str = DEVICE, last_ms: int = 100, saturated: bool = False
) -> Resource:
    return Resource(kind, name, [Edge(account, 0, last_ms, 1) for account in accounts], saturated)


def component(*resources: Resource, facts: dict[str, AccountFacts] | None = None) -> Component:
    accounts = {edge.account: NEW for item in resources for edge in item.edges}
    return Component({**accounts, **(facts or {})}, list(resources))


def names(count: int, prefix: str = "u") -> list[str]:
    return [f"{prefix}{i:03}" for i in range(count)]


def test_four_accounts_are_no_ring_and_five_are() -> None:
    assert find_rings(component(resource("tv", names(4))), PARAMETERS) == []
    [ring] = find_rings(component(resource("tv", names(5))), PARAMETERS)
    assert ring.members == tuple(names(5))


def test_devices_and_payments_chain() -> None:
    chain = component(
        resource("d1", ["a", "b"]), resource("p1", ["b", "c"], kind=PAYMENT), resource("d2", ["c", "d"]),
        resource("d3", ["d", "e"]),
    )  # fmt: skip
    [ring] = find_rings(chain, PARAMETERS)
    assert ring.members == ("a", "b", "c", "d", "e")


def test_the_table_of_the_demonstration() -> None:
    """Six accounts on dev_A with one card; account 7 shares only another device with an eighth, 9 nothing."""
    six = names(6, "member")
    [ring] = find_rings(
        component(
            resource("dev_A", six),
            resource("card", six, kind=PAYMENT),
            resource("dev_B", ["member7", "member8"]),
        ),
        PARAMETERS,
    )
    assert ring.members == tuple(six)
    assert ring.shared == ((DEVICE, "dev_A", 6), (PAYMENT, "card", 6))


def test_a_household_is_one_party() -> None:
    family = names(6)
    facts = {name: AccountFacts("192.0.2.1", "household-1") for name in family}
    assert find_rings(component(resource("tv", family), facts=facts), PARAMETERS) == []
    facts |= {name: AccountFacts(f"198.51.100.{i}", "") for i, name in enumerate(names(4, "x"))}
    [ring] = find_rings(component(resource("tv", family + names(4, "x")), facts=facts), PARAMETERS)
    assert "shared_household" in ring.innocent


def test_one_address_is_told_and_lowers_the_score() -> None:
    five = names(5)
    apart = {name: AccountFacts(f"192.0.2.{i}", "") for i, name in enumerate(five)}
    together = {name: AccountFacts("192.0.2.1", "") for name in five}
    [far] = find_rings(component(resource("tv", five), facts=apart), PARAMETERS)
    [near] = find_rings(component(resource("tv", five), facts=together), PARAMETERS)
    assert far.innocent == ()
    assert near.innocent == ("one_address", "household_size")
    assert near.score == pytest.approx(0.6 * far.score)


@pytest.mark.parametrize("saturated", [False, True])
def test_a_public_device_ties_nobody(saturated: bool) -> None:
    crowd = names(10 if saturated else 41)
    assert find_rings(component(resource("kiosk", crowd, saturated=saturated)), PARAMETERS) == []


def test_ties_not_seen_for_thirty_days_are_left_out() -> None:
    old = [Edge(name, 0, 100, 1) for name in names(3)]
    new = [Edge(name, 0, 100 + 30 * DAY_MS, 1) for name in names(3, "new")]
    passed_on = Resource(DEVICE, "second-hand", old + new, False)
    assert (
        find_rings(Component(dict.fromkeys(names(3) + names(3, "new"), NEW), [passed_on]), PARAMETERS) == []
    )


def test_more_evidence_scores_higher() -> None:
    five = names(5)
    [device] = find_rings(component(resource("tv", five)), PARAMETERS)
    [both] = find_rings(component(resource("tv", five), resource("card", five, kind=PAYMENT)), PARAMETERS)
    [larger] = find_rings(component(resource("tv", names(10))), PARAMETERS)
    # 0.4 for a ring; + 0.2 all edges twice + 0.1 payment + 0.1 two kinds; + 0.2 for ten accounts.
    assert (device.score, both.score, larger.score) == (0.4, 0.8, 0.6)


def test_the_order_of_edges_does_not_matter() -> None:
    resources = [resource(f"d{i}", [f"u{i}", f"u{i + 1}", f"u{(i * 7) % 12}"]) for i in range(11)]
    expected = find_rings(component(*resources), PARAMETERS)
    for seed in range(5):
        chance = random.Random(seed)
        shuffled = [item._replace(edges=chance.sample(item.edges, len(item.edges))) for item in resources]
        chance.shuffle(shuffled)
        assert find_rings(component(*shuffled), PARAMETERS) == expected


def ring(*members: str, first_seen_ms: int = 7) -> Candidate:
    return Candidate(tuple(sorted(members)), 0.5, (), first_seen_ms, 9, ())


def test_a_new_ring_gets_an_id_of_its_own() -> None:
    [one] = assign("t", [ring("a", "b")], {})
    assert one.ring_id == new_ring_id("t", ["b", "a"], 7)
    assert len(one.ring_id) == 21
    assert one.ring_id.startswith("ring_")
    [other] = assign("t", [ring("a", "b")], {}, taken=[one.ring_id])
    assert other.ring_id != one.ring_id


def test_merge_keeps_the_smallest_id_and_names_the_others() -> None:
    [merged] = assign("t", [ring("a", "b", "c", "d")], {"a": "ring_2", "b": "ring_2", "c": "ring_1"})
    assert (merged.ring_id, merged.merged) == ("ring_1", ("ring_2",))


def test_split_leaves_the_id_with_most_members() -> None:
    established = dict.fromkeys("abcde", "ring_1")
    small, large = assign("t", [ring("a", "b"), ring("c", "d", "e")], established)
    assert large.ring_id == "ring_1"
    assert small.ring_id != "ring_1"
