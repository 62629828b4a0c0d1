"""What an address is: from network data first, then from who is seen there. Pure."""

from __future__ import annotations

from typing import NamedTuple

from services.common.address_ranges import HOSTING, RELAY, SHARED, TOR, VPN
from services.fraud.memory import (
    EXPORTERS_AT_ADDRESS,
    FAILED_AT_ADDRESS,
    FAILURES_AT_ADDRESS,
    HOUR_MS,
    AddressFacts,
)
from usher.fraud.v1 import fraud_pb2

HOME_ACCOUNTS = 8
"""Accounts behind one address that may be one household."""
_HOME_CHURN = 0.5
"""Share of accounts of one day only, above which few accounts are passers-by rather than a home with guests."""
_FEW_DEVICES = 0.5
"""Devices an account, below which many accounts are run by a machine: a viewer has one or more."""
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
    """What an address is: network data first, then accounts, devices and churn.

    A home has few accounts that come back. A campus or business has many that come back, a carrier's gateway many that
    come and go, each with a device of its own. Many accounts on few devices are nobody's crowd: so looks a machine that
    runs them, in a data centre or anywhere else.
    """
    accounts, edges = known.accounts, known.edges
    seen = len(edges)
    days = [edge.days.bit_count() for edge in edges]
    regulars = sum(count >= REGULAR_DAYS for count in days) / seen if seen else 0.0
    churn = sum(count == 1 for count in days) / seen if seen else 0.0
    devices = round(known.devices * max(accounts, seen) / seen) if seen else 0
    kind = fraud_pb2.ADDRESS_CLASS_UNSPECIFIED
    flagged = [found for flag, found in _FLAGGED if flags & flag]
    if flagged:
        kind = flagged[0]
    elif 0 < accounts <= HOME_ACCOUNTS:
        if regulars > 0 and churn <= _HOME_CHURN:
            kind = fraud_pb2.ADDRESS_CLASS_HOUSEHOLD
    elif accounts:
        if known.devices and known.devices < _FEW_DEVICES * seen:
            kind = fraud_pb2.ADDRESS_CLASS_HOSTING
        elif regulars >= 0.5:
            kind = fraud_pb2.ADDRESS_CLASS_CAMPUS
        else:
            kind = fraud_pb2.ADDRESS_CLASS_CARRIER
    return Learnt(kind, regulars, churn, devices)


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
