"""Several sources of consent become one answer: the most protective, with the conflicts told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.consent_strings.gpp import CanadaTcf, GppString, encode_gpp
from services.common.consent_strings.tcf import Restriction, TcString, encode_tcf
from services.common.consent_strings.us_privacy import UsPrivacy
from services.common.consent_strings.us_sections import US_SECTIONS
from services.compliance.consent import LedgerFact, Own, Resolution, resolve
from services.compliance.facts import SCHEMA, read_facts
from usher.event.v1 import event_pb2

NOON = 1_767_268_800
SILENT = Own(None, None, None, None, None)
ADS = "targeted_advertising"
TC = TcString(
    version=2,
    created=(NOON - 86_400) * 10,
    last_updated=(NOON - 86_400) * 10,
    cmp_id=18,
    cmp_version=1,
    consent_screen=1,
    consent_language="EN",
    vendor_list_version=100,
    policy_version=5,
    purpose_consents=(1, 3, 4),
    vendor_consents=(755,),
    vendors_disclosed=(12, 755),
)
LEDGER = LedgerFact("granted", (ADS,), (), NOON - 99, None, None, "adult", None, None, None)


def us_fields(section: int, **chosen: Any) -> dict[str, Any]:
    layout = US_SECTIONS[section].core
    fields: dict[str, Any] = {name: [0] * count if count else 0 for name, count in layout.fields}
    fields |= {
        layout.version_field: 1,
        "GpcSegmentIncluded": "Gpc" in chosen,
        "GpcSegmentType": 1,
        "Gpc": False,
    }
    return fields | chosen


def gpp(**sections: Any) -> str:
    return encode_gpp(GppString({int(number.strip("s")): section for number, section in sections.items()}))


def answer(
    own: Own = SILENT,
    *,
    tcf: str | TcString = "",
    gpp_string: str = "",
    us_privacy: str = "",
    sids: tuple[int, ...] = (),
    vendor: int | None = None,
    purpose: str | None = ADS,
    time: int = NOON,
    ledger: LedgerFact | None = None,
) -> Resolution:
    privacy = event_pb2.PrivacyFacts()
    privacy.consent.tcf_string = tcf if isinstance(tcf, str) else encode_tcf(tcf)
    privacy.consent.gpp_string = gpp_string
    privacy.consent.us_privacy_string = us_privacy
    privacy.signals.gpp_sids.extend(sids)
    if vendor is not None:
        privacy.consent.tcf.vendor_id = vendor
    return resolve(privacy, own, purpose, time, ledger)


def conflicts(found: Resolution) -> list[tuple[str, str, str, tuple[str, ...]]]:
    return [tuple(one) for one in found.conflicts]  # type: ignore[misc]


def test_a_tc_string_speaks_of_the_purposes_that_it_knows() -> None:
    assert answer(tcf=TC).status == "granted"
    assert answer(tcf=TC).scope == (ADS, "terminal_access")
    assert answer(tcf=replace(TC, purpose_consents=(1, 4))).status == "absent"
    assert answer(tcf=TC, purpose="personalisation").status == "absent"
    assert answer(tcf=TC, purpose="basic_service").status is None
    # Without a declared purpose only all or nothing is told.
    assert answer(tcf=TC, purpose=None).status is None
    assert answer(tcf=replace(TC, purpose_consents=()), purpose=None).status == "absent"


def test_a_tc_string_gives_the_facts_of_its_record() -> None:
    assert answer(tcf=TC, vendor=755).tcf == {
        "version": "2.3",
        "disclosed_vendors_segment": True,
        "vendor_consent": True,
        "vendor_disclosed": True,
        "purpose_consents": (1, 3, 4),
        "purpose_legitimate_interests": (),
    }
    assert answer(tcf=replace(TC, vendors_disclosed=None)).tcf["disclosed_vendors_segment"] is False


@pytest.mark.parametrize(
    ("change", "vendor"),
    [
        ({}, 12),
        ({"restrictions": (Restriction(3, 0, (755,)),)}, 755),
        ({"restrictions": (Restriction(4, 2, (755,)),)}, 755),
    ],
)
def test_a_vendor_needs_its_own_consent_that_the_publisher_left_it(
    change: dict[str, Any], vendor: int
) -> None:
    assert answer(tcf=TC, vendor=755).status == "granted"
    assert answer(tcf=replace(TC, **change), vendor=vendor).status == "absent"


def test_the_most_protective_status_wins_and_the_conflict_is_told() -> None:
    own = Own("granted", None, None, None, None)
    found = answer(own, tcf=replace(TC, purpose_consents=()), ledger=LEDGER._replace(status="withdrawn"))
    assert found.status == "withdrawn"
    assert found.scope == ()
    assert conflicts(found)[0] == (
        "privacy.consent.status",
        "withdrawn",
        "ledger",
        ("event=granted", "tcf_string=absent"),
    )
    assert conflicts(answer(Own("granted", (ADS,), None, None, None), ledger=LEDGER)) == []


def test_what_one_source_denies_is_not_covered() -> None:
    own = Own("granted", (ADS, "analytics"), None, None, None)
    found = answer(own, ledger=LEDGER._replace(granted=(ADS, "personalisation"), denied=("analytics",)))
    assert (found.status, found.scope) == ("granted", (ADS,))
    assert ("privacy.consent.scope", "without analytics", "ledger", ("event=analytics",)) in conflicts(found)
    assert (
        "privacy.consent.scope",
        "without personalisation",
        "event",
        ("ledger=personalisation",),
    ) in conflicts(found)


def test_an_opt_out_in_any_section_wins() -> None:
    out, stays = us_fields(8, SaleOptOut=1), us_fields(9, SaleOptOut=2, TargetedAdvertisingOptOut=2)
    both = gpp(s8=out, s9=stays)
    assert answer(gpp_string=both).opt_out is True
    assert conflicts(answer(gpp_string=both)) == [
        ("privacy.explicit_opt_out", "true", "gpp_string:8", ("gpp_string:9=false",))
    ]
    assert answer(gpp_string=both, sids=(9,)).opt_out is False
    assert answer(gpp_string=gpp(s9=us_fields(9))).opt_out is None
    assert answer(gpp_string=gpp(s6=UsPrivacy("Y", "Y", "-"))).opt_out is True
    assert answer(us_privacy="1YNN").opt_out is False
    assert answer(us_privacy="1---").opt_out is None
    assert answer(Own(None, None, True, None, None), us_privacy="1YNN").opt_out is True


def test_global_privacy_control_in_a_section_counts_where_its_segment_is_there() -> None:
    assert answer(gpp_string=gpp(s8=us_fields(8, Gpc=True))).gpc is True
    assert answer(gpp_string=gpp(s8=us_fields(8, Gpc=False))).gpc is False
    assert answer(gpp_string=gpp(s8=us_fields(8))).gpc is None
    told = answer(Own(None, None, None, True, None), gpp_string=gpp(s8=us_fields(8, Gpc=False)))
    assert told.gpc is True
    assert conflicts(told) == [("privacy.signals.gpc", "true", "event", ("gpp_string:8=false",))]


def test_notice_that_was_not_given_is_no_offer() -> None:
    assert answer(us_privacy="1NNN").opt_out_offered is False
    assert answer(Own(None, None, None, None, True), us_privacy="1NNN").opt_out_offered is False
    assert answer(gpp_string=gpp(s8=us_fields(8, SaleOptOutNotice=1))).opt_out_offered is True


def test_implied_consent_is_not_consent() -> None:
    section = CanadaTcf(
        created=0,
        last_updated=0,
        cmp_id=50,
        cmp_version=1,
        consent_screen=0,
        consent_language="EN",
        vendor_list_version=1,
        policy_version=2,
        use_non_standard_stacks=False,
        special_feature_express_consent=(),
        purposes_express_consent=(3, 4),
        purposes_implied_consent=(5, 6),
        vendor_express_consent=(),
        vendor_implied_consent=(),
        restrictions=(),
    )
    assert answer(gpp_string=gpp(s5=section)).status == "granted"
    assert answer(gpp_string=gpp(s5=section), purpose="personalisation").status == "absent"


GRANTED = Own("granted", (ADS,), False, False, None)


@pytest.mark.parametrize(
    ("strings", "reason", "unknown"),
    [
        ({"tcf": "CAAA"}, "TRUNCATED", {"status"}),
        ({"tcf": "BO2e4qiO2e4qiB9ABADEDS-AAAAxKABgACBiQA"}, "TCF_RETIRED", {"status"}),
        ({"tcf": replace(TC, last_updated=(NOON + 60) * 10)}, "UPDATED_AFTER_EVENT", set()),
        ({"gpp_string": "DBAA~x"}, "SECTION_COUNT", {"status", "opt_out", "gpc"}),
        ({"gpp_string": gpp(s2=replace(TC, cmp_id=0))}, "CMP_ID_INVALID", {"status"}),
        ({"gpp_string": "DBABTA~2YNN"}, "VERSION_UNKNOWN", {"opt_out"}),
        ({"gpp_string": "DBABLA~BVV"}, "TRUNCATED", {"opt_out", "gpc"}),
        ({"us_privacy": "9YNN"}, "VERSION_UNKNOWN", {"opt_out"}),
    ],
)
def test_a_string_that_cannot_be_relied_on_makes_unknown_what_it_might_deny(
    strings: dict[str, Any], reason: str, unknown: set[str]
) -> None:
    found = answer(GRANTED, **strings)
    assert [problem.reason for problem in found.problems] == [reason]
    for name in ("status", "opt_out", "gpc"):
        expected = None if name in unknown else getattr(GRANTED, name)
        assert getattr(found, name) == expected, name
    # What is protective already stays.
    strict = answer(Own("withdrawn", None, True, True, None), **strings)
    assert (strict.status, strict.opt_out, strict.gpc) == ("withdrawn", True, True)


def test_sections_out_of_scope_are_not_read() -> None:
    assert answer(GRANTED, gpp_string="DBACNY~CAAA~1YYN", sids=(6,)).status == "granted"
    assert answer(GRANTED, gpp_string="DBACNY~CAAA~1YYN", sids=(6,)).opt_out is True


@given(
    st.sampled_from([None, "granted", "absent", "withdrawn", "expired", "not_required"]),
    st.sampled_from([(), (1, 3, 4), (1, 2, 3, 4, 5, 6, 8, 9)]),
    st.sampled_from(["", "granted", "absent", "withdrawn", "expired"]),
    st.sampled_from([ADS, "personalisation", "basic_service"]),
)
def test_no_source_makes_the_answer_less_protective(
    own: str | None, purposes: tuple[int, ...], ledger: str, purpose: str
) -> None:
    order = ["withdrawn", "expired", "absent", "granted", "not_required"]
    mine = Own(own, (purpose,) if own == "granted" else None, None, None, None)
    alone = [
        answer(mine, purpose=purpose).status,
        answer(tcf=replace(TC, purpose_consents=purposes), purpose=purpose).status,
        ledger or None,
    ]
    together = answer(
        mine,
        tcf=replace(TC, purpose_consents=purposes),
        purpose=purpose,
        ledger=LEDGER._replace(status=ledger, granted=(), denied=()),
    )
    told = [status for status in alone if status is not None]
    assert together.status == (min(told, key=order.index) if told else None)
    differing = {"granted" if status == "not_required" else status for status in told}
    in_conflict = [one for one in together.conflicts if one.fact == "privacy.consent.status"]
    assert bool(in_conflict) == (len(differing) > 1)


def test_facts_are_filled_from_strings_and_ledger() -> None:
    event = event_pb2.Event()
    event.event_time.seconds = NOON
    event.privacy.purpose = ADS
    event.privacy.consent.tcf_string = encode_tcf(TC)
    facts = read_facts(event, "", own_right=False)
    value = dict(zip(SCHEMA.positions, facts.values, strict=True))
    assert (value["consent.status"], value["consent.tcf.version"]) == ("granted", "2.3")
    assert value["consent.tcf.purpose_consents"] == (1, 3, 4)
    assert value["consent.obtained_time"] == NOON - 86_400

    bare = event_pb2.Event()
    bare.event_time.seconds = NOON
    bare.privacy.purpose = ADS
    told = read_facts(bare, "", own_right=False, ledger=LEDGER._replace(given_by="parent", verifiable=True))
    value = dict(zip(SCHEMA.positions, told.values, strict=True))
    assert (value["consent.status"], value["consent.scope"]) == ("granted", (ADS,))
    assert (value["consent.parental"], value["consent.verifiable"]) == (True, True)
    assert value["consent.obtained_time"] == NOON - 99
    assert read_facts(bare, "", own_right=False).resolution is None
