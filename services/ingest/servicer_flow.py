"""FlowService: check, call, answer."""

from __future__ import annotations

import re
from typing import Any

from services.common.clock import Clock
from services.common.errors import FieldViolation, InvalidArgument
from services.ingest.check import require_tenant
from services.ingest.store import Store
from services.ingest.store_flow import FlowStore
from usher.ingest.v1 import flow_pb2, flow_pb2_grpc

FLOW = "usher.ingest.v1.FlowService"

_DAY_MS = 86_400_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_INSTANCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class FlowServicer(flow_pb2_grpc.FlowServiceServicer):
    """Takes reports and positions, and shows them."""

    def __init__(self, store: Store, flow: FlowStore, clock: Clock) -> None:
        self._store = store
        self._flow = flow
        self._clock = clock

    async def ReportSource(
        self, request: flow_pb2.ReportSourceRequest, context: Any
    ) -> flow_pb2.ReportSourceResponse:
        report = request.report
        require_tenant(report.tenant)
        require_flow_name("report.name", report.name)
        require_flow_name("report.instance", report.instance, _INSTANCE)
        require_flow_name("report.kind", report.kind)
        now_ms = self._clock.now_ms()
        report.report_time.FromMilliseconds(now_ms)
        run = self._flow.database.run
        await run(
            self._flow.put_report,
            report.tenant,
            report.name,
            report.instance,
            now_ms,
            report.SerializeToString(),
        )
        return flow_pb2.ReportSourceResponse()

    async def ListSources(
        self, request: flow_pb2.ListSourcesRequest, context: Any
    ) -> flow_pb2.ListSourcesResponse:
        if request.tenant:
            require_tenant(request.tenant)
        bodies = await self._flow.database.read(
            self._flow.reports, request.tenant or None, self._clock.now_ms() - _DAY_MS
        )
        return flow_pb2.ListSourcesResponse(
            sources=[flow_pb2.SourceReport.FromString(body) for body in bodies]
        )

    async def AckDecisions(
        self, request: flow_pb2.AckDecisionsRequest, context: Any
    ) -> flow_pb2.AckDecisionsResponse:
        require_tenant(request.tenant)
        require_flow_name("subscriber", request.subscriber)
        if not 0 <= request.position <= await self._flow.database.read(self._store.last_position):
            raise InvalidArgument(
                "POSITION_INVALID",
                "position is that of a decision that was read",
                violations=[FieldViolation("position", "POSITION_INVALID", "send Decision.position")],
            )
        position = await self._flow.database.run(
            self._flow.ack, request.tenant, request.subscriber, request.position, self._clock.now_ms()
        )
        return flow_pb2.AckDecisionsResponse(position=position)

    async def ListSubscribers(
        self, request: flow_pb2.ListSubscribersRequest, context: Any
    ) -> flow_pb2.ListSubscribersResponse:
        if request.tenant:
            require_tenant(request.tenant)
        rows = await self._flow.database.read(self._flow.subscribers, request.tenant or None)
        now_ms = self._clock.now_ms()
        answer = flow_pb2.ListSubscribersResponse()
        for row in rows:
            one = answer.subscribers.add(
                tenant=row.tenant,
                name=row.name,
                position=row.position,
                lag_decisions=row.lag,
                lag_ms=max(0, now_ms - row.oldest_ms) if row.oldest_ms else 0,
            )
            one.ack_time.FromMilliseconds(row.acked_ms)
        return answer


def require_flow_name(field: str, name: str, grammar: re.Pattern[str] = _NAME) -> None:
    """Raises InvalidArgument (FLOW_NAME_INVALID) for what names no source or subscriber."""
    if not grammar.fullmatch(name):
        advice = "1 to 64 characters of a-z 0-9 . _ -, beginning with a letter or digit"
        raise InvalidArgument(
            "FLOW_NAME_INVALID",
            f"{field}: use {advice}",
            violations=[FieldViolation(field, "FLOW_NAME_INVALID", advice)],
        )
