"""Keeps the rings of accounts up to date with the memory's components, and answers from what was recorded.

A component is looked at again when its size or its ties have changed. Above 64 accounts that happens only when it
grew by a sixteenth, so the work per event stays bounded; members that came since are in no ring until then.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from services.common.db import Database
from services.fraud.memory import Memory, Observation
from services.fraud.parameters import RingParameters
from services.fraud.rings import find_rings
from services.fraud.signals import RingOfAccount
from services.fraud.store import RingStore

CLOSELY_WATCHED = 64
KEPT_COMPONENTS = 50_000
"""Components whose rings are kept in this process; others are looked at again when they are met."""
_INLINE_TIES = 200

Version = tuple[int, int]


class _Known:
    __slots__ = ("rings", "version")

    def __init__(self, version: Version, rings: dict[str, RingOfAccount]) -> None:
        self.version = version
        self.rings = rings


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
            if key == (tenant, account) or (key[0] == tenant and account in known.rings)
        ]:
            del self._known[key]

    def ring(self, tenant: str, account: str, observation: Observation) -> RingOfAccount | None:
        """The ring of an account whose component `refresh` has seen; None where it is in none."""
        known = self._known.get((tenant, observation.component))
        return None if known is None else known.rings.get(account)

    async def _look(
        self, tenant: str, name: str, account: str, version: Version, parameters: RingParameters
    ) -> None:
        component = await self._memory.component(tenant, account)
        rings: dict[str, RingOfAccount] = {}
        if component is not None:
            if version[1] <= _INLINE_TIES:
                candidates = find_rings(component, parameters)
            else:
                candidates = await asyncio.to_thread(find_rings, component, parameters)
            assignments = await self._database.run(
                self._store.record, tenant, sorted(component.accounts), candidates, parameters
            )
            for assignment in assignments:
                found = assignment.candidate
                ring = RingOfAccount(assignment.ring_id, len(found.members), found.score)
                rings.update(dict.fromkeys(found.members, ring))
        self._known[(tenant, name)] = _Known(version, rings)
        self._known.move_to_end((tenant, name))
        while len(self._known) > KEPT_COMPONENTS:
            self._known.popitem(last=False)


def _version(observation: Observation) -> Version:
    members, ties = observation.members, observation.ties
    if members <= CLOSELY_WATCHED:
        return members, ties
    step = 1 << (members.bit_length() - 5)
    return members // step * step, 0
