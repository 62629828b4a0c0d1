"""Page tokens of ListAlerts: where the last page ended, and of which list. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct

from services.common.errors import InvalidArgument

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


def encode(tenant: str, minimum_severity: int, last_ns: int, alert_id: str) -> str:
    """Returns the token that continues a list after an alert."""
    raw = _FORM.pack(
        _VERSION,
        _list_digest(tenant, minimum_severity),
        last_ns,
        bytes.fromhex(alert_id.removeprefix(_PREFIX)),
    )
    return base64.urlsafe_b64encode(raw).decode()


def decode(token: str, tenant: str, minimum_severity: int) -> tuple[int, str]:
    """Returns (last_ns, alert_id) of a token.

    Raises InvalidArgument (PAGE_TOKEN_INVALID) for a token that was not made here, or for another list.
    """
    try:
        version, digest, last_ns, identity = _FORM.unpack(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, struct.error):
        version, digest, last_ns, identity = 0, b"", 0, b""
    if version != _VERSION or digest != _list_digest(tenant, minimum_severity):
        raise InvalidArgument(
            "PAGE_TOKEN_INVALID",
            "page_token is not of this list: begin again without one, or repeat its filters",
        )
    return last_ns, _PREFIX + identity.hex()


def _list_digest(tenant: str, minimum_severity: int) -> bytes:
    return hashlib.blake2b(f"{minimum_severity}:{tenant}".encode(), digest_size=8).digest()
