"""From serialised events to columns of numbers: the one place that reads events.

An event that cannot be read becomes an `ItemError` of its own; the others of the batch go on.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address
from types import MappingProxyType
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from google.protobuf.message import DecodeError

from services.common.event_types import canonical, event_class
from services.scoring import profile
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2

LATEST = 4_133_980_799
"""Last second of the year 2100."""
FAILED_SIGN_IN = frozenset({"login_failed", "mfa_failed"})
ADVERTISING = frozenset({"targeted_advertising", "profiling", "personalised_advertising"})
"""Purposes that a minor's data must hardly ever serve."""
LACKING = frozenset({"absent", "withdrawn", "expired"})
ADULT = 18
EU_BIT = 1 << 16
_WEEKEND = (2, 3)
"""Days of the week, counted from Thursday as 1970 began."""
_ON_CONSENT = ("", "consent")
_FOLD_ONLY = 1 << event_pb2.ITEM_FLAG_FOLD_ONLY
_LATE = 1 << event_pb2.ITEM_FLAG_LATE
_OLD = 1 << event_pb2.ITEM_FLAG_OLD
_SUPPRESSED = 1 << event_pb2.ITEM_FLAG_SUPPRESSED


_NUMBERS = 13
"""Numbers that the extractor notes of an event."""
# Bits of the last of them: four legal facts, the traits of the type, the union, a reported error.
_WIDTHS = np.array([1, 1, 1, 1, 3, 1, 5, 2, 1, 1, 1, 1, 1])
_SHIFTS = (np.cumsum(_WIDTHS) - _WIDTHS)[:, None]
_MASKS = (1 << _WIDTHS[:, None]) - 1
_MISSING = 2
_EU_AT, _ERROR_AT = int(_SHIFTS[-2, 0]), int(_SHIFTS[-1, 0])


class Facts(NamedTuple):
    """What features and decisions need of each event beside the profile's columns, one entry an event.

    Attributes:
        created: when the account was opened, Unix seconds, -1 not told.
        chargebacks: of the last 180 days, 0 where not told.
        consent_lacking: 1 where consent is the basis, or the only thing told, and it is not there.
        facts_missing: 1 where purpose or legal basis are not told.
        minor: 1 where the viewer is told to be under 18.
        advertising: 1 where the purpose is targeted advertising or profiling.
        weekend: 1 where the viewer's calendar shows Saturday or Sunday.
        region: the claimed region as (first letter << 8) | second, 0 where not told; `EU_BIT` where the EU is told.
        types: the event's type as sent, for events of class 0; empty otherwise.
    """

    created: profile.Ints
    chargebacks: profile.Ints
    consent_lacking: profile.Ints
    facts_missing: profile.Ints
    minor: profile.Ints
    advertising: profile.Ints
    weekend: profile.Ints
    region: profile.Ints
    types: list[str]


class Extracted(NamedTuple):
    """A batch as columns.

    Attributes:
        positions: of the readable events in the request.
        profile_of: position of the viewer's profile, one a readable event.
        columns: for the profile.
        facts: for features and decisions.
        errors: one for each event that is not readable.
    """

    positions: list[int]
    profile_of: list[int]
    columns: profile.Columns
    facts: Facts
    errors: list[event_pb2.ItemError]


NONE: Mapping[int, str] = MappingProxyType({})


class Extractor:
    """Reads events one by one, so that the caller may pause between pieces of a batch."""

    def __init__(
        self,
        profile_of: Sequence[int],
        item_flags: Sequence[int],
        places: event_pb2.Places,
        broken_profiles: Mapping[int, str] = NONE,
        no_numbers: Mapping[int, str] = NONE,
    ) -> None:
        """Takes the columns of a request, and what is known to be wrong in it already.

        Args:
            broken_profiles: position in the request's profiles -> what is wrong with the profile.
            no_numbers: position of an event -> the figure of it that is NaN or infinite.
        """
        self._profile_of = profile_of
        self._flags = item_flags
        self._country = places.country
        self._longitude = places.longitude_e4
        self._accuracy = places.accuracy_km
        self._broken = broken_profiles
        self._no_numbers = no_numbers
        self._numbers: list[int] = []
        self._types: list[str] = []
        self._errors: list[event_pb2.ItemError] = []

    def read(self, events: Sequence[bytes], start: int, stop: int) -> None:
        """Reads the events from position `start` up to `stop`."""
        parse = scoring_pb2.ScoredEvent.FromString
        longitude, accuracy, broken = self._longitude, self._accuracy, self._broken
        no_numbers = self._no_numbers
        numbers, types, crc = self._numbers, self._types, zlib.crc32
        for i in range(start, stop):
            if broken and (viewer := self._profile_of[i]) in broken:
                self._refuse(i, "MALFORMED_PROFILE", broken[viewer], "profiles")
                continue
            if no_numbers and i in no_numbers:
                self._refuse(
                    i, "NUMBER_INVALID", "send a finite number: NaN and infinities are none", no_numbers[i]
                )
                continue
            try:
                event = parse(events[i])
                created, chargebacks = _account(event.account)
                privacy = event.privacy
                if privacy or event.HasField("privacy"):
                    legal = _privacy(privacy)
                else:
                    legal = _MISSING | (not event.has_consent and event.HasField("has_consent"))
            except DecodeError:
                self._refuse(
                    i, "MALFORMED_EVENT", "these bytes are not a serialised usher.event.v1.Event", "events"
                )
                continue
            time = event.event_time.seconds
            if not 0 < time <= LATEST:
                self._refuse(
                    i, "EVENT_TIME_INVALID", "the event time lies in the years 1970 to 2100", "event_time"
                )
                continue
            traits = traits_of(event.event_type)
            zone = event.time_zone
            if zone:
                hour = week_hour(time, zone)
            elif accuracy and accuracy[i] and longitude:
                # Nautical time: an hour for each 15 degrees, as good as a zone for telling night from day.
                hour = (time // 3600 + round(longitude[i] / 150_000)) % 168
            else:
                hour = -1
            volume, title, instrument = event.data_volume_bytes, event.content_id, event.payment_fingerprint
            address, network = _address(event.ip_address)
            numbers += (
                i,
                time,
                crc(event.device_id) or 1,
                address,
                network,
                hour,
                volume >> 10 if volume or event.HasField("data_volume_bytes") else -1,
                crc(title) if title else 0,
                crc(instrument) if instrument else 0,
                created,
                chargebacks,
                region_code(event.region),
                traits.packed | legal | event.is_eu << _EU_AT | (event.error_code != b"") << _ERROR_AT,
            )
            types.append("" if traits.event_class else traits.name)

    def finish(self) -> Extracted:
        """Returns the columns of what was read."""
        table = np.array(self._numbers, np.int64).reshape(-1, _NUMBERS).T.copy()
        at, time, device, address, network, hour, volume, title, instrument, *facts, packed = table
        created, chargebacks, region = facts
        lacking, missing, minor, advertising, *packed_traits, eu, error = (packed >> _SHIFTS) & _MASKS
        event_class, failed, kind, playing, refused, page, reports = packed_traits
        flags = np.array(self._flags, np.int64)[at] if len(self._flags) else np.zeros(len(at), np.int64)
        handling = np.full(len(at), profile.READ | profile.FOLD)
        handling[(flags & _LATE) != 0] |= profile.LATE
        handling[(flags & (_OLD | _SUPPRESSED)) != 0] = 0
        country = np.array(self._country, np.int64)[at] if len(self._country) else np.zeros(len(at), np.int64)
        columns = profile.Columns(
            time=time,
            event_class=event_class,
            failed=failed,
            error=error | reports,
            device=device,
            address=address,
            country=country,
            hour=np.where(hour >= 0, hour % 24, -1),
            volume=volume,
            network=network,
            title=title,
            instrument=instrument,
            kind=kind,
            playing=playing - 1,
            refused=refused,
            page=page,
            lacking=lacking + 2 * (lacking & eu),
            handling=handling,
        )
        found = Facts(
            created=created,
            chargebacks=chargebacks,
            consent_lacking=lacking,
            facts_missing=missing,
            minor=minor,
            advertising=advertising,
            weekend=(hour // 24 == _WEEKEND[0]) | (hour // 24 == _WEEKEND[1]),
            region=region | eu * EU_BIT,
            types=self._types,
        )
        profile_of = np.array(self._profile_of, np.int64)[at]
        return Extracted(at.tolist(), profile_of.tolist(), columns, found, self._errors)

    def _refuse(self, index: int, reason: str, message: str, field: str) -> None:
        self._errors.append(event_pb2.ItemError(index=index, reason=reason, message=message, field=field))


@lru_cache(maxsize=32_768)
def _account(facts: bytes) -> tuple[int, int]:
    # (opened at, chargebacks) of serialised AccountFacts; empty says that nothing is told.
    account = event_pb2.AccountFacts.FromString(facts)
    created = account.created_time.seconds if account.HasField("created_time") else -1
    return created, account.chargebacks


@lru_cache(maxsize=8192)
def _privacy(facts: bytes) -> int:
    # Bits of serialised PrivacyFacts: lacking, missing, minor, advertising, see `Facts`.
    privacy = event_pb2.PrivacyFacts.FromString(facts)
    basis, purpose = privacy.legal_basis_claimed, privacy.purpose
    lacking = basis in _ON_CONSENT and privacy.consent.status in LACKING
    minor = privacy.HasField("user_age") and privacy.user_age < ADULT
    return lacking | (not (basis and purpose)) << 1 | minor << 2 | (purpose in ADVERTISING) << 3


@lru_cache(maxsize=16_384)
def _address(address: bytes) -> tuple[int, int]:
    # Hashes of an address and of its network.
    return zlib.crc32(address) or 1, network_hash(address)


class Traits(NamedTuple):
    """What an event's type says of it.

    Attributes:
        name: the canonical type.
        event_class: usher.event.v1.EventClass.
        failed: whether it is a failed sign-in.
        kind: position in `profile.KINDS`.
        packed: class, failed sign-in, kind, playing + 1, refused, page and error, as the extractor packs them.
    """

    name: str
    event_class: int
    failed: bool
    kind: int
    packed: int


@lru_cache(maxsize=1024)
def region_code(region: str) -> int:
    """(first letter << 8) | second of a claimed region in capitals; 0 where it does not begin with two letters."""
    code = region[:2].upper()
    return ord(code[0]) << 8 | ord(code[1]) if len(code) == 2 and code.isascii() and code.isalpha() else 0


@lru_cache(maxsize=4096)
def traits_of(event_type: str) -> Traits:
    """Traits of an event type in any spelling."""
    name = canonical(event_type)
    number, failed, kind = event_class(name), name in FAILED_SIGN_IN, _KIND_OF.get(name, 0)
    playing = 1 if name in ("play", "heartbeat") else -1 if name in ("stop", "logout") else 0
    values = (number, failed, kind, playing + 1, name == "payment_failed", name == "access", name == "error")
    packed = sum(int(value) << int(shift) for value, shift in zip(values, _SHIFTS[4:11, 0], strict=True))
    return Traits(name, number, failed, kind, packed)


_KINDS_OF_SEVERAL = {
    "token_refresh": ("token_refresh_failed",),
    "export": ("bulk_download", "data_export"),
    "purchase": ("payment_success",),
    "payment_method": ("payment_method_add", "payment_method_change", "payment_method_remove"),
    "password": ("password_change", "password_reset"),
    "contact": ("email_change", "phone_change"),
    "device": ("device_add", "device_remove"),
    "mfa": ("mfa_enroll", "mfa_disable", "mfa_challenge"),
    "consent": ("consent_grant", "consent_change", "consent_withdraw"),
    "rights": (
        *("access_request", "portability_request", "rectification_request", "erasure_request", "objection"),
        "opt_out",
    ),
    "subscription": ("subscription_change",),
    "takeover_report": ("account_takeover_attempt",),
}
_KIND_OF = {name: number for number, name in enumerate(profile.KINDS) if number} | {
    name: profile.KINDS.index(kind) for kind, names in _KINDS_OF_SEVERAL.items() for name in names
}


def network_hash(address: bytes) -> int:
    """Hash of the network that an address, as text, belongs to: its /24, of IPv6 its /48; 1 to 2**32 - 1."""
    network = _network_of_ipv6(address) if b":" in address else address.rpartition(b".")[0]
    return zlib.crc32(network) or 1


@lru_cache(maxsize=16_384)
def _network_of_ipv6(address: bytes) -> bytes:
    try:
        return IPv6Address(address.decode()).exploded[:14].encode()
    except ValueError:
        return address


@lru_cache(maxsize=8192)
def _offset(zone: str, quarter: int) -> int | None:
    # Offsets change at multiples of 15 minutes of UTC, so one answer holds for the whole quarter of an hour.
    try:
        offset = datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    except (KeyError, ValueError, OSError):
        return None
    return None if offset is None else math.floor(offset.total_seconds())


def week_hour(time: int, zone: str) -> int:
    """Hour of the week at Unix second `time` in the IANA zone; -1 where the zone is not known.

    0 to 167, from Thursday 0:00 on, as 1970 began: `hour % 24` is the hour of the day.

    Source: the tz database of the machine (https://www.iana.org/time-zones).
    """
    offset = _offset(zone, time // 900)
    return -1 if offset is None else (time + offset) // 3600 % 168
