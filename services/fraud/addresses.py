"""What an address is: from network data first, then from who is seen there. Pure."""

from __future__ import annotations

from typing import NamedTuple

from services.common.address_ranges import HOSTING, RELAY, SHARED, TOR, VPN
from services.fraud.memory import (
    ADDRESS_WINDOW_MS,
    EXPORTERS_AT_ADDRESS,
    FAILED_AT_ADDRESS,
    FAILURES_AT_ADDRESS,
    FEW_DEVICES,
    HOME_ACCOUNTS,
    HOUR_MS,
    NOBODY,
    REGULAR_DAYS,
    AddressFacts,
    Crowd,
)
from usher.fraud.v1 import fraud_pb2

_HOME_CHURN = 0.5
"""Share of accounts of one day only, above which few accounts are passers-by rather than a home with guests."""

SATELLITE_NETWORKS = frozenset(
    {
        6621,  # Hughes Network Systems
        7155,  # Viasat
        12440,  # Hughes Network Systems, Europe
        14593,  # SpaceX Starlink
        16491,  # Viasat
        22351,  # Intelsat
        25222,  # Inmarsat Solutions
        26243,  # Intelsat
        29286,  # Skylogic (Eutelsat)
        31515,  # Inmarsat
        31753,  # Inmarsat
        40306,  # Viasat
        40310,  # Viasat
        63062,  # Hughes Network Systems
        64294,  # Panasonic Avionics
        152659,  # Inmarsat
        397763,  # SpaceX
    }
)
"""Autonomous systems of satellite operators, who serve aircraft and ships: such an address lies where a ground station is,
and says nothing of where the viewer is (names as registered with the regional internet registries)."""

_FLAGGED = (
    (TOR, fraud_pb2.ADDRESS_CLASS_TOR),
    (RELAY, fraud_pb2.ADDRESS_CLASS_RELAY),
    (VPN, fraud_pb2.ADDRESS_CLASS_VPN),
    (HOSTING, fraud_pb2.ADDRESS_CLASS_HOSTING),
    (SHARED, fraud_pb2.ADDRESS_CLASS_CARRIER),
)


def address_class(flags: int, today: int, crowd: Crowd) -> fraud_pb2.AddressClass:
    """What an address is: network data first, then who is seen there.

    A home has few accounts that come back. A campus or business has many that come back, a carrier's gateway many that
    come and go on one day, each with a device of its own. Many accounts on few devices are nobody's crowd: so looks a
    machine that runs them, in a data centre or anywhere else. An address that a provider gives to another home every
    day has many accounts too, but few on one day: it is none of these, and unknown.

    Args:
        flags: bits of PlaceFlag.
        today: accounts seen there within a day.
        crowd: all who were seen there.
    """
    if flags:
        for flag, kind in _FLAGGED:
            if flags & flag:
                return kind
    seen, regulars, once, few_devices = crowd
    if seen > HOME_ACCOUNTS:
        if few_devices:
            return fraud_pb2.ADDRESS_CLASS_HOSTING
        if regulars * 2 >= seen and max(regulars, today) > HOME_ACCOUNTS:
            return fraud_pb2.ADDRESS_CLASS_CAMPUS
        if today > HOME_ACCOUNTS:
            return fraud_pb2.ADDRESS_CLASS_CARRIER
    if regulars and once <= _HOME_CHURN * seen:
        return fraud_pb2.ADDRESS_CLASS_HOUSEHOLD
    return fraud_pb2.ADDRESS_CLASS_UNSPECIFIED


class Learnt(NamedTuple):
    """What an address is by all that is known of it."""

    kind: fraud_pb2.AddressClass
    regulars: float
    """Share of its accounts that came on three days or more."""
    churn: float
    """Share of its accounts that came on one day only."""
    devices: int
    """Devices of its accounts; an estimate where the accounts are."""


def learnt_class(flags: int, known: AddressFacts) -> Learnt:
    """`address_class` of an address as of the newest sighting there, with the shares behind it."""
    accounts, edges = known.accounts, known.edges
    seen = len(edges)
    if not seen:
        return Learnt(address_class(flags, 0, NOBODY), 0.0, 0.0, 0)
    days = [edge.days.bit_count() for edge in edges]
    regulars, once = sum(count >= REGULAR_DAYS for count in days), days.count(1)
    since = max(edge.last_ms for edge in edges) - ADDRESS_WINDOW_MS
    today = round(sum(edge.last_ms > since for edge in edges) * max(accounts, seen) / seen)
    few = seen > HOME_ACCOUNTS and 0 < known.devices < FEW_DEVICES * seen
    return Learnt(
        kind=address_class(flags, today, Crowd(seen, regulars, once, few)),
        regulars=regulars / seen,
        churn=once / seen,
        devices=round(known.devices * max(accounts, seen) / seen),
    )


_WINDOWS = (
    (FAILED_AT_ADDRESS, "accounts_failed"),
    (FAILURES_AT_ADDRESS, "failed_sign_ins"),
    (EXPORTERS_AT_ADDRESS, "exporters"),
)
_DATA = ((TOR, "tor"), (HOSTING, "hosting"), (VPN, "vpn"), (RELAY, "relay"))


def reputation(known: AddressFacts, flags: int, now_ms: int) -> list[tuple[str, int, float | None]]:
    """(code, count, hours since it was last seen) of everything that speaks against an address, worst first.

    What network data say has no age here: `usher geo` tells how old they are.
    """
    said: list[tuple[str, int, float | None]] = [(code, 0, None) for flag, code in _DATA if flags & flag]
    counted: list[tuple[str, int, float | None]] = []
    for kind, code in _WINDOWS:
        count, newest_ms = known.windows.get(kind, (0, 0))
        if count:
            counted.append((code, count, round(max(0, now_ms - newest_ms) / HOUR_MS, 2)))
    return said + sorted(counted, key=lambda reason: -reason[1])
