"""EnforcementService: check, call, answer."""

from __future__ import annotations

from typing import Any

from services.common.clock import Clock
from services.common.errors import FieldViolation, InvalidArgument
from services.ingest import enforcement
from services.ingest.check import require_tenant
from services.ingest.paging import page_of
from services.ingest.store_enforcement import EnforcementStore
from usher.ingest.v1 import enforcement_pb2, enforcement_pb2_grpc

ENFORCEMENT = "usher.ingest.v1.EnforcementService"
_MOST_EVENT_IDS = 500


class EnforcementServicer(enforcement_pb2_grpc.EnforcementServiceServicer):
    """What callers did with decisions."""

    def __init__(self, store: EnforcementStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def ReportEnforcement(
        self, request: enforcement_pb2.ReportEnforcementRequest, context: Any
    ) -> enforcement_pb2.ReportEnforcementResponse:
        require_tenant(request.tenant)
        count = len(request.enforcements)
        if not count:
            raise InvalidArgument("ENFORCEMENTS_MISSING", "enforcements must hold at least one")
        if count > enforcement.MAX_ENFORCEMENTS:
            raise InvalidArgument(
                "TOO_MANY_ENFORCEMENTS",
                f"enforcements must be {enforcement.MAX_ENFORCEMENTS} or fewer, not {count}",
                metadata={"limit": str(enforcement.MAX_ENFORCEMENTS)},
            )
        faults = [enforcement.violations(one) for one in request.enforcements]
        valid = [one for one, found in zip(request.enforcements, faults, strict=True) if not found]
        recorded: list[enforcement_pb2.EnforcementOutcome] = []
        if valid:
            recorded = await self._store.database.run(
                self._store.record, request.tenant, valid, self._clock.now_ms()
            )
        kept = iter(recorded)
        return enforcement_pb2.ReportEnforcementResponse(
            outcomes=[_invalid(found) if found else next(kept) for found in faults]
        )

    async def ListEnforcements(
        self, request: enforcement_pb2.ListEnforcementsRequest, context: Any
    ) -> enforcement_pb2.ListEnforcementsResponse:
        require_tenant(request.tenant)
        if len(request.event_ids) > _MOST_EVENT_IDS:
            raise InvalidArgument("TOO_MANY_EVENT_IDS", f"name {_MOST_EVENT_IDS} events or fewer")
        size, after = page_of(request.page_size, request.page_token, first=0)
        found = await self._store.database.read(
            self._store.list_enforcements, request.tenant, list(request.event_ids), after, size + 1
        )
        return enforcement_pb2.ListEnforcementsResponse(
            enforcements=[one for _, one in found[:size]],
            next_page_token=str(found[size - 1][0]) if len(found) > size else "",
        )


def _invalid(found: list[FieldViolation]) -> enforcement_pb2.EnforcementOutcome:
    return enforcement_pb2.EnforcementOutcome(
        status=enforcement_pb2.ENFORCEMENT_STATUS_INVALID,
        error="; ".join(f"{one.field}: {one.reason}: {one.message}" for one in found),
    )
