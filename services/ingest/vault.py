"""Payloads of failed events at rest: encrypted where keys are set. Pure.

AES-256 in Galois/Counter Mode (NIST SP 800-38D) with a random nonce of 96 bits an event; tenant and failed id are
authenticated with it, so that a payload cannot be moved to another row. Keys have ids: the first of the file seals, all of
them open, so a key is rotated by putting a new one before the old.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.common.errors import FailedPrecondition
from usher.ingest.v1 import ingest_pb2

_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
_KEY_BYTES = 32
_NONCE_BYTES = 12


class Vault:
    """Seals and opens failed events. Without keys it keeps payloads as they are."""

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        """`keys`: 32 bytes by key id, the first one seals."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in (keys or {}).items()}
        self._sealing = next(iter(self._ciphers), "")

    def seal(self, failed: ingest_pb2.FailedEvent) -> bytes:
        """The row's body: the failed event serialised, its payload encrypted where there is a key."""
        if not self._sealing or not failed.payload:
            return failed.SerializeToString()
        sealed = ingest_pb2.FailedEvent()
        sealed.CopyFrom(failed)
        nonce = os.urandom(_NONCE_BYTES)
        sealed.key_id = self._sealing
        sealed.payload = nonce + self._ciphers[self._sealing].encrypt(
            nonce, failed.payload, _bound_to(sealed)
        )
        return sealed.SerializeToString()

    def open(self, body: bytes) -> ingest_pb2.FailedEvent:
        """The failed event of a row's body.

        Where its key is not there, or the payload was changed, the payload is empty and `locked` is set.
        """
        failed = ingest_pb2.FailedEvent.FromString(body)
        if not failed.key_id:
            return failed
        cipher = self._ciphers.get(failed.key_id)
        payload = failed.payload
        failed.ClearField("payload")
        if cipher is None or len(payload) < _NONCE_BYTES:
            failed.locked = True
            return failed
        try:
            failed.payload = cipher.decrypt(payload[:_NONCE_BYTES], payload[_NONCE_BYTES:], _bound_to(failed))
        except InvalidTag:
            failed.locked = True
        return failed


def parse_keys(text: str) -> dict[str, bytes]:
    """Keys of a key file: a line each, `<key id>:<32 bytes in base64>`; blank lines and comments (#) count for nothing.

    Raises FailedPrecondition (FAILED_KEYS_INVALID) with the line's number, never with what it holds.
    """
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        key_id, _, encoded = line.partition(":")
        try:
            key = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not _KEY_ID.fullmatch(key_id) or len(key) != _KEY_BYTES or key_id in keys:
            raise FailedPrecondition(
                "FAILED_KEYS_INVALID",
                f"line {number} of the key file for failed events is not `<key id>:<32 bytes in base64>` with an id of its "
                "own; `openssl rand -base64 32` makes a key",
            )
        keys[key_id] = key
    if not keys:
        raise FailedPrecondition("FAILED_KEYS_INVALID", "the key file for failed events holds no key")
    return keys


def _bound_to(failed: ingest_pb2.FailedEvent) -> bytes:
    return f"{failed.tenant}\0{failed.failed_id}\0{failed.key_id}".encode()
