"""What is learnt from, read beside the way of events; and the newest report. Methods block."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from services.common.db import Database
from services.ingest import tables


class DecidedRow(NamedTuple):
    """One decided event as stored."""

    position: int
    flags: int
    event: bytes
    decision: bytes


class FeedbackStore:
    """Beside `Store`, in the same database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._insert = sqlite_insert if database.dialect == "sqlite" else postgresql_insert

    def decided_after(self, tenant: str, position: int, limit: int) -> list[DecidedRow]:
        """Decided events above a position, oldest first."""
        d, b = tables.decisions.c, tables.bodies.c
        query = (
            sa.select(d.position, d.flags, b.event, b.decision)
            .join(tables.bodies, b.position == d.position)
            .where(d.tenant == tenant, d.position > position)
            .order_by(d.position)
            .limit(limit)
        )
        with self.database.reading() as connection:
            return [
                DecidedRow(row[0], row[1], bytes(row[2]), bytes(row[3])) for row in connection.execute(query)
            ]

    def put_report(self, tenant: str, time_ms: int, body: bytes) -> None:
        """Keeps a report unless a newer one is kept."""
        r = tables.feedback_reports
        values = {"time_ms": time_ms, "body": body}
        statement = self._insert(r).values(tenant=tenant, **values)
        with self.database.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["tenant"], set_=values, where=r.c.time_ms <= time_ms
                )
            )

    def reports(self) -> list[bytes]:
        """The newest report of each tenant."""
        with self.database.reading() as connection:
            return [bytes(row[0]) for row in connection.execute(sa.select(tables.feedback_reports.c.body))]

    def report(self, tenant: str) -> bytes | None:
        """The newest report; None where there is none."""
        r = tables.feedback_reports.c
        with self.database.reading() as connection:
            body = connection.execute(sa.select(r.body).where(r.tenant == tenant)).scalar()
        return None if body is None else bytes(body)
