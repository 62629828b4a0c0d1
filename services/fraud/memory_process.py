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
from functools import lru_cache
from typing import Any
from zlib import crc32

from services.common.errors import StateBehind
from services.fraud.memory import (
    ACT_BYTES,
    ACTS_CAP,
    ADDRESS,
    ADDRESS_WINDOW_MS,
    ADDRESS_WINDOWS,
    COMPONENT_CAP,
    COMPONENT_RESOURCES_CAP,
    DAY_MS,
    DAYS_MASK,
    DEGREE_CAP,
    DEVICE,
    DEVICES_CAP,
    DOMAIN,
    EDGE_RETENTION_MS,
    EDGE_WINDOW_MS,
    FEW_DEVICES,
    HARD,
    HOME_ACCOUNTS,
    LATENESS_MS,
    NOBODY,
    ONE_ACCOUNT,
    ONE_NEW,
    ONE_REGULAR,
    PAYMENT,
    SIGHTINGS_CAP,
    SIGNUP,
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
)

SHARDS = 128
"""A power of two: a key's shard is the last bits of its hash."""
_SHARD = SHARDS - 1
SLICE = 96
"""Sightings applied at a stretch before other work of the event loop runs: about 1 ms."""
_SWEEP_EVERY = 512
CROWDS_CAP = 1 << 17
"""Addresses of several accounts whose count is kept; beyond it all are counted again."""
_PLACE_BYTES = 28
# Key of a set's marker: the largest priority kept, once more accounts came than are kept. No account is empty.
_THRESHOLD = ""

KINDS = {"devices": DEVICE, "payments": PAYMENT, "addresses": ADDRESS, "domains": DOMAIN, "signups": SIGNUP}
"""Tables of edges."""
TABLES = ("accounts", *KINDS, "windows")


class Window:
    """Members with their times: the newest `WINDOW_CAP` of the span before the newest. A member's later time wins."""

    __slots__ = ("order", "span_ms", "times")

    def __init__(self, span_ms: int) -> None:
        self.span_ms = span_ms
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
        expired = bisect_left(order, (order[-1][0] - self.span_ms + 1, ""))
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

    def count(self, since: int, excluded: str) -> int:
        """Members after `since` (those after the asking sighting too: they are known), without `excluded`."""
        known = self.times.get(excluded)
        number = len(self.order) - bisect_left(self.order, (since + 1, ""))
        return number - 1 if known is not None and known > since else number


class Account:
    """What is kept of one account beside its edges."""

    __slots__ = (
        "acts",
        "created_ms",
        "devices",
        "household",
        "household_ms",
        "places",
        "seen_ms",
        "soft",
        "streams",
    )

    def __init__(self) -> None:
        self.seen_ms = 0
        self.household_ms = 0
        self.household = ""
        self.created_ms = 0
        self.devices: set[int] = set()
        self.places = b""
        self.acts = b""
        self.soft: dict[str, int] = {}
        self.streams: dict[str, Stream] | None = None


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

    def get(self, key: str) -> Any:
        return self.shards[hash(key) & _SHARD].get(key)

    def insert(self, key: str, value: Any) -> None:
        """Stores a new key; returns after making room where there was none."""
        shard = self.shards[hash(key) & _SHARD]
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
        self._domains = self.tables["domains"]
        self._signups = self.tables["signups"]
        self._windows = self.tables["windows"]
        self.crowds: dict[str, Crowd] = {}
        """What `_crowd` counted of addresses of several accounts, until their edges or these accounts' devices change."""
        self._since_sweep = 0
        self._sweep_at = 0

    # -- one sighting ----------------------------------------------------------------------------------

    def observe(self, sighting: Sighting) -> Observation:
        """Answers one sighting and applies it."""
        (
            event_id,
            user,
            device,
            payment,
            address,
            household,
            time_ms,
            place,
            domain,
            signup,
            created_ms,
            act,
            stream,
            ended,
            reads,
            adds,
        ) = sighting
        if time_ms > self.newest_ms:
            self.newest_ms = time_ms
        component = self.components.get(user)
        # Read before the edges below may tie the account to others.
        if component is None:
            name, members, ties = "", 0, 0
        else:
            name, members, ties = component.name, len(component.accounts), component.ties

        account: Account | None = self._accounts.shards[hash(user) & _SHARD].get(user)
        if account is None:
            account = Account()
            self._accounts.insert(user, account)
        if time_ms > account.seen_ms:
            account.seen_ms = time_ms
        code = crc32(device.encode())
        if code not in account.devices:
            account.devices.add(code)
            for soft in account.soft if self.crowds else ():
                self.crowds.pop(soft[2:], None)
            if len(account.devices) > DEVICES_CAP:
                account.devices.remove(max(account.devices))
        device_accounts, device_since, _ = self._edge(self._devices, DEVICE, device, user, time_ms)
        payment_accounts = self._edge(self._payments, PAYMENT, payment, user, time_ms)[0] if payment else 0
        address_accounts = address_since = address_days = 0
        crowd = NOBODY
        if address:
            address_accounts, address_since, address_days = self._edge(
                self._addresses, ADDRESS, address, user, time_ms, ADDRESS_WINDOW_MS
            )
            crowd = self._crowd(address)
            _support(account, "i:" + address, time_ms)
        if domain:
            _support(account, "e:" + domain, time_ms)
            self._touch(self._domains, DOMAIN, domain, user, time_ms)
        if signup:
            _support(account, "s:" + signup, time_ms)
            self._touch(self._signups, SIGNUP, signup, user, time_ms)
        if household and (time_ms, household) > (account.household_ms, account.household):
            account.household_ms, account.household = time_ms, household
        if created_ms and not (account.created_ms and account.created_ms <= created_ms):
            account.created_ms = created_ms
        before = after = acts = b""
        if place:
            before, after = _locate(account, place)
        if act:
            acts = _enact(account, pack_act(time_ms, event_id, act, device))
        streams: tuple[Stream, ...] = ()
        if stream:
            at = _stream(Stream, (time_ms, time_ms if ended else 0, device, address))
            streams = _flow(account, stream, at)
        windows = self._windows
        counts: tuple[int, ...] = ()
        if reads:
            shards = windows.shards
            counted = []
            for kind, key, within, excluded in reads:
                key = kind + ":" + key
                window = shards[hash(key) & _SHARD].get(key)
                counted.append(0 if window is None else window.count(time_ms - within, excluded))
            counts = tuple(counted)
        for kind, key, member in adds:
            key = kind + ":" + key
            window = windows.get(key)
            if window is None:
                window = Window(WINDOWS[kind].span_ms)
                windows.insert(key, window)
            window.add(member, time_ms)
        return _observation(
            Observation,
            (
                device_accounts,
                payment_accounts,
                address_accounts,
                device_since,
                address_since,
                address_days,
                counts,
                before,
                after,
                acts,
                streams,
                name,
                members,
                ties,
                crowd,
            ),
        )

    def _crowd(self, address: str) -> Crowd:
        """Who was seen at an address."""
        edges: EdgeSet = self._addresses.shards[hash(address) & _SHARD][address]
        if len(edges) == 1:
            [(_, _, bits)] = edges.values()
            # One bit, two, or more: the lowest one is taken off.
            bits &= bits - 1
            return ONE_NEW if not bits else ONE_REGULAR if bits & (bits - 1) else ONE_ACCOUNT
        counted = self.crowds.get(address)
        if counted is not None:
            return counted
        days = [edge[2].bit_count() for edge in edges.values()]
        # The marker of a full set has no days.
        seen, once = len(days) - days.count(0), days.count(1)
        few = seen > HOME_ACCOUNTS and self._few_devices(edges, FEW_DEVICES * seen)
        if len(self.crowds) >= CROWDS_CAP:
            self.crowds.clear()
        counted = self.crowds[address] = Crowd(seen, seen - once - days.count(2), once, few)
        return counted

    def _few_devices(self, edges: EdgeSet, enough: float) -> bool:
        """Whether the accounts of edges use fewer devices; none are not known and no few."""
        devices: set[int] = set()
        shards = self._accounts.shards
        for user in edges:
            known: Account | None = shards[hash(user) & _SHARD].get(user)
            if known is not None:
                devices |= known.devices
                if len(devices) >= enough:
                    return False
        return bool(devices)

    def _touch(self, table: Table, kind: str, resource: str, user: str, time_ms: int) -> None:
        """Applies an edge that nobody asks about."""
        edges: EdgeSet | None = table.shards[hash(resource) & _SHARD].get(resource)
        if edges is not None:
            edge = edges.get(user)
            if edge is not None:
                first, last, days = edge
                if last <= time_ms and last // DAY_MS == time_ms // DAY_MS:
                    edges[user] = (first, time_ms, days)
                    return
            elif (marker := edges.get(_THRESHOLD)) is not None and _crc(user) >= marker[0]:
                return
        self._edge(table, kind, resource, user, time_ms, 0)

    def _edge(
        self,
        table: Table,
        kind: str,
        resource: str,
        user: str,
        time_ms: int,
        window_ms: int = EDGE_WINDOW_MS,
    ) -> tuple[int, int, int]:
        """(other accounts within the window, first seen, days before this one) of an edge, before it is applied."""
        edges: EdgeSet | None = table.shards[hash(resource) & _SHARD].get(resource)
        if edges is None:
            table.insert(resource, {user: (time_ms, time_ms, 1)})
            return 0, 0, 0
        edge = edges.get(user)
        first = days = 0
        others = len(edges)
        if edge is not None:
            first, last, days = edge
            if others == 1 and time_ms > first and last <= time_ms and last // DAY_MS == time_ms // DAY_MS:
                # Alone on it, and seen today: most of all edges.
                edges[user] = (first, time_ms, days)
                return 0, first, days & ~1
            others -= 1
            if time_ms >= last:
                shift = time_ms // DAY_MS - last // DAY_MS
                known = days
                if shift:
                    self.crowds.pop(resource, None)
                    known = ((days << shift) | 1) & DAYS_MASK if shift < 30 else 1
                edges[user] = (first, time_ms, known)
            else:
                back = last // DAY_MS - time_ms // DAY_MS
                known = days | (1 << back) if back < 30 else days
                if known != days:
                    self.crowds.pop(resource, None)
                edges[user] = (min(first, time_ms), last, known)
            # The asking event is no sighting before itself, and its day no day before it.
            back = last // DAY_MS - time_ms // DAY_MS
            days = days >> (back + 1) << (back + 1) if back >= 0 else days
            if first >= time_ms:
                first = 0
        alive = 0
        if others and window_ms:
            since = time_ms - window_ms
            threshold = -1
            marker = edges.get(_THRESHOLD)
            if marker is not None:
                threshold = marker[0]
                others -= 1
            for _, last, _ in edges.values():
                if last > since:
                    alive += 1
            if edge is not None and max(edge[1], time_ms) > since:
                alive -= 1
            alive = estimate(alive, others, threshold)
        if edge is None:
            self._new_edge(edges, kind, resource, user, time_ms)
        return alive, first, days

    def _new_edge(self, edges: EdgeSet, kind: str, resource: str, user: str, time_ms: int) -> None:
        marker = edges.get(_THRESHOLD)
        if marker is None and len(edges) < DEGREE_CAP:
            self.crowds.pop(resource, None)
            other = next(iter(edges))
            edges[user] = (time_ms, time_ms, 1)
            if kind in HARD:
                self._tie(user, other, (kind, resource), 2 if len(edges) == 2 else 1)
            return
        mine = _crc(user)
        if marker is not None and mine >= marker[0]:
            return
        kept = {known: _crc(known) for known in edges if known != _THRESHOLD}
        if marker is None:
            edges[_THRESHOLD] = marker = (max(kept.values()), 0, 0)
            if mine >= marker[0]:
                return
        self.crowds.pop(resource, None)
        last = max(kept, key=lambda known: kept[known])
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

    # -- questions ---------------------------------------------------------------------------------------

    def component(self, account: str) -> Component | None:
        """The component of an account, as copies."""
        state = self.components.get(account)
        if state is None:
            return None
        accounts: dict[str, AccountFacts] = {}
        for name in state.accounts:
            known: Account | None = self._accounts.get(name)
            if known is None:
                accounts[name] = AccountFacts()
            else:
                accounts[name] = AccountFacts(known.household, known.created_ms, len(known.devices))
        resources = []
        tables = {kind: self.tables[table] for table, kind in KINDS.items()}
        for kind, name in (*state.resources, *self._soft(state)):
            edges: EdgeSet | None = tables[kind].get(name)
            if edges is None:
                continue
            listed = [Edge(user, *edge) for user, edge in edges.items() if user in accounts]
            if listed:
                saturated = _THRESHOLD in edges
                total = (
                    estimate(len(edges) - 1, len(edges) - 1, edges[_THRESHOLD][0])
                    if saturated
                    else len(edges)
                )
                resources.append(Resource(kind, name, listed, saturated, total))
        return Component(accounts, resources)

    def address(self, address: str) -> AddressFacts:
        """What is known of an address, as copies."""
        edges: EdgeSet = self._addresses.get(address) or {}
        listed = [Edge(user, *edge) for user, edge in edges.items() if user != _THRESHOLD]
        marker = edges.get(_THRESHOLD)
        windows = {}
        for kind in ADDRESS_WINDOWS:
            window = self._windows.get(kind + ":" + address)
            if window is not None and window.order:
                windows[kind] = (len(window.order), window.order[-1][0])
        total = estimate(len(listed), len(listed), -1 if marker is None else marker[0])
        devices: set[int] = set()
        for edge in listed:
            known: Account | None = self._accounts.get(edge.account)
            if known is not None:
                devices |= known.devices
        return AddressFacts(total, listed, windows, len(devices))

    def _soft(self, state: ComponentState) -> list[tuple[str, str]]:
        """Soft resources of its accounts."""
        found: dict[str, None] = {}
        for name in state.accounts:
            known: Account | None = self._accounts.get(name)
            if known is not None:
                found.update(dict.fromkeys(known.soft))
        return [(name[0], name[2:]) for name in sorted(found)]

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
            self.crowds.pop(key, None)
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
        for table, kind in KINDS.items():
            if kind not in HARD:
                continue
            for shard in self.tables[table].shards:
                for resource, edges in shard.items():
                    if len(edges) < 2 or _THRESHOLD in edges:
                        # A public device: who was tied before it overflowed is not known, and rings ignore it.
                        continue
                    accounts = list(edges)
                    for number, account in enumerate(accounts[1:], start=2):
                        self._tie(account, accounts[0], (kind, resource), 2 if number == 2 else 1)


# Equal to calling the class, for a third of the cost.
_observation = tuple.__new__
_stream = tuple.__new__


@lru_cache(maxsize=1 << 16)
def _crc(name: str) -> int:
    """`priority` of an account."""
    return crc32(name.encode())


def _support(account: Account, name: str, time_ms: int) -> None:
    """Remembers a soft resource of an account."""
    soft = account.soft
    known = soft.get(name)
    if known is None:
        soft[name] = time_ms
        if len(soft) > SOFT_CAP:
            del soft[min(soft, key=lambda other: (soft[other], other))]
    elif known < time_ms:
        soft[name] = time_ms


def _locate(account: Account, place: bytes) -> tuple[bytes, bytes]:
    """(before, after) of a place, which is added."""
    places = account.places
    newest = places[-_PLACE_BYTES:]
    # The time is the first eight bytes, and bytes sort as times do.
    if place > newest:
        account.places = places[-(SIGHTINGS_CAP - 1) * _PLACE_BYTES :] + place
        return newest, b""
    before, after, account.places = _among(places, place)
    return before, after


def _enact(account: Account, act: bytes) -> bytes:
    """The acts before an act, which is added."""
    acts = account.acts
    if act > acts[-ACT_BYTES:]:
        account.acts = acts[-(ACTS_CAP - 1) * ACT_BYTES :] + act
        return acts
    listed = [acts[i : i + ACT_BYTES] for i in range(0, len(acts), ACT_BYTES)]
    before = b"".join(known for known in listed if known < act)
    if act not in listed:
        insort(listed, act)
        account.acts = b"".join(listed[-ACTS_CAP:])
    return before


def _flow(account: Account, name: str, stream: Stream) -> tuple[Stream, ...]:
    """The other streams of an account, newest first; the stream is added or moved to its latest time."""
    streams = account.streams
    if streams is None:
        account.streams = {name: stream}
        return ()
    known = streams.get(name)
    if len(streams) == (known is not None):
        others: tuple[Stream, ...] = ()
    else:
        others = tuple(sorted((one for other, one in streams.items() if other != name), key=newest_first))
    if known is not None:
        if known.last_ms >= stream.last_ms:
            newest = max(
                (known.last_ms, known.device, known.address), (stream.last_ms, stream.device, stream.address)
            )
            stream = Stream(newest[0], max(known.ended_ms, stream.ended_ms), newest[1], newest[2])
        elif known.ended_ms > stream.ended_ms:
            stream = stream._replace(ended_ms=known.ended_ms)
    streams[name] = stream
    if len(streams) > STREAMS_CAP:
        del streams[min(streams, key=lambda other: (streams[other].last_ms, other))]
    return others


def newest_first(stream: Stream) -> tuple[int, int, str, str]:
    return -stream.last_ms, stream.ended_ms, stream.device, stream.address


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


def _account_expired(_: str, account: Account, newest_ms: int) -> bool:
    return account.seen_ms <= newest_ms - EDGE_RETENTION_MS


def _window_expired(_: str, window: Window, newest_ms: int) -> bool:
    return not window.order or window.order[-1][0] <= newest_ms - LATENESS_MS - window.span_ms


def _dump_account(account: Account) -> list[Any]:
    streams = account.streams or {}
    return [
        account.seen_ms,
        account.household_ms,
        account.household,
        account.created_ms,
        sorted(account.devices),
        account.places.hex(),
        account.acts.hex(),
        {name: list(stream) for name, stream in streams.items()},
        account.soft,
    ]


def _load_account(content: list[Any]) -> Account:
    account = Account()
    account.seen_ms, account.household_ms, account.household, account.created_ms = content[:4]
    account.devices = set(content[4])
    account.places, account.acts = bytes.fromhex(content[5]), bytes.fromhex(content[6])
    account.streams = {name: Stream(*stream) for name, stream in content[7].items()} or None
    account.soft = content[8]
    return account


def _load_window(content: list[Any]) -> Window:
    window = Window(content[0])
    window.times = content[1]
    window.order = sorted((time_ms, member) for member, time_ms in window.times.items())
    return window


def _load_edges(edges: dict[str, list[int]]) -> EdgeSet:
    return {account: (edge[0], edge[1], edge[2]) for account, edge in edges.items()}


_EXPIRED: dict[str, Callable[[str, Any, int], bool]] = {
    "accounts": _account_expired,
    **dict.fromkeys(KINDS, _edges_expired),
    "windows": _window_expired,
}
_DUMP: dict[str, Callable[[Any], Any]] = {
    "accounts": _dump_account,
    **dict.fromkeys(KINDS, dict),
    "windows": lambda window: [window.span_ms, dict(window.times)],
}
_LOAD: dict[str, Callable[[Any], Any]] = {
    "accounts": _load_account,
    **dict.fromkeys(KINDS, _load_edges),
    "windows": _load_window,
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

    async def address(self, tenant: str, address: str) -> AddressFacts:
        memory = self.tenants.get(tenant)
        return AddressFacts(0, [], {}) if memory is None else memory.address(address)

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
