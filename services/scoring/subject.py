"""What scoring can tell of one viewer: nothing of its own, but it alone can read the profile that ingest keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from services.common.subject_data import NothingKept, Rows, Subject
from services.scoring import profile as layout


class ScoringSubjects(NothingKept):
    """The `SubjectStore` of scoring: profiles travel with requests, so there is nothing to erase."""

    async def export(self, subject: Subject, profile: bytes) -> AsyncIterator[Rows | bytes]:
        """The profile in words. Nothing where ingest keeps none, or keeps one that this version cannot read."""
        if profile and not layout.check(profile):
            yield "profile", [describe(profile)]


def describe(profile: bytes) -> dict[str, Any]:
    """The counters of a valid profile by name; times are Unix seconds, null: never; devices are only hashes there."""
    words = memoryview(profile).cast("I")
    classes = ("unknown", "playback", "logout", "login", "export", "payment", "credential", "rights")
    countries = [
        bytes((word >> 8 & 0xFF, word & 0xFF)).decode("ascii", "replace")
        for word in words[layout.COUNTRIES : layout.COUNTRIES + layout.COUNTRY_SLOTS]
        if word
    ]
    devices = [
        {"hash": f"{word:08x}", "first_seen": words[layout.DEVICE_SINCE + slot] or None}
        for slot, word in enumerate(words[layout.DEVICES : layout.DEVICES + layout.DEVICE_SLOTS])
        if word
    ]
    incidents = words[layout.INCIDENTS : layout.INCIDENTS + layout.INCIDENT_SLOTS]
    return {
        "events": words[layout.TOTAL],
        "first_event": words[layout.FIRST] or None,
        "last_event": words[layout.LAST] or None,
        "events_by_class": {name: words[layout.CLASSES + at] for at, name in enumerate(classes)},
        "events_by_three_hours_of_the_day": list(words[layout.HOURS : layout.HOURS + 8]),
        "events_by_day": _buckets(words, layout.D1_TAG, layout.D1_EVENTS, layout.D1_SLOTS, 86_400),
        "kibibytes_moved": words[layout.VOLUME],
        "devices": devices,
        "countries": countries,
        "hours_with_an_incident": sorted(hour * 3_600 for hour in incidents if hour),
        "suspect_sign_in": words[layout.TAKEOVER_AT] or None,
    }


def _buckets(words: Any, tags: int, counts: int, slots: int, seconds: int) -> dict[str, int]:
    found = {
        words[tags + slot] * seconds: words[counts + slot] for slot in range(slots) if words[tags + slot]
    }
    return {str(time): found[time] for time in sorted(found)}
