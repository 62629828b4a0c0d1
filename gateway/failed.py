"""Routes of what failed at the door, and of the patterns that look for attacks."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from gateway import live, schemas
from gateway.body import read_body
from gateway.results import json_response
from services.common.errors import InvalidArgument
from services.common.event_json import time_to_json
from services.common.failed_json import failed_to_json, failure_to_json
from services.common.render import decision_to_json
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

Call = Callable[..., Awaitable[Any]]
"""`call(method, name, message, deadline)`: asks ingest, raises typed errors."""

_PAGE, _LARGEST_PAGE = 50, 200
_MOST_REPLAYED = 256
_LARGEST_BODY = 65_536
_STATUS = {
    ingest_pb2.EVENT_STATUS_DECIDED: "decided",
    ingest_pb2.EVENT_STATUS_DUPLICATE: "duplicate",
    ingest_pb2.EVENT_STATUS_FAILED: "failed",
    ingest_pb2.EVENT_STATUS_REFUSED: "refused",
}


def failed_routes(
    ingest: ingest_pb2_grpc.IngestServiceStub, call: Call, tenant_of: Callable[[Request], str], seconds: float
) -> APIRouter:
    """The routes; `seconds` is the longest that one request may take."""
    routes = APIRouter()

    @routes.get("/api/v1/failed-events", **schemas.LIST_FAILED)
    async def list_failed(request: Request) -> Response:
        deadline = time.monotonic() + seconds
        query = live.known_parameters(
            request.query_params.multi_items(), "limit", "page_token", "reason", "component", "open"
        )
        if query.get("open", "false") not in ("true", "false"):
            raise live.parameter_invalid("open", "open is true or false")
        message = ingest_pb2.ListFailedEventsRequest(
            tenant=tenant_of(request),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            reason=live.text(query, "reason"),
            component=live.text(query, "component"),
            open_only=query.get("open") == "true",
        )
        answer = await call(ingest.ListFailedEvents, "IngestService/ListFailedEvents", message, deadline)
        return json_response(
            {
                "failed_events": [failed_to_json(one) for one in answer.failed_events],
                "next_page_token": answer.next_page_token or None,
            }
        )

    @routes.get("/api/v1/failed-events/{failed_id}", **schemas.GET_FAILED)
    async def get_failed(request: Request, failed_id: str) -> Response:
        deadline = time.monotonic() + seconds
        message = ingest_pb2.GetFailedEventRequest(tenant=tenant_of(request), failed_id=failed_id)
        answer = await call(ingest.GetFailedEvent, "IngestService/GetFailedEvent", message, deadline)
        return json_response(failed_to_json(answer.failed_event))

    @routes.post("/api/v1/failed-events/replay", **schemas.REPLAY_FAILED)
    async def replay(request: Request) -> Response:
        deadline = time.monotonic() + seconds
        tenant = tenant_of(request)
        body = await read_body(request, _LARGEST_BODY, seconds)
        failed_ids, accept_attacks = _replay_request(body)
        message = ingest_pb2.ReplayFailedEventsRequest(
            tenant=tenant, failed_ids=failed_ids, accept_attacks=accept_attacks, actor="http"
        )
        answer = await call(ingest.ReplayFailedEvents, "IngestService/ReplayFailedEvents", message, deadline)
        return json_response({"results": [replay_to_json(one) for one in answer.results]})

    @routes.get("/api/v1/security/validation-status", **schemas.SECURITY_STATUS)
    async def security_status(request: Request) -> Response:
        deadline = time.monotonic() + seconds
        message = ingest_pb2.GetSecurityStatusRequest()
        answer = await call(ingest.GetSecurityStatus, "IngestService/GetSecurityStatus", message, deadline)
        return json_response(security_to_json(answer))

    return routes


def replay_to_json(one: ingest_pb2.ReplayResult) -> dict[str, Any]:
    """What became of a replay."""
    result = one.result
    shown: dict[str, Any] = {
        "failed_id": one.failed_id,
        "event_id": result.event_id or None,
        "status": _STATUS.get(result.status, str(result.status)),
    }
    if result.HasField("decision"):
        shown["decision"] = decision_to_json(result.decision)
    if result.HasField("failure"):
        shown |= failure_to_json(result.failure)
    return shown


def security_to_json(answer: ingest_pb2.GetSecurityStatusResponse) -> dict[str, Any]:
    """Patterns with their hits, and sums by class of attack."""
    classes: dict[str, dict[str, int]] = {}
    for one in answer.patterns:
        counts = classes.setdefault(one.attack, {"patterns": 0, "hits": 0})
        counts["patterns"] += 1
        counts["hits"] += one.hits
    return {
        "since": time_to_json(answer.since_time),
        "stages": ["schema", "security", "sanitising"],
        "classes": classes,
        "patterns": [
            {
                "pattern_id": one.pattern_id,
                "attack": one.attack,
                "about": one.about,
                "strict": one.strict,
                "hits": one.hits,
            }
            for one in answer.patterns
        ],
    }


def _replay_request(body: bytes) -> tuple[list[str], bool]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            "MALFORMED_JSON", 'send {"failed_ids": [...]}', metadata={"position": str(error.pos)}
        ) from None
    if not isinstance(asked, dict) or set(asked) - {"failed_ids", "accept_attacks"}:
        raise live.parameter_invalid(
            "body", "send failed_ids and, if wished, accept_attacks; nothing beside them"
        )
    failed_ids, accept = asked.get("failed_ids"), asked.get("accept_attacks", False)
    if (
        not isinstance(failed_ids, list)
        or not 1 <= len(failed_ids) <= _MOST_REPLAYED
        or not all(isinstance(one, str) and one for one in failed_ids)
    ):
        raise live.parameter_invalid("failed_ids", f"failed_ids is a list of 1 to {_MOST_REPLAYED} ids")
    if not isinstance(accept, bool):
        raise live.parameter_invalid("accept_attacks", "accept_attacks is true or false")
    return failed_ids, accept
