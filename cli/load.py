"""`usher load`: open-loop load on a mesh of this machine, and its books compared with what was sent.

Calls leave by a timetable that is fixed beforehand, whatever the answers do, and an answer's time counts from the
moment at which its call was due: a mesh that falls behind cannot slow the measurement down and look fast. Calls in
flight are bounded; one that is due while the bound is reached waits, and its wait counts.

At the end every event has an ending. What became of a call that failed is not known to the sender, so its events are
sent once more: both doors are idempotent, and the answer tells. Then the sender's ledger is held against the
difference that the run made in the mesh's own books.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import math
import resource
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
import orjson

from cli.console import EXIT_INCOMPLETE, EXIT_OK, UnusableError, say
from cli.mesh import channel_options, checked_target
from services.common.errors import ResourceExhausted, UsherError, from_rpc_error
from services.common.transport import split_host_port
from simulator.traffic import generate
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2

MAX_BATCH_EVENTS = 2_000
MAX_BODIES = 20_000
"""Distinct events that are made beforehand; they come round again with fresh ids and times."""

_DECIDE = "/usher.ingest.v1.IngestService/DecideEvents"
_ACCOUNTING = "/usher.ingest.v1.IngestService/GetAccounting"
_EVENTS_PER_VIEWER_DAY = 20
_DAY_MS = 86_400_000
_HEAD_START_S = 0.1
_QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
_RESOLVE_BATCH = 256
_LOOKS = 3
_TABLE_WIDTH = 160
# An interval above this is waited for with an eye on Ctrl-C.
_LONG_WAIT_S = 0.2
_ENDINGS = {
    ingest_pb2.EVENT_STATUS_DECIDED: "decided",
    # A repeat of this run's own sending: the event was decided, the answer was lost.
    ingest_pb2.EVENT_STATUS_DUPLICATE: "decided",
    ingest_pb2.EVENT_STATUS_FAILED: "failed",
    ingest_pb2.EVENT_STATUS_CONFLICT: "conflict",
    ingest_pb2.EVENT_STATUS_REFUSED: "refused",
}


@dataclass(frozen=True)
class LoadSettings:
    """What is sent. Durations are in seconds."""

    target: str
    tenant: str
    rates: Sequence[float]
    """Events a second; one step each."""
    seconds: float
    """How long each step lasts."""
    batch: int
    """Events a call."""
    in_flight: int
    """Calls in flight at most."""
    users: int
    seed: int
    timeout: float
    """Longest single call."""
    resolve_for: float
    """How long the endings of events without an answer are looked for."""
    as_json: bool = False


class Event(NamedTuple):
    """One event on its way."""

    event_id: str
    payload: bytes


@dataclass
class Step:
    """What one rate gave."""

    rate: float
    seconds: float = 0.0
    """From the first call's due time to the last answer."""
    events: int = 0
    calls: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds from due to answer, one an answered call."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed calls by reason."""
    endings: Counter[str] = field(default_factory=Counter)
    """Events by what they were answered."""
    held: int = 0
    """Calls that waited because the bound was reached."""
    latest: float = 0.0
    """Seconds by which the latest call left after it was due."""
    cpu: float = 0.0
    """Share of one core that this sender used, 0 to 1."""

    def to_json(self) -> dict[str, Any]:
        """The step as `--json` writes it; times in milliseconds."""
        return {
            "rate": self.rate,
            "seconds": round(self.seconds, 3),
            "events": self.events,
            "calls": self.calls,
            "answered_per_second": round(sum(self.endings.values()) / self.seconds, 1)
            if self.seconds
            else None,
            "latency_ms": {
                name: None if value is None else round(value * 1000, 3)
                for name, value in quantiles(self.latencies).items()
            },
            "endings": dict(self.endings),
            "failed_calls": dict(self.failures),
            "held_calls": self.held,
            "latest_send_ms": round(self.latest * 1000, 3),
            "sender_cpu": round(self.cpu, 3),
        }


class Row(NamedTuple):
    """One line of the comparison with the books."""

    name: str
    least: int
    most: int
    """What this run's answers let expect: from `least` to `most`."""
    booked: int
    """By how much the books grew."""

    @property
    def verdict(self) -> str:
        """ "ok", "<n> missing" or "<n> more than sent"."""
        if self.booked < self.least:
            return f"{self.least - self.booked:,} missing"
        return f"{self.booked - self.most:,} more than sent" if self.booked > self.most else "ok"


def quantiles(latencies: Sequence[float]) -> dict[str, float | None]:
    """Nearest-rank quantiles and the largest; None where there are too few values for one to mean anything."""
    ordered = sorted(latencies)
    found: dict[str, float | None] = {}
    for name, share in _QUANTILES:
        enough = len(ordered) * (1 - share) >= 1 - 1e-9
        found[name] = ordered[math.ceil(share * len(ordered)) - 1] if enough else None
    found["max"] = ordered[-1] if ordered else None
    return found


def require_loopback(target: str) -> None:
    """Raises UnusableError where an address of the target is not of this machine."""
    for part in target.removeprefix("dns:///").split(","):
        address = part.strip()
        if address.startswith("unix:/"):
            continue
        try:
            host, _ = split_host_port(address)
            local = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            local = False
        if not local:
            raise UnusableError(
                f"load is for a mesh of this machine: {address} is neither loopback nor unix:/"
            )


def bodies(users: int, seed: int, wanted: int, now_ms: int) -> list[bytes]:
    """Serialised ordinary events of simulated viewers, without id and time, in the order of their lives.

    Raises UnusableError for arguments that make no traffic.
    """
    number = min(wanted, MAX_BODIES)
    days = min(math.ceil(2 * number / (users * _EVENTS_PER_VIEWER_DAY)) + 1, 3_650)
    made = []
    try:
        for event, _ in generate(seed, users, days, now_ms - days * _DAY_MS, scenarios=()):
            event.ClearField("event_id")
            event.ClearField("event_time")
            made.append(event.SerializeToString())
            if len(made) == number:
                break
    except ValueError as error:
        raise UnusableError(str(error)) from None
    return made


def numbered(templates: Sequence[bytes], run: str) -> Iterator[tuple[str, bytes]]:
    """Yields (fresh event id, body) without end."""
    for number, body in enumerate(itertools.cycle(templates)):
        yield f"load-{run}-{number:09d}", body


def load(settings: LoadSettings) -> int:
    """Runs the steps and compares the books; returns the exit status.

    Raises UnusableError where it cannot begin, or the mesh does not let itself be asked.
    """
    require_loopback(settings.target)
    checked_target(settings.target)
    for rate in settings.rates:
        if not (math.isfinite(rate) and rate > 0):
            raise UnusableError(f"--rate is above 0, not {rate:g}")
    wanted = sum(
        max(1, round(rate * settings.seconds / settings.batch)) * settings.batch for rate in settings.rates
    )
    say(f"making up to {min(wanted, MAX_BODIES):,} events of {settings.users:,} viewers")
    made = bodies(settings.users, settings.seed, wanted, time.time_ns() // 1_000_000)
    return asyncio.run(_run(settings, made))


async def _run(settings: LoadSettings, made: list[bytes]) -> int:
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    run = secrets.token_hex(6)
    async with grpc.aio.insecure_channel(
        checked_target(settings.target), options=channel_options()
    ) as channel:
        sender = Sender(channel, settings, numbered(made, run), interrupted)
        before = await sender.books()
        say(f"run {run}, tenant {settings.tenant}")
        steps = []
        for rate in settings.rates:
            if interrupted.is_set():
                break
            step = await sender.step(rate)
            steps.append(step)
            if settings.as_json:
                _write(step.to_json())
            else:
                say(f"{rate:g}/s: {step.events:,} events in {step.seconds:.1f} s")
        unresolved = await sender.resolve()
        after = await sender.books()
        rows = compare(sender, before, after)
        for _ in range(_LOOKS):
            if all(row.verdict == "ok" for row in rows):
                break
            # Replicas write what they refused and repeated a moment later.
            await asyncio.sleep(1.0)
            after = await sender.books()
            rows = compare(sender, before, after)
    told = {
        "run": run,
        "tenant": settings.tenant,
        "sent": sender.sent,
        "without_ending": unresolved,
        "balanced": after.balanced,
        "books": [
            {
                "name": row.name,
                "least": row.least,
                "most": row.most,
                "booked": row.booked,
                "verdict": row.verdict,
            }
            for row in rows
        ],
    }
    if settings.as_json:
        _write(told)
    else:
        _print(steps, rows, sender, unresolved, after)
    complete = not unresolved and after.balanced and all(row.verdict == "ok" for row in rows)
    if interrupted.is_set():
        say("interrupted: what was sent until then is accounted for")
    if not complete:
        say(_complaint(rows, unresolved, after))
    return EXIT_OK if complete and not interrupted.is_set() else EXIT_INCOMPLETE


class Sender:
    """Sends by the timetable and keeps the ledger of what was sent.

    Attributes, all counts of events: `sent`; `ledger`, endings by the answers; `answers`, results that came;
    `repeats`, answers `duplicate`; `lost`, sendings whose answer never came.
    """

    def __init__(
        self,
        channel: grpc.aio.Channel,
        settings: LoadSettings,
        events: Iterator[tuple[str, bytes]],
        interrupted: asyncio.Event,
    ) -> None:
        self._decide: Any = channel.unary_unary(
            _DECIDE,
            request_serializer=ingest_pb2.EventBatch.SerializeToString,
            response_deserializer=ingest_pb2.DecideEventsResponse.FromString,
        )
        self._accounting: Any = channel.unary_unary(
            _ACCOUNTING,
            request_serializer=ingest_pb2.GetAccountingRequest.SerializeToString,
            response_deserializer=ingest_pb2.GetAccountingResponse.FromString,
        )
        self._settings = settings
        self._events = events
        self._interrupted = interrupted
        self._slots = asyncio.Semaphore(settings.in_flight)
        self._unknown: dict[str, bytes] = {}
        self.sent = 0
        self.ledger: Counter[str] = Counter()
        self.answers = 0
        self.repeats = 0
        self.lost = 0

    async def books(self) -> ingest_pb2.Accounting:
        """The mesh's account of the tenant. Raises UnusableError where it cannot be had in time."""
        tenant = self._settings.tenant
        request = ingest_pb2.GetAccountingRequest(tenant=tenant)
        end = time.monotonic() + (self._settings.resolve_for if self.sent else 0.0)
        while True:
            try:
                answer = await self._accounting(request, timeout=self._settings.timeout)
                break
            except grpc.aio.AioRpcError as failure:
                if time.monotonic() >= end:
                    error = from_rpc_error(failure)
                    raise UnusableError(
                        f"{self._settings.target}: the books cannot be read: {error}"
                    ) from None
                await asyncio.sleep(0.5)
        for account in answer.accounts:
            if account.tenant == tenant:
                return account
        return ingest_pb2.Accounting(tenant=tenant, balanced=True)

    async def step(self, rate: float) -> Step:
        """Sends at one rate, and returns when everything is answered or has failed."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        step = Step(rate)
        interval = settings.batch / rate
        calls = max(1, round(settings.seconds / interval))
        tasks: set[asyncio.Task[None]] = set()
        began = loop.time() + _HEAD_START_S
        wall = time.time() + _HEAD_START_S
        used = _cpu_seconds()
        for number in range(calls):
            due = began + number * interval
            events = self._take(settings.batch, wall + number * interval)
            if (wait := due - loop.time()) > _LONG_WAIT_S:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._interrupted.wait(), wait - _LONG_WAIT_S / 2)
            # Sleeps for nothing, too: answers must be read while the sender is behind.
            await asyncio.sleep(0.0 if self._interrupted.is_set() else max(0.0, due - loop.time()))
            if self._interrupted.is_set():
                break
            if self._slots.locked():
                step.held += 1
            await self._slots.acquire()
            step.latest = max(step.latest, loop.time() - due)
            step.calls += 1
            step.events += len(events)
            self.sent += len(events)
            task = asyncio.create_task(self._send(step, events, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.gather(*tasks)
        step.seconds = loop.time() - began
        step.cpu = (_cpu_seconds() - used) / max(step.seconds, 1e-9)
        return step

    async def resolve(self) -> int:
        """Sends events without an answer again until each has an ending; returns how many have none."""
        end = time.monotonic() + self._settings.resolve_for
        if self._unknown:
            say(f"{len(self._unknown):,} events without an answer: sent again to learn what became of them")
        while self._unknown and time.monotonic() < end:
            items = [Event(*item) for item in itertools.islice(self._unknown.items(), _RESOLVE_BATCH)]
            try:
                answer = await self._call(items)
            except grpc.aio.AioRpcError as failure:
                error = from_rpc_error(failure)
                if not isinstance(error, ResourceExhausted):
                    self.lost += len(items)
                else:
                    self.answers += len(items)
                    self.ledger["refused again"] += len(items)
                await asyncio.sleep(min(error.retry_after or 0.2, 2.0))
                continue
            for item in items:
                del self._unknown[item.event_id]
            self._note(answer)
        return len(self._unknown) + self.ledger["unknown"]

    def _take(self, number: int, at: float) -> list[Event]:
        """The next events, stamped with their time."""
        milliseconds = round(at * 1000)
        taken = []
        for event_id, body in itertools.islice(self._events, number):
            head = event_pb2.Event(event_id=event_id)
            head.event_time.FromMilliseconds(milliseconds)
            # Concatenated messages are one message: the body's fields and the head's.
            taken.append(Event(event_id, body + head.SerializeToString()))
        return taken

    async def _send(self, step: Step, events: list[Event], due: float) -> None:
        try:
            try:
                answer = await self._call(events)
            except grpc.aio.AioRpcError as failure:
                self._failed(step, events, from_rpc_error(failure))
                return
            step.latencies.append(asyncio.get_running_loop().time() - due)
            step.endings.update(self._note(answer))
        finally:
            self._slots.release()

    async def _call(self, events: list[Event]) -> ingest_pb2.DecideEventsResponse:
        request = ingest_pb2.EventBatch(
            tenant=self._settings.tenant, events=[event.payload for event in events]
        )
        answer: ingest_pb2.DecideEventsResponse = await self._decide(request, timeout=self._settings.timeout)
        if len(answer.results) != len(events):
            raise UnusableError(f"ingest answered {len(answer.results)} results for {len(events)} events")
        return answer

    def _note(self, answer: ingest_pb2.DecideEventsResponse) -> Counter[str]:
        """Writes an answer into the ledger; returns its endings."""
        endings = Counter(_ENDINGS.get(result.status, "unknown") for result in answer.results)
        self.ledger.update(endings)
        self.answers += len(answer.results)
        self.repeats += sum(result.status == ingest_pb2.EVENT_STATUS_DUPLICATE for result in answer.results)
        return endings

    def _failed(self, step: Step, events: list[Event], error: UsherError) -> None:
        step.failures[error.reason] += 1
        if isinstance(error, ResourceExhausted):
            # That is an answer: the mesh was full and stored nothing.
            step.endings["refused"] += len(events)
            self.ledger["refused"] += len(events)
            self.answers += len(events)
            return
        self.lost += len(events)
        self._unknown.update(events)


def compare(sender: Sender, before: ingest_pb2.Accounting, after: ingest_pb2.Accounting) -> list[Row]:
    """Holds the sender's ledger against the books.

    Sendings whose answer was lost may have been booked or not, as what they turned out to be; everything else
    must agree to the event.
    """
    ledger, lost = sender.ledger, sender.lost
    refused = ledger["refused"] + ledger["refused again"]

    def row(name: str, number: int, slack: int = 0) -> Row:
        return Row(name, number, number + slack, getattr(after, name) - getattr(before, name))

    return [
        row("received", sender.answers, lost),
        row("decided", ledger["decided"]),
        row("failed", ledger["failed"], lost),
        row("duplicate", sender.repeats, lost),
        row("conflict", ledger["conflict"], lost),
        row("refused", refused, lost),
    ]


def _complaint(rows: Sequence[Row], unresolved: int, after: ingest_pb2.Accounting) -> str:
    off = [f"{row.name}: {row.verdict}" for row in rows if row.verdict != "ok"]
    if unresolved:
        off.insert(0, f"{unresolved:,} events without an ending")
    if not after.balanced:
        off.append("the books do not balance")
    hint = ""
    if any(row.booked > row.most for row in rows):
        hint = "; if somebody else sends as this tenant, choose another with --tenant"
    return f"usher: {'; '.join(off)}{hint}"


def _print(
    steps: Sequence[Step], rows: Sequence[Row], sender: Sender, unresolved: int, after: ingest_pb2.Accounting
) -> None:
    from rich.console import Console
    from rich.table import Table

    # Figures that are cut short are worse than a line that wraps.
    console = Console(width=_TABLE_WIDTH, highlight=False)
    table = Table(box=None, pad_edge=False)
    names = (
        "rate/s",
        "events",
        "answered/s",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
        "late ms",
        "cpu",
    )
    for name in names:
        table.add_column(name, justify="right")
    table.add_column("not decided")
    for step in steps:
        shown = step.to_json()
        other = {name: number for name, number in step.endings.items() if name != "decided"}
        other |= {f"calls {reason}": number for reason, number in step.failures.items()}
        table.add_row(
            f"{step.rate:g}",
            f"{step.events:,}",
            f"{shown['answered_per_second'] or 0:,.0f}",
            *("-" if value is None else f"{value:,.1f}" for value in shown["latency_ms"].values()),
            f"{step.latest * 1000:,.1f}",
            f"{step.cpu:.0%}",
            ", ".join(f"{name} {number:,}" for name, number in other.items()),
        )
    console.print(table)
    books = Table(box=None, pad_edge=False)
    books.add_column("books")
    for name in ("this run", "booked"):
        books.add_column(name, justify="right")
    books.add_column("")
    for row in rows:
        expected = f"{row.least:,}" if row.least == row.most else f"{row.least:,} to {row.most:,}"
        books.add_row(row.name, expected, f"{row.booked:,}", row.verdict)
    console.print()
    console.print(books)
    balance = "balanced" if after.balanced else "NOT balanced"
    console.print(f"\n{sender.sent:,} events sent, {unresolved:,} without an ending; the books are {balance}")


def _write(line: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
