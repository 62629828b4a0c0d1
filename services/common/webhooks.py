"""Signed calls to others: signature, verification, and when to try again. Pure.

The form is that of Standard Webhooks (https://www.standardwebhooks.com): the headers `webhook-id`, `webhook-timestamp`
and `webhook-signature`, which is `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`. The id is the same at
every try of one message, so a receiver that keeps ids acts once; `idempotency-key` repeats it for receivers that know
that header.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import random
import secrets
from collections.abc import Mapping, Sequence

SECRET_PREFIX = "whsec_"
LEAST_KEY_BYTES = 24
MOST_KEY_BYTES = 64
TOLERANCE_SECONDS = 300
"""How far a call's timestamp may lie from the receiver's clock."""
ATTEMPTS = 12
"""Tries of one message before it is a dead letter."""
FIRST_DELAY_SECONDS = 2.0
DELAY_FACTOR = 3.0
LONGEST_DELAY_SECONDS = 4 * 3600.0
LONGEST_RETRY_AFTER_SECONDS = 86_400.0


def new_secret() -> str:
    """A random secret: "whsec_" and the base64 of 32 bytes."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for. Raises ValueError unless it is "whsec_" and base64 of 24 to 64 bytes."""
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError('a webhook secret is "whsec_" and base64')
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError('a webhook secret is "whsec_" and base64') from None
    if not LEAST_KEY_BYTES <= len(key) <= MOST_KEY_BYTES:
        raise ValueError(f"a webhook key has {LEAST_KEY_BYTES} to {MOST_KEY_BYTES} bytes, not {len(key)}")
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """The signature of one call under one key."""
    content = f"{message_id}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, content, "sha256")).decode()


def signed_headers(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a call. With several keys each signs, so that a receiver can change its secret in peace."""
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signature(key, message_id, timestamp, body) for key in keys),
        "idempotency-key": message_id,
    }


def verify(
    key: bytes,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    tolerance: float = TOLERANCE_SECONDS,
) -> str:
    """The message id of a call whose signature holds; whoever acts on it must act once an id.

    `headers` are by lower-case name, `now` is in Unix seconds. Raises ValueError where a header is missing, the
    timestamp lies beyond the tolerance, or no signature fits.
    """
    try:
        message_id, timestamp = headers["webhook-id"], int(headers["webhook-timestamp"])
        given = headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise ValueError(f"the header {error.args[0]} is missing") from None
    if abs(now - timestamp) > tolerance:
        raise ValueError("the timestamp is too far from this clock: an old call, or a wrong clock")
    expected = signature(key, message_id, timestamp, body)
    if not any(hmac.compare_digest(expected.encode(), one.encode()) for one in given):
        raise ValueError("the signature does not fit")
    return message_id


def retry_delay(attempts: int, retry_after: float | None = None, *, jitter: float | None = None) -> float:
    """Seconds until the next try, after `attempts` tries that failed (1 or more).

    2 s, then three times as long each time, at most 4 h; of which a random half to whole is taken, so that receivers
    that come back are not met by everybody at once. Twelve tries span about half a day. The receiver's `retry_after`
    is respected up to a day. `jitter` (0 to 1) stands in for chance.
    """
    full = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * DELAY_FACTOR ** min(attempts - 1, 30))
    delay = full * (0.5 + 0.5 * (random.random() if jitter is None else jitter))
    if retry_after is not None:
        delay = max(delay, min(retry_after, LONGEST_RETRY_AFTER_SECONDS))
    return delay
