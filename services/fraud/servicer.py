"""The fraud service on the wire: checks, calls, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from services.common.db import Database
from services.fraud.engine import Engines, answer
from services.fraud.memory import NOTHING_KNOWN, Memory
from services.fraud.request import (
    UNTOUCHED,
    Columns,
    Item,
    check_tenant,
    minimum_score_e6,
    page_size,
    page_token,
    read_columns,
    read_items,
    read_page_token,
)
from services.fraud.ringbook import RingBook
from services.fraud.signals import SIGNAL_WIDTH
from services.fraud.store import RingStore
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc

SLICE = 128
"""Events handled at a stretch before other work of the event loop runs: about 1 ms."""


class FraudServicer(fraud_pb2_grpc.FraudServiceServicer):
    """Implements usher.fraud.v1.FraudService."""

    def __init__(
        self, memory: Memory, store: RingStore, database: Database, engines: Engines, book: RingBook
    ) -> None:
        self._memory = memory
        self._store = store
        self._database = database
        self._engines = engines
        self._book = book

    async def AssessEvents(
        self, request: fraud_pb2.AssessEventsRequest, context: Any
    ) -> fraud_pb2.AssessEventsResponse:
        tenant = request.tenant
        check_tenant(tenant)
        columns = read_columns(len(request.events), request.places, request.item_flags, least=1)
        engine = await self._engines.get(request.policy_set)
        items = await _read(request.events, columns)
        remembered = [item.sighting for item in items if not item.item_flags & UNTOUCHED]
        observed = iter(
            await self._memory.observe(
                tenant,
                remembered,
                committed_through_ms=request.committed_through_ms,
                batch_time_ms=request.batch_time_ms,
            )
        )
        seen = [NOTHING_KNOWN if item.item_flags & UNTOUCHED else next(observed) for item in items]
        await self._book.refresh(
            tenant,
            [(item.sighting.user, known) for item, known in zip(items, seen, strict=True) if known.component],
            engine.parameters.rings,
        )
        response = fraud_pb2.AssessEventsResponse(signal_width=SIGNAL_WIDTH)
        ring = partial(self._book.ring, tenant)
        for start in range(0, len(items), SLICE):
            if start:
                await asyncio.sleep(0)
            part = zip(items[start : start + SLICE], seen[start : start + SLICE], strict=True)
            signals, assessments = answer(engine.assess, part, ring)
            response.signals.extend(signals)
            response.assessments.extend(assessments)
        return response

    async def Restore(self, request: fraud_pb2.RestoreRequest, context: Any) -> fraud_pb2.RestoreResponse:
        check_tenant(request.tenant)
        columns = read_columns(len(request.events), request.places, (), least=0)
        items = await _read(request.events, columns)
        through = await self._memory.restore(
            request.tenant,
            [item.sighting for item in items],
            complete_through_ms=request.complete_through_ms,
        )
        return fraud_pb2.RestoreResponse(applied=len(items), applied_through_ms=through)

    async def ListRings(
        self, request: fraud_pb2.ListRingsRequest, context: Any
    ) -> fraud_pb2.ListRingsResponse:
        check_tenant(request.tenant)
        size = page_size(request.page_size)
        least = minimum_score_e6(request.minimum_score)
        after = read_page_token(request.page_token)
        found = await self._database.read(self._store.page, request.tenant, least, after, size + 1)
        response = fraud_pb2.ListRingsResponse(rings=[ring for _, ring in found[:size]])
        if len(found) > size:
            score_e6, last = found[size - 1]
            response.next_page_token = page_token(score_e6, last.ring_id)
        return response


async def _read(events: Sequence[bytes], columns: Columns) -> list[Item]:
    items: list[Item] = []
    for start in range(0, len(events), SLICE):
        if start:
            await asyncio.sleep(0)
        items += read_items(events, columns, start, start + SLICE)
    return items
