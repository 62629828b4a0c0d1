"""The memory in Redis or Valkey (7 or newer), shared by replicas: one script call, one round trip, a batch.

Keys are `{<prefix>}:[<tenant>]:<kind>:<name>`, and `{<prefix>}:applied` for all tenants: with the prefix as hash tag a
script touches one slot of a cluster.
Every key expires a retention, or up to a day more, after it was last written: expiry is set anew on the first event of a
day. `applied` never expires. The rules are those of `memory`, in
`observe.lua`; the contract suite holds both implementations to the same answers.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import redis.asyncio
import redis.exceptions

from services.common.config import ConfigError
from services.common.errors import Unavailable
from services.fraud.forget import (
    KIND_NAMES,
    told_account,
    told_acts,
    told_edge,
    told_member,
    told_places,
    told_stream,
)
from services.fraud.memory import (
    ACTS_CAP,
    ADDRESS_WINDOW_MS,
    ADDRESS_WINDOWS,
    COMPONENT_CAP,
    COMPONENT_RESOURCES_CAP,
    DEGREE_CAP,
    DEVICES_CAP,
    EDGE_RETENTION_MS,
    EDGE_WINDOW_MS,
    FEW_DEVICES,
    HOME_ACCOUNTS,
    LATENESS_MS,
    OF_ACCOUNT,
    OF_EVENTS,
    SIGHTINGS_CAP,
    SOFT_CAP,
    STREAMS_CAP,
    WINDOW_CAP,
    WINDOWS,
    AccountFacts,
    AddressFacts,
    Component,
    Crowd,
    Edge,
    Observation,
    Resource,
    Sighting,
    Stream,
    estimate,
    pack_act,
    priority,
)
from services.fraud.memory_process import newest_first, raise_if_behind

SCRIPT = (Path(__file__).parent / "observe.lua").read_text()
FORGET = (Path(__file__).parent / "forget.lua").read_text()
# Kinds of keys by what they hold; the others are sorted sets.
_EDGES = ("d", "p", "i", "e", "s")
_HASHES = frozenset(("a", "t", *_EDGES))
_SETS = frozenset(("m", "r"))
_STRINGS = frozenset(("c", "z"))
# Keys that are an account's own.
_OWN = ("a", "c", "l", "k", "t", "x", "v", "m", "r", "z", *(f"w:{kind}" for kind in sorted(OF_ACCOUNT)))
LIMITS = orjson.dumps(
    {
        "degree_cap": DEGREE_CAP,
        "window_cap": WINDOW_CAP,
        "sightings_cap": SIGHTINGS_CAP,
        "component_cap": COMPONENT_CAP,
        "resources_cap": COMPONENT_RESOURCES_CAP,
        "acts_cap": ACTS_CAP,
        "streams_cap": STREAMS_CAP,
        "soft_cap": SOFT_CAP,
        "devices_cap": DEVICES_CAP,
        "home_accounts": HOME_ACCOUNTS,
        "few_devices": FEW_DEVICES,
        "edge_window": EDGE_WINDOW_MS,
        "address_window": ADDRESS_WINDOW_MS,
        "edge_retention": EDGE_RETENTION_MS,
        "lateness": LATENESS_MS,
    }
)
PREFIX = "usher:fraud"
"""First part of every key."""
CHUNK = 256
"""Sightings of one script call: the server does nothing else meanwhile."""
_RETRY_AFTER = 0.5


def applied_key(prefix: str) -> str:
    """Key of what is applied through."""
    return f"{{{prefix}}}:applied"


def tenant_prefix(prefix: str, tenant: str) -> str:
    """What all keys of a tenant begin with."""
    # Brackets are in no identifier: a tenant "a:d" cannot reach the keys of tenant "a".
    return f"{{{prefix}}}:[{tenant}]:"


def literally(text: str) -> str:
    """The pattern of Redis that matches a text alone."""
    return re.sub(r"([\\\[\]*?])", r"\\\1", text)


class RedisMemory:
    """The memory of all tenants on a Redis-compatible server.

    Args:
        url: `redis://`, `rediss://` or `unix://` address with its database; may hold a password.
        allow_volatile: accepts a server that may evict or forget state (development only).
        prefix: first part of every key.
        timeout: seconds for one round trip.
    """

    def __init__(
        self, url: str, *, allow_volatile: bool = False, prefix: str = PREFIX, timeout: float = 1.0
    ) -> None:
        self._client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            url, socket_timeout=timeout, socket_connect_timeout=timeout
        )
        self._script = self._client.register_script(SCRIPT)
        self._forget = self._client.register_script(FORGET)
        self._allow_volatile = allow_volatile
        self._prefix = prefix
        self._applied = applied_key(prefix)

    async def open(self) -> None:
        """Checks version, eviction and append-only file.

        Raises ConfigError with every problem, Unavailable where the server does not answer.
        """
        with _typed():
            info = await self._client.info("server", "memory", "persistence")
        problems = []
        version = str(info.get("redis_version", "0"))
        if int(version.split(".")[0]) < 7:
            problems.append(f"the Redis server is version {version}: use Redis or Valkey 7 or newer")
        if not self._allow_volatile:
            policy = info.get("maxmemory_policy")
            if policy != "noeviction":
                problems.append(
                    f"the Redis server's maxmemory-policy is {policy}, which evicts state: set it to noeviction, "
                    "or set USHER_FRAUD_ALLOW_VOLATILE_MEMORY=true for development"
                )
            if int(info.get("aof_enabled", 0)) != 1:
                problems.append(
                    "the Redis server keeps no append-only file, so a restart loses state: set appendonly yes, "
                    "or set USHER_FRAUD_ALLOW_VOLATILE_MEMORY=true for development"
                )
        if problems:
            raise ConfigError(problems)

    async def close(self) -> None:
        await self._client.aclose()

    async def healthy(self) -> None:
        with _typed():
            await self._client.ping()

    async def observe(
        self, tenant: str, sightings: Sequence[Sighting], *, committed_through_ms: int, batch_time_ms: int
    ) -> list[Observation]:
        answers: list[Observation] = []
        parts = list(_chunks(sightings))
        for number, part in enumerate(parts, start=1):
            # Applied through moves with the last part: a call cut short has not applied its batch.
            through = batch_time_ms if number == len(parts) else 0
            rows = await self._call(tenant, part, committed_through_ms, through)
            raise_if_behind(rows[0], committed_through_ms)
            answers.extend(map(_observation, rows[1:]))
        return answers

    async def restore(self, tenant: str, sightings: Sequence[Sighting], *, complete_through_ms: int) -> int:
        parts = list(_chunks(sightings))
        through = 0
        for number, part in enumerate(parts, start=1):
            rows = await self._call(tenant, part, 0, complete_through_ms if number == len(parts) else 0)
            through = rows[0]
        return through

    async def applied_through(self) -> int:
        with _typed():
            return int(await self._client.get(self._applied) or 0)

    async def component(self, tenant: str, account: str) -> Component | None:
        prefix = self._key(tenant)
        with _typed():
            root = await self._client.get(f"{prefix}c:{account}")
            if root is None:
                return None
            name = root.decode() if isinstance(root, bytes) else root
            pipe = self._client.pipeline(transaction=False)
            pipe.smembers(f"{prefix}m:{name}")
            pipe.smembers(f"{prefix}r:{name}")
            members, resources = await pipe.execute()
            accounts = sorted(member.decode() for member in members)
            shared = sorted(resource.decode() for resource in resources)
            pipe = self._client.pipeline(transaction=False)
            for member in accounts:
                pipe.hmget(f"{prefix}a:{member}", "h", "c")
            for member in accounts:
                pipe.zcard(f"{prefix}v:{member}")
            for member in accounts:
                pipe.zrange(f"{prefix}x:{member}", 0, -1)
            rows = await pipe.execute()
            many = len(accounts)
            soft = {name.decode() for names in rows[2 * many :] for name in names}
            shared += sorted(soft)
            pipe = self._client.pipeline(transaction=False)
            for resource in shared:
                pipe.hgetall(prefix + resource)
            found = await pipe.execute()
        facts = {
            member: AccountFacts((row[0] or b"").decode(), int(row[1] or 0), devices)
            for member, row, devices in zip(accounts, rows[:many], rows[many : 2 * many], strict=True)
        }
        listed = []
        for resource, row in zip(shared, found, strict=True):
            kind, _, resource_name = resource.partition(":")
            edges = [
                Edge(user.decode(), *map(int, value.split(b",")[:3]))
                for user, value in row.items()
                if user.decode() in facts
            ]
            if edges:
                marker = row.get(b"")
                kept = len(row) - (marker is not None)
                total = estimate(kept, kept, -1 if marker is None else int(marker))
                listed.append(Resource(kind, resource_name, edges, marker is not None, total))
        return Component(facts, listed)

    async def address(self, tenant: str, address: str) -> AddressFacts:
        prefix = self._key(tenant)
        with _typed():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(f"{prefix}i:{address}")
            for kind in ADDRESS_WINDOWS:
                pipe.zcard(f"{prefix}w:{kind}:{address}")
                pipe.zrange(f"{prefix}w:{kind}:{address}", -1, -1, withscores=True)
            row, *found = await pipe.execute()
        edges = [Edge(user.decode(), *map(int, value.split(b",")[:3])) for user, value in row.items() if user]
        with _typed():
            pipe = self._client.pipeline(transaction=False)
            for edge in edges:
                pipe.zrange(f"{prefix}v:{edge.account}", 0, -1)
            devices = {device for of_account in await pipe.execute() for device in of_account}
        total = estimate(len(edges), len(edges), int(row.get(b"", -1)))
        windows = {
            kind: (count, int(newest[0][1]))
            for kind, count, newest in zip(ADDRESS_WINDOWS, found[::2], found[1::2], strict=True)
            if count
        }
        return AddressFacts(total, edges, windows, len(devices))

    async def told(self, tenant: str, account: str) -> list[tuple[str, dict[str, Any]]]:
        prefix = self._key(tenant)
        found: list[tuple[str, dict[str, Any]]] = []
        with _typed():
            known: Any = await self._client.hgetall(f"{prefix}a:{account}")
            facts = {key.decode(): value.decode() for key, value in known.items()}
            if facts:
                created = int(facts.get("c", 0))
                devices = int(await self._client.zcard(f"{prefix}v:{account}"))
                found.append(("account", told_account(facts.get("h", ""), created, devices)))
            places: Any = await self._client.zrange(f"{prefix}l:{account}", 0, -1)
            found += [("places", one) for one in told_places([bytes.fromhex(p.decode()) for p in places])]
            acts: Any = await self._client.zrange(f"{prefix}k:{account}", 0, -1)
            packed = b"".join(bytes.fromhex(act.decode()) for act in acts)
            found += [("acts", row) for row in told_acts(packed)]
            streams: Any = await self._client.hgetall(f"{prefix}t:{account}")
            for name, stream in streams.items():
                found.append(("streams", told_stream(name.decode(), *orjson.loads(stream))))
            recent: Any = await self._client.zrange(f"{prefix}x:{account}", 0, -1, withscores=True)
            for raw, score in recent:
                kind, name = raw.decode().split(":", 1)
                found.append(("recent", {"kind": KIND_NAMES[kind], "name": name, "last_seen_ms": int(score)}))
            for window in sorted(OF_ACCOUNT):
                members: Any = await self._client.zrange(
                    f"{prefix}w:{window}:{account}", 0, -1, withscores=True
                )
                for member, score in members:
                    found.append(("windows", told_member(window, member.decode(), int(score))))
            async for keys in self._scan(prefix):
                hashes = [key for key in keys if key[len(prefix) :].partition(":")[0] in _EDGES]
                values = await self._fields(hashes, account)
                for key, value in zip(hashes, values, strict=True):
                    if value is not None:
                        kind, name = key[len(prefix) :].split(":", 1)
                        first, last, days = map(int, value.split(b",")[:3])
                        found.append(("edges", told_edge(kind, name, first, last, days)))
        return found

    async def forget(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        prefix = self._key(tenant)
        taken = 0
        with _typed():
            known: set[str] = set(event_ids)
            for window in sorted(OF_EVENTS):
                members: Any = await self._client.zrange(f"{prefix}w:{window}:{account}", 0, -1)
                known.update(member.decode() for member in members)
            events = orjson.dumps(sorted(known))
            async for keys in self._scan(prefix):
                taken += await self._forget(
                    keys=[self._applied], args=[prefix, account, events, orjson.dumps(keys), "0"]
                )
            taken += await self._forget(keys=[self._applied], args=[prefix, account, events, b"[]", "1"])
        return int(taken)

    async def holds(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        prefix = self._key(tenant)
        named = {one.encode() for one in event_ids | {account}}
        own = {f"{prefix}{kind}:{account}" for kind in _OWN}
        found = 0
        with _typed():
            async for keys in self._scan(prefix):
                pipe = self._client.pipeline(transaction=False)
                for key in keys:
                    kind = key[len(prefix) :].partition(":")[0]
                    if kind in _HASHES:
                        pipe.hkeys(key)
                    elif kind in _SETS:
                        pipe.smembers(key)
                    elif kind in _STRINGS:
                        pipe.get(key)
                    else:
                        pipe.zrange(key, 0, -1)
                for key, content in zip(keys, await pipe.execute(), strict=True):
                    members = {content} if isinstance(content, bytes) else set(content or ())
                    found += key in own or not named.isdisjoint(members)
        return found

    async def accounts(self) -> AsyncIterator[tuple[str, str, int]]:
        head = f"{{{self._prefix}}}:["
        with _typed():
            async for keys in self._scan(head):
                for key in keys:
                    tenant, _, rest = key[len(head) :].partition("]:")
                    if rest.startswith("a:"):
                        newest: Any = await self._client.hget(key, "n")
                        yield tenant, rest[2:], int(newest or 0)

    async def _scan(self, prefix: str) -> AsyncIterator[list[str]]:
        """Keys that begin so, in pieces; a key may come twice."""
        pattern = literally(prefix) + "*"
        cursor: Any = 0
        while True:
            keys: Any
            cursor, keys = await self._client.scan(cursor, match=pattern, count=CHUNK)
            if keys:
                yield [key.decode() for key in keys]
            if not cursor:
                return

    async def _fields(self, keys: Sequence[str], field: str) -> list[bytes | None]:
        if not keys:
            return []
        pipe = self._client.pipeline(transaction=False)
        for key in keys:
            pipe.hget(key, field)
        return list(await pipe.execute())

    def _key(self, tenant: str) -> str:
        return tenant_prefix(self._prefix, tenant)

    async def _call(
        self, tenant: str, sightings: Sequence[Sighting], committed_through_ms: int, through_ms: int
    ) -> list:
        prefix = self._key(tenant)
        rows = [_row(sighting) for sighting in sightings]
        with _typed():
            return await self._script(
                keys=[self._applied],
                args=[prefix, committed_through_ms, through_ms, LIMITS, orjson.dumps(rows)],
            )


def _row(sighting: Sighting) -> list:
    time_ms = sighting.time_ms
    act = sighting.act
    return [
        *sighting[:7],
        sighting.place.hex(),
        sighting.domain,
        sighting.signup,
        sighting.created_ms,
        pack_act(time_ms, sighting.event_id, act, sighting.device).hex() if act else "",
        sighting.stream,
        int(sighting.ended),
        [(f"{kind}:{key}", time_ms - within, excluded) for kind, key, within, excluded in sighting.reads],
        [(f"{kind}:{key}", member, WINDOWS[kind].span_ms) for kind, key, member in sighting.adds],
        priority(sighting.user),
        zlib.crc32(sighting.device.encode()),
    ]


def _observation(row: list) -> Observation:
    da, dn, dt, pa, pn, pt, aa, an, at, device_since, address_since, address_days, counts, *rest = row
    before, after, acts, streams, root, members, ties, (people, regulars, once, few) = rest
    return Observation(
        estimate(da, dn, dt),
        estimate(pa, pn, pt),
        estimate(aa, an, at),
        device_since,
        address_since,
        address_days,
        tuple(counts),
        bytes.fromhex(before.decode()) if before else b"",
        bytes.fromhex(after.decode()) if after else b"",
        bytes.fromhex(acts.decode()) if acts else b"",
        tuple(sorted((Stream(*orjson.loads(stream)) for stream in streams), key=newest_first)),
        root.decode(),
        members,
        ties,
        Crowd(people, regulars, once, bool(few)),
    )


def _chunks(sightings: Sequence[Sighting]) -> Iterator[Sequence[Sighting]]:
    # An empty batch is one chunk: it may move applied through.
    for start in range(0, max(1, len(sightings)), CHUNK):
        yield sightings[start : start + CHUNK]


@contextlib.contextmanager
def _typed() -> Iterator[None]:
    try:
        yield
    except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError) as error:
        raise Unavailable(
            "MEMORY_UNREACHABLE", "the fraud memory's server does not answer", retry_after=_RETRY_AFTER
        ) from error
