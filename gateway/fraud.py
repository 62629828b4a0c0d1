"""Routes of rings, neighbourhoods and addresses: each checks, calls fraud once, answers.

The JSON is the contract's own form (proto/usher/fraud/v1/fraud.proto); pictures are SVG or PNG.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.calls import Calls
from gateway.messages import number, to_json
from gateway.settings import GatewaySettings
from services.common import ring_picture
from services.common.errors import InvalidArgument
from usher.fraud.v1 import fraud_pb2, fraud_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.fraud.v1.FraudService/{method}"
    for method in ("ListRings", "GetRing", "GetNeighbourhood", "SetRingStatus", "DescribeAddress")
)
"""What the channel to fraud may repeat: reads, and a verdict, which is the same the second time."""

_PAGE = 50
_LARGEST_PAGE = 200
_SVG, _PNG = "image/svg+xml", "image/png"


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to fraud."""
    fraud = fraud_pb2_grpc.FraudServiceStub(channel)

    calls = Calls(settings)
    call = calls.ask

    @app.get(
        "/api/v1/rings",
        summary="Rings, most risky first",
        description="Parameters: limit (1 to 200, default 50), page_token, status (open, confirmed, dismissed; without it "
        "open and confirmed ones), minimum_score (0 to 1).",
    )
    async def list_rings(request: Request) -> Response:
        query = live.known_parameters(
            request.query_params.multi_items(), "limit", "page_token", "status", "minimum_score"
        )
        message = fraud_pb2.ListRingsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            status=number(query, "status", fraud_pb2.RingStatus, "RING_STATUS_"),
            minimum_score=_score(query),
        )
        return to_json(await call(fraud.ListRings, "FraudService/ListRings", message))

    @app.get(
        "/api/v1/rings/{ring_id}",
        summary="A ring's card and its neighbourhood",
        description="Members, what they share and how rare it is, what speaks for the ring, and why it might be innocent.",
    )
    async def get_ring(request: Request, ring_id: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        return to_json(await ring(request, ring_id))

    @app.get(
        "/api/v1/rings/{ring_id}/picture",
        summary="A ring's neighbourhood as a picture",
        description="Parameter: format, svg or png (svg).",
        responses={200: {"content": {_SVG: {}, _PNG: {}}, "description": "The picture."}},
        response_class=Response,
    )
    async def draw_ring(request: Request, ring_id: str) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "format")
        wanted = live.text(query, "format") or "svg"
        if wanted not in ("svg", "png"):
            raise live.parameter_invalid("format", "format is svg or png")
        answer = await ring(request, ring_id)
        drawn = (answer.neighbourhood, frozenset(answer.ring.members), ring_picture.title_of(answer.ring))
        if wanted == "svg":
            return Response(await asyncio.to_thread(ring_picture.svg, *drawn), media_type=_SVG)
        return Response(await asyncio.to_thread(ring_picture.png, *drawn), media_type=_PNG)

    async def ring(request: Request, ring_id: str) -> fraud_pb2.GetRingResponse:
        message = fraud_pb2.GetRingRequest(
            tenant=tenant_of(request, settings.default_tenant), ring_id=ring_id
        )
        answer: fraud_pb2.GetRingResponse = await call(fraud.GetRing, "FraudService/GetRing", message)
        return answer

    @app.post(
        "/api/v1/rings/{ring_id}/status",
        summary="Say what was found of a ring",
        description='`{"status": "RING_STATUS_CONFIRMED", "decided_by", "note"}`; CONFIRMED, DISMISSED, or OPEN to '
        "take either back. A dismissed ring does not come back by itself.",
    )
    async def set_status(request: Request, ring_id: str) -> Response:
        message = await calls.body(request, fraud_pb2.SetRingStatusRequest())
        if not message.decided_by:
            raise InvalidArgument("DECIDED_BY_MISSING", "decided_by names who says so")
        message.tenant, message.ring_id = tenant_of(request, settings.default_tenant), ring_id
        return to_json(await call(fraud.SetRingStatus, "FraudService/SetRingStatus", message))

    @app.get(
        "/api/v1/neighbourhoods/{user_id:path}",
        summary="Who shares devices and payment instruments with an account, and why that is a ring or none",
    )
    async def get_neighbourhood(request: Request, user_id: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = fraud_pb2.GetNeighbourhoodRequest(
            tenant=tenant_of(request, settings.default_tenant), user_id=user_id
        )
        return to_json(await call(fraud.GetNeighbourhood, "FraudService/GetNeighbourhood", message))

    @app.get(
        "/api/v1/addresses/{ip_address:path}",
        summary="What was learnt of an address: its class, and its reputation with reasons and their age",
    )
    async def describe_address(request: Request, ip_address: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = fraud_pb2.DescribeAddressRequest(
            tenant=tenant_of(request, settings.default_tenant), ip_address=ip_address
        )
        return to_json(await call(fraud.DescribeAddress, "FraudService/DescribeAddress", message))


def _score(query: dict[str, str]) -> float:
    text = query.get("minimum_score", "0")
    try:
        score = float(text)
    except ValueError:
        score = -1.0
    if not 0.0 <= score <= 1.0:
        raise live.parameter_invalid("minimum_score", "minimum_score is a number from 0 to 1")
    return score
