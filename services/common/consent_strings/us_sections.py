"""The US sections of a GPP string: US National and the states, as tables.

Every field is an unsigned integer of 2 bits with the values 0 to 2, or a list of them, but for the version. A section
is its core, then at most one further segment: Global Privacy Control, or in the sections of 2025 for Indiana, Kentucky
and Rhode Island the consents for sensitive data.

US National has two layouts. The first one, of December 2022, has 12 categories of sensitive data and two of known
children; the second one has 16 and three. Encoders wrote the second one under version 1 as well, and the first one
under version 2: the length of the core tells them apart (60 or 66 bits, or 70 and more), and the missing categories of
the first are read as 0, "not applicable".

Source: IAB Tech Lab, "Global Privacy Platform", Sections/US-National and Sections/US-States.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from services.common.consent_strings.bits import BitReader, BitWriter, ConsentStringError

Fields = dict[str, Any]


class Layout(NamedTuple):
    """The fields of one segment in order: names, each with how many values of 2 bits it has (0: one, no list)."""

    version_field: str
    """The field of 6 bits at the beginning of the core."""
    fields: tuple[tuple[str, int], ...]

    @property
    def length(self) -> int:
        """Bits."""
        return 6 + 2 * sum(max(count, 1) for _, count in self.fields)


class UsSection(NamedTuple):
    """One section of a GPP string."""

    name: str
    """Client-side API prefix: "usca"."""
    area: str
    """ISO 3166-2 of the state, "US" for US National."""
    versions: tuple[int, ...]
    core: Layout
    gpc: bool = False
    """Whether a segment of Global Privacy Control may follow."""
    sensitive_segment: bool = False
    """Whether a segment with SensitiveDataProcessing may follow instead."""


_MSPA = (("MspaCoveredTransaction", 0), ("MspaOptOutOptionMode", 0), ("MspaServiceProviderMode", 0))
_OPT_OUTS = (("SaleOptOut", 0), ("TargetedAdvertisingOptOut", 0))


def _layout(*fields: str | tuple[str, int]) -> Layout:
    return Layout("Version", tuple((field, 0) if isinstance(field, str) else field for field in fields))


def _national(sensitive: int, children: int) -> Layout:
    return _layout(
        "SharingNotice",
        "SaleOptOutNotice",
        "SharingOptOutNotice",
        "TargetedAdvertisingOptOutNotice",
        "SensitiveDataProcessingOptOutNotice",
        "SensitiveDataLimitUseNotice",
        "SaleOptOut",
        "SharingOptOut",
        "TargetedAdvertisingOptOut",
        ("SensitiveDataProcessing", sensitive),
        ("KnownChildSensitiveDataConsents", children),
        "PersonalDataConsents",
        *_MSPA,
    )


def _state(
    notice: str, sensitive: int, children: int, *, additional: bool = True, sensitive_notice: str = ""
) -> Layout:
    """Most states' core: what differs is the first notice, the categories and whether one more consent is there."""
    return _layout(
        notice,
        "SaleOptOutNotice",
        "TargetedAdvertisingOptOutNotice",
        *([sensitive_notice] if sensitive_notice else []),
        *_OPT_OUTS,
        ("SensitiveDataProcessing", sensitive),
        ("KnownChildSensitiveDataConsents", children),
        *(["AdditionalDataProcessingConsent"] if additional else []),
        *_MSPA,
    )


def _of_2025(*, children: bool = True) -> Layout:
    """The core of the sections of 2025, which begin with the version of the MSPA."""
    return Layout(
        "MspaVersion",
        (
            ("MspaCoveredTransaction", 0),
            ("MspaMode", 0),
            ("ProcessingNotice", 0),
            ("SaleOptOutNotice", 0),
            ("TargetedAdvertisingOptOutNotice", 0),
            *_OPT_OUTS,
            *((("KnownChildSensitiveDataConsents", 0),) if children else ()),
            ("AdditionalDataProcessingConsent", 0),
        ),
    )


_SHARING, _PROCESSING = "SharingNotice", "ProcessingNotice"
_NATIONAL_FIRST = _national(12, 2)
_NATIONAL = _national(16, 3)
_CALIFORNIA = _layout(
    "SaleOptOutNotice",
    "SharingOptOutNotice",
    "SensitiveDataLimitUseNotice",
    "SaleOptOut",
    "SharingOptOut",
    ("SensitiveDataProcessing", 9),
    ("KnownChildSensitiveDataConsents", 2),
    "PersonalDataConsents",
    *_MSPA,
)

US_SECTIONS: dict[int, UsSection] = {
    7: UsSection("usnat", "US", (1, 2), _NATIONAL, gpc=True),
    8: UsSection("usca", "US-CA", (1,), _CALIFORNIA, gpc=True),
    9: UsSection("usva", "US-VA", (1,), _state(_SHARING, 8, 0, additional=False)),
    10: UsSection("usco", "US-CO", (1,), _state(_SHARING, 7, 0, additional=False), gpc=True),
    11: UsSection(
        "usut",
        "US-UT",
        (1,),
        _state(_SHARING, 8, 0, additional=False, sensitive_notice="SensitiveDataProcessingOptOutNotice"),
    ),
    12: UsSection("usct", "US-CT", (1,), _state(_SHARING, 8, 3, additional=False), gpc=True),
    13: UsSection("usfl", "US-FL", (1,), _state(_PROCESSING, 8, 3)),
    14: UsSection("usmt", "US-MT", (1,), _state(_SHARING, 8, 3), gpc=True),
    15: UsSection("usor", "US-OR", (1,), _state(_PROCESSING, 11, 3), gpc=True),
    16: UsSection("ustx", "US-TX", (1,), _state(_PROCESSING, 8, 0), gpc=True),
    17: UsSection("usde", "US-DE", (1,), _state(_PROCESSING, 9, 5), gpc=True),
    18: UsSection(
        "usia",
        "US-IA",
        (1,),
        _state(_PROCESSING, 8, 0, additional=False, sensitive_notice="SensitiveDataOptOutNotice"),
        gpc=True,
    ),
    19: UsSection("usne", "US-NE", (1,), _state(_PROCESSING, 8, 0), gpc=True),
    20: UsSection("usnh", "US-NH", (1,), _state(_PROCESSING, 8, 3), gpc=True),
    21: UsSection("usnj", "US-NJ", (1,), _state(_PROCESSING, 10, 5), gpc=True),
    22: UsSection("ustn", "US-TN", (1,), _state(_PROCESSING, 8, 0), gpc=True),
    23: UsSection("usmn", "US-MN", (1,), _state(_PROCESSING, 8, 0), gpc=True),
    # These begin with the version of the contract (MSPA), whose values do not change the layout.
    24: UsSection("usmd", "US-MD", (), _of_2025(children=False), gpc=True),
    25: UsSection("usin", "US-IN", (), _of_2025(), sensitive_segment=True),
    26: UsSection("usky", "US-KY", (), _of_2025(), sensitive_segment=True),
    27: UsSection("usri", "US-RI", (), _of_2025(), sensitive_segment=True),
}
"""Section id -> what it holds."""

_SENSITIVE = ("SensitiveDataProcessing", 8)


def decode_us_section(section_id: int, text: str) -> Fields:
    """The fields of a US section under the names of its specification.

    `GpcSegmentIncluded` says whether there is a segment of Global Privacy Control; `Gpc` is false without one, as the
    reference decoders give it, and says nothing then. Likewise `SensitiveDataConsentSegmentIncluded`.

    Raises ConsentStringError: BASE64_INVALID, VERSION_UNKNOWN, TRUNCATED, PADDING_INVALID, TRAILING_DATA,
    SEGMENT_UNKNOWN, VALUE_RESERVED, SECTION_HEADER_UNSUPPORTED.
    """
    section = US_SECTIONS[section_id]
    part = section.name
    core, *others = text.split(".")
    reader = BitReader(core, part)
    fields = _read_core(section_id, section, reader)
    if len(others) > 1 or (others and not section.gpc and not section.sensitive_segment):
        raise ConsentStringError("SEGMENT_UNKNOWN", part, f"holds {1 + len(others)} segments")
    if section.gpc:
        fields |= {"GpcSegmentIncluded": bool(others), "GpcSegmentType": 1, "Gpc": False}
        if others:
            further = BitReader(others[0], f"{part}, GPC segment")
            if further.integer(2, "GpcSegmentType") != 1:
                raise ConsentStringError("SEGMENT_UNKNOWN", further.part, "is not of the type 1")
            fields["Gpc"] = further.boolean("Gpc")
            further.end()
    elif section.sensitive_segment:
        fields |= {"SensitiveDataConsentSegmentIncluded": bool(others), _SENSITIVE[0]: [0] * _SENSITIVE[1]}
        if others:
            further = BitReader(others[0], f"{part}, sensitive data segment")
            fields[_SENSITIVE[0]] = _read_field(further, *_SENSITIVE)
            further.end()
    return fields


def _read_core(section_id: int, section: UsSection, reader: BitReader) -> Fields:
    layout = section.core
    if section_id == 7 and reader.length <= 66:
        layout = _NATIONAL_FIRST
    version = reader.integer(6, layout.version_field)
    if section.versions and version not in section.versions:
        raise ConsentStringError("VERSION_UNKNOWN", reader.part, f"version {version} is none of this section")
    if not section.versions and version == section_id:
        raise ConsentStringError(
            "SECTION_HEADER_UNSUPPORTED",
            reader.part,
            "begins with a section header, whose subsection ids the draft of October 2025 left without a code",
        )
    if not section.versions and version == 0:
        raise ConsentStringError("VERSION_UNKNOWN", reader.part, "there is no version 0 of the MSPA")
    fields: Fields = {layout.version_field: version}
    for name, count in layout.fields:
        fields[name] = _read_field(reader, name, count)
    reader.end()
    if layout is _NATIONAL_FIRST:
        fields["SensitiveDataProcessing"] += [0] * 4
        fields["KnownChildSensitiveDataConsents"] += [0]
    return fields


def _read_field(reader: BitReader, name: str, count: int) -> Any:
    values = [reader.integer(2, name) for _ in range(max(count, 1))]
    if max(values) > 2:
        raise ConsentStringError("VALUE_RESERVED", reader.part, f"{name} holds the reserved value 3")
    return values if count else values[0]


def encode_us_section(section_id: int, fields: Fields) -> str:
    """The string of a decoded section, in the layout that is current for its version."""
    section = US_SECTIONS[section_id]
    layout = _NATIONAL_FIRST if section_id == 7 and fields["Version"] == 1 else section.core
    writer = BitWriter()
    writer.integer(fields[layout.version_field], 6)
    for name, count in layout.fields:
        _write_field(writer, fields[name], count)
    segments = [writer]
    if section.gpc and fields["GpcSegmentIncluded"]:
        segments.append(BitWriter())
        segments[-1].integer(1, 2)
        segments[-1].boolean(fields["Gpc"])
    if section.sensitive_segment and fields["SensitiveDataConsentSegmentIncluded"]:
        segments.append(BitWriter())
        _write_field(segments[-1], fields[_SENSITIVE[0]], _SENSITIVE[1])
    return ".".join(segment.text(8) for segment in segments)


def _write_field(writer: BitWriter, value: Any, count: int) -> None:
    for number in value[:count] if count else [value]:
        writer.integer(number, 2)
