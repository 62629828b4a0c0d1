"""A service's copy of the erasure ledger, and how it knows that an older copy of its rows was put back.

Every service with rows keeps, beside them, who was erased (as keyed hashes) and up to which entry of the ledger. A
backup that is put back lacks the newest entries. On SQLite a small file beside the database remembers the highest
sequence; on PostgreSQL the identity of the table (cluster, timeline, object id) changes with every way of restoring a
backup, and with a failover too, where applying the ledger again does no harm. Such a service is NOT_SERVING until
compliance, which owns the ledger, has applied it again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from services.common.db import Database

KEY_BYTES = 32
SUBJECT_BYTES = 16
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class Entry(NamedTuple):
    """One erasure of the ledger."""

    sequence: int
    subject: bytes
    """`subject_of` the erased one."""
    erased_ms: int
    """What happened or was received until then is erased, Unix milliseconds."""
    erasure_id: str


def subject_of(key: bytes, tenant: str, user_id: str) -> bytes:
    """The name under which an erased subject is remembered: 16 bytes of a hash with the ledger's key.

    Keyed, because user ids can be guessed (https://www.rfc-editor.org/rfc/rfc7693, section 2.9).
    """
    return blake2b(f"{tenant}\0{user_id}".encode(), key=key, digest_size=SUBJECT_BYTES).digest()


def columns() -> list[sa.Column[object]]:
    """Columns of the table `erased`, for a service's migration."""
    return [
        sa.Column("subject", sa.LargeBinary, primary_key=True, comment="keyed 16-byte hash"),
        sa.Column("sequence", _BIG, nullable=False),
        sa.Column("erased_ms", _BIG, nullable=False),
        sa.Column("erasure_id", sa.Text, nullable=False),
    ]


def marker_columns() -> list[sa.Column[object]]:
    """Columns of the table `erased_marker`, for a service's migration."""
    return [
        sa.Column("id", sa.Integer, primary_key=True, comment="always 1"),
        sa.Column("ledger_key", sa.LargeBinary, nullable=False, comment="empty until the first erasure"),
        sa.Column("sequence", _BIG, nullable=False, comment="highest entry applied"),
        sa.Column("identity", sa.Text, nullable=False, comment="where these rows lay when they were written"),
    ]


_metadata = sa.MetaData()
_erased = sa.Table("erased", _metadata, *columns())
_marker = sa.Table("erased_marker", _metadata, *marker_columns())


class ErasedRows:
    """The tables `erased` and `erased_marker` of a service. Methods block: call them in the database's threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._restored: bool | None = None
        self._beside = None if database.path is None else Path(f"{database.path}.erasures")
        self._insert = sqlite_insert if database.dialect == "sqlite" else postgresql_insert

    @property
    def restored(self) -> bool:
        """Whether these rows are an older copy that the ledger must be applied to. Known after `look`."""
        return bool(self._restored)

    def look(self) -> None:
        """Compares the rows with what was remembered of them. Call it once at the start."""
        with self._database.begin() as connection:
            row = connection.execute(sa.select(_marker.c.sequence, _marker.c.identity)).first()
            identity = self._identity(connection)
            if row is None:
                # Replicas that start at once all find none.
                connection.execute(
                    self._insert(_marker)
                    .values(id=1, ledger_key=b"", sequence=0, identity=identity)
                    .on_conflict_do_nothing()
                )
        sequence, known = (0, identity) if row is None else (int(row[0]), str(row[1]))
        if self._beside is not None:
            self._restored = sequence < self._remembered()
        else:
            self._restored = known != identity

    def remembered(self) -> int:
        """The highest sequence that is remembered beside the rows; 0 on PostgreSQL, which has no such place."""
        return 0 if self._beside is None else self._remembered()

    def key(self) -> bytes:
        """The ledger's key; empty before the first erasure."""
        with self._database.reading() as connection:
            return bytes(connection.execute(sa.select(_marker.c.ledger_key)).scalar() or b"")

    def applied_sequence(self) -> int:
        """The highest sequence applied."""
        with self._database.reading() as connection:
            return int(connection.execute(sa.select(_marker.c.sequence)).scalar() or 0)

    def state(self) -> State:
        """How much of the ledger is in these rows."""
        return State(self.applied_sequence(), self.restored, self.remembered())

    def all(self) -> dict[bytes, int]:
        """When each subject was erased (Unix milliseconds)."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(_erased.c.subject, _erased.c.erased_ms))
            return {bytes(row[0]): int(row[1]) for row in rows}

    def record(self, key: bytes, entries: Sequence[Entry], *, complete: bool = False) -> None:
        """Notes entries as applied; with `complete` a restored copy counts as whole again."""
        with self._database.begin() as connection:
            for entry in entries:
                values = entry._asdict()
                statement = self._insert(_erased).values(values)
                connection.execute(
                    statement.on_conflict_do_update(
                        index_elements=["subject"],
                        set_={name: values[name] for name in ("sequence", "erased_ms", "erasure_id")},
                        where=_erased.c.sequence < entry.sequence,
                    )
                )
            newest = max((entry.sequence for entry in entries), default=0)
            marker = sa.update(_marker).values(
                ledger_key=key or _marker.c.ledger_key,
                sequence=sa.case((_marker.c.sequence < newest, newest), else_=_marker.c.sequence),
            )
            if complete or not self._restored:
                marker = marker.values(identity=self._identity(connection))
            connection.execute(marker)
            sequence = int(connection.execute(sa.select(_marker.c.sequence)).scalar_one())
        if self._beside is not None and (complete or not self._restored):
            self._remember(sequence)
        if complete:
            self._restored = False

    def _identity(self, connection: sa.Connection) -> str:
        if self._database.dialect == "sqlite":
            return ""
        row = connection.exec_driver_sql(
            "SELECT (SELECT system_identifier FROM pg_control_system()), "
            "(SELECT timeline_id FROM pg_control_checkpoint()), 'erased_marker'::regclass::oid"
        ).one()
        return "/".join(map(str, row))

    def _remembered(self) -> int:
        assert self._beside is not None
        try:
            return int(self._beside.read_text(encoding="ascii"))
        except FileNotFoundError:
            return 0

    def _remember(self, sequence: int) -> None:
        assert self._beside is not None
        draft = self._beside.with_name(self._beside.name + ".new")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, f"{sequence}\n".encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        draft.replace(self._beside)


class State(NamedTuple):
    """How much of the ledger is in a service's stores."""

    applied_sequence: int
    restored: bool
    remembered_sequence: int = 0


class Erased(NamedTuple):
    """What an erasure did, rows by store."""

    erased: Mapping[str, int]
    kept: Mapping[str, int] = {}
    delivered: Mapping[str, int] = {}
    """What had left the mesh before, by recipient."""
