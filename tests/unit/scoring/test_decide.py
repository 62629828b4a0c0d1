"""The decision's arithmetic and its limits, by hand from the design's numbers."""

from __future__ import annotations

import numpy as np
import pytest

from services.scoring import decide
from services.scoring.profile import O
from tests.unit.scoring.builders import DAY, decided, default_rules, inputs
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

E = event_pb2
D = decision_pb2
RING = {"ring_members": 7, "ring_score": 1, "network_risk": 1}


@pytest.mark.parametrize(
    ("segment", "threshold", "settings"),
    [
        (D.SEGMENT_POWER, 8.0, {"created_days": 200, "observed": {O.EVENTS_7D: 105}}),
        (D.SEGMENT_STANDARD, 6.5, {}),
        (D.SEGMENT_NEW, 5.5, {"created_days": 29}),
        (D.SEGMENT_INACTIVE, 7.0, {"observed": {O.GAP: 31 * DAY}}),
        (D.SEGMENT_DORMANT, 7.0, {"observed": {O.GAP: 91 * DAY}}),
        (D.SEGMENT_SUSPICIOUS, 3.0, {"observed": {O.INCIDENTS: 3}}),
    ],
)
def test_each_segment_has_its_threshold(segment: int, threshold: float, settings: dict) -> None:
    got = decided(**settings)
    assert got.segment[0] == segment
    assert got.numbers[0, 6] == threshold
    assert got.numbers[0, 7] == threshold


@pytest.mark.parametrize(
    ("signals", "failures", "outcome", "level"),
    [
        ({"place_risk": 3.24}, 0, D.OUTCOME_ALLOW, D.RISK_LEVEL_LOW),
        ({"place_risk": 3.25}, 0, D.OUTCOME_ALLOW_WITH_CAUTION, D.RISK_LEVEL_MEDIUM),
        ({"place_risk": 5, "network_risk": 0.49}, 0, D.OUTCOME_ALLOW_WITH_CAUTION, D.RISK_LEVEL_MEDIUM),
        ({"place_risk": 5, "network_risk": 0.5}, 0, D.OUTCOME_REVIEW, D.RISK_LEVEL_HIGH),
        ({"place_risk": 5, "network_risk": 0.99}, 5, D.OUTCOME_REVIEW, D.RISK_LEVEL_HIGH),
        ({"place_risk": 5, "network_risk": 1}, 5, D.OUTCOME_BLOCK, D.RISK_LEVEL_CRITICAL),
    ],
)
def test_bands_lie_at_half_the_threshold_at_it_and_three_above(
    signals: dict, failures: int, outcome: int, level: int
) -> None:
    got = decided(signals=signals, named={"failures_1h": failures})
    assert (got.outcome[0], got.level[0]) == (outcome, level)


def test_compliance_is_shown_and_never_compared() -> None:
    got = decided(signals={"place_risk": 3.0}, compliance=3.0)
    assert got.numbers[0, 4] == 3.0
    assert got.numbers[0, 5] == 3.0
    assert got.risk_score[0] == 6.0
    assert got.outcome[0] == D.OUTCOME_ALLOW


def test_components_stop_at_their_maxima() -> None:
    got = decided(
        signals={"place_risk": 9, "network_risk": 4},
        ensemble=1.0,
        compliance=9,
        chargebacks=5,
        observed={O.INCIDENTS: 3},
    )
    assert got.numbers[0, :5].tolist() == [5, 3, 2, 3, 3]
    assert got.risk_score[0] == 16.0


def test_models_give_points_from_the_start_to_the_full_score() -> None:
    # 3 points from 0.7 to 1.0: 10 points a unit.
    assert decided(ensemble=0.7).numbers[0, 1] == 0
    assert decided(ensemble=0.85).numbers[0, 1] == 1.5
    assert decided(ensemble=1.0).numbers[0, 1] == 3


def test_models_weigh_as_much_as_is_known_of_the_viewer() -> None:
    assert [
        float(decided(ensemble=1.0, observed={O.TOTAL: n}).numbers[0, 1]) for n in (0, 4, 10)
    ] == pytest.approx([0, 1.2, 3])


def test_adjustments_move_the_threshold_and_are_listed() -> None:
    night = decided(named={"night": 1, "hour_share": 0.01}, hour=3)
    assert night.numbers[0, 7:9] == pytest.approx([5.7, -0.8])
    usual = decided(named={"night": 1, "hour_share": 0.3}, hour=3)
    assert usual.numbers[0, 8] == 0
    young = decided(created_days=6)
    assert young.numbers[0, [6, 7, 9]] == pytest.approx([5.5, 5.2, -0.3])
    trusted = decided(created_days=366)
    assert trusted.numbers[0, [7, 10]] == pytest.approx([6.8, 0.3])


def test_a_cold_profile_goes_no_further_than_caution_on_anomaly_alone() -> None:
    # 2.9 from place and segment, and after 9 of 10 events 2.7 of the models' 3 points: 5.6 is above the 5.2 of a
    # young account, 2.9 is not.
    cold = {"created_days": 1, "signals": {"place_risk": 2.4}, "ensemble": 1.0}
    got = decided(**cold, observed={O.TOTAL: 9})
    assert got.would_be[0] == D.OUTCOME_ALLOW_WITH_CAUTION
    assert got.held_cold[0]
    assert decided(**cold).would_be[0] == D.OUTCOME_REVIEW


def test_a_ring_alone_never_exceeds_review() -> None:
    suspicious = {O.INCIDENTS: 3}
    got = decided(signals={**RING, "place_risk": 1}, observed=suspicious)
    assert got.numbers[0, 5] == 6.0  # 3 of the threshold and 3 more: the band says BLOCK
    assert got.level[0] == D.RISK_LEVEL_CRITICAL
    assert got.would_be[0] == D.OUTCOME_REVIEW
    with_more = decided(signals={**RING, "place_risk": 4}, observed=suspicious)
    assert with_more.would_be[0] == D.OUTCOME_BLOCK


def test_impossible_travel_alone_asks_for_no_more_than_caution() -> None:
    travel = {"place_risk": 5, "travel_kmh": 1200}
    assert decided(signals=travel, created_days=20).would_be[0] == D.OUTCOME_ALLOW_WITH_CAUTION
    assert decided(signals=travel, created_days=20, place=(E.PLACE_FLAG_TOR,)).would_be[0] == D.OUTCOME_REVIEW
    assert decided(signals={"travel_kmh": 901}).would_be[0] == D.OUTCOME_ALLOW_WITH_CAUTION
    assert decided(signals={"travel_kmh": 899}).would_be[0] == D.OUTCOME_ALLOW


def test_an_act_that_law_forbids_is_blocked() -> None:
    forbids = 1 << D.VERDICT_FLAG_FORBIDS_ACT
    assert decided(verdict_flags=forbids).outcome[0] == D.OUTCOME_BLOCK
    assert decided(verdict_flags=1 << D.VERDICT_FLAG_SUPPRESS).outcome[0] == D.OUTCOME_ALLOW
    observed = decided(verdict_flags=forbids, mode=decide.OBSERVE)
    assert (observed.outcome[0], observed.would_be[0]) == (D.OUTCOME_ALLOW, D.OUTCOME_BLOCK)


def test_a_finished_takeover_is_reviewed_and_tor_export_too() -> None:
    takeover = {"event_class": E.EVENT_CLASS_CREDENTIAL, "named": {"takeover_stage": 2}}
    assert decided(**takeover).would_be[0] == D.OUTCOME_REVIEW
    tor = {"event_class": E.EVENT_CLASS_EXPORT, "place": (E.PLACE_FLAG_TOR,)}
    assert decided(**tor).would_be[0] == D.OUTCOME_REVIEW
    assert decided(**tor, named={"exports_24h": 20}).would_be[0] == D.OUTCOME_BLOCK
    assert (
        decided(event_class=E.EVENT_CLASS_PLAYBACK, place=(E.PLACE_FLAG_TOR,)).would_be[0] == D.OUTCOME_ALLOW
    )


def test_leaving_is_never_stopped_and_rights_are_at_most_reviewed() -> None:
    worst = {"signals": {"place_risk": 5, "network_risk": 1}, "ensemble": 1.0}
    assert decided(**worst).would_be[0] == D.OUTCOME_BLOCK
    assert decided(**worst, event_class=E.EVENT_CLASS_LOGOUT).would_be[0] == D.OUTCOME_ALLOW_WITH_CAUTION
    assert decided(**worst, event_class=E.EVENT_CLASS_RIGHTS).would_be[0] == D.OUTCOME_REVIEW


def test_confidence_is_half_at_twenty_events() -> None:
    assert decided(observed={O.TOTAL: 20}).numbers[0, 16] == 0.5


def test_an_event_is_decided_alike_alone_and_among_others() -> None:
    several = [
        inputs(),
        inputs(signals={"place_risk": 5, "network_risk": 1}, ensemble=0.9),
        inputs(event_class=E.EVENT_CLASS_EXPORT, place=(E.PLACE_FLAG_TOR,)),
        inputs(signals={"travel_kmh": 1200, "place_risk": 3}, created_days=3, observed={O.TOTAL: 2}),
        inputs(signals=RING, observed={O.INCIDENTS: 4}),
    ]
    joined = decide.Inputs(
        *(
            type(column)(
                *(
                    [item for part in parts for item in part]
                    if isinstance(parts[0], list)
                    else np.concatenate(parts)
                    for parts in zip(*(one[i] for one in several), strict=True)
                )
            )
            if isinstance(column, tuple)
            else np.concatenate([one[i] for one in several])
            for i, column in enumerate(several[0])
        )
    )
    together = decide.decide(default_rules(), joined)
    for i, one in enumerate(several):
        alone = decide.decide(default_rules(), one)
        for name in ("outcome", "would_be", "risk_score", "level", "segment", "numbers", "held"):
            np.testing.assert_array_equal(getattr(together, name)[i], getattr(alone, name)[0], err_msg=name)
