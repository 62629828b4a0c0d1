"""From WatchDecisions to a sink, and the acknowledgement once the sink has it. The same for every sink."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import grpc
from prometheus_client import Counter, Gauge

from cli.console import UnusableError
from cli.sinks.encoding import Encoding
from cli.sinks.records import Record, records_of
from services.common.errors import UsherError
from services.common.telemetry import Telemetry
from services.common.webhooks import LONGEST_RETRY_AFTER_SECONDS, retry_delay
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import flow_pb2, flow_pb2_grpc, ingest_pb2, ingest_pb2_grpc

LONGEST_DELAY_SECONDS = 300.0
"""Between two tries of the same records, unless the sink asks for more."""
_ACK_EVERY_S = 1.0
_FOR_GOOD = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)


class NotTakenError(Exception):
    """A sink did not take records, or not all. They are tried again.

    `reason` is UPPER_SNAKE, `rest` what it did not take (None: all), `retry_after` seconds where it said when to come back.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        rest: Sequence[Record] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.rest = rest
        self.retry_after = retry_after


class Sink(Protocol):
    """Where decisions go."""

    async def deliver(self, records: Sequence[Record]) -> None:
        """Returns once the sink has all records durably. Raises NotTakenError; records may then be there all the same."""
        ...

    async def close(self) -> None:
        """Gives connections back."""
        ...


class Runner:
    """Passes decisions of a tenant on, under the name of a subscriber. `run` returns after `stop`.

    Args:
        channel: to ingest.
        metadata: of every call (the API key).
        from_now: where the subscriber is new: begin with new decisions instead of the first kept.
        tell: told in a line what people should know.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        sink: Sink,
        *,
        tenant: str,
        subscriber: str,
        encoding: Encoding,
        from_now: bool,
        metadata: Sequence[tuple[str, str]],
        telemetry: Telemetry,
        tell: Callable[[str], None],
        delay: Callable[[int, float | None], float] | None = None,
    ) -> None:
        self._stub = ingest_pb2_grpc.IngestServiceStub(channel)
        self._flow = flow_pb2_grpc.FlowServiceStub(channel)
        self._sink = sink
        self._tenant = tenant
        self._subscriber = subscriber
        self._encoding = encoding
        self._from_now = from_now
        self._metadata = metadata
        self._tell = tell
        self._delay = delay or pause_after
        self._stopping = asyncio.Event()
        self._anchored = False
        self._reached = 0
        self._done: int | None = None
        self._acked_at = 0.0
        self._oldest: float | None = None
        self.delivered = 0
        registry = telemetry.registry
        self._count = Counter("usher_sink_decisions", "Decisions that the sink has.", registry=registry)
        self._failures = Counter(
            "usher_sink_failures", "Tries that the sink or ingest failed.", ("reason",), registry=registry
        )
        self._waiting = Gauge(
            "usher_sink_waiting", "1 while it waits to try again, 0 while it runs.", registry=registry
        )
        Gauge(
            "usher_sink_lag_seconds",
            "Age of the oldest decision that was read and that the sink does not have; 0: none.",
            registry=registry,
        ).set_function(lambda: max(0.0, time.time() - self._oldest) if self._oldest is not None else 0.0)

    def stop(self) -> None:
        """Ends `run` after the records in hand, or while it waits."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    async def run(self) -> None:
        """Passes decisions on. Raises UnusableError for what ingest refuses for good."""
        failed = 0
        while not self._stopping.is_set():
            try:
                request = ingest_pb2.WatchDecisionsRequest(
                    tenant=self._tenant,
                    # Where something is noted under the name, reading begins there.
                    after_position=-1 if self._from_now and not self._anchored else 0,
                    subscriber=self._subscriber,
                )
                async for piece in self._stub.WatchDecisions(request, metadata=self._metadata):
                    failed = 0
                    await self._take(piece.decisions)
                    if self._stopping.is_set():
                        break
            except UsherError as error:
                if error.code is grpc.StatusCode.DEADLINE_EXCEEDED:
                    # A stream ends now and then, so that connections are renewed.
                    continue
                if error.code in _FOR_GOOD:
                    raise UnusableError(f"ingest: {error.message} ({error.reason})") from None
                failed += 1
                await self._wait(failed, error.reason, f"ingest: {error.message}", error.retry_after)
        await self._last_ack()

    async def _take(self, decisions: Sequence[decision_pb2.Decision]) -> None:
        # After a reconnect ingest begins at what was acknowledged, which may lie before what was delivered.
        new = [one for one in decisions if one.position > self._reached]
        if new:
            if not self._anchored:
                # From here on the name stands for a place, though nothing may ever be delivered.
                await self._ack(new[0].position - 1)
                self._anchored = True
            self._oldest = new[0].decided_time.ToMilliseconds() / 1000
            records = records_of(new, self._encoding)
            if not await self._deliver(records):
                return
            self._oldest = None
            self.delivered += len(records)
            self._count.inc(len(records))
            self._reached = self._done = records[-1].position
        if self._done is not None and (not new or time.monotonic() - self._acked_at >= _ACK_EVERY_S):
            await self._ack(self._done)
            self._done = None

    async def _deliver(self, records: Sequence[Record]) -> bool:
        """Returns once the sink has them; False where it is stopped before."""
        tries = 0
        while True:
            try:
                await self._sink.deliver(records)
            except NotTakenError as error:
                if error.rest is not None:
                    # What it took is progress: the next failure is a first one.
                    tries = 0 if len(error.rest) < len(records) else tries
                    records = error.rest
                tries += 1
                if not await self._wait(tries, error.reason, str(error), error.retry_after):
                    return False
            else:
                if tries:
                    self._tell("the sink takes decisions again")
                return True

    async def _wait(self, tries: int, reason: str, message: str, retry_after: float | None) -> bool:
        self._failures.labels(reason).inc()
        seconds = self._delay(tries, retry_after)
        self._tell(f"{message} ({reason}); nothing is lost, next try in {seconds:.1f} s")
        self._waiting.set(1)
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return True
        finally:
            self._waiting.set(0)
        return False

    async def _ack(self, position: int) -> None:
        request = flow_pb2.AckDecisionsRequest(
            tenant=self._tenant, subscriber=self._subscriber, position=position
        )
        await self._flow.AckDecisions(request, metadata=self._metadata)
        self._acked_at = time.monotonic()

    async def _last_ack(self) -> None:
        if self._done is None:
            return
        try:
            await self._ack(self._done)
        except UsherError as error:
            self._tell(f"the last decisions could not be acknowledged and will be repeated ({error.reason})")


def pause_after(tries: int, retry_after: float | None) -> float:
    """Seconds until the next try: those of a webhook (services/common/webhooks.py), at most five minutes unless asked."""
    seconds = min(retry_delay(tries), LONGEST_DELAY_SECONDS)
    return seconds if retry_after is None else max(seconds, min(retry_after, LONGEST_RETRY_AFTER_SECONDS))


def first_line(error: BaseException) -> str:
    """The first line of what another library says, short enough for a log."""
    return (str(error).splitlines() or [""])[0][:200] or type(error).__name__


def why(error: Any) -> str:
    """A name of an error as UPPER_SNAKE, for a label."""
    return "".join(c if c.isalnum() else "_" for c in str(error)).strip("_").upper()[:60] or "ERROR"
