"""Reasons, actions and what would have to differ."""

from __future__ import annotations

from typing import Any

from services.scoring import decide, explain
from services.scoring.profile import O
from tests.unit.scoring.builders import DAY, NOW, default_rules, inputs
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

D = decision_pb2
E = event_pb2


def told(evidence: tuple[D.Reason, ...] = (), **settings: Any) -> D.Decision:
    given = inputs(**settings)
    decided = decide.decide(default_rules(), given)
    return explain.explain(default_rules(), given, decided, evidence, 0)


def codes(decision: D.Decision) -> list[int]:
    return [reason.code for reason in decision.reasons]


def test_an_ordinary_event_has_nothing_to_tell() -> None:
    given = inputs()
    decided = decide.decide(default_rules(), given)
    assert not explain.speaking(default_rules(), given, decided, {}).any()
    assert told() == D.Decision()


def test_takeover_names_the_sequence_first_and_asks_for_a_second_factor() -> None:
    answer = told(event_class=E.EVENT_CLASS_CREDENTIAL, named={"takeover_stage": 2, "failures_1h": 6})
    assert codes(answer)[0] == D.REASON_CODE_TAKEOVER_SEQUENCE
    failures = next(r for r in answer.reasons if r.code == D.REASON_CODE_AUTHENTICATION_FAILURES)
    assert failures.points == 1.5
    kinds = [action.kind for action in answer.actions]
    assert kinds[:2] == [D.ACTION_KIND_REVIEW, D.ACTION_KIND_NOTIFY]
    assert D.ACTION_KIND_SECOND_FACTOR in kinds
    by = {action.kind: action.enforced_by for action in answer.actions}
    assert by[D.ACTION_KIND_NOTIFY] == D.ENFORCED_BY_USHER
    assert by[D.ACTION_KIND_SECOND_FACTOR] == D.ENFORCED_BY_CALLER
    # 3 points of the takeover gone leave 1.5 of the failures, which is below 3.25.
    assert list(answer.counterfactual) == [D.REASON_CODE_TAKEOVER_SEQUENCE]


def test_evidence_of_fraud_becomes_reasons_and_counts_in_the_counterfactual() -> None:
    evidence = (
        D.Reason(code=D.REASON_CODE_VPN, points=1.5),
        D.Reason(code=D.REASON_CODE_REGION_MISMATCH, points=2.5, words=["DE", "US"]),
    )
    # 4.0 from the place; the caution band of a standard viewer begins at 3.25.
    answer = told(evidence, signals={"place_risk": 4.0})
    assert codes(answer) == [D.REASON_CODE_REGION_MISMATCH, D.REASON_CODE_VPN]
    assert list(answer.reasons[0].words) == ["DE", "US"]
    assert list(answer.counterfactual) == [D.REASON_CODE_REGION_MISMATCH]


def test_a_blocked_address_is_listed_for_a_day_of_event_time() -> None:
    answer = told(
        event_class=E.EVENT_CLASS_LOGIN,
        signals={"address_failed_accounts": 12, "address_failures": 40, "place_risk": 5},
    )
    listed = next(a for a in answer.actions if a.kind == D.ACTION_KIND_LIST_ADDRESS)
    assert listed.until_time.seconds == NOW + DAY
    stuffing = next(r for r in answer.reasons if r.code == D.REASON_CODE_CREDENTIAL_STUFFING)
    assert list(stuffing.values) == [12, 40]


def test_observing_tells_reasons_and_demands_nothing() -> None:
    answer = told(verdict_flags=1 << D.VERDICT_FLAG_FORBIDS_ACT, mode=decide.OBSERVE)
    assert codes(answer) == [D.REASON_CODE_ACT_FORBIDDEN]
    assert not answer.actions
    assert not answer.counterfactual


def test_cold_late_and_unknown_types_are_told() -> None:
    cold = told(created_days=1, signals={"place_risk": 2.4}, ensemble=1.0, observed={O.TOTAL: 9})
    assert D.REASON_CODE_COLD in codes(cold)
    late = told(item_flags=1 << E.ITEM_FLAG_LATE, observed={O.BEHIND: 90})
    assert [(r.code, list(r.values)) for r in late.reasons] == [(D.REASON_CODE_LATE, [90])]
    given = inputs(event_class=0)
    given.facts.types[0] = "teleport"
    answer = explain.explain(default_rules(), given, decide.decide(default_rules(), given), (), 0)
    assert [(r.code, list(r.words)) for r in answer.reasons] == [
        (D.REASON_CODE_UNKNOWN_EVENT_TYPE, ["teleport"])
    ]


def test_no_more_reasons_than_the_rules_allow() -> None:
    evidence = tuple(D.Reason(code=code, points=1) for code in (10, 11, 12, 13, 14, 43, 44))
    answer = told(evidence, signals={"place_risk": 5, "network_risk": 1}, ensemble=1.0)
    assert len(answer.reasons) == 6
    assert answer.reasons[0].code == D.REASON_CODE_ANOMALY  # 3 points, the most of all
