"""What is answered without a service (the table of the design: what opens and what closes)."""

from __future__ import annotations

import pytest

from services.ingest import degrade
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

CAUTION = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
REVIEW = decision_pb2.OUTCOME_REVIEW
BLOCK = decision_pb2.OUTCOME_BLOCK
ENFORCE, OBSERVE = decision_pb2.MODE_ENFORCE, decision_pb2.MODE_OBSERVE


@pytest.mark.parametrize(
    ("name", "known", "unknown"),
    [
        ("PLAYBACK", CAUTION, CAUTION),
        ("LOGOUT", CAUTION, CAUTION),
        ("RIGHTS", CAUTION, CAUTION),
        ("LOGIN", CAUTION, REVIEW),
        ("EXPORT", REVIEW, REVIEW),
        ("PAYMENT", REVIEW, REVIEW),
        ("CREDENTIAL", REVIEW, REVIEW),
        ("UNSPECIFIED", REVIEW, REVIEW),
    ],
)
def test_outcome_by_class_and_device(name: str, known: int, unknown: int) -> None:
    number = event_pb2.EventClass.Value(f"EVENT_CLASS_{name}")
    assert degrade.outcome(number, known_device=True) == known
    assert degrade.outcome(number, known_device=False) == unknown


def test_every_class_has_an_answer() -> None:
    for number in event_pb2.EventClass.values():
        assert degrade.outcome(number, known_device=False) in (CAUTION, REVIEW)


def overlaid(
    said: decision_pb2.Decision, degraded: set[int], would_be: int, mode: int
) -> decision_pb2.Decision:
    part = degrade.overlay(frozenset(degraded), would_be, mode)
    return decision_pb2.Decision.FromString(said.SerializeToString() + part)


def test_the_overlay_replaces_the_outcome_and_adds_to_the_reasons() -> None:
    said = decision_pb2.Decision(
        outcome=decision_pb2.OUTCOME_ALLOW, would_be=decision_pb2.OUTCOME_ALLOW, mode=ENFORCE, risk_score=1.5
    )
    said.reasons.add(code=decision_pb2.REASON_CODE_NEW_DEVICE)
    decision = overlaid(said, {decision_pb2.SERVICE_FRAUD, decision_pb2.SERVICE_COMPLIANCE}, REVIEW, ENFORCE)
    assert (decision.outcome, decision.would_be, decision.mode) == (REVIEW, REVIEW, ENFORCE)
    assert decision.risk_score == 1.5
    assert [(r.code, list(r.words)) for r in decision.reasons] == [
        (decision_pb2.REASON_CODE_NEW_DEVICE, []),
        (decision_pb2.REASON_CODE_DEGRADED, ["compliance"]),
        (decision_pb2.REASON_CODE_DEGRADED, ["fraud"]),
    ]
    assert [(a.kind, a.enforced_by) for a in decision.actions] == [
        (decision_pb2.ACTION_KIND_REVIEW, decision_pb2.ENFORCED_BY_CALLER)
    ]
    assert list(decision.counterfactual) == [decision_pb2.REASON_CODE_DEGRADED]


def test_observing_allows_and_tells_what_would_be() -> None:
    decision = overlaid(decision_pb2.Decision(), {decision_pb2.SERVICE_SCORING}, REVIEW, OBSERVE)
    assert (decision.outcome, decision.would_be) == (decision_pb2.OUTCOME_ALLOW, REVIEW)
    assert decision.mode == OBSERVE
    assert not decision.actions


def test_caution_asks_for_no_review() -> None:
    decision = overlaid(decision_pb2.Decision(), {decision_pb2.SERVICE_SCORING}, CAUTION, ENFORCE)
    assert decision.outcome == CAUTION
    assert not decision.actions


def test_without_compliance_processing_is_closed() -> None:
    verdict = decision_pb2.Verdict.FromString(degrade.verdict_without_compliance())
    assert verdict.status == decision_pb2.COMPLIANCE_STATUS_UNSPECIFIED
    assert [(p.purpose, p.state) for p in verdict.processing] == [
        ("*", decision_pb2.PROCESSING_STATE_SUPPRESS)
    ]
    for flag in ("SUPPRESS", "MINOR", "AGE_UNKNOWN"):
        assert verdict.flags >> decision_pb2.VerdictFlag.Value(f"VERDICT_FLAG_{flag}") & 1
    # Its absence does not switch security off, and forbids no act.
    for flag in ("SECURITY_SUPPRESSED", "FORBIDS_ACT"):
        assert not verdict.flags >> decision_pb2.VerdictFlag.Value(f"VERDICT_FLAG_{flag}") & 1
