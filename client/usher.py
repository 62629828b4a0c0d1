"""The asynchronous client.

Calls of `decide` gather without a timer: what has arrived while a call was under way goes with the next, at most 256 events,
and an account is in one call at a time, so that its events keep their order. Every answer comes within its deadline: from
Usher, or from the client itself (client/fallback.py). An event that was answered so is handed over afterwards under the same
id, so that nothing is missing from the viewer's history; Usher's receipts make a repeat harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import grpc

from client.breaker import CircuitBreaker
from client.fallback import Answer, KnownDevices, answer_of, fallback
from services.common.errors import from_rpc_error
from services.common.transport import is_loopback, split_host_port
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

MAX_EVENT_BYTES = 65_536
"""Ingest's limit of one event."""
MAX_CALL_EVENTS = 256
_MAX_CALL_BYTES = 3 << 20
_SERVICE_CONFIG = '{"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}}'
_RESEND_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0

log = logging.getLogger("usher.client")


@dataclass(frozen=True)
class ClientSettings:
    """Where Usher is and how long its answer may take."""

    target: str
    """`unix:/path`, `host:port`, or `dns:///name:port`, whose records are the addresses."""
    tenant: str
    api_key: str = ""
    """Sent as `x-api-key`. May be empty on loopback in dev mode."""
    credentials: grpc.ChannelCredentials | None = None
    """TLS; None is plaintext, which is taken for loopback and unix sockets only."""
    deadline: float = 0.5
    """Seconds within which every `decide` answers."""
    calls_in_flight: int = 2
    """More than two hardly gains: ingest has two batches under way."""
    breaker_failures: int = 5
    """Calls that fail in a row before none is tried for `breaker_seconds`."""
    breaker_seconds: float = 2.0
    max_waiting: int = 10_000
    """Events that wait for a call; beyond it they are answered at once by the client itself."""
    max_unsent: int = 100_000
    """Events that wait to be handed over after the fact, about 1 kB each; beyond it the oldest is given to `on_lost`."""
    submit_timeout: float = 5.0

    def __post_init__(self) -> None:
        if min(self.deadline, self.breaker_seconds, self.submit_timeout) <= 0:
            raise ValueError("deadline, breaker_seconds and submit_timeout are above 0 seconds")
        if min(self.calls_in_flight, self.breaker_failures, self.max_waiting, self.max_unsent) < 1:
            raise ValueError("calls_in_flight, breaker_failures, max_waiting and max_unsent are 1 or more")
        if self.credentials is None and not _is_local(self.target):
            raise ValueError(f"{self.target!r} is not on this machine: give credentials for TLS")


@dataclass
class Stats:
    """What a client has done so far."""

    decided: int = 0
    """Answers that were Usher's, repeats included."""
    fallbacks: int = 0
    """Answers that were the client's own."""
    failed: int = 0
    """Events that Usher will not decide: not valid, or another event under a used id."""
    handed_over: int = 0
    """Events accepted after the fact."""
    lost: int = 0
    """Events that could not be kept for handing over (see `max_unsent`)."""
    causes: dict[str, int] = field(default_factory=dict)
    """Fallbacks by cause."""


@dataclass(eq=False, slots=True)
class _Waiting:
    event: event_pb2.Event
    until: float
    answer: asyncio.Future[Answer]
    sent: bool = False
    """Whether it is in a call: the end of the call then decides what becomes of it."""


class UsherClient:
    """Asks Usher. One a process and event loop; an async context manager."""

    def __init__(self, settings: ClientSettings) -> None:
        self._settings = settings
        self._devices = KnownDevices()
        self._breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_seconds)
        self._waiting: deque[_Waiting] = deque()
        self._busy: set[str] = set()
        self._free = settings.calls_in_flight
        self._calls: set[asyncio.Task[None]] = set()
        self._unsent: deque[event_pb2.Event] = deque()
        self._arrived = asyncio.Event()
        self._resending: asyncio.Task[None] | None = None
        self._closing = False
        self._metadata = (("x-api-key", settings.api_key),) if settings.api_key else ()
        self.stats = Stats()

    async def __aenter__(self) -> UsherClient:
        settings = self._settings
        options = [
            ("grpc.service_config", _SERVICE_CONFIG),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1_000),
        ]
        if settings.credentials is None:
            self._channel = grpc.aio.insecure_channel(settings.target, options=options)
        else:
            self._channel = grpc.aio.secure_channel(settings.target, settings.credentials, options=options)
        self._stub = ingest_pb2_grpc.IngestServiceStub(self._channel)
        self._resending = asyncio.create_task(self._resend())
        return self

    async def __aexit__(self, *_: object) -> None:
        left = await self.close()
        if left:
            log.error("closed with events that were not handed over", extra={"events": len(left)})

    async def close(self, grace: float = 5.0) -> list[event_pb2.Event]:
        """Ends the calls under way and hands over what waits, for at most `grace` seconds.

        Returns the events that were not handed over: sending them later under the same ids loses nothing.
        """
        self._closing = True
        end = time.monotonic() + grace
        while self._calls and time.monotonic() < end:
            await asyncio.wait(self._calls, timeout=end - time.monotonic())
        self._arrived.set()
        if self._resending is not None:
            await asyncio.wait({self._resending}, timeout=max(0.0, end - time.monotonic()))
            self._resending.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, *filter(None, [self._resending]), return_exceptions=True)
        await self._channel.close()
        return list(self._unsent)

    async def decide(self, event: event_pb2.Event, deadline: float | None = None) -> Answer:
        """The answer to one event, within the deadline (seconds; the settings' unless given). Never raises for what Usher
        does or does not do.

        Raises:
            ValueError: the event has no id, or is larger than Usher takes: it could not be accounted for.
            RuntimeError: the client is closed.
        """
        if self._closing:
            raise RuntimeError("the client is closed")
        if not event.event_id:
            raise ValueError("event_id is missing: without it a repeat cannot be told from a new event")
        if event.ByteSize() > MAX_EVENT_BYTES:
            raise ValueError(f"event {event.event_id} has more than {MAX_EVENT_BYTES:,} bytes")
        now = time.monotonic()
        seconds = self._settings.deadline if deadline is None else deadline
        if self._breaker.is_open(now):
            return self._own(event, "BREAKER_OPEN")
        if len(self._waiting) >= self._settings.max_waiting:
            return self._own(event, "CLIENT_QUEUE_FULL")
        waiting = _Waiting(event, now + seconds, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        asyncio.get_running_loop().call_soon(self._start_calls)
        try:
            return await asyncio.wait_for(asyncio.shield(waiting.answer), seconds)
        except TimeoutError:
            if not waiting.answer.done():
                waiting.answer.set_result(self._own(event, "DEADLINE_EXCEEDED", keep=not waiting.sent))
            return waiting.answer.result()

    async def decide_many(
        self, events: Sequence[event_pb2.Event], deadline: float | None = None
    ) -> list[Answer]:
        """The answers to events, in their order. Raises what `decide` raises."""
        return list(await asyncio.gather(*(self.decide(event, deadline) for event in events)))

    async def submit(self, events: Iterable[event_pb2.Event]) -> None:
        """Hands events over that need no answer: at once to the buffer of this process, then to Usher."""
        for event in events:
            self._keep(event)
        await asyncio.sleep(0)

    @property
    def unsent(self) -> int:
        """Events that wait to be handed over."""
        return len(self._unsent)

    # -- asking ------------------------------------------------------------------------------------

    def _start_calls(self) -> None:
        while self._free and self._waiting:
            batch = self._take()
            if not batch:
                return
            now = time.monotonic()
            if not self._breaker.try_call(now):
                for one in batch:
                    self._answer_own(one, "BREAKER_OPEN")
                continue
            self._free -= 1
            for one in batch:
                one.sent = True
                self._busy.add(one.event.user_id)
            call = asyncio.get_running_loop().create_task(self._call(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        left: deque[_Waiting] = deque()
        size = 0
        while self._waiting and len(batch) < MAX_CALL_EVENTS:
            one = self._waiting.popleft()
            if one.answer.done():
                # Its deadline passed while it waited: it is kept for handing over already.
                continue
            size += one.event.ByteSize()
            if one.event.user_id in self._busy or (batch and size > _MAX_CALL_BYTES):
                left.append(one)
                if size > _MAX_CALL_BYTES:
                    break
                continue
            batch.append(one)
        self._waiting.extendleft(reversed(left))
        return batch

    async def _call(self, batch: list[_Waiting]) -> None:
        now = time.monotonic()
        request = ingest_pb2.DecideEventsRequest(
            tenant=self._settings.tenant, events=[one.event for one in batch]
        )
        timeout = max(0.01, max(one.until for one in batch) - now)
        try:
            answer = await self._stub.DecideEvents(request, timeout=timeout, metadata=self._metadata)
            if len(answer.results) != len(batch):
                raise ValueError(f"{len(answer.results)} results for {len(batch)} events")
        except grpc.aio.AioRpcError as failure:
            error = from_rpc_error(failure)
            self._breaker.failed(time.monotonic())
            for one in batch:
                self._give_up(one, error.reason or failure.code().name)
        except ValueError as error:
            log.error("an answer of Usher's does not fit its question", extra={"why": str(error)})
            self._breaker.failed(time.monotonic())
            for one in batch:
                self._give_up(one, "ANSWER_INVALID")
        else:
            self._breaker.succeeded()
            for one, result in zip(batch, answer.results, strict=True):
                self._take_result(one, result)
        finally:
            self._busy.difference_update(one.event.user_id for one in batch)
            self._free += 1
            self._start_calls()

    def _take_result(self, one: _Waiting, result: ingest_pb2.EventResult) -> None:
        answer = answer_of(one.event, result, self._devices)
        if answer is None:
            self._give_up(one, result.failure.reason)
            return
        if answer.failure is not None:
            self.stats.failed += 1
            log.error(
                "an event was not decided and will not be",
                extra={"reason": answer.cause, "failed_id": answer.failure.failed_id},
            )
        elif not one.answer.done():
            self.stats.decided += 1
        if not one.answer.done():
            one.answer.set_result(answer)

    def _give_up(self, one: _Waiting, cause: str) -> None:
        """The call failed: the event goes after the fact, and whoever waits gets the client's own answer."""
        if one.answer.done():
            self._keep(one.event)
        else:
            self._answer_own(one, cause)

    def _answer_own(self, one: _Waiting, cause: str) -> None:
        one.answer.set_result(self._own(one.event, cause))

    def _own(self, event: event_pb2.Event, cause: str, keep: bool = True) -> Answer:
        """The client's own answer. Without `keep` the event is in a call under way, which decides what becomes of it."""
        self.stats.fallbacks += 1
        self.stats.causes[cause] = self.stats.causes.get(cause, 0) + 1
        if keep:
            self._keep(event)
        return fallback(event, self._devices, cause)

    # -- handing over after the fact ---------------------------------------------------------------

    def _keep(self, event: event_pb2.Event) -> None:
        if len(self._unsent) >= self._settings.max_unsent:
            lost = self._unsent.popleft()
            self.stats.lost += 1
            self.on_lost(lost)
        self._unsent.append(event)
        self._arrived.set()

    def on_lost(self, event: event_pb2.Event) -> None:
        """Called for an event that cannot be kept any longer. Override it to spool the event; it logs unless overridden."""
        log.error(
            "too many events wait for Usher: the oldest was given up", extra={"kept": len(self._unsent)}
        )

    async def _resend(self) -> None:
        pause = _RESEND_PAUSE_S
        while True:
            if not self._unsent:
                if self._closing and not self._calls:
                    return
                self._arrived.clear()
                await self._arrived.wait()
                continue
            some = [self._unsent.popleft() for _ in range(min(len(self._unsent), MAX_CALL_EVENTS))]
            again = await self._submit(some)
            self._unsent.extendleft(reversed(again))
            if again:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE_S) if len(again) == len(some) else _RESEND_PAUSE_S

    async def _submit(self, events: list[event_pb2.Event]) -> list[event_pb2.Event]:
        """Hands events over; returns those that have to go again."""
        request = ingest_pb2.SubmitEventsRequest(tenant=self._settings.tenant, events=events)
        try:
            results = (
                await self._stub.SubmitEvents(
                    request, timeout=self._settings.submit_timeout, metadata=self._metadata
                )
            ).results
        except grpc.aio.AioRpcError as failure:
            log.warning(
                "events could not be handed over yet",
                extra={"events": len(events), "reason": from_rpc_error(failure).reason},
            )
            return events
        except asyncio.CancelledError:
            # The client is closing: they are given back to its owner.
            self._unsent.extendleft(reversed(events))
            raise
        again = []
        for event, result in zip(events, results, strict=True):
            if result.status == ingest_pb2.EVENT_STATUS_REFUSED and result.failure.retry_after_ms:
                again.append(event)
            elif result.status in (
                ingest_pb2.EVENT_STATUS_ACCEPTED,
                ingest_pb2.EVENT_STATUS_DUPLICATE,
                ingest_pb2.EVENT_STATUS_DECIDED,
            ):
                self.stats.handed_over += 1
            else:
                self.stats.failed += 1
                log.error(
                    "an event was not accepted and will not be",
                    extra={"reason": result.failure.reason, "failed_id": result.failure.failed_id},
                )
        return again


def _is_local(target: str) -> bool:
    if target.startswith("unix:"):
        return True
    host, _ = split_host_port(target.removeprefix("dns:///"))
    return is_loopback(host)
