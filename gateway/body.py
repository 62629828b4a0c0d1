"""Reading a request's body within its limits: media type, bytes, time. The limit of bytes holds while reading."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from services.common.errors import InvalidArgument, ResourceExhausted

JSON = "application/json"
JSON_LINES = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines"})


def is_json_lines(request: Request) -> bool:
    """Says whether the body is JSON lines rather than JSON.

    Raises InvalidArgument(MEDIA_TYPE_UNSUPPORTED) for any other media type, charset or encoding, and without any:
    a browser's form cannot send what this takes.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise _unsupported("send the body without Content-Encoding")
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in ("utf-8", "utf8"):
            raise _unsupported("send UTF-8: JSON between systems has no other encoding (RFC 8259, 8.1)")
    media_type = media_type.strip().lower()
    if media_type in JSON_LINES:
        return True
    if media_type != JSON:
        raise _unsupported(f"send Content-Type: {JSON}, or application/x-ndjson for one event a line")
    return False


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """Returns the body, at most `limit` bytes, received within `seconds`.

    Raises ResourceExhausted(BODY_TOO_LARGE) as soon as the limit is passed or a Content-Length announces it,
    InvalidArgument(BODY_TIMEOUT), and starlette's ClientDisconnect.
    """
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise _too_large(limit)
                parts.append(part)
    except TimeoutError:
        raise InvalidArgument(
            "BODY_TIMEOUT", "the body did not arrive in time: send it at once, or in smaller batches"
        ) from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unsupported(message: str) -> InvalidArgument:
    return InvalidArgument("MEDIA_TYPE_UNSUPPORTED", message)


def _too_large(limit: int) -> ResourceExhausted:
    return ResourceExhausted(
        "BODY_TOO_LARGE",
        f"send at most {limit} bytes a request: split the events over several",
        metadata={"limit": str(limit)},
    )
