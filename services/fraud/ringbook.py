"""Keeps the rings of accounts up to date with the memory's components, and answers from what was recorded.

A component is looked at again when its size or its ties have changed. Above 64 accounts that happens only when it
grew by a sixteenth, so the work per event stays bounded; members that came since are in no ring until then.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from services.common.db import Database
from services.fraud.memory import HARD, Component, Memory, Observation
from services.fraud.parameters import RingParameters
from services.fraud.rings import find_rings
from services.fraud.signals import ALONE, RingOfAccount, Standing
from services.fraud.store import CONFIRMED, DISMISSED, RingStore

CLOSELY_WATCHED = 64
KEPT_COMPONENTS = 50_000
"""Components whose rings are kept in this process; others are looked at again when they are met."""
_INLINE_TIES = 200

Version = tuple[int, int]


class _Known:
    __slots__ = ("standings", "version")

    def __init__(self, version: Version, standings: dict[str, Standing]) -> None:
        self.version = version
        self.standings = standings


class RingBook:
    """Rings by component."""

    def __init__(self, memory: Memory, store: RingStore, database: Database) -> None:
        self._memory = memory
        self._store = store
        self._database = database
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._refreshing = asyncio.Lock()

    async def refresh(
        self, tenant: str, seen: Iterable[tuple[str, Observation]], parameters: RingParameters
    ) -> None:
        """Looks again at the components of the (account, observation) pairs that have changed.

        What is found is committed before it is kept. Raises what the memory and the database raise.
        """
        changed: dict[str, tuple[str, Version]] = {}
        for account, observation in seen:
            if observation.members >= parameters.minimum_accounts:
                version = _version(observation)
                known = self._known.get((tenant, observation.component))
                if known is None or known.version != version:
                    changed[observation.component] = (account, version)
        if not changed:
            return
        async with self._refreshing:
            for name, (account, version) in changed.items():
                known = self._known.get((tenant, name))
                if known is None or known.version != version:
                    await self._look(tenant, name, account, version, parameters)

    def forget(self, tenant: str, account: str) -> None:
        """Drops what is cached of an account's component."""
        for key in [
            key
            for key, known in self._known.items()
            if key == (tenant, account) or (key[0] == tenant and account in known.standings)
        ]:
            del self._known[key]

    def forget_all(self, tenant: str) -> None:
        """Drops what is cached of a tenant: an analyst has spoken."""
        for key in [key for key in self._known if key[0] == tenant]:
            del self._known[key]

    def standing(self, tenant: str, account: str, observation: Observation) -> Standing:
        """The standing of an account whose component `refresh` has seen."""
        known = self._known.get((tenant, observation.component))
        return ALONE if known is None else known.standings.get(account, ALONE)

    async def _look(
        self, tenant: str, name: str, account: str, version: Version, parameters: RingParameters
    ) -> None:
        component = await self._memory.component(tenant, account)
        standings: dict[str, Standing] = {}
        if component is not None:
            if version[1] <= _INLINE_TIES:
                candidates = find_rings(component, parameters)
            else:
                candidates = await asyncio.to_thread(find_rings, component, parameters)
            recorded = await self._database.run(
                self._store.record, tenant, sorted(component.accounts), candidates, parameters
            )
            near = confirmed_neighbours(component, recorded.confirmed)
            for neighbour, count in near.items():
                standings[neighbour] = Standing(None, count)
            for ring_id, found, _ in recorded.assignments:
                status = recorded.statuses[ring_id]
                if status == DISMISSED:
                    continue
                for member, central in zip(found.members, found.centrality, strict=True):
                    ring = RingOfAccount(
                        ring_id, len(found.members), found.score, central, status == CONFIRMED
                    )
                    standings[member] = Standing(ring, near.get(member, 0))
        self._known[(tenant, name)] = _Known(version, standings)
        self._known.move_to_end((tenant, name))
        while len(self._known) > KEPT_COMPONENTS:
            self._known.popitem(last=False)


def confirmed_neighbours(component: Component, confirmed: frozenset[str]) -> dict[str, int]:
    """How many confirmed accounts share a device or payment instrument with an account, where it is any."""
    near: dict[str, set[str]] = {}
    if confirmed:
        for resource in component.resources:
            users = [edge.account for edge in resource.edges]
            bad = confirmed.intersection(users)
            if bad and resource.kind in HARD and not resource.saturated:
                for user in users:
                    near.setdefault(user, set()).update(bad - {user})
    return {user: len(others) for user, others in near.items() if others}


def _version(observation: Observation) -> Version:
    members, ties = observation.members, observation.ties
    if members <= CLOSELY_WATCHED:
        return members, ties
    step = 1 << (members.bit_length() - 5)
    return members // step * step, 0
