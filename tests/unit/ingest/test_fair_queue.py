"""The queue before the batches: bounded, in order for each viewer, and no tenant waits for another's flood."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.ingest.fair_queue import FairQueue, fits, fits_with_measured


def item(tenant: str, user: str, number: int, size: int = 10) -> Any:
    """What the queue knows of an item."""
    key = f"{tenant}/{user}".encode()
    return SimpleNamespace(tenant=tenant, event_id=str(number), user_key=key, payload=b"x" * size)


def ids(batch: list[Any]) -> list[str]:
    return [f"{one.tenant}{one.event_id}" for one in batch]


def test_tenants_are_served_in_turn() -> None:
    queue = FairQueue(100, 1 << 20)
    for number in range(6):
        queue.append(item("flood", f"u{number}", number))
    queue.append(item("small", "u", 0))
    taken = [ids(queue.take(set(), 2, 1 << 20)) for _ in range(5)]
    assert taken == [["flood0", "flood1"], ["small0"], ["flood2", "flood3"], ["flood4", "flood5"], []]
    assert len(queue) == queue.bytes == 0


def test_a_busy_viewer_waits_and_the_order_holds() -> None:
    queue = FairQueue(100, 1 << 20)
    for number, user in enumerate("abab"):
        queue.append(item("t", user, number))
    assert ids(queue.take({b"t/a"}, 8, 1 << 20)) == ["t1", "t3"]
    assert ids(queue.take(set(), 8, 1 << 20)) == ["t0", "t2"]


def test_a_tenant_whose_viewers_are_busy_does_not_hold_up_the_next() -> None:
    queue = FairQueue(100, 1 << 20)
    queue.append(item("first", "a", 0))
    queue.append(item("second", "b", 0))
    assert ids(queue.take({b"first/a"}, 8, 1 << 20)) == ["second0"]
    assert queue.waiting_of("first") == 1


def test_a_batch_is_bounded_by_bytes_and_takes_one_at_least() -> None:
    queue = FairQueue(100, 1 << 20)
    for number in range(3):
        queue.append(item("t", f"u{number}", number, size=60))
    assert ids(queue.take(set(), 8, 100)) == ["t0"]
    assert ids(queue.take(set(), 8, 10)) == ["t1"]


def test_one_tenant_gets_four_fifths_and_a_newcomer_the_rest() -> None:
    queue = FairQueue(100, 1 << 20)
    number = 0
    while queue.fits("flood", 1, 10):
        queue.append(item("flood", "u", number))
        number += 1
    assert number == 80
    assert queue.fits("new", 20, 10)
    assert not queue.fits("new", 21, 10)


def test_tenants_that_flood_share_evenly() -> None:
    """At rest each of n has 4/(1+4n) of the room (Choudhury and Hahne 1998, equation for the steady state)."""
    queue = FairQueue(1000, 1 << 20)
    number = 0
    while any(queue.fits(tenant, 1, 10) for tenant in "abc"):
        for tenant in "abc":
            if queue.fits(tenant, 1, 10):
                queue.append(item(tenant, "u", number))
                number += 1
    shares = [queue.waiting_of(tenant) for tenant in "abc"]
    assert max(shares) - min(shares) <= 1
    assert abs(shares[0] - 1000 * 4 / 13) <= 2


def test_bytes_are_bounded() -> None:
    queue = FairQueue(1000, 100)
    queue.append(item("t", "u", 0, size=60))
    assert queue.fits("t", 1, 40)
    assert not queue.fits("t", 1, 41)


def test_what_was_counted_elsewhere_is_judged_the_same() -> None:
    assert fits_with_measured(10, "a", {"a": 10, "b": 10}, 100) == fits(10, 10, 20, 100)
    assert not fits_with_measured(1, "a", {"a": 80, "b": 0}, 100)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("uvw")), max_size=60), st.integers(1, 9))
def test_everything_comes_out_once_and_in_order_of_each_viewer(
    events: list[tuple[str, str]], most: int
) -> None:
    queue = FairQueue(1000, 1 << 20)
    for number, (tenant, user) in enumerate(events):
        queue.append(item(tenant, user, number))
    out: list[Any] = []
    while batch := queue.take(set(), most, 1 << 20):
        assert len({one.tenant for one in batch}) == 1
        assert len(batch) <= most
        out += batch
    assert sorted(int(one.event_id) for one in out) == list(range(len(events)))
    for key in {one.user_key for one in out}:
        own = [int(one.event_id) for one in out if one.user_key == key]
        assert own == sorted(own)
