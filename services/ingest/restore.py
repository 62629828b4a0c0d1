"""Fraud's memory, seen from ingest: what it has been given, and giving it back what it lost.

Fraud remembers in process (with snapshots) or in Redis; the events themselves lie here. After a loss fraud answers
STATE_BEHIND with the time through which its memory is whole, and gets every event since, minus 30 seconds; what was
decided while it was away is carried to it before its next batch. Both are set operations: overlap is harmless.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import groupby

from services.common.clock import Clock
from services.common.errors import StateBehind
from services.common.telemetry import Telemetry
from services.ingest.items import OLD, SUPPRESSED
from services.ingest.peers import AwayError, Peers
from services.ingest.places import PlacesInForce
from services.ingest.store import Store
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2

OVERLAP_MS = 30_000
_PIECE = 256
_CARRIED_AT_ONCE = 1_024
_WAIT_S = 2.0
_DAY_MS = 86_400_000


class FraudMemory:
    """What fraud has seen of what is committed."""

    def __init__(
        self,
        store: Store,
        peers: Peers,
        places: PlacesInForce,
        restore_days: float,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._store = store
        self._peers = peers
        self._places = places
        self._longest_ms = int(restore_days * _DAY_MS)
        self._clock = clock
        self._log = telemetry.logger("restore")
        self._restoring: asyncio.Task[None] | None = None
        self._carrying = asyncio.Lock()
        self._unsighted = False
        self._carried: list[int] = []
        self._noted = 0
        self.committed_through_ms = 0

    async def start(self) -> None:
        """Reads where the log stands."""
        self.committed_through_ms = await self._store.database.read(self._store.sighted_ms)
        self._unsighted = bool(await self._store.database.read(self._store.unsighted, 1))

    def committed(self, sighted_ms: int, unsighted: bool) -> None:
        """Notes a commit: its batch time if fraud had seen it, and whether some of it was not shown to fraud."""
        self.committed_through_ms = max(self.committed_through_ms, sighted_ms)
        if unsighted:
            self._unsighted = True
            self._noted += 1

    async def carry_unsighted(self) -> None:
        """Gives fraud what was decided without it, before anything new. Raises AwayError.

        What was given counts as seen only with the commit of a batch that fraud assessed after it (`carried`): until then
        fraud may die and forget it again.
        """
        if not self._unsighted:
            return
        async with self._carrying:
            while self._unsighted:
                noted = self._noted
                after = self._carried[-1] if self._carried else 0
                positions = await self._store.database.read(self._store.unsighted, _CARRIED_AT_ONCE, after)
                if not positions:
                    # Unless another batch committed some while we read.
                    self._unsighted = self._noted != noted
                    continue
                rows = await self._store.database.read(
                    self._store.sighted_since, 0, positions[0] - 1, len(positions) + _CARRIED_AT_ONCE
                )
                wanted = set(positions)
                rows = [row for row in rows if row[0] in wanted]
                await self._give(rows)
                self._carried += [row[0] for row in rows] or positions

    def carried(self) -> list[int]:
        """Positions that fraud was given since: they are seen once a batch assessed after them is committed."""
        return list(self._carried)

    def seen(self, positions: Sequence[int]) -> None:
        """Notes that carried positions were committed as seen."""
        done = set(positions)
        self._carried = [position for position in self._carried if position not in done]

    def doubted(self) -> None:
        """Notes that fraud did not assess after it was given something: it is given it again."""
        if self._carried:
            self._carried = []
            self._unsighted = True

    async def restore(self, behind: StateBehind) -> None:
        """Gives fraud everything since it was whole; waits up to 2 seconds for it, then raises AwayError (it goes on)."""
        if self._restoring is None or self._restoring.done():
            through = int(behind.applied_through or 0)
            self._restoring = asyncio.get_running_loop().create_task(self._restore(through))
        done, _ = await asyncio.wait({self._restoring}, timeout=_WAIT_S)
        if not done:
            raise AwayError("fraud")
        self._restoring.result()

    async def _restore(self, applied_through_ms: int) -> None:
        started_ms = self._clock.now_ms()
        since_ms = max(applied_through_ms - OVERLAP_MS, started_ms - self._longest_ms, 0)
        self._log.warning("restoring fraud's memory", extra={"since_ms": since_ms})
        after, total = 0, 0
        tenants: set[str] = set()
        while True:
            rows = await self._store.database.read(self._store.sighted_since, since_ms, after, 4 * _PIECE)
            if not rows:
                break
            after = rows[-1][0]
            total += len(rows)
            tenants.update(row[1] for row in rows)
            await self._give(rows)
        await self._peers.restore(
            fraud_pb2.RestoreRequest(tenant=min(tenants, default="-") or "-", complete_through_ms=started_ms)
        )
        self._log.warning("fraud's memory is restored", extra={"events": total})

    async def _give(self, rows: list[tuple[int, str, int, bytes]]) -> None:
        useful = [row for row in rows if not row[2] & (OLD | SUPPRESSED)]
        for tenant, some in groupby(sorted(useful, key=lambda row: row[1]), key=lambda row: row[1]):
            events = [row[3] for row in some]
            for start in range(0, len(events), _PIECE):
                piece = events[start : start + _PIECE]
                places = self._places.current.columns(
                    [event_pb2.Event.FromString(one).ip_address for one in piece]
                )
                await self._peers.restore(
                    fraud_pb2.RestoreRequest(tenant=tenant, events=piece, places=places)
                )
