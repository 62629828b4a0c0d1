"""Routes of scoring: drift, segments and features; each checks, calls, answers.

The JSON is the contract's own form (proto/usher/scoring/v1/scoring.proto).
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.calls import Calls
from gateway.messages import to_json
from gateway.settings import GatewaySettings
from usher.policy.v1 import policy_pb2, policy_pb2_grpc
from usher.scoring.v1 import scoring_pb2, scoring_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.scoring.v1.ScoringService/{method}" for method in ("GetDrift", "ListFeatures", "ListSegments")
)
"""What the channel to scoring may repeat: reads."""


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    ingest_channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to scoring, `ingest_channel` to who knows the set in force."""
    scoring = scoring_pb2_grpc.ScoringServiceStub(channel)
    policy = policy_pb2_grpc.PolicyServiceStub(ingest_channel)
    calls = Calls(settings)
    call = calls.ask

    async def policy_set(request: Request) -> str:
        query = live.known_parameters(request.query_params.multi_items(), "policy_set")
        if named := live.text(query, "policy_set"):
            return named
        # Asked for a tenant, so that the header is judged here as everywhere; the set is the same for all.
        tenant_of(request, settings.default_tenant)
        answer: policy_pb2.GetActivePolicySetResponse = await call(
            policy.GetActivePolicySet,
            "PolicyService/GetActivePolicySet",
            policy_pb2.GetActivePolicySetRequest(),
        )
        return answer.manifest.policy_set

    @app.get(
        "/api/v1/scoring/drift",
        summary="How far features and scores have moved from the training of the model in use",
        description="Population stability index by column, greatest first: above 0.1 something moved, above 0.25 much did. "
        "Fewer than 2,000 rows say nothing yet, and `columns` is empty. It is the view of the scoring process that answers.",
    )
    async def get_drift(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        return to_json(await call(scoring.GetDrift, "ScoringService/GetDrift", scoring_pb2.GetDriftRequest()))

    @app.get(
        "/api/v1/scoring/segments",
        summary="What is done with the viewers of each segment, and what was learnt from outcomes",
        description="Parameter: policy_set (else the one in force).",
    )
    async def list_segments(request: Request) -> Response:
        message = scoring_pb2.ListSegmentsRequest(policy_set=await policy_set(request))
        return to_json(await call(scoring.ListSegments, "ScoringService/ListSegments", message))

    @app.get(
        "/api/v1/scoring/features",
        summary="What the models read: name, meaning, unit, range, source, and what stands for unknown",
        description="Parameter: policy_set (else the one in force). In the order of the models' input.",
    )
    async def list_features(request: Request) -> Response:
        message = scoring_pb2.ListFeaturesRequest(policy_set=await policy_set(request))
        return to_json(await call(scoring.ListFeatures, "ScoringService/ListFeatures", message))
