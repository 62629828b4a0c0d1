"""The walkthrough of Usher's predecessor, computed under the threshold pack `original-demo`.

The expected figures are those that its sections 3 (segments), 7 (adaptive thresholds) and 8 (end to end) print.
docs/decisions/0061 says which of them contradict each other or the law.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from services.scoring import decide, explain, rules
from services.scoring.extract import EU_BIT, region_code
from services.scoring.profile import O
from tests.unit.scoring.builders import DAY, NORMS, inputs
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

D = decision_pb2
PACK = Path(rules.__file__).parent / "packs" / "original-demo.yaml"
POWER = {"created_days": 4 * 365, "observed": {O.EVENTS_7D: 180, O.TOTAL: 5_000, O.AGE: 1_460 * DAY}}
NEW = {"created_days": 3, "observed": {O.TOTAL: 12, O.EVENTS_7D: 12, O.AGE: 3 * DAY, O.HOUR_ALL: 12}}
SUSPICIOUS = {"created_days": 60, "chargebacks": 3, "observed": {O.INCIDENTS: 7}}


@cache
def pack() -> rules.Rules:
    return rules.read_rules(PACK.read_bytes(), NORMS)


def decided(**settings: object) -> decide.Decided:
    return decide.decide(pack(), inputs(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("segment", "base", "settings"),
    [
        (D.SEGMENT_STANDARD, 6.5, {"created_days": 200}),
        (D.SEGMENT_POWER, 8.0, POWER),
        (D.SEGMENT_NEW, 5.5, NEW),
        (D.SEGMENT_SUSPICIOUS, 3.0, SUSPICIOUS),
    ],
)
def test_the_four_bases_of_section_7(segment: int, base: float, settings: dict) -> None:
    got = decided(**settings)
    assert (got.segment[0], got.numbers[0, D.NUMBER_INDEX_BASE_THRESHOLD]) == (segment, base)


def test_context_1_a_new_viewer_of_the_eu_at_two_at_night() -> None:
    got = decided(**NEW, hour=2, named={"night": 1, "hour_share": 0.1}, region=region_code("EU") | EU_BIT)
    numbers = got.numbers[0]
    listed = [D.NUMBER_INDEX_ADJUST_NIGHT, D.NUMBER_INDEX_ADJUST_RESIDENCE, D.NUMBER_INDEX_ADJUST_YOUNG]
    assert numbers[listed].tolist() == pytest.approx([-0.8, -0.2, -0.3])
    assert numbers[D.NUMBER_INDEX_THRESHOLD] == pytest.approx(4.2)


def test_context_2_a_power_viewer_of_the_us_in_the_afternoon() -> None:
    got = decided(**POWER, hour=14, region=region_code("US"))
    numbers = got.numbers[0]
    listed = [D.NUMBER_INDEX_ADJUST_NIGHT, D.NUMBER_INDEX_ADJUST_RESIDENCE, D.NUMBER_INDEX_ADJUST_TRUSTED]
    assert numbers[listed].tolist() == pytest.approx([0.0, 0.1, 0.1])
    assert numbers[D.NUMBER_INDEX_THRESHOLD] == pytest.approx(8.2)


@pytest.mark.parametrize(
    ("name", "threshold", "sensitivity", "channels", "priority", "new_devices", "second_factor", "sessions"),
    [
        ("power", 8.0, 1.0, ("slack", "email"), "high", True, "never", 0),
        ("new", 5.5, 1.5, ("email", "sms"), "medium", False, "caution", 0),
        ("suspicious", 3.0, 2.0, ("slack", "email", "sms", "webhook"), "low", False, "always", 1),
    ],
)
def test_the_three_segments_of_section_3(
    name: str,
    threshold: float,
    sensitivity: float,
    channels: tuple[str, ...],
    priority: str,
    new_devices: bool,
    second_factor: str,
    sessions: int,
) -> None:
    found = pack().segments[rules.SEGMENTS.index(name)]
    assert (found.threshold, found.sensitivity, found.channels) == (threshold, sensitivity, channels)
    assert (found.support_priority, found.new_devices_allowed) == (priority, new_devices)
    assert (found.second_factor, found.session_limit) == (second_factor, sessions)


def test_section_8_is_blocked_with_its_total_and_without_compliance_in_what_is_compared() -> None:
    # 3 place, 2.5 anomaly, 2 segment, 3 network, 2 compliance: 12.5 shown, 10.5 compared with 3.0.
    settings = {
        **SUSPICIOUS,
        "event_class": event_pb2.EVENT_CLASS_EXPORT,
        "signals": {"place_risk": 3, "network_risk": 1},
        "named": {"exports_24h": 20},
        "place": (event_pb2.PLACE_FLAG_TOR,),
        "compliance": 2.0,
        "region": region_code("DE"),
    }
    got = decided(**settings)
    assert got.numbers[0, :5].tolist() == [3, 2.5, 2, 3, 2]
    assert got.risk_score[0] == 12.5
    assert got.numbers[0, D.NUMBER_INDEX_COMPARED] == 10.5
    assert got.outcome[0] == D.OUTCOME_BLOCK
    assert got.level[0] == D.RISK_LEVEL_CRITICAL


# -- what a segment's parameters do ------------------------------------------------------------------------


def test_sensitivity_multiplies_the_points_of_the_models() -> None:
    # 1 point at 0.8 for a standard viewer, 1.5 for a new one, 2 for a suspicious one.
    assert decided(created_days=200, ensemble=0.8).numbers[0, 1] == pytest.approx(1.0)
    assert decided(**NEW, ensemble=0.8).numbers[0, 1] == pytest.approx(1.5)
    assert decided(**SUSPICIOUS, ensemble=0.8).numbers[0, 1] == pytest.approx(2.0)
    assert decided(**SUSPICIOUS, ensemble=1.0).numbers[0, 1] == 3.0


def test_power_viewers_add_devices_by_themselves() -> None:
    sign_in = {"event_class": event_pb2.EVENT_CLASS_LOGIN, "named": {"new_device": 1}}
    assert decided(**sign_in, created_days=200).numbers[0, 1] == pytest.approx(0.3)
    assert decided(**POWER, **sign_in).numbers[0, 1] == 0


def test_suspicious_accounts_play_on_one_device_and_always_give_a_second_factor() -> None:
    given = inputs(**SUSPICIOUS, named={"concurrent_streams": 2})
    got = decide.decide(pack(), given)
    assert got.outcome[0] == D.OUTCOME_ALLOW_WITH_CAUTION
    told = explain.explain(pack(), given, got, (), 0)
    (reason,) = [r for r in told.reasons if r.code == D.REASON_CODE_CONCURRENT_STREAMS]
    assert list(reason.values) == [2, 1]
    assert D.REASON_CODE_CONCURRENT_STREAMS in told.counterfactual
    assert not decide.decide(pack(), inputs(created_days=200, named={"concurrent_streams": 9})).over_limit[0]

    sign_in = inputs(**SUSPICIOUS, event_class=event_pb2.EVENT_CLASS_LOGIN)
    told = explain.explain(pack(), sign_in, decide.decide(pack(), sign_in), (), 0)
    assert D.ACTION_KIND_SECOND_FACTOR in [action.kind for action in told.actions]


def test_people_are_told_by_the_channels_of_the_segment() -> None:
    given = inputs(**SUSPICIOUS, signals={"place_risk": 5})
    told = explain.explain(pack(), given, decide.decide(pack(), given), (), 0)
    (notify,) = [action for action in told.actions if action.kind == D.ACTION_KIND_NOTIFY]
    assert list(notify.channels) == ["slack", "email", "sms", "webhook"]
    assert notify.priority == "low"


def test_a_young_account_with_confirmed_abuse_is_suspicious() -> None:
    assert decided(created_days=5, chargebacks=3).segment[0] == D.SEGMENT_SUSPICIOUS
    assert decided(created_days=5, observed={O.INCIDENTS: 3}).segment[0] == D.SEGMENT_SUSPICIOUS
    assert decided(created_days=5, chargebacks=2).segment[0] == D.SEGMENT_NEW
