"""Features by hand, and what must never be one."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from services.common.event_types import EVENT_TYPES
from services.scoring import features
from services.scoring.extract import EU_BIT, Extractor, network_hash, region_code, traits_of, week_hour
from services.scoring.features import INDEX
from services.scoring.norms import Norms
from services.scoring.profile import KIND_SLOTS, O
from tests.unit.scoring.builders import NOW, SIGNALS
from usher.event.v1 import event_pb2
from usher.scoring.v1 import scoring_pb2

LEGAL = {"consent_lacking", "no_consent_share", "eu_no_consent", "facts_missing", "minor", "advertising"}
NORMS = Norms({}, np.full(KIND_SLOTS, 0.25), np.full(KIND_SLOTS, 2048.0))


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
    extractor = Extractor([0], [], event_pb2.Places())
    extractor.read([event.SerializeToString()], 0, 1)
    return extractor.finish()


def row(
    observed: dict[int, int],
    signals: dict[str, float] | None = None,
    place_flags: int = 0,
    compliance_risk: float = 0.0,
    **fields: object,
) -> np.ndarray:
    _, _, columns, facts, errors = extracted(**fields)
    assert not errors
    seen = np.zeros((1, O.WIDTH), np.int64)
    for position, value in observed.items():
        seen[0, position] = value
    told = np.zeros((1, features.SIGNALS), np.float32)
    for name, value in (signals or {}).items():
        told[0, SIGNALS[name]] = value
    flags = np.array([place_flags])
    return features.compute(seen, columns, facts, told, flags, np.array([compliance_risk]), NORMS)[0]


def test_anomaly_features_hold_no_legal_fact() -> None:
    anomaly = set(features.NAMES[: features.ANOMALY_FEATURES])
    assert not anomaly & LEGAL
    assert set(features.NAMES[features.ANOMALY_FEATURES :]) == LEGAL | {
        "travel_kmh",
        "network_risk",
        "compliance_risk",
    }
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
        ("volume_vs_population", {}, {"data_volume_bytes": 6 << 20}, 3),  # 6 MiB over 2,048 KiB
        ("volume_vs_population", {}, {}, 0),
        ("type_rarity_own", {O.TOTAL: 68, O.KIND_EVENTS: 9}, {}, 10),  # (68 + 32 kinds) / (9 + 1)
        ("type_rarity_overall", {}, {}, 4),  # a share of 0.25
        ("network_share", {O.NETWORK_EVENTS: 3, O.NETWORK_ALL: 12}, {}, 0.25),
        ("network_share", {}, {}, 1),
        ("networks_24h", {O.NETWORKS_24H: 2}, {}, 3),
        ("concurrent_streams", {O.STREAMS: 2}, {"event_type": "play"}, 3),
        ("concurrent_streams", {O.STREAMS: 2}, {"event_type": "pause"}, 2),
        ("titles_today", {O.TITLE_BITS: 32}, {}, 64 * math.log(2)),
        ("instruments_today", {O.INSTRUMENT_BITS: 16}, {}, 32 * math.log(2)),
        ("data_accesses_24h", {O.EXPORTS_24H: 4, O.PAGES_24H: 8}, {}, 12),
        ("no_consent_share", {O.TOTAL: 40, O.LACKING: 7}, {}, 0.35),
        ("no_consent_share", {O.TOTAL: 4, O.LACKING: 1}, {}, 0.25),
        ("eu_no_consent", {O.EU_LACKING: 4}, {}, 4),
        ("local_hour", {}, {}, 12),
        ("weekend", {}, {"time_zone": "UTC"}, 0),  # NOW is a Monday: 2026-09-21
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


@pytest.mark.parametrize(
    ("flags", "expected"),
    [((), 0), (("SHARED",), 1), (("VPN", "HOSTING"), 4), (("TOR", "VPN"), 5), (("SPECIAL",), 0)],
)
def test_the_gravest_flag_of_an_address_is_its_class(flags: tuple[str, ...], expected: int) -> None:
    bits = sum(1 << event_pb2.PlaceFlag.Value(f"PLACE_FLAG_{flag}") for flag in flags)
    assert row({}, place_flags=bits)[INDEX["ip_class"]] == expected


def test_the_registry_is_documented_and_its_defaults_lie_in_its_ranges() -> None:
    for feature in features.REGISTRY:
        assert feature.minimum <= feature.default <= feature.maximum, feature.name
        assert feature.meaning[0].isupper(), feature.name
        assert not feature.meaning.endswith("."), feature.name
        assert feature.unit
        assert feature.source in ("profile", "event", "fraud", "places", "norms", "compliance")
    assert len(set(features.NAMES)) == features.WIDTH
    assert {name for name, _ in features.RISK_FACTORS.values()} <= set(features.NAMES)
    assert len(features.RISK_FACTORS) == 6


def test_a_network_is_a_24_or_a_48() -> None:
    assert network_hash(b"192.0.2.1") == network_hash(b"192.0.2.254") != network_hash(b"192.0.3.1")
    assert network_hash(b"2001:db8::1") == network_hash(b"2001:db8:0:5::9") != network_hash(b"2001:db8:1::1")


def test_regions_and_the_union() -> None:
    assert region_code("us-CA") == ord("U") << 8 | ord("S")
    assert region_code("") == region_code("9") == region_code("1X") == 0
    assert not EU_BIT & region_code("ZZ")


def test_every_known_type_has_a_kind() -> None:
    without = {name for name in EVENT_TYPES if not traits_of(name).kind}
    assert without == set()


def test_local_hours() -> None:
    # 2026-03-29 01:00 UTC: Berlin's clocks go from 2:00 to 3:00 (EU summer time, Directive 2000/84/EC).
    change = 1_774_746_000
    assert week_hour(change - 1, "Europe/Berlin") % 24 == 1
    assert week_hour(change, "Europe/Berlin") % 24 == 3
    assert week_hour(change, "Asia/Kolkata") % 24 == 6  # 06:30
    assert week_hour(change, "Asia/Kolkata") // 24 == 3  # a Sunday, three days after a Thursday
    assert week_hour(change, "Mars/Olympus") == -1
    assert week_hour(change, "../../etc/passwd") == -1


def test_without_a_zone_the_longitude_tells_the_hour() -> None:
    event = event_pb2.Event(event_type="play", device_id="d", ip_address="192.0.2.1")
    event.event_time.seconds = 1_774_746_000  # 01:00 UTC
    places = event_pb2.Places(longitude_e4=[1_350_000], accuracy_km=[20])  # 135 degrees east: 9 hours ahead
    extractor = Extractor([0], [], places)
    extractor.read([event.SerializeToString()], 0, 1)
    assert extractor.finish().columns.hour.tolist() == [10]


def test_the_page_of_features_is_fresh() -> None:
    root = Path(features.__file__).parents[2]
    script = root / "scripts" / "features_doc.py"
    search = f"{root}{os.pathsep}{root / 'proto'}"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], env={**os.environ, "PYTHONPATH": search}, check=False
    )
    assert done.returncode == 0, "run python scripts/features_doc.py"


def test_the_fields_that_scoring_reads_are_those_of_the_event() -> None:
    text = event_pb2.Event.DESCRIPTOR.fields_by_name["device_id"].type
    message = event_pb2.Event.DESCRIPTOR.fields_by_name["privacy"].type
    for field in scoring_pb2.ScoredEvent.DESCRIPTOR.fields:
        whole = event_pb2.Event.DESCRIPTOR.fields_by_name[field.name]
        assert whole.number == field.number
        same = whole.type == field.type and whole.message_type == field.message_type
        assert same or (field.type == field.TYPE_BYTES and whole.type in (text, message))


@pytest.mark.parametrize(
    "event",
    [
        b"\xff\xff",
        event_pb2.Event(user_id="u").SerializeToString() + b"\xc2\x01\x01\xff",  # account of one wrong byte
        event_pb2.Event(user_id="u").SerializeToString() + b"\xca\x01\x01\xff",  # privacy of one wrong byte
        event_pb2.Event(user_id="u").SerializeToString() + b"\x2a\x01\xff",  # a type that is not UTF-8
    ],
)
def test_events_that_are_none_are_refused_by_position(event: bytes) -> None:
    extractor = Extractor([0], [], event_pb2.Places())
    extractor.read([event], 0, 1)
    (error,) = extractor.finish().errors
    assert (error.index, error.reason) == (0, "MALFORMED_EVENT")
