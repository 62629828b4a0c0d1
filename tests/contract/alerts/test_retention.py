"""What is over is kept so long and no longer, on SQLite and on a real PostgreSQL, by a clock that moves when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.alerts import tables
from services.alerts.rules import parse
from services.alerts.selection import Filter
from services.alerts.settings import DEFAULT_RULES, RetentionSettings
from services.alerts.store import AlertStore
from services.alerts.store_deliveries import DeliveryStore, Result
from services.alerts.store_incidents import IncidentStore
from services.alerts.store_retention import Forgotten, RetentionStore
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from tests.unit.alerts.messages import NOON_MS, message
from usher.alerts.v1 import alerts_pb2

RULES = parse(DEFAULT_RULES.read_text())
DAY_MS = 86_400_000
RESOLVE, REOPEN = alerts_pb2.ALERT_ACT_RESOLVE, alerts_pb2.ALERT_ACT_REOPEN


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/alerts.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    async with open_database(DatabaseSettings(url=url), schema="alerts") as opened:
        await asyncio.to_thread(migrate, opened, "alerts")
        yield opened


async def forget(database: Database, day: float) -> Forgotten:
    """Retention as it is by default, so many days after noon."""
    kept = RetentionSettings()
    return await RetentionStore(database).forget(
        NOON_MS + round(day * DAY_MS),
        messages_days=kept.messages_days,
        deliveries_days=kept.deliveries_days,
        alerts_days=kept.alerts_days,
    )


async def act(store: AlertStore, alert_id: str, act: int, day: float) -> None:
    await store.act(
        "acme",
        act,
        alert_ids=[alert_id],
        which=None,
        actor="ann",
        assignee="",
        note="",
        label=False,
        preview=False,
        now_ms=NOON_MS + round(day * DAY_MS),
    )


async def deliver(database: Database, state: int = tables.DELIVERED) -> None:
    """Everything that is due goes out at noon."""
    deliveries = DeliveryStore(database)
    due = (await deliveries.exchange("log", [], 100, NOON_MS, 1_000)).deliveries
    await deliveries.exchange(
        "log", [Result(one.delivery_id, state, NOON_MS, 0, "") for one in due], 0, NOON_MS, 1
    )


def rows(database: Database, table: sa.Table) -> int:
    with database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())


async def test_ids_deliveries_and_alerts_go_when_their_time_is_over(database: Database) -> None:
    store = AlertStore(database, RULES)
    [ended, open_] = await store.raise_messages([message("e1"), message("e2", entity="u2")], NOON_MS)
    await deliver(database)
    await act(store, ended.alert_id, RESOLVE, 0)

    assert not any(await forget(database, 29.9))
    assert (await forget(database, 30.1)).messages == 2
    assert not any(await forget(database, 89.9))
    assert (await forget(database, 90.1)).deliveries == 2
    assert not any(await forget(database, 364.9))
    assert (await forget(database, 365.1)).alerts == 1
    assert not any(await forget(database, 10_000))

    left = await store.list_alerts("acme", Filter(), 10, None)
    assert [alert.alert_id for alert in left] == [open_.alert_id], "what nobody ended stays"
    for table in (tables.subjects, tables.events):
        with database.reading() as connection:
            ids = set(connection.execute(sa.select(table.c.alert_id)).scalars())
        assert ids == {open_.alert_id}


async def test_what_waits_to_be_delivered_is_not_forgotten(database: Database) -> None:
    store = AlertStore(database, RULES)
    await store.raise_messages([message()], NOON_MS)
    assert (await forget(database, 300)).deliveries == 0
    assert rows(database, tables.deliveries) == 1


async def test_a_repeat_after_its_id_was_forgotten_tells_nobody_while_the_alert_is_kept(
    database: Database,
) -> None:
    store = AlertStore(database, RULES)
    [first] = await store.raise_messages([message("e1")], NOON_MS)
    await deliver(database)
    await act(store, first.alert_id, RESOLVE, 1)
    await forget(database, 364)
    assert rows(database, tables.messages) == 0

    [again] = await store.raise_messages([message("e1")], NOON_MS + 364 * DAY_MS)

    assert (again.status, again.alert_id) == (alerts_pb2.RAISE_STATUS_GROUPED, first.alert_id)
    found = await DeliveryStore(database).exchange("log", [], 10, NOON_MS + 364 * DAY_MS, 1_000)
    assert found.deliveries == []


async def test_an_alert_opened_again_or_of_an_incident_in_work_stays(database: Database) -> None:
    store, incidents = AlertStore(database, RULES), IncidentStore(database, RULES)
    [again, of_incident] = await store.raise_messages([message("e1"), message("e2", entity="u2")], NOON_MS)
    request = alerts_pb2.CreateIncidentRequest(
        tenant="acme", alert_ids=[of_incident.alert_id], title="looked at", actor="ann"
    )
    incident = await incidents.create(request, NOON_MS)
    for one in (again, of_incident):
        await act(store, one.alert_id, RESOLVE, 0)
    await act(store, again.alert_id, REOPEN, 1)

    assert (await forget(database, 400)).alerts == 0

    change = alerts_pb2.UpdateIncidentRequest(
        tenant="acme", number=incident.number, actor="ann", state=alerts_pb2.INCIDENT_STATE_RESOLVED
    )
    await incidents.update(change, NOON_MS + 400 * DAY_MS)
    gone = await forget(database, 800)
    assert (gone.alerts, gone.incidents) == (1, 1)
    assert rows(database, tables.timeline) == 0


@pytest.mark.parametrize(
    "values", [{"messages_days": 6}, {"deliveries_days": 0}, {"messages_days": 90, "alerts_days": 60}]
)
def test_retention_out_of_bounds_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetentionSettings(**values)
