"""Which accounts an entry on a list concerns, as recent events show it. Pure."""

from __future__ import annotations

import collections
from collections.abc import Iterable

from services.common.event_types import event_class
from services.ingest import listed
from usher.event.v1 import event_pb2
from usher.ingest.v1 import lists_pb2


class Tally:
    """Counts the accounts seen with one thing. Feed it events, newest first."""

    def __init__(self, entity_kind: int, entity: str) -> None:
        self._entity_kind, self._entity = entity_kind, entity
        self._network = listed.network_of(entity) if entity_kind == listed.ADDRESS else None
        # Most events do not hold the text, and need not be parsed; a network's members have many spellings.
        self._needle = entity.encode()
        if self._network is not None:
            one = self._network.version == 4 and self._network.prefixlen == 32
            self._needle = str(self._network.network_address).encode() if one else b""
        self._counts: collections.Counter[str] = collections.Counter()
        self._last: dict[str, event_pb2.Event] = {}
        self._watching: set[str] = set()
        self.read = 0

    def add(self, events: Iterable[bytes]) -> None:
        """Takes serialised events."""
        for serialised in events:
            self.read += 1
            if self._needle not in serialised:
                continue
            event = event_pb2.Event.FromString(serialised)
            if not listed.shows(event, self._entity_kind, self._entity, self._network):
                continue
            self._counts[event.user_id] += 1
            self._last.setdefault(event.user_id, event)
            if event_class(event.event_type) == event_pb2.EVENT_CLASS_PLAYBACK:
                self._watching.add(event.user_id)

    def accounts(self, most: int, *, complete: bool) -> lists_pb2.AffectedAccounts:
        """The accounts, most events first, at most so many; `complete`: all events meant were read."""
        found = sorted(self._counts.items(), key=lambda one: (-one[1], one[0]))[:most]
        return lists_pb2.AffectedAccounts(
            accounts=[
                lists_pb2.AffectedAccount(user_id=user, events=n, last_time=self._last[user].event_time)
                for user, n in found
            ],
            account_count=len(self._counts),
            watching=len(self._watching),
            events_read=self.read,
            complete=complete,
        )
