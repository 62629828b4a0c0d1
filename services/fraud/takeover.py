"""Takeover as a sequence of an account's acts: failures, a sign-in, a new device, a change, an export. Pure."""

from __future__ import annotations

import zlib

from services.fraud.acts import CREDENTIAL, EXPORT, FAILED, PAYMENT, SIGNED_IN
from services.fraud.memory import DAY_MS, HOUR_MS, Sighting, unpack_acts

_FAILURES = 3
_SEQUENCE_MS = HOUR_MS
"""Time between the last failure and the sign-in."""
_FRESH_MS = DAY_MS
"""How long a device counts as new."""


def steps(acts: bytes, act: int, sighting: Sighting, device_since_ms: int) -> int:
    """Steps of a takeover up to this act, 0 to 4.

    One each for: three failures within an hour before a sign-in; the sign-in from a device first seen for the account
    within a day; a change of credentials or payment by that device; an export, or another change, after it. What the
    viewer's own old device does counts for nothing.
    """
    now = sighting.time_ms
    device = zlib.crc32(sighting.device.encode())
    if device_since_ms and device_since_ms < now - _FRESH_MS:
        return 0
    known = [one for one in unpack_acts(acts) if one.time_ms > now - _FRESH_MS]
    done = [(one.time_ms, one.kind, one.device_crc) for one in known]
    if act != FAILED:
        done.append((now, act, device))
    sign_in = next((time for time, kind, by in done if kind == SIGNED_IN and by == device), None)
    if sign_in is None:
        return 0
    failures = sum(kind == FAILED and 0 <= sign_in - time <= _SEQUENCE_MS for time, kind, _ in done)
    changes = [
        time for time, kind, by in done if kind in (CREDENTIAL, PAYMENT) and by == device and time >= sign_in
    ]
    exports = [time for time, kind, by in done if kind == EXPORT and by == device and time >= sign_in]
    total = int(failures >= _FAILURES)
    # A new device alone is how everybody begins.
    total += int(bool(known) and (total > 0 or bool(changes) or bool(exports)))
    if changes:
        total += 1
        total += int(len(changes) > 1 or bool(exports))
    elif exports:
        total += 1
    return min(4, total)
