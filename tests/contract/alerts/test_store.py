"""One suite for the store of alerts, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.alerts.store import AlertStore, Position
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from tests.unit.alerts.messages import MINUTE_MS, NOON_MS, TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2

GROUPED, OPENED = alerts_pb2.RAISE_STATUS_GROUPED, alerts_pb2.RAISE_STATUS_OPENED
DUPLICATE = alerts_pb2.RAISE_STATUS_DUPLICATE


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = (
        f"sqlite:///{tmp_path}/alerts.db"
        if request.param == "sqlite"
        else request.getfixturevalue("postgres_url")
    )
    async with open_database(DatabaseSettings(url=url), schema="alerts") as opened:
        await asyncio.to_thread(migrate, opened, "alerts")
        yield opened


@pytest.fixture
def store(database: Database) -> AlertStore:
    return AlertStore(database, channels=["log"], window_seconds=1800)


def statuses(results: list[alerts_pb2.RaiseResult]) -> list[int]:
    return [result.status for result in results]


def count(database: Database, table: str) -> int:
    with database.reading() as connection:
        return connection.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one()


async def test_messages_are_grouped_over_calls(store: AlertStore) -> None:
    first = await store.raise_messages([message("e1", reasons=[1])], NOON_MS)
    second = await store.raise_messages(
        [message("e2", minutes=20, reasons=[2], severity=4), message("e3", minutes=90)], NOON_MS
    )

    assert statuses([*first, *second]) == [OPENED, GROUPED, OPENED]
    newest, grouped = await store.list_alerts("acme", 0, 10, None)
    assert grouped.alert_id == first[0].alert_id == second[0].alert_id
    assert (grouped.count, grouped.severity, list(grouped.reasons)) == (2, 4, [1, 2])
    assert (grouped.first_event_id, grouped.last_event_id) == ("e1", "e2")
    assert grouped.first_time.ToMilliseconds() == NOON_MS
    assert grouped.last_time.ToMilliseconds() == NOON_MS + 20 * MINUTE_MS
    assert (grouped.tenant, grouped.kind, grouped.entity_kind, grouped.entity) == (
        "acme",
        "decision.block",
        "user",
        "u1",
    )
    assert grouped.summary == "an export was stopped"
    assert (newest.alert_id, newest.count) == (second[1].alert_id, 1)


async def test_a_repeat_changes_nothing(store: AlertStore, database: Database) -> None:
    first = await store.raise_messages([message()], NOON_MS)
    before = await store.list_alerts("acme", 0, 10, None)
    again = await store.raise_messages([message(severity=4), message()], NOON_MS + 5)

    assert statuses(again) == [DUPLICATE, DUPLICATE]
    assert {result.alert_id for result in again} == {first[0].alert_id}
    assert await store.list_alerts("acme", 0, 10, None) == before
    assert (count(database, "messages"), count(database, "deliveries")) == (1, 1)


async def test_nanoseconds_survive(store: AlertStore) -> None:
    exact = message()
    exact.event_time.FromNanoseconds(1_795_348_800_123_456_789)
    await store.raise_messages([exact], NOON_MS)

    (alert,) = await store.list_alerts("acme", 0, 10, None)
    assert alert.first_time.ToNanoseconds() == 1_795_348_800_123_456_789


async def test_tenants_do_not_see_each_other(store: AlertStore) -> None:
    await store.raise_messages([message(), message(tenant="other")], NOON_MS)

    assert [alert.tenant for alert in await store.list_alerts("other", 0, 10, None)] == ["other"]


async def test_pages_follow_each_other_without_gap_or_repeat_also_at_equal_times(store: AlertStore) -> None:
    sent = [message(f"e{number}", entity=f"u{number}", minutes=number // 3) for number in range(10)]
    await store.raise_messages(sent, NOON_MS)
    pages: list[list[alerts_pb2.Alert]] = []
    after: Position | None = None
    while page := await store.list_alerts("acme", 0, 3, after):
        pages.append(page)
        after = Position(page[-1].last_time.ToNanoseconds(), page[-1].alert_id)

    listed = [alert for page in pages for alert in page]
    assert [len(page) for page in pages] == [3, 3, 3, 1]
    assert {alert.entity for alert in listed} == {f"u{number}" for number in range(10)}
    times = [alert.last_time.ToNanoseconds() for alert in listed]
    assert times == sorted(times, reverse=True)


async def test_the_least_severity_is_inside(store: AlertStore) -> None:
    await store.raise_messages(
        [message(f"e{level}", entity=f"u{level}", severity=level) for level in (1, 2, 3)], 0
    )

    assert {alert.severity for alert in await store.list_alerts("acme", 2, 10, None)} == {2, 3}


async def test_a_delivery_is_claimed_once_delivered_once_and_shown(store: AlertStore) -> None:
    await store.raise_messages([message()], NOON_MS)
    (claimed,) = await store.claim(10, NOON_MS, 1000)

    assert (claimed.channel, claimed.change, claimed.severity) == (
        "log",
        "opened",
        alerts_pb2.SEVERITY_MEDIUM,
    )
    assert (claimed.traceparent, claimed.attempts) == (TRACEPARENT, 0)
    assert claimed.alert.entity == "u1"
    assert await store.claim(10, NOON_MS + 999, 1000) == []
    (listed,) = await store.list_alerts("acme", 0, 10, None)
    assert list(listed.delivered_to) == []

    await store.delivered([claimed.delivery_id], NOON_MS + 10)
    assert await store.claim(10, NOON_MS + 10_000_000, 1000) == []
    (listed,) = await store.list_alerts("acme", 0, 10, None)
    assert list(listed.delivered_to) == ["log"]


async def test_what_was_claimed_and_not_delivered_is_due_again(store: AlertStore) -> None:
    await store.raise_messages([message()], NOON_MS)
    (lost,) = await store.claim(10, NOON_MS, 1000)
    (again,) = await store.claim(10, NOON_MS + 1000, 1000)

    assert again.telling_id == lost.telling_id


async def test_a_failed_try_is_counted_and_put_off(store: AlertStore) -> None:
    await store.raise_messages([message()], NOON_MS)
    (claimed,) = await store.claim(10, NOON_MS, 1000)
    await store.put_off(claimed.delivery_id, NOON_MS + 60_000)

    assert await store.claim(10, NOON_MS + 59_999, 1000) == []
    (again,) = await store.claim(10, NOON_MS + 60_000, 1000)
    assert again.attempts == 1


async def test_a_graver_message_is_told_again_and_a_like_one_is_not(store: AlertStore) -> None:
    await store.raise_messages([message("e1", severity=2)], NOON_MS)
    await store.raise_messages([message("e2", severity=2)], NOON_MS)
    await store.raise_messages([message("e3", severity=4)], NOON_MS)

    claimed = await store.claim(10, NOON_MS, 1000)
    assert [(item.change, item.severity, item.alert.count) for item in claimed] == [
        ("opened", 2, 3),
        ("escalated", 4, 3),
    ]


async def test_claims_are_shared_out_in_order(store: AlertStore) -> None:
    await store.raise_messages([message(f"e{number}", entity=f"u{number}") for number in range(5)], NOON_MS)
    first, second = await asyncio.gather(store.claim(3, NOON_MS, 9000), store.claim(3, NOON_MS, 9000))

    numbers = [item.delivery_id for item in [*first, *second]]
    assert len(set(numbers)) == len(numbers) == 5 or len(set(numbers)) == len(numbers) == 3
    assert [item.delivery_id for item in first] == sorted(item.delivery_id for item in first)
    rest = await store.claim(5, NOON_MS, 9000)
    assert len(numbers) + len(rest) == 5


async def test_calls_at_the_same_time_open_one_alert(store: AlertStore, database: Database) -> None:
    results = await asyncio.gather(
        *(store.raise_messages([message(f"e{number % 10}")], NOON_MS) for number in range(20))
    )

    flat = [result for answered in results for result in answered]
    assert sorted(statuses(flat)) == sorted([OPENED] + [GROUPED] * 9 + [DUPLICATE] * 10)
    (alert,) = await store.list_alerts("acme", 0, 10, None)
    assert alert.count == 10
    assert count(database, "deliveries") == 1


async def test_a_full_call_fits(store: AlertStore) -> None:
    sent = [message(f"e{number}", entity=f"u{number}") for number in range(1000)]
    results = await store.raise_messages(sent, NOON_MS)

    assert statuses(results) == [OPENED] * 1000
    assert statuses(await store.raise_messages(sent, NOON_MS)) == [DUPLICATE] * 1000


async def test_a_failure_leaves_nothing_behind(store: AlertStore, database: Database) -> None:
    await store.raise_messages([message("e1")], NOON_MS)
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE deliveries RENAME TO away"))
    with pytest.raises(sa.exc.DBAPIError):
        await store.raise_messages([message("e2", entity="u2")], NOON_MS)
    with database.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO deliveries"))

    assert (count(database, "messages"), count(database, "alerts")) == (1, 1)
    assert statuses(await store.raise_messages([message("e2", entity="u2")], NOON_MS)) == [OPENED]


async def test_no_messages_are_no_work(store: AlertStore) -> None:
    assert await store.raise_messages([], NOON_MS) == []
