"""`python -m bench`: how fast the mesh decides, durably, with everything on and the client on the same machine.

    python -m bench                       all of it on SQLite, PostgreSQL beside it (about 12 minutes)
    python -m bench --quick               small preload, short runs: to see that it works
    python -m bench --only batches        decided events/s at batches of 1, 64 and 256
    python -m bench --only open-loop      latency at 100, 200 and 300 single events/s
    python -m bench --only stages         CPU microseconds an event by stage, beside the budget

Preloads receipts and profiles, sends events that never repeat, and counts an event once its decision has been answered,
which is after its commit. Everything runs on loopback and ends by itself. Results also go to bench/results/ as JSON.
Machines are noisy: compare figures of one run.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import stages
from bench.traffic import events
from tests.harness import SERVICES, Mesh
from tests.servers import PostgresServer
from usher.ingest.v1 import ingest_pb2

DECIDE = "/usher.ingest.v1.IngestService/DecideEvents"
TENANT = "bench"
CLOCK_TICK = os.sysconf("SC_CLK_TCK")

BUDGET = {
    "client": 8,
    "hops": 34,
    "ingest": 24,
    "compliance": 6,
    "fraud": 14,
    "scoring": 24,
    "commit": 40,
    "telemetry and the rest": 15,
}
"""CPU microseconds an event at batches of 256."""

FLOORS = {"b256": 6_000, "b64": 3_500}
"""Events/s on SQLite, on the machine of the reference."""
FLOOR_P99_MS = 25.0
"""Single events at 200/s."""

console = Console(stderr=True)


REFERENCE_ROWS = 88_000
"""Rows/s of `calibrate` on the machine on which budget and floors were set: 2 cores, Python 3.11, SQLite 3.40."""


def calibrate(seconds: float = 3.0) -> float:
    """Rows/s of plain SQLite: 256 rows of 522 bytes a durable transaction, a text key and an index.

    It shares nothing with the mesh, so it tells how fast this machine is today: shared machines differ by a factor of
    three from hour to hour, and a figure means little without it.
    """
    payload = "x" * 522
    with tempfile.TemporaryDirectory(prefix="usher-calibrate-") as folder:
        connection = sqlite3.connect(Path(folder) / "reference.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE t (id TEXT PRIMARY KEY, viewer TEXT, at REAL, kind TEXT, payload TEXT)"
        )
        connection.execute("CREATE INDEX i ON t (viewer)")
        rng = random.Random(1)
        written = 0
        started = time.perf_counter()
        while time.perf_counter() - started < seconds:
            rows = [
                (f"{rng.getrandbits(128):032x}", f"v{rng.randrange(20_000)}", 0.0, "play", payload)
                for _ in range(256)
            ]
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?)", rows)
            connection.execute("COMMIT")
            written += 256
        rate = written / (time.perf_counter() - started)
        connection.close()
    return rate


class Client:
    """An asynchronous client that sends ready-made event bytes and reads every decision."""

    def __init__(self, target: str) -> None:
        options = [("grpc.max_receive_message_length", 16 << 20)]
        self.channel = grpc.aio.insecure_channel(target, options=options)
        self._decide = self.channel.unary_unary(
            DECIDE,
            request_serializer=ingest_pb2.EventBatch.SerializeToString,
            response_deserializer=ingest_pb2.DecideEventsResponse.FromString,
        )

    async def decide(self, batch: list[bytes]) -> int:
        """Decides a batch; returns how many were decided. Raises where one was not."""
        answer = await self._decide(ingest_pb2.EventBatch(tenant=TENANT, events=batch), timeout=20)
        for result in answer.results:
            if result.status != ingest_pb2.EVENT_STATUS_DECIDED or result.decision.degraded:
                raise SystemExit(f"an event was not decided as it should be: {result}")
        return len(answer.results)


def cpu_seconds(pid: int | str) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICK


def written_bytes(pid: int) -> int:
    """Bytes that a process has caused to be written to storage."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


async def closed_loop(
    client: Client, source: Iterator[bytes], size: int, calls: int, seconds: float
) -> tuple[int, float, float]:
    """Keeps `calls` calls of `size` events in flight; returns events decided, seconds, and the client's CPU seconds."""
    # Made beforehand: making events is the benchmark's cost, not the mesh's.
    ready = [next(source) for _ in range(int(seconds * (14_000 if size > 1 else 2_500)) // size * size)]
    position, done = 0, 0
    end = 0.0

    async def lane() -> None:
        nonlocal position, done
        while time.perf_counter() < end and position + size <= len(ready):
            batch = ready[position : position + size]
            position += size
            decided = await client.decide(batch)
            # After the await: another lane adds meanwhile.
            done += decided

    gc.collect()
    started, cpu = time.perf_counter(), time.process_time()
    end = started + seconds
    await asyncio.gather(*(lane() for _ in range(calls)))
    return done, time.perf_counter() - started, time.process_time() - cpu


async def open_loop(client: Client, source: Iterator[bytes], rate: int, seconds: float) -> list[float]:
    """Sends single events at a fixed rate whatever the answers do; returns latencies in ms from the scheduled send."""
    count = int(rate * seconds)
    ready = [next(source) for _ in range(count)]
    latencies: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    started = time.perf_counter() + 0.1

    async def one(event: bytes, scheduled: float) -> None:
        await client.decide([event])
        latencies.append((time.perf_counter() - scheduled) * 1000)

    for number, event in enumerate(ready):
        scheduled = started + number / rate
        pause = scheduled - time.perf_counter()
        if pause > 0:
            await asyncio.sleep(pause)
        tasks.append(asyncio.create_task(one(event, scheduled)))
    await asyncio.gather(*tasks)
    return latencies


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Bench:
    """A preloaded mesh and what was measured on it."""

    def __init__(self, mesh: Mesh, name: str, receipts: int, users: int) -> None:
        self.mesh = mesh
        self.name = name
        self.users = users
        self.receipts = receipts
        self.results: dict[str, Any] = {"database": name, "receipts": receipts, "users": users}
        self._source = events(users, 1, f"bench-{name}")

    def source(self) -> Iterator[bytes]:
        """The stream of events, where the last run left it."""
        return self._source

    def run(self, work: Callable[[Client], Any]) -> Any:
        """Runs a coroutine with a client."""

        async def main() -> Any:
            client = Client(self.mesh.target("ingest"))
            try:
                return await work(client)
            finally:
                await client.channel.close()

        return uvloop.run(main())

    def preload(self, url: str | None, progress: Progress) -> None:
        """Profiles by deciding an event or more of every viewer, receipts by writing them."""
        task = progress.add_task(f"{self.name}: profiles of {self.users:,} viewers", total=self.users * 2)

        async def warm(client: Client) -> None:
            source = self.source()
            while not progress.tasks[task].finished:
                batch = [next(source) for _ in range(256)]
                progress.advance(task, await client.decide(batch))

        self.run(warm)
        task = progress.add_task(f"{self.name}: {self.receipts:,} receipts", total=self.receipts)
        self.mesh.process("ingest").stop()
        rows = ((os.urandom(16), os.urandom(16), number) for number in range(1, self.receipts + 1))
        if url is None:
            with sqlite3.connect(self.mesh.folder / "ingest.db") as connection:
                connection.execute("PRAGMA synchronous = OFF")
                for _ in range(0, self.receipts, 50_000):
                    some = sorted(next(rows) for _ in range(min(50_000, self.receipts)))
                    connection.executemany("INSERT OR IGNORE INTO receipts VALUES (?, ?, ?)", some)
                    progress.advance(task, len(some))
                connection.commit()
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        else:
            import psycopg

            with psycopg.connect(url.replace("+psycopg", ""), autocommit=False) as connection:
                with connection.cursor().copy("COPY ingest.receipts FROM STDIN (FORMAT BINARY)") as copy:
                    copy.set_types(("bytea", "bytea", "int8"))
                    for number, row in enumerate(rows, 1):
                        copy.write_row(row)
                        if number % 50_000 == 0:
                            progress.advance(task, 50_000)
                connection.commit()
                connection.execute("ANALYZE")
        self.mesh.start("ingest")
        self.run(lambda client: closed_loop(client, self.source(), 64, 4, 1.0))

    def batches(self, seconds: float, runs: int, progress: Progress) -> None:
        """Decided events/s at batches of 1, 64 and 256, CPU by process and bytes written at 256."""
        shapes = ((1, 8), (64, 8), (256, 4))
        task = progress.add_task(f"{self.name}: batches", total=len(shapes) * runs)
        for size, calls in shapes:
            rates, cpu, written, total = [], dict.fromkeys((*SERVICES, "client"), 0.0), 0, 0
            for _ in range(runs):
                pids = {name: self.mesh.process(name).pid for name in SERVICES}
                before = {name: cpu_seconds(pid) for name, pid in pids.items()}
                io = {name: written_bytes(pid) for name, pid in pids.items()}
                done, took, client_cpu = self.run(
                    lambda client, size=size, calls=calls: closed_loop(
                        client, self.source(), size, calls, seconds
                    )
                )
                rates.append(done / took)
                total += done
                for name, pid in pids.items():
                    cpu[name] += cpu_seconds(pid) - before[name]
                    written += written_bytes(pid) - io[name]
                cpu["client"] += client_cpu
                progress.advance(task)
            self.results[f"b{size}"] = {
                "events_per_second": round(statistics.median(rates)),
                "runs": [round(rate) for rate in rates],
                "calls_in_flight": calls,
                "cpu_us": {name: round(spent / total * 1e6, 1) for name, spent in cpu.items()},
                "written_bytes_per_event": round(written / total),
            }

    def open(self, rates: list[int], samples: int, runs: int, progress: Progress) -> None:
        """Latency of single events in open loop."""
        task = progress.add_task(f"{self.name}: open loop", total=len(rates) * runs)
        for rate in rates:
            found = []
            for _ in range(runs):
                latencies = self.run(
                    lambda client, rate=rate: open_loop(client, self.source(), rate, samples / runs / rate)
                )
                found.append(
                    {
                        "samples": len(latencies),
                        **{f"p{p}": round(percentile(latencies, p / 100), 2) for p in (50, 95, 99)},
                        "p99.9": round(percentile(latencies, 0.999), 2),
                    }
                )
                progress.advance(task)
            median = {
                key: statistics.median(run[key] for run in found) for key in ("p50", "p95", "p99", "p99.9")
            }
            self.results[f"open_{rate}"] = {"median": median, "runs": found}


def tables(results: list[dict[str, Any]], costs: dict[str, float] | None) -> list[Table]:
    """What was measured, as tables."""
    made = []
    speed = Table(title="Decided and durably committed events/s (median of runs; client on the same machine)")
    for column in ("database", "batch", "in flight", "events/s", "runs", "bytes written/event"):
        speed.add_column(column)
    cpu = Table(title="CPU microseconds an event by process")
    for column in ("database", "batch", *SERVICES, "client"):
        cpu.add_column(column)
    latency = Table(title="Single events, open loop: ms from the scheduled send (median of runs)")
    for column in ("database", "rate/s", "p50", "p95", "p99", "p99.9", "samples", "p99 of runs"):
        latency.add_column(column)
    for result in results:
        for size in (1, 64, 256):
            found = result.get(f"b{size}")
            if found:
                speed.add_row(
                    result["database"],
                    str(size),
                    str(found["calls_in_flight"]),
                    f"{found['events_per_second']:,}",
                    " ".join(f"{run:,}" for run in found["runs"]),
                    f"{found['written_bytes_per_event']:,}",
                )
                spent = found["cpu_us"]
                cpu.add_row(
                    result["database"], str(size), *(f"{spent[name]:g}" for name in (*SERVICES, "client"))
                )
        for key, found in result.items():
            if key.startswith("open_"):
                m = found["median"]
                latency.add_row(
                    result["database"],
                    key.removeprefix("open_"),
                    *(f"{m[p]:.1f}" for p in ("p50", "p95", "p99", "p99.9")),
                    f"{sum(run['samples'] for run in found['runs']):,}",
                    " ".join(f"{run['p99']:.1f}" for run in found["runs"]),
                )
    made += [table for table in (speed, cpu, latency) if table.row_count]
    if costs:
        stage = Table(title="CPU microseconds an event at batches of 256, beside the budget")
        for column in ("stage", "measured", "budget"):
            stage.add_column(column)
        for name, budget in BUDGET.items():
            stage.add_row(name, f"{costs[name]:.1f}" if name in costs else "not measured", str(budget))
        stage.add_row("all", f"{sum(costs.values()):.1f}", str(sum(BUDGET.values())))
        made.append(stage)
    return made


def floors(results: list[dict[str, Any]]) -> list[str]:
    """What was measured on SQLite beside the floors."""
    lines = []
    for result in results:
        if result["database"] != "sqlite":
            continue
        for name, floor in FLOORS.items():
            if name in result:
                rate = result[name]["events_per_second"]
                lines.append(f"{name}: {rate:,} events/s; floor {floor:,}")
        if "open_200" in result:
            p99 = result["open_200"]["median"]["p99"]
            lines.append(f"200/s: p99 {p99:.1f} ms; floor {FLOOR_P99_MS:g} ms")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("batches", "open-loop", "stages"), help="one part only")
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--receipts", type=int, default=1_000_000, help="receipts preloaded")
    parser.add_argument("--users", type=int, default=20_000, help="viewers with profiles")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a closed-loop run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=12_000, help="open-loop samples a rate, over all runs")
    parser.add_argument("--quick", action="store_true", help="50,000 receipts, 2,000 viewers, short runs")
    parser.add_argument("--json", action="store_true", help="print the results as JSON on stdout")
    args = parser.parse_args()
    if args.quick:
        args.receipts, args.users, args.seconds, args.runs, args.samples = 50_000, 2_000, 2.0, 1, 600
    databases = ("sqlite", "postgresql") if args.database == "both" else (args.database,)
    results: list[dict[str, Any]] = []
    speeds = [calibrate()]
    with Progress(console=console) as progress:
        for name in databases:
            with ExitStack() as stack:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="usher-bench-")))
                url = stack.enter_context(PostgresServer()).url if name == "postgresql" else None
                mesh = stack.enter_context(Mesh(folder, database_url=url, enforcing=(TENANT,)))
                bench = Bench(mesh, name, args.receipts, args.users)
                if args.only != "stages":
                    bench.preload(url, progress)
                if args.only in (None, "batches"):
                    bench.batches(args.seconds, args.runs, progress)
                if args.only in (None, "open-loop"):
                    bench.open([100, 200, 300], args.samples, args.runs, progress)
                results.append(bench.results)
    speeds.append(calibrate())
    b256 = results[0].get("b256")
    costs = (
        stages.measure(None if b256 is None else b256["cpu_us"])
        if args.only in (None, "stages", "batches")
        else None
    )
    report = {
        "machine": {
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "sqlite": sqlite3.sqlite_version,
        },
        "calibration": {"rows_per_second": [round(speed) for speed in speeds], "reference": REFERENCE_ROWS},
        "results": results,
        "stages_us": costs,
    }
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{time.strftime('%Y%m%dT%H%M%S')}.json").write_text(json.dumps(report, indent=1))
    if args.json:
        print(json.dumps(report))
    for table in tables(results, costs):
        console.print(table)
    console.print(
        f"{os.cpu_count()} CPUs, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}; the reference loop "
        f"wrote {' and '.join(f'{one:,.0f}' for one in speeds)} rows/s before and after, {REFERENCE_ROWS:,} on the "
        "machine of the floors"
    )
    for line in floors(results):
        console.print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
