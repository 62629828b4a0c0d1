"""Round trips and mutations of consent strings, over everything that the formats can hold."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.consent_strings import ConsentStringError, decode
from services.common.consent_strings.gpp import (
    CanadaTcf,
    GppString,
    UnreadSection,
    decode_gpp,
    encode_gpp,
)
from services.common.consent_strings.tcf import Restriction, TcString, decode_tcf, encode_tcf
from services.common.consent_strings.us_privacy import UsPrivacy
from services.common.consent_strings.us_sections import US_SECTIONS

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TENTHS = st.integers(0, (1 << 36) - 1)
LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2)
DISCLOSED, ALLOWED = ("vendors_disclosed",), ("vendors_allowed",)
PUBLISHER = (
    "publisher_consents",
    "publisher_legitimate_interests",
    "num_custom_purposes",
    "publisher_custom_consents",
    "publisher_custom_legitimate_interests",
)
CORE = tuple(
    field.name
    for field in dataclasses.fields(TcString)
    if field.name not in (*DISCLOSED, *ALLOWED, *PUBLISHER, "has_publisher_segment")
)
FLAGS = st.tuples(st.booleans(), st.booleans(), st.booleans())


def ids(largest: int, most: int = 40) -> st.SearchStrategy[tuple[int, ...]]:
    return st.sets(st.integers(1, largest), max_size=most).map(lambda found: tuple(sorted(found)))


def vendors() -> st.SearchStrategy[tuple[int, ...]]:
    few = ids(0xFFFF, 20)
    dense = st.tuples(st.integers(1, 2_000), st.integers(0, 300)).map(
        lambda r: tuple(range(r[0], r[0] + r[1]))
    )
    return st.one_of(few, dense, ids(100))


restrictions = st.dictionaries(
    st.tuples(st.integers(1, 63), st.integers(0, 2)), vendors().filter(bool), max_size=3
).map(lambda found: tuple(Restriction(purpose, kind, held) for (purpose, kind), held in found.items()))


@st.composite
def tc_strings(draw: Any, least_cmp: int = 2) -> TcString:
    stem = {
        "created": draw(TENTHS),
        "last_updated": draw(TENTHS),
        "cmp_id": draw(st.integers(least_cmp, 4095)),
        "cmp_version": draw(st.integers(0, 4095)),
        "consent_screen": draw(st.integers(0, 63)),
        "consent_language": draw(LETTERS),
        "vendor_list_version": draw(st.integers(0, 4095)),
        "purpose_consents": draw(ids(24)),
        "vendor_consents": draw(vendors()),
    }
    if least_cmp and draw(st.integers(0, 4)) == 0:
        return TcString(version=1, **stem)
    publisher = draw(st.booleans())
    custom = draw(st.integers(0, 63)) if publisher else 0
    specific, stacks, treatment = draw(FLAGS)
    return TcString(
        version=2,
        **stem,
        policy_version=draw(st.integers(0, 63)),
        is_service_specific=specific,
        use_non_standard_stacks=stacks,
        special_feature_optins=draw(ids(12)),
        purpose_legitimate_interests=draw(ids(24)),
        purpose_one_treatment=treatment,
        publisher_country_code=draw(LETTERS),
        vendor_legitimate_interests=draw(vendors()),
        restrictions=draw(restrictions),
        vendors_disclosed=draw(st.none() | vendors()),
        vendors_allowed=draw(st.none() | vendors()),
        has_publisher_segment=publisher,
        publisher_consents=draw(ids(24)) if publisher else (),
        publisher_legitimate_interests=draw(ids(24)) if publisher else (),
        num_custom_purposes=custom,
        publisher_custom_consents=draw(ids(custom)) if custom else (),
        publisher_custom_legitimate_interests=draw(ids(custom)) if custom else (),
    )


@st.composite
def canadian(draw: Any) -> CanadaTcf:
    publisher = draw(st.booleans())
    custom = draw(st.integers(0, 63)) if publisher else 0
    return CanadaTcf(
        created=draw(TENTHS),
        last_updated=draw(TENTHS),
        cmp_id=draw(st.integers(0, 4095)),
        cmp_version=draw(st.integers(0, 4095)),
        consent_screen=draw(st.integers(0, 63)),
        consent_language=draw(LETTERS),
        vendor_list_version=draw(st.integers(0, 4095)),
        policy_version=draw(st.integers(0, 63)),
        use_non_standard_stacks=draw(st.booleans()),
        special_feature_express_consent=draw(ids(12)),
        purposes_express_consent=draw(ids(24)),
        purposes_implied_consent=draw(ids(24)),
        vendor_express_consent=draw(vendors()),
        vendor_implied_consent=draw(vendors()),
        restrictions=draw(restrictions),
        disclosed_vendors=draw(st.none() | vendors()),
        has_publisher_segment=publisher,
        pub_purposes_express_consent=draw(ids(24)) if publisher else (),
        pub_purposes_implied_consent=draw(ids(24)) if publisher else (),
        num_custom_purposes=custom,
        custom_purposes_express_consent=draw(ids(custom)) if custom else (),
        custom_purposes_implied_consent=draw(ids(custom)) if custom else (),
    )


@st.composite
def us_fields(draw: Any, number: int) -> dict[str, Any]:
    section = US_SECTIONS[number]
    layout = section.core
    fields: dict[str, Any] = {
        layout.version_field: draw(
            st.sampled_from(section.versions) if section.versions else st.integers(1, 20)
        )
    }
    for name, count in layout.fields:
        values = [draw(st.integers(0, 2)) for _ in range(max(count, 1))]
        fields[name] = values if count else values[0]
    if number == 7 and fields["Version"] == 1:
        fields["SensitiveDataProcessing"][12:] = [0] * 4
        fields["KnownChildSensitiveDataConsents"][2:] = [0]
    if section.gpc:
        included = draw(st.booleans())
        fields |= {
            "GpcSegmentIncluded": included,
            "GpcSegmentType": 1,
            "Gpc": included and draw(st.booleans()),
        }
    if section.sensitive_segment:
        included = draw(st.booleans())
        fields |= {
            "SensitiveDataConsentSegmentIncluded": included,
            "SensitiveDataProcessing": [draw(st.integers(0, 2)) if included else 0 for _ in range(8)],
        }
    return fields


@st.composite
def gpp_strings(draw: Any) -> GppString:
    numbers = draw(st.sets(st.sampled_from([2, 5, 6, *US_SECTIONS, 40]), max_size=6))
    sections: dict[int, Any] = {}
    for number in sorted(numbers):
        if number == 2:
            sections[number] = draw(tc_strings(least_cmp=0))
        elif number == 5:
            sections[number] = draw(canadian())
        elif number == 6:
            sections[number] = UsPrivacy(*(draw(st.sampled_from("YN-")) for _ in range(3)))
        elif number in US_SECTIONS:
            sections[number] = draw(us_fields(number))
        else:
            sections[number] = UnreadSection(
                "anything", "SECTION_UNKNOWN", "this version does not know the section"
            )
    return GppString(sections)


@settings(max_examples=150, deadline=None)
@given(tc_strings())
def test_tc_strings_survive_a_round_trip(consent: TcString) -> None:
    assert decode_tcf(encode_tcf(consent)) == consent


@settings(max_examples=150, deadline=None)
@given(gpp_strings())
def test_gpp_strings_survive_a_round_trip(consent: GppString) -> None:
    found = decode_gpp(encode_gpp(consent))
    # The one thing that two codings can leave open is refused, not guessed.
    for number, section in found.sections.items():
        if isinstance(section, UnreadSection) and section.reason == "SECTION_AMBIGUOUS":
            assert number == 5
        else:
            assert section == consent.sections[number]


@st.composite
def mutated(draw: Any, texts: Any) -> str:
    text: str = draw(texts)
    for _ in range(draw(st.integers(1, 3))):
        if not text:
            break
        place = draw(st.integers(0, len(text) - 1))
        kind = draw(st.sampled_from(["change", "cut", "drop", "add"]))
        letter = draw(st.sampled_from(ALPHABET + ".~=+ "))
        text = {
            "change": text[:place] + letter + text[place + 1 :],
            "cut": text[:place],
            "drop": text[:place] + text[place + 1 :],
            "add": text[:place] + letter + text[place:],
        }[kind]
    return text


def read(text: str) -> Any:
    """What a string says, None where it is refused."""
    try:
        return decode(text).value
    except ConsentStringError:
        return None


@settings(max_examples=200, deadline=None)
@given(mutated(tc_strings().map(encode_tcf)))
def test_no_mutated_tc_string_is_misread(text: str) -> None:
    found = read(text)
    if isinstance(found, TcString):
        # The version is the first six bits, whatever else the string says.
        assert found.version == ALPHABET.index(text[0])
        # Nothing that was read is lost in writing it: there is no second meaning.
        assert decode_tcf(encode_tcf(found)) == found


@settings(max_examples=200, deadline=None)
@given(tc_strings(), st.data())
def test_a_cut_string_is_refused_or_lacks_whole_segments_and_zeros_alone(
    consent: TcString, data: Any
) -> None:
    whole = encode_tcf(consent)
    found = read(whole[: data.draw(st.integers(1, len(whole) - 1))])
    if found is None:
        return
    kept = {
        name: getattr(found, name)
        for name in CORE
        + (DISCLOSED if found.vendors_disclosed is not None else ())
        + (ALLOWED if found.vendors_allowed is not None else ())
        + (PUBLISHER if found.has_publisher_segment else ())
    }
    assert kept == {name: getattr(consent, name) for name in kept}


@settings(max_examples=400, deadline=None)
@given(mutated(gpp_strings().map(encode_gpp)))
def test_no_mutated_gpp_string_is_misread(text: str) -> None:
    found = read(text)
    if not isinstance(found, GppString):
        return
    header, *sections = text.split("~")
    assert header[:2] == "DB", "type 3, version 1"
    assert len(found.sections) == len(sections)
    for (number, section), sent in zip(found.sections.items(), sections, strict=True):
        if isinstance(section, UnreadSection):
            assert section.text == sent
        elif number in US_SECTIONS:
            version = section[US_SECTIONS[number].core.version_field]
            assert version == ALPHABET.index(sent[0])
        elif number == 6:
            assert sent[0] == "1"
        else:
            assert section.version == ALPHABET.index(sent[0])
