"""Rates: token buckets by name, in this process or shared by several through Redis.

A bucket is one number, the time at which it will be full again: the generic cell rate algorithm (ITU-T I.371, annex A),
which answers as a token bucket does and says exactly when to come back.
"""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter

MOST_BUCKETS = 100_000
"""Buckets kept in a process, about 200 bytes each; the one that was idle longest is forgotten (and so is full)."""

_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
_RATE = re.compile(r"([1-9][0-9]{0,11})/(second|minute|hour|day)")
_BREAKER_S = 1.0
_TIMEOUT_S = 0.1


class Rate(NamedTuple):
    """So many in so much time. A bucket holds `number` when full."""

    number: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Tokens that flow in a second."""
        return self.number / self.seconds


def parse_rate(text: str) -> Rate:
    """Reads `10000/minute`; the units are second, minute, hour and day. Raises ValueError."""
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is no rate: write 10000/minute (second, minute, hour, day)")
    return Rate(int(match[1]), _SECONDS[match[2]])


def take(full_at: float, now: float, cost: float, rate: Rate) -> tuple[float, float]:
    """Takes `cost` tokens from the bucket that is full at `full_at`: returns (when it is full then, seconds to wait).

    With a wait above 0 nothing was taken. A cost beyond the whole bucket is granted when the bucket is full, and
    paid off afterwards: a large batch is late, not impossible.
    """
    full = max(full_at, now) + cost / rate.per_second
    wait = full - now - max(rate.number, cost) / rate.per_second
    # A rounding error of the clock's own resolution is no reason to wait.
    return (full_at, wait) if wait > 1e-6 else (full, 0.0)


class Rates(Protocol):
    """Buckets by name."""

    async def take(self, name: str, rate: Rate, cost: float = 1) -> float:
        """Takes from a bucket; returns 0, or the seconds after which the same may be taken. Never raises."""
        ...

    async def close(self) -> None:
        """Gives connections back."""
        ...


class LocalRates:
    """Buckets in this process."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._full_at)

    def take_now(self, name: str, rate: Rate, cost: float = 1) -> float:
        """As `take`."""
        now = time.monotonic()
        full_at, wait = take(self._full_at.get(name, 0.0), now, cost, rate)
        self._full_at[name] = full_at
        self._full_at.move_to_end(name)
        if len(self._full_at) > self._most:
            self._full_at.popitem(last=False)
        return wait

    async def take(self, name: str, rate: Rate, cost: float = 1) -> float:
        return self.take_now(name, rate, cost)

    async def close(self) -> None:
        return None


_SCRIPT = """
local now = redis.call('TIME')
now = tonumber(now[1]) + tonumber(now[2]) / 1e6
local cost, number, seconds = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + cost * seconds / number
local wait = full - now - math.max(number, cost) * seconds / number
if wait > 1e-6 then return string.format('%.6f', wait) end
redis.call('SET', KEYS[1], string.format('%.6f', full), 'PX', math.ceil((full - now) * 1000) + 1000)
return '0'
"""


class RedisRates:
    """Buckets that all processes share, by the server's clock: one round trip each.

    While the server is away each process counts for itself, so that a limit holds per process and nobody is refused for
    want of it; `usher_rates_unshared_total` says how often.
    """

    def __init__(self, url: str, registry: CollectorRegistry, prefix: str = "usher:rate") -> None:
        import redis.asyncio

        self._client: Any = redis.asyncio.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        self._script = self._client.register_script(_SCRIPT)
        self._prefix = prefix
        self._local = LocalRates()
        self._away_until = 0.0
        self._unshared = Counter(
            "usher_rates_unshared",
            "Buckets counted in this process alone: Redis was away.",
            registry=registry,
        )

    async def take(self, name: str, rate: Rate, cost: float = 1) -> float:
        import redis.exceptions

        if time.monotonic() >= self._away_until:
            try:
                answer = await self._script(
                    keys=[f"{self._prefix}:{name}"], args=[cost, rate.number, rate.seconds]
                )
                return float(answer)
            except (redis.exceptions.RedisError, OSError):
                self._away_until = time.monotonic() + _BREAKER_S
        self._unshared.inc()
        return self._local.take_now(name, rate, cost)

    async def close(self) -> None:
        await self._client.aclose()


def open_rates(url: str | None, registry: CollectorRegistry) -> Rates:
    """The buckets: shared where a Redis URL is given."""
    return LocalRates() if url is None else RedisRates(url, registry)


def whole_seconds(wait: float) -> int:
    """A wait as `Retry-After` states it: whole seconds, rounded up, at least 1."""
    return max(1, math.ceil(wait))
