"""The routes: each checks, calls ingest once, answers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_swagger_ui_html
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from gateway import (
    alerts,
    auditors,
    breaches,
    consents,
    feedback,
    fraud,
    lists,
    live,
    rights,
    schemas,
    scoring,
    senders,
)
from gateway.audited import Audited
from gateway.body import is_json_lines, read_body
from gateway.edge import Edge
from gateway.enforcement import enforcement_routes
from gateway.failed import failed_routes
from gateway.problems import problem, problem_of
from gateway.results import decided, decided_batch, json_response, submitted, submitted_batch
from gateway.settings import TENANT, GatewaySettings
from services.common.errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    UsherError,
    from_rpc_error,
)
from services.common.event_json import Batch, parse_batch
from services.common.interceptors import call_timeout
from services.common.rates import open_rates
from services.common.render import decision_to_json
from services.common.telemetry import Telemetry
from services.common.transport import MAX_MESSAGE_BYTES
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

TENANT_HEADER = "x-usher-tenant"
IDEMPOTENT = (
    *(
        f"/usher.ingest.v1.IngestService/{method}"
        for method in ("SubmitEvents", "DecideEvents", "GetDecision", "ListDecisions", "GetAccounting")
    ),
    *feedback.IDEMPOTENT,
    *lists.IDEMPOTENT,
)
"""What the channel to ingest may repeat: ingest is idempotent by (tenant, event_id)."""

# Below these the work takes under 2 ms and stays on the event loop.
_INLINE_BODY_BYTES = 16_384
_INLINE_RESULTS = 16


_STATIC = Path(__file__).parent / "static"
_SWAGGER = "/static/vendor/swagger-ui-5.35.0"


class Readiness:
    """Whether the gateway takes traffic; off from the beginning of the drain."""

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        """Set at the beginning of the drain: what runs without end stops."""

    @property
    def draining(self) -> bool:
        return self.ending.is_set()

    def drain(self) -> None:
        """Begins the drain."""
        self.ending.set()


def create_app(
    settings: GatewaySettings,
    ingest_channel: grpc.aio.Channel,
    telemetry: Telemetry,
    compliance_channel: grpc.aio.Channel | None = None,
    alerts_channel: grpc.aio.Channel | None = None,
    fraud_channel: grpc.aio.Channel | None = None,
    scoring_channel: grpc.aio.Channel | None = None,
) -> FastAPI:
    """Returns the application. `app.state.readiness` is where the drain begins.

    Channels are of `services.common.client.connect`; the caller closes them.
    """
    ingest = ingest_pb2_grpc.IngestServiceStub(ingest_channel)
    health = health_pb2_grpc.HealthStub(ingest_channel)
    readiness = Readiness()
    log = telemetry.logger("app")
    app = FastAPI(
        title="Usher",
        version=schemas.VERSION,
        description=schemas.DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.state.readiness = readiness
    # Replaced by the server that listens.
    app.state.connections = lambda: 0
    streams = 0
    if compliance_channel is not None:
        app.add_middleware(Audited, channel=compliance_channel, settings=settings, tenant_of=tenant_of)
    app.add_middleware(
        Edge,
        telemetry=telemetry,
        max_in_flight=settings.max_in_flight,
        max_connections=settings.max_connections,
        limits=senders.RouteLimits(open_rates(settings.rates_redis_url, telemetry.registry)),
        keys_required=settings.keys_required,
    )

    @app.get("/", include_in_schema=False)
    async def live_page() -> Response:
        return live.page()

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="Usher: HTTP API",
            swagger_js_url=f"{_SWAGGER}/swagger-ui-bundle.js",
            swagger_css_url=f"{_SWAGGER}/swagger-ui.css",
            swagger_favicon_url=f"{_SWAGGER}/favicon-32x32.png",
        )

    @app.exception_handler(UsherError)
    async def on_usher_error(request: Request, error: UsherError) -> Response:
        if isinstance(error, Internal):
            log.error("internal error", exc_info=error, extra={"metadata": error.metadata})
            return problem(500, "INTERNAL", "internal error")
        return problem_of(error)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            return problem(404, "ROUTE_UNKNOWN", "there is no such route: /docs lists them all")
        if error.status_code == 405:
            allowed = (error.headers or {}).get("Allow", "")
            return problem(
                405, "METHOD_NOT_ALLOWED", f"this route takes {allowed}", headers=error.headers, allow=allowed
            )
        return problem(
            error.status_code, "HTTP_ERROR", "the request cannot be answered", headers=error.headers
        )

    @app.exception_handler(ClientDisconnect)
    async def on_disconnect(request: Request, error: ClientDisconnect) -> Response:
        # Nobody is there to read it; the status is for the metrics (nginx's code for this case).
        return Response(status_code=499)

    async def read_events(request: Request, deadline: float) -> Batch:
        lines = is_json_lines(request)
        body = await read_body(request, settings.max_body_bytes, max(0.0, deadline - time.monotonic()))
        if len(body) <= _INLINE_BODY_BYTES:
            return parse_batch(body, lines=lines)
        return await asyncio.to_thread(parse_batch, body, lines=lines)

    async def call(
        method: Callable[..., Awaitable[Any]], name: str, message: Message, deadline: float
    ) -> Any:
        seconds = call_timeout(settings.request_timeout, deadline - time.monotonic(), name)
        try:
            return await method(message, timeout=seconds, metadata=senders.metadata())
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, method=name, seconds=seconds) from error

    async def ask(
        request: Request, kind: Callable[..., Any], method: Callable[..., Awaitable[Any]], name: str
    ) -> tuple[bool, list[ingest_pb2.EventResult]]:
        deadline = time.monotonic() + settings.request_timeout
        tenant = tenant_of(request, settings.default_tenant)
        batch = await read_events(request, deadline)
        message = kind(tenant=tenant, events=batch.events)
        size = message.ByteSize()
        if size > MAX_MESSAGE_BYTES:
            # Events with errors carry the sender's text besides their fields.
            raise ResourceExhausted(
                "MESSAGE_TOO_LARGE",
                f"these events take {size} bytes, {MAX_MESSAGE_BYTES} are allowed a call: send fewer at once",
                metadata={"limit": str(MAX_MESSAGE_BYTES), "size": str(size)},
            )
        answer = await call(method, name, message, deadline)
        results = list(answer.results)
        if len(results) != len(batch.events):
            raise Internal(
                "INTERNAL",
                "internal error",
                metadata={"cause": f"{len(results)} results for {len(batch.events)} events"},
            )
        return batch.single, results

    @app.post("/events", **schemas.SUBMIT)
    async def submit_events(request: Request) -> Response:
        single, results = await ask(
            request, ingest_pb2.SubmitEventsRequest, ingest.SubmitEvents, "IngestService/SubmitEvents"
        )
        return submitted(results[0]) if single else submitted_batch(results)

    @app.post("/api/v1/decisions", **schemas.DECIDE)
    async def decide_events(request: Request) -> Response:
        single, results = await ask(
            request, ingest_pb2.DecideEventsRequest, ingest.DecideEvents, "IngestService/DecideEvents"
        )
        if single:
            return decided(results[0])
        if len(results) <= _INLINE_RESULTS:
            return decided_batch(results)
        return await asyncio.to_thread(decided_batch, results)

    @app.get("/api/v1/decisions", **schemas.LIST_DECISIONS)
    async def list_decisions(request: Request) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        query = live.known_parameters(
            request.query_params.multi_items(), "limit", "page_token", "minimum_outcome", "user_id"
        )
        least: Any = live.minimum_outcome(query)
        message = ingest_pb2.ListDecisionsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            page_size=live.whole_number(query, "limit", live.PAGE, 1, live.LARGEST_PAGE),
            page_token=live.text(query, "page_token"),
            minimum_outcome=least,
            user_id=live.text(query, "user_id"),
        )
        answer = await call(ingest.ListDecisions, "IngestService/ListDecisions", message, deadline)

        def render() -> Response:
            decisions = [decision_to_json(item) for item in answer.decisions]
            return json_response(
                {
                    "decisions": decisions,
                    "next_page_token": answer.next_page_token or None,
                    "after": str(answer.decisions[0].position) if decisions else None,
                }
            )

        return render() if len(answer.decisions) <= _INLINE_RESULTS else await asyncio.to_thread(render)

    @app.get("/api/v1/decision-stream", **schemas.STREAM)
    async def stream_decisions(request: Request) -> Response:
        nonlocal streams
        query = live.known_parameters(request.query_params.multi_items(), "after")
        message = ingest_pb2.WatchDecisionsRequest(
            tenant=tenant_of(request, settings.default_tenant),
            after_position=live.start_position(query, request.headers.get("last-event-id")),
        )
        if readiness.draining:
            raise Unavailable("DRAINING", "the gateway is stopping")
        if streams >= settings.max_streams:
            raise ResourceExhausted(
                "TOO_MANY_STREAMS",
                f"{settings.max_streams} streams are open: close one, such as a page that nobody looks at",
                metadata={"limit": str(settings.max_streams)},
                retry_after=5,
            )

        streams += 1

        async def pieces() -> AsyncIterator[bytes]:
            async with contextlib.aclosing(
                live.feed(ingest.WatchDecisions(message, metadata=senders.metadata()), readiness.ending)
            ) as feed:
                async for piece in feed:
                    yield piece

        def ended() -> None:
            nonlocal streams
            streams -= 1

        return live.Stream(pieces(), ended)

    @app.get("/api/v1/decisions/{event_id:path}", **schemas.GET_DECISION)
    async def get_decision(request: Request, event_id: str) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        message = ingest_pb2.GetDecisionRequest(
            tenant=tenant_of(request, settings.default_tenant), event_id=_event_id(event_id)
        )
        answer = await call(ingest.GetDecision, "IngestService/GetDecision", message, deadline)
        event = answer.event if answer.HasField("event") else None
        return json_response(decision_to_json(answer.decision, event))

    app.include_router(
        enforcement_routes(
            ingest_channel,
            call,
            lambda request: tenant_of(request, settings.default_tenant),
            settings.request_timeout,
        )
    )
    app.include_router(
        failed_routes(
            ingest,
            call,
            lambda request: tenant_of(request, settings.default_tenant),
            settings.request_timeout,
        )
    )

    @app.get("/api/v1/accounting", **schemas.ACCOUNTING)
    async def get_accounting(request: Request) -> Response:
        deadline = time.monotonic() + settings.request_timeout
        message = ingest_pb2.GetAccountingRequest(tenant=tenant_of(request, settings.default_tenant))
        answer = await call(ingest.GetAccounting, "IngestService/GetAccounting", message, deadline)
        return json_response({"accounts": [accounting_to_json(item) for item in answer.accounts]})

    @app.get("/healthz", **schemas.HEALTH)
    async def healthz() -> Response:
        if readiness.draining:
            raise Unavailable("DRAINING", "the gateway is stopping")
        try:
            answer = await call(
                health.Check,
                "Health/Check",
                health_pb2.HealthCheckRequest(),
                time.monotonic() + settings.health_timeout,
            )
        except (Unavailable, DeadlineExceeded) as error:
            raise Unavailable("NOT_READY", "ingest does not answer") from error
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise Unavailable("NOT_READY", "ingest is not ready")
        return json_response({"status": "ready"})

    @app.get("/metrics", **schemas.METRICS)
    async def metrics() -> Response:
        return Response(generate_latest(telemetry.registry), media_type=CONTENT_TYPE_LATEST)

    feedback.add_routes(app, settings, ingest_channel, tenant_of)
    lists.add_routes(app, settings, ingest_channel, tenant_of)
    if compliance_channel is not None:
        for area in (consents, rights, breaches):
            area.add_routes(app, settings, compliance_channel, tenant_of)
        auditors.add_routes(app, settings, compliance_channel, ingest_channel, tenant_of)
    if alerts_channel is not None:
        alerts.add_routes(app, settings, alerts_channel, tenant_of, readiness.ending)
    if fraud_channel is not None:
        fraud.add_routes(app, settings, fraud_channel, tenant_of)
    if scoring_channel is not None:
        scoring.add_routes(app, settings, scoring_channel, ingest_channel, tenant_of)

    app.openapi = lambda: schemas.document(app)  # type: ignore[method-assign]
    return app


def tenant_of(request: Request, default: str) -> str:
    """Returns the tenant that a request is for.

    Raises InvalidArgument(TENANT_INVALID) for a header that is not a tenant's name, or comes twice.
    """
    values = request.headers.getlist(TENANT_HEADER)
    if not values:
        return default
    if len(values) > 1 or not TENANT.fullmatch(values[0]):
        raise InvalidArgument(
            "TENANT_INVALID",
            "send X-Usher-Tenant once: 1 to 63 characters of a-z, 0-9 and -, not beginning with -",
        )
    return values[0]


def accounting_to_json(account: ingest_pb2.Accounting) -> dict[str, Any]:
    """Returns the books of one tenant as JSON values; every count, also those that are 0."""
    counts = {
        name: getattr(account, name)
        for name in (
            "received",
            "accepted",
            "duplicate",
            "conflict",
            "refused",
            "decided",
            "failed",
            "superseded",
            "pending",
        )
    }
    return {
        "tenant": account.tenant,
        **counts,
        "refused_by_reason": dict(sorted(account.refused_by_reason.items())),
        "balanced": account.balanced,
        "oldest_pending_ms": account.oldest_pending_ms,
    }


def _event_id(text: str) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        size = 0
    if not 1 <= size <= 255:
        raise InvalidArgument("EVENT_ID_INVALID", "an event_id has 1 to 255 bytes of UTF-8")
    return text
