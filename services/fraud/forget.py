"""Forgetting one account in the memory in process, and telling what it holds of one.

Every table is read through: there is no way from an account to its devices but through all of them, and erasures are
rare. A device, payment instrument or address that nobody else was seen on goes with the account.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

from services.fraud.acts import NAMES
from services.fraud.memory import OF_ACCOUNT, OF_EVENTS, PLACE_BYTES, unpack_acts, unpack_place
from services.fraud.memory_process import KINDS, SHARDS, TABLES, ProcessMemory, TenantMemory, Window


class SubjectMemory(ProcessMemory):
    """`ProcessMemory` that can tell and forget one account."""

    async def told(self, tenant: str, account: str) -> list[tuple[str, dict[str, Any]]]:
        memory = self.tenants.get(tenant)
        found: list[tuple[str, dict[str, Any]]] = []
        if memory is not None:
            for table, number in shards():
                found += told_shard(memory, table, number, account)
                await asyncio.sleep(0)
        return found

    async def forget(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        memory = self.tenants.get(tenant)
        if memory is None:
            return 0
        event_ids |= events_of(memory, account)
        taken = 0
        for table, number in shards():
            taken += forget_shard(memory, table, number, account, event_ids).total()
            await asyncio.sleep(0)
        memory.leave(account)
        return taken

    async def holds(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        memory = self.tenants.get(tenant)
        if memory is None:
            return 0
        found = int(account in memory.components)
        for table, number in shards():
            found += count_shard(memory, table, number, account, event_ids)
            await asyncio.sleep(0)
        return found

    async def accounts(self) -> AsyncIterator[tuple[str, str, int]]:
        for tenant, memory in list(self.tenants.items()):
            for shard in memory.tables["accounts"].shards:
                for account, entry in list(shard.items()):
                    yield tenant, account, entry.seen_ms


def forget_shard(
    memory: TenantMemory, table: str, number: int, user: str, event_ids: frozenset[str]
) -> Counter[str]:
    """Takes an account and its events out of one shard of one table; returns what was taken out."""
    # What was counted of addresses may count the account.
    memory.crowds.clear()
    shard = memory.tables[table].shards[number]
    taken: Counter[str] = Counter()
    for key in list(shard):
        value = shard[key]
        if key == user if table == "accounts" else table == "windows" and _owner(key) == user:
            del shard[key]
            taken[table] += 1
            continue
        touched, empty = _without(value, user, event_ids)
        taken[table] += touched
        if empty:
            del shard[key]
            component = memory.components.get(user)
            if component is not None and table in KINDS:
                component.resources.pop((KINDS[table], key), None)
    return taken


def events_of(memory: TenantMemory, user: str) -> frozenset[str]:
    """Ids of the account's events that are still remembered."""
    windows = [memory.tables["windows"].get(f"{kind}:{user}") for kind in OF_EVENTS]
    return frozenset(member for window in windows if window is not None for member in window.times)


def _owner(key: str) -> str:
    """The account whose window it is; empty: it is of a device, an address or the like."""
    kind, _, name = key.partition(":")
    return name if kind in OF_ACCOUNT else ""


def count_shard(memory: TenantMemory, table: str, number: int, user: str, event_ids: frozenset[str]) -> int:
    """Entries of one shard that name an account or one of its events, wherever in them."""
    named = event_ids | {user}
    return sum(
        not named.isdisjoint((key, _owner(key))) or not named.isdisjoint(_texts(value))
        for key, value in memory.dump_shard(table, number).items()
    )


def told_shard(
    memory: TenantMemory, table: str, number: int, user: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What one shard holds of an account: (store, row). Nobody else is named."""
    shard = memory.tables[table].shards[number]
    if table == "accounts":
        entry = shard.get(user)
        if entry is not None:
            yield "account", told_account(entry.household, entry.created_ms, len(entry.devices))
            for part in _cut(entry.places, PLACE_BYTES):
                yield "places", next(told_places([part]))
            for row in told_acts(entry.acts):
                yield "acts", row
            for name, stream in (entry.streams or {}).items():
                yield "streams", told_stream(name, *stream)
            for name in entry.soft:
                yield (
                    "recent",
                    {"kind": KIND_NAMES[name[0]], "name": name[2:], "last_seen_ms": entry.soft[name]},
                )
        return
    for key, value in shard.items():
        if table in KINDS and user in value:
            yield "edges", told_edge(KINDS[table], key, *value[user])
        elif table == "windows" and _owner(key) == user:
            for member, time_ms in value.times.items():
                yield "windows", told_member(key, member, time_ms)


KIND_NAMES = {"d": "device", "p": "payment", "i": "address", "e": "email_domain", "s": "signup_address"}


def told_account(household: str, created_ms: int, devices: int) -> dict[str, Any]:
    """An account as people read it."""
    return {"household": household or None, "created_ms": created_ms or None, "devices": devices}


def told_edge(kind: str, name: str, first_ms: int, last_ms: int, days: int) -> dict[str, Any]:
    """An edge as people read it."""
    row = {"kind": KIND_NAMES[kind], "name": name, "first_seen_ms": first_ms, "last_seen_ms": last_ms}
    return {**row, "days_of_last_30": days.bit_count()}


def told_member(window: str, member: str, time_ms: int) -> dict[str, Any]:
    """A member of a window of the account's own as people read it."""
    return {"window": window.partition(":")[0], "member": member, "time_ms": time_ms}


def told_acts(packed: bytes) -> list[dict[str, Any]]:
    """Acts as people read them."""
    return [{"time_ms": act.time_ms, "act": NAMES[act.kind]} for act in unpack_acts(packed)]


def told_stream(name: str, last_ms: int, ended_ms: int, device: str, address: str) -> dict[str, Any]:
    """A stream as people read it."""
    return {
        "stream": name,
        "last_ms": last_ms,
        "ended_ms": ended_ms or None,
        "device": device,
        "address": address,
    }


def _cut(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def told_places(packed: list[bytes]) -> Iterator[dict[str, Any]]:
    """Sightings as people read them."""
    for one in packed:
        place = unpack_place(one)
        country = bytes((place.country >> 8, place.country & 0xFF)).decode("ascii", "replace")
        yield {
            "time_ms": place.time_ms,
            "latitude": place.latitude_e4 / 10_000,
            "longitude": place.longitude_e4 / 10_000,
            "accuracy_km": place.accuracy_km,
            "country": country if place.country else None,
            "network": place.asn or None,
        }


def _without(value: Any, user: str, event_ids: frozenset[str]) -> tuple[int, bool]:
    """(entries taken out, whether nothing is left)."""
    if isinstance(value, Window):
        return value.discard(event_ids | {user}), not value.order
    if isinstance(value, dict) and user in value:
        del value[user]
        # What is left may be the marker of a set that overflowed, which names nobody.
        return 1, not any(value)
    return 0, False


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def shards() -> Iterator[tuple[str, int]]:
    """Every (table, shard)."""
    for table in TABLES:
        for number in range(SHARDS):
            yield table, number
