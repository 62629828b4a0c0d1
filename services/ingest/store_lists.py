"""Rows of lists. An entry that was lifted, replaced or has expired stays as the audit of who set and ended it.

`changed` is a position (see tables.py): whoever read up to it has seen every change before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import sqlalchemy as sa

from services.common.errors import Conflict
from services.ingest import listed, tables
from services.ingest.store import Store
from services.ingest.store_entries import end_entry, put_entry
from usher.ingest.v1 import lists_pb2

_PAGE = 5_000
_SCAN = 1_000


class ChangedEntry(NamedTuple):
    """An entry that was set or ended."""

    tenant: str
    changed: int
    ended: bool
    entry: lists_pb2.ListEntry


class ListStore:
    """The rows of lists, beside `Store`, in the same database. Methods block and run in the database's threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.database = store.database

    def changed_after(self, position: int) -> list[ChangedEntry]:
        """Entries set or ended after a position, in order; from the beginning only those in force."""
        e = tables.list_entries.c
        query = (
            sa.select(e.tenant, e.changed, e.ended_ms, e.body)
            .where(e.changed > position)
            .order_by(e.changed)
            .limit(_PAGE)
        )
        if not position:
            query = query.where(e.ended_ms == 0)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
            if len(rows) == _PAGE:
                # Entries of one change must not be torn apart.
                last = rows[-1].changed
                rows = [row for row in rows if row.changed != last] + list(
                    connection.execute(query.where(e.changed == last).limit(None)).all()
                )
        return [
            ChangedEntry(
                row.tenant, row.changed, row.ended_ms > 0, lists_pb2.ListEntry.FromString(bytes(row.body))
            )
            for row in rows
        ]

    def set(self, tenant: str, entry: lists_pb2.ListEntry, now_ms: int) -> lists_pb2.ListEntry:
        """Puts an entry into force and ends the one before it; returns it as it stands.

        Raises Conflict (LIST_ENTRY_ID_REUSED) where another entry has its id.
        """
        with self.database.begin() as connection:
            position = self._store.give_position(connection)
            before = self._by_id(connection, tenant, entry.entry_id)
            if before is not None:
                if _content(before) != _content(entry):
                    raise Conflict(
                        "LIST_ENTRY_ID_REUSED", "another entry has this entry_id; leave it out for a new one"
                    )
                return before
            put_entry(connection, tenant, entry, position, now_ms)
        return entry

    def lift(
        self, tenant: str, entry_id: str, actor: str, reason: str, now_ms: int
    ) -> lists_pb2.ListEntry | None:
        """Ends an entry; returns it as it stands, None where there is none."""
        with self.database.begin() as connection:
            position = self._store.give_position(connection)
            entry = self._by_id(connection, tenant, entry_id)
            if entry is None or entry.HasField("lifted_time") or _expired(entry, now_ms):
                return entry
            end_entry(connection, entry, actor, reason, position, now_ms)
        return entry

    def put_into_force(
        self, tenant: str, entry: lists_pb2.ListEntry, message: tuple[str, str, bytes], now_ms: int
    ) -> int | None:
        """Puts a proposal into force, and a message (topic, traceparent, body) about it into the outbox.

        Returns the message's row, None where the entry is no proposal any more or somebody listed the thing meanwhile.
        """
        e = tables.list_entries.c
        with self.database.begin() as connection:
            position = self._store.give_position(connection)
            before = self._by_id(connection, tenant, entry.entry_id)
            if before is None or not before.proposed or before.HasField("lifted_time"):
                return None
            other = connection.execute(
                sa.select(e.entry_id).where(
                    e.tenant == tenant,
                    e.kind == entry.kind,
                    e.entity_kind == entry.entity_kind,
                    e.entity == entry.entity,
                    e.entry_id != entry.entry_id,
                    e.ended_ms == 0,
                    sa.or_(e.expires_ms == 0, e.expires_ms > now_ms),
                )
            ).scalar()
            if other is not None:
                end_entry(connection, entry, entry.actor, f"{other} is in force", position, now_ms)
                return None
            connection.execute(
                sa.update(tables.list_entries)
                .where(e.tenant == tenant, e.entry_id == entry.entry_id)
                .values(kind=entry.kind, changed=position, body=entry.SerializeToString())
            )
            return self._store.add_outbox(connection, [message], now_ms)[0]

    def end_expired(self, now_ms: int) -> int:
        """Marks entries whose time is over, so that copies drop them; returns how many."""
        e = tables.list_entries.c
        # Zeros written out: SQLite uses a partial index only where its condition stands in the statement.
        zero: sa.ColumnElement[int] = sa.literal_column("0")
        due = sa.and_(e.ended_ms == zero, e.expires_ms > zero, e.expires_ms <= now_ms)
        with self.database.reading() as connection:
            if connection.execute(sa.select(e.id).where(due).limit(1)).first() is None:
                return 0
        with self.database.begin() as connection:
            position = self._store.give_position(connection)
            return connection.execute(
                sa.update(tables.list_entries).where(due).values(ended_ms=e.expires_ms, changed=position)
            ).rowcount

    def list_entries(
        self, tenant: str, before: int, limit: int, kind: int, entity: str, *, ended: bool, now_ms: int
    ) -> list[tuple[int, lists_pb2.ListEntry]]:
        """Row ids and entries below a row id, newest first."""
        e = tables.list_entries.c
        query = sa.select(e.id, e.body).where(e.tenant == tenant, e.id < before)
        if kind:
            query = query.where(e.kind == kind)
        if entity:
            query = query.where(e.entity.in_(_spellings(entity)))
        if not ended:
            query = query.where(e.ended_ms == 0, sa.or_(e.expires_ms == 0, e.expires_ms > now_ms))
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(e.id.desc()).limit(limit))
            return [(row[0], lists_pb2.ListEntry.FromString(bytes(row[1]))) for row in rows]

    def events_back(self, tenant: str, since_position: int, most: int) -> Iterator[list[bytes]]:
        """Events of a tenant, newest first, down to a position, in pieces; at most so many."""
        d, b = tables.decisions.c, tables.bodies.c
        before, left = 1 << 62, most
        while left > 0:
            with self.database.reading() as connection:
                rows = connection.execute(
                    sa.select(d.position, b.event)
                    .join(tables.bodies, b.position == d.position)
                    .where(d.tenant == tenant, d.position < before, d.position >= since_position)
                    .order_by(d.position.desc())
                    .limit(min(_SCAN, left))
                ).all()
            if not rows:
                return
            yield [bytes(row[1]) for row in rows]
            before, left = rows[-1][0], left - len(rows)

    @staticmethod
    def _by_id(connection: sa.Connection, tenant: str, entry_id: str) -> lists_pb2.ListEntry | None:
        e = tables.list_entries.c
        row = connection.execute(sa.select(e.body).where(e.tenant == tenant, e.entry_id == entry_id)).first()
        return None if row is None else lists_pb2.ListEntry.FromString(bytes(row[0]))


def _expired(entry: lists_pb2.ListEntry, now_ms: int) -> bool:
    return entry.HasField("expires_time") and entry.expires_time.ToMilliseconds() <= now_ms


def _content(entry: lists_pb2.ListEntry) -> Sequence[object]:
    return (
        entry.kind,
        entry.entity_kind,
        entry.entity,
        tuple(entry.event_classes),
        entry.limit_per_hour,
        entry.reason,
        entry.actor,
        entry.expires_time.ToMilliseconds() if entry.HasField("expires_time") else 0,
    )


def _spellings(entity: str) -> list[str]:
    try:
        return [entity, str(listed.network_of(entity))]
    except ValueError:
        return [entity]
