"""Who was erased, in memory: asked at the door for every event, read from the rows now and then."""

from __future__ import annotations

import asyncio

from services.common.db import Database
from services.common.erased import ErasedRows, subject_of
from services.common.errors import Unavailable, UsherError
from services.common.telemetry import Telemetry
from usher.alerts.v1 import alerts_pb2

_REFRESH_S = 2.0


class ErasedViewers:
    """The subjects of the erasure ledger that ingest has applied."""

    def __init__(self, database: Database, rows: ErasedRows, telemetry: Telemetry) -> None:
        self._database = database
        self._rows = rows
        self._log = telemetry.logger("erasures")
        self._key = b""
        self._erased: dict[bytes, int] = {}

    async def start(self) -> None:
        """Reads who was erased, and whether the rows are an older copy that lacks erasures."""
        await self._database.run(self._rows.look)
        await self.refresh()
        if self._rows.restored:
            self._log.warning("an older copy of the rows was put back: waiting for the erasure ledger")

    async def run(self) -> None:
        """Takes over what other processes erased, for ever."""
        while True:
            await asyncio.sleep(_REFRESH_S)
            try:
                await self.refresh()
            except UsherError as error:
                self._log.warning("the erasures cannot be read", extra={"reason": error.reason})

    async def refresh(self) -> None:
        """Reads the rows again."""
        self._key = await self._database.read(self._rows.key)
        self._erased = await self._database.read(self._rows.all) if self._key else {}

    def check(self) -> None:
        """Raises Unavailable (ERASURES_BEHIND) while erased subjects may be among the rows."""
        if self._rows.restored:
            raise Unavailable(
                "ERASURES_BEHIND",
                "an older copy of the rows was put back; they are used once the erasure ledger was applied again",
                retry_after=2.0,
            )

    def concerns(self, message: alerts_pb2.AlertMessage) -> bool:
        """Whether a message is about an erased viewer, and from before the erasure."""
        return (
            message.entity_kind == "user"
            and bool(self._erased)
            and self.covers(message.tenant, message.entity, message.event_time.ToMilliseconds())
        )

    def covers(self, tenant: str, user_id: str, event_ms: int) -> bool:
        """Whether an event of the viewer is one from before an erasure."""
        if not self._erased:
            return False
        erased_ms = self._erased.get(subject_of(self._key, tenant, user_id))
        return erased_ms is not None and event_ms <= erased_ms
