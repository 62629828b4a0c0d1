"""Signals of one event and the evidence behind them: place, network, velocity. Pure.

Impossible travel follows what operators of such rules learnt: the great circle (haversine, mean Earth radius 6,371 km)
less both places' accuracy; a floor of 50 km and of 10 minutes, because GeoIP moves without anybody moving; addresses
that are not the viewer's own place (VPN, relay, Tor, hosting, satellites as aircraft use them) never enter; within one
network of one country the carrier's exits count as one place, and so do all of a country for a device that the account has
used before: it changes from Wi-Fi to a carrier, whose exits lie anywhere. The risks of independent findings join as
1 - (1 - a)(1 - b).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

from services.common.address_ranges import HOSTING, RELAY, SHARED, SPECIAL, TOR, VPN
from services.fraud.acts import BASIC, Counts
from services.fraud.addresses import address_class
from services.fraud.memory import Observation, Place, unpack_place
from services.fraud.parameters import Parameters, TravelParameters, VelocityParameters
from services.fraud.request import CARRIER_ACCURACY_KM, Item
from services.fraud.sharing import NOT_SHARED, Sharing, streaming
from services.fraud.takeover import steps
from usher.decision.v1 import decision_pb2
from usher.fraud.v1 import fraud_pb2

SIGNAL_WIDTH = 28
"""Numbers an event: usher.decision.v1.SignalIndex."""

_COUNTRY_HIDDEN = VPN | TOR | RELAY | SPECIAL
_SPEAKING = HOSTING | VPN | TOR

EARTH_RADIUS_KM = 6371.0088
"""Mean radius (IUGG)."""
PLACE_MOST = 5.0
NETWORK_POINTS = 3.0
"""Points of the network component at risk 1."""
_AT_THE_EDGE = 0.6
"""Share of a ring's risk that an account with none of its links would carry; the best tied one carries all."""

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

_ROW = struct.Struct(f"<{SIGNAL_WIDTH}f")
# Field 1 (signals), packed, of an assessment and of an answer alike; its length takes one byte.
_SIGNALS_TAG = (1 << 3) | 2
_WHOLE_ROW = bytes((_SIGNALS_TAG, _ROW.size))
_NO_ROW = _WHOLE_ROW + bytes(_ROW.size)


def packed_row(assessment: bytes) -> bytes:
    """All signals of an assessment that `Assessor` gave, as a piece of AssessEventsResponse.signals."""
    if not assessment:
        return _NO_ROW
    return _WHOLE_ROW + assessment[2 : 2 + assessment[1]].ljust(_ROW.size, b"\0")


class RingOfAccount(NamedTuple):
    """The ring an account is in."""

    ring_id: str
    members: int
    score: float
    centrality: float = 1.0
    """The account's share of the links, relative to the member that has most."""
    confirmed: bool = False
    """Whether analysts confirmed it."""


class Standing(NamedTuple):
    """An account among its neighbours."""

    ring: RingOfAccount | None
    confirmed_neighbours: int
    """Accounts of confirmed rings that share a device or payment instrument with it."""


ALONE = Standing(None, 0)


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


def travel(a: Place, b: Place, parameters: TravelParameters, *, known_device: bool = False) -> Travel:
    """Movement between two sightings, in either order of time; `known_device`: the account has used the device before.

    Where a place is a carrier's whole country, a known device may be anywhere: carriers lead guests of networks abroad
    back home.
    """
    if a.latitude_e4 == b.latitude_e4 and a.longitude_e4 == b.longitude_e4:
        return NO_TRAVEL
    if a.country == b.country and (known_device or (a.asn and a.asn == b.asn)):
        return NO_TRAVEL
    if known_device and max(a.accuracy_km, b.accuracy_km) >= CARRIER_ACCURACY_KM:
        return NO_TRAVEL
    km = great_circle_km(a.latitude_e4 / 1e4, a.longitude_e4 / 1e4, b.latitude_e4 / 1e4, b.longitude_e4 / 1e4)
    km -= a.accuracy_km + b.accuracy_km
    if km < parameters.floor_km:
        return NO_TRAVEL
    minutes = abs(a.time_ms - b.time_ms) / 60_000
    return Travel(km, minutes, km / (max(minutes, parameters.floor_minutes) / 60))


def fastest_travel(
    observation: Observation, place: bytes, parameters: TravelParameters
) -> tuple[Travel, bytes]:
    """The faster of the movements to a sighting from the one before it and to the one after it, and which that was."""
    # The same coordinates, accuracy, country and network as before: nothing moved, nothing to unpack.
    if not observation.after and (not observation.before or observation.before[12:] == place[12:]):
        return NO_TRAVEL, b""
    here = unpack_place(place)
    found, by = NO_TRAVEL, b""
    for other in (observation.before, observation.after):
        if other:
            moved = travel(
                unpack_place(other), here, parameters, known_device=bool(observation.device_since_ms)
            )
            if moved.kmh > found.kmh:
                found, by = moved, other
    return found, by


def _both(moved: Travel, place: bytes, other: bytes) -> tuple[tuple[float, ...], tuple[str, ...]]:
    """Values and words of the evidence of a movement: what it is, and both sightings."""
    values = [round(moved.km, 1), round(moved.minutes, 1), round(moved.kmh, 1)]
    sightings = [unpack_place(place), unpack_place(other)]
    for one in sightings:
        values += [one.latitude_e4 / 1e4, one.longitude_e4 / 1e4, one.accuracy_km]
    values.append(sightings[1].time_ms / 1000)
    return tuple(values), tuple(country_name(one.country) if one.country else "" for one in sightings)


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


Assessor = Callable[[Observation, Item, Standing], Assessed]


def compile_assessor(parameters: Parameters) -> Assessor:
    """The assessing function of one policy set: of what was known before an event, the event, and the account's
    standing among its neighbours."""
    place_points = parameters.place
    network = parameters.network
    impossible = parameters.travel.impossible_kmh
    velocity = parameters.velocity
    sharing_parameters = parameters.sharing
    code = decision_pb2

    def place_evidence(
        region: str, country: int, flags: int, moved: Travel, place: bytes, other: bytes
    ) -> tuple[float, list[decision_pb2.Reason]]:
        points = 0.0
        evidence = []
        for flag, given, reason in (
            (TOR, place_points.tor, code.REASON_CODE_TOR_EXIT),
            (VPN, place_points.vpn, code.REASON_CODE_VPN),
            (HOSTING, place_points.hosting, code.REASON_CODE_HOSTING),
        ):
            if flags & flag:
                points += given
                evidence.append(_reason(reason, given))
                break
        if not flags & _COUNTRY_HIDDEN and not region_matches(region, country):
            points += place_points.region_mismatch
            words = (country_name(country), region)
            evidence.append(
                _reason(code.REASON_CODE_REGION_MISMATCH, place_points.region_mismatch, words=words)
            )
        if moved.kmh > impossible:
            points += place_points.travel
            values, countries = _both(moved, place, other)
            evidence.append(
                _reason(code.REASON_CODE_IMPOSSIBLE_TRAVEL, place_points.travel, values, countries)
            )
        return min(PLACE_MOST, points), evidence

    def assess(seen: Observation, item: Item, standing: Standing) -> Assessed:
        sighting, region, country, flags, _, act, limit = item
        place = sighting.place
        # A carrier's gateway tells where the contract is from. The viewer's own telephone may be abroad, led back home. By
        # network data alone: a class that is learnt depends on whose events came first, and an account's way must not.
        roaming = flags & SHARED and not flags & _COUNTRY_HIDDEN and seen.device_since_ms > 0
        moved, other = NO_TRAVEL, b""
        if place and not roaming:
            moved, other = fastest_travel(seen, place, parameters.travel)
        place_risk = 0.0
        evidence: list[decision_pb2.Reason] = []
        if (
            flags & _SPEAKING
            or moved.kmh > impossible
            # The usual region is the country itself: told without a call.
            or (country and (len(region) != 2 or (ord(region[0]) << 8) | ord(region[1]) != country))
        ):
            told = 0 if roaming else country
            place_risk, evidence = place_evidence(region, told, flags, moved, place, other)

        # An event that asked the windows nothing, as a running stream's, is told nothing of them.
        counts = seen.counts or _NO_COUNTS
        failures, device_failures, failures_here, failed_here, titles, exports = counts[:BASIC]
        found: list[Said] = []
        values: tuple[float, ...]
        if seen.device_accounts >= network.device_accounts.start:
            risk = network.device_accounts.risk(seen.device_accounts)
            found.append((risk, code.REASON_CODE_SHARED_DEVICE, (seen.device_accounts + 1,), ()))
        if seen.payment_accounts >= network.payment_accounts.start:
            risk = network.payment_accounts.risk(seen.payment_accounts)
            found.append((risk, code.REASON_CODE_SHARED_PAYMENT, (seen.payment_accounts + 1,), ()))
        if failed_here >= network.address_failed_accounts.start:
            values = (failed_here, failures_here)
            risk = network.address_failed_accounts.risk(failed_here)
            found.append((risk, code.REASON_CODE_CREDENTIAL_STUFFING, values, ()))
        if device_failures >= network.device_failures.start:
            risk = network.device_failures.risk(device_failures)
            found.append((risk, code.REASON_CODE_DEVICE_FAILURES, (device_failures,), ()))
        ring = standing.ring
        if ring is None:
            ring_members, ring_score, ring_id, confirmed = 0, 0.0, "", 0.0
        else:
            ring_id, ring_members, ring_score, central, is_confirmed = ring
            confirmed = float(is_confirmed)
            if is_confirmed:
                found.append(
                    (network.confirmed, code.REASON_CODE_CONFIRMED_RING, (ring_members,), (ring_id,))
                )
            else:
                risk = network.ring * ring_score * (_AT_THE_EDGE + (1.0 - _AT_THE_EDGE) * central)
                values = (ring_members, round(ring_score, 6))
                found.append((risk, code.REASON_CODE_RING_MEMBER, values, (ring_id,)))
        if standing.confirmed_neighbours and not confirmed:
            risk = network.confirmed_neighbours.risk(standing.confirmed_neighbours)
            values = (standing.confirmed_neighbours,)
            found.append((risk, code.REASON_CODE_CONFIRMED_NEIGHBOURS, values, ()))

        stuffing = spraying = 0.0
        burst = sources = trials = chargebacks = taken = 0
        if len(counts) > BASIC:
            stuffing, spraying, said = attacks(counts, velocity)
            found += said
            burst, sources = counts[Counts.BURST], counts[Counts.SOURCES]
            if burst >= velocity.burst_failures.start:
                risk = velocity.burst_failures.risk(burst)
                found.append((risk, code.REASON_CODE_BRUTE_FORCE, (burst, 10), ()))
            if sources >= velocity.failure_sources.start:
                risk = velocity.failure_sources.risk(sources)
                found.append((risk, code.REASON_CODE_GUESSED_FROM_MANY_ADDRESSES, (sources,), ()))
            trials = max(counts[Counts.TRIALS_ON_DEVICE], counts[Counts.TRIALS_ON_PAYMENT])
            if trials >= velocity.trial_accounts.start:
                risk = velocity.trial_accounts.risk(trials)
                found.append((risk, code.REASON_CODE_TRIAL_ABUSE, (trials,), ()))
            chargebacks = max(counts[Counts.CHARGEBACKS_ON_DEVICE], counts[Counts.CHARGEBACKS_ON_PAYMENT])
            if chargebacks >= velocity.chargeback_accounts.start:
                risk = velocity.chargeback_accounts.risk(chargebacks)
                found.append((risk, code.REASON_CODE_CHARGEBACK_CLUSTER, (chargebacks,), ()))
            if act:
                taken = steps(seen.acts, act, sighting, seen.device_since_ms)
                if taken >= _TAKEOVER:
                    risk = velocity.takeover_step * taken
                    found.append((min(1.0, risk), code.REASON_CODE_TAKEOVER_SEQUENCE, (), ()))
        if titles >= velocity.titles.start:
            found.append((velocity.titles.risk(titles), code.REASON_CODE_SCRAPING, (titles,), ()))
        if exports >= velocity.exports.start:
            found.append((velocity.exports.risk(exports), code.REASON_CODE_BULK_EXPORT, (exports,), ()))

        free = 1.0
        for risk, reason, values, words in found:
            if risk > 0:
                free *= 1.0 - risk
                evidence.append(_reason(reason, round(NETWORK_POINTS * risk, 3), values, words))
        shared: Sharing = NOT_SHARED
        if sighting.stream and seen.streams:
            shared = streaming(seen, sighting, limit, sharing_parameters)
            if shared.over_limit:
                evidence.append(_reason(code.REASON_CODE_STREAM_LIMIT, 0.0, (shared.concurrent + 1, limit)))
            values = (shared.concurrent + 1, shared.places)
            if shared.resale >= sharing_parameters.told:
                evidence.append(_reason(code.REASON_CODE_CREDENTIAL_RESALE, 0.0, values))
            elif shared.sharing >= sharing_parameters.told:
                evidence.append(_reason(code.REASON_CODE_ACCOUNT_SHARING, 0.0, values))
        kind = address_class(flags, seen.address_accounts + 1, seen.crowd)
        row = (
            place_risk,
            1.0 - free,
            seen.device_accounts,
            seen.payment_accounts,
            seen.address_accounts,
            failures,
            failures_here,
            device_failures,
            failed_here,
            ring_members,
            ring_score,
            moved.kmh,
            0 if kind == _HOUSEHOLD else kind,
            titles if titles >= _TITLES_FROM else 0,
            shared.concurrent,
            exports,
            stuffing,
            spraying,
            burst,
            sources,
            taken,
            trials,
            chargebacks,
            shared.over_limit,
            shared.sharing,
            shared.resale,
            standing.confirmed_neighbours,
            confirmed,
        )
        # Trailing zeros are left out, as whole floats.
        numbers = _ROW.pack(*row).rstrip(b"\0")
        if not numbers:
            return row, b""
        width = (len(numbers) + 3) // 4
        packed = bytes((_SIGNALS_TAG, width * 4)) + numbers.ljust(width * 4, b"\0")
        if evidence or ring_id:
            evidence.sort(key=lambda reason: -reason.points)
            # Protobuf merges concatenated messages: the rest follows in the order of field numbers.
            packed += decision_pb2.Assessment(evidence=evidence, ring_id=ring_id).SerializeToString()
        return row, packed

    return assess


_NO_COUNTS = (0,) * BASIC
_HOUSEHOLD = fraud_pb2.ADDRESS_CLASS_HOUSEHOLD
_TITLES_FROM = 10
_TAKEOVER = 2
"""Steps from which a sequence is told."""

Said = tuple[float, decision_pb2.ReasonCode, tuple[float, ...], tuple[str, ...]]


def attacks(counts: tuple[int, ...], velocity: VelocityParameters) -> tuple[float, float, list[Said]]:
    """(stuffing, spraying, evidence) of failed sign-ins around a sensitive event.

    One source is enough where it fails for many accounts. The distributed form has no loud source: there the accounts
    that fail in a network, or with one program wherever it is, are set against those that sign in, since a carrier or
    a common browser has many of both. Spraying is slow, and slow failures at one address are what a carrier's gateway
    shows every day: they count where its network has few that succeed.
    """
    code = decision_pb2
    said: list[Said] = []
    stuffing = velocity.stuffed_accounts.risk(counts[Counts.FAILED_AT_ADDRESS])
    in_network, with_tool = counts[Counts.FAILED_IN_NETWORK], counts[Counts.FAILED_WITH_TOOL]
    network_share = _share(in_network, counts[Counts.SIGNED_IN_IN_NETWORK])
    for failed, share in (
        (in_network, network_share),
        (with_tool, _share(with_tool, counts[Counts.SIGNED_IN_WITH_TOOL])),
    ):
        risk = velocity.distributed_accounts.risk(failed) if share >= velocity.failed_share else 0.0
        if risk > 0:
            reason = code.REASON_CODE_DISTRIBUTED_STUFFING
            said = [(risk, reason, (failed, round(share, 3)), ())] if risk > stuffing else said
            stuffing = max(stuffing, risk)
    day = counts[Counts.FAILED_AT_ADDRESS_DAY]
    spraying = 0.0
    if day > counts[Counts.FAILED_AT_ADDRESS] and network_share >= velocity.failed_share:
        spraying = velocity.sprayed_accounts.risk(day)
    if spraying > 0:
        said.append((spraying, code.REASON_CODE_PASSWORD_SPRAYING, (day,), ()))
    return stuffing, spraying, said


def _share(failed: int, good: int) -> float:
    """Share of the accounts that failed among those that tried."""
    return failed / (failed + good) if failed else 0.0


def _reason(
    code: decision_pb2.ReasonCode,
    points: float,
    values: tuple[float, ...] = (),
    words: tuple[str, ...] = (),
) -> decision_pb2.Reason:
    return decision_pb2.Reason(code=code, points=points, values=values, words=words)
