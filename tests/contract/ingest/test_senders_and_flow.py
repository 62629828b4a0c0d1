"""What the stores of keys, sources and subscribers do, on SQLite and on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.common.db import Database, DatabaseSettings, open_database
from services.common.errors import FailedPrecondition, NotFound
from services.common.migrations import migrate
from services.ingest import tables
from services.ingest.keys import KeyRow
from services.ingest.records import POSITION_SHIFT, Commit, InboxRow
from services.ingest.store_flow import FlowStore
from services.ingest.store_keys import KeyStore
from services.ingest.stores import open_store

NOW = 1_795_000_000_000


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path}/ingest.db" if sqlite else str(request.getfixturevalue("postgres_url"))
    with open_database(DatabaseSettings(url=url), schema="ingest") as opened:
        migrate(opened, "ingest")
        yield opened


def row(key_id: str, **fields: object) -> KeyRow:
    one = KeyRow(key_id, b"\x00\xff" * 16, "acme", "n", 2, 5, NOW, "me", 0, 0, 0, "")
    return one._replace(**fields)  # type: ignore[arg-type]


def test_keys_are_kept_listed_and_found(database: Database) -> None:
    store = KeyStore(database)
    store.add(row("a"))
    store.add(row("b", created_ms=NOW + 1))
    store.add(row("c", tenant="beta"))
    assert store.find("a") == row("a")
    assert store.find("zz") is None
    assert [one.key_id for one in store.list("acme")] == ["b", "a"]
    assert {one.key_id for one in store.list(None)} == {"a", "b", "c"}


def test_rotation_ends_the_old_key_after_the_overlap_and_hands_on_its_lifetime(database: Database) -> None:
    store = KeyStore(database)
    store.add(row("old", expires_ms=NOW + 1_000))
    new, old = store.rotate("old", "new", b"d" * 32, NOW + 5_000, "you", NOW + 100)
    assert old.expires_ms == NOW + 1_000
    assert (new.tenant, new.rights, new.requests_per_minute) == ("acme", 2, 5)
    assert (new.expires_ms, new.rotated_from, new.actor) == (NOW + 1_100, "old", "you")
    _, old = store.rotate("new", "newer", b"e" * 32, NOW + 200, "you", NOW + 150)
    assert old.expires_ms == NOW + 200
    assert store.find("new") == old
    with pytest.raises(FailedPrecondition):
        store.rotate("new", "x", b"f" * 32, NOW + 900, "you", NOW + 300)
    with pytest.raises(NotFound):
        store.rotate("none", "x", b"f" * 32, NOW, "you", NOW)


def test_revoking_twice_keeps_the_first_time(database: Database) -> None:
    store = KeyStore(database)
    store.add(row("a"))
    assert store.revoke("a", NOW + 5).revoked_ms == NOW + 5
    assert store.revoke("a", NOW + 9).revoked_ms == NOW + 5
    with pytest.raises(NotFound):
        store.revoke("none", NOW)


def test_last_use_never_goes_back(database: Database) -> None:
    store = KeyStore(database)
    store.add(row("a"))
    store.note_used({"a": NOW + 60, "gone": NOW})
    store.note_used({"a": NOW + 30})
    found = store.find("a")
    assert found is not None
    assert found.last_used_ms == NOW + 60


def test_the_last_report_of_a_source_is_kept(database: Database) -> None:
    store = FlowStore(database)
    store.put_report("acme", "kafka", "h1", NOW, b"1")
    store.put_report("acme", "kafka", "h1", NOW + 5, b"2")
    store.put_report("acme", "kafka", "h2", NOW + 6, b"3")
    store.put_report("beta", "file", "h1", NOW - 100, b"4")
    assert store.reports("acme", 0) == [b"2", b"3"]
    assert store.reports(None, NOW) == [b"2", b"3"]
    store.forget_reports(NOW)
    assert store.reports(None, 0) == [b"2", b"3"]


def test_a_subscriber_never_goes_back_and_its_lag_is_counted(database: Database) -> None:
    store = FlowStore(database)
    base = NOW << POSITION_SHIFT
    with database.begin() as connection:
        for position, tenant in ((base, "acme"), (base + 1, "acme"), (base + 2, "beta"), (base + 3, "acme")):
            connection.execute(
                sa.insert(tables.decisions).values(
                    position=position,
                    tenant=tenant,
                    user_key=b"u",
                    previous=0,
                    event_ms=NOW,
                    event_class=0,
                    outcome=1,
                    flags=0,
                )
            )
    assert store.position_of("acme", "sink") is None
    assert store.ack("acme", "sink", base, NOW) == base
    assert store.ack("acme", "sink", base - 7, NOW + 1) == base
    assert store.position_of("acme", "sink") == base
    [one] = store.subscribers("acme")
    assert (one.lag, one.oldest_ms, one.acked_ms) == (2, NOW, NOW + 1)
    store.ack("acme", "sink", base + 3, NOW + 2)
    [one] = store.subscribers(None)
    assert (one.lag, one.oldest_ms) == (0, 0)


def test_pending_is_counted_and_a_long_inbox_is_shared(database: Database) -> None:
    store = open_store(database)
    rows = [InboxRow(f"f{n}".encode(), b"p", 0, "flood", NOW + n, 0, "", b"e") for n in range(30)]
    store.accept(rows, Commit())
    store.accept([InboxRow(b"s0", b"p", 1, "small", NOW + 99, 0, "", b"e")], Commit())
    assert store.pending() == {"flood": (30, NOW), "small": (1, NOW + 99)}
    taken = store.inbox_rows([0, 1], 10)
    assert [one.key for one in taken if one.tenant == "flood"][:3] == [b"f0", b"f1", b"f2"]
    if database.dialect == "postgresql":
        assert [one.tenant for one in taken].count("small") == 1
