"""Database access on SQLite and PostgreSQL through SQLAlchemy Core.

One :class:`Database` per process and store. On SQLite there is one writer connection (one writer thread) and
a few reader connections; on PostgreSQL two bounded pools. Durability is read back from every live connection,
never assumed: an acknowledged commit must survive a crash of the machine.

Sources: https://www.sqlite.org/pragma.html, https://www.sqlite.org/wal.html,
https://www.postgresql.org/docs/current/runtime-config-wal.html, SQLAlchemy's "Enabling Non-Legacy SQLite
Transactional Modes with the sqlite3 driver" (BEGIN belongs to us, not to the driver).
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, TypeVarTuple
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.pool import QueuePool

from services.common.errors import (
    Aborted,
    DeadlineExceeded,
    FailedPrecondition,
    ResourceExhausted,
    Unavailable,
    UsherError,
)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_MIB = 1 << 20
_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

# Where nobody calls checkpoint(), begin() does it itself at this multiple of the threshold, so that the WAL
# of a store that writes rarely is bounded as well.
_FORGOTTEN_CHECKPOINT_FACTOR = 4


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """Where a service keeps its rows and how much it may use.

    ``url`` is ``sqlite:////absolute/path``, a plain path (SQLite), or ``postgresql://user@host/database``;
    ``url_file`` names a file that holds it instead, so that a password stays out of the environment. Exactly
    one of the two.
    """

    url: str = field(default="", repr=False)
    url_file: Path | None = None
    schema: str = ""
    """PostgreSQL schema of the service; not used on SQLite, which has a file per service."""
    pool_size: int = 4
    """PostgreSQL connections for transactions (SQLite always has one writer), 1 to 100."""
    reader_pool_size: int = 2
    """Connections and threads for reads, 1 to 100."""
    pool_timeout_s: float = 5.0
    """Longest wait for a free connection."""
    connect_timeout_s: int = 5
    statement_timeout_s: float = 30.0
    """Longest single statement on PostgreSQL."""
    max_pending: int = 1024
    """Calls of run() and of read() that may wait or be under way, each; beyond it RESOURCE_EXHAUSTED."""
    busy_timeout_s: float = 5.0
    """Longest wait for SQLite's write lock (another process: a migration, a backup)."""
    cache_mib: int = 64
    """SQLite page cache of each connection."""
    mmap_mib: int = 0
    """SQLite memory-mapped I/O; 0 is off: an I/O error then is an error and not a SIGBUS."""
    checkpoint_mib: int = 32
    """Size of SQLite's write-ahead log from which checkpoint() moves it into the database file."""
    unsafe_fsync: bool = False
    """Accept a PostgreSQL server with fsync=off, in tests; synchronous_commit is asserted all the same."""

    def __post_init__(self) -> None:
        problems: list[str] = []
        if bool(self.url) == (self.url_file is not None):
            problems.append("set exactly one of url and url_file")
        if self.schema and not _SCHEMA_NAME.fullmatch(self.schema):
            problems.append(f"schema {self.schema!r} is not a lower-case SQL name")
        for name in ("pool_size", "reader_pool_size"):
            if not 1 <= getattr(self, name) <= 100:
                problems.append(f"{name} must be from 1 to 100")
        for name in (
            "pool_timeout_s",
            "connect_timeout_s",
            "statement_timeout_s",
            "max_pending",
            "busy_timeout_s",
            "cache_mib",
            "checkpoint_mib",
        ):
            if not getattr(self, name) > 0:
                problems.append(f"{name} must be above 0")
        if self.mmap_mib < 0:
            problems.append("mmap_mib must not be negative")
        if problems:
            raise ValueError("; ".join(problems))

    def parsed_url(self) -> sa.URL:
        """Return the database's address; raises FailedPrecondition where it is unreadable or unsupported."""
        text = self.url
        if self.url_file is not None:
            try:
                text = self.url_file.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise FailedPrecondition(
                    "DATABASE_URL_UNREADABLE",
                    f"cannot read the database URL from {self.url_file}: {error.strerror}",
                ) from error
        if "://" not in text:
            return sa.URL.create("sqlite", database=text)
        try:
            url = sa.make_url(text)
        except (exc.ArgumentError, ValueError):
            # The text may hold a password: neither shown nor chained.
            raise FailedPrecondition("DATABASE_URL_INVALID", "the database URL cannot be parsed") from None
        if url.get_backend_name() not in ("sqlite", "postgresql"):
            raise FailedPrecondition(
                "DATABASE_UNSUPPORTED", f"{url.get_backend_name()} is not supported; use sqlite or postgresql"
            )
        return url


class Checkpoint(NamedTuple):
    """What one checkpoint did."""

    wal_bytes: int
    """Size of the write-ahead log before it."""
    complete: bool
    """True when the whole log was moved and truncated; false when a reader still needed a part of it."""


class Database:
    """A service's rows: one engine for transactions, one for reads, and the threads they run in.

    Made by :func:`open_database`. ``begin()`` and ``reading()`` block and belong in functions handed to
    ``run()`` and ``read()``; on the event loop only those two and ``ping()`` are called.
    """

    def __init__(
        self,
        settings: DatabaseSettings,
        *,
        dialect: str,
        schema: str,
        engine: sa.Engine,
        reader_engine: sa.Engine,
        path: Path | None,
        read_only: bool,
    ) -> None:
        self.settings = settings
        self.dialect = dialect
        """``sqlite`` or ``postgresql``."""
        self.schema = schema
        """PostgreSQL schema; empty on SQLite."""
        self.engine = engine
        self.reader_engine = reader_engine
        self.path = path
        """SQLite's file; None on PostgreSQL."""
        self.read_only = read_only
        writers = 1 if dialect == "sqlite" else settings.pool_size
        self._readers = _Workers("db-read", settings.reader_pool_size, settings.max_pending)
        self._writers = self._readers if read_only else _Workers("db-write", writers, settings.max_pending)
        # A thread of its own: a full queue of work must not look like a dead database.
        self._pinger = _Workers("db-ping", 1, 8)
        self._wal_path = "" if path is None else f"{path}-wal"
        self._checkpoint_at = settings.checkpoint_mib * _MIB
        self._scanner: int | None = None

    # -- transactions ------------------------------------------------------------------------------

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Run a transaction: commits at the end of the block, rolls back when it raises.

        On SQLite the write lock is taken at once (BEGIN IMMEDIATE), so a transaction that began is not turned
        away half-way. Raises Unavailable, Aborted or DeadlineExceeded for what a later try may cure (see
        :func:`typed_error`), other ``sqlalchemy.exc`` errors (IntegrityError among them) untouched.
        """
        if self.read_only:
            raise FailedPrecondition(
                "DATABASE_READ_ONLY", "this process opened the database for reading only"
            )
        with _typed_errors(), self.engine.begin() as connection:
            yield connection
        if self.path is not None and self._wal_bytes() >= _FORGOTTEN_CHECKPOINT_FACTOR * self._checkpoint_at:
            self.checkpoint()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Run a read-only transaction on a reader connection: one snapshot on SQLite, nothing can be written.

        Keep it short on SQLite: the write-ahead log cannot be truncated while a snapshot is open.
        """
        with _typed_errors(), self.reader_engine.begin() as connection:
            yield connection

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call ``fn(*args)`` in the writer's thread (PostgreSQL: one of ``pool_size``) and return its result.

        Context variables are copied. A caller that is cancelled no longer waits, but a call under way goes on
        to its end. Raises ResourceExhausted (DATABASE_QUEUE_FULL) beyond ``max_pending``, and what ``fn``
        raises.
        """
        return await self._writers.run(fn, *args)

    async def read(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        """Call ``fn(*args)`` in a reader thread; the same as :meth:`run` otherwise."""
        return await self._readers.run(fn, *args)

    async def ping(self, timeout: float = 1.0) -> None:
        """Return when the database answered a query within ``timeout`` seconds.

        Raises DeadlineExceeded (DATABASE_SLOW) or Unavailable.
        """
        try:
            # Not wait_for: before Python 3.12 it loses a cancellation that arrives with the answer.
            async with asyncio.timeout(timeout):
                await self._pinger.run(self._ping)
        except TimeoutError:
            raise DeadlineExceeded(
                "DATABASE_SLOW", f"the database did not answer within {timeout:g} s"
            ) from None

    def _ping(self) -> None:
        with self.reading() as connection:
            # A constant would not touch SQLite's file.
            connection.exec_driver_sql(
                "PRAGMA schema_version" if self.dialect == "sqlite" else "SELECT 1"
            ).scalar()

    # -- SQLite's write-ahead log ------------------------------------------------------------------

    def checkpoint(self, *, force: bool = False) -> Checkpoint | None:
        """Move SQLite's write-ahead log into the database from ``checkpoint_mib`` on, or with ``force``.

        Called by the writer between transactions, after it has answered, on the writer's own connection:
        SQLite before 3.51.3 can corrupt a database when a second connection checkpoints during a write (the
        "WAL-reset bug", https://www.sqlite.org/wal.html). Waits for no reader; a log still in use is
        truncated at a later call. Returns None when nothing was due, and always on PostgreSQL, which does
        this itself.
        """
        if self.path is None or self.read_only:
            return None
        size = self._wal_bytes()
        if not force and size < self._checkpoint_at:
            return None
        with _typed_errors():
            pooled = self.engine.raw_connection()
            try:
                raw = pooled.driver_connection
                assert isinstance(raw, sqlite3.Connection)
                raw.execute("PRAGMA busy_timeout = 0")
                try:
                    busy, _, _ = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                finally:
                    raw.execute(f"PRAGMA busy_timeout = {int(self.settings.busy_timeout_s * 1000)}")
            finally:
                pooled.close()
        threshold = self.settings.checkpoint_mib * _MIB
        # A reader in the way: try again after as much again, not after every transaction.
        self._checkpoint_at = size + threshold if busy else threshold
        return Checkpoint(size, not busy)

    # -- erasure -----------------------------------------------------------------------------------

    def scrub(self, residues: Sequence[bytes], tables: Sequence[str], *, rebuild: bool = False) -> None:
        """Remove from the files what deleted rows left behind; call it in the writer's thread after deleting.

        SQLite: the log is moved into the database and truncated. Deleted rows are overwritten as they go
        (secure_delete), but rows that moved when a page was split or merged may have left copies: where one of
        ``residues`` (byte strings that no row should hold any more) is found in the file, the file is rebuilt;
        with ``rebuild`` in any case.
        PostgreSQL: the tables are vacuumed. Raises Unavailable (DATABASE_BUSY) where readers kept the log in
        use; nothing is lost, and a later call does it.
        """
        if self.path is None:
            with _typed_errors(), self.engine.connect() as connection:
                autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
                for table in tables:
                    autocommit.exec_driver_sql(f"VACUUM {table}")
            return
        self._checkpoint_fully()
        if rebuild or self._holds(residues):
            with _typed_errors():
                pooled = self.engine.raw_connection()
                try:
                    raw = pooled.driver_connection
                    assert isinstance(raw, sqlite3.Connection)
                    # The copy goes through a file: a database need not fit into memory.
                    raw.execute("PRAGMA temp_store = FILE")
                    try:
                        raw.execute("VACUUM")
                    finally:
                        raw.execute("PRAGMA temp_store = MEMORY")
                finally:
                    pooled.close()
            self._checkpoint_fully()

    def _holds(self, residues: Sequence[bytes]) -> bool:
        """Whether the database's file holds one of some byte strings."""
        wanted = [residue for residue in residues if residue]
        if not wanted:
            return False
        if self._scanner is None:
            # Kept open: closing it would drop the POSIX locks that SQLite holds on the file in this process
            # (https://www.sqlite.org/howtocorrupt.html, 2.2). So no mmap either, which opens and closes a copy.
            self._scanner = os.open(str(self.path), os.O_RDONLY | os.O_CLOEXEC)
        overlap = max(map(len, wanted)) - 1
        position, before = 0, b""
        while piece := os.pread(self._scanner, _MIB, position):
            content = before + piece
            if any(residue in content for residue in wanted):
                return True
            position += len(piece)
            before = content[len(content) - overlap :] if overlap else b""
        return False

    def _checkpoint_fully(self) -> None:
        until = time.monotonic() + self.settings.busy_timeout_s
        while True:
            done = self.checkpoint(force=True)
            if done is None or done.complete:
                return
            if time.monotonic() > until:
                raise Unavailable(
                    "DATABASE_BUSY", "readers keep the write-ahead log in use; try again", retry_after=0.5
                )
            time.sleep(0.02)

    def _wal_bytes(self) -> int:
        # stat only: opening and closing the file here would drop SQLite's POSIX locks on it.
        try:
            return os.stat(self._wal_path).st_size
        except FileNotFoundError:
            return 0

    # -- life --------------------------------------------------------------------------------------

    def describe(self) -> dict[str, str]:
        """Return what the database is, for a line at start: engine, version, journal, who checkpoints."""
        with self.reading() as connection:
            if self.dialect == "sqlite":
                return {
                    "engine": "SQLite",
                    "version": sqlite3.sqlite_version,
                    "journal": "WAL, synchronous=FULL",
                    "checkpoints": "on the writer's connection between transactions",
                }
            version = str(connection.exec_driver_sql("SHOW server_version").scalar())
            return {"engine": "PostgreSQL", "version": version, "journal": "synchronous_commit=on"}

    def dispose(self) -> None:
        """Let calls under way finish, then close threads and connections. May be called twice."""
        for workers in (self._writers, self._readers, self._pinger):
            workers.close()
        self.reader_engine.dispose()
        # Last: closing SQLite's last connection moves the rest of the log into the database.
        self.engine.dispose()
        if self._scanner is not None:
            os.close(self._scanner)
            self._scanner = None

    async def aclose(self) -> None:
        """:meth:`dispose` without blocking the event loop."""
        await asyncio.to_thread(self.dispose)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.dispose()

    async def __aenter__(self) -> Database:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def open_database(
    settings: DatabaseSettings,
    *,
    schema: str | None = None,
    read_only: bool = False,
    application: str = "usher",
) -> Database:
    """Open the database and check on a live connection that a commit is durable.

    ``schema`` (the service's name) wins over ``settings.schema`` and is needed on PostgreSQL. With
    ``read_only`` the database must exist, ``begin()`` refuses, and ``run()`` uses reader threads. A new
    SQLite file is made with mode 0600; its folder must exist. Raises FailedPrecondition (what must be changed
    by hand) or Unavailable.
    """
    url = settings.parsed_url()
    name = settings.schema if schema is None else schema
    database = (
        _open_sqlite(settings, url, read_only)
        if url.get_backend_name() == "sqlite"
        else _open_postgresql(settings, url, name, read_only, application)
    )
    try:
        with _typed_errors(), database.engine.connect() as connection:
            if not read_only:
                assert_durable(connection, unsafe_fsync=settings.unsafe_fsync)
    except BaseException:
        database.dispose()
        raise
    return database


def assert_durable(connection: sa.Connection, *, unsafe_fsync: bool = False) -> None:
    """Raise FailedPrecondition (DATABASE_NOT_DURABLE) unless a commit here survives a power loss.

    SQLite: journal_mode=wal and synchronous=FULL (2) or EXTRA (3). PostgreSQL: synchronous_commit=on and
    fsync=on; the latter is not required with ``unsafe_fsync``.
    """
    raw = connection.connection.driver_connection
    _assert_durable_raw(connection.dialect.name, raw, unsafe_fsync)


def typed_error(error: exc.SQLAlchemyError) -> UsherError | None:
    """Return the typed error for a failure that a later try may cure, or None.

    ============================================  ==========================================
    SQLite BUSY_SNAPSHOT; PostgreSQL 40001,       Aborted (TRANSACTION_CONFLICT)
    40P01, 55P03
    SQLite BUSY or LOCKED; no free connection     Unavailable (DATABASE_BUSY)
    PostgreSQL 57014 (statement timeout)          DeadlineExceeded (DATABASE_SLOW)
    SQLite FULL; PostgreSQL 53100                 Unavailable (DATABASE_FULL)
    SQLite IOERR, CANTOPEN; connection lost or    Unavailable (DATABASE_UNREACHABLE)
    refused (class 08, 57P01 to 57P05, 53300)
    ============================================  ==========================================

    Messages never quote the driver's: it may hold values of the row.
    """
    if isinstance(error, exc.TimeoutError):
        return Unavailable("DATABASE_BUSY", "no database connection became free in time", retry_after=0.5)
    if not isinstance(error, exc.DBAPIError):
        return None
    origin: Any = error.orig
    if isinstance(origin, sqlite3.Error):
        extended = getattr(origin, "sqlite_errorcode", None)
        if extended == sqlite3.SQLITE_BUSY_SNAPSHOT:
            return _conflict()
        primary = None if extended is None else extended & 0xFF
        if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return Unavailable("DATABASE_BUSY", "the database is locked by another process", retry_after=0.5)
        if primary == sqlite3.SQLITE_FULL:
            return _full()
        if primary in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            return _unreachable()
        return None
    state: str = getattr(origin, "sqlstate", None) or ""
    if state in ("40001", "40P01", "55P03"):
        return _conflict()
    if state == "57014":
        return DeadlineExceeded("DATABASE_SLOW", "a database statement was cancelled after its time limit")
    if state == "53100":
        return _full()
    if state.startswith("08") or state in ("57P01", "57P02", "57P03", "57P05", "53300"):
        return _unreachable()
    # psycopg has no SQLSTATE for a connection that was never made or broke off.
    if error.connection_invalidated or (isinstance(error, exc.OperationalError) and not state):
        return _unreachable()
    return None


def _conflict() -> UsherError:
    return Aborted("TRANSACTION_CONFLICT", "the transaction met a concurrent one; try again")


def _full() -> UsherError:
    return Unavailable("DATABASE_FULL", "the database's disk is full", retry_after=5.0)


def _unreachable() -> UsherError:
    return Unavailable("DATABASE_UNREACHABLE", "the database cannot be reached", retry_after=0.5)


@contextmanager
def _typed_errors() -> Iterator[None]:
    try:
        yield
    except exc.SQLAlchemyError as error:
        typed = typed_error(error)
        if typed is None:
            raise
        raise typed from error


class _Workers:
    """A bounded pool of threads for blocking calls."""

    def __init__(self, name: str, threads: int, max_pending: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._max_pending = max_pending
        self._pending = 0
        self._lock = threading.Lock()

    async def run(self, fn: Callable[[*Ts], T], *args: *Ts) -> T:
        with self._lock:
            if self._pending >= self._max_pending:
                raise ResourceExhausted(
                    "DATABASE_QUEUE_FULL",
                    f"{self._max_pending} calls are already waiting for the database",
                    metadata={"limit": str(self._max_pending)},
                    retry_after=0.5,
                )
            self._pending += 1
        context = contextvars.copy_context()
        try:
            future: Future[T] = self._executor.submit(lambda: context.run(fn, *args))
        except BaseException:
            self._done(None)
            raise
        # On the thread's future, not the loop's: a cancelled caller's call still occupies the thread.
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _: object) -> None:
        with self._lock:
            self._pending -= 1

    def close(self) -> None:
        self._executor.shutdown(wait=True)


# -- SQLite ----------------------------------------------------------------------------------------


def _open_sqlite(settings: DatabaseSettings, url: sa.URL, read_only: bool) -> Database:
    if not url.database or url.database == ":memory:" or url.query:
        raise FailedPrecondition(
            "DATABASE_URL_INVALID", "SQLite needs a file: sqlite:////absolute/path, without parameters"
        )
    path = Path(url.database).absolute()
    if not path.parent.is_dir():
        raise FailedPrecondition(
            "DATABASE_FOLDER_MISSING", f"the database's folder {path.parent} does not exist"
        )
    if not read_only:
        # Readable by its owner only; the WAL and its index get the file's mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    elif not path.is_file():
        raise FailedPrecondition("DATABASE_MISSING", f"there is no database at {path}")
    reader_engine = _sqlite_engine(settings, path, settings.reader_pool_size, writer=False)
    engine = reader_engine if read_only else _sqlite_engine(settings, path, 1, writer=True)
    return Database(
        settings,
        dialect="sqlite",
        schema="",
        engine=engine,
        reader_engine=reader_engine,
        path=path,
        read_only=read_only,
    )


def _sqlite_engine(settings: DatabaseSettings, path: Path, connections: int, *, writer: bool) -> sa.Engine:
    uri = f"file:{quote(str(path))}?mode=rw"

    def connect() -> sqlite3.Connection:
        # isolation_level None: the driver begins nothing by itself, the "begin" hook below does. Pooled
        # connections pass from thread to thread, one at a time.
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=settings.busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        try:
            _set_pragmas(connection, settings, writer)
            if writer:
                _assert_durable_raw("sqlite", connection, settings.unsafe_fsync)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = sa.create_engine(
        "sqlite+pysqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_s,
    )
    statement = "BEGIN IMMEDIATE" if writer else "BEGIN"
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(statement))
    return engine


def _set_pragmas(connection: sqlite3.Connection, settings: DatabaseSettings, writer: bool) -> None:
    if writer:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
    for pragma in (
        "synchronous = FULL",
        "foreign_keys = ON",
        f"busy_timeout = {int(settings.busy_timeout_s * 1000)}",
        # Never by SQLite itself, on no connection: see Database.checkpoint.
        "wal_autocheckpoint = 0",
        f"cache_size = -{settings.cache_mib * 1024}",
        f"mmap_size = {settings.mmap_mib * _MIB}",
        "temp_store = MEMORY",
        # What is deleted is overwritten, so that an erasure is one on the disk as well.
        "secure_delete = ON",
        # A schema from elsewhere runs no functions with side effects.
        "trusted_schema = OFF",
        f"query_only = {'OFF' if writer else 'ON'}",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


# -- PostgreSQL ------------------------------------------------------------------------------------


def _open_postgresql(
    settings: DatabaseSettings, url: sa.URL, schema: str, read_only: bool, application: str
) -> Database:
    if not _SCHEMA_NAME.fullmatch(schema):
        raise FailedPrecondition(
            "DATABASE_SCHEMA_MISSING",
            "PostgreSQL needs a schema: the service's name, as a lower-case SQL name",
        )
    if "options" in url.query:
        raise FailedPrecondition(
            "DATABASE_URL_INVALID", "the database URL must not set options: they are set from the settings"
        )
    reader_engine = _postgresql_engine(
        settings, url, schema, settings.reader_pool_size, application, writer=False
    )
    engine = (
        reader_engine
        if read_only
        else _postgresql_engine(settings, url, schema, settings.pool_size, application, writer=True)
    )
    return Database(
        settings,
        dialect="postgresql",
        schema=schema,
        engine=engine,
        reader_engine=reader_engine,
        path=None,
        read_only=read_only,
    )


def _postgresql_engine(
    settings: DatabaseSettings, url: sa.URL, schema: str, connections: int, application: str, *, writer: bool
) -> sa.Engine:
    timeout_ms = int(settings.statement_timeout_s * 1000)
    options = {
        "search_path": schema,
        "statement_timeout": str(timeout_ms),
        # A transaction forgotten open holds locks and old row versions.
        "idle_in_transaction_session_timeout": str(2 * timeout_ms),
        "synchronous_commit": "on",
        "default_transaction_read_only": "off" if writer else "on",
        "timezone": "UTC",
    }
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in options.items()),
            "application_name": f"{application}-{schema}-{'write' if writer else 'read'}",
            "connect_timeout": settings.connect_timeout_s,
        },
        pool_size=connections,
        max_overflow=0,
        pool_timeout=settings.pool_timeout_s,
        pool_pre_ping=True,
        pool_recycle=1800,
    )
    if writer:

        def check(connection: Any, _: object) -> None:
            _assert_durable_raw("postgresql", connection, settings.unsafe_fsync)

        event.listen(engine, "connect", check)
    return engine


def _assert_durable_raw(dialect: str, raw: Any, unsafe_fsync: bool) -> None:
    if dialect == "sqlite":
        found = {
            "journal_mode": raw.execute("PRAGMA journal_mode").fetchone()[0],
            "synchronous": raw.execute("PRAGMA synchronous").fetchone()[0],
        }
        wrong = [
            name
            for name, good in (("journal_mode", ("wal",)), ("synchronous", (2, 3)))
            if found[name] not in good
        ]
    else:
        idle = raw.info.transaction_status.name == "IDLE"
        row = raw.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')").fetchone()
        if idle:
            raw.rollback()
        found = dict(zip(("fsync", "synchronous_commit"), row, strict=True))
        wrong = [
            name for name, value in found.items() if value != "on" and not (name == "fsync" and unsafe_fsync)
        ]
    if wrong:
        listed = ", ".join(f"{name} is {found[name]}" for name in wrong)
        raise FailedPrecondition(
            "DATABASE_NOT_DURABLE", f"an acknowledged commit would not survive a power loss: {listed}"
        )
