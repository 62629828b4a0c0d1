"""Trace contexts, what becomes of spans, and the form of a log line."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import generate_latest

from services.common.telemetry import (
    NEW_TRACE,
    HeadSampler,
    JsonFormatter,
    Telemetry,
    TelemetrySettings,
    TraceContext,
    current_trace,
    parse_traceparent,
)

# The example of the W3C recommendation, section 3.2.4.
W3C = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID = 0x4BF92F3577B34DA6A3CE929D0E0E4736
SPAN_ID = 0x00F067AA0BA902B7


def test_the_recommendations_example() -> None:
    parsed = parse_traceparent(W3C)

    assert parsed == TraceContext(TRACE_ID, SPAN_ID, True)
    assert parsed is not None
    assert parsed.traceparent == W3C
    assert parse_traceparent(W3C[:-2] + "00") == TraceContext(TRACE_ID, SPAN_ID, False)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        W3C[:-1],
        W3C + "-extra",  # version 00 has four fields
        "ff" + W3C[2:],  # version ff is forbidden
        W3C.upper(),  # hexadecimal digits are lower case
        "00-" + "0" * 32 + W3C[35:],
        W3C[:36] + "0" * 16 + W3C[52:],
        W3C.replace("-", "_"),
        W3C[:-2] + "0g",
        "cc" + W3C[2:] + "x",
    ],
)
def test_invalid_headers_begin_a_new_trace(header: str) -> None:
    assert parse_traceparent(header) is None


def test_a_later_version_is_read_by_its_first_four_fields() -> None:
    assert parse_traceparent("cc" + W3C[2:] + "-what-comes") == TraceContext(TRACE_ID, SPAN_ID, True)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_contexts_survive_the_header(trace_id: int, span_id: int, sampled: bool) -> None:
    context = TraceContext(trace_id, span_id, sampled)
    assert parse_traceparent(context.traceparent) == context


@given(st.text(max_size=80))
def test_no_header_raises(header: str) -> None:
    parse_traceparent(header)


def test_the_ratio_is_a_share_of_trace_ids() -> None:
    half = HeadSampler(0.5)
    assert half.sampled(2**63 - 1)
    assert not half.sampled(2**63)
    assert HeadSampler(1.0).sampled(2**64 - 1)
    assert not HeadSampler(0.0).sampled(0)


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


def make(exporter: InMemorySpanExporter | None, **settings: float) -> Telemetry:
    return Telemetry("test", TelemetrySettings(**settings), exporter)  # type: ignore[arg-type]


@pytest.fixture
def unsampled(exporter: InMemorySpanExporter) -> Iterator[Telemetry]:
    telemetry = make(exporter, sample_ratio=0.0, hold_seconds=60.0)
    yield telemetry
    telemetry.shutdown()


def exported(telemetry: Telemetry, exporter: InMemorySpanExporter) -> list[str]:
    telemetry.flush()
    return [span.name for span in exporter.get_finished_spans()]


def fate(telemetry: Telemetry, what: str) -> float:
    return telemetry.registry.get_sample_value("usher_spans_total", {"fate": what}) or 0.0


def test_without_an_exporter_ids_still_travel() -> None:
    telemetry = make(None)
    with telemetry.span("outer") as outer:
        assert current_trace() == outer.context
        with telemetry.span("inner") as inner:
            assert inner.context.trace_id == outer.context.trace_id
            assert inner.context.span_id != outer.context.span_id
        assert current_trace() == outer.context
    assert current_trace() is None


def test_a_sampled_trace_is_exported_with_its_parentage(exporter: InMemorySpanExporter) -> None:
    telemetry = make(exporter, sample_ratio=1.0)
    with telemetry.span("outer"), telemetry.span("inner", attributes={"events": 3}):
        pass
    telemetry.flush()
    inner, outer = exporter.get_finished_spans()
    telemetry.shutdown()

    assert (inner.name, outer.name) == ("inner", "outer")
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.parent is None
    assert dict(inner.attributes or {}) == {"events": 3}


def test_an_unsampled_trace_waits_and_is_exported_when_kept(
    unsampled: Telemetry, exporter: InMemorySpanExporter
) -> None:
    with unsampled.span("outer"):
        with unsampled.span("before"):
            pass
        assert exported(unsampled, exporter) == []
        unsampled.keep_trace()
        with unsampled.span("after"):
            pass
    with unsampled.span("another trace"):
        pass

    assert exported(unsampled, exporter) == ["before", "after", "outer"]


def test_what_nobody_kept_is_forgotten(exporter: InMemorySpanExporter) -> None:
    telemetry = make(exporter, sample_ratio=0.0, hold_seconds=0.05)
    with telemetry.span("quick"):
        pass
    deadline = time.monotonic() + 10
    while fate(telemetry, "forgotten") < 1 and time.monotonic() < deadline:
        time.sleep(0.05)
    telemetry.shutdown()

    assert fate(telemetry, "forgotten") == 1
    assert exporter.get_finished_spans() == ()


def test_memory_is_bounded_and_the_oldest_go_first(exporter: InMemorySpanExporter) -> None:
    telemetry = make(exporter, sample_ratio=0.0, hold_seconds=60.0, max_held_spans=2)
    contexts = []
    for name in ("a", "b", "c"):
        with telemetry.span(name) as span:
            contexts.append(span.context)
    for context in contexts:
        telemetry.keep_trace(context)

    assert exported(telemetry, exporter) == ["b", "c"]
    assert fate(telemetry, "dropped") == 1
    telemetry.shutdown()


def test_a_batch_span_links_to_the_events_it_serves(exporter: InMemorySpanExporter) -> None:
    telemetry = make(exporter, sample_ratio=1.0)
    event = TraceContext(TRACE_ID, SPAN_ID, True)
    with telemetry.span("request"), telemetry.span("batch", parent=NEW_TRACE, links=[event]) as batch:
        pass
    with telemetry.span("one", parent=event) as one:
        pass
    telemetry.flush()
    spans = {span.name: span for span in exporter.get_finished_spans()}
    telemetry.shutdown()

    assert batch.context.trace_id != spans["request"].context.trace_id
    assert spans["batch"].parent is None
    assert [(link.context.trace_id, link.context.span_id) for link in spans["batch"].links] == [
        (TRACE_ID, SPAN_ID)
    ]
    assert one.context.trace_id == TRACE_ID
    assert spans["one"].parent is not None
    assert spans["one"].parent.span_id == SPAN_ID


def test_a_failed_span_names_the_kind_and_not_the_text(exporter: InMemorySpanExporter) -> None:
    telemetry = make(exporter, sample_ratio=1.0)
    with pytest.raises(ValueError, match="hunter2"), telemetry.span("work"):
        raise ValueError("password=hunter2")
    telemetry.flush()
    (span,) = exporter.get_finished_spans()
    telemetry.shutdown()

    assert span.status.description == "ValueError"
    assert span.events == ()


def test_a_failing_exporter_is_counted_and_survived() -> None:
    class Broken(InMemorySpanExporter):
        def export(self, spans: object) -> object:  # type: ignore[override]
            raise ConnectionError("no collector")

    telemetry = make(Broken(), sample_ratio=1.0)
    for _ in range(2):
        with telemetry.span("work"):
            pass
        telemetry.flush()
    telemetry.shutdown()

    assert fate(telemetry, "export_failed") == 2


def test_log_lines_are_json_with_the_trace() -> None:
    telemetry = make(None)
    formatter = JsonFormatter("fraud")
    logger = telemetry.logger("links")
    record = logger.makeRecord(
        logger.name,
        logging.WARNING,
        __file__,
        1,
        "saw %d",
        (3,),
        None,
        extra={"ring_count": 2, "when": 1 + 2j},
    )
    with telemetry.span("work") as span:
        line = json.loads(formatter.format(record))
    outside = json.loads(formatter.format(record))

    assert line["message"] == "saw 3"
    assert (line["level"], line["service"], line["logger"]) == ("WARNING", "fraud", "usher.test.links")
    assert line["trace_id"] == span.context.trace_id_hex
    assert line["span_id"] == f"{span.context.span_id:016x}"
    assert (line["ring_count"], line["when"]) == (2, "(1+2j)")
    assert line["ts"].endswith("Z")
    assert "trace_id" not in outside


def test_rpc_metrics_are_rate_errors_duration() -> None:
    telemetry = make(None)
    method = telemetry.server_metrics.method("a.B/C")
    method.begin()
    method.begin()
    method.end("OK", 0.004)
    text = generate_latest(telemetry.registry).decode()

    assert 'usher_rpc_server_handled_total{code="OK",method="a.B/C"} 1.0' in text
    assert 'usher_rpc_server_in_flight{method="a.B/C"} 1.0' in text
    assert 'usher_rpc_server_seconds_bucket{le="0.005",method="a.B/C"} 1.0' in text
    assert 'usher_rpc_server_seconds_bucket{le="0.0025",method="a.B/C"} 0.0' in text
