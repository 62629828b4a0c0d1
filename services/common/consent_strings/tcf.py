"""TC strings of the IAB Europe Transparency & Consent Framework: version 2 whole, version 1 to be told apart.

Segments of version 2: core (first, required), disclosed vendors, allowed vendors and publisher TC, each at most once,
in any order. Zero bits may follow the last field of a segment in any number: CMPs in use write more than the filling
to whole bytes that the specification asks for. A version 1 string is read by its own layout, never by that of version
2; whether it counts as consent is not decided here (`TcString.version`; the framework retired it on 15 August 2020).

Source: IAB Tech Lab, "Consent string and vendor list formats v2",
https://github.com/InteractiveAdvertisingBureau/GDPR-Transparency-and-Consent-Framework (TCFv2); for version 1
"Consent string and vendor list formats v1.1" there. What the specification leaves open is settled in
docs/decisions/0041-where-the-reference-decoders-disagree.md.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from services.common.consent_strings.bits import MAX_ID, BitReader, BitWriter, ConsentStringError

PURPOSES = 24
SPECIAL_FEATURES = 12

_CORE, _DISCLOSED, _ALLOWED, _PUBLISHER = range(4)
_SEGMENTS = {_DISCLOSED: "disclosed vendors", _ALLOWED: "allowed vendors", _PUBLISHER: "publisher TC"}

MAX_RESTRICTED = 100_000
"""Ids that all publisher restrictions of one string may hold together: what a string costs stays bounded."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """What the publisher laid down for a purpose and some vendors."""

    purpose_id: int
    restriction_type: int
    """0 not allowed, 1 consent required, 2 legitimate interest required."""
    vendors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TcString:
    """A decoded TC string. Lists of ids ascend; a segment that is absent leaves its lists empty."""

    version: int
    created: int
    """Tenths of a second since 1970 UTC, as is `last_updated`."""
    last_updated: int
    cmp_id: int
    cmp_version: int
    consent_screen: int
    consent_language: str
    vendor_list_version: int
    policy_version: int = 2
    is_service_specific: bool = False
    use_non_standard_stacks: bool = False
    special_feature_optins: tuple[int, ...] = ()
    purpose_consents: tuple[int, ...] = ()
    purpose_legitimate_interests: tuple[int, ...] = ()
    purpose_one_treatment: bool = False
    publisher_country_code: str = "AA"
    vendor_consents: tuple[int, ...] = ()
    vendor_legitimate_interests: tuple[int, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    vendors_disclosed: tuple[int, ...] | None = None
    """None: the string has no such segment."""
    vendors_allowed: tuple[int, ...] | None = None
    has_publisher_segment: bool = False
    publisher_consents: tuple[int, ...] = ()
    publisher_legitimate_interests: tuple[int, ...] = ()
    num_custom_purposes: int = 0
    publisher_custom_consents: tuple[int, ...] = ()
    publisher_custom_legitimate_interests: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The fields under the names of the framework's own decoder (`@iabtcf/core`)."""
        return {
            "version": self.version,
            "created": iso_time(self.created),
            "lastUpdated": iso_time(self.last_updated),
            "cmpId": self.cmp_id,
            "cmpVersion": self.cmp_version,
            "consentScreen": self.consent_screen,
            "consentLanguage": self.consent_language,
            "vendorListVersion": self.vendor_list_version,
            "policyVersion": self.policy_version,
            "isServiceSpecific": self.is_service_specific,
            "purposeOneTreatment": self.purpose_one_treatment,
            "publisherCountryCode": self.publisher_country_code,
            "specialFeatureOptins": list(self.special_feature_optins),
            "purposeConsents": list(self.purpose_consents),
            "purposeLegitimateInterests": list(self.purpose_legitimate_interests),
            "vendorConsents": list(self.vendor_consents),
            "vendorLegitimateInterests": list(self.vendor_legitimate_interests),
            "vendorsDisclosed": list(self.vendors_disclosed or ()),
            "vendorsAllowed": list(self.vendors_allowed or ()),
            "publisherConsents": list(self.publisher_consents),
            "publisherLegitimateInterests": list(self.publisher_legitimate_interests),
            "numCustomPurposes": self.num_custom_purposes,
            "publisherCustomConsents": list(self.publisher_custom_consents),
            "publisherRestrictions": [
                {
                    "purposeId": one.purpose_id,
                    "restrictionType": one.restriction_type,
                    "vendors": list(one.vendors),
                }
                for one in self.restrictions
            ],
        }


def iso_time(tenths: int) -> str:
    """Tenths of a second since 1970 UTC as RFC 3339 with milliseconds: "2019-12-10T02:01:46.500Z"."""
    moment = datetime.datetime.fromtimestamp(tenths // 10, datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{tenths % 10}00Z"


def decode_tcf(text: str, *, assigned_cmp: bool = True) -> TcString:
    """Decodes a TC string of version 1 or 2.

    Args:
        text: the string.
        assigned_cmp: whether CMP ids 0 and 1, which are assigned to nobody, are refused, as the framework's own
            decoder does; the section of a GPP string is read without that (docs/decisions/0041).

    Raises ConsentStringError: BASE64_INVALID, VERSION_UNKNOWN, TRUNCATED, PADDING_INVALID, TRAILING_DATA,
    SEGMENT_UNKNOWN, SEGMENT_REPEATED, CMP_ID_INVALID, ID_INVALID, LETTER_INVALID, RESTRICTION_INVALID,
    DEFAULT_CONSENT_UNSUPPORTED.
    """
    core, *others = text.split(".")
    reader = BitReader(core, "core")
    version = reader.integer(6, "version")
    if version == 1:
        if others:
            raise ConsentStringError("SEGMENT_UNKNOWN", "core", "a version 1 string has no further segments")
        fields = _version_1(reader, assigned_cmp)
    elif version == 2:
        fields = _core(reader, assigned_cmp)
        seen: set[int] = set()
        for position, segment in enumerate(others, 1):
            found = BitReader(segment, f"segment {position}")
            kind = found.integer(3, "segment type")
            if kind not in _SEGMENTS:
                raise ConsentStringError("SEGMENT_UNKNOWN", found.part, f"is of the unknown type {kind}")
            if kind in seen:
                raise ConsentStringError(
                    "SEGMENT_REPEATED", found.part, f"is a second segment of {_SEGMENTS[kind]}"
                )
            seen.add(kind)
            found.part = _SEGMENTS[kind]
            fields |= _segment(kind, found)
            found.end(most=None)
    else:
        raise ConsentStringError("VERSION_UNKNOWN", "core", f"version {version} is none of 1 and 2")
    return TcString(version=version, **fields)


def _stem(reader: BitReader, assigned_cmp: bool) -> dict[str, Any]:
    """What versions 1 and 2 have in common, after the version."""
    fields: dict[str, Any] = {
        "created": reader.integer(36, "created"),
        "last_updated": reader.integer(36, "lastUpdated"),
        "cmp_id": reader.integer(12, "cmpId"),
        "cmp_version": reader.integer(12, "cmpVersion"),
        "consent_screen": reader.integer(6, "consentScreen"),
        "consent_language": reader.letters(2, "consentLanguage"),
        "vendor_list_version": reader.integer(12, "vendorListVersion"),
    }
    if assigned_cmp and fields["cmp_id"] < 2:
        raise ConsentStringError(
            "CMP_ID_INVALID", reader.part, f"cmpId {fields['cmp_id']} is assigned to nobody"
        )
    return fields


def _version_1(reader: BitReader, assigned_cmp: bool) -> dict[str, Any]:
    fields = _stem(reader, assigned_cmp)
    fields["purpose_consents"] = tuple(reader.ids(PURPOSES, "purposeConsents"))
    largest = reader.integer(16, "maxVendorId")
    if reader.boolean("encodingType"):
        if reader.boolean("defaultConsent"):
            raise ConsentStringError(
                "DEFAULT_CONSENT_UNSUPPORTED", reader.part, "consents to every vendor but those listed"
            )
        fields["vendor_consents"] = tuple(reader.integer_range("vendorConsents", largest))
    else:
        fields["vendor_consents"] = tuple(reader.ids(largest, "vendorConsents"))
    reader.end(most=None)
    return fields


def _core(reader: BitReader, assigned_cmp: bool) -> dict[str, Any]:
    fields = _stem(reader, assigned_cmp)
    fields |= {
        "policy_version": reader.integer(6, "policyVersion"),
        "is_service_specific": reader.boolean("isServiceSpecific"),
        "use_non_standard_stacks": reader.boolean("useNonStandardStacks"),
        "special_feature_optins": tuple(reader.ids(SPECIAL_FEATURES, "specialFeatureOptins")),
        "purpose_consents": tuple(reader.ids(PURPOSES, "purposeConsents")),
        "purpose_legitimate_interests": tuple(reader.ids(PURPOSES, "purposeLegitimateInterests")),
        "purpose_one_treatment": reader.boolean("purposeOneTreatment"),
        "publisher_country_code": reader.letters(2, "publisherCountryCode"),
        "vendor_consents": read_vendors(reader, "vendorConsents"),
        "vendor_legitimate_interests": read_vendors(reader, "vendorLegitimateInterests"),
        "restrictions": _read_restrictions(reader),
    }
    reader.end(most=None)
    return fields


def _segment(kind: int, reader: BitReader) -> dict[str, Any]:
    if kind == _DISCLOSED:
        return {"vendors_disclosed": read_vendors(reader, "vendorsDisclosed")}
    if kind == _ALLOWED:
        return {"vendors_allowed": read_vendors(reader, "vendorsAllowed")}
    fields: dict[str, Any] = {
        "has_publisher_segment": True,
        "publisher_consents": tuple(reader.ids(PURPOSES, "publisherConsents")),
        "publisher_legitimate_interests": tuple(reader.ids(PURPOSES, "publisherLegitimateInterests")),
    }
    count = fields["num_custom_purposes"] = reader.integer(6, "numCustomPurposes")
    fields["publisher_custom_consents"] = tuple(reader.ids(count, "publisherCustomConsents"))
    fields["publisher_custom_legitimate_interests"] = tuple(
        reader.ids(count, "publisherCustomLegitimateInterests")
    )
    return fields


def read_vendors(reader: BitReader, name: str) -> tuple[int, ...]:
    """An OptimizedIntRange: the largest id, then a bit field or ranges."""
    largest = reader.integer(16, name)
    if reader.boolean(name):
        return tuple(reader.integer_range(name, largest))
    return tuple(reader.ids(largest, name))


def _read_restrictions(reader: BitReader) -> tuple[Restriction, ...]:
    found: dict[tuple[int, int], set[int]] = {}
    total = 0
    for _ in range(reader.integer(12, "publisherRestrictions")):
        purpose = reader.integer(6, "publisherRestrictions")
        kind = reader.integer(2, "publisherRestrictions")
        vendors = reader.integer_range("publisherRestrictions")
        total += len(vendors)
        if purpose == 0 or kind == 3 or total > MAX_RESTRICTED:
            raise ConsentStringError(
                "RESTRICTION_INVALID", reader.part, f"restriction of type {kind} for purpose {purpose}"
            )
        if vendors:
            found.setdefault((purpose, kind), set()).update(vendors)
    return tuple(
        Restriction(purpose, kind, tuple(sorted(vendors))) for (purpose, kind), vendors in found.items()
    )


def encode_tcf(consent: TcString) -> str:
    """The string of a decoded one; segments in the order of the specification, vendors in the shorter form."""
    writer = BitWriter()
    writer.integer(consent.version, 6)
    writer.integer(consent.created, 36)
    writer.integer(consent.last_updated, 36)
    writer.integer(consent.cmp_id, 12)
    writer.integer(consent.cmp_version, 12)
    writer.integer(consent.consent_screen, 6)
    writer.letters(consent.consent_language)
    writer.integer(consent.vendor_list_version, 12)
    if consent.version == 1:
        writer.ids(consent.purpose_consents, PURPOSES)
        _write_vendors(writer, consent.vendor_consents, default_consent="0")
        return writer.text(8)
    writer.integer(consent.policy_version, 6)
    writer.boolean(consent.is_service_specific)
    writer.boolean(consent.use_non_standard_stacks)
    writer.ids(consent.special_feature_optins, SPECIAL_FEATURES)
    writer.ids(consent.purpose_consents, PURPOSES)
    writer.ids(consent.purpose_legitimate_interests, PURPOSES)
    writer.boolean(consent.purpose_one_treatment)
    writer.letters(consent.publisher_country_code)
    _write_vendors(writer, consent.vendor_consents)
    _write_vendors(writer, consent.vendor_legitimate_interests)
    writer.integer(len(consent.restrictions), 12)
    for one in consent.restrictions:
        writer.integer(one.purpose_id, 6)
        writer.integer(one.restriction_type, 2)
        writer.integer_range(one.vendors)
    segments = [writer]
    for kind, vendors in ((_DISCLOSED, consent.vendors_disclosed), (_ALLOWED, consent.vendors_allowed)):
        if vendors is not None:
            segments.append(BitWriter())
            segments[-1].integer(kind, 3)
            _write_vendors(segments[-1], vendors)
    if consent.has_publisher_segment:
        segments.append(BitWriter())
        segments[-1].integer(_PUBLISHER, 3)
        segments[-1].ids(consent.publisher_consents, PURPOSES)
        segments[-1].ids(consent.publisher_legitimate_interests, PURPOSES)
        segments[-1].integer(consent.num_custom_purposes, 6)
        segments[-1].ids(consent.publisher_custom_consents, consent.num_custom_purposes)
        segments[-1].ids(consent.publisher_custom_legitimate_interests, consent.num_custom_purposes)
    return ".".join(segment.text(8) for segment in segments)


def _write_vendors(writer: BitWriter, vendors: tuple[int, ...], default_consent: str = "") -> None:
    largest = vendors[-1] if vendors else 0
    if largest > MAX_ID:
        raise ValueError(f"vendor {largest} is above {MAX_ID:,}")
    ranges = BitWriter()
    ranges.raw(default_consent)
    ranges.integer_range(vendors)
    writer.integer(largest, 16)
    writer.boolean(ranges.length < largest)
    if ranges.length < largest:
        writer.raw(ranges.bits())
    else:
        writer.ids(vendors, largest)
