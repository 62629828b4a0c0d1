"""The gateway over real HTTP before a fake ingest on a real gRPC server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import orjson
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway.app import IDEMPOTENT, create_app
from gateway.serving import GatewayServer
from gateway.settings import GatewaySettings
from services.common.client import ClientSettings, connect
from services.common.errors import (
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    UsherError,
    status_details,
)
from services.common.telemetry import TelemetrySettings, start_telemetry
from tests.unit.gateway.schema_check import problems as schema_problems
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

ROOT = Path(__file__).parents[3]
ORIGINAL = ROOT / "tests" / "data" / "original" / "event.json"
PROBLEM = "application/problem+json"


class FakeIngest(ingest_pb2_grpc.IngestServiceServicer, health_pb2_grpc.HealthServicer):
    """Answers what the event's id asks for; remembers what it was asked."""

    def __init__(self) -> None:
        self.serving = True
        self.delay = 0.0
        self.calls: list[Any] = []
        self.metadata: dict[str, Any] = {}
        self.remaining: float | None = None
        self.error: UsherError | None = None
        self.started = asyncio.Event()
        self.watched: list[Any] = []
        """What WatchDecisions does: sends decisions, or waits for an event; then it ends."""
        self.watching = 0
        self.left = asyncio.Event()
        """Set when a call of WatchDecisions ends."""

    async def _note(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        self.calls.append(request)
        self.metadata = dict(context.invocation_metadata() or ())
        self.remaining = context.time_remaining()
        self.started.set()
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.error is not None:
            context.set_trailing_metadata((("grpc-status-details-bin", status_details(self.error)),))
            await context.abort(self.error.code, self.error.message)

    def _result(self, event: Any, done: int) -> ingest_pb2.EventResult:
        kind = event.event_id.partition("-")[0]
        failure = {"reason": "", "message": "", "failed_id": ""}
        status = done
        if event.HasField("unmapped") or kind == "failed":
            status = ingest_pb2.EVENT_STATUS_FAILED
            failure = {
                "reason": "INVALID_EVENT",
                "message": "correct it and send it again under the same event_id",
                "failed_id": "failed_0123",
            }
        elif kind == "conflict":
            status = ingest_pb2.EVENT_STATUS_CONFLICT
            failure = {"reason": "EVENT_ID_REUSED", "message": "use a new event_id"}
        elif kind == "duplicate":
            status = ingest_pb2.EVENT_STATUS_DUPLICATE
        elif kind == "full":
            status = ingest_pb2.EVENT_STATUS_REFUSED
            failure = {"reason": "QUEUE_FULL", "message": "wait", "retry_after_ms": 2_300}
        elif kind == "old":
            status = ingest_pb2.EVENT_STATUS_REFUSED
            failure = {"reason": "TOO_OLD", "message": "send it as an import"}
        elif kind == "gone":
            status = ingest_pb2.EVENT_STATUS_REFUSED
            failure = {"reason": "GONE", "message": "it was erased"}
        result = ingest_pb2.EventResult(status=status, event_id=event.event_id or "given-1")
        if status in (ingest_pb2.EVENT_STATUS_DECIDED, ingest_pb2.EVENT_STATUS_DUPLICATE):
            result.decision.event_id = event.event_id
            result.decision.outcome = decision_pb2.OUTCOME_ALLOW
        elif status != ingest_pb2.EVENT_STATUS_ACCEPTED:
            result.failure.CopyFrom(ingest_pb2.Failure(**failure))
            result.failure.violations.extend(event.unmapped.violations)
        return result

    async def SubmitEvents(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._note(request, context)
        return ingest_pb2.SubmitEventsResponse(
            results=[self._result(item, ingest_pb2.EVENT_STATUS_ACCEPTED) for item in request.events]
        )

    async def DecideEvents(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._note(request, context)
        events = list(request.events)
        if events[0].event_id == "short":
            events = events[:-1]
        return ingest_pb2.DecideEventsResponse(
            results=[self._result(item, ingest_pb2.EVENT_STATUS_DECIDED) for item in events]
        )

    async def GetDecision(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._note(request, context)
        return ingest_pb2.GetDecisionResponse(
            decision={"event_id": request.event_id, "outcome": decision_pb2.OUTCOME_BLOCK},
            event={"event_id": request.event_id, "event_type": "PLAY"},
        )

    async def ListDecisions(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._note(request, context)
        return ingest_pb2.ListDecisionsResponse(
            decisions=[{"event_id": f"e{n}", "position": n, "outcome": decision_pb2.OUTCOME_REVIEW}
                       for n in range(request.page_size, 0, -1)],
            next_page_token="1",
        )  # fmt: skip

    async def WatchDecisions(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        self.watching += 1
        try:
            await self._note(request, context)
            for step in self.watched:
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield ingest_pb2.WatchDecisionsResponse(decisions=step)
        finally:
            self.watching -= 1
            self.left.set()

    async def GetAccounting(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        await self._note(request, context)
        return ingest_pb2.GetAccountingResponse(
            accounts=[{"tenant": request.tenant, "received": 3, "accepted": 2, "refused": 1, "decided": 2,
                       "refused_by_reason": {"TOO_OLD": 1}, "balanced": True}]
        )  # fmt: skip

    async def Check(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        health = health_pb2.HealthCheckResponse
        return health(status=health.SERVING if self.serving else health.NOT_SERVING)

    async def Watch(self, request: Any, context: grpc.aio.ServicerContext) -> Any:
        yield health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)
        await asyncio.Event().wait()


class Running:
    """A gateway that listens, its fake ingest, and a client."""

    def __init__(self, ingest: FakeIngest, port: int, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        self.ingest = ingest
        self.port = port
        self.client = client
        self.stop = stop


@pytest.fixture
async def ingest() -> AsyncIterator[tuple[FakeIngest, str]]:
    fake = FakeIngest()
    server = grpc.aio.server()
    ingest_pb2_grpc.add_IngestServiceServicer_to_server(fake, server)
    health_pb2_grpc.add_HealthServicer_to_server(fake, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield fake, f"127.0.0.1:{port}"
    await server.stop(None)


@pytest.fixture
async def gateway(ingest: tuple[FakeIngest, str], request: pytest.FixtureRequest) -> AsyncIterator[Running]:
    fake, target = ingest
    notice = getattr(request, "param", 0.0)
    settings = GatewaySettings(
        ingest=ClientSettings(target=target),
        port=0,
        drain_notice=notice,
        max_in_flight=8,
        max_streams=2,
        request_timeout=2.0,
    )
    telemetry = start_telemetry("gateway", TelemetrySettings(log_level="INFO"))
    stop = asyncio.Event()
    async with connect(settings.ingest, telemetry=telemetry, idempotent=IDEMPOTENT) as channel:
        server = GatewayServer(create_app(settings, channel, telemetry), settings, telemetry)
        serving = asyncio.create_task(server.serve_until(stop))
        await asyncio.wait_for(server.listening.wait(), 10)
        port = int(server.addresses[0].rpartition(":")[2])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            yield Running(fake, port, client, stop)
        stop.set()
        await serving
    telemetry.shutdown()


def event(event_id: str, **changes: Any) -> dict[str, Any]:
    return {**json.loads(ORIGINAL.read_text()), "event_id": event_id, **changes}


def is_problem(answer: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    assert body["reason"] == reason
    assert body["type"] == f"urn:usher:error:{reason}"
    from gateway.schemas import PROBLEM as SCHEMA

    assert schema_problems(body, SCHEMA) == []
    return body


# --- the original's way ------------------------------------------------------------------------------


async def test_the_original_event_is_queued(gateway: Running) -> None:
    answer = await gateway.client.post(
        "/events", content=ORIGINAL.read_bytes(), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 202
    assert answer.json() == {"status": "queued", "event_id": "evt_20260116_001"}
    (request,) = gateway.ingest.calls
    assert request.tenant == "dev"
    assert request.events[0].event_type == "PLAY"


@pytest.mark.parametrize("path", ["/events", "/api/v1/decisions"])
@pytest.mark.parametrize(
    ("event_id", "status", "reason"),
    [
        ("failed-1", 422, "INVALID_EVENT"),
        ("conflict-1", 409, "EVENT_ID_REUSED"),
        ("full-1", 429, "QUEUE_FULL"),
        ("old-1", 422, "TOO_OLD"),
        ("gone-1", 410, "GONE"),
    ],
)
async def test_one_event_that_is_not_taken(
    gateway: Running, path: str, event_id: str, status: int, reason: str
) -> None:
    body = is_problem(await gateway.client.post(path, json=event(event_id)), status, reason)
    assert body["event_id"] == event_id
    assert body.get("failed_id") == ("failed_0123" if event_id == "failed-1" else None)


async def test_over_rate_says_when_to_come_back(gateway: Running) -> None:
    answer = await gateway.client.post("/events", json=event("full-1"))
    assert answer.headers["retry-after"] == "3"


async def test_more_connections_than_allowed_are_told_when_to_come_back(
    ingest: tuple[FakeIngest, str],
) -> None:
    settings = GatewaySettings(
        ingest=ClientSettings(target=ingest[1]), port=0, drain_notice=0.0, max_connections=2
    )
    telemetry, stop = start_telemetry("gateway", TelemetrySettings(log_level="ERROR")), asyncio.Event()
    async with connect(settings.ingest, telemetry=telemetry, idempotent=IDEMPOTENT) as channel:
        server = GatewayServer(create_app(settings, channel, telemetry), settings, telemetry)
        serving = asyncio.create_task(server.serve_until(stop))
        await asyncio.wait_for(server.listening.wait(), 60)
        address = f"http://{server.addresses[0]}"
        async with contextlib.AsyncExitStack() as clients:
            held = [
                await clients.enter_async_context(httpx.AsyncClient(base_url=address, timeout=30))
                for _ in range(3)
            ]
            for client in held[:2]:
                assert (await client.post("/events", json=event("e1"))).status_code == 202
            answer = await held[2].post("/events", json=event("e2"))
            assert is_problem(answer, 503, "TOO_MANY_CONNECTIONS")["metadata"] == {"limit": "2"}
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["connection"] == "close"
            # Health is answered all the same, and those that were there go on.
            assert (await held[2].get("/metrics")).status_code == 200
            await held[1].aclose()
            await held[2].aclose()
            assert (await held[0].post("/events", json=event("e3"))).status_code == 202
        stop.set()
        await serving
    telemetry.shutdown()


async def test_every_wrong_field_is_named(gateway: Running) -> None:
    answer = await gateway.client.post(
        "/api/v1/decisions", json=event("e", user_id=None, is_eu=1, timestamp="9999-01-01T00:00:00Z")
    )
    body = is_problem(answer, 422, "INVALID_EVENT")
    assert body["failed_id"] == "failed_0123"
    assert {(item["field"], item["reason"]) for item in body["errors"]} == {
        ("user_id", "MISSING"),
        ("is_eu", "WRONG_TYPE"),
        ("timestamp", "TIME_OUT_OF_RANGE"),
    }


async def test_a_repeat_is_queued_as_the_first_time(gateway: Running) -> None:
    answer = await gateway.client.post("/events", json=event("duplicate-1"))
    assert answer.status_code == 202
    assert answer.json() == {"status": "queued", "event_id": "duplicate-1", "duplicate": True}


# --- decisions ---------------------------------------------------------------------------------------


async def test_one_decision(gateway: Running) -> None:
    answer = await gateway.client.post("/api/v1/decisions", json=event("e1"))
    assert answer.status_code == 200
    assert answer.json()["status"] == "decided"
    assert answer.json()["outcome"] == "ALLOW"
    answer = await gateway.client.post("/api/v1/decisions", json=event("duplicate-1"))
    assert answer.json()["status"] == "duplicate"


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize("form", ["list", "envelope", "lines"])
async def test_a_batch_has_one_result_an_item_in_order(gateway: Running, form: str, count: int) -> None:
    kinds = ["ok", "failed", "conflict", "full", "duplicate"][: 5 if count > 1 else 1]
    ids = [f"{kinds[n % len(kinds)]}-{n}" for n in range(count)]
    items = [event(name) for name in ids]
    if form == "lines":
        content = b"\n".join(orjson.dumps(item) for item in items)
        headers = {"content-type": "application/x-ndjson"}
    else:
        content = orjson.dumps(items if form == "list" else {"events": items})
        headers = {"content-type": "application/json"}
    answer = await gateway.client.post("/api/v1/decisions", content=content, headers=headers)
    assert answer.status_code == (200 if count == 1 else 207)
    decisions = answer.json()["decisions"]
    assert [item["event_id"] for item in decisions] == ids
    wanted = {"ok": "decided", "full": "refused"}
    assert [item["status"] for item in decisions] == [
        wanted.get(name.partition("-")[0], name.partition("-")[0]) for name in ids
    ]
    if count > 1:
        assert decisions[1]["failed_id"] == "failed_0123"
        assert decisions[3]["retry_after_ms"] == 2_300
        assert answer.headers["retry-after"] == "3"


async def test_a_batch_goes_on_beside_a_broken_event(gateway: Running) -> None:
    good = ORIGINAL.read_text()
    body = f'{{"events":[{good},{{"event_id":"b","data_volume_bytes":NaN}},7,{good}]}}'
    answer = await gateway.client.post("/events", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 207
    results = answer.json()["results"]
    assert [item["status"] for item in results] == ["queued", "failed", "failed", "queued"]
    assert {"field": "data_volume_bytes", "reason": "NUMBER_INVALID"}.items() <= results[1]["violations"][
        0
    ].items()
    assert results[2]["violations"][0]["reason"] == "WRONG_TYPE"


async def test_get_a_decision(gateway: Running) -> None:
    answer = await gateway.client.get("/api/v1/decisions/a%2Fb:1", headers={"x-usher-tenant": "brand-2"})
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "BLOCK"
    assert answer.json()["event"]["event_type"] == "PLAY"
    assert gateway.ingest.calls[0].event_id == "a/b:1"
    assert gateway.ingest.calls[0].tenant == "brand-2"
    gateway.ingest.error = NotFound("DECISION_UNKNOWN", "there is no decision on this event")
    is_problem(await gateway.client.get("/api/v1/decisions/zzz"), 404, "DECISION_UNKNOWN")


async def test_accounting(gateway: Running) -> None:
    answer = await gateway.client.get("/api/v1/accounting", headers={"x-usher-tenant": "brand-2"})
    (books,) = answer.json()["accounts"]
    assert books["tenant"] == "brand-2"
    assert (books["received"], books["accepted"], books["refused"], books["decided"]) == (3, 2, 1, 2)
    assert books["refused_by_reason"] == {"TOO_OLD": 1}
    assert books["balanced"] is True


# --- what the edge refuses ---------------------------------------------------------------------------


async def test_routes_that_are_not_there(gateway: Running) -> None:
    is_problem(await gateway.client.get("/token"), 404, "ROUTE_UNKNOWN")
    answer = await gateway.client.put("/events", json={})
    is_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
)
async def test_media_types(gateway: Running, headers: dict[str, str]) -> None:
    answer = await gateway.client.post("/events", content=ORIGINAL.read_bytes(), headers=headers)
    is_problem(answer, 415, "MEDIA_TYPE_UNSUPPORTED")
    assert not gateway.ingest.calls


async def test_a_body_over_four_mebibytes(gateway: Running) -> None:
    headers = {"content-type": "application/json"}
    answer = await gateway.client.post("/events", content=b" " * (4 * 1024 * 1024 + 1), headers=headers)
    body = is_problem(answer, 413, "BODY_TOO_LARGE")
    assert body["metadata"] == {"limit": str(4 * 1024 * 1024)}


async def test_a_chunked_body_is_cut_off_at_the_limit(gateway: Running) -> None:
    # By hand: 5 MiB announced by nobody. The answer comes although the body never ends.
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    for _ in range(80):
        writer.write(chunk)
        try:
            await writer.drain()
        except ConnectionError:
            break
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert b" 413 " in head.split(b"\r\n")[0]
    assert b"problem+json" in head
    writer.close()


async def test_a_body_that_does_not_arrive(gateway: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        b"POST /events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{"
    )
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert b" 408 " in head.split(b"\r\n")[0]
    writer.close()


async def test_broken_json_and_too_many(gateway: Running) -> None:
    headers = {"content-type": "application/json"}
    answer = await gateway.client.post("/events", content=b'[{"a":1},', headers=headers)
    assert is_problem(answer, 400, "MALFORMED_JSON")["metadata"] == {"position": "9"}
    answer = await gateway.client.post("/events", content=b'{"user_id":"\xff"}', headers=headers)
    assert is_problem(answer, 400, "MALFORMED_JSON")["metadata"] == {"position": "12"}
    answer = await gateway.client.post("/events", json=[{"event_id": "a"}] * 10_000)
    body = is_problem(answer, 413, "TOO_MANY_EVENTS")
    assert body["metadata"] == {"limit": "2000", "count": "10000"}
    assert not gateway.ingest.calls


@pytest.mark.parametrize("tenant", ["Dev", "a b", "-a", "", "x" * 64, "dev/../x"])
async def test_tenants(gateway: Running, tenant: str) -> None:
    answer = await gateway.client.get("/api/v1/accounting", headers={"x-usher-tenant": tenant})
    is_problem(answer, 400, "TENANT_INVALID")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.nip.io"])
async def test_a_rebound_name_is_turned_away(gateway: Running, host: str) -> None:
    answer = await gateway.client.post("/events", json=event("e"), headers={"host": host})
    is_problem(answer, 421, "HOST_NOT_ALLOWED")
    assert not gateway.ingest.calls


async def test_more_requests_than_it_takes(gateway: Running) -> None:
    gateway.ingest.delay = 0.5
    answers = await asyncio.gather(*(gateway.client.post("/events", json=event(f"e{n}")) for n in range(12)))
    codes = sorted(item.status_code for item in answers)
    assert codes == [202] * 8 + [503] * 4
    refused = next(item for item in answers if item.status_code == 503)
    is_problem(refused, 503, "TOO_MANY_REQUESTS_IN_FLIGHT")
    assert refused.headers["retry-after"] == "1"


# --- the mesh behind it ------------------------------------------------------------------------------


async def test_the_deadline_goes_with_the_call_and_ends_it(gateway: Running) -> None:
    await gateway.client.post("/events", json=event("e"))
    assert gateway.ingest.remaining is not None
    assert 1.0 < gateway.ingest.remaining <= 1.98
    gateway.ingest.delay = 30
    answer = await asyncio.wait_for(gateway.client.post("/events", json=event("e")), 5)
    is_problem(answer, 504, "DEADLINE_EXCEEDED")


async def test_typed_errors_of_ingest(gateway: Running) -> None:
    gateway.ingest.error = ResourceExhausted("QUEUE_FULL", "the queue is full", retry_after=0.2)
    answer = await gateway.client.post("/events", json=event("e"))
    is_problem(answer, 429, "QUEUE_FULL")
    assert answer.headers["retry-after"] == "1"
    gateway.ingest.error = ResourceExhausted("TOO_MANY_CALLS", "too many at once")
    assert (await gateway.client.post("/events", json=event("e"))).headers["retry-after"] == "1"
    gateway.ingest.error = InvalidArgument("TENANT_INVALID", "no such tenant")
    is_problem(await gateway.client.post("/events", json=event("e")), 400, "TENANT_INVALID")
    gateway.ingest.error = ResourceExhausted("MESSAGE_TOO_LARGE", "too large")
    is_problem(await gateway.client.post("/events", json=event("e")), 413, "MESSAGE_TOO_LARGE")


async def test_a_defect_tells_nothing(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    answer = await gateway.client.post("/api/v1/decisions", json=[event("short"), event("b")])
    body = is_problem(answer, 500, "INTERNAL")
    assert body["detail"] == "internal error"
    assert "1 results for 2 events" not in answer.text


async def test_the_trace_is_continued(gateway: Running) -> None:
    sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await gateway.client.post("/events", json=event("e"), headers={"traceparent": sent})
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, flags) == ("00", "0af7651916cd43dd8448eb211c80319c", "01")
    assert span_id != "b7ad6b7169203331"
    passed = gateway.ingest.metadata["traceparent"]
    assert passed.split("-")[1] == trace_id
    assert passed.split("-")[2] not in (span_id, "b7ad6b7169203331")


async def test_a_trace_begins_where_none_is_valid(gateway: Running) -> None:
    answer = await gateway.client.post("/events", json=event("e"), headers={"traceparent": "00-zz"})
    trace_id = answer.headers["traceparent"].split("-")[1]
    assert len(trace_id) == 32
    assert int(trace_id, 16)
    assert gateway.ingest.metadata["traceparent"].split("-")[1] == trace_id


async def test_health_is_that_of_ingest(gateway: Running) -> None:
    answer = await gateway.client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    gateway.ingest.serving = False
    is_problem(await gateway.client.get("/healthz"), 503, "NOT_READY")


async def test_metrics_have_templates_and_no_ids(gateway: Running) -> None:
    await gateway.client.post("/events", json=event("secret-event-7", user_id="secret-user-7"))
    await gateway.client.get("/api/v1/decisions/secret-event-7")
    await gateway.client.get("/secret-path")
    text = (await gateway.client.get("/metrics")).text
    assert 'usher_http_requests_total{method="POST",route="/events",status="202"} 1.0' in text
    assert 'route="/api/v1/decisions/{event_id}",status="200"} 1.0' in text
    assert 'route="other",status="404"} 1.0' in text
    assert "secret" not in text


async def test_logs_hold_no_ids(gateway: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="usher"):
        await gateway.client.get("/api/v1/decisions/secret-event-7")
        gateway.ingest.error = InvalidArgument("TENANT_INVALID", "no")
        await gateway.client.post("/events", json=event("secret-event-7"))
    records = [record for record in caplog.records if record.name.startswith("usher.gateway")]
    assert any(record.message == "request" for record in records)
    assert all("secret" not in str(record.__dict__) for record in records)


async def test_openapi(gateway: Running) -> None:
    document = (await gateway.client.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/events",
        "/api/v1/decisions",
        "/api/v1/decisions/{event_id}",
        "/api/v1/decision-stream",
        "/api/v1/accounting",
        "/api/v1/failed-events",
        "/api/v1/failed-events/{failed_id}",
        "/api/v1/failed-events/replay",
        "/api/v1/security/validation-status",
        "/api/v1/enforcements",
        "/api/v1/labels",
        "/api/v1/accounts",
        "/api/v1/profiles/{user_id}",
        "/api/v1/lists",
        "/api/v1/lists/lift",
        "/api/v1/lists/preview",
        "/api/v1/feedback/report",
        "/api/v1/feedback/sample",
        "/api/v1/feedback/control",
        "/healthz",
        "/metrics",
    }
    body = document["paths"]["/events"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"] == json.loads(ORIGINAL.read_text())
    assert "HTTPValidationError" not in json.dumps(document)
    answers = document["paths"]["/api/v1/decisions"]["post"]["responses"]
    assert {"200", "207", "409", "413", "415", "422", "429", "503", "504"} <= set(answers)
    assert (await gateway.client.get("/docs")).status_code == 200


# --- the drain ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("gateway", [0.5], indirect=True, ids=["notice"])
async def test_a_drain_answers_what_runs_and_is_not_ready(gateway: Running) -> None:
    gateway.ingest.delay = 1.0
    running = asyncio.create_task(gateway.client.post("/events", json=event("e")))
    await asyncio.wait_for(gateway.ingest.started.wait(), 5)
    gateway.stop.set()
    await asyncio.sleep(0.1)
    is_problem(await gateway.client.get("/healthz"), 503, "DRAINING")
    assert (await running).status_code == 202


async def test_sigterm_ends_the_process_with_zero(ingest: tuple[FakeIngest, str], tmp_path: Path) -> None:
    fake, target = ingest
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
        "USHER_GATEWAY_INGEST_TARGET": target,
        "USHER_GATEWAY_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=tmp_path, env=env, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            for _ in range(200):
                try:
                    if (await client.get("/healthz")).status_code == 200:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
            await client.get("/api/v1/decisions/secret-9")
            fake.started.clear()
            fake.delay = 0.8
            running = asyncio.create_task(client.post("/events", json=event("e")))
            await asyncio.wait_for(fake.started.wait(), 5)
            process.send_signal(signal.SIGTERM)
            assert (await running).status_code == 202
        _, stderr = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, stderr.decode()
    assert b"secret-9" not in stderr
    lines = [json.loads(line) for line in stderr.decode().splitlines()]
    assert [item["message"] for item in lines if item["logger"] == "usher.gateway.server"] == [
        "serving",
        "draining",
        "drained",
    ]


async def test_beyond_loopback_the_process_does_not_start(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'proto'}",
        "USHER_GATEWAY_INGEST_TARGET": "127.0.0.1:1",
        "USHER_GATEWAY_HOST": "0.0.0.0",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", cwd=tmp_path, env=env, stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 2
    assert b"no authentication is configured" in stderr
