"""Signals of one event and the evidence behind them: place, network, velocity. Pure.

Impossible travel follows what operators of such rules learnt: the great circle (haversine, mean Earth radius 6,371 km)
less both places' accuracy; a floor of 50 km and of 10 minutes, because GeoIP moves without anybody moving; addresses
that are not the viewer's own place (VPN, relay, Tor, hosting) never enter; within one network of one country the
carrier's exits count as one place. The risks of independent findings join as 1 - (1 - a)(1 - b).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

from services.common.address_ranges import HOSTING, RELAY, SPECIAL, TOR, VPN
from services.fraud.memory import Observation, Place, unpack_place
from services.fraud.parameters import Parameters, TravelParameters
from usher.decision.v1 import decision_pb2

SIGNAL_WIDTH = 12
"""Numbers an event: usher.decision.v1.SignalIndex."""
NO_SIGNALS = (0.0,) * SIGNAL_WIDTH

_COUNTRY_HIDDEN = VPN | TOR | RELAY | SPECIAL
_SPEAKING = HOSTING | VPN | TOR

EARTH_RADIUS_KM = 6371.0088
"""Mean radius (IUGG)."""
PLACE_MOST = 5.0
NETWORK_POINTS = 3.0
"""Points of the network component at risk 1."""

# Member states, for the legacy region "EU". https://european-union.europa.eu/principles-countries-history/eu-countries_en
EU_MEMBERS = frozenset(
    [
        "AT",
        "BE",
        "BG",
        "HR",
        "CY",
        "CZ",
        "DK",
        "EE",
        "FI",
        "FR",
        "DE",
        "GR",
        "HU",
        "IE",
        "IT",
        "LV",
        "LT",
        "LU",
        "MT",
        "NL",
        "PL",
        "PT",
        "RO",
        "SK",
        "SI",
        "ES",
        "SE",
    ]
)
UNKNOWN_REGION = "ZZ"
"""ISO 3166-1 user-assigned: the sender does not know."""

# Field 1 (signals), packed, 48 bytes: what protobuf writes for SIGNAL_WIDTH floats.
_SIGNALS = struct.Struct(f"<BB{SIGNAL_WIDTH}f")
_SIGNALS_TAG = (1 << 3) | 2


class RingOfAccount(NamedTuple):
    """The ring an account is in."""

    ring_id: str
    members: int
    score: float


class Travel(NamedTuple):
    """Movement between two sightings."""

    km: float
    """Distance less both accuracies."""
    minutes: float
    kmh: float
    """With the time taken as at least the floor; 0 below the floor of distance."""


NO_TRAVEL = Travel(0.0, 0.0, 0.0)


def great_circle_km(latitude_a: float, longitude_a: float, latitude_b: float, longitude_b: float) -> float:
    """Distance of two points in degrees along the great circle, kilometres (haversine)."""
    a, b = radians(latitude_a), radians(latitude_b)
    half = sin((b - a) / 2) ** 2
    half += cos(a) * cos(b) * sin(radians(longitude_b - longitude_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(min(1.0, sqrt(half)))


def travel(a: Place, b: Place, parameters: TravelParameters) -> Travel:
    """Movement between two sightings, in either order of time."""
    if a.latitude_e4 == b.latitude_e4 and a.longitude_e4 == b.longitude_e4:
        return NO_TRAVEL
    if a.asn and a.asn == b.asn and a.country == b.country:
        return NO_TRAVEL
    km = great_circle_km(a.latitude_e4 / 1e4, a.longitude_e4 / 1e4, b.latitude_e4 / 1e4, b.longitude_e4 / 1e4)
    km -= a.accuracy_km + b.accuracy_km
    if km < parameters.floor_km:
        return NO_TRAVEL
    minutes = abs(a.time_ms - b.time_ms) / 60_000
    return Travel(km, minutes, km / (max(minutes, parameters.floor_minutes) / 60))


def fastest_travel(observation: Observation, place: bytes, parameters: TravelParameters) -> Travel:
    """The faster of the movements to a sighting from the one before it and to the one after it."""
    # The same coordinates, accuracy, country and network as before: nothing moved, nothing to unpack.
    if not observation.after and (not observation.before or observation.before[12:] == place[12:]):
        return NO_TRAVEL
    here = unpack_place(place)
    found = NO_TRAVEL
    for other in (observation.before, observation.after):
        if other:
            moved = travel(unpack_place(other), here, parameters)
            if moved.kmh > found.kmh:
                found = moved
    return found


def region_matches(region: str, country: int) -> bool:
    """Whether the claimed region (ISO 3166-1, -2, or "EU") allows the country of the address. Unknown matches."""
    claimed = region[:2].upper()
    if country == 0 or not claimed or claimed == UNKNOWN_REGION:
        return True
    name = country_name(country)
    return name == claimed or (claimed == "EU" and name in EU_MEMBERS)


def country_name(country: int) -> str:
    """The two letters of a packed country."""
    return chr(country >> 8) + chr(country & 0xFF)


Assessed = tuple[tuple[float, ...], bytes]
"""(signals, serialised usher.decision.v1.Assessment or nothing)."""


Assessor = Callable[[Observation, bytes, str, int, int, RingOfAccount | None], Assessed]


def compile_assessor(parameters: Parameters) -> Assessor:
    """The assessing function of one policy set.

    It takes what was known before the event, the event's `pack_place` (empty: unknown or not the viewer's own), the
    claimed region, the country and flags of the address, and the account's ring.
    """
    place_points = parameters.place
    network = parameters.network
    impossible = parameters.travel.impossible_kmh
    device_from = network.device_accounts.start
    payment_from = network.payment_accounts.start
    device_failures_from = network.device_failures.start
    stuffing_from = network.address_failed_accounts.start

    def place_evidence(
        region: str, country: int, flags: int, moved: Travel
    ) -> tuple[float, list[decision_pb2.Reason]]:
        points = 0.0
        evidence = []
        if flags & TOR:
            points += place_points.tor
            evidence.append(_reason(decision_pb2.REASON_CODE_TOR_EXIT, place_points.tor))
        elif flags & VPN:
            points += place_points.vpn
            evidence.append(_reason(decision_pb2.REASON_CODE_VPN, place_points.vpn))
        elif flags & HOSTING:
            points += place_points.hosting
            evidence.append(_reason(decision_pb2.REASON_CODE_HOSTING, place_points.hosting))
        if not flags & _COUNTRY_HIDDEN and not region_matches(region, country):
            points += place_points.region_mismatch
            evidence.append(
                _reason(
                    decision_pb2.REASON_CODE_REGION_MISMATCH,
                    place_points.region_mismatch,
                    words=(country_name(country), region),
                )
            )
        if moved.kmh > impossible:
            points += place_points.travel
            evidence.append(
                _reason(
                    decision_pb2.REASON_CODE_IMPOSSIBLE_TRAVEL,
                    place_points.travel,
                    values=(round(moved.km, 1), round(moved.minutes, 1), round(moved.kmh, 1)),
                )
            )
        return min(PLACE_MOST, points), evidence

    def network_evidence(
        seen: Observation, ring: RingOfAccount | None
    ) -> tuple[float, list[decision_pb2.Reason]]:
        free = 1.0
        evidence = []
        found: list[tuple[float, decision_pb2.ReasonCode, tuple[float, ...], tuple[str, ...]]] = [
            (
                network.device_accounts.risk(seen.device_accounts),
                decision_pb2.REASON_CODE_SHARED_DEVICE,
                (seen.device_accounts + 1,),
                (),
            ),
            (
                network.payment_accounts.risk(seen.payment_accounts),
                decision_pb2.REASON_CODE_SHARED_PAYMENT,
                (seen.payment_accounts + 1,),
                (),
            ),
            (
                network.address_failed_accounts.risk(seen.address_failed_accounts),
                decision_pb2.REASON_CODE_CREDENTIAL_STUFFING,
                (seen.address_failed_accounts, seen.address_failures),
                (),
            ),
            (
                network.device_failures.risk(seen.device_failures),
                decision_pb2.REASON_CODE_DEVICE_FAILURES,
                (seen.device_failures,),
                (),
            ),
        ]
        if ring is not None:
            values: tuple[float, ...] = (ring.members, round(ring.score, 6))
            code = decision_pb2.REASON_CODE_RING_MEMBER
            found.append((network.ring * ring.score, code, values, (ring.ring_id,)))
        for risk, code, values, words in found:
            if risk > 0:
                free *= 1.0 - risk
                evidence.append(_reason(code, round(NETWORK_POINTS * risk, 3), values, words))
        return 1.0 - free, evidence

    def assess(
        seen: Observation, place: bytes, region: str, country: int, flags: int, ring: RingOfAccount | None
    ) -> Assessed:
        moved = fastest_travel(seen, place, parameters.travel) if place else NO_TRAVEL
        place_risk = network_risk = 0.0
        evidence: list[decision_pb2.Reason] = []
        if (
            flags & _SPEAKING
            or moved.kmh > impossible
            # The usual region is the country itself: told without a call.
            or (country and (len(region) != 2 or (ord(region[0]) << 8) | ord(region[1]) != country))
        ):
            place_risk, evidence = place_evidence(region, country, flags, moved)
        if (
            ring is not None
            or seen.device_accounts >= device_from
            or seen.payment_accounts >= payment_from
            or seen.device_failures >= device_failures_from
            or seen.address_failed_accounts >= stuffing_from
        ):
            network_risk, more = network_evidence(seen, ring)
            evidence += more
        if ring is None:
            ring_members, ring_score, ring_id = 0, 0.0, ""
        else:
            ring_id, ring_members, ring_score = ring
        row = (
            place_risk,
            network_risk,
            seen.device_accounts,
            seen.payment_accounts,
            seen.address_accounts,
            seen.account_failures,
            seen.address_failures,
            seen.device_failures,
            seen.address_failed_accounts,
            ring_members,
            ring_score,
            moved.kmh,
        )
        if not any(row):
            return row, b""
        packed = _SIGNALS.pack(_SIGNALS_TAG, SIGNAL_WIDTH * 4, *row)
        if evidence or ring_id:
            evidence.sort(key=lambda reason: -reason.points)
            # Protobuf merges concatenated messages: the rest follows in the order of field numbers.
            packed += decision_pb2.Assessment(evidence=evidence, ring_id=ring_id).SerializeToString()
        return row, packed

    return assess


def _reason(
    code: decision_pb2.ReasonCode,
    points: float,
    values: tuple[float, ...] = (),
    words: tuple[str, ...] = (),
) -> decision_pb2.Reason:
    return decision_pb2.Reason(code=code, points=points, values=values, words=words)
