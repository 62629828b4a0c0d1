"""The memory in this process: flat dictionaries in shards, swept and saved shard by shard.

Shards bound every stretch of work: a sweep looks at one shard of one table, a snapshot copies one. Because all state
is sets under union, minimum and maximum, a snapshot may mix moments: what changes while it is written is in the
Restore that follows, which starts at the `applied_through` read before the first shard was copied. Components are not
saved: they follow from the edges.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from services.common.errors import StateBehind
from services.fraud.memory import (
    ADDRESS_RETENTION_DAYS,
    ADDRESS_WINDOW_MS,
    COMPONENT_CAP,
    COMPONENT_RESOURCES_CAP,
    DAY_MS,
    DAYS_MASK,
    DEGREE_CAP,
    DEVICE,
    EDGE_RETENTION_MS,
    EDGE_WINDOW_MS,
    FAILURE_RETENTION_MS,
    FAILURE_WINDOW_MS,
    PAYMENT,
    SIGHTINGS_CAP,
    WINDOW_CAP,
    AccountFacts,
    Component,
    Edge,
    Observation,
    Resource,
    Sighting,
    estimate,
    priority,
)

SHARDS = 128
SLICE = 96
"""Sightings applied at a stretch before other work of the event loop runs: about 1 ms."""
_SWEEP_EVERY = 512
_PLACE_BYTES = 28
# Key of a set's marker: the largest priority kept, once more accounts came than are kept. No account is empty.
_THRESHOLD = ""

TABLES = (
    "accounts",
    "devices",
    "payments",
    "addresses",
    "account_failures",
    "device_failures",
    "address_failures",
)


class Window:
    """Members with their times: the newest `WINDOW_CAP` of the hour before the newest. A member's later time wins."""

    __slots__ = ("order", "times")

    def __init__(self) -> None:
        self.times: dict[str, int] = {}
        self.order: list[tuple[int, str]] = []

    def add(self, member: str, time_ms: int) -> None:
        """Adds a member, or moves it to a later time."""
        order = self.order
        known = self.times.get(member)
        if known is not None:
            if known >= time_ms:
                return
            del order[bisect_left(order, (known, member))]
        if not order or (time_ms, member) > order[-1]:
            order.append((time_ms, member))
        else:
            insort(order, (time_ms, member))
        self.times[member] = time_ms
        expired = bisect_left(order, (order[-1][0] - FAILURE_WINDOW_MS + 1, ""))
        expired = max(expired, len(order) - WINDOW_CAP)
        if expired > 0:
            for _, old in order[:expired]:
                del self.times[old]
            del order[:expired]

    def discard(self, members: frozenset[str]) -> int:
        """Takes members out; returns how many were in."""
        gone = members & self.times.keys()
        for member in gone:
            del self.times[member]
        if gone:
            self.order = [one for one in self.order if one[1] not in gone]
        return len(gone)

    def count(self, time_ms: int, excluded: str) -> int:
        """Members within the hour before `time_ms` (those after it too: they are known), without `excluded`."""
        since = time_ms - FAILURE_WINDOW_MS
        known = self.times.get(excluded)
        number = len(self.order) - bisect_left(self.order, (since + 1, ""))
        return number - 1 if known is not None and known > since else number


class AddressFailures:
    """Failed sign-ins from an address, and the accounts concerned."""

    __slots__ = ("accounts", "events")

    def __init__(self) -> None:
        self.events = Window()
        self.accounts = Window()


AccountEntry = tuple[int, str, int, str, bytes]
"""(time of the newest address, address, time of the newest household, household, places)."""
EdgeSet = dict[str, tuple[int, int, int]]
"""Account -> (first, last, days); the marker holds (threshold, 0, 0)."""


class ComponentState:
    """Accounts tied together."""

    __slots__ = ("accounts", "name", "resources", "ties")

    def __init__(self, name: str) -> None:
        self.name = name
        self.accounts: dict[str, None] = {name: None}
        self.resources: dict[tuple[str, str], None] = {}
        self.ties = 0


class Table:
    """A dictionary in shards with a cap a shard; the entry inserted first leaves a full one."""

    __slots__ = ("evicted", "shard_cap", "shards")

    def __init__(self, cap: int) -> None:
        self.shards: list[dict[str, Any]] = [{} for _ in range(SHARDS)]
        self.shard_cap = max(1, cap // SHARDS)
        self.evicted = 0

    def shard(self, key: str) -> dict[str, Any]:
        return self.shards[hash(key) % SHARDS]

    def get(self, key: str) -> Any:
        return self.shards[hash(key) % SHARDS].get(key)

    def insert(self, key: str, value: Any) -> None:
        """Stores a new key; returns after making room where there was none."""
        shard = self.shards[hash(key) % SHARDS]
        if len(shard) >= self.shard_cap:
            del shard[next(iter(shard))]
            self.evicted += 1
        shard[key] = value

    def __len__(self) -> int:
        return sum(map(len, self.shards))


class TenantMemory:
    """The sets of one tenant. Not thread-safe: the event loop owns it."""

    def __init__(self, capacity: int) -> None:
        self.newest_ms = 0
        self.tables = {name: Table(capacity) for name in TABLES}
        self.components: dict[str, ComponentState] = {}
        self._accounts = self.tables["accounts"]
        self._devices = self.tables["devices"]
        self._payments = self.tables["payments"]
        self._addresses = self.tables["addresses"]
        self._account_failures = self.tables["account_failures"]
        self._device_failures = self.tables["device_failures"]
        self._address_failures = self.tables["address_failures"]
        self._since_sweep = 0
        self._sweep_at = 0

    # -- one sighting ----------------------------------------------------------------------------------

    def observe(self, sighting: Sighting) -> Observation:
        """Answers one sighting and applies it."""
        event_id, user, device, payment, address, household, time_ms, failed, place = sighting
        if time_ms > self.newest_ms:
            self.newest_ms = time_ms
        component = self.components.get(user)
        # Read before the edges below may tie the account to others.
        if component is None:
            name, members, ties = "", 0, 0
        else:
            name, members, ties = component.name, len(component.accounts), component.ties

        device_accounts = self._edge(self._devices, DEVICE, device, user, time_ms)
        payment_accounts = self._edge(self._payments, PAYMENT, payment, user, time_ms) if payment else 0
        address_accounts = self._address(address, user, time_ms) if address else 0
        before, after = self._account(user, time_ms, address, household, place)

        account_failures = device_failures = address_failures = failed_accounts = 0
        window = self._account_failures.get(user)
        if window is not None:
            account_failures = window.count(time_ms, event_id)
        window = self._device_failures.get(device)
        if window is not None:
            device_failures = window.count(time_ms, event_id)
        failures = self._address_failures.get(address) if address else None
        if failures is not None:
            address_failures = failures.events.count(time_ms, event_id)
            if address_failures:
                failed_accounts = failures.accounts.count(time_ms, user)
        if failed:
            self._fail(event_id, user, device, address, time_ms)
        return Observation(
            device_accounts,
            payment_accounts,
            address_accounts,
            account_failures,
            address_failures,
            device_failures,
            failed_accounts,
            before,
            after,
            name,
            members,
            ties,
        )

    def _edge(self, table: Table, kind: str, resource: str, user: str, time_ms: int) -> int:
        edges: EdgeSet | None = table.get(resource)
        day = time_ms // DAY_MS
        if edges is None:
            table.insert(resource, {user: (time_ms, time_ms, 1)})
            return 0
        edge = edges.get(user)
        alive = 0
        threshold = -1
        others = len(edges)
        if edge is not None:
            others -= 1
            first, last, days = edge
            if time_ms >= last:
                shift = day - last // DAY_MS
                if shift:
                    days = ((days << shift) | 1) & DAYS_MASK if shift < 30 else 1
                edges[user] = (first, time_ms, days)
            else:
                back = last // DAY_MS - day
                if back < 30:
                    days |= 1 << back
                edges[user] = (min(first, time_ms), last, days)
        if others:
            since = time_ms - EDGE_WINDOW_MS
            marker = edges.get(_THRESHOLD)
            if marker is not None:
                threshold = marker[0]
                others -= 1
            for account, (_, last, _) in edges.items():
                if last > since and account != user and account != _THRESHOLD:
                    alive += 1
            alive = estimate(alive, others, threshold)
        if edge is None:
            self._new_edge(edges, kind, resource, user, time_ms)
        return alive

    def _new_edge(self, edges: EdgeSet, kind: str, resource: str, user: str, time_ms: int) -> None:
        marker = edges.get(_THRESHOLD)
        if marker is None and len(edges) < DEGREE_CAP:
            other = next(iter(edges))
            edges[user] = (time_ms, time_ms, 1)
            self._tie(user, other, (kind, resource), 2 if len(edges) == 2 else 1)
            return
        kept = {account: priority(account) for account in edges if account != _THRESHOLD}
        if marker is None:
            edges[_THRESHOLD] = marker = (max(kept.values()), 0, 0)
        mine = priority(user)
        if mine >= marker[0]:
            return
        last = max(kept, key=lambda account: kept[account])
        del edges[last], kept[last]
        kept[user] = mine
        edges[user] = (time_ms, time_ms, 1)
        edges[_THRESHOLD] = (max(kept.values()), 0, 0)

    def _tie(self, user: str, other: str, resource: tuple[str, str], ties: int) -> None:
        mine = self.components.get(user)
        theirs = self.components.get(other)
        if mine is None:
            mine = self.components[user] = ComponentState(user)
        if theirs is None:
            theirs = self.components[other] = ComponentState(other)
        if mine is not theirs:
            if len(mine.accounts) + len(theirs.accounts) > COMPONENT_CAP:
                for component in (mine, theirs):
                    if len(component.accounts) == 1:
                        del self.components[component.name]
                return
            if len(mine.accounts) < len(theirs.accounts):
                mine, theirs = theirs, mine
            for account in theirs.accounts:
                self.components[account] = mine
            mine.accounts.update(theirs.accounts)
            mine.resources.update(theirs.resources)
            mine.ties += theirs.ties
        mine.ties += ties
        if len(mine.resources) < COMPONENT_RESOURCES_CAP:
            mine.resources[resource] = None

    def _address(self, address: str, user: str, time_ms: int) -> int:
        day = time_ms // DAY_MS
        today_key = f"{day}|{address}"
        today: dict[str, int] | None = self._addresses.get(today_key)
        yesterday: dict[str, int] | None = self._addresses.get(f"{day - 1}|{address}")
        count = 0
        known = None
        if today is not None:
            known = today.get(user)
            if len(today) > 1 or known is None:
                threshold = today.get(_THRESHOLD, -1)
                others = len(today) - (known is not None) - (threshold >= 0)
                count = estimate(others, others, threshold)
        if yesterday is not None:
            since = time_ms - ADDRESS_WINDOW_MS
            threshold = yesterday.get(_THRESHOLD, -1)
            others = len(yesterday) - (user in yesterday) - (threshold >= 0)
            alive = 0
            for account, last in yesterday.items():
                if (
                    last > since
                    and account != user
                    and account != _THRESHOLD
                    and (today is None or account not in today)
                ):
                    alive += 1
            count += estimate(alive, others, threshold)
        if today is None:
            self._addresses.insert(today_key, {user: time_ms})
        elif known is None:
            _add_to_sketch(today, user, time_ms)
        elif time_ms > known:
            today[user] = time_ms
        return count

    def _account(
        self, user: str, time_ms: int, address: str, household: str, place: bytes
    ) -> tuple[bytes, bytes]:
        entry: AccountEntry | None = self._accounts.get(user)
        if entry is None:
            self._accounts.insert(
                user,
                (time_ms if address else 0, address, time_ms if household else 0, household, place),
            )
            return b"", b""
        address_ms, known_address, household_ms, known_household, places = entry
        if address and (time_ms, address) > (address_ms, known_address):
            address_ms, known_address = time_ms, address
        if household and (time_ms, household) > (household_ms, known_household):
            household_ms, known_household = time_ms, household
        before = after = b""
        if place:
            newest = places[-_PLACE_BYTES:]
            # The time is the first eight bytes, and bytes sort as times do.
            if place > newest:
                before = newest
                places = places[-(SIGHTINGS_CAP - 1) * _PLACE_BYTES :] + place
            else:
                before, after, places = _among(places, place)
        self._accounts.shard(user)[user] = (
            address_ms,
            known_address,
            household_ms,
            known_household,
            places,
        )
        return before, after

    def _fail(self, event_id: str, user: str, device: str, address: str, time_ms: int) -> None:
        for table, key in ((self._account_failures, user), (self._device_failures, device)):
            window = table.get(key)
            if window is None:
                window = Window()
                table.insert(key, window)
            window.add(event_id, time_ms)
        if address:
            failures = self._address_failures.get(address)
            if failures is None:
                failures = AddressFailures()
                self._address_failures.insert(address, failures)
            failures.events.add(event_id, time_ms)
            failures.accounts.add(user, time_ms)

    # -- questions ---------------------------------------------------------------------------------------

    def component(self, account: str) -> Component | None:
        """The component of an account, as copies."""
        state = self.components.get(account)
        if state is None:
            return None
        accounts: dict[str, AccountFacts] = {}
        for name in state.accounts:
            entry: AccountEntry | None = self._accounts.get(name)
            accounts[name] = AccountFacts("", "") if entry is None else AccountFacts(entry[1], entry[3])
        resources = []
        for kind, name in state.resources:
            edges: EdgeSet | None = (self._devices if kind == DEVICE else self._payments).get(name)
            if edges is None:
                continue
            listed = [Edge(user, *edge) for user, edge in edges.items() if user != _THRESHOLD]
            resources.append(Resource(kind, name, listed, _THRESHOLD in edges))
        return Component(accounts, resources)

    # -- expiry ------------------------------------------------------------------------------------------

    def sweep(self, observed: int) -> None:
        """Forgets what has expired in the next shard, once enough sightings were observed since the last."""
        self._since_sweep += observed
        if self._since_sweep < _SWEEP_EVERY:
            return
        self._since_sweep = 0
        number, table = divmod(self._sweep_at, len(TABLES))
        self._sweep_at = (self._sweep_at + 1) % (SHARDS * len(TABLES))
        self.sweep_shard(TABLES[table], number)

    def sweep_shard(self, table: str, number: int) -> None:
        """Forgets what has expired, by event time, in one shard."""
        shard = self.tables[table].shards[number]
        newest = self.newest_ms
        expired = _EXPIRED[table]
        for key in [key for key, value in shard.items() if expired(key, value, newest)]:
            del shard[key]
            if table == "accounts":
                self.leave(key)

    def leave(self, account: str) -> None:
        """Takes an account out of its component."""
        component = self.components.pop(account, None)
        if component is None:
            return
        del component.accounts[account]
        if component.name == account and component.accounts:
            component.name = next(iter(component.accounts))

    # -- snapshot ----------------------------------------------------------------------------------------

    def dump_shard(self, table: str, number: int) -> dict[str, Any]:
        """One shard in terms of JSON; `load_shard` reverses it."""
        dump = _DUMP[table]
        return {key: dump(value) for key, value in self.tables[table].shards[number].items()}

    def load_shard(self, table: str, content: dict[str, Any]) -> None:
        """Takes in what `dump_shard` gave, also where the process places keys in other shards."""
        read = _LOAD[table]
        target = self.tables[table]
        for key, value in content.items():
            target.insert(key, read(value))

    def rebuild_components(self) -> None:
        """Ties accounts again by the edges."""
        for kind, table in ((DEVICE, self._devices), (PAYMENT, self._payments)):
            for shard in table.shards:
                for resource, edges in shard.items():
                    if _THRESHOLD in edges:
                        # A public device: who was tied before it overflowed is not known, and rings ignore it.
                        continue
                    accounts = list(edges)
                    for number, account in enumerate(accounts[1:], start=2):
                        self._tie(account, accounts[0], (kind, resource), 2 if number == 2 else 1)


def _add_to_sketch(accounts: dict[str, int], user: str, time_ms: int) -> None:
    threshold = accounts.get(_THRESHOLD)
    if threshold is None and len(accounts) < DEGREE_CAP:
        accounts[user] = time_ms
        return
    kept = {account: priority(account) for account in accounts if account != _THRESHOLD}
    if threshold is None:
        accounts[_THRESHOLD] = threshold = max(kept.values())
    mine = priority(user)
    if mine >= threshold:
        return
    last = max(kept, key=lambda account: kept[account])
    del accounts[last], kept[last]
    kept[user] = mine
    accounts[user] = time_ms
    accounts[_THRESHOLD] = max(kept.values())


def _among(places: bytes, place: bytes) -> tuple[bytes, bytes, bytes]:
    """(before, after, places with the place) of a place that is not the newest."""
    listed = [places[i : i + _PLACE_BYTES] for i in range(0, len(places), _PLACE_BYTES)]
    time = place[:8]
    before = after = b""
    for known in listed:
        if known == place:
            continue
        if known[:8] <= time:
            before = known
        else:
            after = known
            break
    if place not in listed:
        insort(listed, place)
        places = b"".join(listed[-SIGHTINGS_CAP:])
    return before, after, places


def _edges_expired(_: str, edges: EdgeSet, newest_ms: int) -> bool:
    return max(last for _, last, _ in edges.values()) <= newest_ms - EDGE_RETENTION_MS


def _account_expired(_: str, entry: AccountEntry, newest_ms: int) -> bool:
    seen = max(entry[0], entry[2], int.from_bytes(entry[4][-_PLACE_BYTES:][:8]))
    return seen <= newest_ms - EDGE_RETENTION_MS


def _address_expired(key: str, _: object, newest_ms: int) -> bool:
    return int(key[: key.index("|")]) < newest_ms // DAY_MS - ADDRESS_RETENTION_DAYS


def _window_expired(_: str, window: Window, newest_ms: int) -> bool:
    return window.order[-1][0] <= newest_ms - FAILURE_RETENTION_MS


def _failures_expired(key: str, failures: AddressFailures, newest_ms: int) -> bool:
    return _window_expired(key, failures.events, newest_ms)


def _load_window(times: dict[str, int]) -> Window:
    window = Window()
    window.times = times
    window.order = sorted((time_ms, member) for member, time_ms in times.items())
    return window


def _load_failures(content: list[dict[str, int]]) -> AddressFailures:
    failures = AddressFailures()
    failures.events, failures.accounts = map(_load_window, content)
    return failures


def _dump_window(window: Window) -> dict[str, int]:
    return dict(window.times)


_EXPIRED: dict[str, Callable[[str, Any, int], bool]] = {
    "accounts": _account_expired,
    "devices": _edges_expired,
    "payments": _edges_expired,
    "addresses": _address_expired,
    "account_failures": _window_expired,
    "device_failures": _window_expired,
    "address_failures": _failures_expired,
}
_DUMP: dict[str, Callable[[Any], Any]] = {
    "accounts": lambda entry: [*entry[:4], entry[4].hex()],
    "devices": dict,
    "payments": dict,
    "addresses": dict,
    "account_failures": _dump_window,
    "device_failures": _dump_window,
    "address_failures": lambda failures: [_dump_window(failures.events), _dump_window(failures.accounts)],
}
_LOAD: dict[str, Callable[[Any], Any]] = {
    "accounts": lambda entry: (*entry[:4], bytes.fromhex(entry[4])),
    "devices": lambda edges: {account: tuple(edge) for account, edge in edges.items()},
    "payments": lambda edges: {account: tuple(edge) for account, edge in edges.items()},
    "addresses": dict,
    "account_failures": _load_window,
    "device_failures": _load_window,
    "address_failures": _load_failures,
}


class ProcessMemory:
    """All tenants in this process, without persistence: `store_snapshot.SnapshotMemory` adds that.

    Args:
        capacity: entries of each table of each tenant at most. An entry takes 0.2 to 1.5 KB.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        self._capacity = capacity
        self.applied_through_ms = 0
        self.tenants: dict[str, TenantMemory] = {}

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def healthy(self) -> None:
        return

    def tenant(self, tenant: str) -> TenantMemory:
        """The tenant's sets; made where there are none."""
        found = self.tenants.get(tenant)
        if found is None:
            found = self.tenants[tenant] = TenantMemory(self._capacity)
        return found

    async def observe(
        self, tenant: str, sightings: Sequence[Sighting], *, committed_through_ms: int, batch_time_ms: int
    ) -> list[Observation]:
        memory = self.tenant(tenant)
        raise_if_behind(self.applied_through_ms, committed_through_ms)
        answers: list[Observation] = []
        for part in _cut(sightings):
            if answers:
                await asyncio.sleep(0)
            answers.extend(map(memory.observe, part))
            memory.sweep(len(part))
        self.applied_through_ms = max(self.applied_through_ms, batch_time_ms)
        return answers

    async def restore(self, tenant: str, sightings: Sequence[Sighting], *, complete_through_ms: int) -> int:
        memory = self.tenant(tenant)
        for part in _cut(sightings):
            for sighting in part:
                memory.observe(sighting)
            memory.sweep(len(part))
            await asyncio.sleep(0)
        self.applied_through_ms = max(self.applied_through_ms, complete_through_ms)
        return self.applied_through_ms

    async def applied_through(self) -> int:
        return self.applied_through_ms

    async def component(self, tenant: str, account: str) -> Component | None:
        memory = self.tenants.get(tenant)
        return None if memory is None else memory.component(account)


def _cut(sightings: Sequence[Sighting]) -> Iterator[Sequence[Sighting]]:
    for start in range(0, len(sightings), SLICE):
        yield sightings[start : start + SLICE]


def raise_if_behind(applied_through_ms: int, committed_through_ms: int) -> None:
    """Raises StateBehind where the caller has committed what this memory never saw."""
    if committed_through_ms > applied_through_ms:
        through = str(applied_through_ms)
        raise StateBehind(
            message=f"the memory has applied events through {through} ms only: call Restore from there",
            metadata={"applied_through": through, "applied_through_ms": through},
        )
