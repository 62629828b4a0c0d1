"""How many acts each account did lately under a LIMIT: in this process, or shared by several through Redis.

An act is known by its event, so that one decided twice (a lost race, a repeat, another process) counts once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter

SPAN_MS = 3_600_000
"""Acts of the last hour count."""
MOST_ACCOUNTS = 100_000
"""Accounts counted in a process; the one that acted longest ago is forgotten."""
_BREAKER_S = 1.0
_TIMEOUT_S = 0.1


class Act(NamedTuple):
    """One act of one account under one entry."""

    entry_id: str
    user_key: bytes
    event_key: bytes
    limit: int
    """Acts within an hour that are not too many."""


class Acts(Protocol):
    """The counts."""

    async def add(self, acts: Sequence[Act], now_ms: int) -> list[int]:
        """Counts acts, in order; of each the acts of the last hour, itself included, as far as its limit plus one.

        Never raises.
        """
        ...

    async def close(self) -> None:
        """Gives connections back."""
        ...


class LocalActs:
    """Counts of this process."""

    def __init__(self, most: int = MOST_ACCOUNTS) -> None:
        self._most = most
        self._times: OrderedDict[tuple[str, bytes], dict[bytes, int]] = OrderedDict()

    async def add(self, acts: Sequence[Act], now_ms: int) -> list[int]:
        return [self._add(act, now_ms) for act in acts]

    def _add(self, act: Act, now_ms: int) -> int:
        key = (act.entry_id, act.user_key)
        times = {event: at for event, at in self._times.get(key, {}).items() if at > now_ms - SPAN_MS}
        times.setdefault(act.event_key, now_ms)
        # More than the limit plus one says nothing more.
        while len(times) > act.limit + 1:
            del times[next(iter(times))]
        self._times[key] = times
        self._times.move_to_end(key)
        while len(self._times) > self._most:
            self._times.popitem(last=False)
        return len(times)

    async def close(self) -> None:
        return None


_SCRIPT = """
local now, limit, span = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - span)
redis.call('ZADD', KEYS[1], 'NX', now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -(limit + 2))
redis.call('PEXPIRE', KEYS[1], span)
return redis.call('ZCARD', KEYS[1])
"""


class RedisActs:
    """Counts that all processes share: one round trip a batch, and none where nothing is limited.

    While the server is away each process counts for itself; `usher_limits_unshared_total` says how often.
    """

    def __init__(self, url: str, registry: CollectorRegistry, prefix: str = "usher:acts") -> None:
        import redis.asyncio

        self._client: Any = redis.asyncio.Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
        )
        self._prefix = prefix
        self._local = LocalActs()
        self._away_until = 0.0
        self._unshared = Counter(
            "usher_limits_unshared",
            "Acts under a limit counted in this process alone: Redis was away.",
            registry=registry,
        )

    async def add(self, acts: Sequence[Act], now_ms: int) -> list[int]:
        import redis.exceptions

        if time.monotonic() >= self._away_until:
            try:
                pipeline = self._client.pipeline(transaction=False)
                for act in acts:
                    key = f"{self._prefix}:{act.entry_id}:{act.user_key.hex()}"
                    pipeline.eval(_SCRIPT, 1, key, act.event_key, now_ms, act.limit, SPAN_MS)
                return [int(n) for n in await pipeline.execute()]
            except (redis.exceptions.RedisError, OSError):
                self._away_until = time.monotonic() + _BREAKER_S
        self._unshared.inc(len(acts))
        return await self._local.add(acts, now_ms)

    async def close(self) -> None:
        await self._client.aclose()


def open_acts(url: str | None, registry: CollectorRegistry) -> Acts:
    """The counts: shared where a Redis URL is given."""
    return LocalActs() if url is None else RedisActs(url, registry)
