"""The control group's hourly cap, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.ingest.control import Cap
from services.ingest.store_control import HOUR_MS, KEPT_HOURS, ControlStore

HOUR = 495_000


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/ingest.db" if sqlite else str(request.getfixturevalue("postgres_url"))
    with open_database(DatabaseSettings(url=url), schema="ingest") as opened:
        migrate(opened, "ingest")
        yield opened


def test_an_hour_has_so_many_places_by_tenant(database: Database) -> None:
    store = ControlStore(database)
    assert store.take("acme", 2, 5, HOUR) == 2
    assert store.take("acme", 9, 5, HOUR) == 3, "what is left"
    assert store.take("acme", 1, 5, HOUR) == 0
    assert store.take("acme", 1, 6, HOUR) == 1, "the cap was raised"
    assert store.take("acme", 1, 3, HOUR) == 0, "the cap was lowered below what is taken"
    assert store.take("beta", 1, 5, HOUR) == 1
    assert store.take("acme", 1, 5, HOUR + 1) == 1
    assert store.take("acme", 1, 0, HOUR + 2) == 0
    assert store.hours("acme", 0) == [(HOUR + 1, 1), (HOUR, 6)], "an hour without any is not told"
    assert store.hours("acme", HOUR + 1) == [(HOUR + 1, 1)]


def test_hours_of_long_ago_go(database: Database) -> None:
    store = ControlStore(database)
    for tenant in ("acme", "beta"):
        store.take(tenant, 1, 5, HOUR)
    store.take("acme", 1, 5, HOUR + KEPT_HOURS)
    assert len(store.hours("acme", 0)) == 2
    store.take("acme", 1, 5, HOUR + KEPT_HOURS + 1)
    assert [hour for hour, _ in store.hours("acme", 0)] == [HOUR + KEPT_HOURS + 1, HOUR + KEPT_HOURS]
    assert len(store.hours("beta", 0)) == 1


def test_no_place_is_given_twice(database: Database) -> None:
    store = ControlStore(database)
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda number: store.take("acme", 1 + number % 3, 20, HOUR), range(40)))
    assert sum(granted) == 20
    assert store.hours("acme", 0) == [(HOUR, 20)]


async def test_who_knows_the_hour_to_be_full_does_not_ask(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ControlStore(database)
    asked: list[int] = []
    real = ControlStore.take

    def take(self: ControlStore, tenant: str, wanted: int, most: int, hour: int) -> int:
        asked.append(hour)
        return real(self, tenant, wanted, most, hour)

    monkeypatch.setattr(ControlStore, "take", take)
    one, other = Cap(store), Cap(store)
    now = HOUR * HOUR_MS
    assert await one.take("acme", 0, 3, now) == 0
    assert asked == []
    assert await one.take("acme", 2, 3, now) == 2
    assert await other.take("acme", 2, 3, now) == 1
    assert await other.take("acme", 1, 3, now) == 0
    assert len(asked) == 2
    assert await one.take("acme", 1, 3, now) == 0, "another process took the last"
    assert await other.take("acme", 1, 4, now) == 1, "the cap was raised"
    assert await other.take("acme", 1, 4, now + HOUR_MS) == 1
    assert len(asked) == 5
