"""`usher submit` and `usher decide`: JSON lines of events to ingest, one account of each line back.

Lines gather into batches of what has arrived, at most 256 events; four calls are in flight; answers come
out in the order of the input. What the mesh refuses for the moment (RESOURCE_EXHAUSTED, UNAVAILABLE, a
deadline, a lost race) is sent again, after the delay it names, for as long as the budget lasts: both doors
are idempotent, so a repeat whose first answer was lost is answered from its receipt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import orjson

from cli.console import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE, UnusableError, say
from cli.mesh import channel_options, checked_target
from services.common.errors import (
    Aborted,
    DeadlineExceeded,
    InvalidArgument,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    UsherError,
    from_rpc_error,
)
from services.common.event_json import parse_event
from services.common.render import decision_to_json, outcome_name, reason_name
from services.common.transport import MAX_MESSAGE_BYTES
from usher.event.v1 import event_pb2
from usher.ingest.v1 import ingest_pb2, ingest_pb2_grpc

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.table import Table

MAX_BATCH_EVENTS = 256
# The rest of the message's limit is room for framing and for what a proxy may add.
MAX_BATCH_BYTES = MAX_MESSAGE_BYTES * 3 // 4
CALLS_IN_FLIGHT = 4
KEY_VARIABLE = "USHER_API_KEY"
"""Environment variable with the API key that goes with each call, where one is set."""
MAX_LINE_BYTES = 1024 * 1024
"""A longer line is refused unread: an event takes at most 65,536 bytes."""

_SUMMARY_ROWS = 12
"""Rows of the closing table for each outcome."""
_READ_BYTES = 256 * 1024
# A window wider than the calls keeps them busy while the oldest answer is slow.
_WINDOW = 2 * CALLS_IN_FLIGHT
_CHUNKS_AHEAD = 4
_FIRST_DELAY = 0.1
_LONGEST_DELAY = 2.0
_RETRIED = (Unavailable, ResourceExhausted, DeadlineExceeded, Aborted)


class Door(Enum):
    """Which of ingest's two doors."""

    SUBMIT = "submit"
    DECIDE = "decide"


@dataclass(frozen=True)
class SendSettings:
    """How events are sent. Durations are in seconds."""

    door: Door
    target: str
    """`unix:/path`, `host:port` or `dns:///name:port`."""
    tenant: str = "dev"
    as_json: bool = False
    """Whether a JSON line an event is written to stdout."""
    retry_for: float = 60.0
    """How long one batch is sent again before everything left counts as unsent."""
    timeout: float = 30.0
    """Longest single call."""
    in_flight: int = CALLS_IN_FLIGHT
    """Calls in flight; with one, events are decided in order of the input even where a call fails."""
    relabel: Callable[[event_pb2.Event], None] | None = None
    """What is done to each event before it is sent."""
    told_every: float = 0.0
    """Seconds between lines of progress where stderr is no terminal; 0: none."""


class Line(NamedTuple):
    """One line of the input that is not blank."""

    number: int
    """From 1."""
    event: event_pb2.Event | None
    refusal: UsherError | None
    """Why it is not sent, where there is no event."""


class Answer(NamedTuple):
    """What became of one line."""

    status: str
    """decided, duplicate, accepted, conflict, failed, refused or unsent."""
    reason: str
    """UPPER_SNAKE; empty where all is well."""
    result: ingest_pb2.EventResult | None
    message: str = ""


class _Round(NamedTuple):
    """What came of one call."""

    again: Sequence[int] = ()
    """Positions of the events that may be answered otherwise when sent again."""
    wait: float = 0.0
    """Seconds to wait before that, as the mesh asked; 0: it did not."""
    error: UsherError | None = None
    """Why the whole call failed, where it did and may be repeated."""
    halve: bool = False
    """The batch was refused for something in it."""


_UNANSWERED = Answer("unsent", "INTERRUPTED", None, "it was not sent")
_GOOD = ("decided", "accepted", "duplicate")
_BAD = ("failed", "conflict", "refused", "unsent")
_STATUSES = {
    ingest_pb2.EVENT_STATUS_ACCEPTED: "accepted",
    ingest_pb2.EVENT_STATUS_DECIDED: "decided",
    ingest_pb2.EVENT_STATUS_DUPLICATE: "duplicate",
    ingest_pb2.EVENT_STATUS_CONFLICT: "conflict",
    ingest_pb2.EVENT_STATUS_FAILED: "failed",
    ingest_pb2.EVENT_STATUS_REFUSED: "refused",
}

Call = Callable[[Sequence[event_pb2.Event]], Awaitable[Sequence[ingest_pb2.EventResult]]]


class GaveUpError(Exception):
    """The mesh cannot be reached or will not have us; nothing further is sent. `cause` says why."""

    def __init__(self, cause: UsherError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def send_file(name: str, settings: SendSettings) -> int:
    """Sends a file of events ("-": stdin); returns the exit status. Raises UnusableError where it cannot
    begin.
    """
    checked_target(settings.target)
    if name == "-":
        return asyncio.run(send(sys.stdin.fileno(), settings, total=None))
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UnusableError(f"cannot read {name}: {error.strerror}") from None
    try:
        if os.path.isdir(name):
            raise UnusableError(f"cannot read {name}: it is a directory")
        return asyncio.run(send(descriptor, settings, total=os.fstat(descriptor).st_size or None))
    finally:
        os.close(descriptor)


async def send(descriptor: int, settings: SendSettings, total: int | None) -> int:
    """Sends the lines of an open file of `total` bytes (None: unknown); returns the exit status."""
    began = time.monotonic()
    reader = LineReader(descriptor, settings.relabel)
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    report = Report(settings.as_json)
    target = checked_target(settings.target)
    async with grpc.aio.insecure_channel(target, options=channel_options()) as channel:
        sender = Sender(
            _call(channel, settings),
            retry_for=settings.retry_for,
            interrupted=interrupted,
            in_flight=settings.in_flight,
        )
        with Bar(total, settings.told_every) as bar:
            await sender.run(reader, lambda lines, answers: bar.advance(reader, report.take(lines, answers)))
    report.blank = reader.blank
    report.tell(time.monotonic() - began)
    if interrupted.is_set():
        say(f"interrupted: nothing after line {reader.lines} was read")
    if reader.error is not None:
        say(f"usher: the input could not be read to its end: {reader.error}")
        return EXIT_INCOMPLETE if sender.answered else EXIT_UNUSABLE
    if sender.gave_up is not None:
        say(f"usher: {settings.target}: {sender.gave_up.cause}")
        return EXIT_INCOMPLETE if sender.answered else EXIT_UNUSABLE
    return EXIT_INCOMPLETE if report.bad or interrupted.is_set() else EXIT_OK


def _call(channel: grpc.aio.Channel, settings: SendSettings) -> Call:
    stub = ingest_pb2_grpc.IngestServiceStub(channel)
    key = os.environ.get(KEY_VARIABLE, "")
    metadata = (("x-api-key", key),) if key else ()

    async def submit(events: Sequence[event_pb2.Event]) -> Sequence[ingest_pb2.EventResult]:
        request = ingest_pb2.SubmitEventsRequest(tenant=settings.tenant, events=events)
        return list((await stub.SubmitEvents(request, timeout=settings.timeout, metadata=metadata)).results)

    async def decide(events: Sequence[event_pb2.Event]) -> Sequence[ingest_pb2.EventResult]:
        request = ingest_pb2.DecideEventsRequest(tenant=settings.tenant, events=events)
        return list((await stub.DecideEvents(request, timeout=settings.timeout, metadata=metadata)).results)

    return submit if settings.door is Door.SUBMIT else decide


class LineReader:
    """Reads lines in a thread of its own, so that a slow pipe holds up no call, and hands them over as they
    come.

    Attributes: `lines` and `blank` count what was handed over, `bytes` what was read; `error` is what ended
    the input before its end.
    """

    def __init__(self, descriptor: int, relabel: Callable[[event_pb2.Event], None] | None = None) -> None:
        self._descriptor = descriptor
        self._relabel = relabel
        self._chunks: asyncio.Queue[list[bytes] | None] = asyncio.Queue()
        self._room = threading.Semaphore(_CHUNKS_AHEAD)
        self._rest: deque[bytes] = deque()
        self._ended = False
        self.lines = 0
        self.blank = 0
        self.bytes = 0
        self.error: OSError | None = None

    def start(self) -> None:
        """Begins to read. A daemon, since a read from a terminal cannot be called off."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True, name="lines").start()

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for lines in self._complete_lines():
                self._room.acquire()
                loop.call_soon_threadsafe(self._chunks.put_nowait, lines)
            loop.call_soon_threadsafe(self._chunks.put_nowait, None)
        except RuntimeError:
            # The loop is closed: the command ended before its input did.
            return

    def _complete_lines(self) -> Iterator[list[bytes]]:
        rest = b""
        skipping = False
        while True:
            try:
                data = os.read(self._descriptor, _READ_BYTES)
            except OSError as error:
                self.error = error
                data = b""
            self.bytes += len(data)
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            if skipping and lines:
                # The end of a line whose beginning was handed over as too long.
                lines = lines[1:]
                skipping = False
            if len(rest) > MAX_LINE_BYTES:
                if not skipping:
                    lines.append(rest)
                skipping, rest = True, b""
            if lines:
                yield lines
        if rest and not skipping:
            yield [rest]

    async def batch(self) -> list[Line]:
        """The next lines, at most a batch of them: whatever has arrived. Empty at the end of the input."""
        batch: list[Line] = []
        size = 0
        while len(batch) < MAX_BATCH_EVENTS and size < MAX_BATCH_BYTES:
            if not self._rest:
                if self._ended or (batch and self._chunks.empty()):
                    break
                chunk = await self._chunks.get()
                if chunk is None:
                    self._ended = True
                    break
                self._room.release()
                self._rest.extend(chunk)
                continue
            text = self._rest.popleft()
            self.lines += 1
            if not text.strip():
                self.blank += 1
                continue
            line = _parse(self.lines, text)
            if self._relabel is not None and line.event is not None:
                self._relabel(line.event)
            batch.append(line)
            # An event takes at most 64 KiB, so the limit is passed by no more than that.
            size += line.event.ByteSize() if line.event is not None else 0
        return batch


def _parse(number: int, text: bytes) -> Line:
    if len(text) > MAX_LINE_BYTES:
        return Line(
            number,
            None,
            InvalidArgument("EVENT_TOO_LARGE", f"the line is longer than {MAX_LINE_BYTES} bytes"),
        )
    try:
        return Line(number, parse_event(text), None)
    except InvalidArgument as error:
        return Line(number, None, error)


class Sender:
    """Sends lines batch by batch and gives their answers back in order.

    Attributes: `answered` says whether the mesh ever answered a batch, `gave_up` why it was left alone.
    """

    def __init__(
        self,
        call: Call,
        *,
        retry_for: float,
        interrupted: asyncio.Event,
        in_flight: int = CALLS_IN_FLIGHT,
    ) -> None:
        self._call = call
        self._retry_for = retry_for
        self._interrupted = interrupted
        self._slots = asyncio.Semaphore(in_flight)
        self._holding = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self.answered = False
        self.gave_up: GaveUpError | None = None

    async def run(self, reader: LineReader, take: Callable[[list[Line], list[Answer]], None]) -> None:
        """Sends everything; calls `take` with each batch's lines and answers, in order of the input."""
        reader.start()
        window: deque[tuple[list[Line], asyncio.Task[list[Answer]]]] = deque()
        stop = asyncio.create_task(self._interrupted.wait())
        reading: asyncio.Task[list[Line]] | None = asyncio.create_task(reader.batch())
        try:
            while reading is not None or window:
                waits: set[asyncio.Task[Any]] = {window[0][1]} if window else set()
                if reading is not None:
                    waits.add(stop)
                    if len(window) < _WINDOW:
                        waits.add(reading)
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                if reading is not None and reading.done() and (len(window) < _WINDOW or stop.done()):
                    lines = reading.result()
                    if lines:
                        window.append((lines, asyncio.create_task(self._answers(lines))))
                    reading = asyncio.create_task(reader.batch()) if lines and not stop.done() else None
                elif reading is not None and stop.done():
                    # It waits for input and holds no line yet.
                    reading.cancel()
                    reading = None
                while window and window[0][1].done():
                    lines, task = window.popleft()
                    take(lines, task.result())
        finally:
            tasks: list[asyncio.Task[Any]] = [
                stop,
                *(task for _, task in window),
                *([reading] if reading is not None else []),
            ]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answers(self, lines: list[Line]) -> list[Answer]:
        answers = [
            _UNANSWERED
            if line.refusal is None
            else Answer("refused", line.refusal.reason, None, line.refusal.message)
            for line in lines
        ]
        events = {position: line.event for position, line in enumerate(lines) if line.event is not None}
        if events:
            async with self._slots:
                # While a batch is held up those behind it wait: a viewer's events keep their order.
                await self._calm.wait()
                await self._fill(events, answers)
        return answers

    async def _fill(self, events: dict[int, event_pb2.Event], answers: list[Answer]) -> None:
        """Sends events until each has an answer that stands. Both are by position in the batch."""
        groups = deque([events])
        holding = False
        try:
            while groups:
                group = groups.popleft()
                deadline: float | None = None
                delay = _FIRST_DELAY
                while group:
                    round_ = await self._once(group, answers)
                    if round_.halve:
                        # One event spoils its batch: halves find it.
                        items = list(group.items())
                        half = len(items) // 2
                        groups.extendleft((dict(items[half:]), dict(items[:half])))
                        break
                    group = {position: group[position] for position in round_.again}
                    if not group:
                        break
                    deadline = deadline or time.monotonic() + self._retry_for
                    wait = round_.wait or delay * random.uniform(0.5, 1.0)
                    delay = min(delay * 2, _LONGEST_DELAY)
                    if time.monotonic() + wait > deadline or self._interrupted.is_set():
                        if round_.error is not None:
                            self.gave_up = self.gave_up or GaveUpError(round_.error)
                        break
                    if not holding:
                        holding = True
                        self._holding += 1
                        self._calm.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._interrupted.wait(), wait)
        finally:
            if holding:
                self._holding -= 1
                if not self._holding:
                    self._calm.set()

    async def _once(self, group: dict[int, event_pb2.Event], answers: list[Answer]) -> _Round:
        """One call. Writes down what each event was answered so far, and says which to send again."""
        if self.gave_up is not None:
            _write_unsent(group, answers, self.gave_up.cause)
            return _Round()
        try:
            results = await self._call(list(group.values()))
        except grpc.aio.AioRpcError as failure:
            return self._failed(group, answers, from_rpc_error(failure))
        if len(results) != len(group):
            raise UnusableError(f"ingest answered {len(results)} results for {len(group)} events")
        self.answered = True
        again = []
        wait = 0.0
        for position, result in zip(group, results, strict=True):
            answers[position] = _answer(result)
            if answers[position].status == "refused" and result.failure.retry_after_ms:
                again.append(position)
                wait = max(wait, result.failure.retry_after_ms / 1000)
        return _Round(again=again, wait=wait)

    def _failed(self, group: dict[int, event_pb2.Event], answers: list[Answer], error: UsherError) -> _Round:
        """What a failed call means for its events."""
        too_large = isinstance(error, ResourceExhausted) and error.reason == "MESSAGE_TOO_LARGE"
        for_the_caller = (
            isinstance(error, Unauthenticated | PermissionDenied) or error.reason == "TENANT_INVALID"
        )
        if (isinstance(error, InvalidArgument) and not for_the_caller) or too_large:
            if len(group) > 1:
                return _Round(halve=True)
            self.answered = True
            (position,) = group
            answers[position] = Answer("refused", error.reason, None, error.message)
            return _Round()
        _write_unsent(group, answers, error)
        if isinstance(error, _RETRIED):
            return _Round(again=list(group), wait=error.retry_after or 0.0, error=error)
        if for_the_caller:
            self.gave_up = GaveUpError(error)
        # Else a defect of the mesh, which its log tells: these events are without an answer, the next are
        # tried.
        return _Round()


def _answer(result: ingest_pb2.EventResult) -> Answer:
    status = _STATUSES.get(result.status)
    if status is None:
        return Answer(
            "unsent", "STATUS_UNKNOWN", result, "ingest answered a status that this version does not know"
        )
    return Answer(status, result.failure.reason if result.HasField("failure") else "", result)


def _write_unsent(positions: Iterable[int], answers: list[Answer], error: UsherError) -> None:
    for position in positions:
        answers[position] = Answer("unsent", error.reason, None, error.message)


class Report:
    """Counts the answers, and writes them to stdout as JSON lines where that is wanted."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._statuses: Counter[str] = Counter()
        self._decisions: Counter[tuple[int, str, str]] = Counter()
        self._reasons: Counter[tuple[str, str]] = Counter()
        self.blank = 0

    @property
    def bad(self) -> int:
        """Lines that did not end decided, accepted or as a duplicate."""
        return sum(self._statuses[status] for status in _BAD)

    def take(self, lines: Sequence[Line], answers: Sequence[Answer]) -> int:
        """Takes in a batch; returns how many lines there are by now."""
        for answer in answers:
            self._statuses[answer.status] += 1
            if answer.result is not None and answer.result.HasField("decision"):
                decision = answer.result.decision
                # Reasons stand strongest first.
                first = reason_name(decision.reasons[0].code) if decision.reasons else ""
                self._decisions[decision.outcome, decision.country, first] += 1
            if answer.status in _BAD:
                self._reasons[answer.status, answer.reason] += 1
        if self._as_json:
            sys.stdout.buffer.write(
                b"".join(
                    orjson.dumps(to_json(line, answer), option=orjson.OPT_APPEND_NEWLINE)
                    for line, answer in zip(lines, answers, strict=True)
                )
            )
            sys.stdout.buffer.flush()
        return self._statuses.total()

    def tell(self, seconds: float) -> None:
        """Writes the account to stderr."""
        from rich.console import Console
        from rich.table import Table

        total = self._statuses.total()
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_column()
        for status in (*_GOOD, *_BAD):
            count = self._statuses[status]
            if count:
                reasons = ", ".join(
                    f"{reason or 'no reason given'} {number}"
                    for (of, reason), number in self._reasons.most_common()
                    if of == status
                )
                table.add_row(status, f"{count:,}", reasons)
        if self.blank:
            table.add_row("blank", f"{self.blank:,}", "")
        table.add_row(
            "lines", f"{total + self.blank:,}", f"{seconds:.1f} s, {total / max(seconds, 1e-9):,.0f}/s"
        )
        console = Console(stderr=True, soft_wrap=True, highlight=False)
        try:
            console.print(table)
            if self._decisions:
                console.print(self._summary())
        except OSError:
            # stderr is closed: the exit status still tells.
            return

    def _summary(self) -> Table:
        """Decisions by outcome, country of the address and first reason; rare rows are put together."""
        from rich.table import Table

        summary = Table(box=None, pad_edge=False, header_style="")
        for name in ("outcome", "country", "first reason"):
            summary.add_column(name)
        summary.add_column("decisions", justify="right")
        of_outcome: Counter[int] = Counter()
        for (outcome, _, _), count in self._decisions.items():
            of_outcome[outcome] += count
        for outcome in sorted(of_outcome, reverse=True):
            summary.add_row(outcome_name(outcome), "", "", f"{of_outcome[outcome]:,}")
            rows = Counter({key: n for key, n in self._decisions.items() if key[0] == outcome}).most_common()
            for (_, country, reason), count in rows[:_SUMMARY_ROWS]:
                summary.add_row("", country or "unknown", reason or "none", f"{count:,}")
            rest = sum(count for _, count in rows[_SUMMARY_ROWS:])
            if rest:
                summary.add_row("", f"{len(rows) - _SUMMARY_ROWS:,} more", "", f"{rest:,}")
        return summary


def to_json(line: Line, answer: Answer) -> dict[str, Any]:
    """What `--json` writes for a line: the decision, or what became of the line instead."""
    result = answer.result
    if result is not None and result.HasField("decision") and answer.status in _GOOD:
        return decision_to_json(result.decision)
    shown: dict[str, Any] = {}
    event_id = (result.event_id if result is not None else "") or (
        line.event.event_id if line.event is not None else ""
    )
    if event_id:
        shown["event_id"] = event_id
    else:
        shown["line"] = line.number
    shown["status"] = answer.status
    if answer.status in _GOOD:
        return shown
    shown["reason"] = answer.reason
    failure = result.failure if result is not None else None
    shown["message"] = failure.message if failure is not None and failure.message else answer.message
    if failure is not None and failure.failed_id:
        shown["failed_id"] = failure.failed_id
    if failure is not None and failure.violations:
        shown["violations"] = [
            {"field": item.field, "reason": item.reason, "message": item.message}
            for item in failure.violations
        ]
    return shown


class Bar:
    """A progress bar on stderr where that is a terminal, else a line every `every` seconds (0: none)."""

    def __init__(self, total: int | None, every: float = 0.0) -> None:
        self._total = total
        self._every = every
        self._due = time.monotonic() + every
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Bar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            self._progress = Progress(
                TextColumn("{task.fields[lines]:,} lines"),
                BarColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
                redirect_stdout=False,
            )
            self._task = self._progress.add_task("", total=self._total, lines=0)
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def advance(self, reader: LineReader, lines: int) -> None:
        """Shows how much of the input was read and how many lines are answered."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=reader.bytes, lines=lines)
        elif self._every and time.monotonic() >= self._due:
            self._due = time.monotonic() + self._every
            read = f", {reader.bytes / self._total:.0%} of the input read" if self._total else ""
            say(f"{lines:,} lines answered{read}")
