"""Routes by which callers confirm what they did with decisions: each checks, calls ingest once, answers.

The JSON is the contract's own form (proto/usher/ingest/v1/enforcement.proto).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway import live
from gateway.body import is_json_lines, read_body
from gateway.messages import fill, to_json
from services.common.errors import InvalidArgument
from usher.ingest.v1 import enforcement_pb2, enforcement_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.ingest.v1.EnforcementService/{method}" for method in ("ReportEnforcement", "ListEnforcements")
)
"""What the channel to ingest may repeat: a confirmation is recorded once."""

_PAGE, _LARGEST_PAGE = 50, 200
_LARGEST_BODY = 1 << 20


def enforcement_routes(
    channel: grpc.aio.Channel,
    call: Callable[..., Awaitable[Any]],
    tenant_of: Callable[[Request], str],
    seconds: float,
) -> APIRouter:
    """The routes; `channel` leads to ingest, `seconds` is the longest that one request may take."""
    routes = APIRouter()
    ingest = enforcement_pb2_grpc.EnforcementServiceStub(channel)

    @routes.post(
        "/api/v1/enforcements",
        summary="Confirm that actions of decisions were carried out, or were not",
        description='`{"enforcements": [{"event_id", "action": "ACTION_KIND_SUPPRESS_PROCESSING", "purpose", "result": '
        '"ENFORCEMENT_RESULT_CARRIED_OUT", "component", "enforced_time"}]}`, 1 to 1,000; one outcome each, in order. Only '
        "what was confirmed counts as suppressed or prevented in evidence and impact.",
    )
    async def report(request: Request) -> Response:
        deadline = time.monotonic() + seconds
        if is_json_lines(request):
            raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", "send Content-Type: application/json")
        message = enforcement_pb2.ReportEnforcementRequest()
        fill(message, await read_body(request, _LARGEST_BODY, seconds))
        message.tenant = tenant_of(request)
        return to_json(
            await call(ingest.ReportEnforcement, "EnforcementService/ReportEnforcement", message, deadline)
        )

    @routes.get(
        "/api/v1/enforcements",
        summary="What callers confirmed, in the order of recording",
        description="Parameters: event_id (only of this event), limit (1 to 200, default 50), page_token.",
    )
    async def listed(request: Request) -> Response:
        deadline = time.monotonic() + seconds
        query = live.known_parameters(request.query_params.multi_items(), "event_id", "limit", "page_token")
        message = enforcement_pb2.ListEnforcementsRequest(
            tenant=tenant_of(request),
            event_ids=[query["event_id"]] if "event_id" in query else [],
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
        )
        return to_json(
            await call(ingest.ListEnforcements, "EnforcementService/ListEnforcements", message, deadline)
        )

    return routes
