"""Routes for auditors: the law, retention, evidence, processing activities, the audit log, impact.

The JSON is the contract's own form (proto/usher/compliance/v1/{compliance,records}.proto), but for documents that
compliance writes itself (evidence, processing activities, impact): those come as they are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.body import read_body
from gateway.calls import ACTOR_PARAMETER, Calls, actor_of, set_time
from gateway.messages import to_json, values
from gateway.results import json_response
from gateway.settings import GatewaySettings
from services.common.errors import FailedPrecondition
from usher.compliance.v1 import compliance_pb2, compliance_pb2_grpc, records_pb2, records_pb2_grpc
from usher.policy.v1 import policy_pb2, policy_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.compliance.v1.{method}"
    for method in (
        "ComplianceService/ListRegulations",
        "ComplianceService/EstimateImpact",
        "RetentionService/ListRetentionPolicies",
        "RetentionService/ListRetentionRuns",
        "EvidenceService/GetSigningKey",
        "EvidenceService/GetProcessingRecords",
        "EvidenceService/AppendAudit",
        "EvidenceService/ListAudit",
        "EvidenceService/VerifyAudit",
    )
)
"""What the channel to compliance may repeat: reads, and audit entries, which are one by their id."""

_EXTRA = {"parameters": [ACTOR_PARAMETER]}
_MAX_INPUTS = 2 << 20


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    ingest_channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to compliance."""
    law = compliance_pb2_grpc.ComplianceServiceStub(channel)
    retention = records_pb2_grpc.RetentionServiceStub(channel)
    evidence = records_pb2_grpc.EvidenceServiceStub(channel)
    policies = policy_pb2_grpc.PolicyServiceStub(ingest_channel)
    calls = Calls(settings)

    async def policy_set(query: dict[str, str]) -> str:
        """The policy set that is asked for, or the one in force."""
        named = live.text(query, "policy_set")
        if named:
            return named
        answer = await calls.ask(
            policies.GetActivePolicySet,
            "PolicyService/GetActivePolicySet",
            policy_pb2.GetActivePolicySetRequest(),
        )
        if not answer.manifest.policy_set:
            raise FailedPrecondition("POLICY_SET_UNKNOWN", "no policy set is in force: activate one")
        return str(answer.manifest.policy_set)

    @app.get(
        "/api/v1/regulations",
        summary="The regulations of a policy set: scope, rules, articles, since when, how far verified",
        description="Parameters: policy_set (the one in force), time (RFC 3339; only what is in force then), limit (1 to "
        "200, default 50), page_token.",
    )
    async def list_regulations(request: Request) -> Response:
        query = live.known_parameters(
            request.query_params.multi_items(), "policy_set", "time", "limit", "page_token"
        )
        message = compliance_pb2.ListRegulationsRequest(
            page_size=live.whole_number(query, "limit", 50, 1, 200), page_token=live.text(query, "page_token")
        )
        if "time" in query:
            set_time(message.at_time, "time", query["time"])
        message.policy_set = await policy_set(query)
        answer = await calls.ask(law.ListRegulations, "ComplianceService/ListRegulations", message)
        found = values(answer)
        for shown, told in zip(found["regulations"], answer.regulations, strict=True):
            del shown["facts_json"]
            shown["facts"] = orjson.loads(told.facts_json) if told.facts_json else {}
        return json_response({"policy_set": message.policy_set, **found})

    @app.post(
        "/api/v1/impact",
        summary="Exposure to fines and the value of what was prevented, as ranges with their assumptions",
        description="Body: `period`, `violations`, `assumptions` (docs/impact.md), JSON. Parameter: policy_set (the one in "
        "force). Only confirmed actions count as prevented.",
    )
    async def estimate(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "policy_set")
        body = await read_body(request, min(settings.max_body_bytes, _MAX_INPUTS), settings.request_timeout)
        message = compliance_pb2.EstimateImpactRequest(policy_set=await policy_set(query), inputs=body)
        answer = await calls.ask(law.EstimateImpact, "ComplianceService/EstimateImpact", message)
        return Response(answer.estimate_json, media_type="application/json")

    @app.get(
        "/api/v1/retention/policies", summary="How long each kind of data is kept, where, and on what ground"
    )
    async def list_policies(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.ListRetentionPoliciesRequest(tenant=tenant_of(request, settings.default_tenant))
        return to_json(
            await calls.ask(
                retention.ListRetentionPolicies, "RetentionService/ListRetentionPolicies", message
            )
        )

    @app.post(
        "/api/v1/retention/runs",
        summary="Delete and anonymise what is past its time, or say what would be",
        description='`{"dry_run": true}`. The answer holds the signed report.',
        responses={201: {"description": "What was done, or would be."}},
        openapi_extra=_EXTRA,
    )
    async def run_retention(request: Request) -> Response:
        message = await calls.body(request, records_pb2.RunRetentionRequest())
        message.tenant, message.actor = tenant_of(request, settings.default_tenant), actor_of(request)
        return to_json(
            await calls.ask(retention.RunRetention, "RetentionService/RunRetention", message, long=True), 201
        )

    @app.get("/api/v1/retention/runs", summary="Runs of the retention job with their reports, newest first")
    async def list_runs(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.ListRetentionRunsRequest(tenant=tenant_of(request, settings.default_tenant))
        return to_json(
            await calls.ask(retention.ListRetentionRuns, "RetentionService/ListRetentionRuns", message)
        )

    @app.get(
        "/api/v1/evidence",
        summary="Evidence about a viewer, a period, or both: one signed JSON document",
        description="Parameters: user_id, since, until (RFC 3339). Decisions, the text of the law they were made under, "
        "consents, suppressions with their confirmations; `usher compliance evidence --verify` checks it offline.",
        responses={200: {"content": {"application/json": {}}, "description": "The document."}},
        response_class=Response,
        openapi_extra=_EXTRA,
    )
    async def export_evidence(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "user_id", "since", "until")
        message = records_pb2.ExportEvidenceRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            user_id=live.text(query, "user_id"),
        )
        for name, stamp in (("since", "since_time"), ("until", "until_time")):
            if name in query:
                set_time(getattr(message, stamp), name, query[name])
        return await calls.file(
            evidence.ExportEvidence,
            "EvidenceService/ExportEvidence",
            message,
            "application/json",
            "evidence.json",
        )

    @app.get("/api/v1/evidence/key", summary="The public key that evidence and certificates are checked with")
    async def signing_key(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.GetSigningKeyRequest()
        return to_json(await calls.ask(evidence.GetSigningKey, "EvidenceService/GetSigningKey", message))

    @app.get(
        "/api/v1/processing-records",
        summary="Processing activities (GDPR art. 30) with purposes, recipients and periods",
        openapi_extra=_EXTRA,
    )
    async def processing_records(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.GetProcessingRecordsRequest(
            tenant=tenant_of(request, settings.default_tenant), actor=actor_of(request)
        )
        answer: Any = await calls.ask(
            evidence.GetProcessingRecords, "EvidenceService/GetProcessingRecords", message
        )
        return json_response({"activities": orjson.loads(answer.json)})

    @app.get(
        "/api/v1/audit",
        summary="Who saw and did what, oldest first",
        description="Parameters: user_id, limit (1 to 1,000, default 100), page_token.",
        openapi_extra=_EXTRA,
    )
    async def list_audit(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "user_id", "limit", "page_token")
        message = records_pb2.ListAuditRequest(
            tenant=tenant_of(request, settings.default_tenant),
            actor=actor_of(request),
            user_id=live.text(query, "user_id"),
            page_size=live.whole_number(query, "limit", 100, 1, 1_000),
            page_token=live.text(query, "page_token"),
        )
        return to_json(await calls.ask(evidence.ListAudit, "EvidenceService/ListAudit", message))

    @app.get(
        "/api/v1/audit/verification",
        summary="Whether the audit log is what was written",
        description="`intact`, `broken_at`, and `head`, the last hash: keep it elsewhere, it shows a log that was cut off.",
    )
    async def verify_audit(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = records_pb2.VerifyAuditRequest()
        return to_json(await calls.ask(evidence.VerifyAudit, "EvidenceService/VerifyAudit", message))
