"""Features by hand, and what must never be one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.scoring import features
from services.scoring.extract import Extractor, local_hour
from services.scoring.features import INDEX
from services.scoring.profile import O
from tests.unit.scoring.builders import NOW, SIGNALS
from usher.event.v1 import event_pb2

LEGAL = {"consent_lacking", "facts_missing", "minor"}


def extracted(**fields: object) -> tuple:
    event = event_pb2.Event(
        event_id="e", user_id="u", device_id="d", event_type="play", ip_address="192.0.2.1"
    )
    event.event_time.seconds = NOW
    for name, value in fields.items():
        if name == "privacy":
            event.privacy.CopyFrom(value)
        elif name == "created":
            event.account.created_time.seconds = value
        else:
            setattr(event, name, value)
    extractor = Extractor([0], [], event_pb2.Places(), {})
    extractor.read([event.SerializeToString()], 0, 1)
    return extractor.finish()


def row(observed: dict[int, int], signals: dict[str, float] | None = None, **fields: object) -> np.ndarray:
    _, _, columns, facts, errors = extracted(**fields)
    assert not errors
    seen = np.zeros((1, O.WIDTH), np.int64)
    for position, value in observed.items():
        seen[0, position] = value
    told = np.zeros((1, 12), np.float32)
    for name, value in (signals or {}).items():
        told[0, SIGNALS[name]] = value
    return features.compute(seen, columns, facts, told)[0]


def test_anomaly_features_hold_no_legal_fact() -> None:
    anomaly = set(features.NAMES[: features.ANOMALY_FEATURES])
    assert not anomaly & LEGAL
    assert set(features.NAMES[features.ANOMALY_FEATURES :]) == LEGAL | {"travel_kmh"}
    assert len(INDEX) == features.WIDTH


def test_consent_changes_no_anomaly_feature() -> None:
    told = event_pb2.PrivacyFacts(legal_basis_claimed="consent", purpose="targeted_advertising", user_age=12)
    told.consent.status = "absent"
    with_facts = row({O.TOTAL: 9}, privacy=told)
    without = row({O.TOTAL: 9})
    n = features.ANOMALY_FEATURES
    np.testing.assert_array_equal(with_facts[:n], without[:n])
    assert with_facts[[INDEX[name] for name in ("consent_lacking", "facts_missing", "minor")]].tolist() == [
        1,
        0,
        1,
    ]
    assert without[[INDEX[name] for name in ("consent_lacking", "facts_missing", "minor")]].tolist() == [
        0,
        1,
        0,
    ]


@pytest.mark.parametrize(
    ("name", "observed", "fields", "expected"),
    [
        ("rate_ratio", {O.EVENTS_1H: 19, O.EVENTS_7D: 168}, {}, 10),  # 20 over 1 an hour plus 1
        ("events_per_day", {O.EVENTS_7D: 21}, {}, 3),
        ("hours_since_last", {O.GAP: 5400}, {}, 1.5),
        ("account_age_days", {O.AGE: 86_400}, {}, 1),
        ("account_age_days", {O.AGE: 86_400}, {"created": NOW - 10 * 86_400}, 10),
        ("account_age_days", {O.AGE: -1}, {"created": NOW + 60}, 0),
        ("error_rate_24h", {O.ERRORS_24H: 3, O.EVENTS_24H: 4}, {}, 0.75),
        (
            "volume_ratio",
            {O.VOLUME_ALL: 2048, O.VOLUME_EVENTS: 2},
            {"data_volume_bytes": 3 << 20},
            2,
        ),  # (3+1)/(1+1) MiB
        ("volume_ratio", {O.VOLUME_ALL: 2048, O.VOLUME_EVENTS: 2}, {}, 1),
        ("volume_24h", {O.VOLUME_24H: 1 << 20}, {"data_volume_bytes": 1 << 30}, 2),
        ("addresses_today", {O.ADDRESS_BITS: 64}, {}, 128 * math.log(2)),
        ("addresses_today", {O.ADDRESS_BITS: 128}, {}, 128 * math.log(128)),
        ("hour_share", {O.HOUR_EVENTS: 2, O.HOUR_ALL: 8}, {"time_zone": "UTC"}, 0.25),
        ("hour_share", {O.HOUR_EVENTS: 2, O.HOUR_ALL: 7}, {"time_zone": "UTC"}, 0.125),
        ("sensitive_act", {}, {"event_type": "PASSWORD_CHANGE"}, 1),
        ("failed_sign_in", {}, {"event_type": "LOGIN_FAILED"}, 1),
        ("exports_24h", {O.EXPORTS_24H: 5000}, {}, 1000),  # clipped
    ],
)
def test_features_by_hand(
    name: str, observed: dict[int, int], fields: dict[str, object], expected: float
) -> None:
    assert row(observed, **fields)[INDEX[name]] == pytest.approx(expected, rel=1e-6)


def test_signals_of_fraud_are_taken_as_they_are() -> None:
    told = {"device_accounts": 3, "address_accounts": 4, "address_failed_accounts": 5, "travel_kmh": 1234.5}
    found = row({}, signals=told)
    assert {name: float(found[INDEX[name]]) for name in told} == told


def test_local_hours() -> None:
    # 2026-03-29 01:00 UTC: Berlin's clocks go from 2:00 to 3:00 (EU summer time, Directive 2000/84/EC).
    change = 1_774_746_000
    assert local_hour(change - 1, "Europe/Berlin") == 1
    assert local_hour(change, "Europe/Berlin") == 3
    assert local_hour(change, "Asia/Kolkata") == 6  # 06:30
    assert local_hour(change, "Mars/Olympus") == -1
    assert local_hour(change, "../../etc/passwd") == -1


def test_without_a_zone_the_longitude_tells_the_hour() -> None:
    event = event_pb2.Event(event_type="play", device_id="d", ip_address="192.0.2.1")
    event.event_time.seconds = 1_774_746_000  # 01:00 UTC
    places = event_pb2.Places(longitude_e4=[1_350_000], accuracy_km=[20])  # 135 degrees east: 9 hours ahead
    extractor = Extractor([0], [], places, {})
    extractor.read([event.SerializeToString()], 0, 1)
    assert extractor.finish().columns.hour.tolist() == [10]
