"""What the stores of alerts share: rows of alerts and deliveries, places in the order of changes. Within a transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from services.alerts import tables
from services.alerts.grouping import OPENED, Known, Telling, entity_key, group_key, step_id
from services.alerts.rules import Planned, Rules
from services.common.db import Database
from usher.alerts.v1 import alerts_pb2


def take_turns(database: Database, connection: sa.Connection, tenants: Iterable[str]) -> None:
    """Lets transactions on one tenant follow each other: SQLite has one writer, PostgreSQL gets a lock a tenant."""
    if database.dialect == "sqlite":
        return
    for tenant in sorted(set(tenants)):
        raw = hashlib.blake2b(f"usher alerts {tenant}".encode(), digest_size=8).digest()
        number = int.from_bytes(raw, "big", signed=True)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def next_number(connection: sa.Connection, name: str, n: int = 1) -> int:
    """Moves a sequence on by `n`; returns the first of the numbers given out. They follow the order of commits."""
    last = connection.execute(
        sa.text(
            "INSERT INTO sequences (name, n) VALUES (:name, :n) "
            "ON CONFLICT (name) DO UPDATE SET n = sequences.n + excluded.n RETURNING n"
        ),
        {"name": name, "n": n},
    ).scalar_one()
    return int(last) - n + 1


def insert(
    database: Database,
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    suffix: str = "",
) -> None:
    """Inserts rows of equal columns with few statements.

    Written out by hand: SQLAlchemy composes a statement of many rows anew each time, which cost 500 us a message, and
    executemany would let a busy event loop in between any two rows.
    """
    if not rows:
        return
    columns = list(rows[0])
    mark = "?" if database.dialect == "sqlite" else "%s"
    names = ", ".join(f'"{name}"' for name in columns)
    one = f"({', '.join([mark] * len(columns))})"
    # PostgreSQL takes at most 65,535 parameters a statement, SQLite 32,766.
    most = 30_000 // len(columns)
    for start in range(0, len(rows), most):
        chunk = rows[start : start + most]
        connection.exec_driver_sql(
            f"INSERT INTO {table.name} ({names}) VALUES {', '.join([one] * len(chunk))} {suffix}",
            tuple(row[name] for row in chunk for name in columns),
        )


_CHANGING = tuple(
    column.name
    for column in tables.alerts.c
    if column.name not in ("alert_id", "group_key", "tenant", "kind", "entity_kind", "entity", "entity_key")
)
_UPSERT = "ON CONFLICT (alert_id) DO UPDATE SET " + ", ".join(f'"{n}" = excluded."{n}"' for n in _CHANGING)


def write_alerts(
    database: Database,
    connection: sa.Connection,
    rules: Rules,
    alerts: Sequence[alerts_pb2.Alert],
    told: Mapping[str, int],
    ended: Mapping[str, int],
) -> None:
    """Writes alerts as they stand and gives each a new place in the order of changes.

    `told` and `ended` (Unix milliseconds) are by alert id, 0 where an id is missing.
    """
    if not alerts:
        return
    first = next_number(connection, "changed", len(alerts))
    rows = []
    for place, alert in enumerate(alerts, first):
        alert.changed = place
        rows.append(_row(alert, rules, told.get(alert.alert_id, 0), ended.get(alert.alert_id, 0)))
    insert(database, connection, tables.alerts, rows, _UPSERT)
    found = [
        {"tenant": alert.tenant, "kind": kind, "value": value, "alert_id": alert.alert_id}
        for alert in alerts
        for kind, value in {
            (alert.entity_kind or "entity", alert.entity),
            *((one.kind, one.value) for one in alert.subjects),
        }
    ]
    insert(database, connection, tables.subjects, found, "ON CONFLICT DO NOTHING")


def add_deliveries(
    database: Database,
    connection: sa.Connection,
    plans: Sequence[tuple[Telling, alerts_pb2.Alert, Sequence[Planned]]],
) -> None:
    """Writes what is to be told. What was planned for later steps of the same alerts before is called off."""
    # Of an alert that just opened nothing was planned before.
    cancel_steps(connection, [alert.alert_id for telling, alert, _ in plans if telling.change != OPENED])
    rows = [
        {
            "telling_id": step_id(telling.telling_id, planned.step),
            "channel": planned.channel,
            "alert_id": alert.alert_id,
            "change": telling.change if planned.step == 0 else "unacknowledged",
            "severity": telling.severity,
            "traceparent": telling.traceparent,
            "attempts": 0,
            "due_ms": planned.due_ms,
            "delivered_ms": None,
            "tenant": alert.tenant,
            "order_key": entity_key(alert),
            "state": tables.PENDING,
            "step": planned.step,
            "status": 0,
            "response": "",
            "failing_ms": 0,
        }
        for telling, alert, plan in plans
        for planned in plan
    ]
    insert(database, connection, tables.deliveries, rows, "ON CONFLICT (telling_id, channel) DO NOTHING")


def cancel_steps(connection: sa.Connection, alert_ids: Sequence[str], *, first: bool = False) -> None:
    """Calls off later steps of alerts; with `first` also first tellings that were not tried yet."""
    d = tables.deliveries.c
    for start in range(0, len(alert_ids), 500):
        which = sa.and_(d.alert_id.in_(alert_ids[start : start + 500]), d.state == tables.PENDING)
        which = sa.and_(which, sa.or_(d.step > 0, d.attempts == 0) if first else d.step > 0)
        connection.execute(sa.update(tables.deliveries).where(which).values(state=tables.CANCELLED))


def _row(alert: alerts_pb2.Alert, rules: Rules, told: int, ended_ms: int) -> dict[str, Any]:
    more = {
        "segment": alert.segment,
        "likelihood": alert.likelihood,
        "regulations": list(alert.regulations),
        "subjects": [(one.kind, one.value) for one in alert.subjects],
        "digest": [(one.kind, one.severity, one.count) for one in alert.digest],
    }
    return {
        "alert_id": alert.alert_id,
        "group_key": group_key(alert, rules.grouped(alert.kind).by),
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
        "entity_key": entity_key(alert),
        "ring_id": alert.ring_id,
        "state": alert.state or alerts_pb2.ALERT_STATE_OPEN,
        "assignee": alert.assignee,
        "incident": alert.incident,
        "expected_loss": alert.expected_loss,
        "silence": alert.silence,
        "digest_id": alert.digest_id,
        "told": told,
        "ended_ms": ended_ms,
        "changed": alert.changed,
        "more": orjson.dumps(more).decode(),
    }


def alert_of(row: Any, prefix: str = "") -> alerts_pb2.Alert:
    """The alert of a row; its columns' names begin with `prefix`."""
    value = row._mapping
    more = orjson.loads(value[prefix + "more"])
    alert = alerts_pb2.Alert(
        segment=more["segment"], likelihood=more["likelihood"], regulations=more["regulations"]
    )
    for kind, subject in more["subjects"]:
        alert.subjects.add(kind=kind, value=subject)
    for kind, severity, count in more["digest"]:
        alert.digest.add(kind=kind, severity=severity, count=count)
    for name in (
        *("alert_id", "tenant", "kind", "entity_kind", "entity", "severity", "count", "first_event_id"),
        *("last_event_id", "summary", "ring_id", "state", "assignee", "incident", "expected_loss", "silence"),
        *("digest_id", "changed"),
    ):
        setattr(alert, name, value[prefix + name])
    alert.reasons.extend(json.loads(value[prefix + "reasons"]))
    alert.first_time.FromNanoseconds(value[prefix + "first_ns"])
    alert.last_time.FromNanoseconds(value[prefix + "last_ns"])
    return alert


def complete(connection: sa.Connection, alerts: Sequence[alerts_pb2.Alert]) -> None:
    """Fills in what lies in rows of their own: the events of alerts, and the channels that have told them."""
    by_id = {alert.alert_id: alert for alert in alerts}
    d, e = tables.deliveries.c, tables.events.c
    ids = list(by_id)
    for start in range(0, len(ids), 500):
        some = ids[start : start + 500]
        for alert_id, event_id in connection.execute(
            sa.select(e.alert_id, e.event_id).where(e.alert_id.in_(some)).order_by(e.n)
        ):
            by_id[alert_id].event_ids.append(event_id)
        for alert_id, channel in connection.execute(
            sa.select(d.alert_id, d.channel)
            .distinct()
            .where(d.alert_id.in_(some), d.delivered_ms.is_not(None))
            .order_by(d.channel)
        ):
            by_id[alert_id].delivered_to.append(channel)


def known_of(row: Any) -> Known:
    """The alert of a row with what the grouping needs beside it."""
    return Known(alert_of(row), row.told, row.ended_ms * 1_000_000)
