"""Token buckets: what is granted over any time never exceeds the bucket and what flowed into it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from services.common.rates import LocalRates, Rate, RedisRates, parse_rate, take, whole_seconds


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10000/minute", Rate(10_000, 60)),
        ("1/second", Rate(1, 1)),
        ("5/hour", Rate(5, 3600)),
        ("7/day", Rate(7, 86_400)),
    ],
)
def test_rates_are_read(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text", ["", "0/minute", "10000", "10/week", "-1/day", "1.5/hour", "1/minute ", "9" * 13 + "/day"]
)
def test_other_texts_are_no_rates(text: str) -> None:
    with pytest.raises(ValueError, match="no rate"):
        parse_rate(text)


def test_a_full_bucket_grants_its_number_and_then_says_when() -> None:
    full_at = 0.0
    for _ in range(10):
        full_at, wait = take(full_at, 100.0, 1, Rate(10, 60))
        assert wait == 0
    same, wait = take(full_at, 100.0, 1, Rate(10, 60))
    assert same == full_at
    assert wait == pytest.approx(6.0)
    _, wait = take(full_at, 106.0, 1, Rate(10, 60))
    assert wait == 0


def test_more_than_a_bucket_is_late_and_not_impossible() -> None:
    full_at, wait = take(0.0, 100.0, 25, Rate(10, 60))
    assert wait == 0
    _, wait = take(full_at, 100.0, 1, Rate(10, 60))
    # 26 tokens are owed and 10 may be: 16 flow in 96 seconds.
    assert wait == pytest.approx(96.0)


@given(
    st.lists(st.tuples(st.floats(0, 30), st.integers(1, 5)), max_size=60),
    st.integers(5, 50),
    st.floats(1, 120),
)
def test_never_more_than_the_bucket_and_what_flowed_in(
    calls: list[tuple[float, int]], number: int, seconds: float
) -> None:
    now, full_at, granted = 1000.0, 0.0, 0
    rate = Rate(number, seconds)
    for pause, cost in calls:
        now += pause
        full_at, wait = take(full_at, now, cost, rate)
        if not wait:
            granted += cost
        else:
            _, again = take(full_at, now + wait, cost, rate)
            assert again == pytest.approx(0, abs=1e-3)
        assert granted <= number + (now - 1000.0) * number / seconds + 1e-3


def test_buckets_are_bounded() -> None:
    rates = LocalRates(most=3)
    for name in "abcd":
        assert rates.take_now(name, Rate(1, 60)) == 0
    assert len(rates) == 3
    assert rates.take_now("d", Rate(1, 60)) > 0
    assert rates.take_now("a", Rate(1, 60)) == 0


def test_a_wait_becomes_whole_seconds() -> None:
    assert [whole_seconds(wait) for wait in (0.001, 1.0, 1.01, 59.5)] == [1, 1, 2, 60]


async def test_redis_shares_the_buckets(redis_url: str) -> None:
    one, two = RedisRates(redis_url, CollectorRegistry()), RedisRates(redis_url, CollectorRegistry())
    rate = Rate(4, 3600)
    waits = [await rates.take("k", rate) for rates in (one, two, one, two, one)]
    assert waits[:4] == [0, 0, 0, 0]
    assert 800 < waits[4] <= 900
    assert await two.take("other", rate) == 0
    await one.close()
    await two.close()


async def test_without_redis_each_process_counts_for_itself() -> None:
    registry = CollectorRegistry()
    rates = RedisRates("redis://127.0.0.1:1/0", registry)
    assert [await rates.take("k", Rate(2, 3600)) > 0 for _ in range(3)] == [False, False, True]
    assert registry.get_sample_value("usher_rates_unshared_total") == 3
    await rates.close()
