"""The hourly cap of the control group, counted where all processes see it. Methods block."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from services.common.db import Database
from services.ingest import tables

HOUR_MS = 3_600_000
KEPT_HOURS = 30 * 24


class ControlStore:
    """Beside `Store`, in the same database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._insert = sqlite_insert if database.dialect == "sqlite" else postgresql_insert

    def take(self, tenant: str, wanted: int, most: int, hour: int) -> int:
        """Takes places of an hour of which there are `most`; returns how many of those wanted were left.

        A transaction of its own before the decision's: a crash between them leaves a place unused, never one used twice.
        """
        t = tables.control_hours
        one = (t.c.tenant == tenant) & (t.c.hour == hour)
        first = self._insert(t).values(tenant=tenant, hour=hour, taken=0).on_conflict_do_nothing()
        with self.database.begin() as connection:
            if connection.execute(first).rowcount:
                connection.execute(sa.delete(t).where(t.c.tenant == tenant, t.c.hour < hour - KEPT_HOURS))
            # SQLite has one writer; PostgreSQL's row lock makes the others wait.
            taken = connection.execute(sa.select(t.c.taken).where(one).with_for_update()).scalar_one()
            granted = min(wanted, max(0, most - taken))
            if granted:
                connection.execute(sa.update(t).where(one).values(taken=taken + granted))
        return granted

    def hours(self, tenant: str, since: int) -> list[tuple[int, int]]:
        """Hours from `since` on in which places were taken, newest first, and how many."""
        t = tables.control_hours.c
        query = (
            sa.select(t.hour, t.taken)
            .where(t.tenant == tenant, t.hour >= since, t.taken > 0)
            .order_by(t.hour.desc())
        )
        with self.database.reading() as connection:
            return [(int(row[0]), int(row[1])) for row in connection.execute(query)]
