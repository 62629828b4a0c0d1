"""KeyService: check, call, answer."""

from __future__ import annotations

from typing import Any

from services.common.clock import Clock
from services.common.errors import FieldViolation, InvalidArgument
from services.ingest import keys
from services.ingest.check import require_tenant
from services.ingest.keys import KeyRow
from services.ingest.senders import Senders
from services.ingest.store_keys import KeyStore
from usher.ingest.v1 import keys_pb2, keys_pb2_grpc

KEYS = "usher.ingest.v1.KeyService"


class KeyServicer(keys_pb2_grpc.KeyServiceServicer):
    """Makes, lists, rotates and revokes keys."""

    def __init__(self, store: KeyStore, senders: Senders, clock: Clock) -> None:
        self._store = store
        self._senders = senders
        self._clock = clock

    async def CreateKey(self, request: keys_pb2.CreateKeyRequest, context: Any) -> keys_pb2.CreateKeyResponse:
        require_tenant(request.tenant)
        name, rights = keys.valid_name(request.name), keys.mask_of(request.rights)
        if request.requests_per_minute > keys.MOST_REQUESTS_PER_MINUTE:
            raise _invalid("requests_per_minute", "KEY_RATE_INVALID", "1 to 10,000,000, or 0 for the default")
        now_ms = self._clock.now_ms()
        expires_ms = 0
        if request.HasField("lifetime"):
            life_ms = request.lifetime.ToMilliseconds()
            if not keys.SHORTEST_LIFE_MS <= life_ms <= keys.LONGEST_LIFE_MS:
                raise _invalid("lifetime", "KEY_LIFETIME_INVALID", "a minute to ten years")
            expires_ms = now_ms + life_ms
        key_id, secret, digest = keys.new_key()
        row = KeyRow(
            key_id,
            digest,
            request.tenant,
            name,
            rights,
            request.requests_per_minute,
            now_ms,
            request.actor[:128],
            expires_ms,
            0,
            0,
            "",
        )
        await self._store.database.run(self._store.add, row)
        return keys_pb2.CreateKeyResponse(key=keys.message(row), secret=secret)

    async def ListKeys(self, request: keys_pb2.ListKeysRequest, context: Any) -> keys_pb2.ListKeysResponse:
        if request.tenant:
            require_tenant(request.tenant)
        await self._senders.flush()
        rows = await self._store.database.read(self._store.list, request.tenant or None)
        return keys_pb2.ListKeysResponse(keys=[keys.message(row) for row in rows])

    async def RotateKey(self, request: keys_pb2.RotateKeyRequest, context: Any) -> keys_pb2.RotateKeyResponse:
        overlap_ms = keys.USUAL_OVERLAP_MS
        if request.HasField("overlap"):
            overlap_ms = request.overlap.ToMilliseconds()
            if not 0 <= overlap_ms <= keys.LONGEST_OVERLAP_MS:
                raise _invalid("overlap", "KEY_LIFETIME_INVALID", "0 to 90 days")
        now_ms = self._clock.now_ms()
        new_id, secret, digest = keys.new_key()
        new, old = await self._store.database.run(
            self._store.rotate,
            request.key_id,
            new_id,
            digest,
            now_ms + overlap_ms,
            request.actor[:128],
            now_ms,
        )
        self._senders.forget(old.key_id)
        return keys_pb2.RotateKeyResponse(key=keys.message(new), secret=secret, old_key=keys.message(old))

    async def RevokeKey(self, request: keys_pb2.RevokeKeyRequest, context: Any) -> keys_pb2.RevokeKeyResponse:
        row = await self._store.database.run(self._store.revoke, request.key_id, self._clock.now_ms())
        self._senders.forget(row.key_id)
        return keys_pb2.RevokeKeyResponse(key=keys.message(row))


def _invalid(field: str, reason: str, advice: str) -> InvalidArgument:
    return InvalidArgument(reason, f"{field} is {advice}", violations=[FieldViolation(field, reason, advice)])
