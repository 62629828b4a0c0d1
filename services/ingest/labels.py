"""What a label must be to be recorded. Pure."""

from __future__ import annotations

import re

from services.common.errors import FieldViolation
from usher.fraud.v1 import fraud_pb2
from usher.ingest.v1 import labels_pb2

MAX_LABELS = 1_000
"""Labels of one call."""

_IDENTIFIER = re.compile(r"[A-Za-z0-9._:@+/=~-]{1,255}")
_SOURCE = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_MAX_ACTOR_CHARS = 128
_MAX_SECONDS = 4_133_980_799  # 2100-12-31T23:59:59Z
_OF_FINDINGS = frozenset({labels_pb2.LABEL_KIND_FINDING_UPHELD, labels_pb2.LABEL_KIND_FINDING_DISMISSED})
_ADVICE = "1 to 255 characters of A-Z a-z 0-9 . _ : @ + / = ~ -"


def violations(label: labels_pb2.Label) -> list[FieldViolation]:
    """Everything that is wrong with a label; empty where it can be recorded."""
    found = []
    for name in ("label_id", "subject", "reference", "rule"):
        text = getattr(label, name)
        if not text:
            if name in ("label_id", "subject"):
                found.append(FieldViolation(name, "MISSING", "is required"))
        elif not _IDENTIFIER.fullmatch(text):
            found.append(FieldViolation(name, "IDENTIFIER_INVALID", _ADVICE))
    if not label.subject_kind or label.subject_kind not in labels_pb2.LabelSubject.values():
        found.append(FieldViolation("subject_kind", "UNKNOWN_VALUE", "EVENT, USER or RING"))
    if not label.kind or label.kind not in labels_pb2.LabelKind.values():
        found.append(FieldViolation("kind", "UNKNOWN_VALUE", "a kind of usher.ingest.v1.LabelKind"))
    elif label.kind in _OF_FINDINGS and not label.rule:
        found.append(FieldViolation("rule", "MISSING", "name the rule of the finding"))
    if not _SOURCE.fullmatch(label.source):
        found.append(FieldViolation("source", "WORD_INVALID", "lower case, 1 to 64 of a-z 0-9 . _ -"))
    if len(label.actor) > _MAX_ACTOR_CHARS:
        found.append(FieldViolation("actor", "TOO_LONG", f"{_MAX_ACTOR_CHARS} characters or fewer"))
    if not label.HasField("label_time"):
        found.append(FieldViolation("label_time", "MISSING", "say when it became known"))
    for name in ("label_time", "mature_time"):
        if label.HasField(name):  # type: ignore[arg-type]
            time = getattr(label, name)
            if not (0 < time.seconds <= _MAX_SECONDS and 0 <= time.nanos < 1_000_000_000):
                found.append(FieldViolation(name, "TIME_OUT_OF_RANGE", "must lie in 1970 to 2100"))
    return found


_VERDICTS = {
    labels_pb2.LABEL_KIND_FRAUD_CONFIRMED: fraud_pb2.OUTCOME_VERDICT_FRAUD,
    labels_pb2.LABEL_KIND_CHARGEBACK: fraud_pb2.OUTCOME_VERDICT_FRAUD,
    labels_pb2.LABEL_KIND_FALSE_ALARM: fraud_pb2.OUTCOME_VERDICT_INNOCENT,
    labels_pb2.LABEL_KIND_LEGITIMATE: fraud_pb2.OUTCOME_VERDICT_INNOCENT,
}
"""Kinds that tell fraud of an account or ring. The account that was taken over is a victim, and findings are the
operator's."""


def outcome_of(tenant: str, label: labels_pb2.Label, position: int) -> fraud_pb2.Outcome | None:
    """What a label tells fraud; None: nothing. Of one on an event the account is left to be filled in."""
    verdict = _VERDICTS.get(label.kind)
    if verdict is None:
        return None
    mature = label.mature_time if label.HasField("mature_time") else label.label_time
    outcome = fraud_pb2.Outcome(
        tenant=tenant,
        verdict=verdict,
        mature_ms=mature.ToMilliseconds(),
        position=position,
        actor=label.actor or label.source,
    )
    if label.subject_kind == labels_pb2.LABEL_SUBJECT_USER:
        outcome.user_id = label.subject
    elif label.subject_kind == labels_pb2.LABEL_SUBJECT_RING:
        outcome.ring_id = label.subject
    else:
        outcome.event_id = label.subject
    return outcome


def stripped(label: labels_pb2.Label) -> labels_pb2.Label:
    """The label without what ingest sets, by which a repeat is compared."""
    clean = labels_pb2.Label()
    clean.CopyFrom(label)
    clean.ClearField("recorded_time")
    clean.ClearField("position")
    return clean
