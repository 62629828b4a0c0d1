"""Rings: what makes one, what does not and why, and what happens to their ids."""

from __future__ import annotations

import random

import pytest

from services.fraud.lineage import assign, new_ring_id
from services.fraud.memory import (
    ADDRESS,
    DAY_MS,
    DEVICE,
    DOMAIN,
    PAYMENT,
    SIGNUP,
    AccountFacts,
    Component,
    Edge,
    Resource,
)
from services.fraud.parameters import parse
from services.fraud.rings import Candidate, Finding, examine, find_rings, rarity, weight
from tests.unit.fraud.defaults import DEFAULTS

PARAMETERS = parse(DEFAULTS).rings


def resource(
    name: str,
    accounts: list[str],
    *,
    kind: str = DEVICE,
    first_ms: int = 0,
    last_ms: int = 100,
    total: int = 0,
    saturated: bool = False,
) -> Resource:
    edges = [Edge(account, first_ms, last_ms, 1) for account in accounts]
    return Resource(kind, name, edges, saturated, max(total, len(edges)))


def component(*resources: Resource, facts: dict[str, AccountFacts] | None = None) -> Component:
    accounts = {edge.account: AccountFacts(devices=1) for item in resources for edge in item.edges}
    return Component({**accounts, **(facts or {})}, list(resources), signups_timed=True)


def names(count: int, prefix: str = "u") -> list[str]:
    return [f"{prefix}{i:03}" for i in range(count)]


def hand(accounts: list[str]) -> list[Resource]:
    """One device, one card and one sign-up address, apart from where they watch."""
    return [
        resource("box", accounts),
        resource("card", accounts, kind=PAYMENT),
        resource("office", accounts, kind=SIGNUP),
    ]


def test_four_accounts_are_no_ring_and_five_are() -> None:
    assert find_rings(component(*hand(names(4))), PARAMETERS) == []
    [ring] = find_rings(component(*hand(names(5))), PARAMETERS)
    assert ring.members == tuple(names(5))
    assert ring.score >= PARAMETERS.least_score


@pytest.mark.parametrize("kind", [DEVICE, PAYMENT])
def test_one_kind_of_evidence_is_none(kind: str) -> None:
    [group] = examine(component(resource("one", names(20), kind=kind)), PARAMETERS)
    assert "one_kind_of_evidence" in group.why_not


@pytest.mark.parametrize("kind", [ADDRESS, DOMAIN, SIGNUP])
def test_soft_identifiers_join_nobody(kind: str) -> None:
    crowd = names(30)
    assert (
        examine(component(resource("a", crowd, kind=kind), resource("b", crowd, kind=ADDRESS)), PARAMETERS)
        == []
    )


def test_the_members_of_the_demonstration() -> None:
    """Six accounts on dev_A with one card and one sign-up address; account 7 shares only another device, 8 nothing."""
    six = names(6, "fraud_user_")
    days = [Edge(name, DAY_MS * i, DAY_MS * i, 1) for i, name in enumerate(six)]
    [ring] = find_rings(
        component(
            resource("dev_A", six),
            resource("card", six, kind=PAYMENT),
            Resource(SIGNUP, "192.168.1.100", days, False, 6),
            resource("192.168.1.100", six, kind=ADDRESS),
            resource("gmail.com", six, kind=DOMAIN),
            resource("dev_B", [six[0], "fraud_user_7"]),
            facts={"fraud_user_8": AccountFacts(devices=1)},
        ),
        PARAMETERS,
    )
    assert ring.members == tuple(six)
    assert "one_address" in ring.innocent
    assert not any(finding.code == "rare_domain" for finding in ring.findings)


def test_the_edges_of_the_demonstration_read_literally_are_no_ring_and_the_card_says_why() -> None:
    """1-2 a device, 2-3 an address, 3-4 a card, 4-5 a place, 5-6 a mail provider, 1-7 a device."""
    u = [f"fraud_user_{i}" for i in range(8)]
    groups = examine(
        component(
            resource("dev_1", [u[1], u[2]]),
            resource("192.0.2.1", [u[2], u[3]], kind=ADDRESS),
            resource("card", [u[3], u[4]], kind=PAYMENT),
            resource("gmail.com", [u[5], u[6]], kind=DOMAIN),
            resource("dev_7", [u[1], u[7]]),
        ),
        PARAMETERS,
    )
    assert [group.members for group in groups] == [(u[1], u[2], u[7]), (u[3], u[4])]
    for group in groups:
        assert group.why_not == ("too_few_accounts", "one_kind_of_evidence")


def test_a_family_at_home_is_none_whatever_it_shares() -> None:
    for size in range(2, 9):
        home = names(size)
        groups = examine(
            component(
                resource("tv", home),
                resource("tablet", home),
                resource("card", home, kind=PAYMENT),
                resource("192.0.2.1", home, kind=ADDRESS),
                facts={
                    name: AccountFacts(created_ms=DAY_MS * 200 * i + 1, devices=3)
                    for i, name in enumerate(home)
                },
            ),
            PARAMETERS,
        )
        assert all(group.why_not for group in groups)


def test_a_household_that_the_platform_knows_is_one_party() -> None:
    family = {name: AccountFacts(household="h1") for name in names(6)}
    assert find_rings(component(*hand(names(6)), facts=family), PARAMETERS) == []


def test_homes_joined_by_a_second_hand_device_or_a_family_plan_are_no_ring() -> None:
    homes = [names(4, f"home{i}-") for i in range(6)]
    ties = []
    for i, home in enumerate(homes):
        ties += [resource(f"tv{i}", home), resource(f"192.0.2.{i}", home, kind=ADDRESS)]
    ties.append(resource("family card", [home[0] for home in homes], kind=PAYMENT))
    ties.append(resource("second hand", homes[0][:2] + homes[1]))
    assert find_rings(component(*ties), PARAMETERS) == []


def test_a_device_that_changed_hands_ties_only_those_of_one_time() -> None:
    old, new = names(3, "old"), names(3, "new")
    edges = [Edge(name, 0, 20 * DAY_MS, 1) for name in old]
    edges += [Edge(name, 30 * DAY_MS, 60 * DAY_MS, 1) for name in new]
    [first, second] = examine(component(Resource(DEVICE, "second hand", edges, False, 6)), PARAMETERS)
    assert (first.members, second.members) == (tuple(new), tuple(old))


def test_a_dorm_with_a_common_room_is_none() -> None:
    dorm = names(60)
    groups = examine(
        component(
            resource("room tv", dorm[:25]),
            resource("dorm", dorm, kind=ADDRESS, total=240),
            resource("dorm", dorm, kind=SIGNUP, total=240),
        ),
        PARAMETERS,
    )
    assert all(group.why_not for group in groups)


@pytest.mark.parametrize("saturated", [False, True])
def test_a_public_device_ties_nobody(saturated: bool) -> None:
    crowd = names(10 if saturated else 65)
    assert examine(component(resource("kiosk", crowd, saturated=saturated)), PARAMETERS) == []


def test_two_rings_that_share_one_device_stay_two() -> None:
    a, b = names(8, "a"), names(8, "b")
    ties = [tie._replace(name=tie.name + side[0]) for side in (a, b) for tie in hand(side)]
    rings = find_rings(component(*ties, resource("lent", [a[0], b[0]])), PARAMETERS)
    assert [ring.members for ring in rings] == [tuple(a), tuple(b)]


def test_a_ring_with_hidden_links_is_still_one() -> None:
    chance = random.Random(3)
    members = names(20)
    full = [
        *(resource(f"d{i}", members[i * 4 : i * 4 + 8]) for i in range(4)),
        *(resource(f"p{i}", members[i * 9 : i * 9 + 11], kind=PAYMENT) for i in range(2)),
        resource("office", members, kind=SIGNUP),
    ]
    seen = [tie._replace(edges=[edge for edge in tie.edges if chance.random() > 0.3]) for tie in full]
    rings = find_rings(component(*seen), PARAMETERS)
    assert len(rings) == 1
    assert len(rings[0].members) >= 14


def test_every_contribution_is_told_and_makes_the_score() -> None:
    [ring] = find_rings(component(*hand(names(9))), PARAMETERS)
    logit = sum(finding.points for finding in ring.findings)
    assert ring.score == pytest.approx(1 / (1 + 2.718281828459045**-logit), abs=1e-5)
    assert isinstance(ring.findings[0], Finding)
    assert all(abs(a.points) >= abs(b.points) for a, b in zip(ring.findings, ring.findings[1:], strict=False))
    assert ring.centrality == (1.0,) * 9


def test_an_account_with_fewer_of_the_links_is_less_central() -> None:
    members = names(9)
    ties = [*hand(members), resource("second box", members[:6])]
    [ring] = find_rings(component(*ties), PARAMETERS)
    # Four links where the others have three.
    assert ring.centrality == (1.0,) * 6 + (0.75,) * 3


def test_rare_ties_weigh_more_and_old_ones_less() -> None:
    assert [rarity(count) for count in (2, 4, 64)] == pytest.approx([1, 0.5, 1 / 6])
    fresh = resource("a", names(4), last_ms=60 * DAY_MS)
    old = resource("b", names(4), last_ms=0)
    assert weight(fresh, 60 * DAY_MS, 60) == 0.5
    assert weight(old, 60 * DAY_MS, 60) == 0.25
    assert weight(fresh._replace(kind=ADDRESS), 60 * DAY_MS, 60) == pytest.approx(0.15)


def test_the_order_of_edges_does_not_matter() -> None:
    resources = [resource(f"d{i}", [f"u{i}", f"u{i + 1}", f"u{(i * 7) % 12}"]) for i in range(11)]
    resources += hand(names(7, "x"))
    expected = examine(component(*resources), PARAMETERS)
    for seed in range(5):
        chance = random.Random(seed)
        shuffled = [item._replace(edges=chance.sample(item.edges, len(item.edges))) for item in resources]
        chance.shuffle(shuffled)
        assert examine(component(*shuffled), PARAMETERS) == expected


def ring(*members: str, first_seen_ms: int = 7) -> Candidate:
    return Candidate(tuple(sorted(members)), 0.5, 0.5, (), first_seen_ms, 9, (), ())


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


def test_ties_weigh_less_with_time_and_the_card_says_so() -> None:
    accounts = names(8)
    scores = []
    for age_days in (0, 180, 360):
        # They still watch, each at home; what they share was last used so long ago.
        old = [
            item._replace(edges=[edge._replace(last_ms=100) for edge in item.edges])
            for item in hand(accounts)
        ]
        homes = [
            resource(f"home {account}", [account], kind=ADDRESS, last_ms=100 + age_days * DAY_MS)
            for account in accounts
        ]
        [group] = examine(component(*old, *homes), PARAMETERS)
        scores.append(group.score)
        found = {finding.code: finding for finding in group.findings}
        # 180 days halve: the half-life of the shipped parameters.
        assert found["shared_devices"].values == (1.0, 1.0, 0.5 ** (age_days / 180))
        assert found["shared_devices"].points == pytest.approx(1.6 * 0.5 ** (age_days / 180), abs=0.001)
    assert scores[0] > scores[1] > scores[2]


def test_one_account_alone_keeps_no_tie_fresh() -> None:
    shared = resource("box", ["a", "b"], last_ms=100)
    edges = [*shared.edges[:1], shared.edges[1]._replace(last_ms=100 + 180 * DAY_MS)]
    assert weight(shared._replace(edges=edges), 100 + 180 * DAY_MS, 180) == 0.5
