"""Events waiting for a batch: bounded, and shared fairly between tenants. Pure.

Served in turn: a batch is of one tenant, and the next batch of the next tenant that has something ready, so that a tenant
that sends much waits for itself alone.

Bounded by what is left: a tenant's share may grow to four times the room that is free (dynamic thresholds: A. Choudhury
and E. Hahne, "Dynamic queue length thresholds for shared-memory packet switches", IEEE/ACM Transactions on Networking 6(2),
1998). One tenant alone fills at most four fifths, two of them at most four ninths each; a newcomer always finds room.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, Set

from services.ingest.items import Item

SHARE_OF_ROOM = 4
"""How many times the free room a tenant's share may be."""

_SCAN_LIMIT = 4_096


def fits(number: int, own: int, all_of_them: int, most: int) -> bool:
    """Whether a tenant that has `own` of `all_of_them` in a place for `most` may bring `number` more."""
    room = most - all_of_them
    return number <= room and own < SHARE_OF_ROOM * room


def fits_with_measured(number: int, tenant: str, counts: Mapping[str, int], most: int) -> bool:
    """The same, where what each tenant has was counted elsewhere."""
    return fits(number, counts.get(tenant, 0), sum(counts.values()), most)


class FairQueue:
    """Items by tenant, in order of arrival.

    Args:
        most: events it holds at most.
        most_bytes: bytes of events it holds at most.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._of: OrderedDict[str, deque[Item]] = OrderedDict()
        """The tenant whose turn it is comes first; none is empty."""
        self._number = 0
        self.bytes = 0

    def __len__(self) -> int:
        return self._number

    def waiting_of(self, tenant: str) -> int:
        """Events of a tenant."""
        return len(self._of.get(tenant, ()))

    def fits(self, tenant: str, number: int, size: int) -> bool:
        """Whether a tenant may bring so many events of so many bytes together."""
        if self.bytes + size > self._most_bytes:
            return False
        return fits(number, self.waiting_of(tenant), self._number, self._most)

    def append(self, item: Item) -> None:
        """Takes an item; whether it fits was asked before."""
        queue = self._of.get(item.tenant)
        if queue is None:
            queue = self._of[item.tenant] = deque()
        queue.append(item)
        self._number += 1
        self.bytes += len(item.payload)

    def take(self, busy: Set[bytes], most: int, most_bytes: int) -> list[Item]:
        """The next batch: events of one tenant whose viewers are not busy, oldest first; empty where there is none."""
        for tenant in list(self._of):
            batch = self._take_of(self._of[tenant], busy, most, most_bytes)
            if not batch:
                continue
            self._number -= len(batch)
            self.bytes -= sum([len(item.payload) for item in batch])
            if self._of[tenant]:
                self._of.move_to_end(tenant)
            else:
                del self._of[tenant]
            return batch
        return []

    @staticmethod
    def _take_of(queue: deque[Item], busy: Set[bytes], most: int, most_bytes: int) -> list[Item]:
        batch: list[Item] = []
        left: deque[Item] = deque()
        size = 0
        for _ in range(min(len(queue), _SCAN_LIMIT)):
            item = queue.popleft()
            if item.user_key in busy:
                left.append(item)
                continue
            size += len(item.payload)
            if batch and size > most_bytes:
                left.append(item)
                break
            batch.append(item)
            if len(batch) == most:
                break
        while left:
            queue.appendleft(left.pop())
        return batch
