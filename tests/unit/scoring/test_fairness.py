"""Shares, intervals and when a difference alarms."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring import fairness
from services.scoring.fairness import Bounds
from services.scoring.outcomes import Known, Truth
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

ALLOW, REVIEW = decision_pb2.OUTCOME_ALLOW, decision_pb2.OUTCOME_REVIEW


def test_wilson_is_that_of_the_literature() -> None:
    # R. Newcombe, Statistics in Medicine 17 (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for count, of, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert fairness.wilson(count, of) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_the_interval_holds_the_share(counts: tuple[int, int]) -> None:
    low, high = fairness.wilson(*counts)
    assert 0 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1


def test_the_p_value_is_that_of_two_proportions() -> None:
    # By hand: 30 of 100 against 20 of 100: pooled 0.25, spread sqrt(0.25 * 0.75 * 0.02) = 0.061237, z = 1.63299,
    # two-sided 0.10247 by the table of the normal distribution.
    assert fairness.p_value(30, 100, 20, 100) == pytest.approx(0.10247, abs=1e-5)
    assert fairness.p_value(0, 0, 20, 100) == 1.0
    assert fairness.p_value(0, 10, 0, 10) == 1.0


def events(country: str, number: int, false: int, flags: int = 0) -> tuple[list[Known], list[Truth]]:
    made = [
        Known(f"{country}{i}", "u", 0, 2, ALLOW, REVIEW if i < false else ALLOW, country, flags)
        for i in range(number)
    ]
    return made, [Truth(True, kind="legitimate")] * number


def test_a_group_alarms_only_with_enough_events_and_significance() -> None:
    a, b = events("DE", 1_000, 10), events("NL", 1_000, 100)
    groups = {one.group: one for one in fairness.panel(a[0] + b[0], a[1] + b[1])}
    assert groups["NL"].alarming
    assert groups["NL"].ratio == pytest.approx((100.5 / 1_001) / (10.5 / 1_001))
    assert groups["NL"].false_alarms.value == 0.1
    few = events("NL", 99, 50)
    small = fairness.panel(a[0] + few[0], a[1] + few[1])
    assert not any(one.alarming for one in small)
    even = events("NL", 1_000, 11)
    assert not any(one.alarming for one in fairness.panel(a[0] + even[0], a[1] + even[1]))


def test_groups_beyond_the_bound_are_told_together() -> None:
    parts = [events(f"C{i}", 3, 0) for i in range(5)]
    known = [one for part in parts for one in part[0]]
    truths = [one for part in parts for one in part[1]]
    groups = fairness.panel(known, truths, Bounds(most_groups=2))
    countries = [one for one in groups if one.dimension == "country"]
    assert {one.group for one in countries} >= {"others"}
    assert sum(one.held_up.of for one in countries) == 15


def test_the_class_of_an_address_is_its_strongest_flag() -> None:
    flags = 1 << event_pb2.PLACE_FLAG_HOSTING | 1 << event_pb2.PLACE_FLAG_TOR
    assert fairness.address_class(flags) == "tor"
    assert fairness.address_class(0) == "plain"


def test_misses_are_estimated_from_the_random_draw_alone() -> None:
    known, _ = events("DE", 1_000, 0)
    truths = [Truth(True, abusive=i < 5 or i >= 900, kind="legitimate") for i in range(1_000)]
    drawn = {f"DE{i}" for i in range(100)}
    found = fairness.misses(known, truths, drawn.__contains__)
    assert found is not None
    assert (found.reviewed.count, found.reviewed.of, found.allowed, found.missed) == (5, 100, 1_000, 50)
    low, high = fairness.wilson(5, 100)
    assert (found.low, found.high) == pytest.approx((1_000 * low, 1_000 * high))
    assert fairness.misses(known, truths, lambda _: False) is None


def test_the_control_group_is_told_apart_and_judged() -> None:
    caution = decision_pb2.OUTCOME_ALLOW_WITH_CAUTION
    known = [
        Known("let1", "u", 0, 2, caution, REVIEW, "DE", 0),
        Known("let2", "u", 0, 2, caution, decision_pb2.OUTCOME_BLOCK, "DE", 0),
        Known("let3", "u", 0, 2, caution, REVIEW, "DE", 0),
        Known("cautious", "u", 0, 2, caution, caution, "DE", 0),
        Known("observed", "u", 0, 2, ALLOW, REVIEW, "DE", 0),
        Known("held", "u", 0, 2, REVIEW, REVIEW, "DE", 0),
    ]
    truths = [Truth(True, True, kind="chargeback"), Truth(True), Truth(), *[Truth(True, True)] * 3]
    report = fairness.report("t", 1_000, known, truths, lambda event_id: event_id in ("cautious", "held"))
    assert report.control_group == 3
    assert (report.control_abusive.count, report.control_abusive.of) == (1, 2)
    assert report.sampled == 1, "of what was held up nothing is sampled"
    unknown = fairness.report("t", 1_000, known, [Truth()] * 6, lambda event_id: False)
    assert unknown.control_group == 3
    assert not unknown.HasField("control_abusive")
