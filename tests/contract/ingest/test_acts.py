"""One suite for the counts of acts under a limit, in this process and in a real Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from services.ingest.store_acts import SPAN_MS, Act, Acts, LocalActs, RedisActs
from tests.unit.alerts.messages import NOON_MS


@pytest.fixture(params=["process", "redis"])
async def acts(request: pytest.FixtureRequest) -> AsyncIterator[Acts]:
    made: Acts = LocalActs()
    if request.param == "redis":
        made = RedisActs(request.getfixturevalue("redis_url"), CollectorRegistry())
    yield made
    await made.close()


def act(event: str, user: str = "u1", entry: str = "list_a", limit: int = 3) -> Act:
    return Act(entry, user.encode(), event.encode(), limit)


async def test_acts_of_an_account_under_an_entry_are_counted(acts: Acts) -> None:
    batch = [act("e1"), act("e2"), act("e3", "u2"), act("e4", entry="list_b")]
    assert await acts.add(batch, NOON_MS) == [1, 2, 1, 1]
    assert await acts.add([act("e5"), act("e6", "u2")], NOON_MS + 1) == [3, 2]


async def test_an_act_that_is_decided_again_counts_once(acts: Acts) -> None:
    assert await acts.add([act("e1"), act("e1")], NOON_MS) == [1, 1]
    assert await acts.add([act("e1")], NOON_MS + 5) == [1]


async def test_beyond_the_limit_nothing_more_is_kept(acts: Acts) -> None:
    numbers = [(await acts.add([act(f"e{n}")], NOON_MS + n))[0] for n in range(8)]
    assert numbers == [1, 2, 3, 4, 4, 4, 4, 4]
    # The newest are kept: half of them are over an hour later than the others.
    assert await acts.add([act("late")], NOON_MS + 5 + SPAN_MS) == [3]


async def test_after_an_hour_an_act_counts_no_more(acts: Acts) -> None:
    await acts.add([act("e1")], NOON_MS)
    assert await acts.add([act("e2")], NOON_MS + SPAN_MS - 1) == [2]
    assert await acts.add([act("e3")], NOON_MS + SPAN_MS) == [2]


async def test_processes_share_the_counts(redis_url: str) -> None:
    one, two = (RedisActs(redis_url, CollectorRegistry()) for _ in range(2))
    for n in range(2):
        await one.add([act(f"one{n}")], NOON_MS)
        await two.add([act(f"two{n}")], NOON_MS)
    assert await one.add([act("two0")], NOON_MS) == [4]
    await one.close()
    await two.close()


async def test_without_redis_each_process_counts_for_itself_and_says_so() -> None:
    registry = CollectorRegistry()
    acts = RedisActs("redis://127.0.0.1:1/0", registry)
    assert await acts.add([act("e1"), act("e2")], NOON_MS) == [1, 2]
    assert await acts.add([act("e3")], NOON_MS) == [3]
    assert registry.get_sample_value("usher_limits_unshared_total") == 3
    await acts.close()


async def test_memory_is_bounded() -> None:
    acts = LocalActs(most=2)
    for user in ("a", "b", "c"):
        await acts.add([act("e1", user)], NOON_MS)
    assert await acts.add([act("e2", "a")], NOON_MS) == [1], (
        "the account that acted longest ago was forgotten"
    )
    assert await acts.add([act("e2", "c")], NOON_MS) == [2]
