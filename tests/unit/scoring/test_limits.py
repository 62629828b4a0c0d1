"""Shared use alone leads to caution and an offer, whatever the models find unusual; it shields nothing else.

Both directions as properties over everything that speaks for and against a viewer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring import decide, explain, rules
from services.scoring.profile import O
from tests.unit.scoring.builders import DAY, DEFAULTS, NORMS, SIGNALS, default_rules, inputs
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

D, E = decision_pb2, event_pb2
SHIPPED = (DEFAULTS / "outcomes.yaml").read_text()
UNLIMITED = rules.read_rules(
    (SHIPPED[: SHIPPED.index("limits:\n")] + SHIPPED[SHIPPED.index("# Hard rules: the") :]).encode(), NORMS
)
"""The shipped rules without limits."""

casual = st.fixed_dictionaries(
    {
        "sharing": st.sampled_from([0.5, 0.6, 0.9]),
        "streams_over_limit": st.integers(0, 6),
        "concurrent_streams": st.integers(1, 8),
        "resale": st.sampled_from([0.0, 0.2, 0.4]),
        "place_risk": st.floats(0, 5, width=32),
        "travel_kmh": st.sampled_from([0.0, 400.0, 1200.0, 50_000.0]),
    }
)
"""Fraud's signals of people at several places on one account: beside the streams, journeys that nobody made."""
unusual = st.fixed_dictionaries(
    {
        "ensemble": st.floats(0, 1, width=32),
        "created_days": st.sampled_from([1, 10, 100, 400]),
        "hour": st.integers(0, 23),
        "place": st.sampled_from([(), (E.PLACE_FLAG_VPN,), (E.PLACE_FLAG_RELAY,), (E.PLACE_FLAG_SHARED,)]),
        "named": st.fixed_dictionaries(
            {
                "new_country": st.integers(0, 1),
                "night": st.integers(0, 1),
                "hour_share": st.sampled_from([0.0, 0.2]),
                "events_1h": st.sampled_from([3, 500]),
                "rate_ratio": st.sampled_from([1, 30]),
                "events_24h": st.sampled_from([3, 500]),
                "error_rate_24h": st.sampled_from([0.0, 0.9]),
                "concurrent_streams": st.integers(0, 6),
                "networks_24h": st.integers(0, 12),
            }
        ),
    }
)
"""What the models may make of it, whatever account it is."""
GRAVE: tuple[dict[str, Any], ...] = (
    {"signals": {"resale": 0.5}},
    {"signals": {"network_risk": 0.2}},
    {"signals": {"network_risk": 1.0}},
    {"signals": {"ring_members": 6, "ring_score": 0.9, "network_risk": 0.7}},
    {"signals": {"ring_confirmed": 1, "network_risk": 1.0}},
    {"signals": {"takeover_steps": 2}},
    {"signals": {"titles": 200, "network_risk": 0.4}},
    {"signals": {"device_accounts": 6, "network_risk": 0.3}},
    {"signals": {"payment_accounts": 5, "network_risk": 0.4}},
    {"signals": {"device_failures": 12, "network_risk": 0.4}},
    {"named": {"takeover_stage": 1}},
    {"named": {"takeover_stage": 2}},
    {"named": {"failures_1h": 9}},
    {"place": (E.PLACE_FLAG_TOR,)},
    {"place": (E.PLACE_FLAG_PROXY,)},
)
"""What sharing does not explain."""


def joined(*parts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        for name, value in part.items():
            found[name] = {**found.get(name, {}), **value} if isinstance(value, dict) else value
    return found


def test_the_rules_without_limits_are_the_shipped_ones_otherwise() -> None:
    assert UNLIMITED.limits == ()
    assert len(default_rules().limits) == 2
    assert len(UNLIMITED.patterns.patterns) == len(default_rules().patterns.patterns)


@given(casual, unusual)
def test_sharing_alone_is_never_more_than_caution(signals: dict[str, float], more: dict[str, Any]) -> None:
    given_ = inputs(signals=signals, **more)
    decided = decide.decide(default_rules(), given_)
    assert decided.outcome[0] == D.OUTCOME_ALLOW_WITH_CAUTION
    told = explain.explain(default_rules(), given_, decided, (), 0)
    kinds = [action.kind for action in told.actions]
    assert D.ACTION_KIND_OFFER_UPGRADE in kinds
    assert not {D.ACTION_KIND_BLOCK, D.ACTION_KIND_REVIEW, D.ACTION_KIND_OPEN_INCIDENT} & set(kinds)
    # It is told exactly where it changed the outcome, with what the points said.
    before = int(decide.decide(UNLIMITED, given_).outcome[0])
    said = [list(r.words) for r in told.reasons if r.code == D.REASON_CODE_ONLY_SHARED]
    if before > D.OUTCOME_ALLOW_WITH_CAUTION:
        assert said == [[D.Outcome.Name(before).removeprefix("OUTCOME_").lower()]]
    else:
        assert said == []


@given(
    casual,
    unusual,
    st.sampled_from([{"observed": {O.INCIDENTS: 4}}, {"chargebacks": 2}, {"chargebacks": 5}]),
)
def test_what_an_account_did_before_blocks_nobody_who_only_shares(
    signals: dict[str, float], more: dict[str, Any], history: dict[str, Any]
) -> None:
    given_ = inputs(**joined({"signals": signals}, more, history))
    # A chargeback is a fact of the account and a feature.
    given_.features[0, decide.INDEX["chargebacks"]] = history.get("chargebacks", 0)
    outcome = decide.decide(default_rules(), given_).outcome[0]
    assert outcome <= D.OUTCOME_REVIEW
    assert outcome == min(decide.decide(UNLIMITED, given_).outcome[0], D.OUTCOME_REVIEW)


@given(casual, unusual, st.sampled_from(GRAVE), st.sampled_from([{}, {"observed": {O.INCIDENTS: 4}}]))
def test_sharing_shields_nothing(
    signals: dict[str, float], more: dict[str, Any], grave: dict[str, Any], history: dict[str, Any]
) -> None:
    given_ = inputs(**joined({"signals": signals}, more, grave, history))
    decided = decide.decide(default_rules(), given_)
    assert decided.limit[0] == -1
    assert decided.outcome[0] == decide.decide(UNLIMITED, given_).outcome[0]
    # Nor is anything decided milder than it would be of an account that is not shared.
    alone = {**signals, "sharing": 0.0, "streams_over_limit": 0, "concurrent_streams": 0}
    unshared = inputs(**joined({"signals": alone}, more, grave, history))
    assert decided.outcome[0] >= decide.decide(default_rules(), unshared).outcome[0]


@given(
    st.sampled_from(
        [E.EVENT_CLASS_LOGIN, E.EVENT_CLASS_PAYMENT, E.EVENT_CLASS_EXPORT, E.EVENT_CLASS_CREDENTIAL]
    ),
    casual,
    unusual,
)
def test_grave_acts_are_not_limited(
    event_class: int, signals: dict[str, float], more: dict[str, Any]
) -> None:
    decided = decide.decide(default_rules(), inputs(event_class=event_class, signals=signals, **more))
    assert decided.limit[0] == -1


def test_without_the_limit_points_alone_would_review_and_block() -> None:
    # A young account at night: 5.5 - 0.3 - 0.8 = 4.4; 3 of the models, 0.5 of the segment and 1 of a VPN: 4.5.
    young = {
        "created_days": 1,
        "ensemble": 1.0,
        "named": {"night": 1, "hour_share": 0.0},
        "place": (E.PLACE_FLAG_VPN,),
    }
    shared = {"sharing": 0.6, "place_risk": 1.0}
    assert decide.decide(UNLIMITED, inputs(signals=shared, **young)).outcome[0] == D.OUTCOME_REVIEW
    assert decide.decide(default_rules(), inputs(signals=shared, **young)).outcome[0] == (
        D.OUTCOME_ALLOW_WITH_CAUTION
    )
    # The same with three of impossible travel: 7.5 is above 4.4 + 3.
    shared = {"sharing": 0.6, "place_risk": 4.0, "travel_kmh": 2000}
    assert decide.decide(UNLIMITED, inputs(signals=shared, **young)).outcome[0] == D.OUTCOME_BLOCK
    assert decide.decide(default_rules(), inputs(signals=shared, **young)).outcome[0] == (
        D.OUTCOME_ALLOW_WITH_CAUTION
    )


def test_a_law_that_forbids_the_act_is_not_limited() -> None:
    forbidden = 1 << D.VERDICT_FLAG_FORBIDS_ACT
    decided = decide.decide(default_rules(), inputs(signals={"sharing": 0.9}, verdict_flags=forbidden))
    assert decided.outcome[0] == D.OUTCOME_BLOCK


def test_each_event_of_a_batch_is_limited_by_itself() -> None:
    shared = {"sharing": 0.6, "place_risk": 4.0, "travel_kmh": 2000}
    young = {"created_days": 1, "ensemble": 1.0, "named": {"night": 1, "hour_share": 0.0}}
    parts = [
        inputs(signals=shared, **young),
        inputs(signals={**shared, "network_risk": 0.5}, **young),
        inputs(),
        inputs(signals=shared, observed={O.INCIDENTS: 4, O.GAP: DAY}, ensemble=1.0),
    ]
    rows = [decide.decide(default_rules(), part) for part in parts]
    assert [int(row.limit[0]) for row in rows] == [0, -1, -1, 1]
    assert [int(row.outcome[0]) for row in rows] == [
        D.OUTCOME_ALLOW_WITH_CAUTION, D.OUTCOME_BLOCK, D.OUTCOME_ALLOW, D.OUTCOME_REVIEW,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("reason: ONLY_SHARED, at_most: ALLOW", "reason: ONLY_SHARD, at_most: ALLOW", "ONLY_SHARD"),
        ("where: [ACCOUNT_SHARING, STREAM_LIMIT]", "where: [BREACH_NOTICE_OVERDUE]", "BREACH_NOTICE_OVERDUE"),
        ("where: [ACCOUNT_SHARING, STREAM_LIMIT]", "where: []", "only_shared"),
        ("not_of: [suspicious]", "not_of: [strange]", "strange"),
        ("{name: takeover_steps, at_least: 1}", "{name: takeover_step, at_least: 1}", "takeover_step"),
    ],
)
def test_wrong_limits_are_refused_by_name(old: str, new: str, says: str) -> None:
    assert old in SHIPPED
    with pytest.raises(rules.RulesInvalid, match=says):
        rules.read_rules(SHIPPED.replace(old, new, 1).encode(), NORMS)


def test_every_signal_that_says_fraud_lifts_the_limit() -> None:
    """A signal that is added later is either named here as harmless, or lifts the limit."""
    harmless = {
        # Of the place, and of streams themselves; below its start each signal is no finding.
        *("place_risk", "travel_kmh", "address_class", "concurrent_streams", "streams_over_limit", "sharing"),
        # Counts that become findings in network_risk, whose risk lifts it.
        *("device_accounts", "payment_accounts", "address_accounts", "account_failures", "address_failures"),
        *(
            "device_failures",
            "address_failed_accounts",
            "ring_score",
            "titles",
            "account_exports",
            "stuffing",
        ),
        *("spraying", "burst_failures", "failure_sources", "trial_accounts", "chargeback_accounts"),
        "confirmed_neighbours",
    }
    lifting = {"resale", "network_risk", "ring_members", "takeover_steps", "ring_confirmed"}
    assert harmless | lifting == set(SIGNALS)
    night = {"created_days": 1, "ensemble": 1.0, "named": {"night": 1, "hour_share": 0.0}}
    for name in sorted(lifting):
        decided = decide.decide(
            default_rules(), inputs(signals={"sharing": 0.6, "place_risk": 4.0, name: 1.0}, **night)
        )
        assert decided.limit[0] == -1, name
    np.testing.assert_array_equal(default_rules().limits[0].not_of, [D.SEGMENT_SUSPICIOUS])
