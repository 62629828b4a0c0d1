"""The one way to serve: limits, health, layers around each call, metrics, and a drain in the right order.

Services hand over their servicers and a health check; none of this is theirs to forget.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import http.server
import logging
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from services.common.config import ConfigError
from services.common.errors import DeadlineExceeded, UsherError
from services.common.interceptors import (
    Authorise,
    ServerPipeline,
    caller_identity,
    current_deadline,
    remaining_seconds,
)
from services.common.telemetry import Telemetry
from services.common.transport import (
    HEALTH_SERVICE,
    KEEPALIVE_MIN_INTERVAL_MS,
    MAX_MESSAGE_BYTES,
    MAX_SOCKET_PATH_BYTES,
    ChannelOptions,
    TlsSettings,
    is_loopback,
    message_and_keepalive_options,
    split_host_port,
)

LIVENESS = "liveness"
"""Health name that is SERVING as long as the process runs: a dead dependency must not restart it."""

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# Health watches are calls too: one per client and connection, beside the calls the pipeline counts.
_ROOM_FOR_WATCHES = 512
SLOW_CHECKS = 3
"""A process that has served turns NOT_SERVING with this many slow checks in a row; with one that fails, at once."""
# Until the first success a process is waited for; afterwards the settings' interval holds.
_STARTING_INTERVAL_SECONDS = 0.1
_LINGER_SECONDS = 0.05


@dataclass(frozen=True)
class ServerSettings:
    """Where and how a service serves. Durations are in seconds."""

    address: str
    """`unix:/path` or `host:port`; port 0 takes a free one. Beyond this machine only with TLS."""
    metrics_address: str | None = None
    """`host:port` of `/metrics` and `/healthz` over HTTP, on loopback."""
    metrics_beyond_loopback: bool = False
    """Allows `metrics_address` on another interface, for a scraper in the same cluster."""
    health_address: str | None = None
    """`host:port` of a plaintext port with nothing but health: kubelet's probe speaks no TLS."""
    tls: TlsSettings | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES
    max_in_flight: int = 256
    """Calls running at once at most; more are refused with RESOURCE_EXHAUSTED."""
    max_connections: int = 1_024
    """Connections open at once at most; a further one is closed at once, which its client sees as UNAVAILABLE and tries
    again after its backoff. One connection carries many calls: it is clients that are counted."""
    max_connection_age: float = 300.0
    """A TCP connection is renewed after this, or its client would never learn of new replicas. 0: never."""
    max_connection_age_grace: float = 60.0
    health_interval: float = 1.0
    health_timeout: float = 0.8
    drain_notice: float = 0.2
    """Between NOT_SERVING and refusing calls: what clients need to notice. Longer where endpoints propagate
    slowly.
    """
    drain_grace: float = 10.0
    """How long running calls may take to complete; at least the longest deadline."""

    def __post_init__(self) -> None:
        problems = []
        for name in ("max_message_bytes", "max_in_flight", "max_connections"):
            if getattr(self, name) < 1:
                problems.append(f"{name} is 1 or more")
        for name in ("max_connection_age", "max_connection_age_grace", "drain_notice", "drain_grace"):
            if getattr(self, name) < 0:
                problems.append(f"{name} is 0 or more")
        if not 0 < self.health_timeout <= self.health_interval:
            problems.append("health_timeout is above 0 and at most health_interval")
        for name in ("address", "metrics_address", "health_address"):
            address = getattr(self, name)
            if address is None or (name == "address" and address.startswith("unix:/")):
                continue
            try:
                split_host_port(address)
            except ValueError as error:
                problems.append(f"{name}: {error}")
        if problems:
            raise ValueError("; ".join(problems))


class Service(NamedTuple):
    """One gRPC service to host."""

    add: Callable[[Any, Any], None]
    """The generated `add_…_to_server`."""
    servicer: object
    name: str
    """Full name, such as `usher.fraud.v1.FraudService`."""


class Health(health_pb2_grpc.HealthServicer):
    """`grpc.health.v1`: NOT_SERVING until told otherwise. Watches end when the server drains.

    The servicer that comes with gRPC begins as SERVING, and its watches hold a stopping server up for all its
    grace.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = ("", *names)
        self._serving = False
        self._closing = False
        self._changed = asyncio.Event()

    @property
    def serving(self) -> bool:
        """Whether the service says it can do its work."""
        return self._serving

    def set_serving(self, serving: bool) -> None:
        """Changes the status of the server and all its services, and tells the watchers."""
        if serving != self._serving:
            self._serving = serving
            self._tell()

    async def wait_serving(self) -> None:
        """Returns when the status is SERVING."""
        while not self._serving:
            await self._changed.wait()

    def close(self) -> None:
        """Ends all watches."""
        self._closing = True
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _status(self, name: str) -> Any:
        if name == LIVENESS:
            return SERVING
        if name not in self._names:
            return None
        return SERVING if self._serving else NOT_SERVING

    async def Check(self, request: Any, context: Any) -> Any:
        status = self._status(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service here")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        sent = None
        while True:
            changed = self._changed
            status = self._status(request.service)
            if status is None:
                status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != sent:
                yield health_pb2.HealthCheckResponse(status=status)
                sent = status
            if self._closing:
                return
            await changed.wait()


class RunningServer:
    """A server from its start to its drain. Made by `start_server`; `async with` starts and drains it."""

    def __init__(
        self,
        settings: ServerSettings,
        services: Sequence[Service],
        *,
        healthy: Callable[[], Awaitable[None]],
        telemetry: Telemetry,
        on_drain: Callable[[], Awaitable[None]] | None = None,
        callers: Mapping[str, frozenset[str]] | None = None,
        authorise: Authorise | None = None,
    ) -> None:
        self._authorise = authorise
        self._settings = settings
        self._services = services
        self._healthy = healthy
        self._telemetry = telemetry
        self._on_drain = on_drain
        self._callers = callers
        self._logger = telemetry.logger("server")
        self._pipeline: ServerPipeline | None = None
        self._server: grpc.aio.Server | None = None
        self._health_server: grpc.aio.Server | None = None
        self._metrics: MetricsServer | None = None
        self._poll: asyncio.Task[None] | None = None
        self._drained: asyncio.Task[None] | None = None
        self.health = Health([service.name for service in services])
        self.target = ""
        """Where clients connect: `unix:/path` or `host:port` with the port that was taken."""
        self.metrics_port: int | None = None
        self.health_target: str | None = None

    async def start(self) -> None:
        """Binds and serves. Health is NOT_SERVING until the check passes.

        Raises ConfigError when the address cannot be served: taken, too long, or plaintext beyond this
        machine.
        """
        settings = self._settings
        credentials = _credentials(settings)
        self._pipeline = ServerPipeline(
            self._telemetry,
            secure=credentials is not None,
            max_in_flight=settings.max_in_flight,
            callers=self._callers,
            authorise=self._authorise,
        )
        server = grpc.aio.server(
            options=_options(settings),
            maximum_concurrent_rpcs=settings.max_in_flight + _ROOM_FOR_WATCHES,
        )
        registrar = self._pipeline.registrar(server)
        for service in self._services:
            service.add(service.servicer, registrar)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        names = [*(service.name for service in self._services), HEALTH_SERVICE, reflection.SERVICE_NAME]
        reflection.enable_server_reflection(names, server)
        self.target = _bind(server, settings.address, credentials)
        self._server = server
        try:
            if settings.health_address is not None:
                self._health_server = grpc.aio.server(
                    options=[("grpc.so_reuseport", 0)], maximum_concurrent_rpcs=64
                )
                health_pb2_grpc.add_HealthServicer_to_server(self.health, self._health_server)
                self.health_target = _bind(self._health_server, settings.health_address, None)
            if settings.metrics_address is not None:
                self._metrics = MetricsServer(
                    settings.metrics_address,
                    self._telemetry,
                    beyond_loopback=settings.metrics_beyond_loopback,
                    serving=lambda: self.health.serving,
                )
                self.metrics_port = self._metrics.port
            await server.start()
            if self._health_server is not None:
                await self._health_server.start()
        except BaseException:
            await self._close_all()
            raise
        if credentials is None:
            self._logger.warning(
                "serving plaintext: anyone who reaches this address may call", extra={"address": self.target}
            )
        else:
            self._logger.info("serving with mutual TLS", extra={"address": self.target})
        self._poll = asyncio.create_task(self._poll_health(), name="health")

    async def drain(self) -> None:
        """Stops in order: NOT_SERVING, notice, no new calls while running ones complete, `on_drain`, spans
        flushed.

        May be called again, and at the same time: everyone waits for the one drain.
        """
        if self._drained is None:
            self._drained = asyncio.create_task(self._drain(), name="drain")
        await asyncio.shield(self._drained)

    async def __aenter__(self) -> RunningServer:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain()

    async def wait_serving(self) -> None:
        """Returns when health says SERVING."""
        await self.health.wait_serving()

    async def _drain(self) -> None:
        settings = self._settings
        self._logger.info(
            "draining", extra={"notice_s": settings.drain_notice, "grace_s": settings.drain_grace}
        )
        if self._poll is not None:
            self._poll.cancel()
            await asyncio.wait([self._poll])
        self.health.set_serving(False)
        if settings.drain_notice:
            await asyncio.sleep(settings.drain_notice)
        began = time.monotonic()
        if self._pipeline is not None:
            await self._pipeline.drain(settings.drain_grace)
        self.health.close()
        # The last answers must be read before their connection closes: a client that is just then writing to it
        # takes the broken pipe for the call's end and loses the answer.
        await asyncio.sleep(_LINGER_SECONDS)
        try:
            await self._close_all(max(0.0, settings.drain_grace - (time.monotonic() - began)))
        finally:
            try:
                if self._on_drain is not None:
                    await self._on_drain()
            finally:
                await asyncio.to_thread(self._telemetry.flush)
        self._logger.info("drained")

    async def _close_all(self, grace: float = 0.0) -> None:
        if self._server is not None:
            await self._server.stop(grace)
        if self._health_server is not None:
            await self._health_server.stop(0)
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)

    async def _poll_health(self) -> None:
        settings = self._settings
        told: str | None = None
        begun = False
        slow = 0
        while True:
            problem: str | None = None
            try:
                async with asyncio.timeout(settings.health_timeout):
                    await self._healthy()
            except (TimeoutError, DeadlineExceeded):
                problem = f"the health check took longer than {settings.health_timeout} s"
            except Exception as error:  # noqa: BLE001 - whatever the check raises means: not able to work
                problem = f"{type(error).__name__}: {error}"
            slow = slow + 1 if problem is not None and problem.startswith("the health check took") else 0
            if begun and 0 < slow < SLOW_CHECKS:
                # A slow second is no outage: turning every client away would make it one.
                await asyncio.sleep(settings.health_interval)
                continue
            # Once per change, not once per poll; the text of a failure may vary, that it fails does not.
            state = "serving" if problem is None else "not serving"
            if state != told:
                told = state
                level = logging.INFO if problem is None else logging.WARNING
                self._logger.log(level, "health changed", extra={"health": state, "problem": problem})
            self.health.set_serving(problem is None)
            begun = begun or problem is None
            await asyncio.sleep(settings.health_interval if begun else _STARTING_INTERVAL_SECONDS)


def start_server(
    settings: ServerSettings,
    services: Sequence[Service],
    *,
    healthy: Callable[[], Awaitable[None]],
    telemetry: Telemetry,
    on_drain: Callable[[], Awaitable[None]] | None = None,
    callers: Mapping[str, frozenset[str]] | None = None,
    authorise: Authorise | None = None,
) -> RunningServer:
    """Prepares a server without signal handling: `async with start_server(…) as server: server.target`.

    `healthy` returns when the service can do its work and raises when it cannot. `callers` replaces the
    allow-list of `callers.CALLERS`. `authorise` judges every parsed call of the services.
    """
    return RunningServer(
        settings,
        services,
        healthy=healthy,
        telemetry=telemetry,
        on_drain=on_drain,
        callers=callers,
        authorise=authorise,
    )


async def serve(
    settings: ServerSettings,
    services: Sequence[Service],
    *,
    healthy: Callable[[], Awaitable[None]],
    telemetry: Telemetry,
    on_drain: Callable[[], Awaitable[None]] | None = None,
    authorise: Authorise | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, drains, returns. Later signals change nothing: the drain goes on.

    `on_drain` runs after the last call ended: for what must be written before the process goes.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = start_server(
        settings,
        services,
        healthy=healthy,
        telemetry=telemetry,
        on_drain=on_drain,
        authorise=authorise,
    )
    await running.start()
    tune_runtime()
    try:
        await stop.wait()
    finally:
        await running.drain()
        await asyncio.to_thread(telemetry.shutdown)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Runs a service's `main` on uvloop and exits: 0 after a drain, 2 when it cannot start, with the reason."""
    import uvloop

    try:
        uvloop.run(main)
    except (ConfigError, UsherError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def tune_runtime() -> None:
    """Sets the collector and the switch interval for a serving process, after everything is loaded.

    What lives now lives for good: it is taken out of the collector's sight. The default thresholds cost sets
    that grow, such as fraud's, 30 to 40 % of their time. The shorter switch interval keeps a busy thread from
    holding the event loop up for 5 ms.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 1_000)
    sys.setswitchinterval(0.0005)


def _options(settings: ServerSettings) -> ChannelOptions:
    options: ChannelOptions = [
        *message_and_keepalive_options(settings.max_message_bytes),
        # A second server on the same port must fail, not share it silently.
        ("grpc.so_reuseport", 0),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", KEEPALIVE_MIN_INTERVAL_MS),
        # A machine that was held up sends its late pings in a row; that is no reason to drop a connection.
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # One connection opens no more streams than calls are taken at all: further ones wait in its client.
        ("grpc.max_concurrent_streams", settings.max_in_flight + _ROOM_FOR_WATCHES),
    ]
    if settings.max_connection_age and not settings.address.startswith("unix:"):
        options += [
            ("grpc.max_connection_age_ms", round(settings.max_connection_age * 1000)),
            ("grpc.max_connection_age_grace_ms", round(settings.max_connection_age_grace * 1000)),
        ]
    return options


def _credentials(settings: ServerSettings) -> grpc.ServerCredentials | None:
    if settings.tls is not None:
        certificate, key, ca = settings.tls.read()
        return grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=ca, require_client_auth=True
        )
    if not settings.address.startswith("unix:") and not is_loopback(split_host_port(settings.address)[0]):
        raise ConfigError(
            [
                f"address {settings.address} is beyond this machine and TLS is not set: set the certificate, "
                "key and ca of tls, or serve on 127.0.0.1 or a unix socket"
            ]
        )
    return None


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    """Binds and returns the target clients use."""
    if address.startswith("unix:"):
        return _bind_unix(server, address, credentials)
    host, _ = split_host_port(address)
    try:
        port = _add_port(server, address, credentials)
    except RuntimeError as error:
        raise ConfigError(
            [f"address {address} cannot be bound ({error}): is another process there?"]
        ) from error
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _add_port(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    if credentials is None:
        return int(server.add_insecure_port(address))
    return int(server.add_secure_port(address, credentials))


def _bind_unix(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    path = Path(address.removeprefix("unix:"))
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise ConfigError(
            [f"address {address}: a socket's path holds {MAX_SOCKET_PATH_BYTES} bytes at most: shorten it"]
        )
    remove_stale_socket(path)
    # Made with the mode it keeps: between bind and chmod anyone could connect.
    before = os.umask(0o177)
    try:
        _add_port(server, address, credentials)
    except RuntimeError as error:
        raise ConfigError(
            [f"address {address} cannot be bound ({error}): does its directory exist?"]
        ) from error
    finally:
        os.umask(before)
    return address


def remove_stale_socket(path: Path) -> None:
    """Removes a socket file that nobody listens on.

    Raises ConfigError when somebody does, or when the file is no socket.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ConfigError(
            [f"address unix:{path}: a file that is no socket is there: remove it or choose another path"]
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        outcome = probe.connect_ex(str(path))
    if outcome == errno.ECONNREFUSED:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    elif outcome != errno.ENOENT:
        raise ConfigError(
            [f"address unix:{path}: another process listens there: stop it or choose another path"]
        )


class MetricsServer:
    """`/metrics` for Prometheus and `/healthz` for people, on threads of their own.

    `serving` says what `/healthz` answers. Raises ConfigError for an address that is not on loopback, unless
    `beyond_loopback`, or cannot be bound, ValueError for one that is none.
    """

    def __init__(
        self, address: str, telemetry: Telemetry, *, beyond_loopback: bool, serving: Callable[[], bool]
    ) -> None:
        host, port = split_host_port(address)
        if not beyond_loopback and not is_loopback(host):
            raise ConfigError(
                [
                    f"metrics_address {address} is beyond this machine: use 127.0.0.1, or set "
                    "metrics_beyond_loopback where only a scraper can reach it"
                ]
            )

        class Handler(http.server.BaseHTTPRequestHandler):
            # A client that stays silent must not hold a thread for ever.
            timeout = 10

            def do_GET(self) -> None:
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(telemetry.registry))
                elif path == "/healthz":
                    well = serving()
                    text = b"SERVING\n" if well else b"NOT_SERVING\n"
                    self._answer(200 if well else 503, "text/plain; charset=utf-8", text)
                else:
                    self._answer(404, "text/plain; charset=utf-8", b"/metrics and /healthz are here\n")

            def _answer(self, code: int, content_type: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Scrapes are not news."""

        family = socket.AF_INET6 if ":" in host else socket.AF_INET

        class Server(http.server.ThreadingHTTPServer):
            address_family = family
            daemon_threads = True

        try:
            self._server = Server((host, port), Handler)
        except OSError as error:
            raise ConfigError(
                [f"metrics_address {address} cannot be bound ({error.strerror}): choose a free port"]
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(timeout=5)


__all__ = [
    "LIVENESS",
    "Health",
    "MetricsServer",
    "RunningServer",
    "ServerSettings",
    "Service",
    "caller_identity",
    "current_deadline",
    "remaining_seconds",
    "remove_stale_socket",
    "run",
    "serve",
    "start_server",
    "tune_runtime",
]
