"""Which messages make one alert, and when an alert is worth telling. Pure.

Group key: tenant, kind, entity kind, entity. A message joins the alert of its key whose time it lies within, or
at most the window before its first or after its last message, by event time; else it opens a new one. So late
messages find the alert they belong to, and an alert that went quiet is not woken by tomorrow's trouble.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import NamedTuple

from services.common.telemetry import parse_traceparent
from usher.alerts.v1 import alerts_pb2

DEFAULT_WINDOW_SECONDS = 1_800.0
"""Half an hour: longer than a viewer's retries, shorter than a shift."""
MAX_REASONS_PER_ALERT = 32
"""Distinct reasons an alert keeps, those told first; more would say nothing that the first do not."""

OPENED = "opened"
ESCALATED = "escalated"


class Telling(NamedTuple):
    """Something that people are to be told."""

    telling_id: str
    """"telling_" and 32 hexadecimal digits; the same for the same alert and severity, however often it is sent."""
    alert_id: str
    change: str
    """OPENED or ESCALATED."""
    severity: int
    """The severity it reached, a value of usher.alerts.v1.Severity."""
    traceparent: str
    """Of the message that caused it; empty where it carried none that can be read."""


def message_key(message: alerts_pb2.AlertMessage) -> bytes:
    """Returns the 16 bytes that make delivery of a message idempotent: a hash of tenant, event_id and kind."""
    return _digest(message.tenant, message.event_id, message.kind)


def group_key(message: alerts_pb2.AlertMessage | alerts_pb2.Alert) -> bytes:
    """Returns the 16 bytes that messages of one alert share."""
    return _digest(message.tenant, message.kind, message.entity_kind, message.entity)


def severity_of(message: alerts_pb2.AlertMessage) -> alerts_pb2.Severity:
    """Returns the message's severity; unspecified counts as LOW."""
    return message.severity or alerts_pb2.SEVERITY_LOW


class Grouping:
    """Takes the messages of one call, in order.

    `known` maps the keys of messages seen before to their alert; `alerts` are those that a message of the call
    may join. Afterwards `changed` holds every alert that is new or different, `new_keys` the messages taken, and
    `tellings()` what people are to be told of it.
    """

    def __init__(
        self, window_ns: int, known: Mapping[bytes, str], alerts: Iterable[alerts_pb2.Alert]
    ) -> None:
        self._window_ns = window_ns
        self._known = known
        self._by_group: dict[bytes, list[alerts_pb2.Alert]] = defaultdict(list)
        for alert in alerts:
            self._by_group[group_key(alert)].append(alert)
        self._told: dict[str, Telling] = {}
        self.changed: dict[str, alerts_pb2.Alert] = {}
        self.new_keys: dict[bytes, str] = {}

    def take(self, message: alerts_pb2.AlertMessage, received_ns: int) -> alerts_pb2.RaiseResult:
        """Puts one valid message where it belongs. `received_ns` stands in for an absent event_time."""
        key = message_key(message)
        before = self._known.get(key) or self.new_keys.get(key)
        if before is not None:
            return alerts_pb2.RaiseResult(status=alerts_pb2.RAISE_STATUS_DUPLICATE, alert_id=before)
        time_ns = message.event_time.ToNanoseconds() if message.HasField("event_time") else received_ns
        group = group_key(message)
        alert = self._within(group, time_ns)
        if alert is None:
            status = alerts_pb2.RAISE_STATUS_OPENED
            alert = self._open(message, group, key, time_ns)
        else:
            status = alerts_pb2.RAISE_STATUS_GROUPED
            self._join(alert, message, time_ns)
        self.changed[alert.alert_id] = alert
        self.new_keys[key] = alert.alert_id
        return alerts_pb2.RaiseResult(status=status, alert_id=alert.alert_id)

    def tellings(self) -> list[Telling]:
        """Returns what is to be told: one a changed alert at most, with the highest severity it reached."""
        return list(self._told.values())

    def _within(self, group: bytes, time_ns: int) -> alerts_pb2.Alert | None:
        fitting = [
            alert
            for alert in self._by_group[group]
            if alert.first_time.ToNanoseconds() - self._window_ns
            <= time_ns
            <= alert.last_time.ToNanoseconds() + self._window_ns
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
        )
        alert.first_time.FromNanoseconds(time_ns)
        alert.last_time.FromNanoseconds(time_ns)
        _add_reasons(alert, message.reasons)
        self._by_group[group].append(alert)
        self._tell(alert, OPENED, message.traceparent)
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
        _add_reasons(alert, message.reasons)
        if severity_of(message) > alert.severity:
            alert.severity = severity_of(message)
            told = self._told.get(alert.alert_id)
            self._tell(alert, told.change if told is not None else ESCALATED, message.traceparent)

    def _tell(self, alert: alerts_pb2.Alert, change: str, traceparent: str) -> None:
        # Severity only ever rises, so alert and severity name a telling.
        identity = blake2b(f"{alert.alert_id}:{alert.severity}".encode(), digest_size=16).hexdigest()
        self._told[alert.alert_id] = Telling(
            f"telling_{identity}",
            alert.alert_id,
            change,
            alert.severity,
            traceparent if parse_traceparent(traceparent) is not None else "",
        )


def _add_reasons(alert: alerts_pb2.Alert, reasons: Iterable[int]) -> None:
    known = set(alert.reasons)
    for reason in reasons:
        if len(known) >= MAX_REASONS_PER_ALERT:
            return
        if reason not in known:
            known.add(reason)
            alert.reasons.append(reason)


def _digest(*parts: str) -> bytes:
    # Lengths in front, so that no two lists of parts run together.
    encoded = [part.encode() for part in parts]
    return blake2b(b"".join(len(part).to_bytes(4, "big") + part for part in encoded), digest_size=16).digest()
