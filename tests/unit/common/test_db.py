"""Database on SQLite and PostgreSQL: durability, transactions, threads, typed errors, migrations."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from services.common.db import Database, DatabaseSettings, assert_durable, open_database, typed_error
from services.common.errors import (
    Aborted,
    DeadlineExceeded,
    FailedPrecondition,
    Internal,
    ResourceExhausted,
    Unavailable,
)
from services.common.migrations import current_revision, migrate

Open = Callable[..., Database]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/rows.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    made: list[Database] = []

    def open_it(*, read_only: bool = False, **settings: object) -> Database:
        database = open_database(
            DatabaseSettings(url=url, schema="example", **settings),  # type: ignore[arg-type]
            read_only=read_only,
        )
        made.append(database)
        return database

    yield open_it
    for database in made:
        database.dispose()


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A history of two revisions: an owner table, then a child with a foreign key and a column added to the
    first."""
    folder = tmp_path / "history of 100%"
    folder.mkdir()
    (folder / "0001_owners.py").write_text(
        """
import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade():
    op.create_table(
        "owner",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
    )
"""
    )
    (folder / "0002_pets.py").write_text(
        """
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade():
    op.create_table(
        "pet",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("owner_id", sa.BigInteger, sa.ForeignKey("owner.id", ondelete="CASCADE"), nullable=False),
    )
    with op.batch_alter_table("owner") as batch:
        batch.add_column(sa.Column("label", sa.Text, nullable=False, server_default="none"))
"""
    )
    return folder


def placeholder(database: Database) -> str:
    return "?" if database.dialect == "sqlite" else "%s"


def add_owner(database: Database, number: int) -> None:
    mark = placeholder(database)
    with database.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO owner (id, payload) VALUES ({mark}, {mark})", (number, b"x"))


def owners(database: Database) -> list[int]:
    with database.reading() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT id FROM owner ORDER BY id")]


# -- durability --------------------------------------------------------------------------------------------


def test_live_connections_are_durable(opened: Open) -> None:
    database = opened()

    with database.begin() as connection:
        assert_durable(connection)
        if database.dialect == "sqlite":
            values = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in (
                    "journal_mode",
                    "synchronous",
                    "foreign_keys",
                    "wal_autocheckpoint",
                    "query_only",
                )
            ]
            assert values == ["wal", 2, 1, 0, 0]
        else:
            values = [
                connection.exec_driver_sql(f"SHOW {name}").scalar()
                for name in ("fsync", "synchronous_commit", "search_path", "statement_timeout")
            ]
            assert values == ["on", "on", "example", "30s"]


def test_a_connection_that_lost_its_durability_is_refused(opened: Open) -> None:
    database = opened()
    weaken = "PRAGMA synchronous = NORMAL" if database.dialect == "sqlite" else "SET synchronous_commit = off"

    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute(weaken)
        with pytest.raises(FailedPrecondition, match="synchronous") as caught:
            assert_durable(connection)
        connection.invalidate()

    assert caught.value.reason == "DATABASE_NOT_DURABLE"


def test_a_server_without_fsync_is_refused_unless_allowed() -> None:
    from tests.servers import PostgresServer

    with PostgresServer(fast=True) as server:
        with pytest.raises(FailedPrecondition, match="fsync is off") as caught:
            open_database(DatabaseSettings(url=server.url, schema="example"))
        with open_database(DatabaseSettings(url=server.url, schema="example", unsafe_fsync=True)) as database:
            database.describe()

    assert caught.value.reason == "DATABASE_NOT_DURABLE"


def test_sqlite_files_are_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "rows.db"
    with open_database(DatabaseSettings(url=str(path))) as database, database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (a)")

        modes = {name: stat.S_IMODE(os.stat(f"{path}{name}").st_mode) for name in ("", "-wal", "-shm")}

    assert modes == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


# -- transactions ------------------------------------------------------------------------------------------


def test_commit_rollback_and_snapshot_reads(opened: Open, history: Path) -> None:
    database = opened()
    migrate(database, "example", history=history)

    add_owner(database, 1)

    def fail_half_way() -> None:
        with database.begin() as connection:
            connection.exec_driver_sql("INSERT INTO owner (id, payload) VALUES (2, 'x')")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO owner (id, payload) VALUES (3, 'x')")
        seen_outside = owners(database)

    assert seen_outside == [1]
    assert owners(database) == [1, 3]


def test_integrity_errors_pass_untouched(opened: Open, history: Path) -> None:
    database = opened()
    migrate(database, "example", history=history)
    add_owner(database, 1)

    with pytest.raises(sa.exc.IntegrityError):
        add_owner(database, 1)
    with pytest.raises(sa.exc.IntegrityError), database.begin() as connection:
        connection.exec_driver_sql("INSERT INTO pet (id, owner_id) VALUES (1, 77)")


def test_readers_cannot_write(opened: Open, history: Path) -> None:
    database = opened()
    migrate(database, "example", history=history)

    with pytest.raises(sa.exc.DBAPIError), database.reading() as connection:
        connection.exec_driver_sql("INSERT INTO owner (id, payload) VALUES (1, 'x')")

    assert owners(database) == []


def test_read_only_processes_read_and_refuse_to_write(opened: Open, history: Path) -> None:
    database = opened()
    migrate(database, "example", history=history)
    add_owner(database, 5)
    other = opened(read_only=True)

    assert owners(other) == [5]
    with pytest.raises(FailedPrecondition) as caught, other.begin():
        pass
    assert caught.value.reason == "DATABASE_READ_ONLY"
    with pytest.raises(FailedPrecondition):
        migrate(other, "example", history=history)


def test_multi_row_statements_inside_a_transaction(opened: Open, history: Path) -> None:
    """The driver-level road of the hot path: one statement for many rows."""
    database = opened()
    migrate(database, "example", history=history)
    rows = [(number, bytes([number % 256]) * 900) for number in range(256)]
    mark = placeholder(database)
    values = ", ".join(f"({mark}, {mark})" for _ in rows)
    sql = f"INSERT INTO owner (id, payload) VALUES {values} ON CONFLICT (id) DO NOTHING"

    with database.begin() as connection:
        connection.exec_driver_sql(sql, tuple(value for row in rows for value in row))
        connection.exec_driver_sql(sql, tuple(value for row in rows for value in row))

    with database.reading() as connection:
        found = connection.exec_driver_sql("SELECT id, payload FROM owner ORDER BY id").fetchall()
    assert [tuple(row) for row in found] == rows


def test_copy_inside_a_transaction(postgres_url: str, history: Path) -> None:
    with open_database(DatabaseSettings(url=postgres_url, schema="example")) as database:
        migrate(database, "example", history=history)

        def copy_in(numbers: list[int]) -> None:
            with database.begin() as connection:
                raw = connection.connection.driver_connection
                assert isinstance(raw, psycopg.Connection)
                connection.exec_driver_sql("INSERT INTO owner (id, payload) VALUES (%s, %s)", (0, b"x"))
                with raw.cursor() as cursor, cursor.copy("COPY owner (id, payload) FROM STDIN") as copy:
                    for number in numbers:
                        copy.write_row((number, b"\x00\xff"))
                if 13 in numbers:
                    raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            copy_in([12, 13])
        assert owners(database) == []
        copy_in([10, 11])
        assert owners(database) == [0, 10, 11]


# -- threads -----------------------------------------------------------------------------------------------


async def test_run_uses_one_writer_thread_on_sqlite_and_copies_context(tmp_path: Path) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    variable.set("deadline")

    def where(_: int) -> tuple[str, str]:
        return threading.current_thread().name, variable.get()

    async with open_database(DatabaseSettings(url=f"{tmp_path}/rows.db")) as database:
        found = set(await asyncio.gather(*(database.run(where, n) for n in range(20))))
        read = await database.read(where, 1)

    assert found == {("db-write_0", "deadline")}
    assert read[0].startswith("db-read")


async def test_calls_beyond_max_pending_are_refused(opened: Open) -> None:
    database = opened(max_pending=2, pool_size=1)
    gate = threading.Event()

    waiting = [asyncio.create_task(database.run(gate.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted) as caught:
        await database.run(gate.wait)
    gate.set()

    assert await asyncio.gather(*waiting) == [True, True]
    assert caught.value.reason == "DATABASE_QUEUE_FULL"
    assert caught.value.retry_after is not None
    assert await database.run(gate.wait) is True


async def _accepted(database: Database) -> int:
    """Returns when the database accepts a call again; the place is given back shortly after the call's
    end."""
    for _ in range(1000):
        try:
            return await database.run(int)
        except ResourceExhausted:
            await asyncio.sleep(0.005)
    pytest.fail("the place was not given back")


async def test_a_cancelled_caller_frees_its_place_when_its_call_ends(opened: Open) -> None:
    database = opened(max_pending=1, pool_size=1)
    gate, ended = threading.Event(), threading.Event()

    def work() -> None:
        gate.wait()
        ended.set()

    task = asyncio.create_task(database.run(work))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ResourceExhausted):
        await database.run(gate.wait)
    gate.set()
    await asyncio.to_thread(ended.wait)
    assert await _accepted(database) == 0


async def test_ping_answers_and_has_a_deadline(opened: Open) -> None:
    database = opened(reader_pool_size=1, pool_timeout_s=10.0)
    await database.ping(10)

    with database.reading(), pytest.raises(DeadlineExceeded) as caught:
        await database.ping(0.05)

    assert caught.value.reason == "DATABASE_SLOW"


async def test_ping_says_when_the_server_is_gone() -> None:
    from tests.servers import PostgresServer

    with PostgresServer() as server:
        async with open_database(DatabaseSettings(url=server.url, schema="example")) as database:
            await database.ping(10)
            server.kill()
            with pytest.raises(Unavailable) as caught:
                await database.ping(10)
            server.start()
            await database.ping(10)

    assert caught.value.reason == "DATABASE_UNREACHABLE"


# -- SQLite's write-ahead log ------------------------------------------------------------------------------


def fill(database: Database, mib: int) -> None:
    with database.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (a BLOB)")
        for _ in range(mib):
            connection.exec_driver_sql("INSERT INTO t VALUES (zeroblob(1048576))")


def test_checkpoint_at_the_threshold_only(tmp_path: Path) -> None:
    wal = tmp_path / "rows.db-wal"
    with open_database(DatabaseSettings(url=f"{tmp_path}/rows.db", checkpoint_mib=2)) as database:
        fill(database, 1)
        early = database.checkpoint()
        fill(database, 2)
        due = database.checkpoint()

        assert early is None
        assert due is not None
        assert due.complete
        assert due.wal_bytes > 3 << 20
        assert wal.stat().st_size == 0


def test_a_reader_delays_truncation_and_nothing_waits(tmp_path: Path) -> None:
    wal = tmp_path / "rows.db-wal"
    with open_database(DatabaseSettings(url=f"{tmp_path}/rows.db", checkpoint_mib=1)) as database:
        fill(database, 1)
        with database.reading() as reader:
            assert reader.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1
            fill(database, 1)
            held = database.checkpoint()
            again = database.checkpoint()
            assert reader.exec_driver_sql("SELECT count(*) FROM t").scalar() == 1
        fill(database, 1)
        freed = database.checkpoint()

        assert held is not None
        assert not held.complete
        assert again is None
        assert freed is not None
        assert freed.complete
        assert wal.stat().st_size == 0


def test_a_writer_that_never_calls_checkpoint_is_bounded(tmp_path: Path) -> None:
    with open_database(DatabaseSettings(url=f"{tmp_path}/rows.db", checkpoint_mib=1)) as database:
        for _ in range(12):
            fill(database, 1)

        assert (tmp_path / "rows.db-wal").stat().st_size < 5 << 20


# -- typed errors ------------------------------------------------------------------------------------------


def test_a_locked_sqlite_is_unavailable(tmp_path: Path) -> None:
    with open_database(DatabaseSettings(url=f"{tmp_path}/rows.db", busy_timeout_s=0.05)) as database:
        other = sqlite3.connect(tmp_path / "rows.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught, database.begin():
            pass
        other.execute("ROLLBACK")
        other.close()

    assert caught.value.reason == "DATABASE_BUSY"
    assert caught.value.retry_after is not None


def test_no_free_connection_is_unavailable(opened: Open) -> None:
    database = opened(pool_size=1, pool_timeout_s=0.05)

    with database.begin(), pytest.raises(Unavailable) as caught, database.begin():
        pass

    assert caught.value.reason == "DATABASE_BUSY"


def test_deadlocks_and_serialization_failures_are_aborted(postgres_url: str, history: Path) -> None:
    with open_database(DatabaseSettings(url=postgres_url, schema="example")) as database:
        migrate(database, "example", history=history)
        add_owner(database, 1)

        def overtaken() -> None:
            with database.begin() as first:
                first.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                first.exec_driver_sql("SELECT * FROM owner").fetchall()
                with database.begin() as second:
                    second.exec_driver_sql("UPDATE owner SET label = 'second'")
                first.exec_driver_sql("UPDATE owner SET label = 'first'")

        with pytest.raises(Aborted) as caught:
            overtaken()

    assert caught.value.reason == "TRANSACTION_CONFLICT"


def test_a_slow_statement_is_cancelled(postgres_url: str) -> None:
    settings = DatabaseSettings(url=postgres_url, schema="example", statement_timeout_s=1.0)
    with (
        open_database(settings) as database,
        pytest.raises(DeadlineExceeded) as caught,
        database.begin() as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(20)")

    assert caught.value.reason == "DATABASE_SLOW"


def test_an_absent_server_is_unavailable_and_its_password_stays_hidden() -> None:
    settings = DatabaseSettings(url="postgresql://usher:hunter2@127.0.0.1:1/usher", schema="example")

    with pytest.raises(Unavailable) as caught:
        open_database(settings)

    assert caught.value.reason == "DATABASE_UNREACHABLE"
    assert "hunter2" not in str(caught.value) + repr(settings)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (sqlite3.SQLITE_BUSY, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Aborted),
        (sqlite3.SQLITE_LOCKED, Unavailable),
        (sqlite3.SQLITE_FULL, Unavailable),
        (sqlite3.SQLITE_IOERR_WRITE, Unavailable),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, None),
        (sqlite3.SQLITE_ERROR, None),
    ],
)
def test_sqlite_result_codes(code: int, kind: type | None) -> None:
    origin = sqlite3.OperationalError("text")
    origin.sqlite_errorcode = code

    found = typed_error(sa.exc.OperationalError("SELECT 1", None, origin))

    assert (None if found is None else type(found)) is kind


# -- settings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "exactly one of url and url_file"),
        ({"url": "/a", "url_file": Path("/b")}, "exactly one of url and url_file"),
        ({"url": "/a", "schema": "Bad-Name"}, "lower-case"),
        ({"url": "/a", "pool_size": 0}, "pool_size"),
        ({"url": "/a", "checkpoint_mib": 0}, "checkpoint_mib"),
        ({"url": "/a", "busy_timeout_s": float("nan")}, "busy_timeout_s"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        DatabaseSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://127.0.0.1/usher", "DATABASE_UNSUPPORTED"),
        ("sqlite://", "DATABASE_URL_INVALID"),
        ("sqlite:///:memory:", "DATABASE_URL_INVALID"),
        ("/no/such/folder/rows.db", "DATABASE_FOLDER_MISSING"),
        ("postgresql://127.0.0.1/usher", "DATABASE_SCHEMA_MISSING"),
        ("postgresql://127.0.0.1:port/usher", "DATABASE_URL_INVALID"),
    ],
)
def test_unusable_urls_are_refused(url: str, reason: str) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        open_database(DatabaseSettings(url=url))

    assert caught.value.reason == reason


def test_the_url_may_lie_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text(f"sqlite:///{tmp_path}/a b?.db\n".replace("?", ""))

    with open_database(DatabaseSettings(url_file=secret)) as database:
        assert database.path == tmp_path / "a b.db"

    with pytest.raises(FailedPrecondition) as caught:
        open_database(DatabaseSettings(url_file=tmp_path / "absent"))
    assert caught.value.reason == "DATABASE_URL_UNREADABLE"


def test_read_only_does_not_create_a_file(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        open_database(DatabaseSettings(url=f"{tmp_path}/rows.db"), read_only=True)

    assert caught.value.reason == "DATABASE_MISSING"
    assert not (tmp_path / "rows.db").exists()


# -- migrations --------------------------------------------------------------------------------------------


def test_migrate_keeps_rows_and_foreign_keys(opened: Open, history: Path, tmp_path: Path) -> None:
    first_only = tmp_path / "first"
    first_only.mkdir()
    (first_only / "0001_owners.py").write_bytes((history / "0001_owners.py").read_bytes())
    database = opened()

    assert migrate(database, "example", history=first_only) == "0001"
    add_owner(database, 7)
    assert migrate(database, "example", history=history) == "0002"
    assert migrate(database, "example", history=history) == "0002"

    with database.begin() as connection:
        assert current_revision(connection, database.schema) == "0002"
        row = connection.exec_driver_sql("SELECT id, label FROM owner").one()
        assert tuple(row) == (7, "none")
        connection.exec_driver_sql("INSERT INTO pet (id, owner_id) VALUES (1, 7)")
        connection.exec_driver_sql("DELETE FROM owner")
        assert connection.exec_driver_sql("SELECT count(*) FROM pet").scalar() == 0


def test_tables_lie_in_the_services_schema(postgres_url: str, history: Path) -> None:
    with open_database(DatabaseSettings(url=postgres_url), schema="example") as database:
        migrate(database, "example", history=history)
        with database.reading() as connection:
            found = connection.exec_driver_sql(
                "SELECT schemaname, tablename FROM pg_tables"
                " WHERE tablename IN ('owner', 'pet', 'schema_version') ORDER BY 2"
            ).fetchall()
        with pytest.raises(FailedPrecondition) as caught:
            migrate(database, "other", history=history)

    assert [tuple(row) for row in found] == [
        ("example", "owner"),
        ("example", "pet"),
        ("example", "schema_version"),
    ]
    assert caught.value.reason == "SCHEMA_MISMATCH"


def test_a_newer_database_is_refused(opened: Open, history: Path) -> None:
    database = opened()
    migrate(database, "example", history=history)
    (history / "0002_pets.py").unlink()

    with pytest.raises(FailedPrecondition, match="newer release") as caught:
        migrate(database, "example", history=history)

    assert caught.value.reason == "DATABASE_NEWER"
    assert caught.value.metadata["revision"] == "0002"


def test_a_failed_migration_leaves_nothing(opened: Open, history: Path) -> None:
    (history / "0003_wrong.py").write_text(
        """
import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade():
    op.create_table("half", sa.Column("id", sa.Integer, primary_key=True))
    op.execute("SELECT * FROM no_such_table")
"""
    )
    database = opened()

    with pytest.raises(sa.exc.DBAPIError):
        migrate(database, "example", history=history)

    with database.begin() as connection:
        assert current_revision(connection, database.schema) is None
        assert sa.inspect(connection).get_table_names(schema=database.schema or None) == []
    (history / "0003_wrong.py").unlink()
    assert migrate(database, "example", history=history) == "0002"


def test_a_history_with_two_heads_is_refused(opened: Open, history: Path) -> None:
    (history / "0002b.py").write_text('revision = "0002b"\ndown_revision = "0001"\n')

    with pytest.raises(Internal) as caught:
        migrate(opened(), "example", history=history)

    assert caught.value.reason == "MIGRATION_HISTORY"


def test_processes_that_migrate_at_once_agree(url: str, opened: Open, history: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from services.common.db import DatabaseSettings, open_database\n"
        "from services.common.migrations import migrate\n"
        "settings = DatabaseSettings(url=sys.argv[1], schema='example')\n"
        "with open_database(settings) as database:\n"
        "    print(migrate(database, 'example', history=Path(sys.argv[2])))\n"
    )
    command = [sys.executable, "-c", program, url, str(history)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)
    ]
    results = [(*process.communicate(timeout=100), process.returncode) for process in processes]

    assert [(out.strip(), code) for out, _, code in results] == [("0002", 0)] * 3, results
    assert owners(opened()) == []


def test_a_committed_row_survives_sigkill(url: str, opened: Open, history: Path) -> None:
    migrate(opened(), "example", history=history)
    insert = f"INSERT INTO owner (id, payload) VALUES ({'?' if url.startswith('sqlite') else '%s'}, 'x')"
    program = (
        "import sys\n"
        "from services.common.db import DatabaseSettings, open_database\n"
        "database = open_database(DatabaseSettings(url=sys.argv[1], schema='example'))\n"
        "for number in range(100000):\n"
        "    with database.begin() as connection:\n"
        "        connection.exec_driver_sql(sys.argv[2], (number,))\n"
        "    print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, url, insert], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = [int(process.stdout.readline()) for _ in range(50)]
    process.kill()
    acknowledged += [int(line) for line in process.stdout.read().split()]
    process.wait()

    found = owners(opened())
    assert set(acknowledged) <= set(found)
    assert len(found) - len(acknowledged) in (0, 1)
