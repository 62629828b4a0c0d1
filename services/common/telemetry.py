"""Traces, logs and metrics of one process.

**Traces.** One W3C trace runs from HTTP to alert delivery. Trace ids always travel and are always logged;
spans are made only where an exporter is set. A finished span waits in its process for up to `hold_seconds`:
it is exported when its trace was sampled at the head (ratio, or the caller's traceparent flag) or is marked
kept (`keep_trace`, or an answer whose trailer says `usher-trace-keep: 1`), and forgotten otherwise. See
https://www.w3.org/TR/trace-context/.

**Logs.** One JSON object a line on stderr: ts, level, service, logger, message, trace_id, span_id, extra
fields.

**Metrics.** Rate, errors and duration per RPC, for both sides, in a Prometheus registry of the process's own.
Labels are bounded: method names come from the contracts, codes from gRPC.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
import random
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import orjson
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from services.common import background

TRACEPARENT = "traceparent"
KEEP_TRAILER = "usher-trace-keep"

# A batch of 256 takes about 40 ms and a deadline at the edge is 2 s: the buckets are dense between.
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SCOPE = InstrumentationScope("usher")
_EXPORT_BATCH = 512
_EXPORT_TICK_SECONDS = 0.5
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class TelemetrySettings:
    """How a process tells what it does."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    otlp_endpoint: str | None = None
    """Where spans go by OTLP over gRPC, as `http://127.0.0.1:4317` (plaintext) or `https://…`.

    None: nowhere.
    """
    sample_ratio: float = 0.01
    """Share of new traces sampled at the head, from 0 to 1 inclusive."""
    hold_seconds: float = 5.0
    """How long a finished span of an unsampled trace waits for a reason to keep it."""
    max_held_spans: int = 20_000
    """Spans held or queued in memory at most; the oldest are dropped beyond it and counted."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.sample_ratio <= 1.0:
            raise ValueError("sample_ratio lies between 0 and 1")
        if self.hold_seconds < 0:
            raise ValueError("hold_seconds is 0 or more")
        if self.max_held_spans < 1:
            raise ValueError("max_held_spans is 1 or more")
        if self.otlp_endpoint is not None and not self.otlp_endpoint.startswith(("http://", "https://")):
            raise ValueError("otlp_endpoint begins with http:// or https://")


class TraceContext(NamedTuple):
    """Where in which trace we are: what a traceparent carries."""

    trace_id: int
    span_id: int
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The W3C header value, version 00."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{1 if self.sampled else 0:02x}"

    @property
    def trace_id_hex(self) -> str:
        """The trace id as 32 lower-case hexadecimal digits."""
        return f"{self.trace_id:032x}"


NEW_TRACE = TraceContext(0, 0, False)
"""As a span's parent: begin a new trace even where there is a current one."""


def parse_traceparent(header: str) -> TraceContext | None:
    """Reads a W3C traceparent. Returns None for anything invalid: the specification then wants a new trace.

    Versions after 00 are read by their first four fields, as the specification asks.
    """
    if len(header) < 55 or header[2] != "-" or header[35] != "-" or header[52] != "-":
        return None
    version, trace_id, span_id, flags = header[:2], header[3:35], header[36:52], header[53:55]
    if not _HEX.issuperset(version) or version == "ff":
        return None
    if len(header) > 55 and (version == "00" or header[55] != "-"):
        return None
    if not (_HEX.issuperset(trace_id) and _HEX.issuperset(span_id) and _HEX.issuperset(flags)):
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    if not trace or not span:
        return None
    return TraceContext(trace, span, bool(int(flags, 16) & 1))


class _Keep:
    """Set by anything that happens under one RPC; read when its answer leaves."""

    __slots__ = ("wanted",)

    def __init__(self) -> None:
        self.wanted = False


_current: ContextVar[TraceContext | None] = ContextVar("usher_trace", default=None)
_keep: ContextVar[_Keep | None] = ContextVar("usher_trace_keep", default=None)


def current_trace() -> TraceContext | None:
    """Returns the trace context of the running task, None outside of any."""
    return _current.get()


def server_keep() -> _Keep:
    """Begins the keep mark of an incoming RPC and returns it."""
    keep = _Keep()
    _keep.set(keep)
    return keep


def keep_current_trace() -> None:
    """Marks the trace of the running RPC as worth keeping: it is exported here, and its answer tells the caller.

    For a handler whose answer someone will look at (REVIEW, BLOCK, an alert). Outside of an RPC it does nothing.
    """
    mark = _keep.get()
    if mark is not None:
        mark.wanted = True


class Span:
    """One stretch of work in a trace. Where no exporter is set it is a context and nothing more.

    Recorded by hand and turned into the SDK's form only when exported: most spans are forgotten after a few
    seconds, and making one through the SDK costs 35 us.
    """

    __slots__ = (
        "_attributes",
        "_began_ns",
        "_failure",
        "_kind",
        "_links",
        "_parent",
        "_processor",
        "_seconds_ns",
        "_start_ns",
        "context",
        "name",
    )

    def __init__(
        self,
        name: str,
        context: TraceContext,
        processor: HoldingProcessor | None,
        kind: SpanKind,
        parent: TraceContext | None,
        links: Sequence[TraceContext],
        attributes: Mapping[str, str | int | float | bool] | None,
    ) -> None:
        self.name = name
        self.context = context
        self._processor = processor
        if processor is None:
            return
        self._kind = kind
        self._parent = parent
        self._links = tuple(links)
        self._attributes: dict[str, str | int | float | bool] = dict(attributes) if attributes else {}
        self._failure: str | None = None
        # Wall time says when, the monotonic clock how long: a step of the wall clock must not bend a span.
        self._start_ns = time.time_ns()
        self._began_ns = time.perf_counter_ns()
        self._seconds_ns = 0

    def set_attribute(self, key: str, value: str | int | float | bool) -> None:
        """Adds an attribute. No personal data."""
        if self._processor is not None:
            self._attributes[key] = value

    def fail(self, description: str) -> None:
        """Marks the span as failed; `description` names the kind of failure, not its data."""
        if self._processor is not None:
            self._failure = description

    def end(self) -> None:
        """Ends the span and hands it over. A second end changes nothing."""
        processor = self._processor
        if processor is not None:
            self._processor = None
            self._seconds_ns = time.perf_counter_ns() - self._began_ns
            processor.ended(self)

    def readable(self, resource: Resource) -> ReadableSpan:
        """Returns an ended span in the form exporters take."""
        failure = self._failure
        return ReadableSpan(
            self.name,
            context=_span_context(self.context, is_remote=False),
            parent=None if self._parent is None else _span_context(self._parent, is_remote=True),
            resource=resource,
            attributes=self._attributes,
            links=[Link(_span_context(link, is_remote=True)) for link in self._links],
            kind=self._kind,
            status=Status(StatusCode.UNSET) if failure is None else Status(StatusCode.ERROR, failure),
            start_time=self._start_ns,
            end_time=self._start_ns + self._seconds_ns,
            instrumentation_scope=_SCOPE,
        )


class RpcMetrics:
    """Rate, errors and duration of one side's RPCs."""

    def __init__(self, registry: CollectorRegistry, side: Literal["server", "client"]) -> None:
        self._handled = Counter(
            f"usher_rpc_{side}_handled",
            f"RPCs ended on the {side} side, by code.",
            ("method", "code"),
            registry=registry,
        )
        self._seconds = Histogram(
            f"usher_rpc_{side}_seconds",
            f"Duration of RPCs on the {side} side.",
            ("method",),
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._in_flight = Gauge(
            f"usher_rpc_{side}_in_flight", f"RPCs running on the {side} side.", ("method",), registry=registry
        )
        self._codes: dict[tuple[str, str], Counter] = {}

    def method(self, name: str) -> MethodMetrics:
        """Returns the instruments of one method; looked up once, not at each call."""
        return MethodMetrics(self, name, self._seconds.labels(name), self._in_flight.labels(name))

    def handled(self, name: str, code: str) -> None:
        counter = self._codes.get((name, code))
        if counter is None:
            counter = self._codes[name, code] = self._handled.labels(name, code)
        counter.inc()


class MethodMetrics:
    """The instruments of one method."""

    __slots__ = ("_in_flight", "_metrics", "_name", "_seconds")

    def __init__(self, metrics: RpcMetrics, name: str, seconds: Histogram, in_flight: Gauge) -> None:
        self._metrics = metrics
        self._name = name
        self._seconds = seconds
        self._in_flight = in_flight

    def begin(self) -> None:
        self._in_flight.inc()

    def end(self, code: str, seconds: float) -> None:
        self._in_flight.dec()
        self._metrics.handled(self._name, code)
        self._seconds.observe(seconds)


class HeadSampler:
    """Samples new traces by ratio. A trace that came with a caller's flag follows that flag."""

    def __init__(self, ratio: float) -> None:
        self._below = round(ratio * (1 << 64))

    def sampled(self, trace_id: int) -> bool:
        """Says whether a new trace is sampled: by its id alone, so that every process says the same."""
        return (trace_id & 0xFFFF_FFFF_FFFF_FFFF) < self._below


class HoldingProcessor:
    """Holds ended spans until their trace is worth exporting, then exports in batches from its own thread.

    The SDK's batch processor drops every span that was not sampled at the head, so it cannot export what was
    kept afterwards. Held and queued spans together never exceed `max_spans`.
    """

    def __init__(
        self,
        exporter: SpanExporter,
        *,
        resource: Resource,
        hold_seconds: float,
        max_spans: int,
        registry: CollectorRegistry,
    ) -> None:
        self._exporter = exporter
        self._resource = resource
        self._hold = hold_seconds
        self._max = max_spans
        self._lock = threading.Lock()
        self._export_lock = threading.Lock()
        self._held: OrderedDict[int, tuple[float, list[Span]]] = OrderedDict()
        self._held_count = 0
        self._ready: deque[Span] = deque()
        self._kept: OrderedDict[int, float] = OrderedDict()
        self._wake = threading.Event()
        self._stopped = False
        spans = Counter("usher_spans", "Finished spans by what became of them.", ("fate",), registry=registry)
        self._exported = spans.labels("exported")
        self._dropped = spans.labels("dropped")
        self._forgotten = spans.labels("forgotten")
        self._failed = spans.labels("export_failed")
        self._thread = threading.Thread(target=self._run, name="span-export", daemon=True)
        self._thread.start()

    def ended(self, span: Span) -> None:
        """Takes a span that ended."""
        context = span.context
        with self._lock:
            if context.sampled or context.trace_id in self._kept:
                self._ready.append(span)
            else:
                entry = self._held.get(context.trace_id)
                if entry is None:
                    entry = self._held[context.trace_id] = (time.monotonic(), [])
                entry[1].append(span)
                self._held_count += 1
            while self._held_count + len(self._ready) > self._max:
                if self._held:
                    _, (_, oldest) = self._held.popitem(last=False)
                    self._held_count -= len(oldest)
                    self._dropped.inc(len(oldest))
                else:
                    self._ready.popleft()
                    self._dropped.inc()
            if len(self._ready) >= _EXPORT_BATCH:
                self._wake.set()

    def keep(self, trace_id: int) -> None:
        """Marks a trace for export: its held spans and those that end within the next two hold times."""
        with self._lock:
            self._kept[trace_id] = time.monotonic() + 2 * self._hold
            self._kept.move_to_end(trace_id)
            if len(self._kept) > self._max:
                self._kept.popitem(last=False)
            entry = self._held.pop(trace_id, None)
            if entry is not None:
                self._held_count -= len(entry[1])
                self._ready.extend(entry[1])

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(_EXPORT_TICK_SECONDS)
            self._wake.clear()
            self._expire()
            self._export_ready()

    def _expire(self) -> None:
        now = time.monotonic()
        with self._lock:
            while self._held:
                trace_id, (since, spans) = next(iter(self._held.items()))
                if now - since < self._hold:
                    break
                del self._held[trace_id]
                self._held_count -= len(spans)
                self._forgotten.inc(len(spans))
            while self._kept:
                trace_id, until = next(iter(self._kept.items()))
                if now < until:
                    break
                del self._kept[trace_id]

    def _export_ready(self) -> None:
        with self._export_lock:
            while True:
                with self._lock:
                    batch = [self._ready.popleft() for _ in range(min(_EXPORT_BATCH, len(self._ready)))]
                if not batch:
                    return
                try:
                    result = self._exporter.export([span.readable(self._resource) for span in batch])
                except Exception:  # an exporter's defect must not end this thread
                    logging.getLogger(__name__).warning("exporting spans failed", exc_info=True)
                    result = SpanExportResult.FAILURE
                if result is not SpanExportResult.SUCCESS:
                    # The rest waits for the next tick: a collector that is away must not hold a drain up.
                    self._failed.inc(len(batch))
                    return
                self._exported.inc(len(batch))

    def flush(self) -> None:
        """Exports what is due now; held spans stay held."""
        self._export_ready()
        self._exporter.force_flush()

    def shutdown(self) -> None:
        """Exports what is due, forgets what is held, ends the thread and the exporter."""
        if self._stopped:
            return
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout=5)
        self._export_ready()
        with self._lock:
            self._forgotten.inc(self._held_count)
            self._held.clear()
            self._held_count = 0
        self._exporter.shutdown()


class JsonFormatter(logging.Formatter):
    """One JSON object a record. Fields given with `extra=` stand beside the fixed ones."""

    _STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "ts": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        here = _current.get()
        if here is not None:
            line["trace_id"] = here.trace_id_hex
            line["span_id"] = f"{here.span_id:016x}"
        for key, value in record.__dict__.items():
            if key not in self._STANDARD and key not in line:
                line[key] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Telemetry:
    """What a process tells about itself. Made by `start_telemetry` once, in the composition root."""

    def __init__(self, service: str, settings: TelemetrySettings, exporter: SpanExporter | None) -> None:
        self.service = service
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(background.FAILED)
        self.server_metrics = RpcMetrics(self.registry, "server")
        self.client_metrics = RpcMetrics(self.registry, "client")
        self._sampler = HeadSampler(settings.sample_ratio)
        self._processor: HoldingProcessor | None = None
        if exporter is not None:
            self._processor = HoldingProcessor(
                exporter,
                resource=Resource.create({"service.name": service}),
                hold_seconds=settings.hold_seconds,
                max_spans=settings.max_held_spans,
                registry=self.registry,
            )

    def logger(self, name: str) -> logging.Logger:
        """Returns the logger `usher.<service>.<name>`. No personal data in messages or extra fields."""
        return logging.getLogger(f"usher.{self.service}.{name}")

    def start_span(
        self,
        name: str,
        *,
        kind: SpanKind = SpanKind.INTERNAL,
        links: Sequence[TraceContext] = (),
        parent: TraceContext | None = None,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> Span:
        """Starts a span without making it the current one; the caller ends it.

        The parent is `parent`, or else the current context; NEW_TRACE, or the absence of both, begins a
        trace.
        """
        above = parent if parent is not None else _current.get()
        if above is not None and above.trace_id == 0:
            above = None
        return Span(name, self._child(above), self._processor, kind, above, links, attributes)

    @contextlib.contextmanager
    def span(
        self,
        name: str,
        *,
        links: Sequence[TraceContext] = (),
        parent: TraceContext | None = None,
        attributes: Mapping[str, str | int | float | bool] | None = None,
    ) -> Iterator[Span]:
        """Runs a block under a span that is current within it.

        `links` are other contexts this work serves, such as the events of a batch. An exception that leaves
        the block marks the span as failed with the exception's type, not its text.
        """
        span = self.start_span(name, links=links, parent=parent, attributes=attributes)
        token = _current.set(span.context)
        try:
            yield span
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            _current.reset(token)
            span.end()

    def enter_server_span(self, name: str, traceparent: str | None) -> Span:
        """Starts the span of an incoming RPC and makes it current for the rest of its task."""
        parent = parse_traceparent(traceparent) if traceparent else None
        span = self.start_span(name, kind=SpanKind.SERVER, parent=parent or NEW_TRACE)
        _current.set(span.context)
        return span

    def keep_trace(self, context: TraceContext | None = None) -> None:
        """Marks a trace to be exported whatever the head decided, and the running RPC's answer to say so.

        Without `context` the current trace is meant. For a decision worth a look (REVIEW, BLOCK), or an
        error.
        """
        here = _current.get()
        kept = context if context is not None else here
        if kept is None:
            return
        if self._processor is not None:
            self._processor.keep(kept.trace_id)
        mark = _keep.get()
        if mark is not None and here is not None and here.trace_id == kept.trace_id:
            mark.wanted = True

    def flush(self) -> None:
        """Exports the spans that are due. Blocks while it does."""
        if self._processor is not None:
            self._processor.flush()

    def shutdown(self) -> None:
        """Exports what is due and ends the exporter. Blocks while it does; may be called twice."""
        if self._processor is not None:
            self._processor.shutdown()

    def _child(self, parent: TraceContext | None) -> TraceContext:
        span_id = random.getrandbits(64) or 1
        if parent is not None:
            return TraceContext(parent.trace_id, span_id, parent.sampled)
        trace_id = random.getrandbits(128) or 1
        return TraceContext(trace_id, span_id, self._sampler.sampled(trace_id))


def start_telemetry(
    service: str, settings: TelemetrySettings, *, exporter: SpanExporter | None = None
) -> Telemetry:
    """Begins telling: JSON logs on stderr, metrics in a registry, spans to the endpoint if one is set.

    `service` is the process's name in logs and traces. `exporter` replaces the OTLP exporter (for tests).
    """
    _log_to_stderr(service, settings.log_level)
    if exporter is None and settings.otlp_endpoint is not None:
        # Imported here: without an endpoint no process pays for the exporter's modules.
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(
            endpoint=settings.otlp_endpoint, insecure=settings.otlp_endpoint.startswith("http://"), timeout=5
        )
    return Telemetry(service, settings, exporter)


class _StderrHandler(logging.StreamHandler[Any]):
    """Ours, so that a second start replaces it and no one else's handler."""


def _log_to_stderr(service: str, level: str) -> None:
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, _StderrHandler):
            root.removeHandler(handler)
    handler = _StderrHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root.addHandler(handler)
    root.setLevel(level)


def _span_context(context: TraceContext, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if context.sampled else TraceFlags.DEFAULT)
    return SpanContext(context.trace_id, context.span_id, is_remote=is_remote, trace_flags=flags)
