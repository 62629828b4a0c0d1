"""Hands events to ingest's Submit door until each has its ending.

What ingest refuses for the moment is sent again after the delay it names; what fails for want of a connection, a key or a
quota is sent again, less and less often, for as long as it takes: the records are safe where they came from.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import grpc

from services.common.errors import InvalidArgument, ResourceExhausted, UsherError
from services.common.telemetry import Telemetry
from services.common.transport import MAX_MESSAGE_BYTES
from services.ingest.sources.records import Mapped, Record, poison
from usher.ingest.v1 import flow_pb2, flow_pb2_grpc, ingest_pb2

MOST_BYTES = MAX_MESSAGE_BYTES * 3 // 4
"""Of the events of one call; the rest is room for framing and for what a proxy may add."""

_SUBMIT = "/usher.ingest.v1.IngestService/SubmitEvents"
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_LONGEST_DELAY_S = 60.0

Call = Callable[[ingest_pb2.EventBatch], Awaitable[ingest_pb2.SubmitEventsResponse]]


def submit_call(channel: grpc.aio.Channel, api_key: str | None) -> Call:
    """SubmitEvents with events left as bytes, and the key with each call. Raises UsherError when awaited."""
    method = channel.unary_unary(
        _SUBMIT,
        request_serializer=ingest_pb2.EventBatch.SerializeToString,
        response_deserializer=ingest_pb2.SubmitEventsResponse.FromString,
    )
    metadata = () if api_key is None else (("x-api-key", api_key),)

    async def call(batch: ingest_pb2.EventBatch) -> ingest_pb2.SubmitEventsResponse:
        answer: ingest_pb2.SubmitEventsResponse = await method(batch, metadata=metadata)
        return answer

    return call


def report_call(
    channel: grpc.aio.Channel, api_key: str | None
) -> Callable[[flow_pb2.SourceReport], Awaitable[None]]:
    """ReportSource. Raises UsherError when awaited."""
    stub = flow_pb2_grpc.FlowServiceStub(channel)
    metadata = () if api_key is None else (("x-api-key", api_key),)

    async def report(told: flow_pb2.SourceReport) -> None:
        await stub.ReportSource(flow_pb2.ReportSourceRequest(report=told), metadata=metadata)

    return report


class Delivery:
    """Delivers for one tenant. `counts` holds records by ending since the start: accepted, failed, refused, poison."""

    def __init__(self, call: Call, tenant: str, telemetry: Telemetry) -> None:
        self._call = call
        self._tenant = tenant
        self._log = telemetry.logger("delivery")
        self._waiting: dict[int, str] = {}
        self.counts: Counter[str] = Counter()

    @property
    def waiting_for(self) -> str:
        """Why nothing goes on, UPPER_SNAKE; empty while it does."""
        return next(iter(self._waiting.values()), "")

    async def deliver(self, records: Sequence[Record], events: Sequence[Mapped]) -> None:
        """Returns once each record has its ending: durably accepted (or known), kept as failed, or refused for good."""
        begin = size = 0
        for index, event in enumerate(events):
            if size + len(event.payload) > MOST_BYTES and index > begin:
                await self._settle(records[begin:index], events[begin:index])
                begin, size = index, 0
            size += len(event.payload)
        if events:
            await self._settle(records[begin:], events[begin:])

    async def _settle(self, records: Sequence[Record], events: Sequence[Mapped]) -> None:
        pause = _FIRST_PAUSE_S
        token = id(records)
        try:
            while events:
                try:
                    answer = await self._call(
                        ingest_pb2.EventBatch(tenant=self._tenant, events=[one.payload for one in events])
                    )
                    if len(answer.results) != len(events):
                        raise UsherError(
                            "ANSWER_INVALID",
                            f"{len(answer.results)} results came for {len(events)} events",
                        )
                except UsherError as error:
                    if _is_about_content(error):
                        await self._taken_apart(records, events, error)
                        return
                    self._tell(token, error.reason, len(events))
                    delay = min(error.retry_after or 0.0, _LONGEST_DELAY_S)
                    await asyncio.sleep(max(delay, pause * random.uniform(0.5, 1.0)))
                    pause = min(pause * 2, _LONGEST_PAUSE_S)
                    continue
                again, delay = self._read(records, events, answer)
                if again:
                    first = again[0]
                    self._tell(token, answer.results[first].failure.reason, len(again))
                    await asyncio.sleep(min(delay, _LONGEST_DELAY_S))
                records = [records[index] for index in again]
                events = [events[index] for index in again]
        finally:
            self._waiting.pop(token, None)

    def _read(
        self, records: Sequence[Record], events: Sequence[Mapped], answer: ingest_pb2.SubmitEventsResponse
    ) -> tuple[list[int], float]:
        """Notes the endings; returns which have none yet, and the seconds to wait for them."""
        again: list[int] = []
        delay = 0.0
        for index, result in enumerate(answer.results):
            status = result.status
            if status == ingest_pb2.EVENT_STATUS_FAILED:
                self.counts["poison" if events[index].poison else "failed"] += 1
                self._log.warning(
                    "a record is kept as a failed event",
                    extra={
                        "record": records[index].place,
                        "reason": result.failure.reason,
                        "failed_id": result.failure.failed_id,
                    },
                )
            elif status == ingest_pb2.EVENT_STATUS_REFUSED and result.failure.retry_after_ms:
                again.append(index)
                delay = max(delay, result.failure.retry_after_ms / 1000)
            elif status == ingest_pb2.EVENT_STATUS_REFUSED:
                self.counts["refused"] += 1
                self._log.warning(
                    "a record was refused for good",
                    extra={"record": records[index].place, "reason": result.failure.reason},
                )
            else:
                self.counts["accepted"] += 1
        return again, delay

    async def _taken_apart(
        self, records: Sequence[Record], events: Sequence[Mapped], error: UsherError
    ) -> None:
        """The call was refused for something in it: halves find it, and alone it is kept as what it is."""
        if len(events) > 1:
            middle = len(events) // 2
            await self._settle(records[:middle], events[:middle])
            await self._settle(records[middle:], events[middle:])
            return
        await self._settle(records, [poison(records[0], error.reason, error.message)])

    def _tell(self, token: int, reason: str, events: int) -> None:
        if self._waiting.get(token) != reason:
            self._log.warning("records wait to be accepted", extra={"reason": reason, "records": events})
        self._waiting[token] = reason


def _is_about_content(error: UsherError) -> bool:
    if isinstance(error, InvalidArgument):
        return error.reason in ("EVENT_TOO_LARGE", "MALFORMED_MESSAGE", "TOO_MANY_EVENTS")
    return isinstance(error, ResourceExhausted) and error.reason == "MESSAGE_TOO_LARGE"
