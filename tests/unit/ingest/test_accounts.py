"""Facts of accounts: validity, time order, and how events carry them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import accounts
from services.ingest.accounts import Kept
from usher.event.v1 import event_pb2
from usher.ingest.v1 import accounts_pb2

NOW = 1_790_000_000_000


def update(at_ms: int, **facts: Any) -> accounts_pb2.AccountUpdate:
    one = accounts_pb2.AccountUpdate(user_id="u1", facts=event_pb2.AccountFacts(**facts))
    one.as_of_time.FromMilliseconds(at_ms)
    return one


def facts_of(*updates: accounts_pb2.AccountUpdate) -> event_pb2.AccountFacts:
    kept = Kept()
    for one in updates:
        kept = accounts.merge(kept, one) or kept
    return event_pb2.AccountFacts.FromString(kept.facts)


def test_an_older_fact_never_overwrites_a_newer_one_and_others_stay() -> None:
    found = facts_of(update(2_000, chargebacks=2), update(1_000, chargebacks=0, plan="basic"))
    assert (found.chargebacks, found.plan) == (2, "basic")
    assert facts_of(update(1_000, chargebacks=2), update(2_000, chargebacks=0)).chargebacks == 0


def test_the_same_again_tells_nothing_new() -> None:
    kept = accounts.merge(Kept(), update(1_000, trial=False))
    assert kept is not None
    assert accounts.merge(kept, update(1_000, trial=False)) is None
    assert accounts.merge(kept, update(999, trial=True)) is None


FACTS = st.fixed_dictionaries(
    {},
    optional={
        "chargebacks": st.integers(0, 5),
        "plan": st.sampled_from(["", "a", "b"]),
        "trial": st.booleans(),
        "stream_limit": st.integers(1, 4),
    },
)


@given(st.lists(st.tuples(st.integers(1, 4), FACTS), max_size=6), st.randoms(use_true_random=False))
def test_what_is_known_does_not_depend_on_the_order_of_calls(told: list[Any], random: Any) -> None:
    updates = [update(at, **facts) for at, facts in told]
    shuffled = list(updates)
    random.shuffle(shuffled)
    assert facts_of(*updates) == facts_of(*shuffled)


@pytest.mark.parametrize(
    ("one", "field"),
    [
        (accounts_pb2.AccountUpdate(user_id="u1"), "facts"),
        (update(NOW, plan="no spaces here"), "facts.plan"),
        (update(NOW, stream_limit=101), "facts.stream_limit"),
        (update(NOW + 300_001, trial=True), "as_of_time"),
        (accounts_pb2.AccountUpdate(user_id="u1", facts=event_pb2.AccountFacts(trial=True)), "as_of_time"),
        (accounts_pb2.AccountUpdate(facts=event_pb2.AccountFacts(trial=True)), "user_id"),
    ],
)
def test_what_is_wrong_is_named(one: accounts_pb2.AccountUpdate, field: str) -> None:
    assert field in [found.field for found in accounts.violations(one, NOW)]


def test_an_event_carries_the_facts_and_its_own_go_first() -> None:
    kept = event_pb2.AccountFacts(chargebacks=3, plan="p").SerializeToString()
    bare = event_pb2.Event(event_id="e").SerializeToString()
    assert accounts.carry(bare, b"") == bare
    assert event_pb2.Event.FromString(accounts.carry(bare, kept)).account.chargebacks == 3
    own = event_pb2.Event(event_id="e", account=event_pb2.AccountFacts(chargebacks=1)).SerializeToString()
    carried = event_pb2.Event.FromString(accounts.carry(own, kept)).account
    assert (carried.chargebacks, carried.plan) == (1, "p")
