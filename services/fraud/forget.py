"""Forgetting one account in the memory in process, and telling what it holds of one.

Every table is read through: there is no way from an account to its devices but through all of them, and erasures are
rare. A device, payment instrument or address that nobody else was seen on goes with the account.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

from services.fraud.memory import DEVICE, PAYMENT, PLACE_BYTES, unpack_place
from services.fraud.memory_process import SHARDS, TABLES, AddressFailures, ProcessMemory, TenantMemory, Window


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
                    newest = int.from_bytes(entry[4][-PLACE_BYTES:][:8])
                    yield tenant, account, max(entry[0], entry[2], newest)


def forget_shard(
    memory: TenantMemory, table: str, number: int, user: str, event_ids: frozenset[str]
) -> Counter[str]:
    """Takes an account and its events out of one shard of one table; returns what was taken out."""
    shard = memory.tables[table].shards[number]
    taken: Counter[str] = Counter()
    for key in list(shard):
        value = shard[key]
        if table in ("accounts", "account_failures") and key == user:
            del shard[key]
            taken[table] += 1
            continue
        touched, empty = _without(value, user, event_ids)
        taken[table] += touched
        if empty:
            del shard[key]
            component = memory.components.get(user)
            if component is not None and table in _KINDS:
                component.resources.pop((_KINDS[table], key), None)
    return taken


def events_of(memory: TenantMemory, user: str) -> frozenset[str]:
    """Ids of the account's failed sign-ins that are still remembered."""
    window: Window | None = memory.tables["account_failures"].get(user)
    return frozenset() if window is None else frozenset(window.times)


def count_shard(memory: TenantMemory, table: str, number: int, user: str, event_ids: frozenset[str]) -> int:
    """Entries of one shard that name an account or one of its events, wherever in them."""
    named = event_ids | {user}
    return sum(
        not named.isdisjoint(_texts(key)) or not named.isdisjoint(_texts(value))
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
            address_ms, address, household_ms, household, places = entry
            yield (
                "account",
                {
                    "newest_address": address or None,
                    "newest_address_ms": address_ms or None,
                    "household": household or None,
                    "household_ms": household_ms or None,
                },
            )
            for place in told_places(
                [places[at : at + PLACE_BYTES] for at in range(0, len(places), PLACE_BYTES)]
            ):
                yield "places", place
        return
    for key, value in shard.items():
        if table in _KINDS and user in value:
            first, last, days = value[user]
            row = {"kind": table[:-1], "name": key, "first_seen_ms": first, "last_seen_ms": last}
            yield "edges", {**row, "days_of_last_30": days.bit_count()}
        elif table == "addresses" and user in value:
            yield "addresses", {"address": key.partition("|")[2], "last_seen_ms": value[user]}
        elif table == "account_failures" and key == user:
            for event_id, time_ms in value.times.items():
                yield "failed_sign_ins", {"event_id": event_id, "time_ms": time_ms}


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


_KINDS = {"devices": DEVICE, "payments": PAYMENT}


def _without(value: Any, user: str, event_ids: frozenset[str]) -> tuple[int, bool]:
    """(entries taken out, whether nothing is left)."""
    if isinstance(value, Window):
        return value.discard(event_ids | {user}), not value.order
    if isinstance(value, AddressFailures):
        taken = value.events.discard(event_ids) + value.accounts.discard(frozenset((user,)))
        return taken, not value.events.order
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
