"""Tells fraud what turned out to be true: labels in their order, from where fraud stands.

Fraud keeps the position that it has taken over with what it took over, so nothing is missed or told twice, whichever of
the replicas tells it.
"""

from __future__ import annotations

import asyncio
import itertools

from services.common.errors import UsherError
from services.common.telemetry import Telemetry
from services.ingest.peers import Peers
from services.ingest.store_labels import LabelStore
from usher.fraud.v1 import fraud_pb2

_EVERY_S = 1.0
_ASK_EVERY = 60
"""Rounds without news after which fraud is asked where it stands: an older copy of its rows may have been put back."""
_PIECE = 200


class OutcomeFeed:
    """Reads labels and hands them to fraud. `run` does so until it is cancelled."""

    def __init__(self, store: LabelStore, peers: Peers, telemetry: Telemetry) -> None:
        self._store = store
        self._peers = peers
        self._log = telemetry.logger("outcomes")
        self._through: int | None = None
        self._away = False

    async def run(self) -> None:
        """Tells what is new, for ever."""
        for round_number in itertools.count():
            try:
                if self._through is None or round_number % _ASK_EVERY == 0:
                    self._through = await self._tell([], 0)
                while await self.step():
                    pass
                self._away = False
            except UsherError as error:
                self._through = None
                if not self._away:
                    self._away = True
                    self._log.warning("fraud takes no labels; tried again", extra={"reason": error.reason})
            await asyncio.sleep(_EVERY_S)

    async def step(self) -> bool:
        """Tells one piece; returns whether there may be more."""
        after = self._through or 0
        outcomes, through = await self._store.database.read(self._store.outcomes_after, after, _PIECE)
        if through == after:
            return False
        self._through = await self._tell(outcomes, through)
        return self._through > after

    async def _tell(self, outcomes: list[fraud_pb2.Outcome], through: int) -> int:
        request = fraud_pb2.RecordOutcomesRequest(outcomes=outcomes, through_position=through)
        answer = await self._peers.record_outcomes(request)
        return int(answer.through_position)
