"""Transport of alerts: check, call, answer."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter

from services.alerts import check, paging
from services.alerts.delivery import Deliverer
from services.alerts.store import AlertStore, Position
from services.common.clock import Clock
from services.common.errors import InvalidArgument
from services.common.telemetry import Telemetry, keep_current_trace
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc


class AlertsServicer(alerts_pb2_grpc.AlertsServiceServicer):
    """Answers usher.alerts.v1.AlertsService."""

    def __init__(
        self, store: AlertStore, deliverer: Deliverer, *, telemetry: Telemetry, clock: Clock
    ) -> None:
        self._store = store
        self._deliverer = deliverer
        self._clock = clock
        self._messages = Counter(
            "usher_alerts_messages",
            "Messages by what became of them.",
            ("status",),
            registry=telemetry.registry,
        )

    async def RaiseAlerts(
        self, request: alerts_pb2.RaiseAlertsRequest, context: Any
    ) -> alerts_pb2.RaiseAlertsResponse:
        if not request.messages:
            raise InvalidArgument("MESSAGES_MISSING", "messages must hold at least one message")
        if len(request.messages) > check.MAX_MESSAGES:
            raise InvalidArgument(
                "TOO_MANY_MESSAGES",
                f"messages must be {check.MAX_MESSAGES} or fewer, not {len(request.messages)}",
                metadata={"limit": str(check.MAX_MESSAGES)},
            )
        faults = [check.violations(message) for message in request.messages]
        valid = [message for message, found in zip(request.messages, faults, strict=True) if not found]
        kept = iter(await self._store.raise_messages(valid, self._clock.now_ms()))
        results = [
            alerts_pb2.RaiseResult(status=alerts_pb2.RAISE_STATUS_INVALID, error=check.describe(found))
            if found
            else next(kept)
            for found in faults
        ]
        self._deliverer.wake()
        # Someone will look at what led here.
        keep_current_trace()
        for result in results:
            status = alerts_pb2.RaiseStatus.Name(result.status).removeprefix("RAISE_STATUS_").lower()
            self._messages.labels(status).inc()
        return alerts_pb2.RaiseAlertsResponse(results=results)

    async def ListAlerts(
        self, request: alerts_pb2.ListAlertsRequest, context: Any
    ) -> alerts_pb2.ListAlertsResponse:
        if not check.is_identifier(request.tenant):
            raise InvalidArgument("TENANT_INVALID", "tenant must be an identifier of 1 to 255 characters")
        if request.minimum_severity not in alerts_pb2.Severity.values():
            raise InvalidArgument("SEVERITY_UNKNOWN", "minimum_severity must be a severity of the contract")
        size = paging.page_size(request.page_size)
        after = None
        if request.page_token:
            after = Position(*paging.decode(request.page_token, request.tenant, request.minimum_severity))
        # One more than asked: whether there is a next page.
        alerts = await self._store.list_alerts(request.tenant, request.minimum_severity, size + 1, after)
        token = ""
        if len(alerts) > size:
            alerts.pop()
            last = alerts[-1]
            token = paging.encode(
                request.tenant, request.minimum_severity, last.last_time.ToNanoseconds(), last.alert_id
            )
        return alerts_pb2.ListAlertsResponse(alerts=alerts, next_page_token=token)
