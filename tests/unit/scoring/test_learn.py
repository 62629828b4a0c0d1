"""Learning from outcomes: the sign, the bounds, and that every adjustment can be taken back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.learn import Learning, Outcome, apply, learn, revert
from services.scoring.rules import SEGMENTS, RulesInvalid, read_rules
from tests.unit.scoring.builders import DEFAULTS, NORMS

SHIPPED = (DEFAULTS / "outcomes.yaml").read_bytes()


def outcomes(segment: str, confirmed: int, false_alarms: int) -> list[Outcome]:
    return [Outcome(segment, True)] * confirmed + [Outcome(segment, False)] * false_alarms


def test_confirmed_abuse_lowers_and_false_alarms_raise() -> None:
    (lowered,) = learn({}, outcomes("new", 20, 0))
    # 0.3 points times 20 of 20 + 20.
    assert (lowered.before, lowered.after) == (0.0, -0.15)
    assert lowered.reason == "lowered: 20 confirmed, 0 false alarms"
    (raised,) = learn({}, outcomes("new", 0, 20))
    assert raised.after == 0.15


@given(
    st.sampled_from(SEGMENTS), st.floats(-0.5, 0.5), st.integers(0, 400), st.integers(0, 400), st.floats(0, 1)
)
def test_the_sign_never_turns_and_the_bound_holds(
    segment: str, before: float, confirmed: int, false_alarms: int, bound: float
) -> None:
    for one in learn({segment: before}, outcomes(segment, confirmed, false_alarms), Learning(bound=bound)):
        assert abs(one.after) <= max(bound, abs(before)) + 1e-9
        assert (one.after < one.before) == (confirmed > false_alarms)
        assert (one.after > one.before) == (false_alarms > confirmed)


def test_few_outcomes_teach_nothing_and_no_round_leads_beyond_the_bound() -> None:
    assert learn({}, outcomes("standard", 4, 0)) == []
    learnt = {"standard": 0.0}
    for _ in range(50):
        for one in learn(learnt, outcomes("standard", 300, 0)):
            learnt[one.segment] = one.after
    assert learnt == {"standard": -0.5}


def test_nothing_raises_the_threshold_of_suspicious_accounts() -> None:
    assert learn({}, outcomes("suspicious", 0, 100)) == []
    assert learn({}, outcomes("suspicious", 100, 0))[0].after < 0


def test_adjustments_are_applied_to_the_rules_and_taken_back_to_the_byte() -> None:
    made = learn({}, outcomes("new", 40, 0) + outcomes("power", 0, 40))
    changed = apply(SHIPPED, made)
    rules = read_rules(changed, NORMS)
    assert rules.learnt.tolist()[1:4] == [0.2, 0.0, -0.2]
    assert apply(changed, revert(made)) == SHIPPED
    with pytest.raises(RulesInvalid, match="learnt points"):
        apply(changed, made)


def test_what_cannot_be_learnt_is_refused() -> None:
    with pytest.raises(ValueError, match="no segment"):
        learn({}, [Outcome("vip", True)])
    with pytest.raises(ValueError, match="bound"):
        learn({}, [], Learning(bound=3))
