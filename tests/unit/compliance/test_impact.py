"""The impact model: expected figures are worked out by hand from docs/impact.md and the statutes' amounts."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from services.compliance.evaluate import Law
from services.compliance.impact import ImpactError, estimate, read_inputs


def violation(regulation: str, subject: str, *, confirmed: bool = False, rule: str = "r") -> dict[str, Any]:
    return {"regulation": regulation, "rule": rule, "subject": subject, "confirmed": confirmed}


ASSUMPTIONS: dict[str, Any] = {
    "currency": "EUR",
    "rates": {"USD": 0.5, "BRL": 0.2},
    "turnover": {"worldwide": 1_000_000_000, "brazil": 100_000_000},
    "enforcement": {"default": {"probability": [0.01, 0.1], "share_of_maximum": [0.1, 0.5]}},
}


def estimated(law: Law, violations: list[dict[str, Any]], **assumptions: Any) -> dict[str, Any]:
    inputs = {
        "period": {"from": "2026-01-01", "to": "2027-01-01"},
        "violations": violations,
        "assumptions": {**ASSUMPTIONS, **assumptions},
    }
    return estimate(read_inputs(yaml.safe_dump(inputs).encode()), law.packs)


def regulation(told: dict[str, Any], name: str) -> dict[str, Any]:
    return next(item for item in told["regulations"] if item["regulation"] == name)


def test_a_maximum_counts_once_however_many_violations_there_are(law: Law) -> None:
    # Art. 83(5): EUR 20 million or 4 % of the worldwide turnover, the higher: 40 million of a billion.
    # 1 % to 10 % probable, 10 % to 50 % of the maximum: 40,000 to 2,000,000.
    for count in (1, 50):
        told = estimated(law, [violation("EU_GDPR", f"s{number}") for number in range(count)])
        gdpr = regulation(told, "EU_GDPR")

        assert gdpr["maximum"] == {
            "amount": 40_000_000,
            "per_violation": False,
            "cite": "GDPR art. 83(5)-(6)",
            "verification": "verified: https://www.law-reg.org/gdpr-en/regulation_translate/382",
        }
        assert gdpr["remaining"] == gdpr["exposure"] == {"low": 40_000, "high": 2_000_000}
        assert gdpr["prevented"] == {"low": 0, "high": 0}


def test_the_lower_of_both_where_the_law_caps(law: Law) -> None:
    # LGPD art. 52(II): 2 % of the turnover in Brazil (2 million of 100 million), at most BRL 50 million (10 million here).
    assert (
        regulation(estimated(law, [violation("BR_LGPD", "a")]), "BR_LGPD")["maximum"]["amount"] == 2_000_000
    )


def test_amounts_per_violation_add_up(law: Law) -> None:
    # CCPA: USD 2,663 a violation, EUR 1,331.50 here; 3 people, of whom 1 was prevented.
    told = estimated(law, [violation("US_CA_CCPA", name, confirmed=name == "a") for name in "abc"])
    ccpa = regulation(told, "US_CA_CCPA")

    assert (ccpa["violations"], ccpa["confirmed_prevented"], ccpa["maximum"]["per_violation"]) == (3, 1, True)
    assert ccpa["exposure"] == {"low": round(3 * 1331.5 * 0.001), "high": round(3 * 1331.5 * 0.05)}
    assert ccpa["prevented"] == {"low": round(1331.5 * 0.001), "high": round(1331.5 * 0.05)}
    assert told["value"]["total"] == ccpa["prevented"]


def test_only_confirmed_actions_prevent(law: Law) -> None:
    none = estimated(law, [violation("EU_GDPR", "a"), violation("EU_GDPR", "b")])
    half = estimated(law, [violation("EU_GDPR", "a", confirmed=True), violation("EU_GDPR", "b")])
    both = estimated(law, [violation("EU_GDPR", name, confirmed=True) for name in "ab"])

    assert none["value"]["fines"] == {"low": 0, "high": 0}
    # While one violation remains, the fine may come all the same.
    assert half["value"]["fines"] == {"low": 0, "high": 1_000_000}
    assert half["exposure_remaining"] == {"low": 40_000, "high": 2_000_000}
    assert both["value"]["fines"] == {"low": 40_000, "high": 2_000_000}
    assert both["exposure_remaining"] == {"low": 0, "high": 0}


def test_told_twice_counts_once_and_the_order_does_not_matter(law: Law) -> None:
    violations = [
        violation("EU_GDPR", "a"),
        violation("US_CA_CCPA", "b", confirmed=True),
        violation("EU_GDPR", "c"),
    ]
    once = estimated(law, violations)
    again = [*violations, violation("EU_GDPR", "a", confirmed=True), *violations]
    random.Random(3).shuffle(again)
    twice = estimated(law, again)

    assert (once["violations"], twice["violations"]) == (
        {"told": 3, "distinct": 3, "confirmed_prevented": 1},
        {"told": 7, "distinct": 3, "confirmed_prevented": 2},
    )
    del once["violations"], twice["violations"]
    # Confirmed by one telling is confirmed.
    confirmed_first = estimated(law, [violation("EU_GDPR", "a", confirmed=True), *violations[1:]])
    del confirmed_first["violations"]
    assert twice == confirmed_first
    assert estimated(law, again) == estimated(law, again)


def test_value_cost_return_and_payback(law: Law) -> None:
    told = estimated(
        law,
        [],
        incidents={"confirmed_prevented": 2, "cost": [10_000, 90_000]},
        customers={"confirmed_kept": 10, "value": [100, 200]},
        costs={"setup": 12_000, "hosting": 5_000, "staff": 7_000},
    )

    assert told["months"] == 12
    assert told["value"] == {
        "fines": {"low": 0, "high": 0},
        "incidents": {"low": 20_000, "high": 180_000},
        "customers": {"low": 1_000, "high": 2_000},
        "total": {"low": 21_000, "high": 182_000},
    }
    assert told["cost"] == {"setup": 12_000, "running": 12_000, "total": 24_000}
    assert told["net"] == {"low": -3_000, "high": 158_000}
    assert told["return_percent"] == {"low": -12.5, "high": 658.3}
    # (21,000 - 12,000) / 12 = 750 a month: 16 months; (182,000 - 12,000) / 12: 0.8 months.
    assert told["payback_months"] == {"low_value": 16.0, "high_value": 0.8}


def test_what_never_pays_back_says_so(law: Law) -> None:
    told = estimated(law, [], costs={"setup": 1, "staff": 10})

    assert told["payback_months"] == {"low_value": None, "high_value": None}
    assert estimated(law, [])["return_percent"] is None


def test_what_is_not_assumed_is_not_estimated(law: Law) -> None:
    told = estimated(
        law, [violation("EU_GDPR", "a", confirmed=True), violation("EU_AVMSD", "b")], enforcement={}
    )

    assert told["not_estimated"] == ["EU_AVMSD", "EU_GDPR"]
    assert told["value"]["total"] == {"low": 0, "high": 0}
    assert told["warnings"] == [
        "EU_AVMSD is not estimated: its pack tells no amount",
        "EU_GDPR is not estimated: no probability is assumed for it",
    ]


def test_a_turnover_that_is_not_told_is_left_out_and_named(law: Law) -> None:
    told = estimated(law, [violation("EU_GDPR", "a")], turnover={})

    assert regulation(told, "EU_GDPR")["maximum"]["amount"] == 20_000_000
    assert "EU_GDPR: no turnover `worldwide` is assumed, so 4 % of it is left out" in told["warnings"]


def test_every_pack_with_an_amount_can_be_estimated(law: Law) -> None:
    currencies = ("USD", "GBP", "BRL", "CNY", "INR", "JPY", "KRW", "SGD", "THB", "TRY", "ZAR", "AUD", "CAD")
    told = estimated(
        law,
        [violation(pack.id, "a") for pack in law.packs],
        rates=dict.fromkeys(currencies, 1.0),
        turnover=dict.fromkeys(("worldwide", "brazil", "singapore", "australia"), 1e9),
    )

    # National law sets the fines of the two directives; the facts tell none of the data security programme.
    assert told["not_estimated"] == ["EU_AVMSD", "EU_EPRIVACY", "US_DOJ_DSP"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"period": {"from": "2026-01-01", "to": "2026-01-01"}}, "period.from lies before"),
        ({"period": {"from": "soon", "to": "2026-01-01"}}, "period.from is a date"),
        ({"violations": {}}, "violations is a list"),
        ({"confirmed_events": "evt"}, "confirmed_events is a list"),
        ({"violations": [{"regulation": "EU_GDPR", "rule": "r"}]}, r"violations\[0\].subject is a text"),
        ({"violations": [violation("EU_GDPR", "a") | {"confirmed": "yes"}]}, r"violations\[0\].confirmed"),
        ({"violations": [violation("XX_NONE", "a")]}, "XX_NONE, of which there is no pack"),
        ({"asumptions": {}}, "asumptions: write"),
        ({"assumptions": {"turnovers": {}}}, "assumptions.turnovers: write one of"),
        ({"assumptions": {"turnover": {"worldwide": -1}}}, "assumptions.turnover.worldwide is a number"),
        ({"assumptions": {"enforcement": {"default": {"probability": [0, 2]}}}}, "at most 1"),
        ({"assumptions": {"enforcement": {"default": {"probability": 0.1}}}}, "is a range"),
        ({"assumptions": {"incidents": {"confirmed_prevented": 1.5, "cost": [1, 2]}}}, "a whole number"),
        (
            {"assumptions": {"currency": "CHF"}, "violations": [violation("EU_GDPR", "a")]},
            "rates.EUR: say how many CHF",
        ),
    ],
)
def test_wrong_inputs_name_the_field(law: Law, change: dict[str, Any], problem: str) -> None:
    inputs = {
        "period": {"from": "2026-01-01", "to": "2027-01-01"},
        "violations": [],
        "assumptions": {},
    } | change
    with pytest.raises(ImpactError, match=problem):
        estimate(read_inputs(yaml.safe_dump(inputs).encode()), law.packs)


def test_a_violation_is_prevented_only_if_it_was_in_every_event(law: Law) -> None:
    both = [
        violation("US_CA_CCPA", "a", confirmed=True) | {"event": "e1"},
        violation("US_CA_CCPA", "a") | {"event": "e2"},
    ]
    one = both[:1]

    assert estimated(law, both)["violations"] == {"told": 2, "distinct": 1, "confirmed_prevented": 0}
    assert estimated(law, one)["violations"] == {"told": 1, "distinct": 1, "confirmed_prevented": 1}


def test_decisions_tell_violations(law: Law) -> None:
    decisions = [
        {
            "event_id": f"e{number}",
            "user_id": f"u{number}",
            "findings": [{"regulation": "US_CA_CCPA", "rule": "US_CA_CCPA.gpc_ignored"}],
        }
        for number in range(3)
    ]
    failed = [{"event_id": "e9", "status": "failed", "reason": "INVALID"}]
    inputs = {
        "period": {"from": "2026-01-01", "to": "2027-01-01"},
        "confirmed_events": ["e1"],
        "assumptions": ASSUMPTIONS,
    }
    told = estimate(
        read_inputs(yaml.safe_dump(inputs).encode(), [*decisions, *decisions, *failed]), law.packs
    )

    assert told["violations"] == {"told": 6, "distinct": 3, "confirmed_prevented": 1}
