"""What a confirmation must be to be recorded, and whether its decision asks for the action. Pure."""

from __future__ import annotations

import re

from services.common.errors import FieldViolation
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import enforcement_pb2

MAX_ENFORCEMENTS = 1_000
"""Confirmations of one call."""

_SUPPRESS = decision_pb2.ACTION_KIND_SUPPRESS_PROCESSING
_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_WORD = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_PURPOSE = re.compile(r"\*|[a-z0-9_]{1,64}")
_MAX_SECONDS = 4_133_980_799  # 2100-12-31T23:59:59Z
_ADVICE = "1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"


def violations(one: enforcement_pb2.Enforcement) -> list[FieldViolation]:
    """Everything that is wrong with a confirmation; empty where it can be looked at."""
    found = []
    if not _IDENTIFIER.fullmatch(one.event_id):
        found.append(FieldViolation("event_id", "IDENTIFIER_INVALID", _ADVICE))
    if not one.action or one.action not in decision_pb2.ActionKind.values():
        found.append(FieldViolation("action", "UNKNOWN_VALUE", "a kind of usher.decision.v1.ActionKind"))
    if one.action == _SUPPRESS and not _PURPOSE.fullmatch(one.purpose):
        found.append(FieldViolation("purpose", "UNKNOWN_VALUE", "a purpose of the decision's processing"))
    if one.action != _SUPPRESS and one.purpose:
        found.append(FieldViolation("purpose", "UNKNOWN_VALUE", "only with SUPPRESS_PROCESSING"))
    if not one.result or one.result not in enforcement_pb2.EnforcementResult.values():
        found.append(FieldViolation("result", "UNKNOWN_VALUE", "CARRIED_OUT or NOT_CARRIED_OUT"))
    if not _WORD.fullmatch(one.component):
        found.append(FieldViolation("component", "WORD_INVALID", "lower case, 1 to 64 of a-z 0-9 . _ -"))
    if one.reference and not _IDENTIFIER.fullmatch(one.reference):
        found.append(FieldViolation("reference", "IDENTIFIER_INVALID", _ADVICE))
    time = one.enforced_time
    if not (
        one.HasField("enforced_time") and 0 < time.seconds <= _MAX_SECONDS and 0 <= time.nanos < 1_000_000_000
    ):
        found.append(FieldViolation("enforced_time", "TIME_OUT_OF_RANGE", "is required, in 1970 to 2100"))
    return found


def is_asked(one: enforcement_pb2.Enforcement, decision: decision_pb2.Decision) -> bool:
    """Whether a decision asks its caller for the action: of a purpose, that its processing be suppressed."""
    if one.action != _SUPPRESS:
        return any(
            action.kind == one.action and action.enforced_by != decision_pb2.ENFORCED_BY_USHER
            for action in decision.actions
        )
    suppressed = {
        processing.purpose
        for processing in decision.verdict.processing
        if processing.state in (decision_pb2.PROCESSING_STATE_SUPPRESS, decision_pb2.PROCESSING_STATE_GAP)
    }
    return one.purpose in suppressed if one.purpose != "*" else bool(suppressed)


def stripped(one: enforcement_pb2.Enforcement) -> enforcement_pb2.Enforcement:
    """The confirmation without what ingest sets, by which a repeat is compared."""
    clean = enforcement_pb2.Enforcement()
    clean.CopyFrom(one)
    clean.ClearField("recorded_time")
    return clean
