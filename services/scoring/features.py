"""The features: a pure function of profile, event, fraud's signals, the address, compliance's risk and the norms.

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
from services.scoring.norms import Norms
from services.scoring.profile import KIND_SLOTS, LAST_EVENTS, Columns, Ints, O
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

REGISTRY_VERSION = 2
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
        "events_1m",
        "Events of the viewer in the minute before, in steps of 15 seconds",
        "1",
        0,
        1000,
        0,
        "profile",
    ),
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
        "failures_24h",
        "Failed sign-ins of the viewer in the 24 hours before, in steps of 4 hours",
        "1",
        0,
        1000,
        0,
        "profile",
    ),
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
    Feature(
        "pages_24h",
        "Pages of catalogue and account read in the 24 hours before, in steps of 4 hours",
        "1",
        0,
        10000,
        0,
        "profile",
    ),
    Feature(
        "data_accesses_24h",
        "Exports, downloads and pages of the viewer in the 24 hours before",
        "1",
        0,
        10000,
        0,
        "profile",
    ),
    Feature("volume_ratio", "Data moved over the viewer's mean, both plus 1 MiB", "1", 0, 1000, 1, "profile"),
    Feature(
        "volume_vs_population",
        "Data moved over what 99 of 100 events of its kind stay under",
        "1",
        0,
        1000,
        0,
        "norms",
    ),
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
    Feature(
        "devices_24h", "Devices of the viewer seen in 24 hours, this one included", "1", 1, 17, 1, "profile"
    ),
    Feature("device_hours", "Time since the viewer's device was first seen", "h", 0, 2160, 0, "profile"),
    Feature("new_country", "Whether the country is unknown while others are known", "1", 0, 1, 0, "profile"),
    Feature("countries_known", "Countries remembered of the viewer", "1", 0, 8, 0, "profile"),
    Feature(
        "new_network",
        "Whether the network (/24, of IPv6 /48) is unknown while others are known",
        "1",
        0,
        1,
        0,
        "profile",
    ),
    Feature(
        "network_share",
        "Share of the viewer's remembered events that came from this network",
        "1",
        0,
        1,
        1,
        "profile",
    ),
    Feature(
        "networks_24h", "Networks of the viewer seen in 24 hours, this one included", "1", 1, 9, 1, "profile"
    ),
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
        "titles_today", "Titles of the viewer since midnight UTC (linear counting)", "1", 0, 267, 0, "profile"
    ),
    Feature(
        "concurrent_streams",
        "Devices that play at the same time, this one included",
        "1",
        0,
        17,
        0,
        "profile",
    ),
    Feature(
        "payments_24h",
        "Payments and changes of payment methods in the 24 hours before, in steps of 4 hours",
        "1",
        0,
        1000,
        0,
        "profile",
    ),
    Feature(
        "payment_failures_24h",
        "Failed payments in the 24 hours before, in steps of 4 hours",
        "1",
        0,
        1000,
        0,
        "profile",
    ),
    Feature(
        "instruments_today",
        "Payment instruments of the viewer since midnight UTC (linear counting)",
        "1",
        0,
        111,
        0,
        "profile",
    ),
    Feature(
        "credential_changes_24h",
        "Changes of what makes the account one's own in the 24 hours before",
        "1",
        0,
        1000,
        0,
        "profile",
    ),
    Feature(
        "type_rarity_own",
        "Minus the logarithm of the viewer's share of events of this kind",
        "nat",
        0,
        25,
        0,
        "profile",
    ),
    Feature(
        "type_rarity_overall",
        "Minus the logarithm of all viewers' share of events of this kind",
        "nat",
        0,
        25,
        0,
        "norms",
    ),
    Feature("local_hour", "Hour of the day on the viewer's clock", "h", 0, 23, 12, "event"),
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
    Feature("weekend", "Whether the viewer's calendar shows Saturday or Sunday", "1", 0, 1, 0, "event"),
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
        "Stage of a takeover: 1 success on an unknown device after failures, 2 grave act after it",
        "1",
        0,
        2,
        0,
        "profile",
    ),
    Feature(
        "ip_class",
        "Kind of address: 0 ordinary, 1 shared by many, 2 relay, 3 VPN, 4 hosting, 5 Tor exit",
        "1",
        0,
        5,
        0,
        "places",
    ),
    Feature("chargebacks", "Chargebacks of the account within 180 days, as told", "1", 0, 100, 0, "event"),
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
    Feature(
        "payment_accounts",
        "Other accounts seen on the payment instrument within 30 days",
        "1",
        0,
        1000,
        0,
        "fraud",
    ),
    Feature("travel_kmh", "Speed since the viewer's last sighting", "km/h", 0, 20000, 0, "fraud"),
    Feature("network_risk", "Risk of the account's ties", "1", 0, 1, 0, "fraud"),
    Feature("consent_lacking", "Whether consent is relied upon and is not there", "1", 0, 1, 0, "event"),
    Feature(
        "no_consent_share",
        "Share of the viewer's last 20 events for which consent was lacking",
        "1",
        0,
        1,
        0,
        "profile",
    ),
    Feature(
        "eu_no_consent",
        "Of the viewer's last 32 events, those without consent under the law of the EU",
        "1",
        0,
        32,
        0,
        "profile",
    ),
    Feature("facts_missing", "Whether purpose or legal basis are not told", "1", 0, 1, 1, "event"),
    Feature("minor", "Whether the viewer is told to be under 18", "1", 0, 1, 0, "event"),
    Feature("advertising", "Whether the purpose is targeted advertising or profiling", "1", 0, 1, 0, "event"),
    Feature("compliance_risk", "Risk that compliance found", "1", 0, 3, 0, "compliance"),
)
ANOMALY_FEATURES = 47
WIDTH = len(REGISTRY)
NAMES = tuple(feature.name for feature in REGISTRY)
INDEX = {name: position for position, name in enumerate(NAMES)}
NIGHT_ENDS = 6
"""Night is 0:00 to 5:59 on the viewer's clock."""
LEAST_HISTORY = 8
"""Events needed before the share of an hour says anything."""


def _linear_counting(m: int) -> NDArray[np.float64]:
    # Of m bits: n = -m ln(z / m) for z bits unset (Whang, Vander-Zanden, Taylor 1990, "A linear-time probabilistic
    # counting algorithm for database applications"). Full counts as one bit unset.
    return np.array([-m * math.log(max(m - bits, 1) / m) for bits in range(m + 1)])


_ADDRESSES, _TITLES, _INSTRUMENTS = _linear_counting(128), _linear_counting(64), _linear_counting(32)
_CLASS_OF_FLAG = {
    event_pb2.PLACE_FLAG_SHARED: 1,
    event_pb2.PLACE_FLAG_RELAY: 2,
    event_pb2.PLACE_FLAG_VPN: 3,
    event_pb2.PLACE_FLAG_HOSTING: 4,
    event_pb2.PLACE_FLAG_TOR: 5,
}
_PLACE_BITS = (1 << max(_CLASS_OF_FLAG) + 1) - 1
_IP_CLASS = np.array(
    [
        max([number for flag, number in _CLASS_OF_FLAG.items() if flags >> flag & 1], default=0)
        for flags in range(_PLACE_BITS + 1)
    ]
)
"""The gravest class among the flags of an address."""
_LEAST = np.array([feature.minimum for feature in REGISTRY], np.float32)
_GREATEST = np.array([feature.maximum for feature in REGISTRY], np.float32)
_S = decision_pb2.SignalIndex
SIGNALS = max(decision_pb2.SignalIndex.values()) + 1
"""Fraud's signals that this version knows."""
RISK_FACTORS: dict[str, tuple[str, float]] = {
    "frequent_no_consent": ("no_consent_share", 0.3),
    "gdpr_violation_pattern": ("eu_no_consent", 3),
    "high_data_access_frequency": ("data_accesses_24h", 10),
    "repeated_auth_failures": ("failures_24h", 5),
    "suspicious_geo_variance": ("networks_24h", 3),
    "elevated_error_rate": ("error_rate_24h", 0.4),
}
"""The six risk factors of a violation by name: the feature that measures each, and what it exceeds where it holds."""


def compute(
    observed: Ints,
    columns: Columns,
    facts: Facts,
    signals: Floats,
    place_flags: Ints,
    compliance_risk: NDArray[np.floating],
    norms: Norms,
) -> Floats:
    """Features of a batch: one row of `WIDTH` numbers an event, clipped to the registry's ranges.

    `observed` are the profile's observations, `signals` fraud's, one row of `SIGNALS` an event (zeros where fraud is
    silent), `place_flags` bits of usher.event.v1.PlaceFlag. The features come in the order of the registry.
    """
    o = observed.T
    time, volume = columns.time, columns.volume
    events_1h, events_24h, events_7d = o[O.EVENTS_1H], o[O.EVENTS_24H], o[O.EVENTS_7D]
    count, history, known = o[O.VOLUME_EVENTS], o[O.HOUR_ALL], o[O.NETWORK_ALL]
    mean = o[O.VOLUME_ALL] / np.maximum(count, 1)
    usual = norms.kind_volume[columns.kind]
    out = np.empty((WIDTH, len(observed)), np.float64)
    for position, values in enumerate(
        (
            o[O.EVENTS_1M],  # events_1m
            events_1h,  # events_1h
            events_24h,  # events_24h
            events_7d / 7,  # events_per_day
            (events_1h + 1) / (events_7d / 168 + 1),  # rate_ratio
            np.maximum(o[O.GAP], 0) / 3600,  # hours_since_last
            age_seconds(observed, time, facts) / 86400,  # account_age_days
            o[O.FAILURES_1H],  # failures_1h
            o[O.FAILURES_24H],  # failures_24h
            o[O.ERRORS_24H] / np.maximum(events_24h, 1),  # error_rate_24h
            o[O.EXPORTS_24H],  # exports_24h
            o[O.PAGES_24H],  # pages_24h
            o[O.EXPORTS_24H] + o[O.PAGES_24H],  # data_accesses_24h
            np.where((volume >= 0) & (count > 0), (volume + 1024) / (mean + 1024), 1.0),  # volume_ratio
            np.where(usual > 0, np.maximum(volume, 0) / np.maximum(usual, 1.0), 0.0),  # volume_vs_population
            (o[O.VOLUME_24H] + np.maximum(volume, 0)) / (1 << 20),  # volume_24h
            o[O.NEW_DEVICE],  # new_device
            o[O.DEVICES],  # devices_known
            o[O.DEVICES_24H] + 1,  # devices_24h
            np.maximum(o[O.DEVICE_AGE], 0) / 3600,  # device_hours
            o[O.NEW_COUNTRY],  # new_country
            o[O.COUNTRIES],  # countries_known
            o[O.NEW_NETWORK],  # new_network
            np.where(known > 0, o[O.NETWORK_EVENTS] / np.maximum(known, 1), 1.0),  # network_share
            o[O.NETWORKS_24H] + 1,  # networks_24h
            _ADDRESSES[o[O.ADDRESS_BITS]],  # addresses_today
            _TITLES[o[O.TITLE_BITS]],  # titles_today
            o[O.STREAMS] + (columns.playing > 0),  # concurrent_streams
            o[O.PAYMENTS_24H],  # payments_24h
            o[O.REFUSED_24H],  # payment_failures_24h
            _INSTRUMENTS[o[O.INSTRUMENT_BITS]],  # instruments_today
            o[O.CREDENTIALS_24H],  # credential_changes_24h
            (o[O.TOTAL] + KIND_SLOTS) / (o[O.KIND_EVENTS] + 1),  # type_rarity_own
            (1.0 / norms.kind_share)[columns.kind],  # type_rarity_overall
            np.where(columns.hour >= 0, columns.hour, 12),  # local_hour
            np.where(
                history >= LEAST_HISTORY, o[O.HOUR_EVENTS] / np.maximum(history, 1), 0.125
            ),  # hour_share
            (columns.hour >= 0) & (columns.hour < NIGHT_ENDS),  # night
            facts.weekend,  # weekend
            (columns.event_class >= 4) & (columns.event_class <= 6),  # sensitive_act
            columns.failed,  # failed_sign_in
            o[O.TAKEOVER],  # takeover_stage
            _IP_CLASS[place_flags & _PLACE_BITS],  # ip_class
            facts.chargebacks,  # chargebacks
            signals[:, _S.SIGNAL_INDEX_DEVICE_ACCOUNTS],  # device_accounts
            signals[:, _S.SIGNAL_INDEX_ADDRESS_ACCOUNTS],  # address_accounts
            signals[:, _S.SIGNAL_INDEX_ADDRESS_FAILED_ACCOUNTS],  # address_failed_accounts
            signals[:, _S.SIGNAL_INDEX_PAYMENT_ACCOUNTS],  # payment_accounts
            signals[:, _S.SIGNAL_INDEX_TRAVEL_KMH],  # travel_kmh
            signals[:, _S.SIGNAL_INDEX_NETWORK_RISK],  # network_risk
            facts.consent_lacking,  # consent_lacking
            o[O.LACKING] / np.clip(o[O.TOTAL], 1, LAST_EVENTS),  # no_consent_share
            o[O.EU_LACKING],  # eu_no_consent
            facts.facts_missing,  # facts_missing
            facts.minor,  # minor
            facts.advertising,  # advertising
            compliance_risk,  # compliance_risk
        )
    ):
        out[position] = values
    rows = np.ascontiguousarray(out.T, np.float32)
    return np.clip(rows, _LEAST, _GREATEST, out=rows)


def age_seconds(observed: Ints, time: Ints, facts: Facts) -> Ints:
    """Age of the account in seconds: since its opening where told, else since first seen, else 0."""
    told = np.maximum(time - facts.created, 0)
    return np.where(facts.created >= 0, told, np.maximum(observed[:, O.AGE], 0))
