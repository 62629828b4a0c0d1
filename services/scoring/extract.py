"""From serialised events to columns of numbers: the one place that reads events.

An event that cannot be read becomes an `ItemError` of its own; the others of the batch go on.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv6Address
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from google.protobuf.message import DecodeError

from services.common.event_types import canonical, event_class
from services.scoring import profile
from usher.event.v1 import event_pb2

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


class Extractor:
    """Reads events one by one, so that the caller may pause between pieces of a batch."""

    def __init__(
        self,
        profile_of: Sequence[int],
        item_flags: Sequence[int],
        places: event_pb2.Places,
        broken_profiles: dict[int, str],
    ) -> None:
        self._profile_of = profile_of
        self._flags = item_flags
        self._country = places.country
        self._longitude = places.longitude_e4
        self._accuracy = places.accuracy_km
        self._broken = broken_profiles
        self._rows: list[tuple[int, ...]] = []
        self._types: list[str] = []
        self._errors: list[event_pb2.ItemError] = []

    def read(self, events: Sequence[bytes], start: int, stop: int) -> None:
        """Reads the events from position `start` up to `stop`."""
        parse = event_pb2.Event.FromString
        flags_of, country_of, broken = self._flags, self._country, self._broken
        rows, types, crc = self._rows, self._types, zlib.crc32
        for i in range(start, stop):
            viewer = self._profile_of[i]
            if viewer in broken:
                self._refuse(i, "MALFORMED_PROFILE", broken[viewer], "profiles")
                continue
            try:
                event = parse(events[i])
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
            flags = flags_of[i] if flags_of else 0
            if flags & (_OLD | _SUPPRESSED):
                handling = 0
            elif flags & _LATE:
                handling = profile.READ | profile.FOLD | profile.LATE
            else:
                handling = profile.READ | profile.FOLD
            zone = event.time_zone
            if zone:
                hour = week_hour(time, zone)
            elif self._accuracy and self._accuracy[i] and self._longitude:
                # Nautical time: an hour for each 15 degrees, as good as a zone for telling night from day.
                hour = (time // 3600 + round(self._longitude[i] / 150_000)) % 168
            else:
                hour = -1
            created, chargebacks = -1, 0
            if event.HasField("account"):
                account = event.account
                chargebacks = account.chargebacks
                if account.HasField("created_time"):
                    created = account.created_time.seconds
            lacking, missing, minor, advertising = 0, 1, 0, 0
            if event.HasField("privacy"):
                facts = event.privacy
                basis, purpose = facts.legal_basis_claimed, facts.purpose
                if basis in _ON_CONSENT:
                    lacking = int(facts.consent.status in LACKING)
                missing = int(not (basis and purpose))
                minor = int(facts.HasField("user_age") and facts.user_age < ADULT)
                advertising = int(purpose in ADVERTISING)
            elif event.HasField("has_consent"):
                lacking = int(not event.has_consent)
            address, title, instrument = event.ip_address, event.content_id, event.payment_fingerprint
            failed, kind, playing, refused, page = traits.numbers
            rows.append(
                (
                    time,
                    traits.event_class,
                    failed,
                    traits.error or event.error_code != "",
                    crc(event.device_id.encode()) or 1,
                    crc(address.encode()) or 1,
                    country_of[i] if country_of else 0,
                    hour % 24 if hour >= 0 else -1,
                    event.data_volume_bytes >> 10 if event.HasField("data_volume_bytes") else -1,
                    network_hash(address),
                    crc(title.encode()) if title else 0,
                    crc(instrument.encode()) if instrument else 0,
                    kind,
                    playing,
                    refused,
                    page,
                    lacking + 2 * (lacking and event.is_eu),
                    handling,
                    created,
                    chargebacks,
                    lacking,
                    missing,
                    minor,
                    advertising,
                    hour // 24 in _WEEKEND,
                    region_code(event.region) | (EU_BIT if event.is_eu else 0),
                    i,
                    viewer,
                )
            )
            types.append("" if traits.event_class else traits.name)

    def finish(self) -> Extracted:
        """Returns the columns of what was read."""
        width = len(profile.Columns._fields)
        table = np.array(self._rows, np.int64).reshape(-1, width + 10).T.copy()
        return Extracted(
            table[-2].tolist(),
            table[-1].tolist(),
            profile.Columns(*table[:width]),
            Facts._make([*table[width:-2], self._types]),
            self._errors,
        )

    def _refuse(self, index: int, reason: str, message: str, field: str) -> None:
        self._errors.append(event_pb2.ItemError(index=index, reason=reason, message=message, field=field))


class Traits(NamedTuple):
    """What an event's type says of it.

    Attributes:
        name: the canonical type.
        event_class: usher.event.v1.EventClass.
        error: whether it reports an error.
        numbers: (failed sign-in, kind, playing, refused, page), see profile.Columns.
    """

    name: str
    event_class: int
    error: bool
    numbers: tuple[int, int, int, int, int]


@lru_cache(maxsize=1024)
def region_code(region: str) -> int:
    """(first letter << 8) | second of a claimed region in capitals; 0 where it does not begin with two letters."""
    code = region[:2].upper()
    return ord(code[0]) << 8 | ord(code[1]) if len(code) == 2 and code.isascii() and code.isalpha() else 0


@lru_cache(maxsize=4096)
def traits_of(event_type: str) -> Traits:
    """Traits of an event type in any spelling."""
    name = canonical(event_type)
    return Traits(
        name,
        event_class(name),
        name == "error",
        (
            int(name in FAILED_SIGN_IN),
            _KIND_OF.get(name, 0),
            1 if name in ("play", "heartbeat") else -1 if name in ("stop", "logout") else 0,
            int(name == "payment_failed"),
            int(name == "access"),
        ),
    )


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


def network_hash(address: str) -> int:
    """Hash of the network that an address belongs to: its /24, of an IPv6 address its /48; 1 to 2**32 - 1."""
    network = _network_of_ipv6(address) if ":" in address else address.rpartition(".")[0]
    return zlib.crc32(network.encode()) or 1


@lru_cache(maxsize=16_384)
def _network_of_ipv6(address: str) -> str:
    try:
        return IPv6Address(address).exploded[:14]
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
