"""Labels made out: maturity, corrections, and what an event without a label counts as."""

from __future__ import annotations

from typing import Any

from services.scoring import outcomes
from services.scoring.outcomes import DAY_MS, Known, Truth
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import labels_pb2

NOW = 1_790_000_000_000
ALLOW, REVIEW = decision_pb2.OUTCOME_ALLOW, decision_pb2.OUTCOME_REVIEW
L = labels_pb2


def known(event_id: str = "e", *, days_ago: float = 0, outcome: int = ALLOW, would_be: int = 0) -> Known:
    at_ms = NOW - int(days_ago * DAY_MS)
    return Known(event_id, "u", at_ms, 2, outcome, would_be or outcome, "DE", 0)


def label(kind: int, *, subject: str = "e", user: bool = False, at_ms: int = NOW, **fields: Any) -> L.Label:
    one = L.Label(
        subject_kind=L.LABEL_SUBJECT_USER if user else L.LABEL_SUBJECT_EVENT,
        subject=subject,
        kind=kind,  # type: ignore[arg-type]
        **{k: v for k, v in fields.items() if k != "mature_ms"},
    )
    one.label_time.FromMilliseconds(at_ms)
    if "mature_ms" in fields:
        one.mature_time.FromMilliseconds(fields["mature_ms"])
    return one


def truth(events: list[Known], *labels: L.Label, days: float = 60) -> list[Truth]:
    return outcomes.truths(outcomes.settle(labels, NOW), events, NOW, days)


def test_an_event_without_a_label_is_good_only_when_chargebacks_had_their_time() -> None:
    events = [known(days_ago=59.9), known(days_ago=60)]
    assert [one.known for one in truth(events)] == [False, True]
    assert not truth(events)[1].abusive


def test_of_what_was_held_up_nothing_is_known_without_a_label() -> None:
    assert truth([known(days_ago=300, outcome=REVIEW)]) == [Truth()]
    [found] = truth([known(outcome=REVIEW)], label(L.LABEL_KIND_FALSE_ALARM))
    assert (found.known, found.abusive, found.kind) == (True, False, "false_alarm")


def test_an_immature_label_waits() -> None:
    waiting = label(L.LABEL_KIND_CHARGEBACK, mature_ms=NOW + 1)
    settled = outcomes.settle([waiting], NOW)
    assert (settled.mature, settled.events) == (0, {})
    assert outcomes.settle([waiting], NOW + 1).mature == 1


def test_a_later_label_corrects_an_earlier_one_whatever_the_order() -> None:
    first = label(L.LABEL_KIND_FRAUD_CONFIRMED, at_ms=NOW - 2, position=1)
    second = label(L.LABEL_KIND_LEGITIMATE, at_ms=NOW - 1, position=2)
    for labels in ((first, second), (second, first)):
        assert not truth([known()], *labels)[0].abusive


def test_a_finding_and_fraud_are_told_apart() -> None:
    upheld = label(L.LABEL_KIND_FINDING_UPHELD, rule="EU_GDPR.consent_absent")
    [found] = truth([known()], upheld)
    assert (found.known, found.abusive, found.finding) == (True, False, "EU_GDPR.consent_absent")


def test_a_label_on_an_account_is_about_what_stood_out_in_the_week_before() -> None:
    over = label(L.LABEL_KIND_TAKEOVER_CONFIRMED, subject="u", user=True, at_ms=NOW)
    events = [
        known("a", days_ago=1, would_be=REVIEW),
        known("b", days_ago=1),
        known("c", days_ago=8, would_be=REVIEW),
    ]
    assert [one.abusive for one in truth(events, over)] == [True, False, False]
