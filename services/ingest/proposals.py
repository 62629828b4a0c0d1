"""Entries that the mesh proposes by itself: the accounts affected are looked for first, then the entry is put into force.

A proposal is a row of the commit that decided, so a crash loses none; every process may take it up, and the first one
puts it into force.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from services.common.clock import Clock
from services.common.errors import UsherError
from services.common.telemetry import Telemetry
from services.ingest import listed
from services.ingest.affected import Tally
from services.ingest.lists import Lists
from services.ingest.messages import listing_alert
from services.ingest.outbox import ALERTS
from services.ingest.records import POSITION_SHIFT
from services.ingest.store_lists import ListStore
from usher.alerts.v1 import alerts_pb2
from usher.ingest.v1 import lists_pb2

_MOST_EVENTS = 20_000
"""Events that are read for one proposal, of the day before it."""
_MOST_ACCOUNTS = 20
_DAY_MS = 86_400_000
_AGAIN_S = 2.0


class Proposals:
    """Puts proposals into force. `run` goes on until it is cancelled."""

    def __init__(
        self,
        lists: Lists,
        store: ListStore,
        deliver_soon: Callable[[int, str, str, bytes], None],
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._lists = lists
        self._store = store
        self._deliver_soon = deliver_soon
        self._clock = clock
        self._log = telemetry.logger("proposals")

    async def run(self) -> None:
        """Takes up what is proposed, for ever."""
        while True:
            await self._lists.until_proposed()
            try:
                await self.once()
            except UsherError as error:
                self._log.warning("a proposed list entry waits", extra={"reason": error.reason})
                await asyncio.sleep(_AGAIN_S)

    async def once(self) -> None:
        """Takes up what is proposed now."""
        await self._lists.refresh()
        for tenant, entry in self._lists.proposals():
            affected = await asyncio.to_thread(self._look, tenant, entry)
            judged = listed.judged(entry, affected)
            message = listing_alert(tenant, judged)
            body = alerts_pb2.RaiseAlertsRequest(messages=[message]).SerializeToString()
            put = await self._store.database.run(
                self._store.put_into_force, tenant, judged, (ALERTS, "", body), self._clock.now_ms()
            )
            if put is not None:
                self._deliver_soon(put, ALERTS, "", body)
        await self._lists.refresh()

    def _look(self, tenant: str, entry: lists_pb2.ListEntry) -> lists_pb2.AffectedAccounts:
        tally = Tally(entry.entity_kind, entry.entity)
        since = max(0, entry.created_time.ToMilliseconds() - _DAY_MS) << POSITION_SHIFT
        for piece in self._store.events_back(tenant, since, _MOST_EVENTS):
            tally.add(piece)
        return tally.accounts(_MOST_ACCOUNTS, complete=tally.read < _MOST_EVENTS)
