"""Every hard rule of the shipped rules on the decided outcome: where it begins, what it says, what it asks for.

The bounds are those of docs/fraud.md and of the rules' own comments; nothing else speaks against the viewer.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import yaml

from services.scoring import decide, explain
from tests.unit.scoring.builders import DEFAULTS, default_rules, inputs
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

D, E = decision_pb2, event_pb2
ALLOW, CAUTION = D.OUTCOME_ALLOW, D.OUTCOME_ALLOW_WITH_CAUTION
REVIEW, BLOCK = D.OUTCOME_REVIEW, D.OUTCOME_BLOCK
LOGIN, PLAYBACK, PAYMENT = E.EVENT_CLASS_LOGIN, E.EVENT_CLASS_PLAYBACK, E.EVENT_CLASS_PAYMENT
EXPORT, CREDENTIAL = E.EVENT_CLASS_EXPORT, E.EVENT_CLASS_CREDENTIAL
FACTOR, OFFER, RATE = D.ACTION_KIND_SECOND_FACTOR, D.ACTION_KIND_OFFER_UPGRADE, D.ACTION_KIND_LIMIT_RATE
FLAG, LIST = D.ACTION_KIND_FLAG_ACCOUNT, D.ACTION_KIND_LIST_ADDRESS


class Case(NamedTuple):
    """One rule: the signal that it asks for, from where on, and the answer."""

    rule: str
    event_class: int
    name: str
    start: float
    below: float
    """A value next below the start."""
    outcome: int
    reason: str
    actions: tuple[int, ...] = ()
    more: dict[str, Any] = {}  # noqa: RUF012  of a named tuple, never changed
    before: int = ALLOW
    """The outcome at `below`."""
    elsewhere: int | None = None
    """A class in which the same signal leads to nothing."""


CASES = (
    Case("brute_force", LOGIN, "burst_failures", 8, 7, REVIEW, "BRUTE_FORCE", (RATE, FACTOR), elsewhere=PLAYBACK),
    Case("guessing", LOGIN, "failures_1h", 5, 4, CAUTION, "AUTHENTICATION_FAILURES", (RATE,), elsewhere=PLAYBACK),
    Case("stuffed_login", LOGIN, "address_failed_accounts", 10, 9, REVIEW, "CREDENTIAL_STUFFING", (FACTOR, LIST),
         elsewhere=PAYMENT),
    Case("stuffing", LOGIN, "address_failed_accounts", 10, 9, CAUTION, "CREDENTIAL_STUFFING", (LIST,),
         {"named": {"failed_sign_in": 1}}),
    Case("stuffed_wave", LOGIN, "stuffing", 0.4, 0.39, REVIEW, "DISTRIBUTED_STUFFING", (FACTOR,), elsewhere=PAYMENT),
    Case("sprayed_login", LOGIN, "spraying", 0.3, 0.29, REVIEW, "PASSWORD_SPRAYING", (FACTOR, LIST), elsewhere=PAYMENT),
    Case("takeover_chain", CREDENTIAL, "takeover_steps", 3, 2, REVIEW, "TAKEOVER_SEQUENCE", (FACTOR, FLAG)),
    Case("takeover", CREDENTIAL, "takeover_stage", 2, 1, REVIEW, "TAKEOVER_SEQUENCE", (FACTOR, FLAG), before=CAUTION),
    Case("takeover_login", LOGIN, "takeover_stage", 1, 0, CAUTION, "TAKEOVER_SEQUENCE", (FACTOR,)),
    Case("trial_abuse", LOGIN, "trial_accounts", 5, 4, REVIEW, "TRIAL_ABUSE", elsewhere=PLAYBACK),
    Case("trial_abuse", PAYMENT, "trial_accounts", 5, 4, REVIEW, "TRIAL_ABUSE"),
    Case("chargeback_cluster", PAYMENT, "chargeback_accounts", 2, 1, REVIEW, "CHARGEBACK_CLUSTER", elsewhere=LOGIN),
    Case("bulk_export", EXPORT, "exports_24h", 60, 59, REVIEW, "BULK_EXPORT", (RATE,)),
    Case("catalogue_scraping", PLAYBACK, "titles", 150, 149, CAUTION, "SCRAPING", (RATE,)),
    Case("scraping", PLAYBACK, "events_1h", 100, 99, CAUTION, "HIGH_FREQUENCY", (RATE,), {"named": {"rate_ratio": 10}}),
    Case("confirmed_ring", PLAYBACK, "ring_confirmed", 1, 0, REVIEW, "CONFIRMED_RING", (FLAG,)),
    Case("confirmed_ring_pays", PAYMENT, "ring_confirmed", 1, 0, BLOCK, "CONFIRMED_RING", (FLAG,)),
    Case("sharing", PLAYBACK, "sharing", 0.5, 0.49, CAUTION, "ACCOUNT_SHARING", (OFFER,), elsewhere=PAYMENT),
    Case("stream_limit", PLAYBACK, "streams_over_limit", 1, 0, CAUTION, "STREAM_LIMIT", (OFFER,), elsewhere=PAYMENT),
    Case("resale", PLAYBACK, "resale", 0.5, 0.49, REVIEW, "CREDENTIAL_RESALE", (FACTOR,), elsewhere=PAYMENT),
    Case("resale_for_sure", PLAYBACK, "resale", 0.8, 0.79, BLOCK, "CREDENTIAL_RESALE", (FACTOR,), before=REVIEW),
    Case("impossible_travel", PLAYBACK, "travel_kmh", 900, 899, CAUTION, "IMPOSSIBLE_TRAVEL", (FACTOR,)),
    Case("tor_export", EXPORT, "exports_24h", 0, 0, REVIEW, "TOR_EXIT", (), {"place": (E.PLACE_FLAG_TOR,)}, REVIEW),
    Case("tor_bulk_export", EXPORT, "exports_24h", 20, 19, BLOCK, "BULK_EXPORT", (), {"place": (E.PLACE_FLAG_TOR,)}, REVIEW),
)  # fmt: skip


def answer(case: Case, value: float, event_class: int | None = None) -> tuple[int, D.Decision]:
    """(outcome, reasons and actions) with the case's signal at a value."""
    named = {**case.more.get("named", {})}
    signals = {}
    if case.name in decide.INDEX and case.name not in ("address_failed_accounts", "travel_kmh"):
        named[case.name] = value
    else:
        signals[case.name] = value
    given = inputs(
        event_class=event_class or case.event_class,
        named=named,
        signals=signals,
        place=case.more.get("place", ()),
    )
    decided = decide.decide(default_rules(), given)
    return int(decided.outcome[0]), explain.explain(default_rules(), given, decided, (), 0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}-{case.event_class}")
def test_a_hard_rule_begins_where_it_says(case: Case) -> None:
    outcome, told = answer(case, case.start)
    assert D.Outcome.Name(outcome) == D.Outcome.Name(case.outcome)
    assert D.ReasonCode.Value("REASON_CODE_" + case.reason) in {reason.code for reason in told.reasons}
    assert set(case.actions) <= {action.kind for action in told.actions}
    # It is among what would have to be gone for the act to be allowed.
    assert D.ReasonCode.Value("REASON_CODE_" + case.reason) in told.counterfactual
    assert answer(case, case.below)[0] == case.before
    if case.elsewhere is not None:
        assert answer(case, case.start, case.elsewhere)[0] == ALLOW


def test_every_rule_is_tried() -> None:
    shipped = yaml.safe_load((DEFAULTS / "outcomes.yaml").read_bytes())["rules"]
    assert {case.rule for case in CASES} == {rule["id"] for rule in shipped}


def test_a_failed_sign_in_in_a_wave_is_not_reviewed_for_the_wave() -> None:
    # The owner of an account that others try to open has nothing to answer for.
    given = inputs(event_class=LOGIN, named={"failed_sign_in": 1}, signals={"stuffing": 0.7, "spraying": 0.6})
    assert decide.decide(default_rules(), given).outcome[0] == ALLOW


def test_resale_is_never_answered_as_sharing() -> None:
    given = inputs(signals={"sharing": 0.9, "resale": 0.8, "streams_over_limit": 2})
    decided = decide.decide(default_rules(), given)
    told = explain.explain(default_rules(), given, decided, (), 0)
    assert decided.outcome[0] == BLOCK
    assert decided.limit[0] == -1
    codes = {reason.code for reason in told.reasons}
    assert D.REASON_CODE_CREDENTIAL_RESALE in codes
    assert D.REASON_CODE_ACCOUNT_SHARING not in codes
    kinds = {action.kind for action in told.actions}
    assert {D.ACTION_KIND_BLOCK, D.ACTION_KIND_OPEN_INCIDENT, FACTOR} <= kinds
