"""Who sends over HTTP, and how often: the API key that a request shows goes to ingest, which judges it; the limits of the
routes hold here, by the client's address.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar

from services.common.rates import Rate, Rates

KEY_PREFIX = "usk_"
PER_MINUTE: dict[str, int] = {
    "/": 100,
    "/api": 1_000,
    "/metrics": 100,
    "/events": 10_000,
    "/token": 100,
}
"""Requests a minute by route, from one address."""
USUAL_PER_MINUTE = 10_000
"""Of every other route, static files and health apart."""
KEYED_FACTOR = 10
"""A request with a key counts against its key, which ingest does; its address may have so many times as many."""

_FREE = frozenset({"/healthz", "/static/{file}"})
_OPEN = frozenset({"/", "/api", "/docs", "/openapi.json", "/healthz", "/metrics", "/static/{file}", "/token"})
_KEYED = frozenset(
    {
        "/events",
        "/api/v1/decisions",
        "/api/v1/decisions/{event_id}",
        "/api/v1/decision-stream",
        "/api/v1/accounting",
        "/api/v1/enforcements",
        "/api/v1/accounts",
        "/api/v1/labels",
    }
)
_presented: ContextVar[str | None] = ContextVar("usher_presented_key", default=None)


def note_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Keeps the key of a request for the calls that it causes; returns it, None where it shows none.

    Several that differ are passed on joined, so that ingest finds them invalid.
    """
    found: dict[str, None] = {}
    for name, value in headers:
        text = value.decode("latin-1").strip()
        if name == b"x-api-key":
            found[text] = None
        elif name == b"authorization":
            scheme, _, rest = text.partition(" ")
            if scheme.lower() == "bearer" and rest.strip().startswith(KEY_PREFIX):
                found[rest.strip()] = None
    key = ",".join(found) if found else None
    # gRPC refuses metadata with other characters before it sends them.
    if key is not None and not (key.isascii() and key.isprintable()):
        key = "invalid"
    _presented.set(key)
    return key


def metadata() -> tuple[tuple[str, str], ...]:
    """What a call to ingest carries for the request that is being answered."""
    key = _presented.get()
    return () if key is None else (("x-api-key", key),)


def needs_key(route: str) -> bool:
    """Whether a route is for senders and their decisions: ingest judges the key."""
    return route in _KEYED


def is_closed(route: str) -> bool:
    """Whether no key opens a route: what lies behind it does not judge keys."""
    return route not in _KEYED and route not in _OPEN


class RouteLimits:
    """The limits of the routes."""

    def __init__(self, rates: Rates) -> None:
        self._rates = rates

    async def take(self, route: str, address: str, keyed: bool) -> tuple[float, int]:
        """Counts a request; returns (seconds to wait, 0 where it may go on; the limit a minute)."""
        if route in _FREE:
            return 0.0, 0
        limit = PER_MINUTE.get(route, USUAL_PER_MINUTE) * (KEYED_FACTOR if keyed else 1)
        name = f"{'keyed' if keyed else 'route'}:{route}:{address}"
        return await self._rates.take(name, Rate(limit, 60.0)), limit
