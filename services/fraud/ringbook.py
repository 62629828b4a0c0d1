"""Keeps the rings of accounts up to date with the memory's components, and answers from what was recorded.

A component is looked at again when its size or its ties have changed. Above 64 accounts that happens only when it
grew by a sixteenth, so the work per event stays bounded; members that came since are in no ring until then. Rings that a
sweep found are read from the database, also those of which no component shows all: what a look at a component cannot judge
stays. Where accounts of a tenant turned out to be fraud, components too small for a ring are looked at as well: for who
shares a device or payment instrument with such an account.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from services.common.background import Background
from services.common.clock import Clock, SystemClock
from services.common.db import Database
from services.common.errors import NotFound, UsherError
from services.fraud.memory import HARD, Component, Memory, Observation
from services.fraud.parameters import RingParameters
from services.fraud.rings import find_rings
from services.fraud.signals import ALONE, RingOfAccount, Standing
from services.fraud.store import CONFIRMED, DISMISSED, Revision, RingStore
from services.fraud.store_outcomes import FRAUD, OutcomeStore
from usher.fraud.v1 import fraud_pb2

CLOSELY_WATCHED = 64
KEPT_COMPONENTS = 50_000
"""Components whose rings are kept in this process; others are looked at again when they are met."""
_INLINE_TIES = 200
_AT_A_STRETCH = 500
RENEW_S = 5.0
"""Seconds after which what other replicas recorded, and what has become final, counts here."""
_log = logging.getLogger("usher.fraud.outcomes")
_NOBODY: frozenset[str] = frozenset()

Version = tuple[int, int]


class _Known:
    __slots__ = ("standings", "version")

    def __init__(self, version: Version, standings: dict[str, Standing]) -> None:
        self.version = version
        self.standings = standings


class RingBook:
    """Rings by component, and the accounts that turned out to be fraud."""

    def __init__(
        self, memory: Memory, store: RingStore, database: Database, clock: Clock | None = None
    ) -> None:
        self._memory = memory
        self._store = store
        self._database = database
        self._clock = clock or SystemClock()
        self._outcomes = OutcomeStore(database)
        self._confirmed: dict[str, frozenset[str]] = {}
        self._background = Background(_log)
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()
        self._swept: dict[str, dict[str, RingOfAccount]] = {}
        self._revisions: dict[str, Revision] = {}
        self._refreshing = asyncio.Lock()

    async def refresh(
        self, tenant: str, seen: Iterable[tuple[str, Observation]], parameters: RingParameters
    ) -> None:
        """Looks again at the components of the (account, observation) pairs that have changed.

        What is found is committed before it is kept. Raises what the memory and the database raise.
        """
        changed: dict[str, tuple[str, Version]] = {}
        least = 2 if tenant in self._confirmed else parameters.minimum_accounts
        for account, observation in seen:
            if observation.members >= least:
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

    async def record_outcomes(self, outcomes: Sequence[fraud_pb2.Outcome], through: int) -> int:
        """Takes over what turned out to be true; returns the position through which that is done.

        Outcomes taken over before change nothing. One of a ring that fraud does not know is left alone: it was of another
        installation, or its members were erased.
        """
        known = await self._database.read(self._outcomes.through)
        for one in outcomes:
            if one.ring_id and one.position > known:
                status = CONFIRMED if one.verdict == FRAUD else DISMISSED
                with contextlib.suppress(NotFound):
                    await self._database.run(
                        self._store.set_status, one.tenant, one.ring_id, status, one.actor, ""
                    )
        if through <= known:
            return known
        position = await self._database.run(self._outcomes.record, outcomes, through)
        await self.renew()
        return position

    async def start(self) -> None:
        """Reads who turned out to be fraud and what sweeps found, and goes on doing so beside everything else."""
        await self.renew()
        self._background.start({"outcomes": self._run})

    def check(self) -> None:
        """Raises Unavailable (CHORE_FAILED) while the outcomes cannot be read for a reason that nobody foresaw."""
        self._background.check()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                await self.renew()
            except UsherError as error:
                _log.warning("outcomes cannot be read", extra={"reason": error.reason})

    async def renew(self) -> None:
        """Reads what sweeps, analysts and outcomes changed, and looks again at who is tied to those that it changed for."""
        await self.catch_up()
        confirmed = await self._database.read(self._outcomes.confirmed, self._clock.now_ms())
        before, self._confirmed = self._confirmed, confirmed
        for tenant in before.keys() | confirmed.keys():
            for account in before.get(tenant, _NOBODY) ^ confirmed.get(tenant, _NOBODY):
                component = await self._memory.component(tenant, account)
                for name in () if component is None else component.accounts:
                    self._known.pop((tenant, name), None)

    async def catch_up(self) -> None:
        """Takes over what sweeps and analysts have changed since this was last called, here or on another replica."""
        for tenant, revision in (await self._database.read(self._store.revisions)).items():
            read = self._revisions.get(tenant, Revision(0, 0))
            if read != revision:
                await self._reread(tenant)
                if read.verdicts != revision.verdicts:
                    self._forget_all(tenant)
                self._revisions[tenant] = revision

    async def _reread(self, tenant: str) -> None:
        """Takes over what sweeps found, and drops components with rings that stand no more."""
        async with self._refreshing:
            swept, standing = await self._database.read(self._store.swept, tenant)
            self._swept[tenant] = swept
            for number, (key, known) in enumerate(list(self._known.items()), start=1):
                if number % _AT_A_STRETCH == 0:
                    await asyncio.sleep(0)
                rings = {one.ring.ring_id for one in known.standings.values() if one.ring is not None}
                if key[0] == tenant and not rings <= standing:
                    self._known.pop(key, None)

    def forget(self, tenant: str, account: str) -> None:
        """Drops what is cached of an account and its component."""
        self._swept.get(tenant, {}).pop(account, None)
        for key in [
            key
            for key, known in self._known.items()
            if key == (tenant, account) or (key[0] == tenant and account in known.standings)
        ]:
            del self._known[key]

    def _forget_all(self, tenant: str) -> None:
        for key in [key for key in self._known if key[0] == tenant]:
            del self._known[key]

    def standing(self, tenant: str, account: str, observation: Observation) -> Standing:
        """The standing of an account; `refresh` has seen its component, where it has one."""
        known = self._known.get((tenant, observation.component)) if observation.component else None
        standing = ALONE if known is None else known.standings.get(account, ALONE)
        swept = self._swept.get(tenant)
        if swept and (ring := swept.get(account)) is not None:
            return Standing(ring, standing.confirmed_neighbours)
        return standing

    async def _look(
        self, tenant: str, name: str, account: str, version: Version, parameters: RingParameters
    ) -> None:
        component = await self._memory.component(tenant, account)
        standings: dict[str, Standing] = {}
        confirmed = self._confirmed.get(tenant, _NOBODY)
        if component is not None and version[0] < parameters.minimum_accounts:
            for neighbour, count in confirmed_neighbours(component, confirmed).items():
                standings[neighbour] = Standing(None, count)
        elif component is not None:
            if version[1] <= _INLINE_TIES:
                candidates = find_rings(component, parameters)
            else:
                candidates = await asyncio.to_thread(find_rings, component, parameters)
            recorded = await self._database.run(
                self._store.record, tenant, sorted(component.accounts), candidates, parameters
            )
            near = confirmed_neighbours(component, recorded.confirmed | confirmed)
            for neighbour, count in near.items():
                standings[neighbour] = Standing(None, count)
            swept = self._swept.setdefault(tenant, {})
            for member in component.accounts:
                swept.pop(member, None)
            swept.update(recorded.kept)
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
