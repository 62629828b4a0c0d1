"""One trace from HTTP to the delivery of an alert, received over OTLP; its deadlines; what is kept without sampling.

The mesh samples nothing at the head: a trace is exported when its caller's traceparent says so, or when it is worth
keeping.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from tests.harness import SERVICES, Mesh
from tests.scenarios import alerts, as_json, event, new_id, takeover, until
from usher.ingest.v1 import ingest_pb2

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("mesh-traces")]

HOLD_SECONDS = 1.0
DECIDE = "usher.ingest.v1.IngestService/DecideEvents"
SUBMIT = "usher.ingest.v1.IngestService/SubmitEvents"
EVALUATE = "usher.compliance.v1.ComplianceService/EvaluateEvents"
ASSESS = "usher.fraud.v1.FraudService/AssessEvents"
SCORE = "usher.scoring.v1.ScoringService/DecideEvents"
RAISE = "usher.alerts.v1.AlertsService/RaiseAlerts"
SERVER, CLIENT, INTERNAL = 2, 3, 1  # opentelemetry.proto.trace.v1.Span.SpanKind


class Span(NamedTuple):
    """A received span."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]

    @property
    def what(self) -> tuple[str, str, int]:
        return self.service, self.name, self.kind


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """An OTLP receiver that keeps everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[Span] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(4))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(self, request: Any, context: Any) -> Any:
        with self._lock:
            for resource in request.resource_spans:
                named = {a.key: a.value.string_value for a in resource.resource.attributes}
                for scope in resource.scope_spans:
                    self._spans += [_span(named["service.name"], one) for one in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of a trace received so far."""
        with self._lock:
            return [span for span in self._spans if span.trace_id == trace_id]

    def spans(self, service: str, name: str) -> list[Span]:
        """The spans of one name received so far."""
        with self._lock:
            return [span for span in self._spans if (span.service, span.name) == (service, name)]

    def stop(self) -> None:
        self._server.stop(None)


def _span(service: str, one: Any) -> Span:
    values = {
        a.key: a.value.int_value if a.value.HasField("int_value") else a.value.string_value
        for a in one.attributes
    }
    links = tuple((link.trace_id.hex(), link.span_id.hex()) for link in one.links)
    return Span(
        service,
        one.name,
        one.kind,
        one.trace_id.hex(),
        one.span_id.hex(),
        one.parent_span_id.hex(),
        links,
        values,
    )


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Mesh]:
    env = {}
    for name in (*SERVICES, "gateway"):
        prefix = f"USHER_{name.upper()}_TELEMETRY_"
        env[f"{prefix}OTLP_ENDPOINT"] = collector.endpoint
        env[f"{prefix}SAMPLE_RATIO"] = "0"
        env[f"{prefix}HOLD_SECONDS"] = str(HOLD_SECONDS)
    with Mesh(tmp_path_factory.mktemp("traces"), env=env, gateway=True) as running:
        yield running


def traceparent(*, sampled: bool) -> tuple[str, str, str]:
    """A new (header, trace id, span id)."""
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    return f"00-{trace_id}-{span_id}-{'01' if sampled else '00'}", trace_id, span_id


def edges(spans: list[Span], root: str) -> set[tuple[tuple[str, str, int] | str, tuple[str, str, int]]]:
    """(parent, child) of every span, the one whose parent is not among them with "caller"."""
    by_id = {span.span_id: span for span in spans}
    found: set[tuple[tuple[str, str, int] | str, tuple[str, str, int]]] = set()
    for span in spans:
        if span.parent_id == root:
            found.add(("caller", span.what))
        else:
            assert span.parent_id in by_id, f"{span.what} has a parent that was not received"
            found.add((by_id[span.parent_id].what, span.what))
    return found


GATEWAY = ("gateway", "POST /api/v1/decisions", SERVER)
FRONT = ("ingest", DECIDE, SERVER)
BATCH = ("ingest", "ingest.batch", INTERNAL)
TELL = ("ingest", "ingest.tell", INTERNAL)
WITHOUT_ALERT = {
    ("caller", GATEWAY),
    (GATEWAY, ("gateway", DECIDE, CLIENT)),
    (("gateway", DECIDE, CLIENT), FRONT),
    (FRONT, BATCH),
    (BATCH, ("ingest", EVALUATE, CLIENT)),
    (("ingest", EVALUATE, CLIENT), ("compliance", EVALUATE, SERVER)),
    (BATCH, ("ingest", ASSESS, CLIENT)),
    (("ingest", ASSESS, CLIENT), ("fraud", ASSESS, SERVER)),
    (BATCH, ("ingest", SCORE, CLIENT)),
    (("ingest", SCORE, CLIENT), ("scoring", SCORE, SERVER)),
}
WITH_ALERT = WITHOUT_ALERT | {
    (BATCH, TELL),
    (TELL, ("ingest", RAISE, CLIENT)),
    (("ingest", RAISE, CLIENT), ("alerts", RAISE, SERVER)),
    (FRONT, ("alerts", "alerts.deliver", INTERNAL)),
}


def post(mesh: Mesh, path: str, body: Any, header: str) -> httpx.Response:
    return httpx.post(
        mesh.http + path, json=body, headers={"traceparent": header}, timeout=20, trust_env=False
    )


def to_the_brink(mesh: Mesh, user: str) -> Any:
    """Sends all of a takeover but its last event, which is returned and gets REVIEW."""
    *before, last = takeover(user)
    with mesh.ingest() as front:
        front.decide(before)
    return last


def test_one_event_over_http_is_one_trace_to_the_alert(mesh: Mesh, collector: Collector) -> None:
    last = to_the_brink(mesh, "traced")
    header, trace_id, caller = traceparent(sampled=True)
    answer = post(mesh, "/api/v1/decisions", as_json(last), header)
    assert answer.json()["outcome"] == "REVIEW"
    assert answer.headers["traceparent"].split("-")[1] == trace_id
    until(lambda: len(collector.trace(trace_id)) >= len(WITH_ALERT))
    spans = collector.trace(trace_id)
    assert edges(spans, caller) == WITH_ALERT
    assert len(spans) == len(WITH_ALERT), "each once"
    with mesh.ingest() as front:
        assert front.decision(last.event_id).trace_id.hex() == trace_id
    assert [a.first_event_id for a in alerts(mesh) if a.entity == "traced"] == [last.event_id]


def test_an_event_without_alert_leads_to_the_same_tree_without_alerts(
    mesh: Mesh, collector: Collector
) -> None:
    header, trace_id, caller = traceparent(sampled=True)
    assert post(mesh, "/api/v1/decisions", as_json(event("quiet")), header).status_code == 200
    until(lambda: len(collector.trace(trace_id)) >= len(WITHOUT_ALERT))
    assert edges(collector.trace(trace_id), caller) == WITHOUT_ALERT


def test_a_submitted_event_keeps_its_trace_over_the_inbox(mesh: Mesh, collector: Collector) -> None:
    header, trace_id, caller = traceparent(sampled=True)
    assert post(mesh, "/events", as_json(event("later")), header).status_code == 202
    door = ("gateway", "POST /events", SERVER)
    client, server = ("gateway", SUBMIT, CLIENT), ("ingest", SUBMIT, SERVER)
    expected = {("caller", door), (door, client), (client, server), (server, BATCH)}
    expected |= {(a, b) for a, b in WITHOUT_ALERT if a == BATCH or b[0] in ("compliance", "fraud", "scoring")}
    until(lambda: len(collector.trace(trace_id)) >= len(expected))
    assert edges(collector.trace(trace_id), caller) == expected


def test_a_batch_links_to_the_call_of_each_of_its_events(mesh: Mesh, collector: Collector) -> None:
    """Calls that come together share batches: such a batch is a trace of its own with a link to every event's call.

    Each call brings one event that gets REVIEW, so every batch is kept.
    """
    lasts = [to_the_brink(mesh, f"together{number:02d}") for number in range(16)]
    callers = set()
    with mesh.ingest() as front:
        pending = []
        for last in lasts:
            header, trace_id, _ = traceparent(sampled=True)
            callers.add(trace_id)
            request = ingest_pb2.DecideEventsRequest(tenant="dev", events=[last])
            metadata = (("traceparent", header),)
            pending.append(front.stub.DecideEvents.future(request, timeout=20, metadata=metadata))
        for one in pending:
            one.result()

    def of_these() -> list[Span]:
        batches = collector.spans("ingest", "ingest.batch")
        return [s for s in batches if s.trace_id in callers or callers & {linked for linked, _ in s.links}]

    until(lambda: sum(span.attributes["usher.events"] for span in of_these()) == len(lasts))
    servers = {
        (s.trace_id, s.span_id)
        for s in collector.spans("ingest", DECIDE)
        if s.trace_id in callers and s.kind == SERVER
    }
    assert len(servers) == len(lasts)
    reached = set()
    for span in of_these():
        if span.attributes["usher.events"] == 1:
            assert not span.links
            reached.add((span.trace_id, span.parent_id))
        else:
            assert span.parent_id == ""
            assert len(span.links) == span.attributes["usher.events"]
            reached.update(span.links)
    assert reached == servers
    assert any(span.links for span in of_these()), "some came together"


def test_a_batch_with_a_review_is_kept_and_links_to_every_event_of_it(
    mesh: Mesh, collector: Collector
) -> None:
    last = to_the_brink(mesh, "batched")
    header, trace_id, _ = traceparent(sampled=True)
    bodies = [as_json(event(f"beside{i}")) for i in range(3)]
    answer = post(mesh, "/api/v1/decisions", {"events": [*bodies, as_json(last)]}, header)
    assert [d["outcome"] == "REVIEW" for d in answer.json()["decisions"]] == [False, False, False, True]

    def batch() -> Span | None:
        for span in collector.spans("ingest", "ingest.batch"):
            if any(linked == trace_id for linked, _ in span.links):
                return span
        return None

    found = until(batch)
    [server] = until(lambda: [s for s in collector.trace(trace_id) if s.what == FRONT])
    assert found.attributes["usher.events"] == 4
    assert set(found.links) == {(trace_id, server.span_id)}
    assert found.trace_id != trace_id
    assert found.parent_id == ""
    kept = {BATCH, TELL, ("scoring", SCORE, SERVER), ("alerts", RAISE, SERVER)}
    kept |= {("ingest", name, CLIENT) for name in (EVALUATE, ASSESS, SCORE, RAISE)}
    until(lambda: {s.what for s in collector.trace(found.trace_id)} >= kept)
    inner = edges(collector.trace(found.trace_id), "")
    assert ("caller", BATCH) in inner
    assert (("ingest", SCORE, CLIENT), ("scoring", SCORE, SERVER)) in inner
    assert (("ingest", RAISE, CLIENT), ("alerts", RAISE, SERVER)) in inner


def test_without_sampling_a_review_is_exported_all_the_same(mesh: Mesh, collector: Collector) -> None:
    last = to_the_brink(mesh, "kept")
    header, trace_id, _ = traceparent(sampled=False)
    assert post(mesh, "/api/v1/decisions", as_json(last), header).json()["outcome"] == "REVIEW"
    quiet, quiet_id, _ = traceparent(sampled=False)
    assert post(mesh, "/api/v1/decisions", as_json(event("unkept")), quiet).json()["outcome"] != "REVIEW"
    # Compliance and fraud cannot know what the decision will be; everybody who knows keeps the trace.
    wanted = {GATEWAY, ("gateway", DECIDE, CLIENT), FRONT, BATCH, TELL}
    wanted |= {("ingest", EVALUATE, CLIENT), ("ingest", ASSESS, CLIENT), ("ingest", SCORE, CLIENT)}
    wanted |= {("ingest", RAISE, CLIENT), ("scoring", SCORE, SERVER)}
    wanted |= {("alerts", RAISE, SERVER), ("alerts", "alerts.deliver", INTERNAL)}
    until(lambda: {span.what for span in collector.trace(trace_id)} >= wanted)
    time.sleep(HOLD_SECONDS + 1.0)
    assert collector.trace(quiet_id) == [], "an unsampled decision without anything to look at is forgotten"


def test_a_deadline_shrinks_from_hop_to_hop(mesh: Mesh, collector: Collector) -> None:
    """2 s at the edge: each hop has less than the one before, by the reserve of 20 ms at least."""
    header, trace_id, _ = traceparent(sampled=True)
    post(mesh, "/api/v1/decisions", as_json(event("hurried")), header)
    until(lambda: len(collector.trace(trace_id)) >= len(WITHOUT_ALERT))
    left = {
        s.service: s.attributes["rpc.deadline_ms"]
        for s in collector.trace(trace_id)
        if s.kind == SERVER and s.what != GATEWAY
    }
    # gRPC's header rounds a time of seconds up to hundredths of one.
    assert 0 < left["ingest"] <= 2000 - 20 + 10
    for service in ("compliance", "fraud", "scoring"):
        assert 0 < left[service] <= left["ingest"] - 20, left


def test_a_caller_that_gives_less_time_leaves_less_at_the_last_hop(mesh: Mesh, collector: Collector) -> None:
    header, trace_id, _ = traceparent(sampled=True)
    with mesh.ingest() as front:
        request = ingest_pb2.DecideEventsRequest(tenant="dev", events=[event("brief", event_id=new_id())])
        front.stub.DecideEvents(request, timeout=1.0, metadata=(("traceparent", header),))
    until(
        lambda: {s.service for s in collector.trace(trace_id)} >= {"ingest", "compliance", "fraud", "scoring"}
    )
    left = {s.service: s.attributes["rpc.deadline_ms"] for s in collector.trace(trace_id) if s.kind == SERVER}
    # gRPC's header rounds up to hundredths of a second.
    assert left["ingest"] <= 1000 + 10
    assert all(left[service] <= left["ingest"] - 20 for service in ("compliance", "fraud", "scoring")), left
