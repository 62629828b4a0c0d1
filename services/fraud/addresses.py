"""What an address is: from network data first, then from who is seen there. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from services.common.address_ranges import HOSTING, RELAY, SHARED, TOR, VPN
from services.fraud.memory import (
    EXPORTERS_AT_ADDRESS,
    FAILED_AT_ADDRESS,
    FAILURES_AT_ADDRESS,
    HOUR_MS,
    AddressFacts,
    Edge,
)
from usher.fraud.v1 import fraud_pb2

HOME_ACCOUNTS = 8
"""Accounts behind one address that may be one household."""
REGULAR_DAYS = 3
"""Days from which an account counts as regular at an address."""

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


def address_class(flags: int, others: int, days: int) -> int:
    """usher.fraud.v1.AddressClass of an address on the way of an event.

    Args:
        flags: bits of PlaceFlag.
        others: other accounts seen there within a day.
        days: bits of the days on which the asking account was seen there.
    """
    if flags:
        for flag, kind in _FLAGGED:
            if flags & flag:
                return kind
    if others >= HOME_ACCOUNTS:
        regular = days.bit_count() >= REGULAR_DAYS
        return fraud_pb2.ADDRESS_CLASS_CAMPUS if regular else fraud_pb2.ADDRESS_CLASS_CARRIER
    if days.bit_count() >= REGULAR_DAYS:
        return fraud_pb2.ADDRESS_CLASS_HOUSEHOLD
    return fraud_pb2.ADDRESS_CLASS_UNSPECIFIED


def learnt_class(flags: int, accounts: int, edges: Sequence[Edge]) -> tuple[fraud_pb2.AddressClass, float]:
    """(usher.fraud.v1.AddressClass, share of regulars) of an address by all that is known of it.

    A home has few accounts; a campus or business many that come back; a carrier's gateway many that come and go.
    """
    regulars = sum(edge.days.bit_count() >= REGULAR_DAYS for edge in edges) / len(edges) if edges else 0.0
    for flag, kind in _FLAGGED:
        if flags & flag:
            return kind, regulars
    if accounts == 0:
        return fraud_pb2.ADDRESS_CLASS_UNSPECIFIED, 0.0
    if accounts <= HOME_ACCOUNTS:
        home = fraud_pb2.ADDRESS_CLASS_HOUSEHOLD if regulars > 0 else fraud_pb2.ADDRESS_CLASS_UNSPECIFIED
        return home, regulars
    crowd = fraud_pb2.ADDRESS_CLASS_CAMPUS if regulars >= 0.5 else fraud_pb2.ADDRESS_CLASS_CARRIER
    return crowd, regulars


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
