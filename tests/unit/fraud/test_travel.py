"""Impossible travel as properties: the great circle, the floors, what is no journey, and sightings out of order."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st

from services.common.address_ranges import HOSTING, PROXY, RELAY, SHARED, TOR, VPN
from services.fraud.engine import Engine
from services.fraud.memory import (
    DAY_MS,
    MINUTE_MS,
    NOTHING_KNOWN,
    Place,
    Sighting,
    pack_place,
    unpack_place,
)
from services.fraud.memory_process import TenantMemory
from services.fraud.parameters import TravelParameters, parse
from services.fraud.request import Item, read_columns, read_items
from services.fraud.signals import ALONE, compile_assessor, great_circle_km, travel
from tests.unit.fraud.defaults import DEFAULTS
from usher.decision.v1 import decision_pb2
from usher.event.v1 import event_pb2

PARAMETERS = parse(DEFAULTS)
ENGINE = Engine(PARAMETERS, compile_assessor(PARAMETERS))
LIMITS = TravelParameters(impossible_kmh=900, floor_km=50, floor_minutes=10)
T0 = 1_795_348_800_000
MEAN_RADIUS_KM = 6371.0088  # IUGG: (2a + b) / 3 of the ellipsoid GRS 80
DE, FR = (ord("D") << 8) | ord("E"), (ord("F") << 8) | ord("R")

degrees = st.tuples(st.integers(-900_000, 900_000), st.integers(-1_800_000, 1_800_000))


def place(
    point: tuple[int, int], minutes: float = 0.0, accuracy: int = 0, country: int = DE, asn: int = 0
) -> Place:
    packed = pack_place(T0 + round(minutes * MINUTE_MS), "e", *point, accuracy, country, asn)
    return unpack_place(packed)


def chord_km(a: tuple[int, int], b: tuple[int, int]) -> float:
    """The great circle by vectors: the angle whose sine and cosine are the cross and the dot product."""

    def vector(point: tuple[int, int]) -> tuple[float, float, float]:
        latitude, longitude = (math.radians(value / 1e4) for value in point)
        return (
            math.cos(latitude) * math.cos(longitude),
            math.cos(latitude) * math.sin(longitude),
            math.sin(latitude),
        )

    (ax, ay, az), (bx, by, bz) = vector(a), vector(b)
    cross = math.hypot(ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    return MEAN_RADIUS_KM * math.atan2(cross, ax * bx + ay * by + az * bz)


@given(degrees, degrees)
@example((0, 0), (0, 1_800_000))  # the antipode
@example((900_000, 0), (900_000, 900_000))  # one pole, two longitudes
def test_the_distance_is_the_great_circle(a: tuple[int, int], b: tuple[int, int]) -> None:
    found = great_circle_km(a[0] / 1e4, a[1] / 1e4, b[0] / 1e4, b[1] / 1e4)
    # Near the antipode the haversine loses digits: a metre in 20,000 km.
    assert math.isclose(found, chord_km(a, b), rel_tol=1e-7, abs_tol=1e-2)
    assert 0 <= found <= math.pi * MEAN_RADIUS_KM + 1e-6


@given(degrees, degrees, st.floats(0, 20_000), st.integers(0, 3_000), st.integers(0, 3_000))
def test_speed_is_distance_less_both_radii_over_time_with_both_floors(
    a: tuple[int, int], b: tuple[int, int], minutes: float, here: int, there: int
) -> None:
    moved = travel(place(a, 0, here), place(b, minutes, there, FR), LIMITS)
    apart = chord_km(a, b) - here - there
    assume(abs(apart - 50) > 0.1)
    if apart < 50:
        assert moved == (0, 0, 0)
    else:
        assert math.isclose(moved.km, apart, rel_tol=1e-6, abs_tol=0.05)
        assert math.isclose(moved.minutes, minutes, abs_tol=1e-4)
        assert math.isclose(moved.kmh, moved.km / (max(minutes, 10) / 60), rel_tol=1e-4)


@given(degrees, degrees, st.integers(0, 10_000), st.integers(0, 3_000), st.integers(0, 3_000), st.booleans())
def test_it_is_symmetric(
    a: tuple[int, int], b: tuple[int, int], minutes: int, here: int, there: int, known: bool
) -> None:
    one, other = place(a, 0, here), place(b, minutes, there, FR)
    assert travel(one, other, LIMITS, known_device=known) == travel(other, one, LIMITS, known_device=known)


@given(
    degrees,
    degrees,
    st.integers(0, 600),
    st.lists(st.integers(0, 20_000), min_size=2, max_size=6),
    st.booleans(),
)
def test_what_is_known_less_exactly_is_never_faster(
    a: tuple[int, int], b: tuple[int, int], minutes: int, radii: list[int], first: bool
) -> None:
    def kmh(radius: int) -> float:
        return travel(
            place(a, 0, radius if first else 5), place(b, minutes, 5 if first else radius), LIMITS
        ).kmh

    assert all(kmh(less) >= kmh(more) for less, more in pairwise(sorted(radii)))


@given(degrees, degrees, st.lists(st.integers(0, 20_000), min_size=2, max_size=6))
def test_more_time_is_never_faster(a: tuple[int, int], b: tuple[int, int], minutes: list[int]) -> None:
    speeds = [travel(place(a), place(b, one, country=FR), LIMITS).kmh for one in sorted(minutes)]
    assert all(sooner >= later for sooner, later in pairwise(speeds))


@given(degrees, degrees, st.integers(0, 100_000), st.integers(1, 400_000))
def test_one_network_of_one_country_and_a_known_device_within_one_never_travel(
    a: tuple[int, int], b: tuple[int, int], minutes: int, asn: int
) -> None:
    assert travel(place(a, asn=asn), place(b, minutes, asn=asn), LIMITS).kmh == 0
    assert travel(place(a, asn=1), place(b, minutes, asn=2), LIMITS, known_device=True).kmh == 0
    # Another country is a journey by whatever network and device.
    apart = chord_km(a, b)
    if apart > 51:
        assert (
            travel(place(a, asn=asn), place(b, minutes, country=FR, asn=asn), LIMITS, known_device=True).kmh
            > 0
        )
    # An unknown network is no common one.
    if apart > 51:
        assert travel(place(a), place(b, minutes), LIMITS).kmh > 0


def read(flags: int, asn: int = 3320) -> Sighting:
    event = event_pb2.Event(event_id="e", user_id="u", device_id="d", ip_address="92.230.1.1")
    event.event_time.FromMilliseconds(T0)
    columns = event_pb2.Places(
        country=[DE],
        latitude_e4=[525_200],
        longitude_e4=[134_050],
        accuracy_km=[20],
        asn=[asn],
        flags=[flags],
    )
    [item] = read_items([event.SerializeToString()], read_columns(1, columns, (), least=1), 0, 1)
    return item.sighting


@given(st.sampled_from([VPN, RELAY, TOR, HOSTING, PROXY]), st.integers(0, 255))
def test_a_place_that_is_not_the_viewers_own_never_enters(kind: int, others: int) -> None:
    assert read(0).place
    assert read(kind | others).place == b""


ways = st.lists(
    st.tuples(degrees, st.integers(0, 3_000), st.integers(0, 300), st.sampled_from([DE, FR])),
    min_size=2,
    max_size=10,
    unique_by=lambda step: step[1],
)


def told(steps: list[tuple[Any, ...]], order: list[int]) -> dict[int, decision_pb2.Assessment]:
    """Assessments of sightings (point, minute, accuracy, country), applied in an order, by their minute."""
    memory, found = TenantMemory(1 << 12), {}
    for number in order:
        point, minute, accuracy, country = steps[number]
        time_ms = T0 + minute * MINUTE_MS
        packed = pack_place(time_ms, f"e{minute}", *point, accuracy, country, 0)
        sighting = Sighting(f"e{minute}", "ann", f"device{minute}", "", "92.230.1.1", "", time_ms, packed)
        _, content = ENGINE.assess(memory.observe(sighting), Item(sighting, "", country, 0, 0, 0, 0), ALONE)
        found[minute] = decision_pb2.Assessment.FromString(content)
    return found


@given(ways, st.randoms())
def test_a_journey_is_told_whatever_order_its_sightings_come_in(
    steps: list[tuple[Any, ...]], rng: Any
) -> None:
    order = list(range(len(steps)))
    rng.shuffle(order)
    by_time = sorted(steps, key=lambda step: step[1])
    impossible = set()
    for (a, before, near, here), (b, after, far, there) in pairwise(by_time):
        moved = travel(place(a, before, near, here), place(b, after, far, there), LIMITS)
        if moved.kmh > 900:
            impossible.add((before, after))
    found = told(steps, order)
    speaking = {minute for minute, one in found.items() if one.evidence}
    # The later applied one of two neighbours tells it; nothing hides a journey between two neighbours in time.
    assert all({before, after} & speaking for before, after in impossible)
    # In order, exactly the later ones of impossible steps tell it.
    in_order = told(by_time, list(range(len(by_time))))
    assert {minute for minute, one in in_order.items() if one.evidence} == {after for _, after in impossible}


@given(degrees, degrees, st.integers(0, 600), st.integers(0, 200), st.integers(0, 200))
def test_the_evidence_is_distance_time_and_speed_of_the_two_sightings(
    a: tuple[int, int], b: tuple[int, int], minutes: int, near: int, far: int
) -> None:
    seen = NOTHING_KNOWN._replace(before=pack_place(T0 - minutes * MINUTE_MS, "b", *a, near, FR, 0))
    here = pack_place(T0, "e", *b, far, DE, 0)
    sighting = Sighting("e", "ann", "tv", "", "92.230.1.1", "", T0, here)
    row, content = ENGINE.assess(seen, Item(sighting, "DE", DE, 0, 0, 0, 0), ALONE)
    moved = travel(unpack_place(seen.before), unpack_place(here), PARAMETERS.travel)
    evidence = decision_pb2.Assessment.FromString(content).evidence
    assert row[decision_pb2.SIGNAL_INDEX_TRAVEL_KMH] == moved.kmh
    if moved.kmh <= 900:
        assert not evidence
        return
    [reason] = evidence
    assert reason.code == decision_pb2.REASON_CODE_IMPOSSIBLE_TRAVEL
    assert list(reason.words) == ["DE", "FR"]
    assert list(reason.values[3:]) == [
        b[0] / 1e4, b[1] / 1e4, far, a[0] / 1e4, a[1] / 1e4, near, T0 / 1000 - minutes * 60,
    ]  # fmt: skip
    assert [round(value, 1) for value in reason.values[:3]] == [
        round(moved.km, 1), round(moved.minutes, 1), round(moved.kmh, 1)
    ]  # fmt: skip


def roamer(flags: int, accuracy: int, *, device_since: int) -> list[str]:
    """Codes told of somebody in Madrid whose address lies in Berlin, minutes after the hotel's Wi-Fi."""
    seen = NOTHING_KNOWN._replace(
        before=pack_place(T0 - 20 * MINUTE_MS, "b", 404_168, -37_038, 20, (ord("E") << 8) | ord("S"), 12479),
        device_since_ms=device_since,
    )
    home = pack_place(T0, "e", 525_200, 134_050, accuracy, DE, 3320)
    sighting = Sighting("e", "ann", "phone", "", "92.230.1.1", "", T0, home)
    _, content = ENGINE.assess(seen, Item(sighting, "ES", DE, flags, 0, 0, 0), ALONE)
    evidence = decision_pb2.Assessment.FromString(content).evidence
    return sorted(decision_pb2.ReasonCode.Name(one.code).removeprefix("REASON_CODE_") for one in evidence)


def test_a_guest_abroad_whose_carrier_leads_home_neither_travels_nor_claims_another_region() -> None:
    assert roamer(SHARED, 500, device_since=T0 - DAY_MS) == []
    # A telephone never seen before is nobody's, and a home address is where one is.
    assert roamer(SHARED, 500, device_since=0) == ["IMPOSSIBLE_TRAVEL", "REGION_MISMATCH"]
    assert roamer(0, 20, device_since=T0 - DAY_MS) == ["IMPOSSIBLE_TRAVEL", "REGION_MISMATCH"]
    assert roamer(VPN | SHARED, 500, device_since=T0 - DAY_MS) == ["VPN"]


@given(degrees, degrees, st.integers(0, 600), st.integers(0, 400), st.integers(500, 60_000))
def test_back_from_the_carrier_to_a_wifi_abroad_is_no_journey_of_a_known_device(
    a: tuple[int, int], b: tuple[int, int], minutes: int, near: int, country: int
) -> None:
    gateway, hotel = place(a, 0, country), place(b, minutes, near, FR)
    assert travel(gateway, hotel, LIMITS, known_device=True).kmh == 0
    apart = chord_km(a, b) - near - country
    if apart > 51:
        assert travel(gateway, hotel, LIMITS).kmh > 0
