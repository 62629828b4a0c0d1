"""Entries of a Redis stream, read as a consumer of a group.

An entry is acknowledged once it has its ending; until then Redis keeps it in the list of what is pending. A consumer that
comes back reads its own pending entries first; those of one that does not are taken over (XAUTOCLAIM) when they have been
idle for `claim_seconds`. What this one holds while ingest is away it claims anew before others would.

Source: https://redis.io/docs/latest/develop/data-types/streams/ (consumer groups, "Recovering from permanent failures").
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import orjson
from prometheus_client import Counter

from services.common.errors import InvalidArgument
from services.common.telemetry import Telemetry
from services.ingest.sources.pump import Batch, Lag
from services.ingest.sources.records import JSON, Record
from services.ingest.sources.settings import RedisSettings

_BLOCK_MS = 500
_TIMEOUT_S = 10.0
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_CONTENT_TYPE = b"content-type"
_PLAUSIBLE_MS = 100_000_000_000
"""Ids below this (1973) are the sender's own numbers and no times."""


class RedisSource:
    """A consumer of a group."""

    def __init__(
        self, settings: RedisSettings, batch_events: int, consumer: str, telemetry: Telemetry
    ) -> None:
        import redis.asyncio

        self._settings = settings
        self._batch = batch_events
        self._consumer = consumer
        self._log = telemetry.logger("redis")
        self._client: Any = redis.asyncio.Redis.from_url(
            settings.address,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            client_name=f"usher-{consumer}",
        )
        self._held: set[bytes] = set()
        self._own: bytes | None = b"0"
        """Where the reading of this consumer's own pending entries stands; None: it is done."""
        self._cursor: Any = b"0-0"
        self._claim_due = 0.0
        self._keeping: asyncio.Task[None] | None = None
        self._gone = Counter(
            "usher_source_entries_gone",
            "Entries that were removed from the stream before they were accepted: trimmed too early.",
            registry=telemetry.registry,
        )
        self.trouble = ""

    # -- what the pump calls -----------------------------------------------------------------------

    async def open(self) -> None:
        """Makes the group where there is none. Raises InvalidArgument (REDIS_STREAM_INVALID) for a key that is none."""
        await self._patiently(self._make_group)
        self._keeping = asyncio.create_task(self._keep(), name="claims")

    async def next(self) -> Batch:
        """The next entries: own pending ones first, then what others left, then new ones."""
        while True:
            entries = await self._patiently(self._read)
            there = [(entry_id, fields) for entry_id, fields in entries if entry_id not in self._held]
            whole = [(entry_id, fields) for entry_id, fields in there if fields]
            if len(whole) < len(there):
                await self._note_gone([entry_id for entry_id, fields in there if not fields])
            if not whole:
                continue
            ids = [entry_id for entry_id, _ in whole]
            self._held.update(ids)
            return Batch(self._settings.stream, [self._record(*one) for one in whole], ids)

    async def settle(self, batch: Batch) -> None:
        """Acknowledges the entries, for as long as that takes."""
        ids: list[bytes] = batch.mark
        await self._patiently(lambda: self._client.xack(self._settings.stream, self._settings.group, *ids))
        self._held.difference_update(ids)

    async def lag(self) -> Lag:
        """Entries of the group that are not acknowledged, here or elsewhere, and those that nobody has read."""
        import redis.exceptions

        stream, group = self._settings.stream, self._settings.group
        try:
            for found in await self._client.xinfo_groups(stream):
                if _text(found["name"]) == group:
                    break
            else:
                return Lag(-1, -1)
            pending = await self._client.xpending(stream, group)
            unread = await self._client.xrange(stream, min=b"(" + _bytes(found["last-delivered-id"]), count=1)
        except (redis.exceptions.RedisError, OSError):
            return Lag(-1, -1)
        oldest = [_bytes(pending["min"])] if pending["pending"] else []
        oldest += [unread[0][0]] if unread else []
        if not oldest:
            return Lag(0, 0)
        # Where entries were deleted in between Redis cannot count them.
        waiting = found.get("lag") if unread else 0
        records = -1 if waiting is None else int(waiting) + int(pending["pending"])
        first_ms = min(_time_ms(one) for one in oldest)
        return Lag(records, max(1, int(time.time() * 1000) - first_ms) if first_ms else -1)

    async def close(self) -> None:
        """Leaves; what is pending stays pending under this consumer's name."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self._client.aclose()

    # -- reading -----------------------------------------------------------------------------------

    async def _read(self) -> list[tuple[bytes, dict[bytes, bytes] | None]]:
        settings = self._settings
        if self._own is not None:
            entries = await self._read_group(self._own, block_ms=None)
            self._own = entries[-1][0] if entries else None
            return entries
        if time.monotonic() >= self._claim_due:
            answer = await self._client.xautoclaim(
                settings.stream,
                settings.group,
                self._consumer,
                min_idle_time=int(settings.claim_seconds * 1000),
                start_id=self._cursor,
                count=self._batch,
            )
            self._cursor, claimed = answer[0], answer[1]
            if len(answer) > 2 and answer[2]:
                await self._note_gone(answer[2])
            if self._cursor == b"0-0":
                self._claim_due = time.monotonic() + settings.claim_seconds / 4
            if claimed:
                self._log.info("entries were taken over", extra={"entries": len(claimed)})
            return list(claimed)
        return await self._read_group(b">", block_ms=_BLOCK_MS)

    async def _read_group(
        self, begin: bytes, block_ms: int | None
    ) -> list[tuple[bytes, dict[bytes, bytes] | None]]:
        answer = await self._client.xreadgroup(
            self._settings.group,
            self._consumer,
            {self._settings.stream: begin},
            count=self._batch,
            block=block_ms,
        )
        if isinstance(answer, dict):
            # The third version of the protocol answers a map.
            answer = [(name, [one for some in lists for one in some]) for name, lists in answer.items()]
        return list(answer[0][1]) if answer else []

    async def _keep(self) -> None:
        """Claims anew what is held, so that nobody takes it over while this process lives."""
        while True:
            await asyncio.sleep(self._settings.claim_seconds / 4)
            ids = sorted(self._held)
            for begin in range(0, len(ids), 1000):
                some = ids[begin : begin + 1000]
                await self._patiently(
                    lambda some=some: self._client.xclaim(  # type: ignore[misc]
                        self._settings.stream,
                        self._settings.group,
                        self._consumer,
                        min_idle_time=0,
                        message_ids=some,
                        justid=True,
                    )
                )

    async def _make_group(self) -> None:
        import redis.exceptions

        start = "0" if self._settings.start == "earliest" else "$"
        try:
            await self._client.xgroup_create(
                self._settings.stream, self._settings.group, id=start, mkstream=True
            )
        except redis.exceptions.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    async def _note_gone(self, ids: list[bytes]) -> None:
        self._gone.inc(len(ids))
        self._log.error(
            "entries were trimmed from the stream before they were accepted: they are lost; keep more of it",
            extra={"entries": len(ids), "first": _text(ids[0])},
        )
        await self._client.xack(self._settings.stream, self._settings.group, *ids)

    async def _patiently(self, ask: Any) -> Any:
        """What Redis answers, however long it is away. Raises InvalidArgument where it will never answer."""
        import redis.exceptions

        pause = _FIRST_PAUSE_S
        while True:
            try:
                answer = await ask()
            except redis.exceptions.ResponseError as error:
                text = str(error)
                if text.startswith("WRONGTYPE"):
                    raise InvalidArgument(
                        "REDIS_STREAM_INVALID", f"the key {self._settings.stream} is there and is no stream"
                    ) from None
                if text.startswith("NOGROUP"):
                    self._log.warning("the group is gone and is made again")
                    await self._patiently(self._make_group)
                    continue
                self._note_trouble(text.partition(" ")[0], error)
            except (redis.exceptions.RedisError, OSError) as error:
                self._note_trouble("REDIS_UNAVAILABLE", error)
            else:
                self.trouble = ""
                return answer
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    def _note_trouble(self, reason: str, error: Exception) -> None:
        if self.trouble != reason:
            self._log.warning("Redis does not serve", extra={"reason": reason, "error": str(error)[:300]})
        self.trouble = reason

    def _record(self, entry_id: bytes, fields: dict[bytes, bytes]) -> Record:
        number = _text(entry_id)
        value = fields.get(self._settings.field.encode())
        media_type = _text(fields.get(_CONTENT_TYPE, b""))
        if value is None:
            # The fields of the entry are those of the event, all of them texts.
            value = orjson.dumps({_text(name): _text(one) for name, one in fields.items()})
            media_type = JSON
        return Record(
            value=value,
            place=f"redis:{self._settings.stream}/{number}",
            where=f"entry {number} of stream {self._settings.stream}",
            media_type=media_type,
            time_ms=_time_ms(entry_id),
        )


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _time_ms(entry_id: bytes) -> int:
    number = int(entry_id.partition(b"-")[0])
    return number if number >= _PLAUSIBLE_MS else 0
