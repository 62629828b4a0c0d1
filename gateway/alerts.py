"""Routes of alerts and incidents: each checks, calls alerts once, answers.

The JSON is the contract's own form (proto/usher/alerts/v1/alerts.proto): its names, enums by name, times as RFC 3339.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Any

import grpc
from fastapi import FastAPI, Request
from google.protobuf.message import Message
from starlette.responses import Response

from gateway import live
from gateway.calls import Calls
from gateway.messages import number, to_json, values
from gateway.settings import GatewaySettings
from services.common.errors import InvalidArgument, ResourceExhausted, UsherError, from_rpc_error
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.alerts.v1.AlertsService/{method}"
    for method in (
        *(
            "RaiseAlerts",
            "ListAlerts",
            "GetAlert",
            "GetWorkQueue",
            "ActOnAlerts",
            "ListSnoozes",
            "LiftSnooze",
        ),
        *("ListDeliveries", "TestRoute", "GetIncident", "ListIncidents"),
    )
)
"""What the channel to alerts may repeat: reads, and what is idempotent by id or by state."""

_PAGE = 50
_LARGEST_PAGE = 200
_MOST_STREAMS = 16


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
    ending: asyncio.Event,
) -> None:
    """Adds the routes to the application; `channel` leads to alerts, `ending` is set when the gateway drains."""
    alerts = alerts_pb2_grpc.AlertsServiceStub(channel)
    streams = 0

    calls = Calls(settings)
    call = calls.ask

    async def asked(request: Request, message: Message) -> Any:
        """The request's JSON body as a message, for the tenant that the request is for."""
        await calls.body(request, message)
        message.tenant = tenant_of(request, settings.default_tenant)  # type: ignore[attr-defined]
        return message

    def listed(request: Request, *further: str) -> tuple[alerts_pb2.ListAlertsRequest, dict[str, str]]:
        names = ("limit", "page_token", "minimum_severity", "state", "kind", "assignee", "subject", *further)
        query = live.known_parameters(request.query_params.multi_items(), *names)
        subject = live.text(query, "subject").partition("=")
        if "subject" in query and not (subject[0] and subject[2]):
            raise live.parameter_invalid("subject", "subject is kind=value: user=u1, device=d7")
        message = alerts_pb2.ListAlertsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            minimum_severity=number(query, "minimum_severity", alerts_pb2.Severity, "SEVERITY_"),
            kind=live.text(query, "kind"),
            assignee=live.text(query, "assignee"),
        )
        state = number(query, "state", alerts_pb2.AlertState, "ALERT_STATE_")
        if state:
            message.states.append(state)
        if subject[2]:
            message.subject.kind, message.subject.value = subject[0], subject[2]
        return message, query

    @app.get(
        "/api/v1/alerts",
        summary="Alerts, last seen first",
        description="Parameters: limit (1 to 200, default 50), page_token, minimum_severity (low to critical), state "
        "(open, acknowledged, resolved, false_alarm), kind, assignee, subject (user=u1, device=d7, address=..., "
        "payment=...).",
    )
    async def list_alerts(request: Request) -> Response:
        message, _ = listed(request)
        return to_json(await call(alerts.ListAlerts, "AlertsService/ListAlerts", message))

    @app.get("/api/v1/alerts/recent", summary="The newest alerts", description="Parameter: limit (1 to 200).")
    async def recent_alerts(request: Request) -> Response:
        message, _ = listed(request)
        return to_json(await call(alerts.ListAlerts, "AlertsService/ListAlerts", message))

    @app.post(
        "/api/v1/alerts/send",
        summary="Raise an alert",
        description='`{"event_id", "kind", "entity_kind", "entity", "severity": "SEVERITY_HIGH", "summary"}`; the same '
        "event_id and kind again changes nothing.",
        responses={201: {"description": "What became of it."}},
    )
    async def send_alert(request: Request) -> Response:
        one = await asked(request, alerts_pb2.AlertMessage())
        answer = await call(
            alerts.RaiseAlerts, "AlertsService/RaiseAlerts", alerts_pb2.RaiseAlertsRequest(messages=[one])
        )
        (result,) = answer.results
        if result.status == alerts_pb2.RAISE_STATUS_INVALID:
            raise InvalidArgument("MESSAGE_INVALID", result.error)
        return to_json(result, 200 if result.status == alerts_pb2.RAISE_STATUS_DUPLICATE else 201)

    @app.post(
        "/api/v1/alerts/act",
        summary="Acknowledge, assign, resolve or open again one alert or many",
        description='`{"act": "ALERT_ACT_ACKNOWLEDGE", "actor", "alert_ids": [...]}` or with `selection` in their '
        "place; `preview: true` says what would change.",
    )
    async def act_on_alerts(request: Request) -> Response:
        message = await asked(request, alerts_pb2.ActOnAlertsRequest())
        return to_json(await call(alerts.ActOnAlerts, "AlertsService/ActOnAlerts", message))

    @app.get(
        "/api/v1/alerts/queue",
        summary="What to work on today, the greatest expected loss first",
        description="Parameters: capacity, assignee.",
    )
    async def work_queue(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "capacity", "assignee")
        message = alerts_pb2.GetWorkQueueRequest(
            tenant=tenant_of(request, settings.default_tenant),
            capacity=live.whole_number(query, "capacity", 0, 0, 1_000),
            assignee=live.text(query, "assignee"),
        )
        return to_json(await call(alerts.GetWorkQueue, "AlertsService/GetWorkQueue", message))

    @app.post(
        "/api/v1/alerts/snooze",
        summary="Keep one entity quiet until a time",
        description='`{"snooze": {"entity_kind", "entity", "until_time", "reason", "actor"}}`.',
    )
    async def snooze_entity(request: Request) -> Response:
        message = await asked(request, alerts_pb2.SnoozeEntityRequest())
        return to_json(await call(alerts.SnoozeEntity, "AlertsService/SnoozeEntity", message))

    @app.get(
        "/api/v1/alert-stream",
        summary="Alerts as they open and change, as server-sent events",
        description="Each event `alerts` holds a list, its id is the place to go on after: send it as Last-Event-ID, or "
        "as the parameter `after`. `alive` is a sign of life, `end` the last message.",
    )
    async def stream_alerts(request: Request) -> Response:
        nonlocal streams
        query = live.known_parameters(request.query_params.multi_items(), "after", "minimum_severity")
        message = alerts_pb2.WatchAlertsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            after_changed=live.start_position(query, request.headers.get("last-event-id")),
            minimum_severity=number(query, "minimum_severity", alerts_pb2.Severity, "SEVERITY_"),
        )
        if streams >= _MOST_STREAMS:
            raise ResourceExhausted(
                "TOO_MANY_STREAMS",
                f"{_MOST_STREAMS} streams are open: close one, such as a page that nobody looks at",
                metadata={"limit": str(_MOST_STREAMS)},
                retry_after=5,
            )
        streams += 1

        async def pieces() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(feed(alerts.WatchAlerts(message), ending)) as pieces_:
                async for piece in pieces_:
                    yield piece

        def ended() -> None:
            nonlocal streams
            streams -= 1

        return live.Stream(pieces(), ended)

    @app.get("/api/v1/alerts/{alert_id}", summary="One alert with its deliveries")
    async def get_alert(request: Request, alert_id: str) -> Response:
        message = alerts_pb2.GetAlertRequest(
            tenant=tenant_of(request, settings.default_tenant), alert_id=alert_id
        )
        return to_json(await call(alerts.GetAlert, "AlertsService/GetAlert", message))

    @app.get(
        "/api/v1/incidents",
        summary="Incidents, newest first",
        description="Parameters: limit (1 to 200), page_token, state (open to false_alarm), assignee.",
    )
    async def list_incidents(request: Request) -> Response:
        names = ("limit", "page_token", "state", "assignee")
        query = live.known_parameters(request.query_params.multi_items(), *names)
        state = number(query, "state", alerts_pb2.IncidentState, "INCIDENT_STATE_")
        message = alerts_pb2.ListIncidentsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            states=[state] if state else [],
            assignee=live.text(query, "assignee"),
        )
        return to_json(await call(alerts.ListIncidents, "AlertsService/ListIncidents", message))

    @app.post(
        "/api/v1/incidents",
        summary="Open an incident over alerts",
        description='`{"title", "alert_ids": [...], "actor", "request_id"}`.',
        responses={201: {"description": "The incident."}},
    )
    async def create_incident(request: Request) -> Response:
        message = await asked(request, alerts_pb2.CreateIncidentRequest())
        return to_json(await call(alerts.CreateIncident, "AlertsService/CreateIncident", message), 201)

    @app.get("/api/v1/incidents/{number}", summary="One incident with its timeline")
    async def get_incident(request: Request, number: str) -> Response:
        message = alerts_pb2.GetIncidentRequest(
            tenant=tenant_of(request, settings.default_tenant), number=number
        )
        return to_json(await call(alerts.GetIncident, "AlertsService/GetIncident", message))

    @app.post(
        "/api/v1/incidents/{number}",
        summary="Move an incident on, assign it, write a note or a link",
        description='`{"actor", "state": "INCIDENT_STATE_RESOLVED", "note", "assign": true, "assignee"}`.',
    )
    async def update_incident(request: Request, number: str) -> Response:
        message = await asked(request, alerts_pb2.UpdateIncidentRequest())
        message.number = number
        return to_json(await call(alerts.UpdateIncident, "AlertsService/UpdateIncident", message))


async def feed(stream: Any, ending: asyncio.Event) -> AsyncGenerator[bytes, None]:
    """Yields server-sent events of a call of WatchAlerts until it ends, or until `ending` is set."""
    stopping = asyncio.create_task(ending.wait())
    reading: asyncio.Task[Any] | None = None
    ended = {"reason": "DRAINING", "message": "the gateway is stopping"}
    # Goes out at once, so that the reader knows that the feed is open.
    yield b": usher\n\n"
    try:
        while True:
            reading = asyncio.create_task(stream.read())
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if stopping.done():
                break
            try:
                piece = reading.result()
            except (UsherError, grpc.aio.AioRpcError) as error:
                typed = error if isinstance(error, UsherError) else from_rpc_error(error)
                ended = {"reason": typed.reason, "message": typed.message}
                break
            if piece is grpc.aio.EOF:
                ended = {"reason": "ENDED", "message": "alerts ended the feed: begin again"}
                break
            if piece.alerts:
                shown = {"alerts": [values(alert) for alert in piece.alerts]}
                yield live.message("alerts", shown, str(piece.alerts[-1].changed))
            else:
                yield live.message("alive", {})
        yield live.message("end", ended)
    finally:
        stopping.cancel()
        if reading is not None:
            reading.cancel()
        stream.cancel()
