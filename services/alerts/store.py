"""Messages, alerts and deliveries in SQLite or PostgreSQL.

One transaction a call of RaiseAlerts: the messages' keys, the alerts they changed and the deliveries that follow
commit together or not at all. Calls that touch one tenant take turns (SQLite: the one writer; PostgreSQL: an
advisory lock per tenant), so that two of them never open two alerts where one is due.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from services.alerts.channels import Delivery
from services.alerts.faults import crash_point
from services.alerts.grouping import Grouping, Telling, group_key, message_key
from services.common.db import Database
from usher.alerts.v1 import alerts_pb2

_metadata = sa.MetaData()
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_messages = sa.Table(
    "messages",
    _metadata,
    sa.Column("key", sa.LargeBinary, primary_key=True, comment="16-byte hash of tenant, event_id and kind"),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("received_ms", _BIG, nullable=False),
)
_alerts = sa.Table(
    "alerts",
    _metadata,
    sa.Column("alert_id", sa.Text, primary_key=True),
    sa.Column("group_key", sa.LargeBinary, nullable=False, comment="16-byte hash of the group key"),
    sa.Column("tenant", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("entity_kind", sa.Text, nullable=False),
    sa.Column("entity", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("count", _BIG, nullable=False),
    sa.Column("first_ns", _BIG, nullable=False, comment="nanoseconds since 1970"),
    sa.Column("last_ns", _BIG, nullable=False, comment="nanoseconds since 1970"),
    sa.Column("first_event_id", sa.Text, nullable=False),
    sa.Column("last_event_id", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False, comment="JSON list of numbers, in order of arrival"),
    sa.Column("summary", sa.Text, nullable=False),
)
_deliveries = sa.Table(
    "deliveries",
    _metadata,
    sa.Column("delivery_id", _BIG, primary_key=True),
    sa.Column("telling_id", sa.Text, nullable=False),
    sa.Column("channel", sa.Text, nullable=False),
    sa.Column("alert_id", sa.Text, nullable=False),
    sa.Column("change", sa.Text, nullable=False),
    sa.Column("severity", sa.SmallInteger, nullable=False),
    sa.Column("traceparent", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("due_ms", _BIG, nullable=False, comment="not before; a claim moves it on"),
    sa.Column("delivered_ms", _BIG, nullable=True, comment="null until delivered"),
)

_GROWING = (
    "severity",
    "count",
    "first_ns",
    "last_ns",
    "first_event_id",
    "last_event_id",
    "reasons",
    "summary",
)
"""What a message changes of an alert that exists."""


class Position(NamedTuple):
    """Where a page of alerts begins: after this one."""

    last_ns: int
    alert_id: str


class AlertStore:
    """The rows of alerts. Methods may be called from the event loop; the work runs in the database's threads."""

    def __init__(self, database: Database, *, channels: Sequence[str], window_seconds: float) -> None:
        """`channels` are the names of those that every telling goes to."""
        self._database = database
        self._channels = tuple(channels)
        self._window_ns = round(window_seconds * 1e9)

    async def raise_messages(
        self, messages: Sequence[alerts_pb2.AlertMessage], now_ms: int
    ) -> list[alerts_pb2.RaiseResult]:
        """Groups and keeps valid messages and what is to be told of them; durable when it returns.

        One result a message, in order. Raises the typed errors of `services.common.db`.
        """
        if not messages:
            return []
        return await self._database.run(self._raise, messages, now_ms)

    async def list_alerts(
        self, tenant: str, minimum_severity: int, limit: int, after: Position | None
    ) -> list[alerts_pb2.Alert]:
        """Returns up to `limit` alerts of the tenant, last seen first, beginning after `after`."""
        return await self._database.read(self._list, tenant, minimum_severity, limit, after)

    async def claim(self, limit: int, now_ms: int, claim_ms: int) -> list[Delivery]:
        """Takes up to `limit` deliveries that are due, oldest first; nobody else takes them for `claim_ms`."""
        if not await self._database.read(self._any_due, now_ms):
            return []
        return await self._database.run(self._claim, limit, now_ms, claim_ms)

    async def delivered(self, delivery_ids: Sequence[int], now_ms: int) -> None:
        """Records that deliveries reached their channel."""
        await self._database.run(self._set, tuple(delivery_ids), {"delivered_ms": now_ms})

    async def put_off(self, delivery_id: int, due_ms: int) -> None:
        """Records a failed try; the delivery is due again at `due_ms`."""
        values = {"due_ms": due_ms, "attempts": _deliveries.c.attempts + 1}
        await self._database.run(self._set, (delivery_id,), values)

    # -- in the database's threads -----------------------------------------------------------------

    def _raise(
        self, messages: Sequence[alerts_pb2.AlertMessage], now_ms: int
    ) -> list[alerts_pb2.RaiseResult]:
        with self._database.begin() as connection:
            self._take_turns(connection, {message.tenant for message in messages})
            now_ns = now_ms * 1_000_000
            grouping = Grouping(
                self._window_ns,
                self._known(connection, messages),
                self._joinable(connection, messages, now_ns),
            )
            results = [grouping.take(message, now_ns) for message in messages]
            self._write(connection, grouping, now_ms)
            crash_point("alerts.raise.before_commit")
        crash_point("alerts.raise.after_commit")
        return results

    def _take_turns(self, connection: sa.Connection, tenants: set[str]) -> None:
        if self._database.dialect == "sqlite":
            return
        for tenant in sorted(tenants):
            digest = hashlib.blake2b(f"usher alerts {tenant}".encode(), digest_size=8).digest()
            number = int.from_bytes(digest, "big", signed=True)
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})

    def _known(
        self, connection: sa.Connection, messages: Sequence[alerts_pb2.AlertMessage]
    ) -> Mapping[bytes, str]:
        keys = {message_key(message) for message in messages}
        rows = connection.execute(
            sa.select(_messages.c.key, _messages.c.alert_id).where(_messages.c.key.in_(keys))
        )
        return {bytes(row.key): row.alert_id for row in rows}

    def _joinable(
        self, connection: sa.Connection, messages: Sequence[alerts_pb2.AlertMessage], now_ns: int
    ) -> list[alerts_pb2.Alert]:
        times = [
            message.event_time.ToNanoseconds() if message.HasField("event_time") else now_ns
            for message in messages
        ]
        rows = connection.execute(
            sa.select(_alerts).where(
                _alerts.c.group_key.in_({group_key(message) for message in messages}),
                _alerts.c.last_ns >= min(times) - self._window_ns,
                _alerts.c.first_ns <= max(times) + self._window_ns,
            )
        )
        return [_alert(row) for row in rows]

    def _write(self, connection: sa.Connection, grouping: Grouping, now_ms: int) -> None:
        if not grouping.new_keys:
            return
        self._insert(
            connection,
            _messages,
            [
                {"key": key, "alert_id": alert_id, "received_ms": now_ms}
                for key, alert_id in grouping.new_keys.items()
            ],
        )
        changes = ", ".join(f'"{name}" = excluded."{name}"' for name in _GROWING)
        self._insert(
            connection,
            _alerts,
            [_row(alert) for alert in grouping.changed.values()],
            f"ON CONFLICT (alert_id) DO UPDATE SET {changes}",
        )
        self._insert(
            connection,
            _deliveries,
            [
                _delivery_row(telling, channel, now_ms)
                for telling in grouping.tellings()
                for channel in self._channels
            ],
        )

    def _insert(
        self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], suffix: str = ""
    ) -> None:
        """Inserts rows of equal columns with one statement.

        Written out by hand: SQLAlchemy composes a statement of many rows anew each time, which cost 500 us a
        message, and executemany would let a busy event loop in between any two rows.
        """
        if not rows:
            return
        columns = list(rows[0])
        mark = "?" if self._database.dialect == "sqlite" else "%s"
        names = ", ".join(f'"{name}"' for name in columns)
        values = ", ".join([f"({', '.join([mark] * len(columns))})"] * len(rows))
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) VALUES {values} {suffix}",
            tuple(row[name] for row in rows for name in columns),
        )

    def _list(
        self, tenant: str, minimum_severity: int, limit: int, after: Position | None
    ) -> list[alerts_pb2.Alert]:
        query = sa.select(_alerts).where(_alerts.c.tenant == tenant)
        if minimum_severity:
            query = query.where(_alerts.c.severity >= minimum_severity)
        if after is not None:
            query = query.where(
                sa.tuple_(_alerts.c.last_ns, _alerts.c.alert_id) < sa.tuple_(after.last_ns, after.alert_id)
            )
        query = query.order_by(_alerts.c.last_ns.desc(), _alerts.c.alert_id.desc()).limit(limit)
        with self._database.reading() as connection:
            alerts = {row.alert_id: _alert(row) for row in connection.execute(query)}
            reached = connection.execute(
                sa.select(_deliveries.c.alert_id, _deliveries.c.channel)
                .distinct()
                .where(_deliveries.c.alert_id.in_(list(alerts)), _deliveries.c.delivered_ms.is_not(None))
                .order_by(_deliveries.c.channel)
            )
            for row in reached:
                alerts[row.alert_id].delivered_to.append(row.channel)
        return list(alerts.values())

    def _any_due(self, now_ms: int) -> bool:
        with self._database.reading() as connection:
            found = connection.execute(
                sa.select(_deliveries.c.delivery_id)
                .where(_deliveries.c.delivered_ms.is_(None), _deliveries.c.due_ms <= now_ms)
                .limit(1)
            )
            return found.first() is not None

    def _claim(self, limit: int, now_ms: int, claim_ms: int) -> list[Delivery]:
        with self._database.begin() as connection:
            # Rows that another process is claiming are left to it; SQLite has one writer and no such clause.
            rows = connection.execute(
                sa.select(_deliveries, *(column.label(f"a_{column.name}") for column in _alerts.c))
                .join(_alerts, _alerts.c.alert_id == _deliveries.c.alert_id)
                .where(_deliveries.c.delivered_ms.is_(None), _deliveries.c.due_ms <= now_ms)
                .order_by(_deliveries.c.delivery_id)
                .limit(limit)
                .with_for_update(skip_locked=True, of=_deliveries)
            ).all()
            if rows:
                connection.execute(
                    sa.update(_deliveries)
                    .where(_deliveries.c.delivery_id.in_([row.delivery_id for row in rows]))
                    .values(due_ms=now_ms + claim_ms)
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
                _alert(row, "a_"),
            )
            for row in rows
        ]

    def _set(self, delivery_ids: Sequence[int], values: Mapping[str, Any]) -> None:
        with self._database.begin() as connection:
            connection.execute(
                sa.update(_deliveries).where(_deliveries.c.delivery_id.in_(delivery_ids)).values(**values)
            )


def _delivery_row(telling: Telling, channel: str, now_ms: int) -> dict[str, Any]:
    return {**telling._asdict(), "channel": channel, "attempts": 0, "due_ms": now_ms}


def _row(alert: alerts_pb2.Alert) -> dict[str, Any]:
    return {
        "alert_id": alert.alert_id,
        "group_key": group_key(alert),
        "tenant": alert.tenant,
        "kind": alert.kind,
        "entity_kind": alert.entity_kind,
        "entity": alert.entity,
        "severity": alert.severity,
        "count": alert.count,
        "first_ns": alert.first_time.ToNanoseconds(),
        "last_ns": alert.last_time.ToNanoseconds(),
        "first_event_id": alert.first_event_id,
        "last_event_id": alert.last_event_id,
        "reasons": json.dumps(list(alert.reasons), separators=(",", ":")),
        "summary": alert.summary,
    }


def _alert(row: Any, prefix: str = "") -> alerts_pb2.Alert:
    value = row._mapping
    alert = alerts_pb2.Alert(
        alert_id=value[prefix + "alert_id"],
        tenant=value[prefix + "tenant"],
        kind=value[prefix + "kind"],
        entity_kind=value[prefix + "entity_kind"],
        entity=value[prefix + "entity"],
        severity=value[prefix + "severity"],
        count=value[prefix + "count"],
        first_event_id=value[prefix + "first_event_id"],
        last_event_id=value[prefix + "last_event_id"],
        reasons=json.loads(value[prefix + "reasons"]),
        summary=value[prefix + "summary"],
    )
    alert.first_time.FromNanoseconds(value[prefix + "first_ns"])
    alert.last_time.FromNanoseconds(value[prefix + "last_ns"])
    return alert
