"""Page tokens of ListAlerts: where the last page ended, and of which list. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from services.common.errors import InvalidArgument
from usher.alerts.v1 import alerts_pb2

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1_000

_PREFIX = "alert_"
_FORM = struct.Struct(">B8sq16s")
_VERSION = 1


def page_size(asked: int) -> int:
    """Returns the size of a page: 0 means 100. Raises InvalidArgument (PAGE_SIZE_INVALID) outside 0 to 1,000."""
    if not 0 <= asked <= MAX_PAGE_SIZE:
        raise InvalidArgument(
            "PAGE_SIZE_INVALID", f"page_size must be from 0 to {MAX_PAGE_SIZE}, not {asked}"
        )
    return asked or DEFAULT_PAGE_SIZE


def list_name(request: alerts_pb2.ListAlertsRequest) -> str:
    """What tells one list from another: the tenant and every filter."""
    named = alerts_pb2.ListAlertsRequest()
    named.CopyFrom(request)
    named.ClearField("page_token")
    named.ClearField("page_size")
    return named.SerializeToString(deterministic=True).hex()


def row_id(token: str, first: int) -> int:
    """The row id that a token names; `first` without one. Raises InvalidArgument (PAGE_TOKEN_INVALID)."""
    if not token:
        return first
    if not (token.isascii() and token.isdigit() and len(token) < 20):
        raise InvalidArgument("PAGE_TOKEN_INVALID", "page_token is the next_page_token of an earlier answer")
    return int(token)


def encode(listed: str, last_ns: int, alert_id: str) -> str:
    """Returns the token that continues a list after an alert."""
    raw = _FORM.pack(
        _VERSION,
        _list_digest(listed),
        last_ns,
        bytes.fromhex(alert_id.removeprefix(_PREFIX)),
    )
    return base64.urlsafe_b64encode(raw).decode()


def decode(token: str, listed: str) -> tuple[int, str]:
    """Returns (last_ns, alert_id) of a token.

    Raises InvalidArgument (PAGE_TOKEN_INVALID) for a token that was not made here, or for another list.
    """
    try:
        version, digest, last_ns, identity = _FORM.unpack(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, struct.error):
        version, digest, last_ns, identity = 0, b"", 0, b""
    if version != _VERSION or digest != _list_digest(listed):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID",
            "page_token is not of this list: begin again without one, or repeat its filters",
        )
    return last_ns, _PREFIX + identity.hex()


def _list_digest(listed: str) -> bytes:
    return hashlib.blake2b(listed.encode(), digest_size=8).digest()
