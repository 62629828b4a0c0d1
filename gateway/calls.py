"""How routes whose JSON is the contract's own call a service: who asks, one call, one answer or a file in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from fastapi import Request
from google.protobuf.message import Message
from starlette.responses import StreamingResponse

from gateway import senders
from gateway.body import is_json_lines, read_body
from gateway.live import parameter_invalid
from gateway.messages import fill
from gateway.settings import GatewaySettings
from services.common.errors import InvalidArgument, from_rpc_error
from services.common.event_json import parse_time
from services.common.interceptors import call_timeout

ACTOR_HEADER = "x-usher-actor"
ACTOR_PARAMETER: dict[str, Any] = {
    "name": "X-Usher-Actor",
    "in": "header",
    "required": True,
    "description": "Who asks: 1 to 128 printable characters. Written into the audit log with what was asked for.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
}
_MOST = 128


def actor_of(request: Request) -> str:
    """Who asks. Raises InvalidArgument (ACTOR_MISSING): what is about people is told and done for somebody only."""
    given = request.headers.getlist(ACTOR_HEADER)
    if len(given) != 1 or not 1 <= len(given[0].strip()) <= _MOST or not given[0].isprintable():
        raise InvalidArgument(
            "ACTOR_MISSING", f"send X-Usher-Actor once: who asks, 1 to {_MOST} printable characters"
        )
    return given[0].strip()


def set_time(stamp: Any, name: str, text: str) -> None:
    """Reads an RFC 3339 parameter into a Timestamp. Raises InvalidArgument (PARAMETER_INVALID)."""
    try:
        stamp.seconds, stamp.nanos = parse_time(text)
    except InvalidArgument as error:
        raise parameter_invalid(name, error.message) from error


class Calls:
    """Calls of one service's routes, each under the time that a request has.

    `keyed`: the service judges API keys, so that the one that a request shows goes on to it.
    """

    def __init__(self, settings: GatewaySettings, *, keyed: bool = False) -> None:
        self._settings = settings
        self._keyed = keyed

    async def body(self, request: Request, message: Any) -> Any:
        """The request's JSON body, read into a message. Raises InvalidArgument."""
        if is_json_lines(request):
            raise InvalidArgument("MEDIA_TYPE_UNSUPPORTED", "send Content-Type: application/json")
        fill(message, await read_body(request, self._settings.max_body_bytes, self._settings.request_timeout))
        return message

    async def ask(
        self, method: Callable[..., Awaitable[Any]], name: str, message: Message, *, long: bool = False
    ) -> Any:
        """One call; `long` gives it the time of a file. Raises the typed error that the service answers."""
        limit = self._settings.file_timeout if long else self._settings.request_timeout
        seconds = call_timeout(limit, limit, name)
        try:
            return await method(
                message, timeout=seconds, metadata=senders.metadata() if self._keyed else None
            )
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, method=name, seconds=seconds) from error

    async def file(
        self, method: Callable[..., Any], name: str, message: Message, media_type: str, filename: str
    ) -> StreamingResponse:
        """A file as it arrives. Its first piece is awaited, so that an error is still a problem document."""
        stream = method(message, timeout=self._settings.file_timeout)
        pieces: AsyncIterator[Any] = aiter(stream)
        try:
            first = await anext(pieces, None)
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error, method=name, seconds=self._settings.file_timeout) from error

        async def content() -> AsyncIterator[bytes]:
            try:
                if first is not None:
                    yield first.content
                async for piece in pieces:
                    yield piece.content
            finally:
                stream.cancel()

        return StreamingResponse(
            content(),
            media_type=media_type,
            headers={"content-disposition": f'attachment; filename="{filename}"'},
        )
