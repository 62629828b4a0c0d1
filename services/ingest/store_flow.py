"""The rows of sources and subscribers. All methods block and run in the database's threads."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from services.common.db import Database
from services.common.errors import ResourceExhausted
from services.ingest import tables
from services.ingest.records import POSITION_SHIFT

MOST_COUNTED = 100_000
"""Decisions counted at most for one subscriber's lag."""
MOST_SUBSCRIBERS = 1_000
"""Names a tenant may use."""


class SubscriberRow(NamedTuple):
    """A subscriber and how far behind it is."""

    tenant: str
    name: str
    position: int
    acked_ms: int
    lag: int
    """Decisions after its position, at most MOST_COUNTED."""
    oldest_ms: int
    """When the oldest of them was committed; 0: there is none."""


class FlowStore:
    """What sources report, and how far subscribers are."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._insert = sqlite_insert if database.dialect == "sqlite" else postgresql_insert

    # -- sources

    def put_report(self, tenant: str, name: str, instance: str, reported_ms: int, body: bytes) -> None:
        """Keeps the last report of a source."""
        row = {"reported_ms": reported_ms, "body": body}
        statement = self._insert(tables.sources).values(tenant=tenant, name=name, instance=instance, **row)
        with self.database.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["tenant", "name", "instance"], set_=row)
            )

    def reports(self, tenant: str | None, since_ms: int) -> list[bytes]:
        """Serialised SourceReports since a time, by tenant, name and instance."""
        s = tables.sources.c
        query = (
            sa.select(s.body)
            .where(s.reported_ms >= since_ms)
            .order_by(s.tenant, s.name, s.instance)
            .limit(1_000)
        )
        if tenant is not None:
            query = query.where(s.tenant == tenant)
        with self.database.reading() as connection:
            return [bytes(body) for body in connection.execute(query).scalars()]

    def forget_reports(self, before_ms: int) -> None:
        """Removes reports of processes that are gone."""
        with self.database.begin() as connection:
            connection.execute(sa.delete(tables.sources).where(tables.sources.c.reported_ms < before_ms))

    # -- subscribers

    def position_of(self, tenant: str, name: str) -> int | None:
        """How far a subscriber is; None where it never said."""
        s = tables.subscribers.c
        with self.database.reading() as connection:
            row = connection.execute(sa.select(s.position).where(s.tenant == tenant, s.name == name)).first()
        return None if row is None else int(row[0])

    def ack(self, tenant: str, name: str, position: int, now_ms: int) -> int:
        """Notes how far a subscriber is, never backwards; returns the position noted.

        Raises ResourceExhausted (TOO_MANY_SUBSCRIBERS).
        """
        table = tables.subscribers
        of_tenant = table.c.tenant == tenant
        with self.database.begin() as connection:
            updated = connection.execute(
                sa.update(table)
                .where(of_tenant, table.c.name == name)
                .values(
                    position=sa.case((table.c.position < position, position), else_=table.c.position),
                    acked_ms=now_ms,
                )
                .returning(table.c.position)
            ).scalar()
            if updated is not None:
                return int(updated)
            number = connection.execute(
                sa.select(sa.func.count()).select_from(table).where(of_tenant)
            ).scalar_one()
            if number >= MOST_SUBSCRIBERS:
                raise ResourceExhausted(
                    "TOO_MANY_SUBSCRIBERS", f"the tenant has {number} subscribers already"
                )
            connection.execute(
                self._insert(table)
                .values(tenant=tenant, name=name, position=position, acked_ms=now_ms)
                .on_conflict_do_nothing()
            )
        return position

    def subscribers(self, tenant: str | None) -> list[SubscriberRow]:
        """Subscribers by tenant and name, each with its lag."""
        s, d = tables.subscribers.c, tables.decisions.c
        query = (
            sa.select(s.tenant, s.name, s.position, s.acked_ms)
            .order_by(s.tenant, s.name)
            .limit(MOST_SUBSCRIBERS)
        )
        if tenant is not None:
            query = query.where(s.tenant == tenant)
        found = []
        with self.database.reading() as connection:
            for row in connection.execute(query).all():
                behind = (
                    sa.select(d.position)
                    .where(d.tenant == row.tenant, d.position > row.position)
                    .order_by(d.position)
                    .limit(MOST_COUNTED)
                    .subquery()
                )
                number, oldest = connection.execute(
                    sa.select(sa.func.count(), sa.func.min(behind.c.position))
                ).one()
                oldest_ms = int(oldest) >> POSITION_SHIFT if oldest is not None else 0
                found.append(
                    SubscriberRow(row.tenant, row.name, row.position, row.acked_ms, int(number), oldest_ms)
                )
        return found

    def untold(self, acked_since_ms: int) -> list[tuple[str, str, int]]:
        """(tenant, name, when the oldest decision after its position was committed) of the subscribers that lag.

        Those that have not acknowledged anything since a time are left out: they are gone. Of the log after a position
        MOST_COUNTED decisions are looked at, of whatever tenant.
        """
        s, d = tables.subscribers.c, tables.decisions.c
        query = sa.select(s.tenant, s.name, s.position).where(s.acked_ms >= acked_since_ms)
        found = []
        with self.database.reading() as connection:
            for tenant, name, position in connection.execute(query.limit(MOST_SUBSCRIBERS)).all():
                after = (
                    sa.select(d.position, d.tenant)
                    .where(d.position > position)
                    .order_by(d.position)
                    .limit(MOST_COUNTED)
                    .subquery()
                )
                oldest = connection.execute(
                    sa.select(after.c.position)
                    .where(after.c.tenant == tenant)
                    .order_by(after.c.position)
                    .limit(1)
                ).scalar()
                if oldest is not None:
                    found.append((tenant, name, int(oldest) >> POSITION_SHIFT))
        return found
