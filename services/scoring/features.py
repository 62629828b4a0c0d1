"""The features: a pure function of profile, event and fraud's signals.

`REGISTRY` is the list, in the order of the model's input and of `Decision.numbers` from position
`NUMBER_INDEX_FIRST_FEATURE`. The first `ANOMALY_FEATURES` feed the anomaly models; the rest, consent and other
legal facts among them, feed the violation model only: the viewer does not pay for the operator's breach, so they
must never enter an anomaly score.

All arithmetic is on integers and elementwise floats, so that an event has the same features in a batch of any size.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.extract import Facts
from services.scoring.profile import Columns, Ints, O
from usher.decision.v1 import decision_pb2

REGISTRY_VERSION = 1
Floats = NDArray[np.float32]


class Feature(NamedTuple):
    """One feature: see usher.scoring.v1.Feature."""

    name: str
    meaning: str
    unit: str
    minimum: float
    maximum: float
    default: float
    source: str


REGISTRY: tuple[Feature, ...] = (
    Feature(
        "events_1h",
        "Events of the viewer in the hour before, in steps of 5 minutes",
        "1",
        0,
        5000,
        0,
        "profile",
    ),
    Feature("events_24h", "Events of the viewer in the 24 hours before", "1", 0, 50000, 0, "profile"),
    Feature("events_per_day", "Mean events a day over the last 7 days", "1/d", 0, 50000, 0, "profile"),
    Feature(
        "rate_ratio",
        "Events in the hour over the usual hourly count, both plus 1",
        "1",
        0,
        5000,
        1,
        "profile",
    ),
    Feature("hours_since_last", "Time since the viewer's last event", "h", 0, 2160, 0, "profile"),
    Feature(
        "account_age_days", "Age of the account as told, else since first seen", "d", 0, 3650, 0, "event"
    ),
    Feature("failures_1h", "Failed sign-ins of the viewer in the hour before", "1", 0, 100, 0, "profile"),
    Feature(
        "error_rate_24h",
        "Share of the viewer's events of 24 hours that report an error",
        "1",
        0,
        1,
        0,
        "profile",
    ),
    Feature(
        "exports_24h",
        "Exports and downloads of the viewer in the 24 hours before",
        "1",
        0,
        1000,
        0,
        "profile",
    ),
    Feature("volume_ratio", "Data moved over the viewer's mean, both plus 1 MiB", "1", 0, 1000, 1, "profile"),
    Feature(
        "volume_24h",
        "Data moved by the viewer in 24 hours, this event included",
        "GiB",
        0,
        10000,
        0,
        "profile",
    ),
    Feature("new_device", "Whether the device is unknown while others are known", "1", 0, 1, 0, "profile"),
    Feature("devices_known", "Devices remembered of the viewer", "1", 0, 16, 0, "profile"),
    Feature("new_country", "Whether the country is unknown while others are known", "1", 0, 1, 0, "profile"),
    Feature("countries_known", "Countries remembered of the viewer", "1", 0, 8, 0, "profile"),
    Feature(
        "addresses_today",
        "Addresses of the viewer since midnight UTC (linear counting)",
        "1",
        0,
        622,
        0,
        "profile",
    ),
    Feature(
        "hour_share",
        "Share of the viewer's events in this three-hour block of the day",
        "1",
        0,
        1,
        0.125,
        "profile",
    ),
    Feature("night", "Whether the viewer's clock shows 0 to 6", "1", 0, 1, 0, "event"),
    Feature(
        "sensitive_act",
        "Whether the event is an export, a payment or a change of credentials",
        "1",
        0,
        1,
        0,
        "event",
    ),
    Feature("failed_sign_in", "Whether the event is a failed sign-in", "1", 0, 1, 0, "event"),
    Feature(
        "takeover_stage",
        "1: success on an unknown device after failures; 2: grave act after it",
        "1",
        0,
        2,
        0,
        "profile",
    ),
    Feature("device_hours", "Time since the viewer's device was first seen", "h", 0, 2160, 0, "profile"),
    Feature("device_accounts", "Other accounts seen on the device within 30 days", "1", 0, 1000, 0, "fraud"),
    Feature("address_accounts", "Accounts seen on the address within 24 hours", "1", 0, 1000, 0, "fraud"),
    Feature(
        "address_failed_accounts",
        "Accounts failing to sign in from the address in an hour",
        "1",
        0,
        1000,
        0,
        "fraud",
    ),
    Feature("travel_kmh", "Speed since the viewer's last sighting", "km/h", 0, 20000, 0, "fraud"),
    Feature("consent_lacking", "Whether consent is relied upon and is not there", "1", 0, 1, 0, "event"),
    Feature("facts_missing", "Whether purpose or legal basis are not told", "1", 0, 1, 1, "event"),
    Feature("minor", "Whether the viewer is told to be under 18", "1", 0, 1, 0, "event"),
)
ANOMALY_FEATURES = 25
WIDTH = len(REGISTRY)
NAMES = tuple(feature.name for feature in REGISTRY)
INDEX = {name: position for position, name in enumerate(NAMES)}
NIGHT_ENDS = 6
"""Night is 0:00 to 5:59 on the viewer's clock."""
LEAST_HISTORY = 8
"""Events needed before the share of an hour says anything."""

# Linear counting with m = 128 bits: n = -m ln(z / m) for z bits unset (Whang, Vander-Zanden, Taylor 1990,
# "A linear-time probabilistic counting algorithm for database applications"). Full counts as one bit unset.
_ADDRESSES = np.array([-128 * math.log(max(128 - bits, 1) / 128) for bits in range(129)])
_LEAST = np.array([feature.minimum for feature in REGISTRY], np.float32)
_GREATEST = np.array([feature.maximum for feature in REGISTRY], np.float32)
_S = decision_pb2.SignalIndex


def compute(observed: Ints, columns: Columns, facts: Facts, signals: Floats) -> Floats:
    """Features of a batch: one row of `WIDTH` numbers an event, clipped to the registry's ranges.

    `observed` are the profile's observations, `signals` fraud's, one row of 12 an event (zeros where fraud is silent).
    """
    o = observed.T
    n = len(observed)
    out = np.empty((WIDTH, n), np.float64)
    time, volume = columns.time, columns.volume
    events_1h, events_24h, events_7d = o[O.EVENTS_1H], o[O.EVENTS_24H], o[O.EVENTS_7D]
    out[0] = events_1h
    out[1] = events_24h
    out[2] = events_7d / 7
    out[3] = (events_1h + 1) / (events_7d / 168 + 1)
    out[4] = np.maximum(o[O.GAP], 0) / 3600
    out[5] = age_seconds(observed, time, facts) / 86400
    out[6] = o[O.FAILURES_1H]
    out[7] = o[O.ERRORS_24H] / np.maximum(events_24h, 1)
    out[8] = o[O.EXPORTS_24H]
    count = o[O.VOLUME_EVENTS]
    mean = o[O.VOLUME_ALL] / np.maximum(count, 1)
    out[9] = np.where((volume >= 0) & (count > 0), (volume + 1024) / (mean + 1024), 1.0)
    out[10] = (o[O.VOLUME_24H] + np.maximum(volume, 0)) / (1 << 20)
    out[11] = o[O.NEW_DEVICE]
    out[12] = o[O.DEVICES]
    out[13] = o[O.NEW_COUNTRY]
    out[14] = o[O.COUNTRIES]
    out[15] = _ADDRESSES[o[O.ADDRESS_BITS]]
    history = o[O.HOUR_ALL]
    out[16] = np.where(history >= LEAST_HISTORY, o[O.HOUR_EVENTS] / np.maximum(history, 1), 0.125)
    out[17] = (columns.hour >= 0) & (columns.hour < NIGHT_ENDS)
    out[18] = (columns.event_class >= 4) & (columns.event_class <= 6)
    out[19] = columns.failed
    out[20] = o[O.TAKEOVER]
    out[21] = np.maximum(o[O.DEVICE_AGE], 0) / 3600
    out[22] = signals[:, _S.SIGNAL_INDEX_DEVICE_ACCOUNTS]
    out[23] = signals[:, _S.SIGNAL_INDEX_ADDRESS_ACCOUNTS]
    out[24] = signals[:, _S.SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS]
    out[25] = signals[:, _S.SIGNAL_INDEX_TRAVEL_KMH]
    out[26] = facts.consent_lacking
    out[27] = facts.facts_missing
    out[28] = facts.minor
    rows = np.ascontiguousarray(out.T, np.float32)
    return np.clip(rows, _LEAST, _GREATEST, out=rows)


def age_seconds(observed: Ints, time: Ints, facts: Facts) -> Ints:
    """Age of the account in seconds: since its opening where told, else since first seen, else 0."""
    told = np.maximum(time - facts.created, 0)
    return np.where(facts.created >= 0, told, np.maximum(observed[:, O.AGE], 0))
