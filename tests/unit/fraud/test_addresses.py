"""Classes of addresses, learnt from simulated accounts, devices and churn."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from services.common.address_ranges import HOSTING, SHARED, VPN
from services.fraud.addresses import Learnt, learnt_class
from services.fraud.memory import DAY_MS, AddressFacts
from services.fraud.memory_process import TenantMemory
from tests.sightings import make_sighting
from usher.fraud.v1 import fraud_pb2

NOW = 1_795_348_800_000
ADDRESS = "203.0.113.7"
Visits = list[tuple[str, str, int]]
"""(account, device, day)."""


def household(rng: random.Random) -> Visits:
    """Two to five people, a television that they share, a telephone each, most days of three weeks; a guest once."""
    people = [f"member{n}" for n in range(rng.randint(2, 5))]
    visits = [
        (one, rng.choice(["tv", f"phone-{one}"]), day)
        for one in people
        for day in range(21)
        if rng.random() < 0.7
    ]
    return [*visits, ("guest", "phone-guest", 11)]


def campus(rng: random.Random) -> Visits:
    """Three hundred students with one or two devices each, on the days of the week."""
    return [
        (f"student{n}", f"device{n}-{rng.randint(0, 1)}", day)
        for n in range(300)
        for day in range(21)
        if day % 7 < 5 and rng.random() < 0.6
    ]


def carrier(rng: random.Random) -> Visits:
    """A gateway of a carrier: five hundred subscribers a day out of many, each with a telephone of its own."""
    return [
        (f"subscriber{number}", f"phone{number}", day)
        for day in range(14)
        for number in rng.sample(range(20_000), 200)
    ]


def machines(rng: random.Random) -> Visits:
    """A server that runs hundreds of accounts on a dozen emulated devices."""
    return [(f"bot{n}", f"emulator{rng.randint(0, 11)}", rng.randint(0, 13)) for n in range(400)]


def passers_by(rng: random.Random) -> Visits:
    """Six strangers, once each."""
    return [(f"stranger{n}", f"phone{n}", rng.randint(0, 13)) for n in range(6)]


def learnt(visits: Visits, flags: int = 0) -> Learnt:
    memory = TenantMemory(1 << 16)
    for number, (account, device, day) in enumerate(sorted(visits, key=lambda visit: visit[2])):
        moment = NOW - (30 - day) * DAY_MS + number
        values = {"payment": "", "household": "", "place": b"", "time_ms": moment}
        memory.observe(make_sighting(f"e{number}", account, device=device, address=ADDRESS, **values))
    return learnt_class(flags, memory.address(ADDRESS))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("visits", "expected"),
    [
        (household, fraud_pb2.ADDRESS_CLASS_HOUSEHOLD),
        (campus, fraud_pb2.ADDRESS_CLASS_CAMPUS),
        (carrier, fraud_pb2.ADDRESS_CLASS_CARRIER),
        (machines, fraud_pb2.ADDRESS_CLASS_HOSTING),
        (passers_by, fraud_pb2.ADDRESS_CLASS_UNSPECIFIED),
    ],
)
def test_a_class_is_learnt(
    visits: Callable[[random.Random], Visits], expected: fraud_pb2.AddressClass, seed: int
) -> None:
    assert learnt(visits(random.Random(seed))).kind == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (VPN, fraud_pb2.ADDRESS_CLASS_VPN),
        (HOSTING, fraud_pb2.ADDRESS_CLASS_HOSTING),
        (SHARED, fraud_pb2.ADDRESS_CLASS_CARRIER),
    ],
)
def test_network_data_come_first(flags: int, expected: fraud_pb2.AddressClass) -> None:
    assert learnt(household(random.Random(1)), flags).kind == expected


def test_devices_and_churn_are_told() -> None:
    found = learnt([("a", "tv", 1), ("a", "tv", 2), ("a", "phone", 3), ("b", "tv", 4)])
    assert (found.devices, found.churn, found.regulars) == (2, 0.5, 0.5)


def test_nothing_is_known_of_an_address_that_nobody_used() -> None:
    assert learnt_class(0, AddressFacts(0, [], {})) == Learnt(
        fraud_pb2.ADDRESS_CLASS_UNSPECIFIED, 0.0, 0.0, 0
    )
