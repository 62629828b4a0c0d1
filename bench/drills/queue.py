"""`python -m bench.drills queue`: more is offered than fits, for a minute, and what the door does with it.

    python -m bench.drills queue                             two drills, about four minutes
    python -m bench.drills queue --seconds 10 --measure 5    short ones, to see that it works

First what the mesh decides in a second is measured. Then two drills, each on a mesh of its own:

    queue   what may wait is 50 ms of half of that (USHER_INGEST_PIPELINE_MAX_QUEUED_EVENTS)
    quota   the same, and the tenant may send half of what was measured (USHER_INGEST_SENDERS_QUOTA)

Half of that capacity is offered for the latency at half load, then three times the capacity, in open loop: a call that was
refused is not sent again. Every refusal must say when to come back, ingest's memory must stay where it is, what was answered
as decided must lie in the database, the books must close and agree with the sender's count, and p99 of the calls that were
taken must be at most five times that at half load.

Exit status: 0 if all is well, 1 if anything is not. Runs on loopback, in a folder of its own, and ends by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import uvloop
from rich.console import Console
from rich.table import Table

from bench.traffic import events
from services.common.errors import ResourceExhausted, from_rpc_error
from tests.harness import Mesh
from tests.ledger import read_books, settle
from usher.ingest.v1 import ingest_pb2

TENANT = "dev"
BATCH = 16
"""Events a call."""
VIEWERS = 500
"""Few, so that the memory that profiles take is full before memory is looked at."""
QUEUED_SECONDS = 0.05
MOST_TIMES_P99 = 5.0
MOST_GROWTH = 32 << 20
"""Bytes that ingest's peak of the second half may lie above that of the first, while more is offered than fits."""
_WAIT_S = 30.0

_DECIDE = "/usher.ingest.v1.IngestService/DecideEvents"

console = Console(stderr=True)


@dataclass
class Offered:
    """What became of the calls of one run."""

    rate: float
    """Events a second that were offered."""
    calls: int = 0
    seconds: float = 0.0
    decided: list[str] = field(default_factory=list)
    """Ids that were answered as decided."""
    latencies: list[float] = field(default_factory=list)
    """Seconds, of the calls that were taken, from the moment they were due."""
    refused: Counter[str] = field(default_factory=Counter)
    """Events by reason."""
    delays: list[float] = field(default_factory=list)
    """Seconds after which a refused call was told to come back."""
    without_delay: int = 0
    other: Counter[str] = field(default_factory=Counter)
    """Calls and events that ended in any other way."""
    memory: list[int] = field(default_factory=list)
    """Resident bytes of ingest, every half second."""


class Client:
    """Sends calls of BATCH events and keeps account of each."""

    def __init__(self, target: str, source: Iterator[bytes]) -> None:
        # One connection a few: a single one orders its calls behind each other.
        self._channels = [
            grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(4)
        ]
        self._stubs = [
            channel.unary_unary(
                _DECIDE,
                request_serializer=ingest_pb2.EventBatch.SerializeToString,
                response_deserializer=ingest_pb2.DecideEventsResponse.FromString,
            )
            for channel in self._channels
        ]
        self._source = source
        self._number = 0

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def call(self, offered: Offered, due: float) -> None:
        """One call, whatever becomes of it."""
        batch = [next(self._source) for _ in range(BATCH)]
        self._number += 1
        stub = self._stubs[self._number % len(self._stubs)]
        offered.calls += 1
        try:
            answer = await stub(ingest_pb2.EventBatch(tenant=TENANT, events=batch), timeout=_WAIT_S)
        except grpc.aio.AioRpcError as error:
            typed = from_rpc_error(error, method=_DECIDE)
            if not isinstance(typed, ResourceExhausted):
                offered.other[typed.reason] += 1
                return
            offered.refused[typed.reason] += BATCH
            if typed.retry_after:
                offered.delays.append(typed.retry_after)
            else:
                offered.without_delay += 1
            return
        offered.latencies.append(time.perf_counter() - due)
        for result in answer.results:
            if result.status == ingest_pb2.EVENT_STATUS_DECIDED:
                offered.decided.append(result.event_id)
            else:
                offered.other[ingest_pb2.EventStatus.Name(result.status)] += 1

    async def closed_loop(self, seconds: float, calls: int = 24) -> Offered:
        """As many calls as are answered, so many at once."""
        offered = Offered(0.0)
        started = time.perf_counter()

        async def worker() -> None:
            while time.perf_counter() - started < seconds:
                await self.call(offered, time.perf_counter())

        await asyncio.gather(*(worker() for _ in range(calls)))
        offered.seconds = time.perf_counter() - started
        return offered

    async def open_loop(self, rate: float, seconds: float, memory: Callable[[], int]) -> Offered:
        """`rate` events a second, whatever is answered."""
        offered = Offered(rate)
        tasks: set[asyncio.Task[None]] = set()
        started = time.perf_counter()
        looked = 0.0
        for number in range(int(rate * seconds / BATCH)):
            due = started + number * BATCH / rate
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            elif number % 8 == 0:
                await asyncio.sleep(0)
            task = asyncio.create_task(self.call(offered, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            if due - looked >= 0.5:
                looked = due
                offered.memory.append(memory())
        await asyncio.gather(*tasks)
        offered.seconds = time.perf_counter() - started
        return offered


@dataclass
class Result:
    """What one drill found."""

    name: str
    capacity: float
    """Events a second that the configuration allows."""
    half: Offered
    over: Offered
    violations: list[str] = field(default_factory=list)

    @property
    def times(self) -> float:
        """p99 of what was taken, in times of p99 at half load."""
        return percentile(self.over.latencies, 0.99) / percentile(self.half.latencies, 0.99)


def endless(prefix: str) -> Iterator[bytes]:
    """Events of VIEWERS viewers, one stretch of days after the other."""
    for number in itertools.count(1):
        yield from events(VIEWERS, number, f"{prefix}-{number}")


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def resident(pid: int) -> int:
    """Resident bytes of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def measured(folder: Path, seconds: float) -> float:
    """Events that a mesh decides in a second, sent in calls of BATCH."""
    with Mesh(folder) as mesh:

        async def main() -> Offered:
            client = Client(mesh.target("ingest"), endless("measure"))
            await client.closed_loop(seconds / 3)
            found = await client.closed_loop(seconds)
            await client.close()
            return found

        found = uvloop.run(main())
    return len(found.decided) / found.seconds


def settings(name: str, capacity: float) -> dict[str, str]:
    """The environment that sets the capacity."""
    queued = max(4 * BATCH, round(capacity * QUEUED_SECONDS))
    quota = {"USHER_INGEST_SENDERS_QUOTA": f"{max(1, round(capacity))}/second"} if name == "quota" else {}
    return {
        **quota,
        "USHER_INGEST_PIPELINE_MAX_QUEUED_EVENTS": str(queued),
        "USHER_INGEST_PIPELINE_MAX_CALL_EVENTS": str(min(queued, 2 * BATCH)),
        "USHER_INGEST_PIPELINE_MAX_BATCH": str(min(queued, 2 * BATCH)),
    }


def drill(
    folder: Path,
    name: str,
    capacity: float,
    seconds: float,
    half_seconds: float,
    *,
    warm_seconds: float = 10.0,
) -> Result:
    """Runs one drill against a mesh whose capacity is set to `capacity` events a second."""
    with Mesh(folder, env=settings(name, capacity)) as mesh:
        pid = mesh.process("ingest").pid
        source = endless(f"drill-{name}")

        async def main() -> tuple[Offered, Offered, Offered]:
            client = Client(mesh.target("ingest"), source)
            # Warm to the level of the drill itself: a process that has never been refused is smaller.
            before = await client.open_loop(3 * capacity, warm_seconds, lambda: resident(pid))
            half = await client.open_loop(capacity / 2, half_seconds, lambda: resident(pid))
            over = await client.open_loop(3 * capacity, seconds, lambda: resident(pid))
            await client.close()
            return before, half, over

        before, half, over = uvloop.run(main())
        settle(mesh)
        result = Result(name, capacity, half, over)
        result.violations = broken(result, mesh, [before, half, over])
    return result


def broken(result: Result, mesh: Mesh, runs: list[Offered]) -> list[str]:
    """What was promised and does not hold, of any run; timings are judged apart."""
    found = []
    if not result.over.refused:
        found.append("nothing was refused though three times the capacity was offered")
    for run in runs:
        if run.without_delay:
            found.append(f"{run.without_delay} refused calls do not say when to come back")
        found += [f"{number} times {name}" for name, number in run.other.items()]
    decisions = set(read_books(mesh).decisions)
    decided = [one for run in runs for one in run.decided]
    lost = [one for one in decided if one not in decisions]
    if lost:
        found.append(f"{len(lost)} events were answered as decided and are not kept: {lost[:3]}")
    with mesh.ingest(tenant=TENANT) as front:
        books = front.accounting()
    refused = sum((run.refused for run in runs), Counter[str]())
    if not books.balanced:
        found.append("the books do not close")
    if dict(books.refused_by_reason) != dict(refused):
        found.append(f"the books say {dict(books.refused_by_reason)} refused, the sender {dict(refused)}")
    if books.decided != len(decided):
        found.append(f"the books say {books.decided} decided, the sender {len(decided)}")
    middle = len(result.over.memory) // 2
    if middle:
        grown = max(result.over.memory[middle:]) - max(result.over.memory[:middle])
        if grown > MOST_GROWTH:
            found.append(f"ingest still grew by {grown >> 20} MiB in the second half")
    return found


def table(results: list[Result]) -> Table:
    """The results, one column a drill."""
    made = Table(title="Full queue", show_header=True)
    made.add_column("")
    for result in results:
        made.add_column(result.name, justify="right")

    def ms(values: list[float], share: float) -> str:
        return f"{percentile(values, share) * 1000:.0f} ms"

    rows: dict[str, Callable[[Result], str]] = {
        "capacity set, events/s": lambda r: f"{r.capacity:,.0f}",
        "offered, events/s": lambda r: f"{r.over.calls * BATCH / r.over.seconds:,.0f}",
        "for": lambda r: f"{r.over.seconds:.0f} s",
        "decided, events/s": lambda r: f"{len(r.over.decided) / r.over.seconds:,.0f}",
        "decided": lambda r: f"{len(r.over.decided):,}",
        "refused, by reason": lambda r: "\n".join(f"{k}: {n:,}" for k, n in r.over.refused.items()),
        "refused calls without a delay": lambda r: str(r.over.without_delay),
        "delay told, median and longest": lambda r: (
            f"{percentile(r.over.delays, 0.5):.2f} s, {max(r.over.delays, default=0):.2f} s"
        ),
        "taken calls at half load, p50": lambda r: ms(r.half.latencies, 0.5),
        "p99": lambda r: ms(r.half.latencies, 0.99),
        "taken calls at three times, p50": lambda r: ms(r.over.latencies, 0.5),
        "p99 ": lambda r: ms(r.over.latencies, 0.99),
        f"p99 in times of half load (at most {MOST_TIMES_P99:g})": lambda r: f"{r.times:.1f}",
        "memory of ingest, first, most, last": lambda r: (
            f"{r.over.memory[0] >> 20}, {max(r.over.memory) >> 20}, {r.over.memory[-1] >> 20} MiB"
        ),
        "violations": lambda r: f"[bold red]{len(r.violations)}[/]" if r.violations else "[green]none[/]",
    }
    for name, cell in rows.items():
        made.add_row(name, *(cell(result) for result in results))
    return made


def main(arguments: list[str]) -> int:
    """Parses arguments, runs the drills, prints what they found; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.drills queue",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=("queue", "quota"), action="append", help="one of the drills")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="of the load that does not fit (default 60)"
    )
    parser.add_argument("--measure", type=float, default=15.0, help="seconds of measuring (default 15)")
    parser.add_argument("--half", type=float, default=15.0, help="seconds of half load (default 15)")
    args = parser.parse_args(arguments)
    if min(args.seconds, args.measure, args.half) < 1:
        parser.error("each part takes a second or more")
    results = []
    with tempfile.TemporaryDirectory(prefix="usher-drill-") as folder, console.status("measuring") as status:
        full = measured(Path(folder) / "measure", args.measure)
        console.print(f"measured: {full:,.0f} events/s in calls of {BATCH}")
        for name in args.only or ("queue", "quota"):
            status.update(f"{name}: {full / 2:,.0f} events/s fit, {full * 1.5:,.0f} are offered")
            result = drill(Path(folder) / name, name, full / 2, args.seconds, args.half)
            if not result.times <= MOST_TIMES_P99:
                result.violations.append(f"p99 is {result.times:.1f} times that at half load")
            results.append(result)
    console.print(table(results))
    for result in results:
        for line in result.violations:
            console.print(f"{result.name}: {line}", style="red", markup=False, highlight=False)
    return 1 if any(result.violations for result in results) else 0
