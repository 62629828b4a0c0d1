"""Deletes what has had its time, in small transactions beside everything else.

Alerts and incidents that nobody ended stay, whatever their age, and so does an alert of an incident that is still
worked on. The id of a message outlives every repeat that its sender can make (see RetentionSettings); one repeated
later still joins its own alert, and tells nobody, for as long as the alert is kept.
"""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from services.alerts import tables
from services.common.db import Database

_MOST = 1_000
"""Rows of one transaction."""
_DAY_MS = 86_400_000
# Written out: SQLite uses a partial index only where its condition stands in the statement.
_ZERO: sa.ColumnElement[int] = sa.literal_column("0")
_PENDING: sa.ColumnElement[int] = sa.literal_column("1")
_A, _D, _I, _S = tables.alerts.c, tables.deliveries.c, tables.incidents.c, tables.snoozes.c


class Forgotten(NamedTuple):
    """Rows that were deleted."""

    messages: int
    deliveries: int
    alerts: int
    incidents: int
    snoozes: int


class RetentionStore:
    """What deletes old rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def forget(
        self, now_ms: int, *, messages_days: int, deliveries_days: int, alerts_days: int
    ) -> Forgotten:
        """Deletes up to a thousand rows of each sort that are older than so many days; returns how many."""
        old = now_ms - alerts_days * _DAY_MS
        run = self._database.run
        return Forgotten(
            await run(self._messages, now_ms - messages_days * _DAY_MS),
            await run(self._deliveries, now_ms - deliveries_days * _DAY_MS),
            await run(self._alerts, old),
            await run(self._incidents, old),
            await run(self._snoozes, old),
        )

    def _messages(self, before_ms: int) -> int:
        m = tables.messages.c
        return self._delete(tables.messages, m.key, m.received_ms < before_ms)

    def _deliveries(self, before_ms: int) -> int:
        return self._delete(
            tables.deliveries, _D.delivery_id, sa.and_(_D.state != _PENDING, _D.due_ms < before_ms)
        )

    def _snoozes(self, before_ms: int) -> int:
        return self._delete(tables.snoozes, _S.snooze_id, sa.and_(_S.ended == 1, _S.until_ms < before_ms))

    def _delete(self, table: sa.Table, key: sa.Column[object], which: sa.ColumnElement[bool]) -> int:
        with self._database.reading() as connection:
            keys = list(connection.execute(sa.select(key).where(which).limit(_MOST)).scalars())
        if not keys:
            return 0
        with self._database.begin() as connection:
            return connection.execute(sa.delete(table).where(key.in_(keys), which)).rowcount

    def _alerts(self, before_ms: int) -> int:
        worked_on = sa.exists().where(_I.tenant == _A.tenant, _I.number == _A.incident, _I.ended_ms == 0)
        which = sa.and_(_A.ended_ms > _ZERO, _A.ended_ms < before_ms, ~worked_on)
        with self._database.reading() as connection:
            query = sa.select(_A.alert_id).where(which).limit(_MOST)
            if connection.execute(query).first() is None:
                return 0
        with self._database.begin() as connection:
            # Read again where others wait: an alert that was opened again meanwhile stays.
            ids = list(connection.execute(query.with_for_update(of=tables.alerts)).scalars())
            for table in (tables.deliveries, tables.subjects, tables.events, tables.alerts):
                connection.execute(sa.delete(table).where(table.c.alert_id.in_(ids)))
        return len(ids)

    def _incidents(self, before_ms: int) -> int:
        which = sa.and_(_I.ended_ms > _ZERO, _I.ended_ms < before_ms)
        with self._database.reading() as connection:
            query = sa.select(_I.tenant, _I.number).where(which).limit(_MOST)
            if connection.execute(query).first() is None:
                return 0
        t = tables.timeline.c
        with self._database.begin() as connection:
            found = connection.execute(query.with_for_update()).all()
            for tenant, number in found:
                connection.execute(sa.delete(tables.timeline).where(t.tenant == tenant, t.number == number))
                connection.execute(
                    sa.delete(tables.incidents).where(_I.tenant == tenant, _I.number == number)
                )
        return len(found)
