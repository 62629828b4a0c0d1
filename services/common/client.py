"""The one way to connect to a service: health-aware round robin, bounded retries, shrinking deadlines,
traces.

Calls made through `connect` raise the typed errors of `errors`, never `grpc.RpcError`; the original is
`__cause__`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import time
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from opentelemetry.trace import SpanKind

from services.common.config import ConfigError
from services.common.errors import UsherError, from_rpc_error
from services.common.interceptors import call_timeout, remaining_seconds
from services.common.telemetry import (
    KEEP_TRAILER,
    TRACEPARENT,
    MethodMetrics,
    Span,
    Telemetry,
)
from services.common.transport import (
    MAX_MESSAGE_BYTES,
    ChannelOptions,
    TlsSettings,
    is_loopback,
    message_and_keepalive_options,
    split_host_port,
)

RECONNECT_INITIAL_MS = 100
RECONNECT_MAX_MS = 1_000
# At most this many attempts, the first included; gRPC takes more than 5 as 5 (gRFC A6).
MAX_ATTEMPTS = 3


@dataclass(frozen=True)
class ClientSettings:
    """Where a service is and how long it may take."""

    target: str
    """`unix:/a.sock`, `unix:/a.sock,unix:/b.sock`, `127.0.0.1:1,127.0.0.1:2` or `dns:///svc:port`."""
    timeout: float = 2.0
    """Seconds for one call, retries included, where the incoming call leaves more."""
    stream_timeout: float = 3600.0
    """Seconds after which a response stream ends with DEADLINE_EXCEEDED and is begun again by its reader."""
    max_message_bytes: int = MAX_MESSAGE_BYTES
    tls: TlsSettings | None = None
    server_name: str | None = None
    """The name in the server's certificate, such as `fraud`, where it is not the host of the target."""

    def __post_init__(self) -> None:
        if self.timeout <= 0 or self.stream_timeout <= 0:
            raise ValueError("timeout and stream_timeout are above 0 seconds")
        if self.max_message_bytes < 1:
            raise ValueError("max_message_bytes is 1 or more")
        grpc_target(self.target)


def grpc_target(target: str) -> str:
    """Returns the target as gRPC's resolvers read it.

    Raises ValueError when it is of none of the known forms.
    """
    parts = [part.strip() for part in target.split(",")]
    if not all(parts):
        raise ValueError(f"target {target!r} holds an empty address")
    if target.startswith("dns:///"):
        if len(parts) > 1:
            raise ValueError(f"target {target!r}: one DNS name, whose records are the addresses")
        split_host_port(target.removeprefix("dns:///"))
        return target
    if all(part.startswith("unix:/") for part in parts):
        return "unix:" + ",".join(part.removeprefix("unix:") for part in parts)
    if any(part.startswith("unix:") for part in parts):
        raise ValueError(f"target {target!r}: unix:/absolute/path, and not mixed with other forms")
    versions: set[int] = set()
    addresses: list[str] = []
    for part in parts:
        host, port = split_host_port(part)
        if host == "localhost":
            host = "127.0.0.1"
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if len(parts) > 1:
                raise ValueError(
                    f"target {target!r}: several addresses are given as IP addresses, or as one DNS name"
                ) from None
            return f"dns:///{part}"
        versions.add(address.version)
        addresses.append(f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}")
    if len(versions) > 1:
        raise ValueError(f"target {target!r} mixes IPv4 and IPv6 addresses")
    return f"ipv{versions.pop()}:" + ",".join(addresses)


def service_config(idempotent: Sequence[str], *, health: bool = True) -> str:
    """Returns gRPC's service config: round robin over healthy servers, retries for the listed methods only.

    `idempotent` holds full names, `/usher.fraud.v1.FraudService/AssessEvents`. No timeouts here: one in the
    service config fires early and is not seen by the server, one given with the call is exact. Without
    `health` a server is called whatever its health says. Raises ValueError for a name that is not
    service/method.
    """
    # The empty name asks for the health of the whole server; a service's own name would fail on every server
    # that hosts it under another one.
    config: dict[str, Any] = {
        "loadBalancingConfig": [{"round_robin": {}}],
    }
    if health:
        config["healthCheckConfig"] = {"serviceName": ""}
    names = []
    for method in idempotent:
        service, separator, name = method.lstrip("/").partition("/")
        if not (service and separator and name) or "/" in name:
            raise ValueError(f"{method!r} is not a full method name, /package.Service/Method")
        names.append({"service": service, "method": name})
    if names:
        config["methodConfig"] = [
            {
                "name": names,
                "retryPolicy": {
                    "maxAttempts": MAX_ATTEMPTS,
                    "initialBackoff": "0.02s",
                    "maxBackoff": "0.2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
        # A server in trouble gets no more retries than a tenth of what succeeds (gRFC A6).
        config["retryThrottling"] = {"maxTokens": 100, "tokenRatio": 0.1}
    return json.dumps(config)


def connect(
    settings: ClientSettings, *, telemetry: Telemetry, idempotent: Sequence[str] = (), health: bool = True
) -> grpc.aio.Channel:
    """Opens a channel to a service. One per service and process, made in the composition root, closed at its
    end.

    Every unary call gets `min(timeout, what the incoming call has left - 20 ms)`; a `timeout=` given with a
    call stands in for the configured one. Methods in `idempotent` are retried on UNAVAILABLE, within that
    time. Without `health` a server that is NOT_SERVING is called all the same: for what makes it serve again.
    Raises ConfigError for TLS files that cannot be read and for plaintext beyond this machine.
    """
    target = grpc_target(settings.target)
    options: ChannelOptions = [
        *message_and_keepalive_options(settings.max_message_bytes),
        ("grpc.service_config", service_config(idempotent, health=health)),
        # Without this a TXT record could replace the configuration above.
        ("grpc.service_config_disable_resolution", 1),
        ("grpc.initial_reconnect_backoff_ms", RECONNECT_INITIAL_MS),
        # Also the least time an attempt to connect is given.
        ("grpc.min_reconnect_backoff_ms", RECONNECT_MAX_MS),
        ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
    ]
    if settings.server_name is not None:
        options.append(("grpc.ssl_target_name_override", settings.server_name))
    if settings.tls is None:
        _require_local(settings.target)
        channel = grpc.aio.insecure_channel(target, options=options)
    else:
        certificate, key, ca = settings.tls.read()
        credentials = grpc.ssl_channel_credentials(
            root_certificates=ca, private_key=key, certificate_chain=certificate
        )
        channel = grpc.aio.secure_channel(target, credentials, options=options)
    return _Channel(channel, settings, telemetry)


def _require_local(target: str) -> None:
    for part in target.split(","):
        if part.startswith("unix:"):
            continue
        host, _ = split_host_port(part.removeprefix("dns:///"))
        if not is_loopback(host):
            raise ConfigError(
                [f"target {target} is beyond this machine and TLS is not set: set certificate, key and ca"]
            )


class _Channel(grpc.aio.Channel):
    """A channel whose unary requests are traced, measured, limited in time and typed in failure.

    gRPC's own client interceptors make a task and several objects per call; wrapping the multi-callable costs
    a few microseconds.
    """

    def __init__(self, channel: grpc.aio.Channel, settings: ClientSettings, telemetry: Telemetry) -> None:
        self._channel = channel
        self._settings = settings
        self._telemetry = telemetry

    async def __aenter__(self) -> _Channel:
        return self

    async def __aexit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    def unary_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        call = self._channel.unary_unary(method, *args, **kwargs)
        return _Callable(call, method, self._settings.timeout, self._telemetry, _UnaryCall)

    def unary_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        call = self._channel.unary_stream(method, *args, **kwargs)
        return _Callable(call, method, self._settings.stream_timeout, self._telemetry, _StreamCall)

    def stream_unary(self, method: str, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(f"{method}: client streaming is not used in this mesh: send batches")

    def stream_stream(self, method: str, *args: Any, **kwargs: Any) -> Any:
        # Reflection is the only one; it is for people's tools and needs none of the layers.
        return self._channel.stream_stream(method, *args, **kwargs)


class _Callable:
    """One method of a stub."""

    __slots__ = ("_kind", "_label", "_metrics", "_multicallable", "_seconds", "_telemetry")

    def __init__(
        self, multicallable: Any, method: str, seconds: float, telemetry: Telemetry, kind: Callable[..., Any]
    ) -> None:
        self._multicallable = multicallable
        self._label = method.lstrip("/")
        self._seconds = seconds
        self._telemetry = telemetry
        self._metrics = telemetry.client_metrics.method(self._label)
        self._kind = kind

    def __call__(
        self,
        request: Any,
        *,
        timeout: float | None = None,
        metadata: Sequence[tuple[str, str | bytes]] | None = None,
        credentials: grpc.CallCredentials | None = None,
        wait_for_ready: bool | None = None,
        compression: grpc.Compression | None = None,
    ) -> Any:
        try:
            seconds = call_timeout(
                self._seconds if timeout is None else timeout, remaining_seconds(), self._label
            )
        except UsherError as error:
            return _RefusedCall(error, self._metrics)
        span = self._telemetry.start_span(self._label, kind=SpanKind.CLIENT)
        sent = grpc.aio.Metadata((TRACEPARENT, span.context.traceparent), *(metadata or ()))
        call = self._multicallable(
            request,
            timeout=seconds,
            metadata=sent,
            credentials=credentials,
            wait_for_ready=wait_for_ready,
            compression=compression,
        )
        return self._kind(call, self._label, self._metrics, self._telemetry, span)


class _Call:
    """What both kinds of call share: the measuring, the span, the typed error, the keep mark."""

    def __init__(
        self, call: Any, label: str, metrics: MethodMetrics, telemetry: Telemetry, span: Span
    ) -> None:
        self._call = call
        self._label = label
        self._metrics = metrics
        self._telemetry = telemetry
        self._span = span
        self._started = time.perf_counter()
        self._ended = False
        metrics.begin()

    def __del__(self) -> None:
        # A call that nobody awaited, or a stream that was left early; gRPC cancels both at this moment.
        self._end("ABANDONED")

    def cancel(self) -> bool:
        return bool(self._call.cancel())

    def cancelled(self) -> bool:
        return bool(self._call.cancelled())

    def done(self) -> bool:
        return bool(self._call.done())

    def time_remaining(self) -> float | None:
        remaining: float | None = self._call.time_remaining()
        return remaining

    async def initial_metadata(self) -> Any:
        return await self._call.initial_metadata()

    async def trailing_metadata(self) -> Any:
        return await self._call.trailing_metadata()

    async def code(self) -> grpc.StatusCode:
        return await self._call.code()

    async def details(self) -> Any:
        return await self._call.details()

    async def wait_for_connection(self) -> None:
        await self._call.wait_for_connection()

    def _end(self, code: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._metrics.end(code, time.perf_counter() - self._started)
        self._span.set_attribute("rpc.grpc.status", code)
        if code != "OK":
            self._span.fail(code)
        self._span.end()

    def _note_keep(self, trailers: Any) -> None:
        for key, _ in trailers or ():
            if key == KEEP_TRAILER:
                self._telemetry.keep_trace(self._span.context)
                return

    def _failed(self, error: grpc.aio.AioRpcError) -> UsherError:
        self._note_keep(error.trailing_metadata())
        self._end(error.code().name)
        return from_rpc_error(error, method=self._label, seconds=time.perf_counter() - self._started)


class _UnaryCall(_Call):
    def __await__(self) -> Generator[Any, None, Any]:
        try:
            response = yield from self._call.__await__()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        except asyncio.CancelledError:
            self._end("CANCELLED")
            raise
        self._note_keep((yield from self._call.trailing_metadata().__await__()))
        self._end("OK")
        return response


class _StreamCall(_Call):
    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for response in self._call:
                yield response
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        except (asyncio.CancelledError, GeneratorExit):
            self._call.cancel()
            self._end("CANCELLED")
            raise
        self._note_keep(await self._call.trailing_metadata())
        self._end("OK")

    async def read(self) -> Any:
        """Returns the next response, `grpc.aio.EOF` at the end."""
        try:
            response = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        if response is grpc.aio.EOF:
            self._note_keep(await self._call.trailing_metadata())
            self._end("OK")
        return response


class _RefusedCall:
    """A call that was not made, because too little of the deadline was left."""

    def __init__(self, error: UsherError, metrics: MethodMetrics) -> None:
        self._error = error
        metrics.begin()
        metrics.end(error.code.name, 0.0)

    def cancel(self) -> bool:
        return False

    def cancelled(self) -> bool:
        return False

    def done(self) -> bool:
        return True

    async def code(self) -> grpc.StatusCode:
        return self._error.code

    async def details(self) -> str:
        return self._error.message

    def __await__(self) -> Generator[Any, None, Any]:
        raise self._error
        yield  # an await is a generator

    async def __aiter__(self) -> AsyncIterator[Any]:
        raise self._error
        yield  # an iteration is a generator

    async def read(self) -> Any:
        raise self._error
