"""Routes of subject requests and legal holds: each checks, calls compliance once, answers.

The JSON is the contract's own form (proto/usher/compliance/v1/records.proto). Every call is an entry of the audit log,
under the name in X-Usher-Actor.
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.calls import ACTOR_PARAMETER, Calls, actor_of
from gateway.messages import to_json
from gateway.settings import GatewaySettings
from usher.compliance.v1 import records_pb2, records_pb2_grpc

SERVICE = "SubjectRequestService"
IDEMPOTENT = tuple(
    f"/usher.compliance.v1.{SERVICE}/{method}"
    for method in ("GetSubjectRequest", "ListSubjectRequests", "ListLegalHolds", "ReleaseLegalHold")
)
"""What the channel to compliance may repeat: reads, and what is the same the second time."""

_PAGE, _LARGEST_PAGE = 100, 500
_EXTRA = {"parameters": [ACTOR_PARAMETER]}


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to compliance."""
    stub = records_pb2_grpc.SubjectRequestServiceStub(channel)
    calls = Calls(settings)

    @app.post(
        "/api/v1/subject-requests",
        summary="Take in what a viewer asks for",
        description='`{"user_id", "right": "SUBJECT_RIGHT_ACCESS", "jurisdiction": "DE", "received_time", "request_id", '
        '"identity_confirmed", "event_id", "details"}`. Rights: ACCESS, ERASURE, PORTABILITY, RECTIFICATION, RESTRICTION, '
        "OBJECTION, OPT_OUT, CONTEST (of the decision about event_id). The answer holds every clock that starts. The same "
        "request_id again answers the request that is kept.",
        responses={201: {"description": "The request."}, 409: {"description": "REQUEST_ID_REUSED."}},
        openapi_extra=_EXTRA,
    )
    async def open_request(request: Request) -> Response:
        message = await calls.body(request, records_pb2.OpenSubjectRequestRequest())
        message.tenant, message.actor = tenant_of(request, settings.default_tenant), actor_of(request)
        answer = await calls.ask(stub.OpenSubjectRequest, f"{SERVICE}/OpenSubjectRequest", message)
        return to_json(answer, 201)

    @app.get(
        "/api/v1/subject-requests",
        summary="Subject requests, due first",
        description="Parameters: user_id, include_closed and overdue_only (true, false), limit (1 to 500, default 100), "
        "page_token.",
        openapi_extra=_EXTRA,
    )
    async def list_requests(request: Request) -> Response:
        query = live.known_parameters(
            request.query_params.multi_items(),
            "user_id",
            "include_closed",
            "overdue_only",
            "limit",
            "page_token",
        )
        message = records_pb2.ListSubjectRequestsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            user_id=live.text(query, "user_id"),
            include_closed=live.yes_or_no(query, "include_closed"),
            overdue_only=live.yes_or_no(query, "overdue_only"),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
        )
        return to_json(await calls.ask(stub.ListSubjectRequests, f"{SERVICE}/ListSubjectRequests", message))

    @app.get(
        "/api/v1/subject-requests/{request_id}",
        summary="A subject request: state, identity, clocks, steps, certificate",
        openapi_extra=_EXTRA,
    )
    async def get_request(request: Request, request_id: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.GetSubjectRequestRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            request_id=request_id,
        )
        return to_json(await calls.ask(stub.GetSubjectRequest, f"{SERVICE}/GetSubjectRequest", message))

    @app.post(
        "/api/v1/subject-requests/{request_id}/actions",
        summary="Move a subject request on",
        description='`{"action": "SUBJECT_REQUEST_ACTION_ASK_IDENTITY", "note", "contest"}`. Actions: ACKNOWLEDGE, '
        "ASK_IDENTITY (the clock stands still where the law says so), CONFIRM_IDENTITY, REJECT_IDENTITY, EXTEND, FULFIL "
        "(an erasure, in all services), ANSWER (what a person answers; of a contest with contest UPHELD or OVERTURNED; of "
        "an opt-out, an objection or a restriction it also writes the consent ledger), REFUSE, WITHDRAW.",
        responses={409: {"description": "STATE_NOT_ALLOWED: the message lists what the state allows."}},
        openapi_extra=_EXTRA,
    )
    async def act(request: Request, request_id: str) -> Response:
        message = await calls.body(request, records_pb2.ActOnSubjectRequestRequest())
        message.tenant, message.actor = tenant_of(request, settings.default_tenant), actor_of(request)
        message.request_id = request_id
        return to_json(await calls.ask(stub.ActOnSubjectRequest, f"{SERVICE}/ActOnSubjectRequest", message))

    @app.get(
        "/api/v1/subject-requests/{request_id}/export",
        summary="The bundle of an access or portability request (zip with JSON and CSV)",
        description="Collected from all services while it is sent; handing it out completes the request.",
        responses={200: {"content": {"application/zip": {}}, "description": "The bundle."}},
        response_class=Response,
        openapi_extra=_EXTRA,
    )
    async def download(request: Request, request_id: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.DownloadSubjectExportRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            request_id=request_id,
        )
        name = f"{SERVICE}/DownloadSubjectExport"
        return await calls.file(
            stub.DownloadSubjectExport, name, message, "application/zip", "subject-data.zip"
        )

    @app.post(
        "/api/v1/legal-holds",
        summary="Keep a viewer's data in spite of an erasure",
        description='`{"user_id", "stores": [], "reason", "hold_id"}`; no stores: all of them.',
        responses={201: {"description": "The hold."}},
        openapi_extra=_EXTRA,
    )
    async def place_hold(request: Request) -> Response:
        message = await calls.body(request, records_pb2.PlaceLegalHoldRequest())
        message.tenant, message.actor = tenant_of(request, settings.default_tenant), actor_of(request)
        return to_json(await calls.ask(stub.PlaceLegalHold, f"{SERVICE}/PlaceLegalHold", message), 201)

    @app.get(
        "/api/v1/legal-holds",
        summary="Legal holds, newest first",
        description="Parameter: include_released (true, false).",
        openapi_extra=_EXTRA,
    )
    async def list_holds(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "include_released")
        message = records_pb2.ListLegalHoldsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            include_released=live.yes_or_no(query, "include_released"),
        )
        return to_json(await calls.ask(stub.ListLegalHolds, f"{SERVICE}/ListLegalHolds", message))

    @app.post(
        "/api/v1/legal-holds/{hold_id}/release",
        summary="End a legal hold; erasures that wait for it go on",
        openapi_extra=_EXTRA,
    )
    async def release_hold(request: Request, hold_id: str) -> Response:
        message = records_pb2.ReleaseLegalHoldRequest(
            tenant=tenant_of(request, settings.default_tenant), actor=actor_of(request), hold_id=hold_id
        )
        return to_json(await calls.ask(stub.ReleaseLegalHold, f"{SERVICE}/ReleaseLegalHold", message))
