"""Which messages make one alert, and whether people are to be told of it now. Pure.

Group key: tenant, kind and, as the rules say, the entity, its ring or nothing more. A message joins the alert of its key
whose time it lies within, or at most the window before its first or after its last message, by event time; else it
opens a new one. So late messages find the alert they belong to, and an alert that went quiet is not woken by tomorrow's
trouble. An alert that was dealt with takes no newer message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from services.alerts.rules import Rules, likelihood_of
from services.common.telemetry import parse_traceparent
from usher.alerts.v1 import alerts_pb2

MAX_REASONS_PER_ALERT = 32
"""Distinct reasons an alert keeps, those told first; more would say nothing that the first do not."""
MAX_EVENTS_PER_ALERT = 100
"""Events an alert names, those of its first messages."""
MAX_SUBJECTS_PER_ALERT = 64
MAX_REGULATIONS_PER_ALERT = 32

OPENED = "opened"
ESCALATED = "escalated"
UNACKNOWLEDGED = "unacknowledged"
SNOOZE_ENDED = "snooze_ended"
DIGEST = "digest"
REOPENED = "reopened"

STORM_KIND = "storm"
ENDED = frozenset({alerts_pb2.ALERT_STATE_RESOLVED, alerts_pb2.ALERT_STATE_FALSE_ALARM})
_RING = "ring"


class Telling(NamedTuple):
    """Something that people are to be told."""

    telling_id: str
    """"telling_" and 32 hexadecimal digits; the same for the same alert, severity and step, however often it is sent."""
    alert_id: str
    change: str
    severity: int
    """The severity it reached, a value of usher.alerts.v1.Severity."""
    traceparent: str
    """Of the message that caused it; empty where it carried none that can be read."""


class Known(NamedTuple):
    """An alert as the store keeps it."""

    alert: alerts_pb2.Alert
    told: int
    """The highest severity that people were told of, or that a digest tells; 0: none."""
    ended_ns: int
    """When it was dealt with; 0: it was not."""


def message_key(message: alerts_pb2.AlertMessage) -> bytes:
    """Returns the 16 bytes that make delivery of a message idempotent: a hash of tenant, event_id and kind."""
    return digest(message.tenant, message.event_id, message.kind)


def group_key(message: alerts_pb2.AlertMessage | alerts_pb2.Alert, by: str = "entity") -> bytes:
    """Returns the 16 bytes that messages of one alert share."""
    if by == "kind":
        return digest(message.tenant, message.kind)
    ring = ring_of(message)
    if by == _RING and ring:
        return digest(message.tenant, message.kind, _RING, ring)
    return digest(message.tenant, message.kind, message.entity_kind, message.entity)


def entity_key(one: alerts_pb2.AlertMessage | alerts_pb2.Alert) -> bytes:
    """Returns the 16 bytes that everything about one entity shares, whatever its kind."""
    return digest(one.tenant, one.entity_kind, one.entity)


def ring_of(one: alerts_pb2.AlertMessage | alerts_pb2.Alert) -> str:
    """The ring that a message or alert concerns; empty where there is none."""
    return one.ring_id or (one.entity if one.entity_kind == _RING else "")


def severity_of(message: alerts_pb2.AlertMessage) -> alerts_pb2.Severity:
    """Returns the message's severity; unspecified counts as LOW."""
    return message.severity or alerts_pb2.SEVERITY_LOW


def telling(alert: alerts_pb2.Alert, change: str, traceparent: str, repeat: str = "") -> Telling:
    """A telling of an alert at its severity. `repeat` tells a further one of the same severity apart."""
    parts = f"{alert.alert_id}:{alert.severity}" + (f":{repeat}" if repeat else "")
    identity = blake2b(parts.encode(), digest_size=16).hexdigest()
    trace = traceparent if parse_traceparent(traceparent) is not None else ""
    return Telling(f"telling_{identity}", alert.alert_id, change, alert.severity, trace)


def step_id(telling_id: str, step: int) -> str:
    """The id of an escalation step of a telling; the telling's own for the first."""
    return telling_id if step == 0 else f"{telling_id}.{step}"


class Grouping:
    """Takes the messages of one transaction, in order.

    `known` maps the keys of messages seen before to their alert; `alerts` are those that a message may join. Afterwards
    `changed` holds every alert that is new or different, `new_keys` the messages taken, `new_events` their events, and
    `candidates()` what people are to be told unless something keeps it quiet.
    """

    def __init__(self, rules: Rules, known: Mapping[bytes, str], alerts: Iterable[Known]) -> None:
        self._rules = rules
        self._known = known
        self._by_group: dict[bytes, list[Known]] = defaultdict(list)
        self.told: dict[str, int] = {}
        for one in alerts:
            self._by_group[group_key(one.alert, rules.grouped(one.alert.kind).by)].append(one)
            self.told[one.alert.alert_id] = one.told
        self._traces: dict[str, str] = {}
        self.changed: dict[str, alerts_pb2.Alert] = {}
        self.new_keys: dict[bytes, str] = {}
        self.new_events: list[tuple[str, str]] = []
        """Alert and event, for the first hundred of each alert."""

    def take(self, message: alerts_pb2.AlertMessage, received_ns: int) -> alerts_pb2.RaiseResult:
        """Puts one valid message where it belongs. `received_ns` stands in for an absent event_time."""
        key = message_key(message)
        before = self._known.get(key) or self.new_keys.get(key)
        if before is not None:
            return alerts_pb2.RaiseResult(status=alerts_pb2.RAISE_STATUS_DUPLICATE, alert_id=before)
        time_ns = message.event_time.ToNanoseconds() if message.HasField("event_time") else received_ns
        grouped = self._rules.grouped(message.kind)
        group = group_key(message, grouped.by)
        alert = self._within(group, time_ns, grouped.window_ns)
        if alert is None:
            status = alerts_pb2.RAISE_STATUS_OPENED
            alert = self._open(message, group, key, time_ns)
        else:
            status = alerts_pb2.RAISE_STATUS_GROUPED
            self._join(alert, message, time_ns)
        if message.traceparent:
            self._traces.setdefault(alert.alert_id, message.traceparent)
        self.changed[alert.alert_id] = alert
        self.new_keys[key] = alert.alert_id
        return alerts_pb2.RaiseResult(status=status, alert_id=alert.alert_id)

    def candidates(self) -> list[Telling]:
        """What is to be told: one a changed alert at most, with the highest severity it reached."""
        found = []
        for alert_id, alert in self.changed.items():
            told = self.told.get(alert_id, 0)
            if alert.severity > told and alert.state not in ENDED:
                change = ESCALATED if told else OPENED
                found.append(telling(alert, change, self._traces.get(alert_id, "")))
        return found

    def _within(self, group: bytes, time_ns: int, window_ns: int) -> alerts_pb2.Alert | None:
        fitting = [
            one.alert
            for one in self._by_group[group]
            if one.alert.first_time.ToNanoseconds() - window_ns
            <= time_ns
            <= one.alert.last_time.ToNanoseconds() + window_ns
            and not 0 < one.ended_ns < time_ns
        ]
        # A late message may lie between two alerts: the later one is the one people are looking at.
        return max(fitting, key=lambda alert: (alert.last_time.ToNanoseconds(), alert.alert_id), default=None)

    def _open(
        self, message: alerts_pb2.AlertMessage, group: bytes, key: bytes, time_ns: int
    ) -> alerts_pb2.Alert:
        alert = alerts_pb2.Alert(
            # Of the message that opened it: a call that is repeated after a crash opens the same alert.
            alert_id=f"alert_{blake2b(group + key, digest_size=16).hexdigest()}",
            tenant=message.tenant,
            kind=message.kind,
            entity_kind=message.entity_kind,
            entity=message.entity,
            severity=severity_of(message),
            count=1,
            first_event_id=message.event_id,
            last_event_id=message.event_id,
            summary=message.summary,
            state=alerts_pb2.ALERT_STATE_OPEN,
        )
        alert.first_time.FromNanoseconds(time_ns)
        alert.last_time.FromNanoseconds(time_ns)
        self._gather(alert, message)
        self._by_group[group].append(Known(alert, 0, 0))
        return alert

    def _join(self, alert: alerts_pb2.Alert, message: alerts_pb2.AlertMessage, time_ns: int) -> None:
        alert.count += 1
        if time_ns < alert.first_time.ToNanoseconds():
            alert.first_time.FromNanoseconds(time_ns)
            alert.first_event_id = message.event_id
            alert.summary = message.summary
        if time_ns >= alert.last_time.ToNanoseconds():
            alert.last_time.FromNanoseconds(time_ns)
            alert.last_event_id = message.event_id
        self._gather(alert, message)
        if severity_of(message) > alert.severity:
            alert.severity = severity_of(message)
            self._traces[alert.alert_id] = message.traceparent
            if alert.state == alerts_pb2.ALERT_STATE_ACKNOWLEDGED:
                # What was acknowledged was less than this.
                alert.state = alerts_pb2.ALERT_STATE_OPEN

    def _gather(self, alert: alerts_pb2.Alert, message: alerts_pb2.AlertMessage) -> None:
        _add(alert.reasons, message.reasons, MAX_REASONS_PER_ALERT)
        _add(alert.regulations, message.regulations, MAX_REGULATIONS_PER_ALERT)
        if alert.count <= MAX_EVENTS_PER_ALERT:
            self.new_events.append((alert.alert_id, message.event_id))
        known = {(one.kind, one.value) for one in alert.subjects}
        for one in message.subjects:
            if (one.kind, one.value) not in known and len(known) < MAX_SUBJECTS_PER_ALERT:
                known.add((one.kind, one.value))
                alert.subjects.add(kind=one.kind, value=one.value)
        if message.segment:
            alert.segment = message.segment
        if ring_of(message):
            alert.ring_id = ring_of(message)
        alert.likelihood = max(alert.likelihood, likelihood_of(message))
        alert.expected_loss = self._rules.loss(alert.kind, alert.likelihood)


class Source(NamedTuple):
    """An alert that may keep others quiet."""

    alert_id: str
    tenant: str
    kind: str
    entity: bytes
    """Its entity_key."""
    ring_id: str
    last_ns: int


def inhibited(rules: Rules, alert: alerts_pb2.Alert, sources: Iterable[Source], now_ns: int) -> bool:
    """Whether a graver alert about the same ring or entity tells this one."""
    rules_for = rules.sources_of(alert.kind)
    if not rules_for:
        return False
    ring, entity = ring_of(alert), entity_key(alert)
    return any(
        one.alert_id != alert.alert_id
        and one.tenant == alert.tenant
        and rule.is_source(one.kind)
        and one.last_ns >= now_ns - rule.nanoseconds
        and (bool(ring) and one.ring_id == ring if rule.same == _RING else one.entity == entity)
        for rule in rules_for
        for one in sources
    )


def storm_digest(tenant: str, window_ms: int) -> alerts_pb2.Alert:
    """The alert that stands for those of a tenant which a storm holds back, of one window."""
    alert = alerts_pb2.Alert(
        alert_id=f"alert_{digest(tenant, STORM_KIND, str(window_ms)).hex()}",
        tenant=tenant,
        kind=STORM_KIND,
        entity_kind="tenant",
        entity=tenant,
        state=alerts_pb2.ALERT_STATE_OPEN,
        first_event_id=f"storm.{window_ms}",
        last_event_id=f"storm.{window_ms}",
    )
    alert.first_time.FromMilliseconds(window_ms)
    alert.last_time.FromMilliseconds(window_ms)
    return alert


def hold_back(held: alerts_pb2.Alert, alert: alerts_pb2.Alert, now_ms: int) -> None:
    """Puts an alert into a storm digest instead of telling it."""
    alert.silence, alert.digest_id = alerts_pb2.SILENCE_STORM, held.alert_id
    held.count += 1
    held.severity = max(held.severity, alert.severity)
    held.last_time.FromMilliseconds(now_ms)
    held.likelihood = max(held.likelihood, alert.likelihood)
    for line in held.digest:
        if (line.kind, line.severity) == (alert.kind, alert.severity):
            line.count += 1
            break
    else:
        held.digest.add(kind=alert.kind, severity=alert.severity, count=1)
    lines = sorted(held.digest, key=lambda one: (-one.severity, -one.count, one.kind))
    copies = [alerts_pb2.DigestLine(kind=one.kind, severity=one.severity, count=one.count) for one in lines]
    del held.digest[:]
    held.digest.extend(copies[:100])
    held.summary = f"{held.count} alerts within a minute, told together"


def _add(field: object, new: Iterable[object], most: int) -> None:
    known = set(field)  # type: ignore[call-overload]
    for one in new:
        if len(known) >= most:
            return
        if one not in known:
            known.add(one)
            field.append(one)  # type: ignore[attr-defined]


def digest(*parts: str) -> bytes:
    """16 bytes of a hash of texts; their lengths go in, so that no two lists of texts run together."""
    encoded = [part.encode() for part in parts]
    return blake2b(b"".join(len(part).to_bytes(4, "big") + part for part in encoded), digest_size=16).digest()
