"""Strings of the Global Privacy Platform: a header that lists sections, and the sections.

Every section that the platform has published is read: EU TCF 2 (2), Canada TCF 1 (5), US Privacy 1 (6), US National (7)
and the states (8 to 27). A section that cannot be read - of an id that is not known here, or malformed - is kept with the
error that says why and takes nothing from its neighbours; a malformed header makes the whole string malformed.

Source: IAB Tech Lab, "Global Privacy Platform String" 1.0 and its Sections. Where it differs from the encoders in use,
docs/decisions/0041-where-the-reference-decoders-disagree.md says what is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.common.consent_strings.bits import MAX_ID, BitReader, BitWriter, ConsentStringError
from services.common.consent_strings.tcf import (
    MAX_RESTRICTED,
    PURPOSES,
    SPECIAL_FEATURES,
    Restriction,
    TcString,
    decode_tcf,
    encode_tcf,
    iso_time,
)
from services.common.consent_strings.us_privacy import (
    UsPrivacy,
    decode_us_privacy,
    encode_us_privacy,
)
from services.common.consent_strings.us_sections import (
    US_SECTIONS,
    Fields,
    decode_us_section,
    encode_us_section,
)

TCF_EU, TCF_CANADA, US_PRIVACY = 2, 5, 6
HEADER_TYPE = 3
VERSION = 1
MAX_SECTIONS = 64
"""More are no string that anybody would send."""

SECTION_NAMES: dict[int, str] = {
    TCF_EU: "tcfeuv2",
    TCF_CANADA: "tcfcav1",
    US_PRIVACY: "uspv1",
    **{section_id: section.name for section_id, section in US_SECTIONS.items()},
}
"""Section id -> client-side API prefix."""


@dataclass(frozen=True, slots=True)
class CanadaTcf:
    """The Canadian TCF section, version 1. Lists of ids ascend."""

    created: int
    """Tenths of a second since 1970 UTC, as is `last_updated`."""
    last_updated: int
    cmp_id: int
    cmp_version: int
    consent_screen: int
    consent_language: str
    vendor_list_version: int
    policy_version: int
    use_non_standard_stacks: bool
    special_feature_express_consent: tuple[int, ...]
    purposes_express_consent: tuple[int, ...]
    purposes_implied_consent: tuple[int, ...]
    vendor_express_consent: tuple[int, ...]
    vendor_implied_consent: tuple[int, ...]
    restrictions: tuple[Restriction, ...]
    disclosed_vendors: tuple[int, ...] | None = None
    """None: the section has no such segment."""
    has_publisher_segment: bool = False
    pub_purposes_express_consent: tuple[int, ...] = ()
    pub_purposes_implied_consent: tuple[int, ...] = ()
    num_custom_purposes: int = 0
    custom_purposes_express_consent: tuple[int, ...] = ()
    custom_purposes_implied_consent: tuple[int, ...] = ()
    version: int = 1


@dataclass(frozen=True, slots=True)
class UnreadSection:
    """A section that says nothing that could be relied on: unknown to this version, or malformed."""

    text: str
    reason: str
    """SECTION_UNKNOWN, or that of the ConsentStringError."""
    message: str


Section = TcString | CanadaTcf | UsPrivacy | Fields | UnreadSection


@dataclass(frozen=True, slots=True)
class GppString:
    """A decoded GPP string."""

    sections: dict[int, Section]
    """By section id, ascending; of US National and the states the fields by name."""

    def as_json(self) -> dict[str, Any]:
        """Header and sections under the names of the specification."""
        ids = list(self.sections)
        return {
            "sectionIds": ids,
            "header": {"Id": HEADER_TYPE, "Version": VERSION, "SectionIds": ids},
            "sections": {str(number): _section_json(section) for number, section in self.sections.items()},
        }


def decode_gpp(text: str) -> GppString:
    """Decodes a GPP string.

    Raises ConsentStringError: BASE64_INVALID, TRUNCATED, HEADER_TYPE_INVALID, VERSION_UNKNOWN, ID_INVALID,
    PADDING_INVALID, TRAILING_DATA, SECTION_COUNT, SECTION_EMPTY, SEGMENT_UNKNOWN (of a TCF section).
    """
    header, *texts = text.split("~")
    reader = BitReader(header, "header")
    kind = reader.integer(6, "type")
    if kind != HEADER_TYPE:
        raise ConsentStringError("HEADER_TYPE_INVALID", "header", f"is of the type {kind}, not {HEADER_TYPE}")
    version = reader.integer(6, "version")
    if version != VERSION:
        raise ConsentStringError("VERSION_UNKNOWN", "header", f"GPP version {version} is not {VERSION}")
    ids = reader.fibonacci_range("section ids")
    reader.end()
    if len(ids) != len(texts) or len(ids) > MAX_SECTIONS:
        raise ConsentStringError(
            "SECTION_COUNT", "header", f"lists {len(ids)} sections, the string has {len(texts)}"
        )
    return GppString(
        {number: _decode_section(number, section) for number, section in zip(ids, texts, strict=True)}
    )


def _decode_section(section_id: int, text: str) -> Section:
    part = f"section {section_id} ({SECTION_NAMES.get(section_id, 'unknown')})"
    if not text:
        raise ConsentStringError("SECTION_EMPTY", part, "is empty")
    try:
        return _read_section(section_id, text)
    except ConsentStringError as error:
        if error.reason == "SEGMENT_UNKNOWN" and section_id in (TCF_EU, TCF_CANADA):
            # A segment of no known type may change what the others mean.
            raise ConsentStringError(error.reason, f"{part}, {error.part}", error.message) from error
        return UnreadSection(text, error.reason, f"{error.part}: {error.message}")


def _read_section(section_id: int, text: str) -> Section:
    if section_id == TCF_EU:
        found = decode_tcf(text, assigned_cmp=False)
        if found.version != 2:
            raise ConsentStringError("VERSION_UNKNOWN", "core", f"version {found.version} is not 2")
        return found
    if section_id == TCF_CANADA:
        return decode_tcf_canada(text)
    if section_id == US_PRIVACY:
        return decode_us_privacy(text, "core")
    if section_id in US_SECTIONS:
        return decode_us_section(section_id, text)
    return UnreadSection(text, "SECTION_UNKNOWN", "this version does not know the section")


def encode_gpp(consent: GppString) -> str:
    """The string of a decoded one."""
    header = BitWriter()
    header.integer(HEADER_TYPE, 6)
    header.integer(VERSION, 6)
    header.fibonacci_range(sorted(consent.sections))
    return "~".join(
        [
            header.text(8),
            *(_encode_section(number, consent.sections[number]) for number in sorted(consent.sections)),
        ]
    )


def _encode_section(section_id: int, section: Section) -> str:
    if isinstance(section, TcString):
        return encode_tcf(section)
    if isinstance(section, CanadaTcf):
        return encode_tcf_canada(section)
    if isinstance(section, UsPrivacy):
        return encode_us_privacy(section)
    if isinstance(section, UnreadSection):
        return section.text
    return encode_us_section(section_id, section)


# -- Canada --------------------------------------------------------------------------------------------------------

_DISCLOSED, _PUBLISHER = 1, 3


def decode_tcf_canada(text: str) -> CanadaTcf:
    """Decodes a Canadian TCF section.

    Encoders wrote vendor ids first as Range(Int), then as Range(Fibonacci), without a new version. Each segment is
    read as both, strictly; where both readings are possible and differ, it is refused.

    Raises ConsentStringError: as decode_tcf, and SECTION_AMBIGUOUS.
    """
    core, *others = text.split(".")
    fields = _either(BitReader(core, "core"), _read_canada_core)
    seen: set[int] = set()
    for position, segment in enumerate(others, 1):
        reader = BitReader(segment, f"segment {position}")
        kind = reader.integer(3, "segment type")
        if kind not in (_DISCLOSED, _PUBLISHER):
            raise ConsentStringError("SEGMENT_UNKNOWN", reader.part, f"is of the unknown type {kind}")
        if kind in seen:
            raise ConsentStringError("SEGMENT_REPEATED", reader.part, f"is a second one of type {kind}")
        seen.add(kind)
        if kind == _DISCLOSED:
            fields |= _either(reader, _read_canada_disclosed)
        else:
            fields |= _read_canada_publisher(reader)
    return CanadaTcf(**fields)


def _either(reader: BitReader, read: Any) -> dict[str, Any]:
    readings: list[dict[str, Any]] = []
    errors: list[ConsentStringError] = []
    for fibonacci in (True, False):
        try:
            found = read(reader.fork(), fibonacci)
        except ConsentStringError as error:
            errors.append(error)
            continue
        if found not in readings:
            readings.append(found)
    if not readings:
        raise errors[0]
    if len(readings) > 1:
        raise ConsentStringError(
            "SECTION_AMBIGUOUS", reader.part, "can be read with Fibonacci and with plain ranges, differently"
        )
    return readings[0]


def _read_canada_core(reader: BitReader, fibonacci: bool) -> dict[str, Any]:
    version = reader.integer(6, "Version")
    if version != 1:
        raise ConsentStringError("VERSION_UNKNOWN", reader.part, f"version {version} is not 1")
    fields: dict[str, Any] = {
        "created": reader.integer(36, "Created"),
        "last_updated": reader.integer(36, "LastUpdated"),
        "cmp_id": reader.integer(12, "CmpId"),
        "cmp_version": reader.integer(12, "CmpVersion"),
        "consent_screen": reader.integer(6, "ConsentScreen"),
        "consent_language": reader.letters(2, "ConsentLanguage"),
        "vendor_list_version": reader.integer(12, "VendorListVersion"),
        "policy_version": reader.integer(6, "TcfPolicyVersion"),
        "use_non_standard_stacks": reader.boolean("UseNonStandardStacks"),
        "special_feature_express_consent": tuple(
            reader.ids(SPECIAL_FEATURES, "SpecialFeatureExpressConsent")
        ),
        "purposes_express_consent": tuple(reader.ids(PURPOSES, "PurposesExpressConsent")),
        "purposes_implied_consent": tuple(reader.ids(PURPOSES, "PurposesImpliedConsent")),
        "vendor_express_consent": _read_canada_vendors(reader, "VendorExpressConsent", fibonacci),
        "vendor_implied_consent": _read_canada_vendors(reader, "VendorImpliedConsent", fibonacci),
    }
    restrictions = []
    # The first encoders left the restrictions out where there were none.
    count = reader.integer(12, "PubRestrictions") if reader.remaining >= 12 else 0
    total = 0
    for _ in range(count):
        purpose = reader.integer(6, "PubRestrictions")
        kind = reader.integer(2, "PubRestrictions")
        vendors = (
            _read_canada_vendors(reader, "PubRestrictions", fibonacci=True)
            if fibonacci
            else tuple(reader.integer_range("PubRestrictions"))
        )
        total += len(vendors)
        if purpose == 0 or kind == 3 or total > MAX_RESTRICTED:
            raise ConsentStringError(
                "RESTRICTION_INVALID", reader.part, f"restriction of type {kind} for purpose {purpose}"
            )
        restrictions.append(Restriction(purpose, kind, vendors))
    fields["restrictions"] = tuple(restrictions)
    reader.end(most=None)
    return fields


def _read_canada_vendors(reader: BitReader, name: str, fibonacci: bool) -> tuple[int, ...]:
    largest = reader.integer(16, name)
    if not reader.boolean(name):
        return tuple(reader.ids(largest, name))
    found = reader.fibonacci_range(name) if fibonacci else reader.integer_range(name, largest)
    if largest != (found[-1] if found else 0):
        raise ConsentStringError("ID_INVALID", reader.part, f"{name} does not end with its largest id")
    return tuple(found)


def _read_canada_disclosed(reader: BitReader, fibonacci: bool) -> dict[str, Any]:
    vendors = _read_canada_vendors(reader, "DisclosedVendors", fibonacci)
    reader.end(most=None)
    return {"disclosed_vendors": vendors}


def _read_canada_publisher(reader: BitReader) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "has_publisher_segment": True,
        "pub_purposes_express_consent": tuple(reader.ids(PURPOSES, "PubPurposesExpressConsent")),
        "pub_purposes_implied_consent": tuple(reader.ids(PURPOSES, "PubPurposesImpliedConsent")),
    }
    count = fields["num_custom_purposes"] = reader.integer(6, "NumCustomPurposes")
    fields["custom_purposes_express_consent"] = tuple(reader.ids(count, "CustomPurposesExpressConsent"))
    fields["custom_purposes_implied_consent"] = tuple(reader.ids(count, "CustomPurposesImpliedConsent"))
    reader.end(most=None)
    return fields


def encode_tcf_canada(consent: CanadaTcf) -> str:
    """The string of a decoded section, with Fibonacci ranges."""
    writer = BitWriter()
    writer.integer(consent.version, 6)
    writer.integer(consent.created, 36)
    writer.integer(consent.last_updated, 36)
    writer.integer(consent.cmp_id, 12)
    writer.integer(consent.cmp_version, 12)
    writer.integer(consent.consent_screen, 6)
    writer.letters(consent.consent_language)
    writer.integer(consent.vendor_list_version, 12)
    writer.integer(consent.policy_version, 6)
    writer.boolean(consent.use_non_standard_stacks)
    writer.ids(consent.special_feature_express_consent, SPECIAL_FEATURES)
    writer.ids(consent.purposes_express_consent, PURPOSES)
    writer.ids(consent.purposes_implied_consent, PURPOSES)
    _write_canada_vendors(writer, consent.vendor_express_consent)
    _write_canada_vendors(writer, consent.vendor_implied_consent)
    writer.integer(len(consent.restrictions), 12)
    for one in consent.restrictions:
        writer.integer(one.purpose_id, 6)
        writer.integer(one.restriction_type, 2)
        _write_canada_vendors(writer, one.vendors)
    segments = [writer]
    if consent.has_publisher_segment:
        segments.append(BitWriter())
        segments[-1].integer(_PUBLISHER, 3)
        segments[-1].ids(consent.pub_purposes_express_consent, PURPOSES)
        segments[-1].ids(consent.pub_purposes_implied_consent, PURPOSES)
        segments[-1].integer(consent.num_custom_purposes, 6)
        segments[-1].ids(consent.custom_purposes_express_consent, consent.num_custom_purposes)
        segments[-1].ids(consent.custom_purposes_implied_consent, consent.num_custom_purposes)
    if consent.disclosed_vendors is not None:
        segments.append(BitWriter())
        segments[-1].integer(_DISCLOSED, 3)
        _write_canada_vendors(segments[-1], consent.disclosed_vendors)
    return ".".join(segment.text(8) for segment in segments)


def _write_canada_vendors(writer: BitWriter, vendors: tuple[int, ...]) -> None:
    largest = vendors[-1] if vendors else 0
    if largest > MAX_ID:
        raise ValueError(f"vendor {largest} is above {MAX_ID:,}")
    ranges = BitWriter()
    ranges.fibonacci_range(vendors)
    writer.integer(largest, 16)
    writer.boolean(ranges.length <= largest)
    if ranges.length <= largest:
        writer.raw(ranges.bits())
    else:
        writer.ids(vendors, largest)


# -- JSON, with bit fields as lists of truth values, as the specification's data types ask for ------------------------


def _section_json(section: Section) -> dict[str, Any]:
    if isinstance(section, TcString):
        return _tcf_eu_json(section)
    if isinstance(section, CanadaTcf):
        return _tcf_canada_json(section)
    if isinstance(section, UsPrivacy):
        return {
            "Version": section.version,
            "Notice": section.notice,
            "OptOutSale": section.opt_out_sale,
            "LspaCovered": section.lspa_covered,
        }
    if isinstance(section, UnreadSection):
        return {"error": f"{section.reason}: {section.message}"}
    return dict(section)


def _truths(ids: tuple[int, ...], count: int) -> list[bool]:
    chosen = frozenset(ids)
    return [number in chosen for number in range(1, count + 1)]


def _restrictions_json(restrictions: tuple[Restriction, ...]) -> list[dict[str, Any]]:
    return [
        {"key": one.purpose_id, "type": one.restriction_type, "ids": list(one.vendors)}
        for one in restrictions
    ]


def _tcf_eu_json(tc: TcString) -> dict[str, Any]:
    return {
        "Version": tc.version,
        "Created": iso_time(tc.created),
        "LastUpdated": iso_time(tc.last_updated),
        "CmpId": tc.cmp_id,
        "CmpVersion": tc.cmp_version,
        "ConsentScreen": tc.consent_screen,
        "ConsentLanguage": tc.consent_language,
        "VendorListVersion": tc.vendor_list_version,
        "PolicyVersion": tc.policy_version,
        "IsServiceSpecific": tc.is_service_specific,
        "UseNonStandardStacks": tc.use_non_standard_stacks,
        "SpecialFeatureOptins": _truths(tc.special_feature_optins, SPECIAL_FEATURES),
        "PurposeConsents": _truths(tc.purpose_consents, PURPOSES),
        "PurposeLegitimateInterests": _truths(tc.purpose_legitimate_interests, PURPOSES),
        "PurposeOneTreatment": tc.purpose_one_treatment,
        "PublisherCountryCode": tc.publisher_country_code,
        "VendorConsents": list(tc.vendor_consents),
        "VendorLegitimateInterests": list(tc.vendor_legitimate_interests),
        "PublisherRestrictions": _restrictions_json(tc.restrictions),
        "PublisherPurposesSegmentType": 3,
        "PublisherConsents": _truths(tc.publisher_consents, PURPOSES),
        "PublisherLegitimateInterests": _truths(tc.publisher_legitimate_interests, PURPOSES),
        "NumCustomPurposes": tc.num_custom_purposes,
        "PublisherCustomConsents": _truths(tc.publisher_custom_consents, tc.num_custom_purposes),
        "PublisherCustomLegitimateInterests": _truths(
            tc.publisher_custom_legitimate_interests, tc.num_custom_purposes
        ),
        "VendorsAllowedSegmentType": 2,
        "VendorsAllowed": list(tc.vendors_allowed or ()),
        "VendorsDisclosedSegmentType": 1,
        "VendorsDisclosed": list(tc.vendors_disclosed or ()),
    }


def _tcf_canada_json(tc: CanadaTcf) -> dict[str, Any]:
    return {
        "Version": tc.version,
        "Created": iso_time(tc.created),
        "LastUpdated": iso_time(tc.last_updated),
        "CmpId": tc.cmp_id,
        "CmpVersion": tc.cmp_version,
        "ConsentScreen": tc.consent_screen,
        "ConsentLanguage": tc.consent_language,
        "VendorListVersion": tc.vendor_list_version,
        "TcfPolicyVersion": tc.policy_version,
        "UseNonStandardStacks": tc.use_non_standard_stacks,
        "SpecialFeatureExpressConsent": _truths(tc.special_feature_express_consent, SPECIAL_FEATURES),
        "PurposesExpressConsent": _truths(tc.purposes_express_consent, PURPOSES),
        "PurposesImpliedConsent": _truths(tc.purposes_implied_consent, PURPOSES),
        "VendorExpressConsent": list(tc.vendor_express_consent),
        "VendorImpliedConsent": list(tc.vendor_implied_consent),
        "PubRestrictions": _restrictions_json(tc.restrictions),
        "PubPurposesSegmentType": 3,
        "PubPurposesExpressConsent": _truths(tc.pub_purposes_express_consent, PURPOSES),
        "PubPurposesImpliedConsent": _truths(tc.pub_purposes_implied_consent, PURPOSES),
        "NumCustomPurposes": tc.num_custom_purposes,
        "CustomPurposesExpressConsent": _truths(tc.custom_purposes_express_consent, tc.num_custom_purposes),
        "CustomPurposesImpliedConsent": _truths(tc.custom_purposes_implied_consent, tc.num_custom_purposes),
        "DisclosedVendorsSegmentType": 1,
        "DisclosedVendors": list(tc.disclosed_vendors or ()),
    }
