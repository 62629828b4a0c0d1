"""Spans leave a process by OTLP and arrive whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from services.common.telemetry import Telemetry, TelemetrySettings, TraceContext, start_telemetry
from tests.integration.common.harness import until


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self) -> None:
        self.spans: dict[str, Any] = {}
        self.services: set[str] = set()
        self.endpoint = ""

    async def Export(self, request: Any, context: Any) -> Any:
        for resource in request.resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            for scope in resource.scope_spans:
                self.spans.update({span.name: span for span in scope.spans})
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    collector = Collector()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    collector.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield collector
    await server.stop(0)


def told(endpoint: str, ratio: float) -> Telemetry:
    return start_telemetry("fraud", TelemetrySettings(otlp_endpoint=endpoint, sample_ratio=ratio))


async def test_a_trace_arrives_with_parents_links_attributes_and_status(collector: Collector) -> None:
    telemetry = told(collector.endpoint, 1.0)
    event = TraceContext(0xABC, 0xDEF, True)
    with telemetry.span("outer", links=[event]) as outer:
        with telemetry.span("inner", attributes={"events": 3, "cold": True}) as inner:
            pass
        with pytest.raises(KeyError), telemetry.span("broken"):
            raise KeyError("secret")
    await until(lambda: len(collector.spans) == 3)
    telemetry.shutdown()

    got = collector.spans
    assert collector.services == {"fraud"}
    assert {bytes(span.trace_id).hex() for span in got.values()} == {outer.context.trace_id_hex}
    assert got["outer"].parent_span_id == b""
    assert (
        got["inner"].parent_span_id
        == got["broken"].parent_span_id
        == outer.context.span_id.to_bytes(8, "big")
    )
    assert got["inner"].span_id == inner.context.span_id.to_bytes(8, "big")
    assert [link.span_id for link in got["outer"].links] == [0xDEF.to_bytes(8, "big")]
    attributes = {item.key: item.value for item in got["inner"].attributes}
    assert attributes["events"].int_value == 3
    assert attributes["cold"].bool_value is True
    assert (got["broken"].status.code, got["broken"].status.message) == (2, "KeyError")
    outer_span, inner_span = got["outer"], got["inner"]
    assert outer_span.start_time_unix_nano <= inner_span.start_time_unix_nano
    assert inner_span.end_time_unix_nano >= inner_span.start_time_unix_nano > 1_600_000_000_000_000_000


async def test_only_kept_traces_arrive_when_the_head_samples_none(collector: Collector) -> None:
    telemetry = told(collector.endpoint, 0.0)
    with telemetry.span("playback"):
        pass
    with telemetry.span("export blocked"):
        telemetry.keep_trace()
    await until(lambda: "export blocked" in collector.spans)
    telemetry.shutdown()

    assert set(collector.spans) == {"export blocked"}
