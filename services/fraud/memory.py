"""What fraud remembers, as sets: applying a sighting twice, or in another order, leaves the same state.

* An edge account-device or account-payment holds (first seen, last seen, days seen): minimum, maximum and union.
* A window holds members (event ids, or accounts with their last time) of the last hour before its newest member.
* An account holds its 16 newest located sightings and its newest address and household.
* Accounts of an address lie in one set a day.
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
"""How long an account counts among those of a device or payment instrument after it was last seen there."""
ADDRESS_WINDOW_MS = DAY_MS
FAILURE_WINDOW_MS = HOUR_MS
LATENESS_MS = 7 * DAY_MS
"""How late an event may be: nothing that such an event may ask for is forgotten."""
EDGE_RETENTION_MS = EDGE_WINDOW_MS + LATENESS_MS
ADDRESS_RETENTION_DAYS = 9
FAILURE_RETENTION_MS = LATENESS_MS + FAILURE_WINDOW_MS

DEGREE_CAP = 64
"""Accounts kept for a device, payment instrument, or address and day; beyond it counts are estimates."""
WINDOW_CAP = 512
"""Members kept in a window of failures: 512 reads "512 or more"."""
SIGHTINGS_CAP = 16
"""Located sightings kept for an account."""
COMPONENT_CAP = 512
"""Accounts of a component: what would join more stays apart (the sweep over a snapshot sees it whole)."""
COMPONENT_RESOURCES_CAP = 1024
"""Shared resources remembered of a component."""

DAYS_MASK = (1 << 30) - 1

DEVICE = "d"
PAYMENT = "p"


class Sighting(NamedTuple):
    """One event as the memory sees it."""

    event_id: str
    """Member of windows: of an act that was asked about before, the id of the INTENT, so that both count once."""
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
    failed: bool
    """A failed sign-in."""
    place: bytes
    """`pack_place` of where it was; empty: unknown, or not the viewer's own place (VPN, relay, Tor, hosting)."""


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


class Observation(NamedTuple):
    """What was known before one sighting."""

    device_accounts: int
    """Other accounts on the device within 30 days."""
    payment_accounts: int
    """Other accounts on the payment instrument within 30 days."""
    address_accounts: int
    """Other accounts on the address within 24 hours."""
    account_failures: int
    address_failures: int
    device_failures: int
    """Failed sign-ins within an hour, at most WINDOW_CAP."""
    address_failed_accounts: int
    """Other accounts with a failed sign-in from the address within an hour, at most WINDOW_CAP."""
    before: bytes
    """`pack_place` of the account's last sighting at or before this one's time; empty: none."""
    after: bytes
    """`pack_place` of its first sighting after this one's time; empty: none (always so when events come in order)."""
    component: str
    """Component of the account, named by one of its accounts; empty: the account is tied to nobody."""
    members: int
    """Accounts of the component."""
    ties: int
    """Edges to shared resources in the component. (members, ties) changes whenever the component does."""


NOTHING_KNOWN = Observation(0, 0, 0, 0, 0, 0, 0, b"", b"", "", 0, 0)


class Edge(NamedTuple):
    """An account on a device or payment instrument."""

    account: str
    first_ms: int
    last_ms: int
    days: int
    """Bit i: seen on the i-th UTC day before the day of last_ms; 30 days."""


class Resource(NamedTuple):
    """A device or payment instrument that accounts share."""

    kind: str
    """DEVICE or PAYMENT."""
    name: str
    edges: list[Edge]
    saturated: bool
    """More accounts than DEGREE_CAP were seen: a public device, not evidence."""


class AccountFacts(NamedTuple):
    """What the memory knows of an account beside its edges."""

    address: str
    """Newest address; empty: none."""
    household: str
    """Newest household told; empty: none."""


class Component(NamedTuple):
    """Accounts tied by shared resources."""

    accounts: dict[str, AccountFacts]
    resources: list[Resource]


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
