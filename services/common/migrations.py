"""Brings a service's tables to the version its code expects, on SQLite and PostgreSQL from one history.

A history is a folder ``services/<service>/migrations/versions`` of Alembic revisions (``0001_*.py``, linear).
The environment is shared: a service has no env.py of its own.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from services.common.db import Database, typed_error
from services.common.errors import FailedPrecondition, Internal

VERSION_TABLE = "schema_version"
"""Holds the revision a database is at; in the service's schema on PostgreSQL."""

LOCK_TIMEOUT_S = 300
"""Longest wait for another process that is migrating the same database, and longest single statement."""

_ENVIRONMENT = Path(__file__).parent / "migration_env"
_SERVICES = Path(__file__).parent.parent

# Alembic's `op` is a module global.
_one_at_a_time = threading.Lock()


def migrate(database: Database, service: str, *, history: Path | None = None) -> str:
    """Upgrade the database to the newest revision of the service's history and return that revision.

    Safe when several processes call it at once: one migrates, the others wait up to ``LOCK_TIMEOUT_S``
    seconds and then find nothing to do. All revisions are applied in one transaction: a failure leaves the
    database as it was. ``history`` is the folder of revisions where it is not
    ``services/<service>/migrations/versions``.

    Raises FailedPrecondition: DATABASE_READ_ONLY; DATABASE_NEWER when the database was migrated by a newer
    release; SCHEMA_MISMATCH when a PostgreSQL database was opened for another service's schema;
    DATABASE_SCHEMA_REFUSED when the schema is missing and the role may not create it; DATABASE_INCONSISTENT
    when a foreign key points nowhere afterwards (SQLite). Raises Internal (MIGRATION_HISTORY) when the
    history is empty or has several heads.
    """
    if database.read_only:
        raise FailedPrecondition(
            "DATABASE_READ_ONLY", "a database opened for reading only cannot be migrated"
        )
    if database.dialect == "postgresql" and database.schema != service:
        raise FailedPrecondition(
            "SCHEMA_MISMATCH", f"the database is open for schema {database.schema}, not for {service}"
        )
    versions = history or _SERVICES / service / "migrations" / "versions"
    config = Config()
    config.set_main_option("script_location", _escaped(_ENVIRONMENT))
    config.set_main_option("version_locations", _escaped(versions))
    # One folder, whose path may hold any character but this.
    config.set_main_option("path_separator", "newline")
    script = ScriptDirectory.from_config(config)
    heads = script.get_heads()
    if len(heads) != 1:
        raise Internal(
            "MIGRATION_HISTORY", f"{versions} must have one newest revision, found {sorted(heads)}"
        )
    with _one_at_a_time:
        try:
            with _exclusive(database, service) as connection:
                _refuse_newer(connection, script, database.schema)
                config.attributes["connection"] = connection
                config.attributes["schema"] = database.schema
                config.attributes["version_table"] = VERSION_TABLE
                command.upgrade(config, "head")
        except sa.exc.SQLAlchemyError as error:
            typed = typed_error(error)
            if typed is None:
                raise
            raise typed from error
    return heads[0]


def current_revision(connection: sa.Connection, schema: str = "") -> str | None:
    """Return the revision the database is at, or None before the first migration."""
    return _context(connection, schema).get_current_revision()


def _context(connection: sa.Connection, schema: str) -> MigrationContext:
    return MigrationContext.configure(
        connection, opts={"version_table": VERSION_TABLE, "version_table_schema": schema or None}
    )


def _refuse_newer(connection: sa.Connection, script: ScriptDirectory, schema: str) -> None:
    known = {revision.revision for revision in script.walk_revisions()}
    unknown = sorted(set(_context(connection, schema).get_current_heads()) - known)
    if unknown:
        raise FailedPrecondition(
            "DATABASE_NEWER",
            f"the database is at revision {', '.join(unknown)}, which this release does not know: "
            "start the newer release, or restore a backup made before the upgrade",
            metadata={"revision": ",".join(unknown)},
        )


@contextmanager
def _exclusive(database: Database, service: str) -> Iterator[sa.Connection]:
    """Yield a connection in a transaction that keeps other migrating processes out."""
    exclusive = _exclusive_sqlite if database.dialect == "sqlite" else _exclusive_postgresql
    with exclusive(database, service) as connection:
        yield connection


@contextmanager
def _exclusive_sqlite(database: Database, service: str) -> Iterator[sa.Connection]:
    with database.engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        # Outside a transaction, or SQLite ignores it. Rebuilding a table (ALTER on SQLite) drops the old one,
        # which with foreign keys on would delete the rows that refer to it.
        raw.execute("PRAGMA foreign_keys = OFF")
        raw.execute(f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}")
        try:
            # The engine begins with BEGIN IMMEDIATE: the write lock is the exclusion.
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                if broken:
                    tables = sorted({str(row[0]) for row in broken})
                    raise FailedPrecondition(
                        "DATABASE_INCONSISTENT", f"rows without their parent in {', '.join(tables)}"
                    )
        finally:
            raw.execute(f"PRAGMA busy_timeout = {int(database.settings.busy_timeout_s * 1000)}")
            raw.execute("PRAGMA foreign_keys = ON")


@contextmanager
def _exclusive_postgresql(database: Database, service: str) -> Iterator[sa.Connection]:
    # The lock's number: stable over releases, one per service; advisory locks are per database.
    key = int.from_bytes(hashlib.sha256(f"usher migrate {service}".encode()).digest()[:8], "big", signed=True)
    with database.engine.begin() as connection:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            connection.exec_driver_sql(f"SET LOCAL {setting} = '{LOCK_TIMEOUT_S}s'")
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s::bigint)", (key,))
        exists = connection.exec_driver_sql("SELECT to_regnamespace(%s) IS NOT NULL", (service,)).scalar()
        if not exists:
            may = connection.exec_driver_sql(
                "SELECT has_database_privilege(current_database(), 'CREATE')"
            ).scalar()
            if not may:
                raise FailedPrecondition(
                    "DATABASE_SCHEMA_REFUSED",
                    f"schema {service} is missing and the role may not create it: create it as the owner",
                )
            connection.execute(sa.schema.CreateSchema(service))
        yield connection


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
