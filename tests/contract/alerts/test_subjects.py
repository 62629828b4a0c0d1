"""Erasing one person from the rows of alerts, on SQLite and on a real PostgreSQL."""

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
from services.alerts.store import AlertStore
from services.alerts.store_deliveries import DeliveryStore, Result
from services.alerts.store_subject import AlertsSubjects
from services.common.db import Database, DatabaseSettings, open_database
from services.common.erased import Entry, ErasedRows, subject_of
from services.common.migrations import migrate
from services.common.subject_data import Subject
from tests.unit.alerts.messages import NOON_MS, message
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2

KEY = bytes(32)
ANNA, BOB = "anna-4711", "bob-4712"


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/alerts.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    async with open_database(DatabaseSettings(url=url), schema="alerts") as opened:
        await asyncio.to_thread(migrate, opened, "alerts")
        yield opened


@pytest.fixture
async def subjects(database: Database) -> AlertsSubjects:
    made = AlertsSubjects(database, ErasedRows(database))
    await made.start()
    return made


def everything(database: Database) -> str:
    with database.reading() as connection:
        tables = [name for name in sa.inspect(connection).get_table_names() if name != "schema_version"]
        return repr([connection.execute(sa.text(f"SELECT * FROM {name}")).all() for name in tables])


async def raise_some(database: Database) -> AlertStore:
    store = AlertStore(database, parse(DEFAULT_RULES.read_text()))
    await store.raise_messages(
        [
            message("ev-a1", entity=ANNA),
            message("ev-b1", entity=BOB),
            message("ev-a2", kind="ring", entity_kind="ring", entity="ring_1", summary=f"seen with {ANNA}."),
        ],
        NOON_MS,
    )
    return store


async def test_a_person_goes_and_alerts_about_other_things_lose_the_name(
    database: Database, subjects: AlertsSubjects
) -> None:
    store = await raise_some(database)
    deliveries = DeliveryStore(database)
    about = (await deliveries.exchange("log", [], 10, NOON_MS, 1000)).deliveries
    first = next(one for one in about if one.alert.entity == ANNA)
    sent = Result(first.delivery_id, tables.DELIVERED, NOON_MS, 0, "")
    await deliveries.exchange("log", [sent], 0, NOON_MS, 1000)
    subject = Subject("acme", ANNA, frozenset(("ev-a1", "ev-a2")))
    assert any((await subjects.remaining(subject)).values())

    found = await subjects.erase(subject, KEY, Entry(1, subject_of(KEY, "acme", ANNA), NOON_MS, "er"))

    assert found.erased["alerts"] >= 1
    assert found.delivered == {"channel log": 1}
    assert not any((await subjects.remaining(subject)).values())
    rows = everything(database)
    assert ANNA not in rows
    assert "ev-a1" not in rows
    assert "ev-a2" not in rows
    assert BOB in rows
    left = await store.list_alerts("acme", Filter(), 10, None)
    assert {alert.entity for alert in left} == {BOB, "ring_1"}
    # The same message again opens nothing anew.
    [again] = await store.raise_messages([message("ev-a1", entity=ANNA)], NOON_MS)
    assert again.status == 3
    assert (await subjects.erasure_state())[:2] == (1, False)


async def test_an_export_tells_the_persons_alerts_only(database: Database, subjects: AlertsSubjects) -> None:
    await raise_some(database)
    told = [rows async for rows in subjects.export(Subject("acme", ANNA), b"")]
    [(store, [row])] = told  # type: ignore[misc]
    assert (store, row["entity"], row["kind"]) == ("alerts", ANNA, "decision.block")


async def test_a_longer_name_is_another_person(database: Database, subjects: AlertsSubjects) -> None:
    store = await raise_some(database)
    await subjects.erase(Subject("acme", "anna"), KEY, None)
    assert {alert.entity for alert in await store.list_alerts("acme", Filter(), 10, None)} == {
        ANNA,
        BOB,
        "ring_1",
    }


async def test_the_ledger_is_applied_again(database: Database, subjects: AlertsSubjects) -> None:
    await raise_some(database)
    entries = [Entry(7, subject_of(KEY, "acme", ANNA), NOON_MS, "er")]
    done = await subjects.reapply(KEY, entries, True)
    assert done["alerts"] >= 1
    assert (await subjects.erasure_state())[:2] == (7, False)
    assert "entity='anna" not in everything(database)


async def test_replicas_may_start_at_the_same_moment(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have looked for the marker before either has written it."""
    first, second = ErasedRows(database), ErasedRows(database)
    identity = first._identity

    def meanwhile(connection: sa.Connection) -> str:
        # The other replica starts between this one's look and its own entry; SQLite has one writer and no such moment.
        if database.dialect == "postgresql":
            second.look()
        return identity(connection)

    monkeypatch.setattr(first, "_identity", meanwhile)
    await asyncio.to_thread(first.look)
    if database.dialect == "sqlite":
        await asyncio.to_thread(second.look)
    assert (first.restored, second.restored) == (False, False)
    assert first.applied_sequence() == 0


async def test_labels_on_their_way_to_ingest_lose_the_person(
    database: Database, subjects: AlertsSubjects
) -> None:
    store = AlertStore(database, parse(DEFAULT_RULES.read_text()))
    ring = {"entity_kind": "ring", "entity": "ring_1"}
    results = await store.raise_messages(
        [message("ev-a1", entity=ANNA), message("ev-a2", **ring), message("ev-b2", **ring)],  # type: ignore[arg-type]
        NOON_MS,
    )
    for alert_id in dict.fromkeys(one.alert_id for one in results):
        await store.act(
            "acme",
            alerts_pb2.ALERT_ACT_RESOLVE,
            alert_ids=[alert_id],
            which=None,
            actor="ann",
            assignee="",
            note="",
            label=True,
            preview=False,
            now_ms=NOON_MS,
        )
    subject = Subject("acme", ANNA, frozenset(("ev-a1", "ev-a2")))
    assert (await subjects.remaining(subject))["outbox"] == 2

    found = await subjects.erase(subject, KEY, None)

    assert found.erased["outbox"] == 2
    assert not any((await subjects.remaining(subject)).values())
    claimed = await store.claim_labels(NOON_MS, 1_000)
    assert claimed is not None
    left = labels_pb2.RecordLabelsRequest.FromString(claimed[2])
    assert [label.subject for label in left.labels] == ["ev-b2"]
    assert await store.claim_labels(NOON_MS, 1_000) is None
    assert b"ev-a" not in claimed[2]
