"""What a message must be to be taken. Pure.

The bounds are those of the contract (usher/alerts/v1/alerts.proto) and its conventions on identifiers.
"""

from __future__ import annotations

import re

from services.alerts.selection import Filter
from services.common.errors import FieldViolation, InvalidArgument
from usher.alerts.v1 import alerts_pb2

MAX_MESSAGES = 1_000
"""Messages of one call."""
MAX_REASONS = 256
"""Reasons of one message."""
MAX_SUMMARY_CHARS = 1_024
"""Characters of a message's line."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_WORD = re.compile(r"[a-z0-9][a-z0-9._:-]{0,63}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MIN_SECONDS = 0
_MAX_SECONDS = 4_133_980_799  # 2100-12-31T23:59:59Z
_SEVERITIES = frozenset(alerts_pb2.Severity.values())


MAX_IDS = 1_000
"""Ids that one call may name."""
MAX_SUBJECTS = 16
MAX_REGULATIONS = 32
_MOST_SNOOZE_MS = 30 * 86_400_000
_SUBJECT_KINDS = frozenset({"user", "device", "address", "payment"})


def is_identifier(text: str) -> bool:
    """Says whether the text is an identifier as the contracts define one."""
    return _IDENTIFIER.fullmatch(text) is not None


def violations(message: alerts_pb2.AlertMessage) -> list[FieldViolation]:
    """Returns everything that is wrong with a message, field by field; empty when it can be taken.

    An absent event_time is not wrong (the time of receipt stands in), nor is an unreadable traceparent (the
    W3C specification wants a new trace then).
    """
    found = []
    for name in ("tenant", "event_id", "entity"):
        text = getattr(message, name)
        if not text:
            found.append(FieldViolation(name, "MISSING", "is required"))
        elif not is_identifier(text):
            found.append(
                FieldViolation(
                    name, "IDENTIFIER_INVALID", "must be 1 to 255 of A-Z a-z 0-9 . _ : @ + / = ~ -"
                )
            )
    if not message.kind:
        found.append(FieldViolation("kind", "MISSING", "is required"))
    for name in ("kind", "entity_kind"):
        text = getattr(message, name)
        if text and not _WORD.fullmatch(text):
            found.append(
                FieldViolation(name, "WORD_INVALID", "must be lower case, 1 to 64 of a-z 0-9 . _ : -")
            )
    if message.severity not in _SEVERITIES:
        found.append(FieldViolation("severity", "UNKNOWN_VALUE", "must be a severity of the contract"))
    if message.HasField("event_time"):
        time = message.event_time
        if not (_MIN_SECONDS <= time.seconds <= _MAX_SECONDS and 0 <= time.nanos < 1_000_000_000):
            found.append(FieldViolation("event_time", "TIME_OUT_OF_RANGE", "must lie in 1970 to 2100"))
    if len(message.reasons) > MAX_REASONS:
        found.append(FieldViolation("reasons", "TOO_MANY", f"must be {MAX_REASONS} or fewer"))
    if len(message.summary) > MAX_SUMMARY_CHARS:
        found.append(
            FieldViolation("summary", "TOO_LONG", f"must be {MAX_SUMMARY_CHARS} characters or fewer")
        )
    if _CONTROL.search(message.summary):
        found.append(FieldViolation("summary", "CONTROL_CHARACTER", "must be one line of printable text"))
    if len(message.regulations) > MAX_REGULATIONS:
        found.append(FieldViolation("regulations", "TOO_MANY", f"must be {MAX_REGULATIONS} or fewer"))
    if any(not _IDENTIFIER.fullmatch(one) for one in message.regulations):
        found.append(FieldViolation("regulations", "IDENTIFIER_INVALID", "must be ids of regulations"))
    if message.ring_id and not is_identifier(message.ring_id):
        found.append(FieldViolation("ring_id", "IDENTIFIER_INVALID", "must be an identifier"))
    if not 0.0 <= message.likelihood <= 1.0:
        found.append(FieldViolation("likelihood", "OUT_OF_RANGE", "must lie in 0 to 1"))
    if len(message.subjects) > MAX_SUBJECTS:
        found.append(FieldViolation("subjects", "TOO_MANY", f"must be {MAX_SUBJECTS} or fewer"))
    for index, one in enumerate(message.subjects[:MAX_SUBJECTS]):
        if one.kind not in _SUBJECT_KINDS:
            found.append(
                FieldViolation(f"subjects[{index}].kind", "WORD_INVALID", "user, device, address or payment")
            )
        if not is_identifier(one.value):
            found.append(
                FieldViolation(f"subjects[{index}].value", "IDENTIFIER_INVALID", "must be an identifier")
            )
    return found


def tenant(name: str) -> None:
    """Raises InvalidArgument (TENANT_INVALID) where a tenant's name is none."""
    if not is_identifier(name):
        raise InvalidArgument("TENANT_INVALID", "tenant must be an identifier of 1 to 255 characters")


def actor(name: str) -> None:
    """Raises InvalidArgument (ACTOR_MISSING, TOO_LONG) where nobody says who acts."""
    if not name.strip():
        raise InvalidArgument("ACTOR_MISSING", "say who does it")
    text("actor", name, 128)


def text(field: str, value: str, most: int) -> None:
    """Raises InvalidArgument (TOO_LONG) where a text is longer than allowed."""
    if len(value) > most:
        raise InvalidArgument(
            "TOO_LONG",
            f"{field} must be {most} characters or fewer",
            violations=[FieldViolation(field, "TOO_LONG", f"{most} characters or fewer")],
        )


def severity(value: int) -> None:
    """Raises InvalidArgument (SEVERITY_UNKNOWN)."""
    if value not in _SEVERITIES:
        raise InvalidArgument("SEVERITY_UNKNOWN", "a severity is one of usher.alerts.v1.Severity")


def selection(request: alerts_pb2.ListAlertsRequest) -> Filter:
    """What a request selects. Raises InvalidArgument (SEVERITY_UNKNOWN, SELECTION_INVALID)."""
    if request.minimum_severity not in _SEVERITIES:
        raise InvalidArgument("SEVERITY_UNKNOWN", "minimum_severity must be a severity of the contract")
    if any(state not in alerts_pb2.AlertState.values() or not state for state in request.states):
        raise InvalidArgument("SELECTION_INVALID", "states are of usher.alerts.v1.AlertState")
    if bool(request.subject.kind) != bool(request.subject.value):
        raise InvalidArgument("SELECTION_INVALID", "a subject has a kind and a value")
    return Filter(
        minimum_severity=request.minimum_severity,
        states=tuple(sorted(set(request.states))),
        subject_kind=request.subject.kind,
        subject=request.subject.value,
        kind=request.kind,
        assignee=request.assignee,
    )


def snooze(asked: alerts_pb2.Snooze, now_ms: int) -> alerts_pb2.Snooze:
    """The snooze to keep. Raises InvalidArgument (SNOOZE_INVALID) with every field that is wrong."""
    found = []
    for name in ("entity_kind", "entity"):
        if not is_identifier(getattr(asked, name)):
            found.append(FieldViolation(f"snooze.{name}", "IDENTIFIER_INVALID", "must be an identifier"))
    if asked.kind and not _WORD.fullmatch(asked.kind):
        found.append(FieldViolation("snooze.kind", "WORD_INVALID", "a kind of alert, or empty for all"))
    until_ms = asked.until_time.ToMilliseconds() if asked.HasField("until_time") else 0
    if not now_ms < until_ms <= now_ms + _MOST_SNOOZE_MS:
        found.append(
            FieldViolation("snooze.until_time", "TIME_OUT_OF_RANGE", "in the future, at most 30 days ahead")
        )
    for name, most in (("reason", 1_024), ("actor", 128)):
        value = getattr(asked, name).strip()
        if not 0 < len(value) <= most:
            found.append(FieldViolation(f"snooze.{name}", "MISSING", f"1 to {most} characters"))
    if found:
        raise InvalidArgument(
            "SNOOZE_INVALID", f"{len(found)} things are wrong with the snooze", violations=found
        )
    kept = alerts_pb2.Snooze()
    kept.CopyFrom(asked)
    kept.created_time.FromMilliseconds(now_ms)
    return kept


def describe(found: list[FieldViolation]) -> str:
    """Returns the violations as one line that names every field."""
    return "; ".join(f"{item.field}: {item.reason}: {item.message}" for item in found)
