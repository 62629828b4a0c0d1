"""Signals and evidence: distances by hand, exemptions, and what protobuf makes of the packed answer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.common.address_ranges import HOSTING, RELAY, SHARED, TOR, VPN
from services.fraud.engine import Engine
from services.fraud.memory import (
    MINUTE_MS,
    NOTHING_KNOWN,
    Observation,
    Place,
    Sighting,
    pack_place,
    unpack_place,
)
from services.fraud.parameters import TravelParameters, parse
from services.fraud.request import Item, read_columns, read_items
from services.fraud.signals import (
    ALONE,
    SIGNAL_WIDTH,
    RingOfAccount,
    Standing,
    compile_assessor,
    great_circle_km,
    region_matches,
    travel,
)
from tests.unit.fraud.defaults import DEFAULTS
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

PARAMETERS = parse(DEFAULTS)
ENGINE = Engine(PARAMETERS, compile_assessor(PARAMETERS))
TRAVEL = TravelParameters(impossible_kmh=900, floor_km=50, floor_minutes=10)
T0 = 1_795_348_800_000

BERLIN = (52.52, 13.405)
PARIS = (48.8566, 2.3522)
POTSDAM = (52.3906, 13.0645)
NEW_YORK = (40.7128, -74.006)


def country(name: str) -> int:
    return (ord(name[0]) << 8) | ord(name[1])


def packed(where: tuple[float, float], minutes: float = 0, **changes: Any) -> bytes:
    values: dict[str, Any] = {"accuracy_km": 1, "country": country("DE"), "asn": 0, **changes}
    time_ms = T0 + round(minutes * MINUTE_MS)
    return pack_place(time_ms, "e", round(where[0] * 1e4), round(where[1] * 1e4), **values)


def at(where: tuple[float, float], minutes: float = 0, **changes: Any) -> Place:
    return unpack_place(packed(where, minutes, **changes))


def item(
    place: bytes = b"", region: str = "DE", address_country: int = 0, flags: int = 0, act: int = 0
) -> Item:
    sighting = Sighting("e", "ann", "tv", "", "192.0.2.1", "", T0, place)
    return Item(sighting, region, address_country, flags, 0, act, 0)


def assess(
    seen: Observation = NOTHING_KNOWN,
    place: bytes = b"",
    region: str = "DE",
    address_country: str = "DE",
    flags: int = 0,
    ring: RingOfAccount | None = None,
) -> tuple[tuple[float, ...], decision_pb2.Assessment]:
    row, content = ENGINE.assess(
        seen, item(place, region, country(address_country), flags), Standing(ring, 0)
    )
    return row, decision_pb2.Assessment.FromString(content)


def codes(assessment: decision_pb2.Assessment) -> list[str]:
    return [
        decision_pb2.ReasonCode.Name(reason.code).removeprefix("REASON_CODE_")
        for reason in assessment.evidence
    ]


def test_distances() -> None:
    # A quarter of a meridian is half pi times the radius; the cities' distances are commonly given as 878 and 6,385.
    assert great_circle_km(0, 0, 90, 0) == pytest.approx(math.pi / 2 * 6371.0088)
    assert great_circle_km(0, 179, 0, -179) == pytest.approx(math.radians(2) * 6371.0088)
    assert great_circle_km(*BERLIN, *PARIS) == pytest.approx(878, rel=0.003)
    assert great_circle_km(*BERLIN, *NEW_YORK) == pytest.approx(6385, rel=0.003)


def test_a_place_survives_packing() -> None:
    where = at((-33.8688, 151.2093), 3, accuracy_km=70_000, asn=4_294_967_295)
    assert (where.time_ms, where.latitude_e4, where.longitude_e4) == (T0 + 180_000, -338688, 1512093)
    assert (where.accuracy_km, where.asn) == (65_535, 4_294_967_295)


def test_speed_is_distance_less_accuracy_over_time() -> None:
    moved = travel(at(BERLIN, accuracy_km=20), at(PARIS, 60, accuracy_km=50), TRAVEL)
    assert moved.km == pytest.approx(878 - 70, rel=0.004)
    assert moved.kmh == pytest.approx(moved.km)
    assert moved.minutes == 60


def test_order_of_sightings_does_not_matter() -> None:
    assert travel(at(BERLIN), at(PARIS, 60), TRAVEL) == travel(at(PARIS, 60), at(BERLIN), TRAVEL)


def test_short_times_count_as_the_floor() -> None:
    moved = travel(at(BERLIN), at(PARIS, 0.1), TRAVEL)
    assert moved.kmh == pytest.approx(moved.km * 6)
    assert moved.minutes == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (at(BERLIN), at(POTSDAM, 0.1)),  # 27 km: below the floor
        (at(BERLIN, accuracy_km=500), at(PARIS, 1, accuracy_km=500)),  # the circles meet
        (at(BERLIN, asn=3320), at((48.1, 11.6), 1, asn=3320)),  # the carrier's other exit
    ],
)
def test_no_travel(a: Place, b: Place) -> None:
    assert travel(a, b, TRAVEL).kmh == 0


def test_within_a_country_a_known_device_changes_networks_and_does_not_travel() -> None:
    munich = at((48.14, 11.58), 1, asn=3209)
    assert travel(at(BERLIN, asn=3320), munich, TRAVEL).kmh > 900
    assert travel(at(BERLIN, asn=3320), munich, TRAVEL, known_device=True).kmh == 0
    assert travel(at(BERLIN), at(PARIS, 1, country=country("FR")), TRAVEL, known_device=True).kmh > 900


def test_a_satellite_s_ground_station_is_nobodys_place() -> None:
    def place_of(asn: int) -> bytes:
        event = event_pb2.Event(event_id="e", user_id="u", device_id="d", ip_address="192.0.2.1")
        event.event_time.FromMilliseconds(T0)
        places = event_pb2.Places(
            country=[country("CA")],
            latitude_e4=[454_200],
            longitude_e4=[-757_000],
            accuracy_km=[50],
            asn=[asn],
            flags=[0],
        )
        [read] = read_items([event.SerializeToString()], read_columns(1, places, (), least=1), 0, 1)
        return read.sighting.place

    assert place_of(3320)
    assert place_of(26243) == b"", "Intelsat"


def test_the_same_network_in_another_country_is_travel() -> None:
    assert travel(at(BERLIN, asn=3320), at(PARIS, 1, asn=3320, country=country("FR")), TRAVEL).kmh > 900


def test_impossible_travel_is_told_with_distance_time_and_speed() -> None:
    seen = NOTHING_KNOWN._replace(before=packed(NEW_YORK, -60, country=country("US")))
    row, assessment = assess(seen, packed(BERLIN))
    assert codes(assessment) == ["IMPOSSIBLE_TRAVEL"]
    km, minutes, kmh, *both = assessment.evidence[0].values
    assert both == [52.52, 13.405, 1, 40.7128, -74.006, 1, T0 / 1000 - 3600]
    assert list(assessment.evidence[0].words) == ["DE", "US"]
    assert km == pytest.approx(6383, rel=0.003)
    assert (minutes, kmh) == (60, pytest.approx(km, abs=0.2))
    assert row[decision_pb2.SIGNAL_INDEX_PLACE_RISK_UNSPECIFIED] == PARAMETERS.place.travel
    assert row[decision_pb2.SIGNAL_INDEX_TRAVEL_KMH] == pytest.approx(kmh, abs=0.1)


def test_a_late_event_is_checked_against_its_later_neighbour() -> None:
    seen = NOTHING_KNOWN._replace(before=packed(BERLIN, -30), after=packed(NEW_YORK, 30))
    _, assessment = assess(seen, packed(BERLIN))
    assert codes(assessment) == ["IMPOSSIBLE_TRAVEL"]


def test_a_flight_is_possible() -> None:
    seen = NOTHING_KNOWN._replace(before=packed(NEW_YORK, -8.5 * 60))
    row, assessment = assess(seen, packed(BERLIN))
    assert codes(assessment) == []
    assert row[11] == pytest.approx(6383 / 8.5, rel=0.01)
    assert row[0] == 0


@pytest.mark.parametrize(
    ("region", "address", "matches"),
    [
        ("DE", "DE", True), ("US-CA", "US", True), ("EU", "DE", True), ("EU", "US", False), ("EU", "GB", False),
        ("DE", "FR", False), ("ZZ", "FR", True), ("de", "DE", True),
    ],
)  # fmt: skip
def test_regions(region: str, address: str, matches: bool) -> None:
    assert region_matches(region, country(address)) is matches
    _, assessment = assess(region=region, address_country=address)
    assert codes(assessment) == ([] if matches else ["REGION_MISMATCH"])


def test_an_unknown_country_matches_every_region() -> None:
    row, content = ENGINE.assess(NOTHING_KNOWN, item(), ALONE)
    assert (sum(row), content) == (0, b"")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (TOR, ["TOR_EXIT"]), (VPN, ["VPN"]), (HOSTING, ["HOSTING"]), (TOR | HOSTING, ["TOR_EXIT"]),
        (VPN | HOSTING, ["VPN"]), (RELAY, []), (SHARED, []),
    ],
)  # fmt: skip
def test_address_flags(flags: int, expected: list[str]) -> None:
    row, assessment = assess(flags=flags)
    assert codes(assessment) == expected
    assert row[0] == sum(reason.points for reason in assessment.evidence)


@pytest.mark.parametrize("flags", [TOR, VPN, RELAY])
def test_a_hidden_country_is_no_mismatch(flags: int) -> None:
    _, assessment = assess(region="DE", address_country="US", flags=flags)
    assert "REGION_MISMATCH" not in codes(assessment)


def test_place_risk_is_at_most_five() -> None:
    seen = NOTHING_KNOWN._replace(before=packed(NEW_YORK, -60))
    row, assessment = assess(seen, packed(BERLIN), region="FR", flags=TOR)
    assert row[0] == 5.0
    assert codes(assessment) == ["TOR_EXIT", "IMPOSSIBLE_TRAVEL"]


def test_network_risks_join_as_independent_evidence() -> None:
    seen = NOTHING_KNOWN._replace(device_accounts=5, payment_accounts=3, component="a", members=6, ties=6)
    ring = RingOfAccount("ring_0123456789abcdef", 6, 0.5)
    row, assessment = assess(seen, ring=ring)
    # Five accounts from four on in steps of 0.1: 0.2. Three from three on: 0.15. Ring: 0.8 of 0.5.
    assert row[1] == pytest.approx(1 - (1 - 0.2) * (1 - 0.15) * (1 - 0.4))
    assert codes(assessment) == ["RING_MEMBER", "SHARED_DEVICE", "SHARED_PAYMENT"]
    assert [reason.points for reason in assessment.evidence] == pytest.approx([1.2, 0.6, 0.45])
    assert list(assessment.evidence[0].values) == [6, 0.5]
    assert list(assessment.evidence[0].words) == [ring.ring_id]
    assert list(assessment.evidence[1].values) == [6]
    assert assessment.ring_id == ring.ring_id


def test_the_centre_of_a_ring_carries_more_of_its_risk_than_the_edge() -> None:
    seen = NOTHING_KNOWN._replace(component="a", members=6, ties=6)
    risks = [assess(seen, ring=RingOfAccount("ring_a", 6, 0.5, central))[0][1] for central in (1.0, 0.5, 0.0)]
    # The ring's share is 0.8 of its score; an account with none of the links carries 0.6 of that.
    assert risks == pytest.approx([0.4, 0.4 * 0.8, 0.4 * 0.6])


def test_few_accounts_on_a_device_are_no_evidence() -> None:
    row, assessment = assess(NOTHING_KNOWN._replace(device_accounts=3, payment_accounts=2))
    assert (row[1], codes(assessment)) == (0, [])


def test_credential_stuffing_and_device_failures() -> None:
    seen = NOTHING_KNOWN._replace(counts=(0, 10, 60, 40, 0, 0))
    _, assessment = assess(seen)
    assert codes(assessment) == ["CREDENTIAL_STUFFING", "DEVICE_FAILURES"]
    assert list(assessment.evidence[0].values) == [40, 60]
    assert list(assessment.evidence[1].values) == [10]


def test_the_packed_answer_is_what_protobuf_writes() -> None:
    seen = NOTHING_KNOWN._replace(device_accounts=9, counts=(6, 5, 4, 3, 12, 0))
    row, content = ENGINE.assess(seen, item(b"", "FR", country("DE"), VPN), ALONE)
    assert len(row) == SIGNAL_WIDTH == len(decision_pb2.SignalIndex.values())
    parsed = decision_pb2.Assessment.FromString(content)
    # Trailing zeros are left out.
    assert list(parsed.signals) == pytest.approx(row[: len(parsed.signals)])
    assert not any(row[len(parsed.signals) :])
    assert parsed.SerializeToString() == content
