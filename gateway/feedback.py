"""Routes of accounts and of what turned out: each checks, calls ingest once, answers.

The JSON is the contract's own form (proto/usher/ingest/v1/accounts.proto and labels.proto).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from fastapi import FastAPI, Request
from starlette.responses import Response

from gateway import live
from gateway.calls import Calls
from gateway.messages import number, to_json
from gateway.settings import GatewaySettings
from usher.ingest.v1 import (
    accounts_pb2,
    accounts_pb2_grpc,
    feedback_pb2,
    feedback_pb2_grpc,
    labels_pb2,
    labels_pb2_grpc,
)

IDEMPOTENT = (
    "/usher.ingest.v1.AccountService/RecordAccounts",
    "/usher.ingest.v1.AccountService/GetProfile",
    "/usher.ingest.v1.LabelService/RecordLabels",
    "/usher.ingest.v1.LabelService/ListLabels",
    "/usher.ingest.v1.FeedbackService/ListReviewSample",
    "/usher.ingest.v1.FeedbackService/GetFeedbackReport",
    "/usher.ingest.v1.FeedbackService/GetControlGroup",
)
"""What the channel to ingest may repeat: facts go by their time, labels by their id."""

_PAGE = 100
_LARGEST_PAGE = 1_000


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to ingest."""
    accounts = accounts_pb2_grpc.AccountServiceStub(channel)
    labels = labels_pb2_grpc.LabelServiceStub(channel)
    feedback = feedback_pb2_grpc.FeedbackServiceStub(channel)

    calls = Calls(settings, keyed=True)
    call = calls.ask

    async def read(request: Request, message: Any) -> None:
        await calls.body(request, message)
        message.tenant = tenant_of(request, settings.default_tenant)

    @app.post(
        "/api/v1/accounts",
        summary="Tell facts of accounts",
        description='`{"accounts": [{"user_id", "facts": {"plan", "created_time", "chargebacks", ...}, '
        '"as_of_time"}]}`, 1 to 500. Each fact goes by its time: an older one never overwrites a newer one.',
    )
    async def record_accounts(request: Request) -> Response:
        message = accounts_pb2.RecordAccountsRequest()
        await read(request, message)
        return to_json(await call(accounts.RecordAccounts, "AccountService/RecordAccounts", message))

    @app.get(
        "/api/v1/profiles/{user_id:path}",
        summary="What is known of an account: its facts, features, segment and what is usual for it",
    )
    async def get_profile(request: Request, user_id: str) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = accounts_pb2.GetProfileRequest(
            tenant=tenant_of(request, settings.default_tenant), user_id=user_id
        )
        return to_json(await call(accounts.GetProfile, "AccountService/GetProfile", message))

    @app.post(
        "/api/v1/labels",
        summary="Tell what turned out",
        description='`{"labels": [{"label_id", "subject_kind": "LABEL_SUBJECT_EVENT", "subject", "kind": '
        '"LABEL_KIND_FRAUD_CONFIRMED", "source", "label_time", ...}]}`, 1 to 1,000; recorded once by label_id.',
    )
    async def record_labels(request: Request) -> Response:
        message = labels_pb2.RecordLabelsRequest()
        await read(request, message)
        return to_json(await call(labels.RecordLabels, "LabelService/RecordLabels", message))

    @app.get(
        "/api/v1/labels",
        summary="What turned out, in the order in which it was told",
        description="Parameters: limit (1 to 1,000, default 100), page_token, kind, subject.",
    )
    async def list_labels(request: Request) -> Response:
        query = live.known_parameters(
            request.query_params.multi_items(), "limit", "page_token", "kind", "subject"
        )
        kind = number(query, "kind", labels_pb2.LabelKind, "LABEL_KIND_")
        message = labels_pb2.ListLabelsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            kinds=[kind] if kind else [],
            subject=live.text(query, "subject"),
        )
        return to_json(await call(labels.ListLabels, "LabelService/ListLabels", message))

    @app.get(
        "/api/v1/feedback/report",
        summary="Rates of outcomes and false alarms by address class and country, and what was missed",
        description="As the last look at outcomes found them (`usher scoring retrain`). Intervals are Wilson's at 95 %.",
    )
    async def get_report(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = feedback_pb2.GetFeedbackReportRequest(tenant=tenant_of(request, settings.default_tenant))
        return to_json(await call(feedback.GetFeedbackReport, "FeedbackService/GetFeedbackReport", message))

    @app.get(
        "/api/v1/feedback/control",
        summary="The control group and the sample: who is drawn, how many were let through, what was found of both",
        description="`hours` are those of the last seven days; the estimates are of the last look at outcomes, at 95 %.",
    )
    async def get_control_group(request: Request) -> Response:
        live.known_parameters(request.query_params.multi_items())
        message = feedback_pb2.GetControlGroupRequest(tenant=tenant_of(request, settings.default_tenant))
        return to_json(await call(feedback.GetControlGroup, "FeedbackService/GetControlGroup", message))

    @app.get(
        "/api/v1/feedback/sample",
        summary="Decisions that were let through and drawn at random for analysts to judge",
        description="Parameters: after (a position), limit (positions looked at, 1 to 1,000). `next_position` reads on.",
    )
    async def list_sample(request: Request) -> Response:
        query = live.known_parameters(request.query_params.multi_items(), "after", "limit")
        message = feedback_pb2.ListReviewSampleRequest(
            tenant=tenant_of(request, settings.default_tenant),
            after_position=live.whole_number(query, "after", 0, 0, (1 << 63) - 1),
            page_size=live.whole_number(query, "limit", 500, 1, _LARGEST_PAGE),
        )
        return to_json(await call(feedback.ListReviewSample, "FeedbackService/ListReviewSample", message))
