"""What surrounds each HTTP request: the Host check, the trace, the metrics, the last resort for errors.

Plain ASGI, outermost. Labels and logs hold route templates, never paths: a path may hold an event's id.
"""

from __future__ import annotations

import logging
import time
from http import HTTPStatus

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import senders
from gateway.problems import problem
from services.common.telemetry import DURATION_BUCKETS, Telemetry
from services.common.transport import is_loopback

DECISION_PREFIX = "/api/v1/decisions/"
STATIC_PREFIX = "/static/"
ROUTES = frozenset(
    {
        "/",
        "/events",
        "/api/v1/decisions",
        "/api/v1/decision-stream",
        "/api/v1/accounting",
        "/api/v1/enforcements",
        "/api/v1/alerts",
        "/api/v1/alerts/recent",
        "/api/v1/alerts/send",
        "/api/v1/alerts/act",
        "/api/v1/alerts/queue",
        "/api/v1/alerts/snooze",
        "/api/v1/alert-stream",
        "/api/v1/incidents",
        "/api/v1/rings",
        "/api/v1/failed-events",
        "/api/v1/failed-events/replay",
        "/api/v1/accounts",
        "/api/v1/labels",
        "/api/v1/consents",
        "/api/v1/consents/verification",
        "/api/v1/subject-requests",
        "/api/v1/legal-holds",
        "/api/v1/breaches",
        "/api/v1/regulations",
        "/api/v1/impact",
        "/api/v1/retention/policies",
        "/api/v1/retention/runs",
        "/api/v1/evidence",
        "/api/v1/evidence/key",
        "/api/v1/processing-records",
        "/api/v1/audit",
        "/api/v1/audit/verification",
        "/healthz",
        "/metrics",
        "/docs",
        "/openapi.json",
    }
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked every few seconds by machines: no line in the log for each, and answered also under load.
_QUIET = frozenset({"/healthz", "/metrics"})
# Open for hours, with a limit of its own: neither counted among the running requests nor timed.
_STREAMS = frozenset({"/api/v1/decision-stream", "/api/v1/alert-stream"})


def route_template(path: str) -> str:
    """Returns the template of the route that a path takes; "other" for paths without a route."""
    if path in ROUTES:
        return path
    if path.startswith(DECISION_PREFIX) and len(path) > len(DECISION_PREFIX):
        return DECISION_PREFIX + "{event_id}"
    for prefix, name in (
        ("/api/v1/alerts/", "{alert_id}"),
        ("/api/v1/incidents/", "{number}"),
        ("/api/v1/neighbourhoods/", "{user_id}"),
        ("/api/v1/addresses/", "{ip_address}"),
        ("/api/v1/consents/", "{user_id}"),
        ("/api/v1/profiles/", "{user_id}"),
        ("/api/v1/failed-events/", "{failed_id}"),
    ):
        if path.startswith(prefix) and len(path) > len(prefix):
            return prefix + name
    for prefix, name, parts in (
        ("/api/v1/rings/", "{ring_id}", ("picture", "status")),
        ("/api/v1/subject-requests/", "{request_id}", ("actions", "export")),
        ("/api/v1/legal-holds/", "{hold_id}", ("release",)),
        ("/api/v1/breaches/", "{breach_id}", ("draft", "notices")),
    ):
        if path.startswith(prefix) and len(path) > len(prefix):
            rest = path.removeprefix(prefix).partition("/")[2]
            return prefix + name + (f"/{rest}" if rest in parts else "")
    if path.startswith(STATIC_PREFIX):
        return STATIC_PREFIX + "{file}"
    return "other"


def host_allowed(host: str | None) -> bool:
    """Says whether a Host header names this machine: localhost, 127.0.0.0/8 or [::1], with or without a port.

    A web page whose name was rebound to 127.0.0.1 sends its own name here (DNS rebinding).
    """
    if not host:
        return False
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, ""
    elif not (port.isascii() and port.isdigit()):
        return False
    if name.startswith("[") and name.endswith("]"):
        return is_loopback(name[1:-1]) and ":" in name
    return ":" not in name and is_loopback(name.lower())


class HttpMetrics:
    """Requests by method, route and status; seconds; in flight."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "usher_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "usher_http_request_seconds",
            "Seconds to the end of the answer",
            ["method", "route"],
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge("usher_http_requests_in_flight", "Requests being answered", registry=registry)
        self.streams = Gauge("usher_http_streams_open", "Streams of decisions being sent", registry=registry)


class Edge:
    """The outermost layer around the routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        telemetry: Telemetry,
        max_in_flight: int,
        max_connections: int,
        limits: senders.RouteLimits,
        keys_required: bool = False,
    ) -> None:
        self._limits = limits
        self._keys_required = keys_required
        self._app = app
        self._telemetry = telemetry
        self._metrics = HttpMetrics(telemetry.registry)
        self._log = telemetry.logger("http")
        self._max_in_flight = max_in_flight
        self._max_connections = max_connections
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = route_template(scope["path"])
        started = time.perf_counter()
        # A trace that arrives is continued; one that is not valid is begun anew (W3C Trace Context 3.2.2).
        arrived = headers.get(b"traceparent", b"").decode("latin-1")
        span = self._telemetry.enter_server_span(f"{method} {route}", arrived)
        span.set_attribute("http.request.method", method)
        span.set_attribute("http.route", route)
        status = 0

        async def send_traced(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {
                    **message,
                    "headers": [
                        *message["headers"],
                        (b"traceparent", span.context.traceparent.encode()),
                        (b"x-content-type-options", b"nosniff"),
                        (b"cache-control", b"no-store"),
                    ],
                }
            await send(message)

        counted = route not in _STREAMS
        running = self._metrics.in_flight if counted else self._metrics.streams
        running.inc()
        self._in_flight += counted
        try:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or not host_allowed(hosts[0].decode("latin-1")):
                answer = problem(
                    HTTPStatus.MISDIRECTED_REQUEST,
                    "HOST_NOT_ALLOWED",
                    "this gateway serves this machine only: call it as localhost, 127.0.0.1 or [::1]",
                )
                await answer(scope, receive, send_traced)
            elif scope["app"].state.connections() > self._max_connections and route not in _QUIET:
                answer = problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "TOO_MANY_CONNECTIONS",
                    f"{self._max_connections} connections are open: use fewer, and close this one",
                    retry_after=1,
                    metadata={"limit": str(self._max_connections)},
                    headers={"Connection": "close"},
                )
                await answer(scope, receive, send_traced)
            elif self._in_flight > self._max_in_flight and counted and route not in _QUIET:
                answer = problem(
                    HTTPStatus.SERVICE_UNAVAILABLE,
                    "TOO_MANY_REQUESTS_IN_FLIGHT",
                    f"{self._max_in_flight} requests are being answered: try again",
                    retry_after=1,
                    metadata={"limit": str(self._max_in_flight)},
                )
                await answer(scope, receive, send_traced)
            else:
                refused = await self._refusal(scope, route)
                await (self._app if refused is None else refused)(scope, receive, send_traced)
        except Exception:
            # The defect is ours: all of it goes to the log, nothing of it to the caller.
            self._log.exception("a request failed", extra={"method": method, "route": route})
            if status:
                # Half an answer is on its way; only the broken connection can say so.
                raise
            failed = problem(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", "internal error")
            await failed(scope, receive, send_traced)
        finally:
            elapsed = time.perf_counter() - started
            self._in_flight -= counted
            running.dec()
            self._metrics.requests.labels(method, route, str(status or 499)).inc()
            if counted:
                self._metrics.seconds.labels(method, route).observe(elapsed)
            span.set_attribute("http.response.status_code", status or 499)
            if status >= 500:
                span.fail(str(status))
                self._telemetry.keep_trace(span.context)
            span.end()
            if route not in _QUIET:
                self._log.log(
                    logging.WARNING if status >= 500 else logging.DEBUG,
                    "request",
                    extra={
                        "method": method,
                        "route": route,
                        "status": status or 499,
                        "duration_ms": round(elapsed * 1000, 3),
                    },
                )

    async def _refusal(self, scope: Scope, route: str) -> Response | None:
        """The answer to a request that shows no key where one is needed, or comes too often; None where it may go on."""
        key = senders.note_key(scope["headers"])
        if key is None and self._keys_required and senders.needs_key(route):
            return problem(
                HTTPStatus.UNAUTHORIZED,
                "KEY_MISSING",
                "send an API key as X-API-Key; `usher keys create` makes one",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self._keys_required and senders.is_closed(route):
            return problem(HTTPStatus.FORBIDDEN, "KEY_METHOD", "no API key opens this route")
        client = scope.get("client")
        wait, limit = await self._limits.take(route, client[0] if client else "", key is not None)
        if not wait:
            return None
        return problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "RATE_EXCEEDED",
            f"this route takes {limit} requests a minute from one address: send more events a request, or wait",
            retry_after=wait,
            metadata={"limit": str(limit)},
        )
