"""Streams at once, and what they tell of sharing: a household, casual sharing, or an account sold to strangers. Pure.

A stream lives by its heartbeats (60 s; 90 with slack), as in Adobe's concurrency monitoring. Home is an address where
the account was on three days or more; what runs away from home at the same time is what sharing shows. A household
that travels, a second home or a grown-up child gives one place more: caution and an offer, never a block.
"""

from __future__ import annotations

from typing import NamedTuple

from services.fraud.acts import network_of
from services.fraud.memory import DAY_MS, REGULAR_DAYS, Observation, Sighting
from services.fraud.parameters import SharingParameters

ALIVE_MS = 90_000


class Sharing(NamedTuple):
    """What an account's streams tell."""

    concurrent: int
    """Other streams alive."""
    over_limit: int
    """Streams above the plan's limit, this one counted."""
    places: int
    """Networks (/24, /48) with a stream alive, this one counted."""
    sharing: float
    """0 to 1."""
    resale: float
    """0 to 1."""


NOT_SHARED = Sharing(0, 0, 0, 0.0, 0.0)
_ALONE_HERE = NOT_SHARED._replace(places=1)


def streaming(seen: Observation, sighting: Sighting, limit: int, parameters: SharingParameters) -> Sharing:
    """What the streams of an account tell at one of its heartbeats.

    Args:
        limit: streams that the plan allows; 0: not told.
    """
    if sighting.ended:
        return NOT_SHARED
    now = sighting.time_ms
    alive = []
    day = []
    devices_of_day = {sighting.device}
    for stream in seen.streams:
        age = abs(now - stream.last_ms)
        if age <= DAY_MS:
            day.append(stream)
            devices_of_day.add(stream.device)
            if age <= ALIVE_MS and stream.ended_ms < stream.last_ms:
                alive.append(stream)
    if not alive and len(devices_of_day) < parameters.resale_places.start:
        return _ALONE_HERE if sighting.address else NOT_SHARED
    here = _network(sighting.address)
    places = {here, *(_network(stream.address) for stream in alive)} - {""}
    places_of_day = {here, *(_network(stream.address) for stream in day)} - {""}
    over = max(0, len(alive) + 1 - limit) if limit else 0
    at_home = seen.address_days.bit_count() >= REGULAR_DAYS
    away = len(places) - 1
    sharing = parameters.away.risk(away) if alive else 0.0
    if over and away:
        sharing = max(sharing, parameters.over_limit.risk(over))
    if at_home and len(places) <= 1:
        sharing = 0.0
    # Strangers: many networks and many devices within a day, more than a family on its ways has.
    many = min(len(places_of_day), len(devices_of_day))
    resale = parameters.resale_places.risk(many)
    return Sharing(len(alive), over, len(places), sharing, resale)


def _network(address: str) -> str:
    return network_of(address) if address else ""
