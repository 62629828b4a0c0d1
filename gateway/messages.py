"""JSON and back for routes whose shape is the contract's own: its names, enums by name, times as RFC 3339."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from google.protobuf import json_format
from google.protobuf.message import Message
from starlette.responses import Response

from gateway import live
from gateway.results import json_response
from services.common.errors import InvalidArgument


def fill(message: Message, body: bytes) -> None:
    """Reads a JSON body into a message. Raises InvalidArgument (MALFORMED_JSON, ENVELOPE_INVALID)."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidArgument(
            "MALFORMED_JSON", "send one JSON object", metadata={"position": str(error.pos)}
        ) from error
    if not isinstance(content, dict):
        raise InvalidArgument("ENVELOPE_INVALID", "send one JSON object")
    try:
        json_format.ParseDict(content, message)
    except json_format.ParseError as error:
        raise InvalidArgument("ENVELOPE_INVALID", str(error)[:500]) from error


def to_json(message: Message, status: int = 200) -> Response:
    """A message as a JSON answer."""
    return json_response(values(message), status)


def values(message: Message) -> dict[str, Any]:
    """A message as what JSON holds."""
    found: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return found


def number(query: Mapping[str, str], name: str, enum: Any, prefix: str) -> Any:
    """The number of an enum's entry that a parameter names, without its prefix; 0 where it is not there.

    Raises InvalidArgument (PARAMETER_INVALID).
    """
    given = query.get(name)
    if given is None:
        return 0
    known = {one.removeprefix(prefix).lower(): number for one, number in enum.items() if number}
    if given.lower() not in known:
        raise live.parameter_invalid(name, f"{name} is one of {', '.join(known)}")
    return known[given.lower()]
