"""Deliveries: claimed by channel, in order of each entity, recorded with what the other end said.

A claim is a lease: after a crash the row is due again, so a telling goes out at least once, and at most once more a
crash. A delivery waits for those before it through the same channel about the same entity, unless these are planned
for later (escalation steps, quiet hours).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import sqlalchemy as sa

from services.alerts import tables
from services.alerts.store_rows import alert_of
from services.alerts.tellings import Delivery
from services.common.db import Database
from usher.alerts.v1 import alerts_pb2

MAX_RESPONSE_CHARS = 500
_D = tables.deliveries.c
# Written out: SQLite uses a partial index only where the condition stands in the statement, not behind a parameter.
_PENDING: sa.ColumnElement[int] = sa.literal_column("1")
_NEVER: sa.ColumnElement[int] = sa.literal_column("0")


class Result(NamedTuple):
    """What became of one try."""

    delivery_id: int
    state: int
    """DELIVERED, DEAD, or PENDING: tried again at `due_ms`."""
    due_ms: int
    status: int
    response: str
    tried: bool = True
    """False: it was claimed and given back untried, which is no attempt; PENDING."""


class Exchange(NamedTuple):
    """What an exchange with the store gave."""

    deliveries: list[Delivery]
    next_due_ms: int
    """When the next delivery of the channel is due; 0: none waits."""


class Trouble(NamedTuple):
    """A channel that has not got through for a while."""

    channel: str
    tenant: str
    since_ms: int
    waiting: int
    dead: int


class DeliveryStore:
    """The rows of deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def exchange(
        self, channel: str, results: Sequence[Result], limit: int, now_ms: int, lease_ms: int
    ) -> Exchange:
        """Records results and claims up to `limit` deliveries of a channel that are due, in one transaction."""
        if not results:
            # Reading does not take turns with those who write.
            next_due_ms = await self._database.read(self._next_due, channel)
            if not next_due_ms or next_due_ms > now_ms:
                return Exchange([], next_due_ms)
        return await self._database.run(self._exchange, channel, results, limit, now_ms, lease_ms)

    def _next_due(self, channel: str) -> int:
        query = sa.select(sa.func.min(_D.due_ms)).where(_D.channel == channel, _D.state == _PENDING)
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or 0

    def _exchange(
        self, channel: str, results: Sequence[Result], limit: int, now_ms: int, lease_ms: int
    ) -> Exchange:
        with self._database.begin() as connection:
            self._record(connection, results, now_ms)
            found = self._claim(connection, channel, limit, now_ms, lease_ms) if limit > 0 else []
        return Exchange(found, 0)

    def _record(self, connection: sa.Connection, results: Sequence[Result], now_ms: int) -> None:
        # Most tries end alike: one statement for those that do.
        alike: dict[Result, list[int]] = defaultdict(list)
        for one in results:
            due_ms = now_ms if one.state == tables.DELIVERED else one.due_ms
            alike[one._replace(delivery_id=0, due_ms=due_ms)].append(one.delivery_id)
        for one, ids in alike.items():
            values: dict[str, object] = {"state": one.state, "due_ms": one.due_ms}
            if one.tried:
                values |= {"status": one.status, "response": one.response[:MAX_RESPONSE_CHARS]}
            else:
                values["attempts"] = _D.attempts - 1
            if one.state == tables.DELIVERED:
                values |= {"delivered_ms": now_ms, "failing_ms": 0}
            elif one.tried:
                values["failing_ms"] = sa.case((_D.failing_ms == 0, now_ms), else_=_D.failing_ms)
            # What was called off while it was under way stays so, unless it arrived.
            which: sa.ColumnElement[bool] = _D.delivery_id.in_(ids)
            if one.state != tables.DELIVERED:
                which = sa.and_(which, _D.state == _PENDING)
            connection.execute(sa.update(tables.deliveries).where(which).values(values))

    def _claim(
        self, connection: sa.Connection, channel: str, limit: int, now_ms: int, lease_ms: int
    ) -> list[Delivery]:
        before = tables.deliveries.alias("before")
        waits = sa.exists().where(
            before.c.channel == _D.channel,
            before.c.order_key == _D.order_key,
            before.c.state == _PENDING,
            before.c.delivery_id < _D.delivery_id,
            # Under way or tried before; what is planned for later and was never tried holds nobody up.
            sa.or_(before.c.attempts > 0, before.c.due_ms <= now_ms),
        )
        a = tables.alerts.c
        rows = connection.execute(
            sa.select(tables.deliveries, *(column.label(f"a_{column.name}") for column in a))
            .join(tables.alerts, a.alert_id == _D.alert_id)
            .where(_D.channel == channel, _D.state == _PENDING, _D.due_ms <= now_ms, ~waits)
            .order_by(_D.severity.desc(), _D.delivery_id)
            .limit(limit)
            # Rows that another process is claiming are left to it; SQLite has one writer and no such clause.
            .with_for_update(skip_locked=True, of=tables.deliveries)
        ).all()
        if rows:
            connection.execute(
                sa.update(tables.deliveries)
                .where(_D.delivery_id.in_([row.delivery_id for row in rows]))
                .values(due_ms=now_ms + lease_ms, attempts=_D.attempts + 1)
            )
        return [
            Delivery(
                row.delivery_id,
                row.telling_id,
                row.channel,
                row.change,
                row.severity,
                row.traceparent,
                row.attempts,
                alert_of(row, "a_"),
                row.step,
            )
            for row in rows
        ]

    async def of_alert(self, tenant: str, alert_id: str) -> list[alerts_pb2.Delivery]:
        """Deliveries of an alert, oldest first."""
        query = (
            sa.select(tables.deliveries)
            .where(_D.tenant == tenant, _D.alert_id == alert_id)
            .order_by(_D.delivery_id)
            .limit(1_000)
        )
        return await self._database.read(self._read, query)

    async def page(
        self, tenant: str, channel: str, state: int, limit: int, before: int
    ) -> list[alerts_pb2.Delivery]:
        """Deliveries below an id, newest first."""
        query = sa.select(tables.deliveries).where(_D.tenant == tenant, _D.delivery_id < before)
        if channel:
            query = query.where(_D.channel == channel)
        if state:
            query = query.where(_D.state == state)
        return await self._database.read(self._read, query.order_by(_D.delivery_id.desc()).limit(limit))

    def _read(self, query: sa.Select[tuple[object, ...]]) -> list[alerts_pb2.Delivery]:
        found = []
        with self._database.reading() as connection:
            for row in connection.execute(query):
                value = row._mapping
                one = alerts_pb2.Delivery(
                    **{
                        name: value[name]
                        for name in (
                            *("delivery_id", "telling_id", "channel", "alert_id", "change", "severity"),
                            *("state", "attempts", "status", "response", "step"),
                        )
                    }
                )
                one.time.FromMilliseconds(value["due_ms"])
                found.append(one)
        return found

    async def replay(self, tenant: str, delivery_ids: Sequence[int], channel: str, now_ms: int) -> int:
        """Makes dead letters due again; returns how many."""

        def run() -> int:
            which = [_D.tenant == tenant, _D.state == tables.DEAD]
            if delivery_ids:
                which.append(_D.delivery_id.in_(list(delivery_ids)))
            if channel:
                which.append(_D.channel == channel)
            with self._database.begin() as connection:
                return connection.execute(
                    sa.update(tables.deliveries)
                    .where(*which)
                    .values(state=tables.PENDING, due_ms=now_ms, attempts=0, failing_ms=0)
                ).rowcount

        return await self._database.run(run)

    async def trouble(self, now_ms: int, failing_ms: int) -> list[Trouble]:
        """Channels through which something has failed for so long without getting through, by tenant."""

        def read() -> list[Trouble]:
            waiting = sa.func.sum(sa.case((_D.state == _PENDING, 1), else_=0))
            dead = sa.func.sum(sa.case((_D.state == tables.DEAD, 1), else_=0))
            query = (
                sa.select(_D.channel, _D.tenant, sa.func.min(_D.failing_ms), waiting, dead)
                .where(
                    _D.failing_ms > _NEVER,
                    _D.failing_ms <= now_ms - failing_ms,
                    sa.or_(
                        _D.state == _PENDING,
                        sa.and_(_D.state == tables.DEAD, _D.due_ms > now_ms - 3_600_000),
                    ),
                )
                .group_by(_D.channel, _D.tenant)
            )
            with self._database.reading() as connection:
                return [
                    Trouble(row[0], row[1], row[2], int(row[3]), int(row[4]))
                    for row in connection.execute(query)
                ]

        return await self._database.read(read)
