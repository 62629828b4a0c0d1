"""Sightings for tests of fraud's memory."""

from __future__ import annotations

from typing import Any

from services.fraud.memory import (
    FAILED_AT_ADDRESS,
    FAILURES_AT_ADDRESS,
    FAILURES_OF_ACCOUNT,
    FAILURES_ON_DEVICE,
    HOUR_MS,
    Add,
    Read,
    Sighting,
)


def make_sighting(event_id: str, user: str, *, failed: bool = False, **values: Any) -> Sighting:
    """A sighting that asks the windows of failures, in the order account, device, address, accounts at the address."""
    device, address = values["device"], values["address"]
    reads = (
        Read(FAILURES_OF_ACCOUNT, user, HOUR_MS, event_id),
        Read(FAILURES_ON_DEVICE, device, HOUR_MS, event_id),
        Read(FAILURES_AT_ADDRESS, address, HOUR_MS, event_id),
        Read(FAILED_AT_ADDRESS, address, HOUR_MS, user),
    )
    adds: tuple[Add, ...] = ()
    if failed:
        adds = (Add(FAILURES_OF_ACCOUNT, user, event_id), Add(FAILURES_ON_DEVICE, device, event_id))
        if address:
            adds += (Add(FAILURES_AT_ADDRESS, address, event_id), Add(FAILED_AT_ADDRESS, address, user))
    return Sighting(event_id=event_id, user=user, reads=reads, adds=adds, **values)
