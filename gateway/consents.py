"""Routes of the consent ledger: each checks, calls compliance once, answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import orjson
from fastapi import FastAPI, Request
from google.protobuf.message import Message
from starlette.responses import Response

from gateway import live
from gateway.body import is_json_lines, read_body
from gateway.results import json_response
from gateway.settings import GatewaySettings
from services.common.consent_json import entry_to_json, receipt_to_json, record_from_json, state_to_json
from services.common.errors import FieldViolation, InvalidArgument, from_rpc_error
from services.common.event_json import parse_time
from services.common.interceptors import call_timeout
from usher.compliance.v1 import consent_pb2, consent_pb2_grpc

IDEMPOTENT = tuple(
    f"/usher.compliance.v1.ConsentService/{method}"
    for method in ("GetConsent", "ListConsents", "VerifyConsents")
)
"""What the channel to compliance may repeat: reads. A record may be sent again under its `request_id`."""

_PAGE = 50
_LARGEST_PAGE = 200
_FIELDS = frozenset({"user_id", "records", "request_id"})


def add_routes(
    app: FastAPI,
    settings: GatewaySettings,
    channel: grpc.aio.Channel,
    tenant_of: Callable[[Request, str], str],
) -> None:
    """Adds the routes to the application; `channel` leads to compliance."""
    ledger = consent_pb2_grpc.ConsentServiceStub(channel)

    async def call(
        method: Callable[..., Awaitable[Any]], name: str, message: Message, deadline: float
    ) -> Any:
        seconds = call_timeout(settings.request_timeout, deadline - time.monotonic(), name)
        try:
            return await method(message, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, method=name, seconds=seconds) from error

    @app.post(
        "/api/v1/consents",
        summary="Record what a viewer agreed to, refused or withdrew",
        description='`{"user_id", "records": [{"act": "given", "purpose", "source", ...}], "request_id"}`; '
        "docs/consent.md lists the fields of a record. All or none; the same request_id again answers the first "
        "receipts with 200.",
        responses={
            201: {"description": "Receipts, one a record."},
            409: {"description": "REQUEST_ID_CONFLICT."},
        },
    )
    async def record_consent(request: Request) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        if is_json_lines(request):
            raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", "send Content-Type: application/json")
        body = await read_body(request, settings.max_body_bytes, settings.request_timeout)
        message = _recorded(body)
        message.tenant = tenant_of(request, settings.default_tenant)
        answer = await call(ledger.RecordConsent, "ConsentService/RecordConsent", message, deadline)
        return json_response(
            {
                "receipts": [receipt_to_json(receipt) for receipt in answer.receipts],
                "repeated_request": answer.repeated_request,
            },
            200 if answer.repeated_request else 201,
        )

    @app.get(
        "/api/v1/consents",
        summary="Entries of the ledger, newest first",
        description="Parameters: user_id, limit (1 to 200, default 50), page_token.",
    )
    async def list_consents(request: Request) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        query = live.known_parameters(request.query_params.multi_items(), "user_id", "limit", "page_token")
        message = consent_pb2.ListConsentsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            user_id=live.text(query, "user_id"),
            page_size=live.whole_number(query, "limit", _PAGE, 1, _LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
        )
        answer = await call(ledger.ListConsents, "ConsentService/ListConsents", message, deadline)
        return json_response(
            {
                "entries": [entry_to_json(entry) for entry in answer.entries],
                "next_page_token": answer.next_page_token or None,
            }
        )

    @app.get(
        "/api/v1/consents/verification",
        summary="Whether the ledger's entries are what was recorded",
        description="Parameter: after_seq, to go on after the `last_seq` of an answer that is not `complete`.",
    )
    async def verify_consents(request: Request) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        query = live.known_parameters(request.query_params.multi_items(), "after_seq")
        message = consent_pb2.VerifyConsentsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            after_seq=live.whole_number(query, "after_seq", 0, 0, 2**62),
        )
        answer = await call(ledger.VerifyConsents, "ConsentService/VerifyConsents", message, deadline)
        return json_response(
            {
                "checked": answer.checked,
                "erased": answer.erased,
                "last_seq": answer.last_seq,
                "complete": answer.complete,
                "broken_seq": answer.broken_seq or None,
                "broken": answer.broken or None,
            }
        )

    @app.get(
        "/api/v1/consents/{user_id:path}",
        summary="A viewer's consent by purpose, now or as of a time",
        description="Parameters: time and known_time (RFC 3339), purpose.",
    )
    async def get_consent(request: Request, user_id: str) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        query = live.known_parameters(request.query_params.multi_items(), "time", "known_time", "purpose")
        message = consent_pb2.GetConsentRequest(
            tenant=tenant_of(request, settings.default_tenant),
            user_id=user_id,
            purpose=live.text(query, "purpose"),
        )
        for name in ("time", "known_time"):
            if name in query:
                _set_time(getattr(message, name), name, query[name])
        answer = await call(ledger.GetConsent, "ConsentService/GetConsent", message, deadline)
        return json_response(
            {
                "states": [state_to_json(state) for state in answer.states],
                "ledger_version": answer.ledger_version,
            }
        )


def _recorded(body: bytes) -> consent_pb2.RecordConsentRequest:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            "MALFORMED_JSON", "send one JSON object", metadata={"position": str(error.pos)}
        ) from error
    if not isinstance(content, dict) or content.keys() - _FIELDS:
        raise InvalidArgument("ENVELOPE_INVALID", "send user_id, records and, optionally, request_id")
    user_id, records = content.get("user_id"), content.get("records")
    request_id = content.get("request_id") or ""
    wrong = [
        FieldViolation(name, "WRONG_TYPE", expected)
        for name, value, kind, expected in (
            ("user_id", user_id, str, "a text"),
            ("records", records, list, "a list of records"),
            ("request_id", request_id, str, "a text"),
        )
        if not isinstance(value, kind)
    ]
    if wrong or not isinstance(records, list):
        raise InvalidArgument("ENVELOPE_INVALID", "send user_id and records", violations=wrong)
    return consent_pb2.RecordConsentRequest(
        user_id=user_id,
        records=[record_from_json(record, f"records[{place}]") for place, record in enumerate(records)],
        request_id=request_id,
    )


def _set_time(stamp: Any, name: str, text: str) -> None:
    try:
        stamp.seconds, stamp.nanos = parse_time(text)
    except InvalidArgument as error:
        raise live.parameter_invalid(name, error.message) from error
