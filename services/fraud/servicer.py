"""The fraud service on the wire: checks, calls, answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

from services.common.clock import Clock, SystemClock
from services.common.db import Database
from services.common.errors import NotFound
from services.fraud.addresses import learnt_class, reputation
from services.fraud.engine import Engines, answer
from services.fraud.memory import NOTHING_KNOWN, Component, Memory
from services.fraud.neighbourhood import neighbourhood
from services.fraud.parameters import RingParameters, shipped
from services.fraud.request import (
    UNTOUCHED,
    Columns,
    Item,
    check_address,
    check_outcomes,
    check_tenant,
    check_verdict,
    minimum_score_e6,
    page_size,
    page_token,
    read_columns,
    read_items,
    read_page_token,
)
from services.fraud.ringbook import RingBook
from services.fraud.rings import examine
from services.fraud.signals import SIGNAL_WIDTH
from services.fraud.store import RingStore
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc

SLICE = 128
"""Events handled at a stretch before other work of the event loop runs: about 1 ms."""


class FraudServicer(fraud_pb2_grpc.FraudServiceServicer):
    """Implements usher.fraud.v1.FraudService."""

    def __init__(
        self,
        memory: Memory,
        store: RingStore,
        database: Database,
        engines: Engines,
        book: RingBook,
        clock: Clock | None = None,
    ) -> None:
        self._memory = memory
        self._store = store
        self._database = database
        self._engines = engines
        self._book = book
        self._clock = clock or SystemClock()
        # Those of the policy set that the last batch came with; before it those shipped.
        self._parameters: RingParameters = shipped().rings

    async def AssessEvents(
        self, request: fraud_pb2.AssessEventsRequest, context: Any
    ) -> fraud_pb2.AssessEventsResponse:
        tenant = request.tenant
        check_tenant(tenant)
        columns = read_columns(len(request.events), request.places, request.item_flags, least=1)
        engine = await self._engines.get(request.policy_set)
        self._parameters = engine.parameters.rings
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
        rows: list[bytes] = []
        assessed: list[bytes] = []
        standing = partial(self._book.standing, tenant)
        for start in range(0, len(items), SLICE):
            if start:
                await asyncio.sleep(0)
            part = zip(items[start : start + SLICE], seen[start : start + SLICE], strict=True)
            signals, assessments = answer(engine.assess, part, standing)
            rows.append(signals)
            assessed += assessments
        response = fraud_pb2.AssessEventsResponse.FromString(b"".join(rows))
        response.signal_width = SIGNAL_WIDTH
        response.assessments.extend(assessed)
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
        found = await self._database.read(
            self._store.page, request.tenant, least, after, size + 1, request.status
        )
        response = fraud_pb2.ListRingsResponse(rings=[ring for _, ring in found[:size]])
        if len(found) > size:
            score_e6, last = found[size - 1]
            response.next_page_token = page_token(score_e6, last.ring_id)
        return response

    async def GetRing(self, request: fraud_pb2.GetRingRequest, context: Any) -> fraud_pb2.GetRingResponse:
        check_tenant(request.tenant)
        ring = await self._database.read(self._store.ring, request.tenant, request.ring_id)
        response = fraud_pb2.GetRingResponse(ring=ring)
        component = await self._memory.component(request.tenant, ring.members[0]) if ring.members else None
        if component is not None:
            response.neighbourhood.CopyFrom(self._neighbourhood(request.tenant, component))
        return response

    async def GetNeighbourhood(
        self, request: fraud_pb2.GetNeighbourhoodRequest, context: Any
    ) -> fraud_pb2.GetNeighbourhoodResponse:
        tenant, user = request.tenant, request.user_id
        check_tenant(tenant)
        component = await self._memory.component(tenant, user)
        if component is None:
            raise NotFound(
                "ACCOUNT_UNTIED", "the account shares no device or payment instrument with anybody"
            )
        parameters = self._parameters
        groups = await asyncio.to_thread(examine, component, parameters)
        response = fraud_pb2.GetNeighbourhoodResponse(neighbourhood=self._neighbourhood(tenant, component))
        known = await self._database.read(self._store.ring_of, tenant, user)
        for group in groups:
            if user in group.members:
                ring_id = known[0] if known is not None and not group.why_not else ""
                card = self._store.card(tenant, group, parameters, ring_id)
                card.members.extend(group.members)
                response.groups.append(card)
        return response

    async def SetRingStatus(
        self, request: fraud_pb2.SetRingStatusRequest, context: Any
    ) -> fraud_pb2.SetRingStatusResponse:
        check_tenant(request.tenant)
        check_verdict(request)
        ring = await self._database.run(
            self._store.set_status,
            request.tenant,
            request.ring_id,
            request.status,
            request.decided_by,
            request.note,
        )
        await self._book.catch_up()
        return fraud_pb2.SetRingStatusResponse(ring=ring)

    async def RecordOutcomes(
        self, request: fraud_pb2.RecordOutcomesRequest, context: Any
    ) -> fraud_pb2.RecordOutcomesResponse:
        check_outcomes(request)
        position = await self._book.record_outcomes(request.outcomes, request.through_position)
        return fraud_pb2.RecordOutcomesResponse(through_position=position)

    async def DescribeAddress(
        self, request: fraud_pb2.DescribeAddressRequest, context: Any
    ) -> fraud_pb2.DescribeAddressResponse:
        check_tenant(request.tenant)
        address = check_address(request.ip_address)
        known = await self._memory.address(request.tenant, address)
        learnt = learnt_class(request.place_flags, known)
        response = fraud_pb2.DescribeAddressResponse(
            address_class=learnt.kind,
            accounts=known.accounts,
            regulars=learnt.regulars,
            devices=learnt.devices,
            churn=learnt.churn,
        )
        for code, count, age_hours in reputation(known, request.place_flags, self._clock.now_ms()):
            reason = response.reasons.add(code=code, count=count)
            if age_hours is not None:
                reason.age_hours = age_hours
        return response

    def _neighbourhood(self, tenant: str, component: Component) -> fraud_pb2.Neighbourhood:
        return neighbourhood(component, self._parameters, partial(self._store.fingerprint, tenant))


async def _read(events: Sequence[bytes], columns: Columns) -> list[Item]:
    items: list[Item] = []
    for start in range(0, len(events), SLICE):
        if start:
            await asyncio.sleep(0)
        items += read_items(events, columns, start, start + SLICE)
    return items
