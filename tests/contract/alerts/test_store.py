"""One suite for the store of alerts, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.alerts import tables
from services.alerts.rules import parse
from services.alerts.selection import Filter
from services.alerts.settings import DEFAULT_RULES
from services.alerts.store import AlertStore, Position
from services.alerts.store_deliveries import DeliveryStore, Result
from services.alerts.tellings import Delivery
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from tests.unit.alerts.messages import MINUTE_MS, NOON_MS, TRACEPARENT, message
from usher.alerts.v1 import alerts_pb2

RULES = parse(DEFAULT_RULES.read_text())
ALL = Filter()
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
    return AlertStore(database, RULES)


@pytest.fixture
def deliveries(database: Database) -> DeliveryStore:
    return DeliveryStore(database)


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
    newest, grouped = await store.list_alerts("acme", ALL, 10, None)
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
    before = await store.list_alerts("acme", ALL, 10, None)
    again = await store.raise_messages([message(severity=4), message()], NOON_MS + 5)

    assert statuses(again) == [DUPLICATE, DUPLICATE]
    assert {result.alert_id for result in again} == {first[0].alert_id}
    assert await store.list_alerts("acme", ALL, 10, None) == before
    assert (count(database, "messages"), count(database, "deliveries")) == (1, 1)


async def test_nanoseconds_survive(store: AlertStore) -> None:
    exact = message()
    exact.event_time.FromNanoseconds(1_795_348_800_123_456_789)
    await store.raise_messages([exact], NOON_MS)

    (alert,) = await store.list_alerts("acme", ALL, 10, None)
    assert alert.first_time.ToNanoseconds() == 1_795_348_800_123_456_789


async def test_tenants_do_not_see_each_other(store: AlertStore) -> None:
    await store.raise_messages([message(), message(tenant="other")], NOON_MS)

    assert [alert.tenant for alert in await store.list_alerts("other", ALL, 10, None)] == ["other"]


async def test_pages_follow_each_other_without_gap_or_repeat_also_at_equal_times(store: AlertStore) -> None:
    sent = [message(f"e{number}", entity=f"u{number}", minutes=number // 3) for number in range(10)]
    await store.raise_messages(sent, NOON_MS)
    pages: list[list[alerts_pb2.Alert]] = []
    after: Position | None = None
    while page := await store.list_alerts("acme", ALL, 3, after):
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

    assert {
        alert.severity for alert in await store.list_alerts("acme", Filter(minimum_severity=2), 10, None)
    } == {2, 3}


async def claim(deliveries: DeliveryStore, limit: int, now_ms: int, lease_ms: int) -> list[Delivery]:
    return (await deliveries.exchange("log", [], limit, now_ms, lease_ms)).deliveries


async def record(deliveries: DeliveryStore, now_ms: int, *results: Result) -> None:
    await deliveries.exchange("log", results, 0, now_ms, 1000)


async def test_a_delivery_is_claimed_once_delivered_once_and_shown(
    store: AlertStore, deliveries: DeliveryStore
) -> None:
    await store.raise_messages([message()], NOON_MS)
    (claimed,) = await claim(deliveries, 10, NOON_MS, 1000)

    assert (claimed.channel, claimed.change, claimed.severity) == (
        "log",
        "opened",
        alerts_pb2.SEVERITY_MEDIUM,
    )
    assert (claimed.traceparent, claimed.attempts) == (TRACEPARENT, 0)
    assert claimed.alert.entity == "u1"
    assert await claim(deliveries, 10, NOON_MS + 999, 1000) == []
    (listed,) = await store.list_alerts("acme", ALL, 10, None)
    assert list(listed.delivered_to) == []

    await record(deliveries, NOON_MS + 10, Result(claimed.delivery_id, tables.DELIVERED, 0, 202, "ok"))
    assert await claim(deliveries, 10, NOON_MS + 10_000_000, 1000) == []
    (listed,) = await store.list_alerts("acme", ALL, 10, None)
    assert list(listed.delivered_to) == ["log"]
    (logged,) = await deliveries.of_alert("acme", listed.alert_id)
    assert (logged.state, logged.status, logged.response, logged.attempts) == (2, 202, "ok", 1)


async def test_what_was_claimed_and_not_delivered_is_due_again(
    store: AlertStore, deliveries: DeliveryStore
) -> None:
    await store.raise_messages([message()], NOON_MS)
    (lost,) = await claim(deliveries, 10, NOON_MS, 1000)
    (again,) = await claim(deliveries, 10, NOON_MS + 1000, 1000)

    assert again.telling_id == lost.telling_id
    assert again.attempts == 1


async def test_a_failed_try_is_logged_and_put_off_and_a_dead_one_can_be_replayed(
    store: AlertStore, deliveries: DeliveryStore
) -> None:
    await store.raise_messages([message()], NOON_MS)
    (claimed,) = await claim(deliveries, 10, NOON_MS, 1000)
    later = NOON_MS + 60_000
    await record(deliveries, NOON_MS, Result(claimed.delivery_id, tables.PENDING, later, 503, "busy"))

    assert await claim(deliveries, 10, later - 1, 1000) == []
    assert (await deliveries.exchange("log", [], 10, NOON_MS, 1000)).next_due_ms == later
    (again,) = await claim(deliveries, 10, later, 1000)
    assert again.attempts == 1
    assert [one.channel for one in await deliveries.trouble(later, 60_000)] == ["log"]
    await record(deliveries, later, Result(claimed.delivery_id, tables.DEAD, later, 503, "busy"))
    assert await claim(deliveries, 10, later + 10**9, 1000) == []
    assert await deliveries.replay("other", [], "", later) == 0
    assert await deliveries.replay("acme", [], "log", later) == 1
    (replayed,) = await claim(deliveries, 10, later, 1000)
    assert (replayed.telling_id, replayed.attempts) == (claimed.telling_id, 0)


async def test_a_graver_message_is_told_again_and_a_like_one_is_not(
    store: AlertStore, deliveries: DeliveryStore
) -> None:
    await store.raise_messages([message("e1", severity=2)], NOON_MS)
    await store.raise_messages([message("e2", severity=2)], NOON_MS)
    await store.raise_messages([message("e3", severity=4)], NOON_MS)

    told = []
    while found := await claim(deliveries, 10, NOON_MS, 1000):
        # What is about one entity goes out one after the other, in order.
        (one,) = found
        told.append((one.change, one.severity, one.alert.count))
        await record(deliveries, NOON_MS, Result(one.delivery_id, tables.DELIVERED, NOON_MS, 0, ""))
    assert told == [("opened", 2, 3), ("escalated", 4, 3)]


async def test_a_try_that_waits_holds_up_its_entity_and_no_other(
    store: AlertStore, deliveries: DeliveryStore
) -> None:
    await store.raise_messages([message("e1", severity=2)], NOON_MS)
    (first,) = await claim(deliveries, 10, NOON_MS, 1000)
    later = NOON_MS + 60_000
    await record(deliveries, NOON_MS, Result(first.delivery_id, tables.PENDING, later, 0, "down"))
    await store.raise_messages([message("e2", severity=4), message("e3", entity="u2")], NOON_MS)

    (other,) = await claim(deliveries, 10, NOON_MS, 1000)
    assert other.alert.entity == "u2"
    about_u1 = [one for one in await claim(deliveries, 10, later, 1000) if one.alert.entity == "u1"]
    assert [one.telling_id for one in about_u1] == [first.telling_id]


async def test_claims_are_shared_out_the_gravest_first(store: AlertStore, deliveries: DeliveryStore) -> None:
    sent = [message(f"e{number}", entity=f"u{number}", severity=1 + number % 4) for number in range(8)]
    await store.raise_messages(sent, NOON_MS)
    first, second = await asyncio.gather(
        claim(deliveries, 4, NOON_MS, 9000), claim(deliveries, 4, NOON_MS, 9000)
    )
    rest = await claim(deliveries, 8, NOON_MS, 9000)

    assert len({one.delivery_id for one in [*first, *second, *rest]}) == 8
    assert [4, 4] in [[one.severity for one in found][:2] for found in (first, second)]


async def test_calls_at_the_same_time_open_one_alert(store: AlertStore, database: Database) -> None:
    results = await asyncio.gather(
        *(store.raise_messages([message(f"e{number % 10}")], NOON_MS) for number in range(20))
    )

    flat = [result for answered in results for result in answered]
    assert sorted(statuses(flat)) == sorted([OPENED] + [GROUPED] * 9 + [DUPLICATE] * 10)
    (alert,) = await store.list_alerts("acme", ALL, 10, None)
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


async def test_what_is_given_back_untried_is_no_attempt(store: AlertStore, deliveries: DeliveryStore) -> None:
    await store.raise_messages([message(), message("e2", entity="u2")], NOON_MS)
    first, second = (await deliveries.exchange("log", [], 10, NOON_MS, 20_000)).deliveries
    back = [
        Result(one.delivery_id, tables.PENDING, NOON_MS + 11_000, 0, "", tried=False)
        for one in (first, second)
    ]
    await deliveries.exchange("log", back[:1], 0, NOON_MS + 11_000, 20_000)
    found = (await deliveries.exchange("log", back[1:], 10, NOON_MS + 11_000, 20_000)).deliveries
    assert {one.delivery_id for one in found} == {first.delivery_id, second.delivery_id}
    assert {one.attempts for one in found} == {0}
    assert await deliveries.trouble(NOON_MS + 10**9, 1) == []


async def test_ends_that_are_alike_and_ends_that_are_not_are_recorded_each(
    store: AlertStore, deliveries: DeliveryStore
) -> None:
    await store.raise_messages([message(f"e{n}", entity=f"u{n}") for n in range(4)], NOON_MS)
    claimed = (await deliveries.exchange("log", [], 10, NOON_MS, 20_000)).deliveries
    ids = [one.delivery_id for one in claimed]
    results = [
        Result(ids[0], tables.DELIVERED, NOON_MS + 1, 200, "ok"),
        Result(ids[1], tables.DELIVERED, NOON_MS + 2, 200, "ok"),
        Result(ids[2], tables.PENDING, NOON_MS + 60_000, 503, "busy"),
        Result(ids[3], tables.DEAD, NOON_MS + 3, 410, "gone"),
    ]
    await deliveries.exchange("log", results, 0, NOON_MS + 5, 20_000)
    page = {one.delivery_id: one for one in await deliveries.page("acme", "", 0, 10, 10**9)}
    assert [(page[n].state, page[n].status, page[n].response) for n in ids] == [
        (tables.DELIVERED, 200, "ok"),
        (tables.DELIVERED, 200, "ok"),
        (tables.PENDING, 503, "busy"),
        (tables.DEAD, 410, "gone"),
    ]
    assert page[ids[2]].time.ToMilliseconds() == NOON_MS + 60_000
