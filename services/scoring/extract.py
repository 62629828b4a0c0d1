"""From serialised events to columns of numbers: the one place that reads events.

An event that cannot be read becomes an `ItemError` of its own; the others of the batch go on.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
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
LACKING = frozenset({"absent", "withdrawn", "expired"})
ADULT = 18
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
        types: the event's type as sent, for events of class 0; empty otherwise.
    """

    created: profile.Ints
    chargebacks: profile.Ints
    consent_lacking: profile.Ints
    facts_missing: profile.Ints
    minor: profile.Ints
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
        rows, types = self._rows, self._types
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
            name = canonical(event.event_type)
            kind = event_class(name)
            flags = flags_of[i] if flags_of else 0
            if flags & (_OLD | _SUPPRESSED):
                handling = 0
            elif flags & _LATE:
                handling = profile.READ | profile.FOLD | profile.LATE
            else:
                handling = profile.READ | profile.FOLD
            zone = event.time_zone
            if zone:
                hour = local_hour(time, zone)
            elif self._accuracy and self._accuracy[i] and self._longitude:
                # Nautical time: an hour for each 15 degrees, as good as a zone for telling night from day.
                hour = (time + round(self._longitude[i] / 150_000) * 3600) // 3600 % 24
            else:
                hour = -1
            created, chargebacks = -1, 0
            if event.HasField("account"):
                account = event.account
                chargebacks = account.chargebacks
                if account.HasField("created_time"):
                    created = account.created_time.seconds
            lacking, missing, minor = 0, 1, 0
            if event.HasField("privacy"):
                facts = event.privacy
                basis = facts.legal_basis_claimed
                lacking = int(basis in ("", "consent") and facts.consent.status in LACKING)
                missing = int(not (basis and facts.purpose))
                minor = int(facts.HasField("user_age") and facts.user_age < ADULT)
            elif event.HasField("has_consent"):
                lacking = int(not event.has_consent)
            rows.append(
                (
                    time,
                    kind,
                    name in FAILED_SIGN_IN,
                    name == "error" or event.error_code != "",
                    zlib.crc32(event.device_id.encode()) or 1,
                    zlib.crc32(event.ip_address.encode()) or 1,
                    country_of[i] if country_of else 0,
                    hour,
                    event.data_volume_bytes >> 10 if event.HasField("data_volume_bytes") else -1,
                    handling,
                    created,
                    chargebacks,
                    lacking,
                    missing,
                    minor,
                    i,
                    viewer,
                )
            )
            types.append("" if kind else name)

    def finish(self) -> Extracted:
        """Returns the columns of what was read."""
        table = np.array(self._rows, np.int64).reshape(-1, 17).T.copy()
        return Extracted(
            table[15].tolist(),
            table[16].tolist(),
            profile.Columns(*table[:10]),
            Facts(table[10], table[11], table[12], table[13], table[14], self._types),
            self._errors,
        )

    def _refuse(self, index: int, reason: str, message: str, field: str) -> None:
        self._errors.append(event_pb2.ItemError(index=index, reason=reason, message=message, field=field))


@lru_cache(maxsize=8192)
def _offset(zone: str, quarter: int) -> int | None:
    # Offsets change at multiples of 15 minutes of UTC, so one answer holds for the whole quarter of an hour.
    try:
        offset = datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(zone)).utcoffset()
    except (KeyError, ValueError, OSError):
        return None
    return None if offset is None else math.floor(offset.total_seconds())


def local_hour(time: int, zone: str) -> int:
    """Hour of day 0 to 23 at Unix second `time` in the IANA zone; -1 where the zone is not known.

    Source: the tz database of the machine (https://www.iana.org/time-zones).
    """
    offset = _offset(zone, time // 900)
    return -1 if offset is None else (time + offset) // 3600 % 24
