"""What surrounds each call, in one order, outermost first: tracing > metrics and logs > errors > deadline >
authorisation of the caller > parsing > authorisation of the request > handler.

So metrics and spans see the code the caller sees, and nothing unmapped escapes. The layers are one function
per method, made when the service is registered, not a chain built at each call: a call pays for its work
only. `grpc.health.v1` and reflection are registered beside, without any of this.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError

from services.common import callers as callers_module
from services.common.callers import LOOPBACK, identity_of, may_call
from services.common.errors import (
    DETAILS_KEY,
    MAX_MESSAGE_CHARS,
    SERVER_FAULTS,
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    UsherError,
    clip,
    status_details,
)
from services.common.telemetry import KEEP_TRAILER, TRACEPARENT, Span, Telemetry, server_keep

# Kept back at each hop, so that a service whose callee was too slow has time to say so itself.
DEADLINE_RESERVE_SECONDS = 0.020
# A call that must answer sooner than this cannot: a hop alone takes about 1 ms, with a busy loop several.
DEADLINE_MINIMUM_SECONDS = 0.005
DRAINING = "SERVER_DRAINING"

_deadline: ContextVar[float | None] = ContextVar("usher_deadline", default=None)
_caller: ContextVar[str] = ContextVar("usher_caller", default=LOOPBACK)


def current_deadline() -> float | None:
    """Returns when the running RPC must have answered, on the clock of `time.monotonic()`, or None without
    limit.
    """
    return _deadline.get()


def remaining_seconds() -> float | None:
    """Returns the seconds left to the running RPC, 0 or more, or None without limit."""
    deadline = _deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def caller_identity() -> str:
    """Returns who calls the running RPC: a name of the allow-list, or `loopback` over plaintext."""
    return _caller.get()


def call_timeout(configured: float, remaining: float | None, method: str) -> float:
    """Returns the seconds to give an outgoing call: the configured ones, or what the incoming call has left.

    A reserve of 20 ms is kept from what is left. Raises DeadlineExceeded when under 5 ms would remain: such a
    call could only fail, later and less clearly.
    """
    if remaining is None:
        return configured
    timeout = min(configured, remaining - DEADLINE_RESERVE_SECONDS)
    if timeout < DEADLINE_MINIMUM_SECONDS:
        raise DeadlineExceeded(
            "DEADLINE_TOO_SHORT",
            f"{method.lstrip('/')} was not called: {remaining * 1000:.0f} ms of the deadline were left",
            metadata={"method": method.lstrip("/"), "remaining_ms": f"{remaining * 1000:.0f}"},
        )
    return timeout


Authorise = Callable[[str, Any, Any], Awaitable[None]]
"""A service's own judgement of a parsed call: (method with its leading slash, request, context); raises a typed error."""


class Registrar(Protocol):
    """The part of a gRPC server that generated `add_…_to_server` functions use."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None: ...


class ServerPipeline:
    """Surrounds every method of the services registered through it."""

    def __init__(
        self,
        telemetry: Telemetry,
        *,
        secure: bool,
        max_in_flight: int,
        callers: Mapping[str, frozenset[str]] | None = None,
        authorise: Authorise | None = None,
    ) -> None:
        self._telemetry = telemetry
        self._authorise = authorise
        self._logger = telemetry.logger("rpc")
        self._secure = secure
        self._callers = callers_module.CALLERS if callers is None else callers
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._streams: set[asyncio.Task[Any]] = set()
        self._draining = False
        self._idle = asyncio.Event()

    def registrar(self, server: grpc.aio.Server) -> Registrar:
        """Returns what to hand to `add_…_to_server` in place of the server."""
        return _WrappingRegistrar(server, self)

    async def drain(self, seconds: float) -> None:
        """Refuses new calls, ends response streams, and waits up to `seconds` for running calls to complete.

        Refused calls and ended streams get UNAVAILABLE `SERVER_DRAINING`, so that their clients go elsewhere. A
        stream of decisions has no end of its own and would hold the drain up for its whole grace.
        """
        self._draining = True
        for task in list(self._streams):
            task.cancel()
        if self._in_flight:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._idle.wait()

    def wrap(self, method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
        """Returns the handler with all layers around it.

        A method that the servicer inherits from the generated base answers UNIMPLEMENTED. Raises TypeError for
        client streaming and sync handlers.
        """
        if handler.request_streaming:
            raise TypeError(f"{method}: client streaming is not served: send batches instead")
        if handler.response_streaming:
            behaviour = handler.unary_stream
            if _is_generated(behaviour):
                return self.wrap(method, _unserved(method, handler))
            if not (inspect.isasyncgenfunction(behaviour) or inspect.iscoroutinefunction(behaviour)):
                raise TypeError(f"{method}: the handler must be async, or it loses deadline and trace")
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler),
                request_deserializer=None,
                response_serializer=handler.response_serializer,
            )
        if _is_generated(handler.unary_unary):
            return self.wrap(method, _unserved(method, handler))
        if not inspect.iscoroutinefunction(handler.unary_unary):
            raise TypeError(f"{method}: the handler must be async, or it loses deadline and trace")
        # Parsed and serialised within the error layer: what fails there is answered as a typed error.
        return grpc.unary_unary_rpc_method_handler(
            self._unary(method, handler), request_deserializer=None, response_serializer=None
        )

    def _unary(self, method: str, handler: grpc.RpcMethodHandler) -> Callable[[bytes, Any], Awaitable[bytes]]:
        behaviour = handler.unary_unary
        serialise = handler.response_serializer
        parse = self._parser(method, handler.request_deserializer)
        call = self._calls(method)
        authorise = self._authorise

        async def unary(raw: bytes, context: Any) -> bytes:
            running = call(context)
            try:
                self._admit(method, context, running.span)
                request = parse(raw)
                if authorise is not None:
                    await authorise(method, request, context)
                response = await behaviour(request, context)
                answer: bytes = response if serialise is None else serialise(response)
                running.succeed(context)
                return answer
            except asyncio.CancelledError:
                running.code = "CANCELLED"
                raise
            except grpc.aio.AbortError:
                running.aborted(context)
                raise
            except Exception as error:  # the one place where everything unmapped ends
                await running.fail(context, error)
                raise  # not reached: fail aborts
            finally:
                running.end()

        return unary

    def _stream(self, method: str, handler: grpc.RpcMethodHandler) -> Callable[[bytes, Any], Awaitable[None]]:
        behaviour = handler.unary_stream
        generates = inspect.isasyncgenfunction(behaviour)
        parse = self._parser(method, handler.request_deserializer)
        call = self._calls(method)
        authorise = self._authorise

        async def stream(raw: bytes, context: Any) -> None:
            running = call(context)
            task = asyncio.current_task()
            assert task is not None
            self._streams.add(task)
            try:
                self._admit(method, context, running.span)
                request = parse(raw)
                if authorise is not None:
                    await authorise(method, request, context)
                if generates:
                    async with contextlib.aclosing(behaviour(request, context)) as responses:
                        async for response in responses:
                            await context.write(response)
                else:
                    await behaviour(request, context)
                running.succeed(context)
            except asyncio.CancelledError:
                if not self._draining or context.done():
                    running.code = "CANCELLED"
                    raise
                task.uncancel()
                await running.fail(context, _draining())
            except grpc.aio.AbortError:
                running.aborted(context)
                raise
            except Exception as error:  # the one place where everything unmapped ends
                await running.fail(context, error)
                raise  # not reached: fail aborts
            finally:
                self._streams.discard(task)
                running.end()

        return stream

    def _calls(self, method: str) -> Callable[[Any], _Running]:
        label = method.lstrip("/")
        metrics = self._telemetry.server_metrics.method(label)

        def begin(context: Any) -> _Running:
            traceparent = None
            for key, value in context.invocation_metadata() or ():
                if key == TRACEPARENT:
                    traceparent = value if isinstance(value, str) else None
                    break
            span = self._telemetry.enter_server_span(label, traceparent)
            metrics.begin()
            self._in_flight += 1
            return _Running(self, label, metrics, span)

        return begin

    def _ended(self) -> None:
        self._in_flight -= 1
        if self._draining and not self._in_flight:
            self._idle.set()

    def _admit(self, method: str, context: Any, span: Span) -> None:
        if self._draining:
            raise _draining()
        remaining: float | None = context.time_remaining()
        if remaining is None:
            _deadline.set(None)
        else:
            # So that a trace shows where the time of a call went, hop by hop.
            span.set_attribute("rpc.deadline_ms", round(remaining * 1000))
            if remaining < DEADLINE_MINIMUM_SECONDS:
                raise DeadlineExceeded(
                    "DEADLINE_TOO_SHORT",
                    f"{method.lstrip('/')} was not begun: {remaining * 1000:.0f} ms were left",
                    metadata={"method": method.lstrip("/"), "remaining_ms": f"{remaining * 1000:.0f}"},
                )
            _deadline.set(time.monotonic() + remaining)
        if self._in_flight > self._max_in_flight:
            raise ResourceExhausted(
                "TOO_MANY_CALLS",
                f"{self._max_in_flight} calls are running here already; come back shortly",
                metadata={"limit": str(self._max_in_flight)},
                retry_after=0.1,
            )
        if not self._secure:
            _caller.set(LOOPBACK)
            return
        identity = identity_of(context.auth_context())
        if identity is None:
            raise Unauthenticated(
                "CERTIFICATE_WITHOUT_NAME", "the client certificate holds no subject alternative name"
            )
        if not may_call(self._callers, method, identity):
            raise PermissionDenied(
                "CALLER_NOT_ALLOWED",
                f"{identity} may not call {method.lstrip('/')}",
                metadata={"caller": identity, "method": method.lstrip("/")},
            )
        _caller.set(identity)

    def _parser(self, method: str, deserialise: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
        if deserialise is None:
            return _identity
        parse = deserialise

        def parsed(raw: bytes) -> Any:
            try:
                return parse(raw)
            except (DecodeError, ValueError) as error:
                # ValueError: text that is not UTF-8, in some of protobuf's implementations.
                raise InvalidArgument(
                    "MALFORMED_MESSAGE",
                    f"the request is no valid message of {method.lstrip('/')}",
                    metadata={"method": method.lstrip("/"), "bytes": str(len(raw))},
                ) from error

        return parsed


class _Running:
    """One call between its two ends: what tracing, metrics and the error layer hold of it."""

    __slots__ = ("_keep", "_label", "_metrics", "_pipeline", "_started", "code", "span")

    def __init__(self, pipeline: ServerPipeline, label: str, metrics: Any, span: Span) -> None:
        self._started = time.perf_counter()
        self._pipeline = pipeline
        self._label = label
        self._metrics = metrics
        self.span = span
        self._keep = server_keep()
        self.code = "OK"

    def succeed(self, context: Any) -> None:
        code = context.code()
        if code is not None and code is not grpc.StatusCode.OK:
            self.code = code.name
        if self._keep.wanted:
            self._pipeline._telemetry.keep_trace(self.span.context)
            context.set_trailing_metadata((*(context.trailing_metadata() or ()), (KEEP_TRAILER, "1")))

    def aborted(self, context: Any) -> None:
        code = context.code()
        self.code = code.name if code is not None else "UNKNOWN"

    async def fail(self, context: Any, error: Exception) -> None:
        """Answers with the typed error; an untyped one becomes INTERNAL and its text stays in the log."""
        pipeline = self._pipeline
        typed = _typed(error)
        if typed is None:
            pipeline._logger.error(
                "an unexpected exception reached the edge of an RPC",
                extra={"method": self._label},
                exc_info=error,
            )
            typed = Internal("INTERNAL", "internal error")
        code = typed.code
        self.code = code.name
        if code in SERVER_FAULTS and typed.reason != DRAINING:
            pipeline._telemetry.keep_trace()
            if error is typed:
                pipeline._logger.warning(
                    "an RPC failed",
                    extra={
                        "method": self._label,
                        "code": code.name,
                        "reason": typed.reason,
                        "error": typed.message,
                        "cause": None if typed.__cause__ is None else repr(typed.__cause__),
                    },
                )
        elif pipeline._logger.isEnabledFor(logging.DEBUG):
            pipeline._logger.debug(
                "an RPC was refused", extra={"method": self._label, "code": code.name, "reason": typed.reason}
            )
        self.span.fail(typed.reason)
        trailers: tuple[tuple[str, str | bytes], ...] = ((DETAILS_KEY, status_details(typed)),)
        if self._keep.wanted:
            pipeline._telemetry.keep_trace(self.span.context)
            trailers += ((KEEP_TRAILER, "1"),)
        await context.abort(code, clip(typed.message, MAX_MESSAGE_CHARS), trailers)

    def end(self) -> None:
        seconds = time.perf_counter() - self._started
        self._pipeline._ended()
        self._metrics.end(self.code, seconds)
        self.span.set_attribute("rpc.grpc.status", self.code)
        self.span.end()


class _WrappingRegistrar:
    def __init__(self, server: grpc.aio.Server, pipeline: ServerPipeline) -> None:
        self._server = server
        self._pipeline = pipeline

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        self._server.add_generic_rpc_handlers(
            tuple(_WrappedHandlers(handlers, self._pipeline) for handlers in generic_rpc_handlers)
        )

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler]
    ) -> None:
        self._server.add_registered_method_handlers(
            service_name,
            {
                name: self._pipeline.wrap(f"/{service_name}/{name}", handler)
                for name, handler in method_handlers.items()
            },
        )


class _WrappedHandlers(grpc.GenericRpcHandler):
    """A service's handlers; each is wrapped at its first call and kept."""

    def __init__(self, handlers: grpc.GenericRpcHandler, pipeline: ServerPipeline) -> None:
        self._handlers = handlers
        self._pipeline = pipeline
        self._wrapped: dict[str, grpc.RpcMethodHandler] = {}

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler | None:
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = self._handlers.service(handler_call_details)
            if handler is None:
                return None
            wrapped = self._wrapped[method] = self._pipeline.wrap(method, handler)
        return wrapped


def _typed(error: BaseException) -> UsherError | None:
    if isinstance(error, UsherError):
        return error
    if isinstance(error, BaseExceptionGroup):
        # A task group wraps what its tasks raise; it is typed when everything in it is.
        members = [_typed(member) for member in error.exceptions]
        if members and all(member is not None for member in members):
            return members[0]
    return None


def _is_generated(behaviour: Any) -> bool:
    return str(getattr(behaviour, "__module__", "")).endswith("_pb2_grpc")


def _unserved(method: str, handler: grpc.RpcMethodHandler) -> grpc.RpcMethodHandler:
    async def unserved(_: bytes, context: Any) -> None:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{method.lstrip('/')} is not served here")

    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(unserved)
    return grpc.unary_unary_rpc_method_handler(unserved)


def _identity(raw: bytes) -> bytes:
    return raw


def _draining() -> Unavailable:
    return Unavailable(DRAINING, "this server is going away; connect again", retry_after=0.0)
