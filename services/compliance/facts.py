"""The legal facts of an event: one sequence of values that the packs' conditions read.

Facts come from `Event.privacy`. What it leaves out is unknown, with these mappings from the sender's bare fields, each
of which is told in `Verdict.assumptions`:

* `user_location` unset: `region`, and the country of the address as well; a law that protects people in either of them
  protects this viewer. `is_eu` true adds the EU.
* `user_residence` unset: `user_location`, or else `region`.
* `consent.status` unset: `has_consent` true is "granted" (its scope stays unknown), false is "absent".
* `transfer.destination_country` without `transfer.cross_border`: there is a transfer.
* `third_party.is_sale_or_share` true without `third_party.shared`: data are shared.

Sections that an event does not mention (terminal access, recipients, a transfer, a request, a breach, a retention
check) describe acts that are not being done: their rules are not triggered. `controller_established_in` empty means no
establishment is declared, since a repeated field cannot be absent.

Consent is read as of the event's time: withdrawn or expired later is still granted, granted earlier and withdrawn or
expired by now is not. The event's consent strings and the consent ledger are sources beside its own facts; `consent`
says how they become one answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from services.common.address_ranges import NOT_OWN_PLACE
from services.common.event_types import canonical, event_class
from services.compliance import consent
from services.compliance.consent import LedgerFact, Own, Resolution
from services.compliance.expression import Schema, Type, Value
from usher.event.v1 import event_pb2

HANDLING = "handling"
"""What is being done: "processing" of data for a purpose, a viewer's own "rights" request, an "incident" of the
controller's, or a "retention" check. Never unknown."""

HANDLINGS = ("processing", "rights", "incident", "retention")
"""Every value of HANDLING."""

END_OF_TIMES = 4_133_980_800
"""2101-01-01, in seconds since 1970 UTC: times of the contract lie in the years 1970 to 2100."""

CONSENT_STATUSES = ("granted", "absent", "withdrawn", "expired", "not_required")

CLOSED: dict[str, tuple[Value, ...]] = {"consent.status": (*CONSENT_STATUSES, None), HANDLING: HANDLINGS}
"""Facts that have no other values than these."""

# ISO 3166-1 reserves these for users' own meanings: they name no country. XK (Kosovo) is in general use.
_NO_COUNTRY = re.compile(r"AA|Q[M-Z]|X(?!K)[A-Z]|ZZ")
_AREA = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_RETENTION_PURPOSES = frozenset({"retention_check"})
_INCIDENT_PURPOSES = frozenset({"breach_notification"})


class Facts(NamedTuple):
    """The legal facts of one event."""

    values: list[Value]
    """By position in SCHEMA."""
    time: int
    """The event's time, whole seconds since 1970 UTC."""
    establishment: tuple[str, ...]
    """Areas in which the controller is established."""
    location: tuple[str, ...] | None
    """Areas in which the viewer is; None is unknown."""
    residence: tuple[str, ...] | None
    """Areas in which the viewer resides; None is unknown."""
    assumptions: tuple[str, ...]
    """What was taken from bare fields, as "field=value -> fact"."""
    turns: tuple[int, ...] = ()
    """Times at which the same event would have had other facts: when its consent is withdrawn or runs out."""
    resolution: Resolution | None = None
    """How sources of consent became one answer; None where the event's own facts were the only one."""
    ledger: LedgerFact | None = None
    """What the consent ledger said."""


class _Reader(NamedTuple):
    """How one field of a message becomes a fact."""

    position: int
    convert: Callable[[Any], Value]


class _Section(NamedTuple):
    """What the fields of one message mean, by field number."""

    readers: dict[int, _Reader]
    sections: dict[int, _Section]


def _text(value: str) -> Value:
    return value.lower() or None


def _area(value: str) -> Value:
    return value.upper() or None


def _scalar(value: bool | int) -> Value:
    return value


def _seconds(value: Timestamp) -> Value:
    # A time outside the contract's years says nothing, and periods could not be counted from it.
    return value.seconds if 0 <= value.seconds < END_OF_TIMES else None


def _texts(value: Any) -> Value:
    return tuple(item.lower() for item in value) or None


def _areas(value: Any) -> Value:
    return tuple(item.upper() for item in value)


def _numbers(value: Any) -> Value:
    return tuple(value) or None


# Facts of PrivacyFacts that hold a country or a list of them.
_AREA_FIELDS = frozenset(
    {
        "user_residence",
        "user_location",
        "storage_country",
        "third_party.recipient_country",
        "transfer.destination_country",
    }
)
# Raw strings that only a decoder reads; conditions read what it makes of them.
_OPAQUE = frozenset({"consent.tcf_string", "consent.gpp_string", "consent.us_privacy_string"})


def _walk(descriptor: Any, prefix: str, fields: list[tuple[str, Type]]) -> _Section:
    section = _Section({}, {})
    for field in descriptor.fields:
        path = prefix + field.name
        if path in _OPAQUE:
            continue
        nested = field.message_type
        if nested is not None and nested.full_name != "google.protobuf.Timestamp":
            section.sections[field.number] = _walk(nested, path + ".", fields)
            continue
        kind, convert = _kind(field, path)
        section.readers[field.number] = _Reader(len(fields), convert)
        fields.append((path, kind))
    return section


def _kind(field: FieldDescriptor, path: str) -> tuple[Type, Callable[[Any], Value]]:
    text = field.cpp_type == FieldDescriptor.CPPTYPE_STRING
    if field.is_repeated:
        if path == "controller_established_in":
            return Type.STRINGS, _areas
        return (Type.STRINGS, _texts) if text else (Type.INTS, _numbers)
    if field.message_type is not None:
        return Type.TIME, _seconds
    if text:
        return Type.STRING, _area if path in _AREA_FIELDS else _text
    return (Type.BOOL if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else Type.INT), _scalar


_FIELDS: list[tuple[str, Type]] = []
_ROOT = _walk(event_pb2.PrivacyFacts.DESCRIPTOR, "", _FIELDS)
_DERIVED = [
    ("event_time", Type.TIME),
    (HANDLING, Type.STRING),
    ("residence_country", Type.STRING),
    ("residence_area", Type.STRING),
]

SCHEMA = Schema([*_FIELDS, *_DERIVED])
"""Every fact of PrivacyFacts by its path below `privacy` ("consent.status"), and the derived ones."""

_SIZE = len(SCHEMA.positions)
_AT = SCHEMA.positions
_CONSENT_ENDS = (_AT["consent.withdrawn_time"], _AT["consent.expires_time"])


_DERIVED_PATHS = {
    "event_time": "event_time",
    HANDLING: "event_type",
    "residence_country": "privacy.user_residence",
    "residence_area": "privacy.user_residence",
}


def event_path(path: str) -> str:
    """Path of the event's field behind a fact: "privacy.consent.status"."""
    return _DERIVED_PATHS.get(path) or f"privacy.{path}"


def is_own_right(event_type: str) -> bool:
    """Whether an event of this type exercises a right of the viewer's (access, erasure, opt-out, consent)."""
    return event_class(canonical(event_type)) == event_pb2.EVENT_CLASS_RIGHTS


def telling_countries(places: event_pb2.Places, count: int) -> Sequence[int]:
    """The countries of `count` events' addresses, 0 where the address says nothing of where the viewer is.

    The exit of a VPN, a relay, Tor or a data centre stands where its operator put it: no law applies for that.
    """
    countries: Sequence[int] = places.country or [0] * count
    if not any(places.flags):
        return countries
    return [
        0 if flags & NOT_OWN_PLACE else country
        for country, flags in zip(countries, places.flags, strict=True)
    ]


def country_of(packed: int) -> str:
    """Country of an entry of `Places.country`; empty where unknown."""
    return chr(packed >> 8 & 0xFF) + chr(packed & 0xFF) if packed else ""


def read_facts(
    event: event_pb2.Event, address_country: str, *, own_right: bool, ledger: LedgerFact | None = None
) -> Facts:
    """The legal facts of an event.

    Args:
        event: with `event_time` set.
        address_country: ISO 3166-1 alpha-2 of the address, empty where unknown.
        own_right: whether its type exercises a right of the viewer's (`is_own_right`).
        ledger: what the consent ledger says of the viewer as of the event's time.
    """
    values: list[Value] = [None] * _SIZE
    time = event.event_time.seconds
    privacy = event.privacy
    _read(_ROOT, privacy, values)
    assumptions: list[str] = []
    location, residence = _place(event, address_country, values, assumptions)
    _read_consent(event, time, values, assumptions)
    resolution = _resolve(privacy, time, values, assumptions, ledger)
    _read_acts(values, assumptions)
    values[_AT["event_time"]] = time
    values[_AT[HANDLING]] = _handling(privacy, values, own_right)
    values[_AT["residence_country"]] = residence[0][:2] if residence else None
    values[_AT["residence_area"]] = residence[0] if residence else None
    establishment = values[_AT["controller_established_in"]]
    return Facts(
        values,
        time,
        tuple(_known_area(str(code)) or "" for code in establishment)
        if isinstance(establishment, tuple)
        else (),
        location,
        residence,
        tuple(assumptions),
        (
            *(moment for position in _CONSENT_ENDS if isinstance(moment := values[position], int)),
            *(resolution.moments if resolution is not None else ()),
        ),
        resolution,
        ledger,
    )


def _read(section: _Section, message: Any, values: list[Value]) -> None:
    readers, sections = section
    for field, value in message.ListFields():
        number = field.number
        reader = readers.get(number)
        if reader is not None:
            values[reader.position] = reader.convert(value)
        elif number in sections:
            _read(sections[number], value, values)


@lru_cache(maxsize=4_096)
def _known_area(code: str) -> str | None:
    """The area in ISO 3166 form, or None where the code names none; "EU" stands for some state of the EU."""
    area = code.strip().upper()
    if area == "UK" or area.startswith("UK-"):
        area = "GB" + area[2:]
    return area if _AREA.fullmatch(area) and not _NO_COUNTRY.match(area) else None


def _place(
    event: event_pb2.Event, address_country: str, values: list[Value], assumptions: list[str]
) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    told_location = values[_AT["user_location"]]
    told_residence = values[_AT["user_residence"]]
    region = _known_area(event.region)
    if isinstance(told_location, str):
        area = _known_area(told_location)
        locations = [area] if area else []
    else:
        locations = [region] if region else []
        if region:
            assumptions.append(f"region={region} -> user_location")
        country = _known_area(address_country)
        if country and not any(area[:2] == country for area in locations):
            locations.append(country)
            assumptions.append(f"ip_address country={country} -> user_location")
        if event.HasField("is_eu") and event.is_eu:
            locations.append("EU")
            assumptions.append("is_eu=true -> user_location=EU")
    residences: list[str] = []
    if isinstance(told_residence, str):
        area = _known_area(told_residence)
        residences = [area] if area else []
    elif isinstance(told_location, str) and locations:
        residences = locations[:1]
        assumptions.append(f"user_location={locations[0]} -> user_residence")
    elif region:
        residences = [region]
        assumptions.append(f"region={region} -> user_residence")
    return tuple(locations) or None, tuple(residences) or None


def _read_consent(event: event_pb2.Event, time: int, values: list[Value], assumptions: list[str]) -> None:
    status = values[_AT["consent.status"]]
    if status is not None and status not in CONSENT_STATUSES:
        # A word outside the vocabulary says nothing that a rule may rest on.
        assumptions.append("consent.status is not in the vocabulary -> unknown")
        status = None
    elif status is None and event.HasField("has_consent"):
        status = "granted" if event.has_consent else "absent"
        assumptions.append(f"has_consent={str(event.has_consent).lower()} -> consent.status={status}")
    withdrawn, expires = values[_AT["consent.withdrawn_time"]], values[_AT["consent.expires_time"]]
    if status == "withdrawn" and isinstance(withdrawn, int) and withdrawn > time:
        status = "granted"
    if status == "granted" and isinstance(withdrawn, int) and withdrawn <= time:
        status = "withdrawn"
    if status == "granted" and isinstance(expires, int) and expires <= time:
        status = "expired"
    values[_AT["consent.status"]] = status
    if status != "granted" and values[_AT["consent.scope"]] is None:
        # What is not granted covers nothing; what is granted without a scope covers what nobody knows.
        values[_AT["consent.scope"]] = ()
    given_by = values[_AT["consent.given_by"]]
    if values[_AT["consent.parental"]] is None and given_by is not None:
        values[_AT["consent.parental"]] = given_by == "parent"


def _resolve(
    privacy: event_pb2.PrivacyFacts,
    time: int,
    values: list[Value],
    assumptions: list[str],
    ledger: LedgerFact | None,
) -> Resolution | None:
    """Brings in consent strings and the ledger; None where there are none and the event's own facts stand."""
    if ledger is None and not consent.has_strings(privacy.consent):
        return None
    status, purpose = values[_AT["consent.status"]], values[_AT["purpose"]]
    scope = values[_AT["consent.scope"]]
    own = Own(
        status if isinstance(status, str) else None,
        tuple(map(str, scope)) if isinstance(scope, tuple) else None,
        _truth(values[_AT["explicit_opt_out"]]),
        _truth(values[_AT["signals.gpc"]]),
        _truth(values[_AT["opt_out_offered"]]),
    )
    found = consent.resolve(privacy, own, purpose if isinstance(purpose, str) else None, time, ledger)
    if own.status is None and status is None:
        _take_evidence(values, found, ledger)
    values[_AT["consent.status"]] = found.status
    values[_AT["consent.scope"]] = found.scope
    values[_AT["explicit_opt_out"]] = found.opt_out
    values[_AT["signals.gpc"]] = found.gpc
    values[_AT["opt_out_offered"]] = found.opt_out_offered
    if ledger is not None and ledger.opted_out is not None and values[_AT["opt_out_received_time"]] is None:
        values[_AT["opt_out_received_time"]] = ledger.opted_out
    if ledger is not None and ledger.objected is not None:
        values[_AT["user_objected"]] = True
    for name, value in found.tcf.items():
        values[_AT[f"consent.tcf.{name}"]] = value
    assumptions.extend(f"{problem.field}: {problem.reason} -> not relied on" for problem in found.problems)
    return found


def _truth(value: Value) -> bool | None:
    return value if isinstance(value, bool) else None


def _take_evidence(values: list[Value], found: Resolution, ledger: LedgerFact | None) -> None:
    """Times and form of a consent of which the event itself says nothing; the ledger knows more than a string."""
    if found.obtained is not None:
        values[_AT["consent.obtained_time"]] = found.obtained
    if ledger is None or not ledger.status:
        return
    for name, value in (
        ("obtained_time", ledger.obtained),
        ("withdrawn_time", ledger.withdrawn),
        ("expires_time", ledger.expires),
        ("given_by", ledger.given_by or None),
        ("separate", ledger.separate),
        ("verifiable", ledger.verifiable),
        ("vppa_separate_form", ledger.vppa_separate_form),
        ("parental", ledger.given_by == "parent" if ledger.given_by else None),
    ):
        if values[_AT[f"consent.{name}"]] is None:
            values[_AT[f"consent.{name}"]] = value


def _read_acts(values: list[Value], assumptions: list[str]) -> None:
    destination = values[_AT["transfer.destination_country"]]
    if destination is not None and values[_AT["transfer.cross_border"]] is None:
        values[_AT["transfer.cross_border"]] = True
        assumptions.append(f"transfer.destination_country={destination} -> transfer.cross_border=true")
    if values[_AT["third_party.is_sale_or_share"]] and values[_AT["third_party.shared"]] is None:
        values[_AT["third_party.shared"]] = True
        assumptions.append("third_party.is_sale_or_share=true -> third_party.shared=true")


def _handling(privacy: event_pb2.PrivacyFacts, values: list[Value], own_right: bool) -> str:
    purpose = values[_AT["purpose"]]
    if (
        values[_AT["subject_type"]] == "incident"
        or purpose in _INCIDENT_PURPOSES
        or privacy.HasField("breach")
    ):
        return "incident"
    if own_right or purpose == "rights_request" or privacy.HasField("rights_request"):
        return "rights"
    return "retention" if purpose in _RETENTION_PURPOSES else "processing"
