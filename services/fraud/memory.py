"""What fraud remembers, as sets: applying a sighting twice, or in another order, leaves the same state.

* An edge between an account and a device, payment instrument, address, e-mail domain or sign-up address holds
  (first seen, last seen, days seen): minimum, maximum and union.
* A window holds members (event ids, accounts, titles) with their latest time, as long as its kind says.
* An account holds its 16 newest located sightings, its 24 newest acts, the 16 newest of its streams, the 12 newest of
  its soft resources, and its household.
* A component holds the accounts tied by shared devices and payment instruments: a function of the edges, as long as
  none of its resources overflowed and it is below its cap. It is where rings are looked for, not a ring.

Every set is bounded. A resource keeps at most `DEGREE_CAP` accounts: beyond that the accounts of the smallest
priority (CRC-32 of the account) are kept, whatever the order of arrival, and the count is estimated from them
(bottom-k sketch: Beyer et al., "On synopses for distinct-value estimation under multiset operations", SIGMOD 2007;
relative standard error about 1 / sqrt(k - 2), 13 % at 64). A window keeps its newest members and saturates.

The answer to a sighting excludes the sighting itself and includes all that was applied before it: earlier batches,
and earlier sightings of the same batch. Two implementations, one contract: `memory_process` and `store_redis`.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple, Protocol

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

EDGE_WINDOW_MS = 30 * DAY_MS
"""How long an account counts among those of a resource after it was last seen there."""
ADDRESS_WINDOW_MS = DAY_MS
"""The same for an address, where people come and go."""
LATENESS_MS = 7 * DAY_MS
"""How late an event may be: nothing that such an event may ask for is forgotten."""
EDGE_RETENTION_MS = EDGE_WINDOW_MS + LATENESS_MS

DEGREE_CAP = 64
"""Accounts kept for a device, payment instrument, or address and day; beyond it counts are estimates."""
WINDOW_CAP = 512
"""Members kept in a window: 512 reads "512 or more"."""
SIGHTINGS_CAP = 16
"""Located sightings kept for an account."""
ACTS_CAP = 24
"""Acts kept for an account."""
STREAMS_CAP = 16
"""Streams kept for an account."""
DEVICES_CAP = 16
"""Devices of an account that are told apart: those of the smallest CRC-32."""
SOFT_CAP = 12
"""Addresses, domains and sign-up addresses remembered of an account: the newest."""
COMPONENT_CAP = 512
"""Accounts of a component: what would join more stays apart (the sweep over a snapshot sees it whole)."""
COMPONENT_RESOURCES_CAP = 1024
"""Shared resources remembered of a component."""

REGULAR_DAYS = 3
"""Days from which an account counts as regular at an address."""
HOME_ACCOUNTS = 8
"""Accounts behind one address that may be one household."""
FEW_DEVICES = 0.5
"""Devices an account, below which many accounts are run by a machine: a viewer has one or more."""

DAYS_MASK = (1 << 30) - 1

DEVICE = "d"
PAYMENT = "p"
ADDRESS = "i"
DOMAIN = "e"
SIGNUP = "s"
HARD = frozenset({DEVICE, PAYMENT})
"""Kinds that may join accounts; the others only support."""


class WindowKind(NamedTuple):
    """A kind of window."""

    span_ms: int
    """A member leaves when it is so much older than the newest one."""


FAILURES_OF_ACCOUNT = "fa"
FAILURES_ON_DEVICE = "fd"
FAILURES_AT_ADDRESS = "fi"
FAILED_AT_ADDRESS = "fu"
FAILED_IN_NETWORK = "fn"
SIGNED_IN_IN_NETWORK = "sn"
FAILED_WITH_TOOL = "ft"
SIGNED_IN_WITH_TOOL = "st"
SOURCES_AGAINST_ACCOUNT = "fw"
EXPORTS_OF_ACCOUNT = "xa"
EXPORTERS_AT_ADDRESS = "xi"
TITLES_OF_ACCOUNT = "xc"
TRIALS_ON_DEVICE = "td"
TRIALS_ON_PAYMENT = "tp"
CHARGEBACKS_ON_DEVICE = "cd"
CHARGEBACKS_ON_PAYMENT = "cp"

WINDOWS: dict[str, WindowKind] = {
    FAILURES_OF_ACCOUNT: WindowKind(HOUR_MS),
    FAILURES_ON_DEVICE: WindowKind(HOUR_MS),
    FAILURES_AT_ADDRESS: WindowKind(HOUR_MS),
    FAILED_AT_ADDRESS: WindowKind(DAY_MS),
    FAILED_IN_NETWORK: WindowKind(DAY_MS),
    SIGNED_IN_IN_NETWORK: WindowKind(DAY_MS),
    FAILED_WITH_TOOL: WindowKind(HOUR_MS),
    SIGNED_IN_WITH_TOOL: WindowKind(HOUR_MS),
    SOURCES_AGAINST_ACCOUNT: WindowKind(DAY_MS),
    EXPORTS_OF_ACCOUNT: WindowKind(DAY_MS),
    EXPORTERS_AT_ADDRESS: WindowKind(DAY_MS),
    TITLES_OF_ACCOUNT: WindowKind(HOUR_MS),
    TRIALS_ON_DEVICE: WindowKind(90 * DAY_MS),
    TRIALS_ON_PAYMENT: WindowKind(90 * DAY_MS),
    CHARGEBACKS_ON_DEVICE: WindowKind(180 * DAY_MS),
    CHARGEBACKS_ON_PAYMENT: WindowKind(180 * DAY_MS),
}
"""Kinds of windows. Each is kept LATENESS_MS longer than its span."""
OF_ACCOUNT = frozenset({FAILURES_OF_ACCOUNT, SOURCES_AGAINST_ACCOUNT, EXPORTS_OF_ACCOUNT, TITLES_OF_ACCOUNT})
"""Kinds whose key is an account."""
OF_EVENTS = frozenset({FAILURES_OF_ACCOUNT, EXPORTS_OF_ACCOUNT})
"""Those of them whose members are the account's events."""


class Read(NamedTuple):
    """A question to a window: how many members within the time before the sighting."""

    kind: str
    key: str
    within_ms: int
    excluded: str
    """A member that does not count: the event or account itself."""


class Add(NamedTuple):
    """A member of a window."""

    kind: str
    key: str
    member: str


class Sighting(NamedTuple):
    """One event as the memory sees it."""

    event_id: str
    """Of an act that was asked about before, the id of the INTENT, so that both count once."""
    user: str
    device: str
    payment: str
    """Payment fingerprint; empty: none."""
    address: str
    """Address; empty: none, or one that cannot tell anything (special-purpose range)."""
    household: str
    """Household the platform assigns the account to; empty: not told."""
    time_ms: int
    """Event time, Unix milliseconds."""
    place: bytes
    """`pack_place` of where it was; empty: unknown, or not the viewer's own place (VPN, relay, Tor, hosting)."""
    domain: str = ""
    """E-mail domain; empty: not told."""
    signup: str = ""
    """Sign-up address; empty: not told."""
    created_ms: int = 0
    """When the account was opened; 0: not told."""
    act: int = 0
    """What was done, as `acts` numbers it; 0: nothing worth keeping."""
    stream: str = ""
    """Stream that it belongs to; empty: none."""
    ended: bool = False
    """Whether it ends the stream."""
    reads: tuple[Read, ...] = ()
    adds: tuple[Add, ...] = ()


class Stream(NamedTuple):
    """A stream of an account."""

    last_ms: int
    ended_ms: int
    """When it was ended; 0: it was not."""
    device: str
    address: str


_ACT = struct.Struct(">QIBI")
ACT_BYTES = _ACT.size


class Act(NamedTuple):
    """One act of an account."""

    time_ms: int
    event_crc: int
    kind: int
    device_crc: int


def pack_act(time_ms: int, event_id: str, kind: int, device: str) -> bytes:
    """An act in 17 bytes, which sort as (time, event)."""
    return _ACT.pack(time_ms, zlib.crc32(event_id.encode()), kind, zlib.crc32(device.encode()))


def unpack_acts(packed: bytes) -> list[Act]:
    """Reverses `pack_act`, for many."""
    return [Act._make(fields) for fields in _ACT.iter_unpack(packed)]


class Place(NamedTuple):
    """Where and when an account was."""

    time_ms: int
    event_crc: int
    latitude_e4: int
    longitude_e4: int
    accuracy_km: int
    country: int
    """Two letters as (first << 8) | second; 0 unknown."""
    asn: int


# Big-endian with the time first: bytes sort as (time, event).
_PLACE = struct.Struct(">QIiiHHI")
PLACE_BYTES = _PLACE.size


def pack_place(
    time_ms: int,
    event_id: str,
    latitude_e4: int,
    longitude_e4: int,
    accuracy_km: int,
    country: int,
    asn: int,
) -> bytes:
    """A sighting's place in 28 bytes. The accuracy saturates at 65,535 km."""
    crc = zlib.crc32(event_id.encode())
    return _PLACE.pack(time_ms, crc, latitude_e4, longitude_e4, min(accuracy_km, 0xFFFF), country, asn)


def unpack_place(packed: bytes) -> Place:
    """Reverses `pack_place`."""
    return Place._make(_PLACE.unpack(packed))


def priority(account: str) -> int:
    """Priority of an account in a saturated set, 0 to 2**32 - 1; the smallest are kept."""
    return zlib.crc32(account.encode())


def estimate(alive: int, others: int, threshold: int) -> int:
    """Accounts behind a set of which only those of the smallest priorities are kept.

    Args:
        alive: kept accounts within the window, without the asking one.
        others: kept accounts, without the asking one.
        threshold: largest priority kept; -1 where the set never overflowed, and `alive` is exact.
    """
    if threshold < 0 or others == 0:
        return alive
    total = (DEGREE_CAP - 1) / ((threshold + 1) / 2**32)
    return max(alive, round(total * alive / others))


class Crowd(NamedTuple):
    """Who was seen at an address, as far as its class needs it; counted over the accounts kept of it."""

    seen: int
    """Accounts."""
    regulars: int
    """Those of them that came on `REGULAR_DAYS` days or more."""
    once: int
    """Those that came on one day only."""
    few_devices: bool
    """Whether they use fewer than `FEW_DEVICES` devices an account; asked above `HOME_ACCOUNTS` accounts only."""


NOBODY = Crowd(0, 0, 0, False)
ONE_NEW, ONE_REGULAR, ONE_ACCOUNT = Crowd(1, 0, 1, False), Crowd(1, 1, 0, False), Crowd(1, 0, 0, False)


class Observation(NamedTuple):
    """What was known before one sighting."""

    device_accounts: int
    """Other accounts on the device within 30 days."""
    payment_accounts: int
    """Other accounts on the payment instrument within 30 days."""
    address_accounts: int
    """Other accounts on the address within 24 hours."""
    device_since_ms: int
    """When the account was first seen on the device, before this sighting; 0: never."""
    address_since_ms: int
    """When the account was first seen at the address; 0: never."""
    address_days: int
    """Bits of the days before the sighting's on which it was (see Edge.days)."""
    counts: tuple[int, ...]
    """Answers to the sighting's reads, at most WINDOW_CAP each."""
    before: bytes
    """`pack_place` of the account's last sighting at or before this one's time; empty: none."""
    after: bytes
    """`pack_place` of its first sighting after this one's time; empty: none (always so when events come in order)."""
    acts: bytes
    """Acts of the account before this one, by time; empty where the sighting is no act itself."""
    streams: tuple[Stream, ...]
    """Its other streams, newest first; empty where the sighting belongs to none."""
    component: str
    """Component of the account, named by one of its accounts; empty: the account is tied to nobody."""
    members: int
    """Accounts of the component."""
    ties: int
    """Edges to shared resources in the component. (members, ties) changes whenever the component does."""
    crowd: Crowd = NOBODY
    """Who was seen at the address, this sighting among them."""


NOTHING_KNOWN = Observation(0, 0, 0, 0, 0, 0, (), b"", b"", b"", (), "", 0, 0)


class Edge(NamedTuple):
    """An account on a resource."""

    account: str
    first_ms: int
    last_ms: int
    days: int
    """Bit i: seen on the i-th UTC day before the day of last_ms; 30 days."""


class Resource(NamedTuple):
    """Something that accounts share."""

    kind: str
    """DEVICE, PAYMENT, ADDRESS, DOMAIN or SIGNUP."""
    name: str
    edges: list[Edge]
    """Accounts of the component on it."""
    saturated: bool
    """More accounts than DEGREE_CAP were seen: a public one, not evidence."""
    total: int = 0
    """Accounts seen on it, of the component or not; less than the edges: not known."""


class AccountFacts(NamedTuple):
    """What the memory knows of an account beside its edges."""

    household: str = ""
    """Newest household told; empty: none."""
    created_ms: int = 0
    """When it was opened, Unix milliseconds; 0: not known."""
    devices: int = 0
    """Devices it uses, at most DEVICES_CAP; 0: not known."""


class AddressFacts(NamedTuple):
    """What the memory knows of an address."""

    accounts: int
    """Accounts seen on it; an estimate above the cap."""
    edges: list[Edge]
    windows: dict[str, tuple[int, int]]
    """Kind of window -> (members, newest time)."""
    devices: int = 0
    """Devices of the accounts in `edges`, each once; at most DEVICES_CAP of an account count."""


ADDRESS_WINDOWS = (FAILURES_AT_ADDRESS, FAILED_AT_ADDRESS, EXPORTERS_AT_ADDRESS)


class Component(NamedTuple):
    """Accounts tied by shared resources."""

    accounts: dict[str, AccountFacts]
    resources: list[Resource]
    signups_timed: bool = False
    """Whether edges to sign-up addresses carry the time of the sign-up (in the memory they carry that of an event)."""


class Memory(Protocol):
    """The memory of all tenants. Every key carries the tenant.

    What is applied through holds for the whole memory, not for a tenant: it is lost, and restored, as one.
    """

    async def open(self) -> None:
        """Gets ready. Raises ConfigError where the server behind it may lose or evict state."""
        ...

    async def close(self) -> None:
        """Saves what needs saving and lets go."""
        ...

    async def healthy(self) -> None:
        """Returns when the memory can work. Raises Unavailable."""
        ...

    async def observe(
        self, tenant: str, sightings: Sequence[Sighting], *, committed_through_ms: int, batch_time_ms: int
    ) -> list[Observation]:
        """Answers each sighting and applies it, in order; then applied through >= batch_time_ms.

        Raises:
            StateBehind: the memory has applied less than `committed_through_ms`; nothing was applied.
            Unavailable: the server behind it does not answer.
        """
        ...

    async def restore(self, tenant: str, sightings: Sequence[Sighting], *, complete_through_ms: int) -> int:
        """Applies sightings without answers; applied through >= complete_through_ms where that is above 0.

        Returns what is applied through now, Unix milliseconds.
        """
        ...

    async def applied_through(self) -> int:
        """Time through which the memory is whole, Unix milliseconds; 0: it is empty. One for all tenants."""
        ...

    async def component(self, tenant: str, account: str) -> Component | None:
        """The component of an account with its shared resources; None where the account is tied to nobody."""
        ...

    async def address(self, tenant: str, address: str) -> AddressFacts:
        """What is known of an address."""
        ...

    async def told(self, tenant: str, account: str) -> list[tuple[str, dict[str, Any]]]:
        """Everything that is remembered of an account, as (store, row), naming nobody else."""
        ...

    async def forget(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        """Takes an account and its events out of every set, and out of what was saved; returns entries taken out."""
        ...

    async def holds(self, tenant: str, account: str, event_ids: frozenset[str]) -> int:
        """Entries that still name the account or one of its events."""
        ...

    def accounts(self) -> AsyncIterator[tuple[str, str, int]]:
        """Yields (tenant, account, newest time in Unix milliseconds) of every account; 0 where the time is unknown."""
        ...
