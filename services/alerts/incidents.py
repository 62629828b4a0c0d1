"""Incidents: states, deadlines, numbers, and what a resolution says. Pure.

open -> acknowledged -> investigating -> resolved or false alarm; every state but the last two may go to any later one,
and what has ended may only be opened again. Deadlines run from the opening (or the re-opening) by severity.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Sequence

from services.alerts.rules import Rules
from services.common.errors import FailedPrecondition
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import labels_pb2

OPEN, ACKNOWLEDGED = alerts_pb2.INCIDENT_STATE_OPEN, alerts_pb2.INCIDENT_STATE_ACKNOWLEDGED
INVESTIGATING = alerts_pb2.INCIDENT_STATE_INVESTIGATING
RESOLVED, FALSE_ALARM = alerts_pb2.INCIDENT_STATE_RESOLVED, alerts_pb2.INCIDENT_STATE_FALSE_ALARM
ENDED = frozenset({RESOLVED, FALSE_ALARM})
OVERDUE_KIND = "incident.overdue"
"""Kind of the message that an incident is late."""
MAX_EVENTS = 1_000
MAX_ALERTS = 1_000
NUMBER = re.compile(r"INC-\d{4}-\d{5,9}")

_FOLLOWS: dict[int, tuple[int, ...]] = {
    OPEN: (ACKNOWLEDGED, INVESTIGATING, RESOLVED, FALSE_ALARM),
    ACKNOWLEDGED: (INVESTIGATING, RESOLVED, FALSE_ALARM),
    INVESTIGATING: (RESOLVED, FALSE_ALARM),
    RESOLVED: (OPEN,),
    FALSE_ALARM: (OPEN,),
}


def state_name(state: int) -> str:
    """ "open", "acknowledged", "investigating", "resolved", "false_alarm"."""
    name: str = alerts_pb2.IncidentState.Name(state)  # type: ignore[arg-type]
    return name.removeprefix("INCIDENT_STATE_").lower()


def number_of(now_ms: int, sequence: int) -> str:
    """The number of an incident: year (UTC) and place within it."""
    year = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC).year
    return f"INC-{year:04d}-{sequence:05d}"


def opened(
    alert: alerts_pb2.Alert, number: str, rules: Rules, now_ms: int, title: str = ""
) -> alerts_pb2.Incident:
    """A new incident over an alert."""
    incident = alerts_pb2.Incident(
        number=number,
        tenant=alert.tenant,
        title=title or alert.summary or alert.kind,
        state=OPEN,
        severity=alert.severity,
        entity_kind=alert.entity_kind,
        entity=alert.entity,
    )
    incident.created_time.FromMilliseconds(now_ms)
    set_deadlines(incident, rules, now_ms)
    join(incident, alert)
    return incident


def set_deadlines(incident: alerts_pb2.Incident, rules: Rules, from_ms: int) -> None:
    """Sets when the incident is to be acknowledged and resolved, counted from a moment."""
    level = rules.service_levels[incident.severity or alerts_pb2.SEVERITY_LOW]
    incident.acknowledge_by_time.FromMilliseconds(from_ms + level.acknowledge_ms)
    incident.resolve_by_time.FromMilliseconds(from_ms + level.resolve_ms)


def join(incident: alerts_pb2.Incident, alert: alerts_pb2.Alert) -> bool:
    """Adds an alert; returns whether it made the incident graver."""
    incident.ring_id = incident.ring_id or alert.ring_id
    alert.incident = incident.number
    graver = alert.severity > incident.severity
    if graver:
        incident.severity = alert.severity
    return graver


def may_reopen(incident: alerts_pb2.Incident, alert: alerts_pb2.Alert, rules: Rules, now_ms: int) -> bool:
    """Whether an alert about the same thing opens an ended incident again.

    Within the time that the rules say; one that was a false alarm only for something graver.
    """
    if incident.state not in ENDED or incident.resolved_time.ToMilliseconds() < now_ms - rules.reopen_ms:
        return False
    return incident.state == RESOLVED or alert.severity > incident.severity


def move(incident: alerts_pb2.Incident, state: int, rules: Rules, now_ms: int) -> bool:
    """Moves an incident to a state; returns whether that changed anything.

    Raises FailedPrecondition (INCIDENT_STATE) where the state may not follow.
    """
    if state == incident.state:
        return False
    if state not in _FOLLOWS[incident.state]:
        following = ", ".join(state_name(one) for one in _FOLLOWS[incident.state])
        raise FailedPrecondition(
            "INCIDENT_STATE",
            f"{incident.number} is {state_name(incident.state)}; what may follow is {following}",
            metadata={"state": state_name(incident.state)},
        )
    incident.state = state  # type: ignore[assignment]
    if state == OPEN:
        incident.reopened += 1
        incident.ClearField("resolved_time")
        incident.ClearField("acknowledged_time")
        incident.overdue = ""
        set_deadlines(incident, rules, now_ms)
    else:
        if not incident.HasField("acknowledged_time"):
            incident.acknowledged_time.FromMilliseconds(now_ms)
        if state in ENDED:
            incident.resolved_time.FromMilliseconds(now_ms)
    return True


def late(incident: alerts_pb2.Incident, now_ms: int) -> str:
    """What is late: "resolve", "acknowledge" or nothing."""
    if incident.state in ENDED:
        return ""
    if now_ms >= incident.resolve_by_time.ToMilliseconds():
        return "resolve"
    if incident.state == OPEN and now_ms >= incident.acknowledge_by_time.ToMilliseconds():
        return "acknowledge"
    return ""


def decided_events(alert: alerts_pb2.Alert) -> Sequence[str]:
    """The events of an alert that decisions were made on; other alerts' ids name no event."""
    return alert.event_ids if alert.kind.startswith("decision.") else ()


def labels_of(
    event_ids: Iterable[str], *, confirmed: bool, reference: str, actor: str, now_ms: int, repeat: int = 0
) -> Sequence[labels_pb2.Label]:
    """The labels that a resolution writes: fraud confirmed or false alarm, one an event.

    Ids are made of the reference and the event, so that writing them twice is once; a resolution after a re-opening
    (`repeat`) writes new ones, which correct the old.
    """
    found = []
    for event_id in event_ids:
        suffix = f".{repeat}" if repeat else ""
        label = labels_pb2.Label(
            label_id=f"{reference}{suffix}:{event_id}"[:255],
            subject_kind=labels_pb2.LABEL_SUBJECT_EVENT,
            subject=event_id,
            kind=labels_pb2.LABEL_KIND_FRAUD_CONFIRMED if confirmed else labels_pb2.LABEL_KIND_FALSE_ALARM,
            source="incident" if NUMBER.fullmatch(reference) else "analyst",
            actor=actor,
            reference=reference,
        )
        label.label_time.FromMilliseconds(now_ms)
        found.append(label)
    return found
