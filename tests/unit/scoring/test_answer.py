"""The composed bytes are what protobuf reads as the same decision."""

from __future__ import annotations

import numpy as np

from services.scoring import answer, decide, explain
from tests.unit.scoring.builders import default_rules, inputs
from usher.decision.v1 import decision_pb2

D = decision_pb2


def by_protobuf(decided: decide.Decided) -> D.Decision:
    return D.Decision(
        outcome=int(decided.outcome[0]),
        would_be=int(decided.would_be[0]),
        mode=int(decided.mode[0]),
        risk_score=float(np.float32(decided.risk_score[0])),
        risk_level=int(decided.level[0]),
        segment=int(decided.segment[0]),
        numbers=decided.numbers[0].tolist(),
    )


def test_bytes_without_reasons_equal_those_of_protobuf() -> None:
    for settings in (
        {"signals": {"place_risk": 1.25}},
        {"mode": decide.OBSERVE, "signals": {"place_risk": 5, "network_risk": 1}, "compliance": 2.5},
    ):
        decided = decide.decide(default_rules(), inputs(**settings))
        (composed,) = answer.compose(decided)
        assert D.Decision.FromString(composed) == by_protobuf(decided)
        assert composed == by_protobuf(decided).SerializeToString()


def test_reasons_merge_with_the_composed_part() -> None:
    given = inputs(signals={"place_risk": 5, "network_risk": 1})
    decided = decide.decide(default_rules(), given)
    reasons = explain.explain(
        default_rules(), given, decided, [D.Reason(code=D.REASON_CODE_TOR_EXIT, points=5)], 0
    )
    expected = by_protobuf(decided)
    expected.MergeFrom(reasons)
    assert expected.reasons
    assert expected.actions
    assert D.Decision.FromString(answer.compose(decided)[0] + reasons.SerializeToString()) == expected


def test_the_suppress_action_is_the_callers() -> None:
    (action,) = D.Decision.FromString(explain.SUPPRESS_ACTION).actions
    assert action.kind == D.ACTION_KIND_SUPPRESS_PROCESSING
    assert action.enforced_by == D.ENFORCED_BY_CALLER
