"""A tiny service of bytes and protobuf methods behind the real server builder, and clients to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.struct_pb2 import Struct
from opentelemetry.sdk.trace.export import SpanExporter

from services.common.client import ClientSettings, connect
from services.common.server import RunningServer, ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings

NAME = "usher.test.v1.TestService"

Handler = Callable[[Any, Any], Awaitable[Any]]


def unary(handler: Handler) -> grpc.RpcMethodHandler:
    """A method of raw bytes both ways."""
    return grpc.unary_unary_rpc_method_handler(handler)


def unary_struct(handler: Handler) -> grpc.RpcMethodHandler:
    """A method of google.protobuf.Struct both ways."""
    return grpc.unary_unary_rpc_method_handler(
        handler, request_deserializer=Struct.FromString, response_serializer=Struct.SerializeToString
    )


def stream(handler: Callable[[Any, Any], AsyncIterator[Any]]) -> grpc.RpcMethodHandler:
    """A response stream of raw bytes."""
    return grpc.unary_stream_rpc_method_handler(handler)


def service(methods: Mapping[str, grpc.RpcMethodHandler], name: str = NAME) -> Service:
    def add(_: object, server: Any) -> None:
        # As generated code does it: both ways of registering.
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, dict(methods)),))
        server.add_registered_method_handlers(name, dict(methods))

    return Service(add, object(), name)


async def always_healthy() -> None:
    return None


def make_telemetry(name: str = "test", exporter: SpanExporter | None = None, ratio: float = 1.0) -> Telemetry:
    return Telemetry(name, TelemetrySettings(sample_ratio=ratio), exporter)


def running(
    directory: Path,
    methods: Mapping[str, grpc.RpcMethodHandler],
    *,
    socket: str = "a.sock",
    healthy: Callable[[], Awaitable[None]] = always_healthy,
    telemetry: Telemetry | None = None,
    on_drain: Callable[[], Awaitable[None]] | None = None,
    callers: Mapping[str, frozenset[str]] | None = None,
    **settings: Any,
) -> RunningServer:
    values: dict[str, Any] = {"drain_notice": 0.05, "drain_grace": 5.0, **settings}
    return start_server(
        ServerSettings(**{"address": f"unix:{directory / socket}", **values}),
        [service(methods)],
        healthy=healthy,
        telemetry=telemetry or make_telemetry(),
        on_drain=on_drain,
        callers=callers,
    )


def client(
    target: str, *, telemetry: Telemetry | None = None, idempotent: tuple[str, ...] = (), **settings: Any
) -> Any:
    return connect(
        ClientSettings(target, **settings),
        telemetry=telemetry or make_telemetry(),
        idempotent=[f"/{NAME}/{method}" for method in idempotent],
    )


def method(channel: Any, name: str) -> Any:
    return channel.unary_unary(f"/{NAME}/{name}")


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60.0) -> None:
    """Waits for a condition; raises TimeoutError when it does not come true."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)
