"""What the law says of events: the worked cases, the bare event, and each property of a verdict."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import json_format

from services.compliance.evaluate import Law
from services.compliance.facts import read_facts
from services.compliance.packs import load_pack
from tests.unit.compliance.cases import FURTHER_FILE, event_of, load_cases
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

PERMITTED = decision_pb2.PROCESSING_STATE_PERMITTED
SUPPRESS = decision_pb2.PROCESSING_STATE_SUPPRESS
GAP = decision_pb2.PROCESSING_STATE_GAP
OUTCOMES = {
    "compliant": decision_pb2.COMPLIANCE_STATUS_COMPLIANT,
    "violation": decision_pb2.COMPLIANCE_STATUS_VIOLATION,
    "gap": decision_pb2.COMPLIANCE_STATUS_GAP,
}


def judge(
    law: Law,
    privacy: dict[str, Any] | None = None,
    *,
    time: str = "2026-11-22T12:00:00Z",
    country: str = "",
    own_right: bool = False,
    **bare: Any,
) -> decision_pb2.Verdict:
    event = event_pb2.Event(event_type="play", **{"region": "ZZ", **bare})
    event.event_time.FromJsonString(time)
    if privacy is not None:
        json_format.ParseDict(privacy, event.privacy)
    answer = law.evaluate(read_facts(event, country, own_right=own_right))
    verdict = decision_pb2.Verdict.FromString(answer.verdict)
    assert (answer.risk, answer.flags) == (verdict.risk, verdict.flags)
    return verdict


def rules(verdict: decision_pb2.Verdict) -> list[str]:
    return [finding.rule for finding in verdict.findings]


def gaps(verdict: decision_pb2.Verdict) -> dict[str, list[str]]:
    return {gap.rule: list(gap.missing) for gap in verdict.gaps}


def processing(verdict: decision_pb2.Verdict) -> list[tuple[str, str, str, int]]:
    return [(entry.purpose, entry.recipient, entry.destination, entry.state) for entry in verdict.processing]


def has_flag(verdict: decision_pb2.Verdict, flag: int) -> bool:
    return bool(verdict.flags >> flag & 1)


def triples(items: list[dict[str, str]], built: set[str]) -> set[tuple[str, str, str]]:
    return {
        (item["regulation"], item["article"], item["reason"]) for item in items if item["regulation"] in built
    }


@pytest.mark.parametrize("case", load_cases(), ids=lambda case: f"{case['id']} {case['title']}")
def test_worked_case(law: Law, case: dict[str, Any]) -> None:
    built = {pack.id for pack in law.packs}
    expected = case["expected"]
    answer = law.evaluate(read_facts(event_of(case), "", own_right=False))
    verdict = decision_pb2.Verdict.FromString(answer.verdict)

    assert set(expected["applicable"]) <= set(verdict.applicable)
    assert set(verdict.applicable) <= {*expected["applicable"], *expected["applicable_optional"]}
    found = {(finding.regulation, finding.article, finding.reason) for finding in verdict.findings}
    demanded = triples(expected["violations"], built)
    assert demanded <= found
    assert found - demanded <= triples(expected["violations_optional"], built)
    assert gaps(verdict) == {}
    assert verdict.status == OUTCOMES[expected["outcome"]]


def test_the_bare_european_event_without_consent(law: Law) -> None:
    verdict = judge(law, region="NL", is_eu=True, has_consent=False)

    assert verdict.status == decision_pb2.COMPLIANCE_STATUS_VIOLATION
    assert list(verdict.applicable) == ["EU_GDPR"]
    finding = verdict.findings[0]
    assert (finding.regulation, finding.article) == ("EU_GDPR", "art. 6(1)(a)")
    assert (finding.reason, finding.verification) == ("NO_LEGAL_BASIS_CONSENT_ABSENT", "verified")
    assert len(verdict.findings) == 1
    assert gaps(verdict) == {
        "EU_GDPR.basis_undeclared": ["privacy.legal_basis_claimed"],
        "EU_GDPR.purpose_undeclared": ["privacy.purpose"],
    }
    assert processing(verdict) == [("*", "", "", SUPPRESS)]
    assert list(verdict.assumptions) == [
        "region=NL -> user_location",
        "is_eu=true -> user_location=EU",
        "region=NL -> user_residence",
        "has_consent=false -> consent.status=absent",
    ]
    # Half of severity 4, and half a point for the gaps.
    assert verdict.risk == 2.5
    assert not has_flag(verdict, decision_pb2.VERDICT_FLAG_FORBIDS_ACT)
    assert has_flag(verdict, decision_pb2.VERDICT_FLAG_SUPPRESS)
    assert has_flag(verdict, decision_pb2.VERDICT_FLAG_AGE_UNKNOWN)


def test_a_contract_needs_no_consent(law: Law) -> None:
    verdict = judge(
        law,
        {"purpose": "basic_service", "legal_basis_claimed": "contract"},
        region="NL",
        is_eu=True,
        has_consent=False,
    )

    assert verdict.status == decision_pb2.COMPLIANCE_STATUS_COMPLIANT
    assert (rules(verdict), gaps(verdict), verdict.risk) == ([], {}, 0)
    assert processing(verdict) == [("basic_service", "", "", PERMITTED)]


@pytest.mark.parametrize("region", ["NL", "BR", "CN", "TH", "US-CA", "US"])
def test_a_viewer_exercising_a_right_is_not_stopped_for_want_of_consent(law: Law, region: str) -> None:
    verdict = judge(law, region=region, has_consent=False, own_right=True)

    assert (rules(verdict), gaps(verdict)) == ([], {})
    assert all(state == PERMITTED for *_, state in processing(verdict))


def test_where_no_pack_reaches_nothing_is_said(law: Law) -> None:
    verdict = judge(law, region="MX", has_consent=False)

    assert verdict.status == decision_pb2.COMPLIANCE_STATUS_COMPLIANT
    assert (list(verdict.applicable), processing(verdict)) == ([], [])


def test_an_unknown_place_is_a_gap_where_a_law_would_speak(law: Law) -> None:
    verdict = judge(law, region="ZZ", has_consent=False)

    assert verdict.status == decision_pb2.COMPLIANCE_STATUS_GAP
    assert list(verdict.applicable) == []
    assert gaps(verdict)["EU_GDPR.consent_absent_undeclared"] == ["privacy.user_location"]
    assert gaps(verdict)["BR_LGPD.consent_absent_undeclared"] == ["privacy.user_residence"]


def test_an_unknown_state_is_a_gap_only_where_its_law_would_speak(law: Law) -> None:
    sale = {
        "third_party": {"shared": True, "is_sale_or_share": True},
        "signals": {"gpc": True},
        "data_categories": ["device_id"],
    }

    found = gaps(judge(law, {**sale, "purpose": "third_party_sharing"}, region="US"))
    # California and the others with a duty to honour the signal; Iowa, say, has none.
    assert {rule.partition(".")[0][3:5] for rule in found if rule.endswith(".gpc_ignored")} == {
        "CA", "CO", "CT", "TX", "MT", "NE", "NH", "NJ", "MN", "DE", "OR", "MD",
    }  # fmt: skip
    assert all(missing == ["privacy.user_residence"] for missing in found.values())
    assert judge(law, region="US").status == decision_pb2.COMPLIANCE_STATUS_COMPLIANT
    assert rules(judge(law, sale, region="US-CA")) == ["US_CA_CCPA.gpc_ignored"]
    assert rules(judge(law, sale, region="US-NY")) == []


def test_the_address_protects_too(law: Law) -> None:
    assert "EU_GDPR" in judge(law, region="US-NY", country="DE").applicable
    assert "EU_GDPR" not in judge(law, {"user_location": "US-NY"}, region="US-NY", country="DE").applicable


def test_a_european_controller_is_bound_everywhere(law: Law) -> None:
    assert "EU_GDPR" in judge(law, {"controller_established_in": ["IE"]}, region="JP").applicable
    assert "EU_GDPR" not in judge(law, {"controller_established_in": ["GB"]}, region="JP").applicable


@pytest.mark.parametrize(
    ("residence", "age", "child"),
    # Art. 8(1) and national law: DE 16, DK 15 (since 2024), IT 14, NO 13; a state without a name counts as 16.
    [("DE", 15, True), ("DE", 16, False), ("DK", 14, True), ("DK", 15, False), ("IT", 13, True), ("IT", 14, False),
     ("NO", 12, True), ("NO", 13, False), ("EU", 15, True)],
)  # fmt: skip
def test_age_of_digital_consent(law: Law, residence: str, age: int, child: bool) -> None:
    verdict = judge(
        law,
        {
            "purpose": "personalisation",
            "legal_basis_claimed": "consent",
            "user_age": age,
            "consent": {"status": "granted", "scope": ["personalisation"], "given_by": "child"},
        },
        region=residence,
    )

    assert rules(verdict) == (["EU_GDPR.child_consent"] if child else [])


@pytest.mark.parametrize(
    ("time", "overdue"),
    [("2026-11-01T23:59:59Z", False), ("2026-11-02T00:00:00Z", True)],
)
def test_a_month_ends_with_its_last_day(law: Law, time: str, overdue: bool) -> None:
    request = {"rights_request": {"type": "access", "received_time": "2026-10-01T09:00:00Z"}}
    verdict = judge(law, request, region="BE", time=time)

    assert rules(verdict) == (["EU_GDPR.request_overdue"] if overdue else [])
    assert not has_flag(verdict, decision_pb2.VERDICT_FLAG_SUPPRESS)


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"extension_notified_time": "2026-10-20T00:00:00Z"}, []),
        # Notified after the month that it was to extend.
        ({"extension_notified_time": "2026-11-10T00:00:00Z"}, ["EU_GDPR.request_overdue"]),
        # Not notified yet at the event's time.
        ({"extension_notified_time": "2026-11-30T00:00:00Z"}, ["EU_GDPR.request_overdue"]),
        ({"answered_time": "2026-10-31T00:00:00Z"}, []),
        ({"answered_time": "2026-11-05T00:00:00Z"}, ["EU_GDPR.request_overdue"]),
        ({"identity_verified": False}, []),
    ],
)
def test_extensions_and_answers(law: Law, more: dict[str, Any], found: list[str]) -> None:
    request = {"rights_request": {"type": "deletion", "received_time": "2026-10-01T09:00:00Z", **more}}

    assert rules(judge(law, request, region="BE")) == found


def test_a_request_without_a_date_is_a_gap(law: Law) -> None:
    verdict = judge(law, {"rights_request": {"type": "access"}}, region="BE")

    assert gaps(verdict) == {"EU_GDPR.request_overdue": ["privacy.rights_request.received_time"]}


@pytest.mark.parametrize("seconds", [-1, 4_133_980_800, 2**62])
def test_a_date_outside_the_contracts_years_is_a_gap(law: Law, seconds: int) -> None:
    event = event_pb2.Event(event_type="play", region="BE")
    event.event_time.FromJsonString("2026-11-22T12:00:00Z")
    event.privacy.rights_request.type = "access"
    event.privacy.rights_request.received_time.seconds = seconds
    answer = law.evaluate(read_facts(event, "", own_right=False))

    assert gaps(decision_pb2.Verdict.FromString(answer.verdict)) == {
        "EU_GDPR.request_overdue": ["privacy.rights_request.received_time"]
    }


@pytest.mark.parametrize(
    ("breach", "found", "missing"),
    [
        ({"risk": "risk"}, ["EU_GDPR.breach_notified_late"], {}),
        ({"risk": "unlikely"}, [], {}),
        ({}, [], {"EU_GDPR.breach_notified_late": ["privacy.breach.risk"]}),
        ({"risk": "high_risk", "regulator_notified_time": "2026-11-19T08:00:00Z"}, [], {}),
        (
            {
                "risk": "risk",
                "regulator_notified_time": "2026-11-19T08:00:01Z",
                "reasons_for_delay_given": False,
            },
            ["EU_GDPR.breach_notified_late"],
            {},
        ),
        (
            {
                "risk": "risk",
                "regulator_notified_time": "2026-11-19T08:00:01Z",
                "reasons_for_delay_given": True,
            },
            [],
            {},
        ),
    ],
)
def test_seventy_two_hours(
    law: Law, breach: dict[str, Any], found: list[str], missing: dict[str, list[str]]
) -> None:
    verdict = judge(law, {"breach": {"aware_time": "2026-11-16T08:00:00Z", **breach}}, region="PL")

    assert (rules(verdict), gaps(verdict)) == (found, missing)


def transfer(destination: str, **more: Any) -> dict[str, Any]:
    return {
        "purpose": "analytics",
        "legal_basis_claimed": "contract",
        "transfer": {"cross_border": True, "destination_country": destination, **more},
    }


@pytest.mark.parametrize(
    ("region", "told", "time", "state"),
    [
        ("FR", transfer("IN", mechanism="none"), "2026-11-22", SUPPRESS),
        ("FR", transfer("IN"), "2026-11-22", GAP),
        ("FR", transfer("IN", mechanism="scc", impact_assessment_done=True), "2026-11-22", PERMITTED),
        ("FR", transfer("IN", mechanism="scc", impact_assessment_done=False), "2026-11-22", SUPPRESS),
        ("FR", transfer("IN", mechanism="scc"), "2026-11-22", GAP),
        ("FR", transfer("JP"), "2026-11-22", PERMITTED),
        ("FR", transfer("NO"), "2026-11-22", PERMITTED),
        (
            "FR",
            transfer("US", mechanism="adequacy_dpf", recipient_dpf_certified=True),
            "2026-11-22",
            PERMITTED,
        ),
        (
            "FR",
            transfer("US", mechanism="adequacy_dpf", recipient_dpf_certified=False),
            "2026-11-22",
            SUPPRESS,
        ),
        # The decision for Brazil is of 26 January 2026, that for the United Kingdom ends with 2031.
        ("FR", transfer("BR", mechanism="none"), "2026-01-25", SUPPRESS),
        ("FR", transfer("BR", mechanism="none"), "2026-01-26", PERMITTED),
        ("FR", transfer("GB", mechanism="none"), "2031-12-27", PERMITTED),
        ("FR", transfer("GB", mechanism="none"), "2031-12-28", SUPPRESS),
        ("BR", transfer("DE", mechanism="none"), "2026-01-25", SUPPRESS),
        ("BR", transfer("DE", mechanism="none"), "2026-01-26", PERMITTED),
        ("TH", transfer("SG", mechanism="asean_mcc"), "2026-11-22", PERMITTED),
        ("TH", transfer("SG", mechanism="none"), "2026-11-22", SUPPRESS),
        ("CN", transfer("SG", mechanism="scc", impact_assessment_done=True), "2026-11-22", SUPPRESS),
    ],
)
def test_transfers(law: Law, region: str, told: dict[str, Any], time: str, state: int) -> None:
    verdict = judge(law, told, region=region, time=f"{time}T12:00:00Z")
    destination = told["transfer"]["destination_country"]

    assert ("analytics", "", destination, state) in processing(verdict)
    assert ("analytics", "", "", PERMITTED) in processing(verdict)


def test_law_is_that_of_the_events_time(law: Law) -> None:
    assert list(judge(law, region="NL", has_consent=False, time="2018-05-24T23:59:59Z").applicable) == []
    assert list(judge(law, region="NL", has_consent=False, time="2018-05-25T00:00:00Z").applicable) == [
        "EU_GDPR"
    ]
    shared = {
        "user_age": 9,
        "third_party": {"shared": True, "recipient_type": "ad_partner"},
        "consent": {"status": "granted", "parental": True, "verifiable": True, "scope": ["use"]},
    }
    assert rules(judge(law, shared, region="US-OH", time="2026-04-21T12:00:00Z")) == []
    assert rules(judge(law, shared, region="US-OH", time="2026-04-22T12:00:00Z")) == [
        "US_COPPA.disclosure_consent"
    ]


@pytest.mark.parametrize(
    ("obtained", "separate", "found", "missing"),
    [
        ("2024-11-22T12:00:00Z", True, [], {}),
        ("2024-11-21T12:00:00Z", True, ["US_VPPA.consent_too_old"], {}),
        ("2026-11-21T12:00:00Z", False, ["US_VPPA.disclosure_without_consent"], {}),
        (None, True, [], {"US_VPPA.consent_too_old": ["privacy.consent.obtained_time"]}),
    ],
)
def test_video_consent_lasts_two_years(
    law: Law, obtained: str | None, separate: bool, found: list[str], missing: dict[str, list[str]]
) -> None:
    consent: dict[str, Any] = {"status": "granted", "vppa_separate_form": separate, "scope": ["disclosure"]}
    if obtained:
        consent["obtained_time"] = obtained
    verdict = judge(
        law,
        {
            "purpose": "third_party_sharing",
            "data_categories": ["viewing_history"],
            "third_party": {"shared": True, "recipient_type": "ad_partner"},
            "consent": consent,
        },
        region="US-NY",
    )

    assert (rules(verdict), gaps(verdict)) == (found, missing)
    if found:
        assert ("third_party_sharing", "ad_partner", "", SUPPRESS) in processing(verdict)


def test_several_laws_at_once_and_the_strictest_decides(law: Law) -> None:
    verdict = judge(
        law,
        {
            "user_residence": "BR",
            "user_location": "DE",
            "purpose": "personalisation",
            "legal_basis_claimed": "consent",
            "consent": {"status": "withdrawn"},
            "terminal_storage_access": True,
        },
    )

    assert list(verdict.applicable) == ["BR_LGPD", "EU_EPRIVACY", "EU_GDPR"]
    # Gravest first, then by id; strictly necessary or not is unknown.
    assert rules(verdict) == ["BR_LGPD.consent_withdrawn", "EU_GDPR.consent_withdrawn"]
    assert gaps(verdict) == {"EU_EPRIVACY.terminal_access": ["privacy.terminal_strictly_necessary"]}
    assert [(entry.state, entry.rule) for entry in verdict.processing] == [
        (SUPPRESS, "BR_LGPD.consent_withdrawn")
    ]
    # Half of severity 5, half for a second finding, half for a gap: 3.5, and 3 is the most.
    assert verdict.risk == 3.0


def test_a_minor_is_marked(law: Law) -> None:
    assert has_flag(judge(law, {"user_age": 17}), decision_pb2.VERDICT_FLAG_MINOR)
    assert not has_flag(judge(law, {"user_age": 18}), decision_pb2.VERDICT_FLAG_MINOR)
    assert not has_flag(judge(law, {"user_age": 18}), decision_pb2.VERDICT_FLAG_AGE_UNKNOWN)


FORBIDDING = """
id: XX_LAW
short_name: Law
name: A law
version: "1"
jurisdictions: [JP]
scope: {article: s.1, by: [residence]}
rules:
  - {id: a_ban, article: s.2, reason: PURPOSE_LIMITATION, summary: A ban., condition: purpose == "gambling",
     severity: 5, remedy: stop_processing, affects: act, forbids_act: true, verification: VERIFICATION}
  - {id: no_security, article: s.3, reason: PURPOSE_LIMITATION, summary: No security., severity: 1,
     condition: purpose == "security", remedy: stop_processing, affects: purposes, verification: verified}
"""


@pytest.mark.parametrize(
    ("verification", "own_right", "forbidden"),
    [("verified", False, True), ("verified", True, False), ("from_knowledge", False, False)],
)
def test_only_a_verified_ban_forbids_the_act(verification: str, own_right: bool, forbidden: bool) -> None:
    law = Law([load_pack(FORBIDDING.replace("VERIFICATION", verification).encode())])
    verdict = judge(law, {"purpose": "gambling"}, region="JP", own_right=own_right)

    assert rules(verdict) == ["XX_LAW.a_ban"]
    assert verdict.findings[0].forbids_act
    assert has_flag(verdict, decision_pb2.VERDICT_FLAG_FORBIDS_ACT) is forbidden


def test_suppressed_security_is_marked() -> None:
    law = Law([load_pack(FORBIDDING.replace("VERIFICATION", "verified").encode())])

    assert has_flag(
        judge(law, {"purpose": "security"}, region="JP"), decision_pb2.VERDICT_FLAG_SECURITY_SUPPRESSED
    )
    assert not has_flag(
        judge(law, {"purpose": "gambling"}, region="JP"), decision_pb2.VERDICT_FLAG_SECURITY_SUPPRESSED
    )


def test_where_laws_answer_differently_the_conflict_is_shown(law: Law) -> None:
    """A resident of Japan in Germany: the GDPR wants consent for advertising, the APPI a notified purpose."""
    verdict = judge(
        law,
        {
            "user_residence": "JP",
            "user_location": "DE",
            "purpose": "targeted_advertising",
            "legal_basis_claimed": "notified_purpose",
            "notice_given": True,
            "consent": {"status": "absent"},
        },
    )

    assert list(verdict.applicable) == ["EU_GDPR", "JP_APPI"]
    [conflict] = verdict.conflicts
    assert (conflict.purpose, conflict.recipient, conflict.destination) == ("targeted_advertising", "", "")
    assert (conflict.decided_by, conflict.rule, conflict.state) == (
        "EU_GDPR",
        "EU_GDPR.consent_absent",
        SUPPRESS,
    )
    assert list(conflict.less_strict) == ["JP_APPI"]
    assert processing(verdict) == [("targeted_advertising", "", "", SUPPRESS)]


def test_laws_that_agree_are_in_no_conflict(law: Law) -> None:
    told = {
        "user_residence": "BR",
        "user_location": "DE",
        "user_age": 34,
        "purpose": "targeted_advertising",
        "legal_basis_claimed": "consent",
        "consent": {"status": "absent"},
    }

    assert list(judge(law, told).conflicts) == []
    assert (
        list(
            judge(
                law, {**told, "consent": {"status": "granted", "scope": ["targeted_advertising"]}}
            ).conflicts
        )
        == []
    )


def test_a_gap_under_one_law_gives_way_to_a_finding_under_another(law: Law) -> None:
    verdict = judge(
        law,
        {
            "user_residence": "BR",
            "user_location": "DE",
            "purpose": "analytics",
            "legal_basis_claimed": "contract",
            "transfer": {"cross_border": True, "destination_country": "FR"},
        },
        time="2025-06-01T12:00:00Z",
    )

    # Within the EEA for the one, abroad without a mechanism for the other.
    [conflict] = verdict.conflicts
    assert (conflict.decided_by, conflict.destination, conflict.state) == ("BR_LGPD", "FR", GAP)
    assert list(conflict.less_strict) == ["EU_GDPR"]


def test_remedies_are_acts_of_the_caller(law: Law) -> None:
    verdict = judge(
        law,
        {
            "user_residence": "DE",
            "user_location": "DE",
            "purpose": "targeted_advertising",
            "legal_basis_claimed": "consent",
            "consent": {"status": "absent"},
            "terminal_storage_access": True,
            "terminal_strictly_necessary": False,
            "transfer": {"cross_border": True, "destination_country": "IN", "mechanism": "none"},
        },
    )

    assert [(item.remedy, item.severity, list(item.rules)) for item in verdict.remedies] == [
        ("obtain_consent", 4, ["EU_EPRIVACY.terminal_access", "EU_GDPR.consent_absent"]),
        ("adopt_transfer_safeguard", 4, ["EU_GDPR.transfer_without_safeguard"]),
    ]
    assert {item.enforced_by for item in verdict.remedies} == {decision_pb2.ENFORCED_BY_CALLER}


@pytest.mark.parametrize(
    ("told", "time", "rule"),
    # What the facts list as beyond consent: DSA 28(2), AVMSD 6a(2), ECA Digital 22 and 26, DPDP 9(3), bans of CT, MD, OR,
    # sale of geolocation in VA, the data security programme.
    [
        ({"service_type": "online_platform", "user_age": 15}, "2026-11-22", "EU_DSA.profiled_ad_to_minor"),
        (
            {"service_type": "svod", "user_age": 15, "data_origin": "age_verification"},
            "2026-11-22",
            "EU_AVMSD.protection_data_used_commercially",
        ),
        ({"user_residence": "BR", "user_age": 15}, "2026-11-22", "BR_ECA_DIGITAL.profiled_ad_to_minor"),
        ({"user_residence": "IN", "user_age": 15}, "2027-11-22", "IN_DPDP.targeted_ad_to_child"),
        ({"user_residence": "US-CT", "user_age": 15}, "2026-11-22", "US_CT_CTDPA.teen_ad_ban"),
        ({"user_residence": "US-MD", "user_age": 15}, "2026-11-22", "US_MD_MODPA.teen_ad_ban"),
        ({"user_residence": "US-OR", "user_age": 15}, "2026-11-22", "US_OR_OCPA.teen_ad_ban"),
        (
            {
                "user_residence": "US-VA",
                "data_categories": ["precise_location"],
                "third_party": {"shared": True, "is_sale_or_share": True, "recipient_type": "ad_partner"},
            },
            "2026-11-22",
            "US_VA_VCDPA.sale_of_geolocation",
        ),
        (
            {
                "user_residence": "US-VA",
                "bulk_export": True,
                "annual_outbound_individuals": 200_000,
                "transfer": {
                    "cross_border": True,
                    "destination_country": "RU",
                    "mechanism": "explicit_consent",
                },
            },
            "2026-11-22",
            "US_DOJ_DSP.bulk_transfer_to_country_of_concern",
        ),
    ],
)
def test_consent_never_cures_what_it_cannot(law: Law, told: dict[str, Any], time: str, rule: str) -> None:
    everything = ["targeted_advertising", "third_party_sharing", "cross_border_transfer", "sale"]
    found = []
    for parental in (False, True):
        consent = {
            "status": "granted",
            "scope": everything,
            "parental": parental,
            "explicit": True,
            "separate": True,
            "verifiable": True,
        }
        verdict = judge(
            law,
            {
                "user_residence": "DE",
                "purpose": "targeted_advertising",
                "legal_basis_claimed": "consent",
                "consent": consent,
                **told,
            },
            time=f"{time}T12:00:00Z",
            region=told.get("user_residence", "DE"),
        )
        found.append([finding for finding in verdict.findings if finding.rule == rule])

    assert all(len(findings) == 1 and findings[0].consent_cannot_cure for findings in found)


def test_verification_and_review_stand_on_every_finding(law: Law) -> None:
    for case in load_cases(FURTHER_FILE):
        answer = law.evaluate(read_facts(event_of(case), "", own_right=False))
        for finding in decision_pb2.Verdict.FromString(answer.verdict).findings:
            assert finding.verification in ("verified", "from_knowledge")
            assert (finding.reviewed_by, finding.article != "", finding.pack_version != "") == (
                "",
                True,
                True,
            )


def test_a_data_security_ban_that_nobody_verified_raises_no_outcome(law: Law) -> None:
    verdict = judge(
        law,
        {
            "bulk_export": True,
            "annual_outbound_individuals": 200_000,
            "data_categories": ["device_id"],
            "transfer": {"cross_border": True, "destination_country": "CN", "mechanism": "standard_contract"},
        },
        region="US-OH",
    )

    assert rules(verdict) == ["US_DOJ_DSP.bulk_transfer_to_country_of_concern"]
    assert verdict.findings[0].forbids_act
    assert not has_flag(verdict, decision_pb2.VERDICT_FLAG_FORBIDS_ACT)
