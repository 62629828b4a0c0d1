"""Worked cases: read, evaluated, compared; those given and those of our own, for every regulation."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from services.compliance.cases import CaseError, differences, evaluate_case, read_cases
from services.compliance.evaluate import Law
from tests.unit.compliance.cases import CASES_FILE, FURTHER_FILE

GIVEN = read_cases(CASES_FILE.read_bytes())
FURTHER = read_cases(FURTHER_FILE.read_bytes())


@pytest.mark.parametrize("case", [*GIVEN, *FURTHER], ids=lambda case: case.id)
def test_case(law: Law, case: Any) -> None:
    assert case.expected is not None
    assert (case.problems, case.unread, case.unknown) == ((), (), ())
    assert differences(case, evaluate_case(law, case)) == []


def test_every_regulation_has_a_case_that_violates_it_and_one_to_which_it_applies_in_peace(law: Law) -> None:
    tried = [
        case["expected"]
        for file in (CASES_FILE, FURTHER_FILE)
        for case in yaml.safe_load(file.read_text())["cases"]
    ]
    violated = {item["regulation"] for expected in tried for item in expected["violations"]}
    peaceful = {
        name
        for expected in tried
        for name in expected["applicable"]
        if name not in {item["regulation"] for item in expected["violations"]}
    }

    regulations = {pack.id for pack in law.packs}
    assert regulations <= violated
    # A state act and the data security programme apply where something is amiss, or beside their like; the others rest.
    assert {name for name in regulations if not name.startswith("US_")} <= peaceful
    assert {
        "US_VA_VCDPA",
        "US_IA_ICDPA",
        "US_OR_OCPA",
        "US_NH_NHDPA",
        "US_VPPA",
        "US_COPPA",
        "US_CA_CCPA",
    } <= peaceful


LINE = "- {id: A, event: {event_time: 2026-11-22T12:00:00Z, user_residence: NL, user_location: NL, %s}}"


def one(facts: str) -> Any:
    [case] = read_cases((LINE % facts).encode())
    return case


def test_the_answer_has_the_fixed_shape(law: Law) -> None:
    answer = evaluate_case(
        law, one("purpose: analytics, legal_basis_claimed: consent, consent: {status: absent}")
    )

    assert answer == {
        "id": "A",
        "applicable": ["EU_GDPR"],
        "violations": [
            {"regulation": "EU_GDPR", "article": "art. 6(1)(a)", "reason": "NO_LEGAL_BASIS_CONSENT_ABSENT"}
        ],
        "gaps": [],
        "outcome": "violation",
    }


def test_gaps_name_facts_as_the_cases_do(law: Law) -> None:
    answer = evaluate_case(law, one("purpose: analytics, legal_basis_claimed: consent"))

    assert answer["outcome"] == "gap"
    assert {"regulation", "article", "rule", "missing"} == answer["gaps"][0].keys()
    assert answer["gaps"][0]["missing"] == ["consent.status"]


def test_no_is_a_country_and_null_is_absent(law: Law) -> None:
    [case] = read_cases(
        b"cases: [{id: A, event: {event_time: '2026-11-22T12:00:00Z', user_residence: NO, user_location: NO,"
        b" rights_request: {type: access, received_at: 2026-11-20T00:00:00Z, answered_at: null}}}]"
    )

    assert evaluate_case(law, case)["applicable"] == ["EU_GDPR"]


def test_a_fact_that_no_rule_asks_for_is_told_with_the_nearest() -> None:
    case = one("purpos: x, consent: {stat: granted}, quite_something: 1")

    assert case.unknown == (
        "consent.stat (did you mean consent.status?)",
        "purpos (did you mean purpose?)",
        "quite_something",
    )


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ("user_age: old", "user_age: send a whole number"),
        ("consent: {scope: analytics}", "consent.scope: "),
        ("signals: {gpc: 1}", "signals.gpc: "),
        ("bulk_export: {records: 5}", "bulk_export: "),
    ],
)
def test_a_fact_that_cannot_be_read_is_unknown_and_told(law: Law, facts: str, problem: str) -> None:
    case = one(f"purpose: basic_service, legal_basis_claimed: contract, {facts}")

    assert [item.startswith(problem) for item in case.unread] == [True]
    assert evaluate_case(law, case)["outcome"] == "compliant"


@pytest.mark.parametrize("facts", ["user_age: 30", "event_time: yesterday", "event_time: null"])
def test_a_case_without_its_time_is_an_error_of_its_own(law: Law, facts: str) -> None:
    [case] = read_cases(f"- {{id: A, event: {{{facts}}}}}".encode())
    answer = evaluate_case(law, case)

    assert answer.keys() == {"id", "error"}
    assert answer["error"].startswith("event_time")


@pytest.mark.parametrize(
    "document", [b"", b"cases: 1", b"just text", b"cases: [", b"a: b\na: c", b"[" * 2_000]
)
def test_a_file_that_holds_no_cases_is_refused(document: bytes) -> None:
    with pytest.raises(CaseError):
        read_cases(document)


def test_a_case_without_an_event_does_not_stop_the_others(law: Law) -> None:
    first, second = read_cases(f"[{{id: X}}, {LINE[2:] % 'user_age: 3'}]".encode())

    assert evaluate_case(law, first) == {"id": "X", "error": "its `event` is not a mapping"}
    assert "error" not in evaluate_case(law, second)


def test_differences_of_every_kind(law: Law) -> None:
    case = one("purpose: analytics, legal_basis_claimed: consent, consent: {status: absent}")
    wrong = case._replace(
        expected={
            "applicable": ["EU_DSA"],
            "violations": [
                {"regulation": "EU_DSA", "article": "art. 28(2)", "reason": "PROFILED_AD_TO_MINOR"}
            ],
            "outcome": "compliant",
        }
    )

    assert differences(wrong, evaluate_case(law, wrong)) == [
        "EU_DSA should apply",
        "EU_GDPR should not apply",
        "missing: EU_DSA art. 28(2) PROFILED_AD_TO_MINOR",
        "not expected: EU_GDPR art. 6(1)(a) NO_LEGAL_BASIS_CONSENT_ABSENT",
        "outcome violation, expected compliant",
    ]
    optional = case._replace(
        expected={
            "applicable": [],
            "applicable_optional": ["EU_GDPR"],
            "violations": [],
            "violations_optional": [
                {
                    "regulation": "EU_GDPR",
                    "article": "art. 6(1)(a)",
                    "reason": "NO_LEGAL_BASIS_CONSENT_ABSENT",
                }
            ],
        }
    )
    assert differences(optional, evaluate_case(law, optional)) == []


def test_cases_may_share_facts_by_alias(law: Law) -> None:
    document = b"""
- {id: A, event: &first {event_time: 2026-11-22T12:00:00Z, user_residence: NL, user_location: NL}}
- {id: B, event: *first}
"""
    first, second = (evaluate_case(law, case) for case in read_cases(document))

    assert first["gaps"] == second["gaps"] != []


@pytest.mark.parametrize(
    "facts", ["x: &x [*x]", "x: &x {y: *x}", "consent: &x {tcf: *x}", "data_categories: &x [*x]"]
)
def test_a_case_that_holds_itself_is_an_error_of_its_own(law: Law, facts: str) -> None:
    assert "holds itself" in evaluate_case(law, one(facts))["error"]


def test_a_case_that_grows_without_end_is_an_error_of_its_own(law: Law) -> None:
    levels = "".join(f", x{level}: &x{level} [*x{level - 1}, *x{level - 1}]" for level in range(1, 40))

    assert "error" in evaluate_case(law, one(f"x0: &x0 [1]{levels}"))
