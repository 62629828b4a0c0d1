"""A Redis stream as a sink: XADD, capped by a length, and a wait for the append-only file where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis.asyncio
import redis.exceptions

from cli.console import UnusableError
from cli.sinks.encoding import Encoding
from cli.sinks.records import Record
from cli.sinks.runner import NotTakenError, first_line, why

_WAIT_AOF_SINCE = (7, 2)


class RedisSink:
    """Appends to a stream; entries are trimmed to about `max_length` (0: never).

    Where the server keeps an append-only file a record counts as taken once that was written to disk (WAITAOF), there and on
    `replicas` replicas; without one, once the server and its replicas have it in memory.
    """

    def __init__(
        self, url: str, stream: str, *, encoding: Encoding, max_length: int, replicas: int, timeout: float
    ) -> None:
        self._client: Any = redis.asyncio.Redis.from_url(
            url, socket_timeout=timeout + 1, socket_connect_timeout=timeout
        )
        self._stream = stream
        self._encoding = encoding
        self._max_length = max_length
        self._replicas = replicas
        self._timeout_ms = int(timeout * 1000)
        self._fsyncs: bool | None = None

    async def check(self) -> bool:
        """Returns whether records are on disk once taken.

        Raises UnusableError where the key is no stream, RedisError and OSError where the server does not answer.
        """
        info = await self._client.info()
        version = tuple(int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2])
        kind = await self._client.type(self._stream)
        if kind not in (b"none", b"stream"):
            raise UnusableError(
                f"{self._stream} holds a {kind.decode()}: name a stream, or a key that is free"
            )
        self._fsyncs = bool(info.get("aof_enabled")) and version >= _WAIT_AOF_SINCE
        return self._fsyncs

    async def deliver(self, records: Sequence[Record]) -> None:
        try:
            if self._fsyncs is None:
                await self.check()
            # One connection and one round trip: the wait concerns the writes of its own connection.
            async with self._client.pipeline(transaction=False) as pipe:
                for one in records:
                    pipe.xadd(
                        self._stream, self._fields(one), maxlen=self._max_length or None, approximate=True
                    )
                if self._fsyncs:
                    pipe.execute_command("WAITAOF", 1, self._replicas, self._timeout_ms)
                elif self._replicas:
                    pipe.execute_command("WAIT", self._replicas, self._timeout_ms)
                answers = await pipe.execute(raise_on_error=False)
        except (redis.exceptions.RedisError, OSError) as error:
            # The server may be another one when it is back.
            self._fsyncs = None
            raise NotTakenError(why(type(error).__name__), f"Redis: {first_line(error)}") from None
        failed = [
            (one, answer)
            for one, answer in zip(records, answers, strict=False)
            if isinstance(answer, Exception)
        ]
        if failed:
            text = first_line(failed[0][1])
            raise NotTakenError(
                why(text.partition(" ")[0]),
                f"Redis: {text}",
                # Without the wait nothing is known to be on disk.
                rest=None if self._fsyncs or self._replicas else [one for one, _ in failed],
            )
        if len(answers) > len(records):
            self._require_durable(answers[-1])

    def _require_durable(self, answer: Any) -> None:
        if isinstance(answer, Exception):
            self._fsyncs = None
            raise NotTakenError("NOT_DURABLE", f"Redis: {first_line(answer)}")
        local, replicas = answer if self._fsyncs else (1, answer)
        if local < 1 or replicas < self._replicas:
            raise NotTakenError(
                "NOT_DURABLE",
                f"Redis: not yet on disk ({local}) or on {self._replicas} replicas ({replicas})",
            )

    def _fields(self, record: Record) -> dict[str, Any]:
        return {
            "id": record.message_id,
            "tenant": record.decision.tenant,
            "event_id": record.decision.event_id,
            "position": str(record.position),
            "content_type": self._encoding.content_type,
            "data": record.value,
        }

    async def close(self) -> None:
        await self._client.aclose()
