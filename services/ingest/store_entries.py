"""How a list entry is written and ended within a transaction, the commit's of step 6 among them."""

from __future__ import annotations

import sqlalchemy as sa

from services.ingest import tables
from usher.ingest.v1 import lists_pb2


def put_entry(
    connection: sa.Connection, tenant: str, entry: lists_pb2.ListEntry, position: int, now_ms: int
) -> None:
    """Writes an entry within a transaction that holds the head row; ends the one in force on the same thing."""
    e = tables.list_entries.c
    rows = connection.execute(
        sa.select(e.body).where(
            e.tenant == tenant,
            e.kind == entry.kind,
            e.entity_kind == entry.entity_kind,
            e.entity == entry.entity,
            e.ended_ms == 0,
        )
    ).all()
    for row in rows:
        before = lists_pb2.ListEntry.FromString(bytes(row[0]))
        end_entry(connection, before, entry.actor, f"replaced by {entry.entry_id}", position, now_ms)
    connection.execute(
        sa.insert(tables.list_entries).values(
            entry_id=entry.entry_id,
            tenant=tenant,
            kind=entry.kind,
            entity_kind=entry.entity_kind,
            entity=entry.entity,
            changed=position,
            expires_ms=entry.expires_time.ToMilliseconds() if entry.HasField("expires_time") else 0,
            ended_ms=0,
            body=entry.SerializeToString(),
        )
    )


def end_entry(
    connection: sa.Connection, entry: lists_pb2.ListEntry, actor: str, reason: str, position: int, now_ms: int
) -> None:
    """Ends an entry, within a transaction that holds the head row."""
    entry.lifted_time.FromMilliseconds(now_ms)
    entry.lifted_by, entry.lift_reason = actor, reason
    connection.execute(
        sa.update(tables.list_entries)
        .where(tables.list_entries.c.entry_id == entry.entry_id)
        .values(ended_ms=now_ms, changed=position, body=entry.SerializeToString())
    )
