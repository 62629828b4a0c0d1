"""Incidents and their timelines. The functions run within a transaction of `store`; `IncidentStore` has its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from google.protobuf import json_format

from services.alerts import incidents, tables
from services.alerts.grouping import STORM_KIND, Known, digest, entity_key, ring_of
from services.alerts.rules import Rules
from services.alerts.store_rows import cancel_steps, complete, known_of, next_number, take_turns, write_alerts
from services.common.db import Database
from services.common.errors import InvalidArgument, NotFound
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2

USHER = "usher"
"""Actor of what the mesh does by itself."""
_CHUNK = 500
_I = tables.incidents.c
_OF_INCIDENT = {
    incidents.ACKNOWLEDGED: alerts_pb2.ALERT_STATE_ACKNOWLEDGED,
    incidents.INVESTIGATING: alerts_pb2.ALERT_STATE_ACKNOWLEDGED,
    incidents.RESOLVED: alerts_pb2.ALERT_STATE_RESOLVED,
    incidents.FALSE_ALARM: alerts_pb2.ALERT_STATE_FALSE_ALARM,
    incidents.OPEN: alerts_pb2.ALERT_STATE_OPEN,
}


def open_for(
    database: Database,
    connection: sa.Connection,
    rules: Rules,
    alerts: Sequence[alerts_pb2.Alert],
    now_ms: int,
) -> list[alerts_pb2.Alert]:
    """Puts alerts that the rules say so into incidents, new or old ones; returns those that opened one again."""
    wanting = [
        alert
        for alert in alerts
        # A late incident opens no other, and a digest stands for alerts that open their own.
        if alert.kind not in (incidents.OVERDUE_KIND, STORM_KIND)
        and rules.opens_incident(alert.kind, alert.severity)
    ]
    if not wanting:
        return []
    found = _candidates(connection, wanting, now_ms - rules.reopen_ms)
    by_number = {(one.tenant, one.number): one for one in found}
    reopened = []
    touched: dict[tuple[str, str], alerts_pb2.Incident] = {}
    for alert in wanting:
        if alert.incident:
            known = by_number.get((alert.tenant, alert.incident)) or read(
                connection, alert.tenant, alert.incident
            )
            if known is None or known.state in incidents.ENDED:
                continue
            by_number[(alert.tenant, alert.incident)] = known
            before = known.severity
            if incidents.join(known, alert):
                _graver(connection, known, before, rules, now_ms)
            touched[(known.tenant, known.number)] = known
            continue
        fitting = [one for one in by_number.values() if _same(one, alert)]
        alive = [one for one in fitting if one.state not in incidents.ENDED]
        ended = [one for one in fitting if incidents.may_reopen(one, alert, rules, now_ms)]
        if alive:
            incident = alive[0]
            before = incident.severity
            if incidents.join(incident, alert):
                _graver(connection, incident, before, rules, now_ms)
            write_line(connection, incident, now_ms, USHER, "alert", f"{alert.kind} joined")
        elif ended:
            incident = max(ended, key=lambda one: one.resolved_time.ToMilliseconds())
            incidents.join(incident, alert)
            incidents.move(incident, incidents.OPEN, rules, now_ms)
            write_line(connection, incident, now_ms, USHER, "reopened", f"{alert.kind} came again")
            reopened.append(alert)
        else:
            incident = incidents.opened(alert, _number(connection, alert.tenant, now_ms), rules, now_ms)
            write_line(connection, incident, now_ms, USHER, "opened", f"by the rules, for {alert.kind}")
            by_number[(incident.tenant, incident.number)] = incident
        touched[(incident.tenant, incident.number)] = incident
    for incident in touched.values():
        write(connection, incident)
    return reopened


def _candidates(
    connection: sa.Connection, alerts: Sequence[alerts_pb2.Alert], since_ms: int
) -> list[alerts_pb2.Incident]:
    recent = sa.or_(_I.ended_ms == 0, _I.ended_ms >= since_ms)
    entities = list({entity_key(alert) for alert in alerts})
    rings = list({(alert.tenant, ring_of(alert)) for alert in alerts if ring_of(alert)})
    found: dict[tuple[str, str], alerts_pb2.Incident] = {}
    for start in range(0, max(len(entities), len(rings)), _CHUNK):
        clauses: list[Any] = [_I.entity_key.in_(entities[start : start + _CHUNK])]
        for tenant in {tenant for tenant, _ in rings}:
            some = [ring for owner, ring in rings[start : start + _CHUNK] if owner == tenant]
            if some:
                clauses.append(sa.and_(_I.tenant == tenant, _I.ring_id.in_(some)))
        for clause in clauses:
            for body in connection.execute(sa.select(_I.body).where(clause, recent)).scalars():
                one = _incident(body)
                found[(one.tenant, one.number)] = one
    return list(found.values())


def _same(incident: alerts_pb2.Incident, alert: alerts_pb2.Alert) -> bool:
    if incident.tenant != alert.tenant:
        return False
    ring = ring_of(alert)
    if ring and incident.ring_id == ring:
        return True
    return (incident.entity_kind, incident.entity) == (alert.entity_kind, alert.entity)


def _graver(
    connection: sa.Connection, incident: alerts_pb2.Incident, before: int, rules: Rules, now_ms: int
) -> None:
    incidents.set_deadlines(incident, rules, incident.created_time.ToMilliseconds())
    name = alerts_pb2.Severity.Name(incident.severity).removeprefix("SEVERITY_").lower()
    write_line(connection, incident, now_ms, USHER, "severity", f"now {name}")


def _number(connection: sa.Connection, tenant: str, now_ms: int) -> str:
    year = incidents.number_of(now_ms, 0)[4:8]
    return incidents.number_of(now_ms, next_number(connection, f"incident:{tenant}:{year}"))


def write(connection: sa.Connection, incident: alerts_pb2.Incident, request_id: str | None = None) -> None:
    """Writes an incident as it stands."""
    bare = alerts_pb2.Incident()
    bare.CopyFrom(incident)
    # Both are found by the alerts that name the incident.
    bare.ClearField("alert_ids")
    bare.ClearField("event_ids")
    ended = incident.state in incidents.ENDED
    deadline = 0
    if not ended and incident.overdue != "resolve":
        waits = incident.state == incidents.OPEN and not incident.overdue
        due = incident.acknowledge_by_time if waits else incident.resolve_by_time
        deadline = due.ToMilliseconds()
    values = {
        "state": incident.state,
        "assignee": incident.assignee,
        "entity_key": digest(incident.tenant, incident.entity_kind, incident.entity),
        "ring_id": incident.ring_id,
        "deadline_ms": deadline,
        "ended_ms": incident.resolved_time.ToMilliseconds() if ended else 0,
        "entity_kind": incident.entity_kind,
        "entity": incident.entity,
        "body": json_format.MessageToJson(bare, indent=None),
    }
    which = sa.and_(_I.tenant == incident.tenant, _I.number == incident.number)
    if not connection.execute(sa.update(tables.incidents).where(which).values(values)).rowcount:
        connection.execute(
            sa.insert(tables.incidents).values(
                tenant=incident.tenant,
                number=incident.number,
                id=next_number(connection, "incident"),
                request_id=request_id,
                **values,
            )
        )


def write_line(
    connection: sa.Connection, incident: alerts_pb2.Incident, now_ms: int, actor: str, what: str, text: str
) -> None:
    """Adds a line to an incident's timeline."""
    connection.execute(
        sa.insert(tables.timeline).values(
            tenant=incident.tenant, number=incident.number, at_ms=now_ms, actor=actor, what=what, text=text
        )
    )


def read(connection: sa.Connection, tenant: str, number: str) -> alerts_pb2.Incident | None:
    """One incident."""
    body = connection.execute(sa.select(_I.body).where(_I.tenant == tenant, _I.number == number)).scalar()
    return None if body is None else _incident(body)


def _incident(body: str) -> alerts_pb2.Incident:
    return json_format.Parse(body, alerts_pb2.Incident())


def alerts_of(connection: sa.Connection, incident: alerts_pb2.Incident) -> list[Known]:
    """The alerts of an incident, with their events; at most 1,000."""
    a = tables.alerts.c
    rows = connection.execute(
        sa.select(tables.alerts)
        .where(a.tenant == incident.tenant, a.incident == incident.number)
        .order_by(a.first_ns, a.alert_id)
        .limit(incidents.MAX_ALERTS)
    )
    found = [known_of(row) for row in rows]
    complete(connection, [one.alert for one in found])
    return found


def fill(connection: sa.Connection, incident: alerts_pb2.Incident) -> alerts_pb2.Incident:
    """The incident with the ids of its alerts and decisions."""
    known = alerts_of(connection, incident)
    del incident.alert_ids[:]
    del incident.event_ids[:]
    incident.alert_ids.extend(one.alert.alert_id for one in known)
    events = dict.fromkeys(event for one in known for event in incidents.decided_events(one.alert))
    incident.event_ids.extend(list(events)[: incidents.MAX_EVENTS])
    return incident


def note_act(
    connection: sa.Connection,
    alerts: Sequence[alerts_pb2.Alert],
    act: int,
    actor: str,
    note: str,
    now_ms: int,
) -> None:
    """Writes what was done with alerts into the timelines of their incidents."""
    name = alerts_pb2.AlertAct.Name(act).removeprefix("ALERT_ACT_").lower()  # type: ignore[arg-type]
    for tenant, number in sorted({(alert.tenant, alert.incident) for alert in alerts if alert.incident}):
        count = sum(alert.incident == number for alert in alerts)
        text = f"{name}, {count} {'alert' if count == 1 else 'alerts'}" + (f": {note}" if note else "")
        write_line(
            connection, alerts_pb2.Incident(tenant=tenant, number=number), now_ms, actor, "alert", text
        )


def any_late(connection: sa.Connection, now_ms: int) -> bool:
    """Whether an incident has become late."""
    query = sa.select(_I.number).where(_I.deadline_ms > 0, _I.deadline_ms <= now_ms).limit(1)
    return connection.execute(query).first() is not None


def late(connection: sa.Connection, now_ms: int) -> list[alerts_pb2.Incident]:
    """Incidents that have become late, at most 100."""
    query = sa.select(_I.body).where(_I.deadline_ms > 0, _I.deadline_ms <= now_ms).limit(100)
    return [_incident(body) for body in connection.execute(query).scalars()]


def mark_late(
    connection: sa.Connection, found: Sequence[alerts_pb2.Incident], now_ms: int
) -> list[alerts_pb2.AlertMessage]:
    """Notes what is late; returns the messages that tell it, one an incident and deadline."""
    messages = []
    for incident in found:
        what = incidents.late(incident, now_ms)
        if what and what != incident.overdue:
            incident.overdue = what
            write_line(connection, incident, now_ms, USHER, "overdue", f"not {what}d in time")
            message = alerts_pb2.AlertMessage(
                tenant=incident.tenant,
                event_id=f"{incident.number}.{what}.{incident.reopened}",
                kind=incidents.OVERDUE_KIND,
                entity_kind="incident",
                entity=incident.number,
                severity=max(incident.severity, alerts_pb2.SEVERITY_MEDIUM),
                summary=f"{incident.number} was not {what}d in time",
            )
            message.event_time.FromMilliseconds(now_ms)
            messages.append(message)
        write(connection, incident)
    return messages


class IncidentStore:
    """Incidents as people work with them."""

    def __init__(self, database: Database, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    async def create(self, request: alerts_pb2.CreateIncidentRequest, now_ms: int) -> alerts_pb2.Incident:
        """Opens an incident by hand. Raises NotFound (ALERT_UNKNOWN)."""

        def run() -> alerts_pb2.Incident:
            with self._database.begin() as connection:
                take_turns(self._database, connection, {request.tenant})
                if request.request_id:
                    before = connection.execute(
                        sa.select(_I.body).where(
                            _I.tenant == request.tenant, _I.request_id == request.request_id
                        )
                    ).scalar()
                    if before is not None:
                        return fill(connection, _incident(before))
                known = self._alerts(connection, request.tenant, request.alert_ids)
                gravest = max((one.alert for one in known), key=lambda alert: alert.severity)
                number = _number(connection, request.tenant, now_ms)
                incident = incidents.opened(gravest, number, self._rules, now_ms, request.title)
                for one in known:
                    incidents.join(incident, one.alert)
                if request.severity:
                    incident.severity = request.severity
                incidents.set_deadlines(incident, self._rules, now_ms)
                write(connection, incident, request.request_id or None)
                write_line(connection, incident, now_ms, request.actor, "opened", request.title)
                self._write_alerts(connection, known)
                return fill(connection, incident)

        return await self._database.run(run)

    async def get(
        self, tenant: str, number: str
    ) -> tuple[alerts_pb2.Incident, list[alerts_pb2.TimelineEntry]]:
        """An incident and its timeline. Raises NotFound (INCIDENT_UNKNOWN)."""

        def run() -> tuple[alerts_pb2.Incident, list[alerts_pb2.TimelineEntry]]:
            t = tables.timeline.c
            with self._database.reading() as connection:
                incident = fill(connection, _must(read(connection, tenant, number)))
                rows = connection.execute(
                    sa.select(t.at_ms, t.actor, t.what, t.text)
                    .where(t.tenant == tenant, t.number == number)
                    .order_by(t.id.desc())
                    .limit(1_000)
                ).all()
            lines = []
            for row in reversed(rows):
                line = alerts_pb2.TimelineEntry(actor=row.actor, what=row.what, text=row.text)
                line.time.FromMilliseconds(row.at_ms)
                lines.append(line)
            return incident, lines

        return await self._database.read(run)

    async def page(
        self, tenant: str, states: Sequence[int], assignee: str, limit: int, before: int
    ) -> list[tuple[int, alerts_pb2.Incident]]:
        """Ids and incidents below an id, newest first."""

        def run() -> list[tuple[int, alerts_pb2.Incident]]:
            query = sa.select(_I.id, _I.body).where(_I.tenant == tenant, _I.id < before)
            if states:
                query = query.where(_I.state.in_(list(states)))
            if assignee:
                query = query.where(_I.assignee == assignee)
            with self._database.reading() as connection:
                rows = connection.execute(query.order_by(_I.id.desc()).limit(limit)).all()
                return [(row.id, fill(connection, _incident(row.body))) for row in rows]

        return await self._database.read(run)

    async def update(self, request: alerts_pb2.UpdateIncidentRequest, now_ms: int) -> alerts_pb2.Incident:
        """Changes an incident as asked. Raises NotFound, FailedPrecondition (INCIDENT_STATE)."""
        return await self._database.run(self._update, request, now_ms)

    def _update(self, request: alerts_pb2.UpdateIncidentRequest, now_ms: int) -> alerts_pb2.Incident:
        actor = request.actor
        with self._database.begin() as connection:
            take_turns(self._database, connection, {request.tenant})
            incident = _must(read(connection, request.tenant, request.number))
            if request.add_alert_ids:
                known = self._alerts(connection, request.tenant, request.add_alert_ids)
                for one in known:
                    incidents.join(incident, one.alert)
                self._write_alerts(connection, known)
                write_line(connection, incident, now_ms, actor, "alert", f"{len(known)} alerts added")
            if request.severity and request.severity != incident.severity:
                incident.severity = request.severity
                incidents.set_deadlines(incident, self._rules, incident.created_time.ToMilliseconds())
                name = alerts_pb2.Severity.Name(incident.severity).removeprefix("SEVERITY_").lower()
                write_line(connection, incident, now_ms, actor, "severity", f"now {name}")
            if request.assign and request.assignee != incident.assignee:
                incident.assignee = request.assignee
                write_line(connection, incident, now_ms, actor, "assigned", request.assignee or "nobody")
            if request.note:
                write_line(connection, incident, now_ms, actor, "note", request.note)
            if request.link:
                write_line(connection, incident, now_ms, actor, "link", request.link)
            if request.state and incidents.move(incident, request.state, self._rules, now_ms):
                write_line(connection, incident, now_ms, actor, "state", incidents.state_name(incident.state))
                self._move_alerts(connection, incident, now_ms)
                if incident.state in incidents.ENDED:
                    self._label(connection, incident, actor, now_ms)
            write(connection, incident)
            return fill(connection, incident)

    def _alerts(self, connection: sa.Connection, tenant: str, alert_ids: Sequence[str]) -> list[Any]:
        a = tables.alerts.c
        ids = list(dict.fromkeys(alert_ids))
        found = []
        for start in range(0, len(ids), _CHUNK):
            query = sa.select(tables.alerts).where(
                a.tenant == tenant, a.alert_id.in_(ids[start : start + _CHUNK])
            )
            found += [known_of(row) for row in connection.execute(query)]
        missing = set(ids) - {one.alert.alert_id for one in found}
        if missing:
            raise NotFound(
                "ALERT_UNKNOWN", f"{len(missing)} of these alerts are unknown, {min(missing)} among them"
            )
        return found

    def _write_alerts(
        self, connection: sa.Connection, known: Sequence[Any], ended_ms: int | None = None
    ) -> None:
        told = {one.alert.alert_id: one.told for one in known}
        ended = {
            one.alert.alert_id: one.ended_ns // 1_000_000 if ended_ms is None else ended_ms for one in known
        }
        write_alerts(self._database, connection, self._rules, [one.alert for one in known], told, ended)

    def _move_alerts(self, connection: sa.Connection, incident: alerts_pb2.Incident, now_ms: int) -> None:
        """The incident's alerts go along with it; what was planned to tell of them is called off."""
        state = _OF_INCIDENT[incident.state]
        known = [one for one in alerts_of(connection, incident) if one.alert.state != state]
        for one in known:
            one.alert.state = state
        ended = incident.state in incidents.ENDED
        self._write_alerts(connection, known, now_ms if ended else 0)
        if incident.state != incidents.OPEN:
            cancel_steps(connection, [one.alert.alert_id for one in known], first=ended)

    def _label(
        self, connection: sa.Connection, incident: alerts_pb2.Incident, actor: str, now_ms: int
    ) -> None:
        new = incidents.labels_of(
            fill(connection, incident).event_ids,
            confirmed=incident.state == incidents.RESOLVED,
            reference=incident.number,
            actor=actor,
            now_ms=now_ms,
            repeat=incident.reopened,
        )
        for start in range(0, len(new), 1_000):
            body = labels_pb2.RecordLabelsRequest(
                tenant=incident.tenant, labels=new[start : start + 1_000]
            ).SerializeToString()
            connection.execute(
                sa.insert(tables.outbox).values(tenant=incident.tenant, due_ms=now_ms, attempts=0, body=body)
            )
        write_line(connection, incident, now_ms, USHER, "labels", f"{len(new)} labels written")


def _must(incident: alerts_pb2.Incident | None) -> alerts_pb2.Incident:
    if incident is None:
        raise NotFound("INCIDENT_UNKNOWN", "this tenant has no incident of this number")
    return incident


def checked_number(number: str) -> str:
    """The number of an incident. Raises InvalidArgument (INCIDENT_INVALID)."""
    if not incidents.NUMBER.fullmatch(number):
        raise InvalidArgument("INCIDENT_INVALID", "an incident is named INC-2026-00042")
    return number
