"""Consent strings by the examples and rules of their specifications."""

from __future__ import annotations

import pytest

from services.common.consent_strings import ConsentStringError, decode, gvl, kind_of
from services.common.consent_strings.bits import BitReader, BitWriter
from services.common.consent_strings.gpp import SECTION_NAMES, UnreadSection, decode_gpp, decode_tcf_canada
from services.common.consent_strings.tcf import decode_tcf
from services.common.consent_strings.us_privacy import decode_us_privacy
from services.common.consent_strings.us_sections import US_SECTIONS, decode_us_section

TC = "COrVd1pOrVd1pACABCENAHCAAAAAAAAAAAiQAAAAAAAA"
TC_1 = "BO2e4qiO2e4qiB9ABADEDS-AAAAxKABgACBiQA"


def reason(call: object, *arguments: object) -> str:
    with pytest.raises(ConsentStringError) as caught:
        call(*arguments)  # type: ignore[operator]
    return caught.value.reason


@pytest.mark.parametrize(
    ("number", "code"),
    # "Global Privacy Platform String", About Fibonacci Encoding.
    [(1, "11"), (2, "011"), (3, "0011"), (4, "1011"), (5, "00011"), (6, "10011"), (7, "01011")],
)
def test_fibonacci_codes_are_those_of_the_specification(number: int, code: str) -> None:
    writer = BitWriter()
    writer.fibonacci(number)
    assert writer.bits() == code
    assert BitReader(writer.text(8), "x").fibonacci("x") == number


def test_ranges_are_those_of_the_specification() -> None:
    # Both data types have the example [3, 5, 6, 7, 8].
    writer = BitWriter()
    writer.fibonacci_range([3, 5, 6, 7, 8])
    assert writer.bits() == "0000000000100001110110011"
    plain = BitWriter()
    plain.integer_range([3, 5, 6, 7, 8])
    assert plain.bits() == "00000000001000000000000000011100000000000001010000000000001000"
    assert BitReader(plain.text(8), "x").integer_range("x") == [3, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("text", "sections"),
    # The specification's examples of headers; the sections of its third example are not of their kinds.
    [("DBABM~" + TC, [2]), ("DBACNY~" + TC + "~1YNN", [2, 6]), ("DBABjw~BAAA~1YNN", [5, 6]), ("DBAA", [])],
)
def test_headers_are_those_of_the_specification(text: str, sections: list[int]) -> None:
    assert list(decode_gpp(text).sections) == sections


def test_there_is_every_published_section() -> None:
    assert sorted(SECTION_NAMES) == [2, *range(5, 28)]
    states = ("CA", "VA", "CO", "UT", "CT", "FL", "MT", "OR", "TX", "DE", "IA", "NE", "NH", "NJ", "TN")
    newer = ("MN", "MD", "IN", "KY", "RI")
    areas = [section.area for section in US_SECTIONS.values()]
    assert areas == ["US", *(f"US-{state}" for state in (*states, *newer))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "US_PRIVACY_INVALID"),
        ("1YN", "US_PRIVACY_INVALID"),
        ("1YNX", "US_PRIVACY_INVALID"),
        ("1ynn", "US_PRIVACY_INVALID"),
        ("2YNN", "VERSION_UNKNOWN"),
        (TC[:-9], "TRUNCATED"),
        (TC[:-1] + "B", "PADDING_INVALID"),
        (TC[:-1] + "=", "BASE64_INVALID"),
        (TC[:-1] + "+", "BASE64_INVALID"),
        (TC + ".", "BASE64_INVALID"),
        (TC + "\n", "BASE64_INVALID"),
        ("E" + TC[1:], "VERSION_UNKNOWN"),
        ("A" + TC[1:], "VERSION_UNKNOWN"),
        (TC + ".oAAA", "SEGMENT_UNKNOWN"),
        (TC + ".IAAA.IAAA", "SEGMENT_REPEATED"),
        (TC + ".IAAB", "PADDING_INVALID"),
        (TC_1 + ".YAAAAAAAAAAA", "SEGMENT_UNKNOWN"),
        ("C" * 65_537, "STRING_TOO_LONG"),
        ("DAAA", "VERSION_UNKNOWN"),
        ("DCABMA~" + TC, "VERSION_UNKNOWN"),
        ("DBABM", "SECTION_COUNT"),
        ("DBABM~" + TC + "~1YNN", "SECTION_COUNT"),
        ("DBABM~", "SECTION_EMPTY"),
        ("DBAB", "TRUNCATED"),
        ("DBABMB~" + TC, "PADDING_INVALID"),
        ("DBABMAAAAAAA~" + TC, "TRAILING_DATA"),
        ("CBABM~" + TC, "HEADER_TYPE_INVALID"),
        ("DBABM~" + TC + ".oAAA", "SEGMENT_UNKNOWN"),
    ],
)
def test_what_is_malformed_or_of_another_version_is_refused(text: str, found: str) -> None:
    assert reason(decode, text) == found


@pytest.mark.parametrize(
    ("section", "text", "found"),
    [
        (7, "BVQqAAAACg", None),
        (7, "DVVVkkkkkpFY", "VERSION_UNKNOWN"),
        (7, "BVVVkkkkkpF", "PADDING_INVALID"),
        (7, "BVVVkkkkk", "TRUNCATED"),
        (8, "BVWSSSVY", None),
        (8, "CVWSSSVY", "VERSION_UNKNOWN"),
        (8, "BVWSSSV", "TRUNCATED"),
        (8, "BVWSSSVZ", "PADDING_INVALID"),
        (8, "BfWSSSVY", "VALUE_RESERVED"),
        (8, "BVWSSSVYAAAAA", "TRAILING_DATA"),
        (8, "BVWSSSVY.YA", None),
        (8, "BVWSSSVY.gA", "SEGMENT_UNKNOWN"),
        (8, "BVWSSSVY.YA.YA", "SEGMENT_UNKNOWN"),
        (9, "BVWSSVY", None),
        (9, "BVWSSVY.YA", "SEGMENT_UNKNOWN"),
        (25, "BAAAAAA", None),
        (25, "BAAAAAA.GG", "TRUNCATED"),
        (25, "ZAAAAAA", "SECTION_HEADER_UNSUPPORTED"),
    ],
)
def test_us_sections_are_read_strictly(section: int, text: str, found: str | None) -> None:
    if found is None:
        decode_us_section(section, text)
    else:
        assert reason(decode_us_section, section, text) == found


def test_a_section_that_cannot_be_read_leaves_the_others_readable() -> None:
    decoded = decode_gpp("DBACNY~" + TC + "~2YNN")
    assert decoded.sections[2] == decode_tcf(TC)
    assert decoded.sections[6] == UnreadSection(
        "2YNN", "VERSION_UNKNOWN", "core: version 2 is not US Privacy version 1"
    )
    assert decoded.as_json()["sections"]["6"] == {
        "error": "VERSION_UNKNOWN: core: version 2 is not US Privacy version 1"
    }


def test_version_1_is_read_by_its_own_layout() -> None:
    # "Consent string and vendor list formats v1.1": 24 purposes follow the version of the vendor list.
    found = decode_tcf(TC_1)
    assert (found.version, found.cmp_id, found.vendor_list_version) == (1, 125, 210)
    assert found.purpose_consents == (1, 2, 3, 4, 5)
    assert found.vendors_disclosed is None


def test_cmp_ids_that_nobody_has_are_refused_outside_gpp() -> None:
    text = "CPSG_8APSG_8AAAAAAENAAFgAAAAAAAAAAAAAAAAAAAA"
    assert reason(decode_tcf, text) == "CMP_ID_INVALID"
    assert decode_tcf(text, assigned_cmp=False).cmp_id == 0


def test_canadian_vendors_are_read_in_either_coding() -> None:
    plain = decode_tcf_canada("BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBgABABAAABAB4AACACAAA.fHHHA4444ao")
    fibonacci = decode_tcf_canada("BPSG_8APSG_8AAyACAENGdCgf_gfgAfgfgBhADVqxGAD0AILVgAA.fHHHA4444ao")
    assert plain == fibonacci
    assert plain.vendor_express_consent == (12, 24, 48)
    assert reason(decode_tcf_canada, "CPSG_8APSG_8AAyACAENGdCg") == "VERSION_UNKNOWN"


def test_us_privacy() -> None:
    found = decode_us_privacy("1-NY")
    assert (found.notice, found.opt_out_sale, found.lspa_covered) == ("-", "N", "Y")


def test_kinds_are_told_apart() -> None:
    assert [kind_of(text) for text in (TC, "DBAA", "1---", "CBABM~x", "")] == [
        "tcf_v2",
        "gpp",
        "usp",
        "gpp",
        "usp",
    ]


def test_the_shipped_vendor_list_names_purposes_and_vendors() -> None:
    known = gvl.shipped()
    assert (known.version, known.policy_version, len(known.purposes)) == (7, 4, 11)
    assert known.purposes[1] == "Store and/or access information on a device"
    assert known.vendors[12] == "BeeswaxIO Corporation"
    assert "CC BY" in gvl.ATTRIBUTION


def test_what_a_string_costs_is_bounded() -> None:
    # 20 restrictions of all 65,535 vendors each would be 1.3 million ids.
    writer = BitWriter()
    for value, bits in ((2, 6), (0, 36), (0, 36), (7, 12), (0, 12), (0, 6), (0, 12), (0, 12), (2, 6)):
        writer.integer(value, bits)
    for value, bits in ((0, 2), (0, 12), (0, 24), (0, 24), (0, 1), (0, 12), (0, 17), (0, 17), (20, 12)):
        writer.integer(value, bits)
    for number in range(20):
        writer.integer(1 + number % 60, 6)
        writer.integer(number % 3, 2)
        writer.integer_range(range(1, 65_536))
    assert reason(decode_tcf, writer.text(8)) == "RESTRICTION_INVALID"
