"""API keys: how one is made, taken apart and judged. Pure.

A key is `usk_<key_id>_<secret>`: 12 public characters (base 32, 60 bits) and 32 random bytes in base 64. A secret of 256
random bits cannot be guessed, so it is kept as one SHA-256: NIST SP 800-63B, 5.1.2.2, asks for salt and stretching below
112 bits only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from services.common.errors import FieldViolation, InvalidArgument, PermissionDenied, Unauthenticated
from usher.ingest.v1 import keys_pb2

PREFIX = "usk_"
MOST_A_TENANT = 1_000
MOST_REQUESTS_PER_MINUTE = 10_000_000
LONGEST_OVERLAP_MS = 90 * 86_400_000
USUAL_OVERLAP_MS = 7 * 86_400_000
SHORTEST_LIFE_MS = 60_000
LONGEST_LIFE_MS = 3_653 * 86_400_000

_ID_CHARACTERS = 12
_LONGEST = 128
_ALL_RIGHTS = tuple(right for right in keys_pb2.KeyRight.values() if right)


class KeyRow(NamedTuple):
    """One key as kept. Times are Unix milliseconds, 0 for never."""

    key_id: str
    digest: bytes
    tenant: str
    name: str
    rights: int
    requests_per_minute: int
    created_ms: int
    actor: str
    expires_ms: int
    revoked_ms: int
    last_used_ms: int
    rotated_from: str


def new_key() -> tuple[str, str, bytes]:
    """Draws a key: its id, the whole key to show once, the digest to keep."""
    key_id = base64.b32encode(secrets.token_bytes(8)).decode()[:_ID_CHARACTERS].lower()
    secret = secrets.token_urlsafe(32)
    return key_id, f"{PREFIX}{key_id}_{secret}", _digest(secret)


def taken_apart(text: str) -> tuple[str, bytes]:
    """The id and the digest of a presented key. Raises Unauthenticated (KEY_INVALID)."""
    key_id, _, secret = text.removeprefix(PREFIX).partition("_")
    if (
        len(text) > _LONGEST
        or not text.startswith(PREFIX)
        or len(key_id) != _ID_CHARACTERS
        or not secret
        or not text.isascii()
    ):
        raise invalid()
    return key_id, _digest(secret)


def judge(row: KeyRow | None, digest: bytes, now_ms: int) -> KeyRow:
    """The key of a caller, where it holds now.

    Raises Unauthenticated: KEY_INVALID for an unknown id and a wrong secret alike, KEY_ENDED after its expiry or
    revocation.
    """
    # Compared also where there is no such id, so that the time of an answer does not tell ids.
    right = hmac.compare_digest(digest, row.digest if row is not None else _digest(""))
    if row is None or not right:
        raise invalid()
    if row.revoked_ms or (row.expires_ms and row.expires_ms <= now_ms):
        raise Unauthenticated("KEY_ENDED", "the API key has expired or was revoked; use its successor")
    return row


def invalid() -> Unauthenticated:
    """The error of a key that is none."""
    return Unauthenticated(
        "KEY_INVALID", "the API key is not known; check it, or make one with `usher keys create`"
    )


def require(row: KeyRow, right: int, tenant: str) -> None:
    """Raises PermissionDenied (KEY_TENANT, KEY_RIGHT) where the key does not allow the right for the tenant."""
    if row.tenant != tenant:
        raise PermissionDenied("KEY_TENANT", "the API key is for another tenant")
    if not row.rights >> right & 1:
        name = right_name(right)
        raise PermissionDenied(
            "KEY_RIGHT", f"the API key does not have the right {name}", metadata={"right": name}
        )


def right_name(right: int) -> str:
    """ "submit", "decide" or "read"."""
    return keys_pb2.KeyRight.Name(right).removeprefix("KEY_RIGHT_").lower()  # type: ignore[arg-type]


def mask_of(rights: Iterable[int]) -> int:
    """Rights as bits; all there are where none is named. Raises InvalidArgument (KEY_RIGHTS_INVALID)."""
    named = list(rights) or list(_ALL_RIGHTS)
    if any(right not in _ALL_RIGHTS for right in named):
        raise InvalidArgument(
            "KEY_RIGHTS_INVALID",
            "the rights are submit, decide and read",
            violations=[FieldViolation("rights", "KEY_RIGHTS_INVALID", "use rights that this version knows")],
        )
    return sum(1 << right for right in set(named))


def valid_name(name: str) -> str:
    """The name. Raises InvalidArgument (KEY_NAME_INVALID)."""
    if not (1 <= len(name) <= 64 and name.isprintable()):
        raise InvalidArgument(
            "KEY_NAME_INVALID",
            "a key's name is 1 to 64 printable characters",
            violations=[FieldViolation("name", "KEY_NAME_INVALID", "say who uses the key")],
        )
    return name


def rights_of(row: KeyRow) -> list[int]:
    """The rights of a key, as numbers of KeyRight."""
    return [right for right in _ALL_RIGHTS if row.rights >> right & 1]


def message(row: KeyRow) -> keys_pb2.Key:
    """The key as the contract shows it."""
    key = keys_pb2.Key(
        key_id=row.key_id,
        tenant=row.tenant,
        name=row.name,
        rights=[keys_pb2.KeyRight.Name(right) for right in rights_of(row)],
        requests_per_minute=row.requests_per_minute,
        actor=row.actor,
        rotated_from=row.rotated_from,
    )
    key.create_time.FromMilliseconds(row.created_ms)
    for field, ms in (
        ("expire_time", row.expires_ms),
        ("revoke_time", row.revoked_ms),
        ("last_used_time", row.last_used_ms),
    ):
        if ms:
            getattr(key, field).FromMilliseconds(ms)
    return key


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
