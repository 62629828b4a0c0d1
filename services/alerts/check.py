"""What a message must be to be taken. Pure.

The bounds are those of the contract (usher/alerts/v1/alerts.proto) and its conventions on identifiers.
"""

from __future__ import annotations

import re

from services.common.errors import FieldViolation
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
    return found


def describe(found: list[FieldViolation]) -> str:
    """Returns the violations as one line that names every field."""
    return "; ".join(f"{item.field}: {item.reason}: {item.message}" for item in found)
