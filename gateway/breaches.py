"""Routes of the breach register: each checks, calls compliance once, answers.

The JSON is the contract's own form (proto/usher/compliance/v1/records.proto); a breach's `duties` are the countdown.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.calls import ACTOR_PARAMETER, Calls, actor_of
from gateway.messages import number, to_json
from gateway.settings import GatewaySettings
from usher.compliance.v1 import records_pb2, records_pb2_grpc

SERVICE = "BreachService"
IDEMPOTENT = tuple(
    f"/usher.compliance.v1.{SERVICE}/{method}" for method in ("GetBreach", "ListBreaches", "DraftNotice")
)
"""What the channel to compliance may repeat: reads."""

_PAGE, _LARGEST_PAGE = 100, 500
_EXTRA = {"parameters": [ACTOR_PARAMETER]}


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to compliance."""
    stub = records_pb2_grpc.BreachServiceStub(channel)
    calls = Calls(settings)

    @app.post(
        "/api/v1/breaches",
        summary="Register a breach of personal data",
        description='`{"breach": {"description", "aware_time", "occurred_time", "affected": {"DE": 1200}, "data_kinds", '
        '"risk": "BREACH_RISK_LIKELY", "encrypted"}}`. The answer holds who must be told under which law by when. The same '
        "breach_id again answers the one that is kept.",
        responses={201: {"description": "The breach, with its duties."}},
        openapi_extra=_EXTRA,
    )
    async def register(request: Request) -> Response:
        message = await calls.body(request, records_pb2.RegisterBreachRequest())
        message.breach.tenant = tenant_of(request, settings.default_tenant)
        message.actor = actor_of(request)
        return to_json(await calls.ask(stub.RegisterBreach, f"{SERVICE}/RegisterBreach", message), 201)

    @app.get(
        "/api/v1/breaches",
        summary="Breaches, newest first, with what is due by when",
        description="Parameters: limit (1 to 500, default 100), page_token.",
        openapi_extra=_EXTRA,
    )
    async def list_breaches(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "limit", "page_token")
        message = records_pb2.ListBreachesRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
        )
        return to_json(await calls.ask(stub.ListBreaches, f"{SERVICE}/ListBreaches", message))

    @app.get("/api/v1/breaches/{breach_id}", summary="A breach and its countdown", openapi_extra=_EXTRA)
    async def get_breach(request: Request, breach_id: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.GetBreachRequest(
            tenant=tenant_of(request, settings.default_tenant), actor=actor_of(request), breach_id=breach_id
        )
        return to_json(await calls.ask(stub.GetBreach, f"{SERVICE}/GetBreach", message))

    @app.patch(
        "/api/v1/breaches/{breach_id}",
        summary="Add what was found out, or close a breach",
        description='`{"breach": {fields that changed}, "close", "note"}`; the duties are computed anew.',
        openapi_extra=_EXTRA,
    )
    async def update(request: Request, breach_id: str) -> Response:
        message = await calls.body(request, records_pb2.UpdateBreachRequest())
        message.breach.tenant = tenant_of(request, settings.default_tenant)
        message.breach.breach_id, message.actor = breach_id, actor_of(request)
        return to_json(await calls.ask(stub.UpdateBreach, f"{SERVICE}/UpdateBreach", message))

    @app.get(
        "/api/v1/breaches/{breach_id}/draft",
        summary="A draft of a notice, with what is still to be filled in",
        description="Parameters: regulation (EU_GDPR), recipient (regulator, subjects).",
        openapi_extra=_EXTRA,
    )
    async def draft(request: Request, breach_id: str) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "regulation", "recipient")
        message = records_pb2.DraftNoticeRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            breach_id=breach_id,
            regulation=live.text(query, "regulation"),
            recipient=number(query, "recipient", records_pb2.NoticeRecipient, "NOTICE_RECIPIENT_"),
        )
        return to_json(await calls.ask(stub.DraftNotice, f"{SERVICE}/DraftNotice", message))

    @app.post(
        "/api/v1/breaches/{breach_id}/notices",
        summary="Record that a notice was sent",
        description='`{"regulation", "recipient": "NOTICE_RECIPIENT_REGULATOR", "stage", "sent_time", "note"}`; the note '
        "says how and where to (a reference number).",
        openapi_extra=_EXTRA,
    )
    async def record_notice(request: Request, breach_id: str) -> Response:
        message = await calls.body(request, records_pb2.RecordNoticeRequest())
        message.tenant, message.actor = tenant_of(request, settings.default_tenant), actor_of(request)
        message.breach_id = breach_id
        return to_json(await calls.ask(stub.RecordNotice, f"{SERVICE}/RecordNotice", message))
