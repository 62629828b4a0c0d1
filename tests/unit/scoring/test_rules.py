"""Rules that must not decide are refused, naming the entry."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import yaml

from services.scoring import features
from services.scoring.rules import Columns, RulesInvalid, read_rules
from tests.unit.scoring.builders import DEFAULTS, NORMS, default_rules
from usher.event.v1 import event_pb2

SHIPPED = (DEFAULTS / "outcomes.yaml").read_text()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("version: 2", "version: 1", "version 2"),
        ("outcome: REVIEW, times: 1.0", "outcome: MAYBE, times: 1.0", "OUTCOME_MAYBE"),
        ("cold_events: 10", "cold_event: 10", "cold_events"),
        ("name: failures_1h, at_least: 5}]}", "name: failure_1h, at_least: 5}]}", "failure_1h"),
        ("norms.events_1h", "norms.events_2h", "events_2h"),
        ("place: [TOR]", "place: [TORR]", "PLACE_FLAG_TORR"),
        ("reason: DATA_VOLUME", "reason: DATA", "REASON_CODE_DATA"),
        ("{name: volume_ratio, at_least: 20}", "{name: volume_ratio, over: 20}", "volume_ratio"),
        ("  dormant: {threshold", "  sleeping: {threshold", "segments"),
        ("bands:", "bands: [", "not YAML"),
    ],
)
def test_wrong_rules_are_refused_by_name(old: str, new: str, says: str) -> None:
    assert old in SHIPPED
    with pytest.raises(RulesInvalid, match=says):
        read_rules(SHIPPED.replace(old, new).encode(), NORMS)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("sensitivity: 1.5", "sensitivity: 9", "segment new: sensitivity"),
        ("channels: [email, sms]", "channels: [email, pigeon]", "pigeon"),
        ("support_priority: high", "support_priority: highest", "segment power"),
        ("second_factor: always", "second_factor: sometimes", "segment suspicious"),
        ("session_limit: 1}", "session_limit: -1}", "segment suspicious"),
        ("residence: {}", "residence: {Europe: 1}", "Europe"),
    ],
)
def test_wrong_parameters_of_a_segment_are_refused_by_name(old: str, new: str, says: str) -> None:
    assert old in SHIPPED
    with pytest.raises(RulesInvalid, match=says):
        read_rules(SHIPPED.replace(old, new, 1).encode(), NORMS)


def numbers(tree: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(tree, dict | list):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from numbers(value, (*place, name))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield place


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_refused_wherever_the_rules_have_one(value: float) -> None:
    read = yaml.safe_load(SHIPPED)
    places = list(numbers(read))
    assert len(places) > 100
    for place in places[1:]:  # the first is the version
        tree = at = copy.deepcopy(read)
        for name in place[:-1]:
            at = at[name]
        at[place[-1]] = value
        with pytest.raises(RulesInvalid, match="no finite number") as refused:
            read_rules(yaml.dump(tree, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)).encode(), NORMS)
        assert ".".join(map(str, place)) in str(refused.value)


@pytest.mark.parametrize(
    "more",
    [
        "knot: &knot [*knot, .nan]",
        "\n".join(
            ["l0: &l0 [.nan]", *(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 40))]
        ),
    ],
    ids=["within itself", "nine to the thirty-ninth times"],
)
def test_anchors_that_repeat_without_end_are_looked_at_once(more: str) -> None:
    with pytest.raises(RulesInvalid, match="no finite number"):
        read_rules(f"{SHIPPED}\n{more}\n".encode(), NORMS)


def test_no_residence_moves_a_threshold_in_the_shipped_rules() -> None:
    assert default_rules().residence == {}


def test_learning_stays_within_its_bound() -> None:
    learnt = SHIPPED.replace("learnt: {bound: 0.5, power: 0.0", "learnt: {bound: 0.5, power: -3.0")
    assert read_rules(learnt.encode(), NORMS).learnt[1] == -0.5


def test_patterns_hold_where_all_their_conditions_do() -> None:
    patterns = default_rules().patterns
    number = next(
        i for i, p in enumerate(patterns.patterns) if p.at_least == 4
    )  # export over Tor, many before
    rows = np.zeros((4, features.WIDTH), np.float32)
    rows[:, features.INDEX["exports_24h"]] = [20, 19.5, 20, 20]
    columns = Columns(
        features=rows,
        signals=np.zeros((4, features.SIGNALS), np.float32),
        event_class=np.array([4, 4, 1, 4]),
        place_flags=np.array([1 << event_pb2.PLACE_FLAG_TOR] * 3 + [1 << event_pb2.PLACE_FLAG_VPN]),
    )
    assert patterns.holds(columns)[:, number].tolist() == [True, False, False, False]


def test_consent_and_residence_appear_in_no_rule() -> None:
    legal = {features.INDEX[name] for name in ("consent_lacking", "facts_missing", "minor")}
    for pattern in default_rules().patterns.patterns:
        assert not {c.position for c in pattern.when if c.kind == "feature"} & legal
