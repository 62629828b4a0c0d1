"""`python -m bench.sources`: how fast each source brings events to a mesh, durably accepted, everything on one machine.

    python -m bench.sources                     each source in turn, then all with two processes
    python -m bench.sources --events 5000       short
    python -m bench.sources --only kafka        one source

What is to be read lies there before the clock starts: it runs from the first event that ingest has accepted to the last. The
same events by SubmitEvents from a client in this process, one call of 256 at a time, stand beside it. Ingest decides
meanwhile, so both the acceptance and the decisions are shown; CPU is that of the sender's process alone, its start included
(about half a second). Kafka is librdkafka's cluster in memory and Redis runs without its file: the sources are measured, not
the brokers.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import redis
from rich.console import Console
from rich.table import Table

from bench.traffic import events
from tests.harness import Mesh
from tests.kafka import PARTITIONS, MockKafka
from tests.servers import RedisServer
from tests.sources import SourceProcess, as_json
from usher.event.v1 import event_pb2

TENANT = "dev"
BATCH = 256
KINDS = ("kafka", "redis", "file", "stdin")
_PATIENCE_S = 300.0
_TICKS = os.sysconf("SC_CLK_TCK")

console = Console(stderr=True)


@dataclass
class Measured:
    """One run."""

    name: str
    accepted_s: float
    """Events a second durably accepted."""
    decided_s: float
    """Events a second decided, to the last."""
    cpu_us: float
    """CPU microseconds of the sender an event."""


class Bench:
    """A mesh, and what sources read from."""

    def __init__(self, folder: Path, number: int, stack: ExitStack) -> None:
        self._folder = folder
        self._number = number
        self._kafka = stack.enter_context(MockKafka())
        self._redis = stack.enter_context(RedisServer())
        self._mesh = stack.enter_context(Mesh(folder / "mesh"))
        self._front = stack.enter_context(self._mesh.ingest(tenant=TENANT))
        (folder / "redis-url").write_text(self._redis.url)

    def client(self) -> Measured:
        """SubmitEvents from this process."""
        made = self._made("client")
        before = self._front.accounting()
        began, cpu = time.monotonic(), time.process_time()
        for begin in range(0, len(made), BATCH):
            self._front.submit(made[begin : begin + BATCH], timeout=60)
        spent = time.process_time() - cpu
        seconds = time.monotonic() - began
        decided = self._wait_decided(before.decided + self._number, began)
        return Measured("SubmitEvents", self._number / seconds, decided, spent / self._number * 1e6)

    def source(self, kind: str, schema: str = "json", processes: int = 1) -> Measured:
        """One source, or several processes of it."""
        name = f"{kind}-{schema}-{processes}"
        made = self._made(name)
        settings, stdin = getattr(self, f"_fill_{kind}")(name, made, schema)
        shared = {"TENANT": TENANT, "SCHEMA": schema, "BATCH_EVENTS": BATCH}
        running = [
            SourceProcess(
                self._folder, self._mesh.target("ingest"), kind, {**shared, **settings}, f"{name}-{one}"
            )
            for one in range(processes)
        ]
        before = self._front.accounting()
        wanted = before.accepted + self._number
        end = time.monotonic() + _PATIENCE_S
        try:
            for one in running:
                one.start(stdin=stdin)
            while (found := self._front.accounting()).accepted == before.accepted:
                self._check(running, end)
                time.sleep(0.005)
            began, first = time.monotonic(), found.accepted - before.accepted
            while self._front.accounting().accepted < wanted:
                self._check(running, end)
                time.sleep(0.01)
            seconds = time.monotonic() - began
            cpu = sum(_cpu_seconds(one) for one in running)
            decided = self._wait_decided(before.decided + self._number, began)
        finally:
            for one in running:
                if one.running:
                    one.stop(signal.SIGTERM)
        label = f"{kind}, {schema}" + (f", {processes} processes" if processes > 1 else "")
        return Measured(label, (self._number - first) / max(seconds, 1e-9), decided, cpu / self._number * 1e6)

    def _made(self, prefix: str) -> list[event_pb2.Event]:
        made = islice(events(2_000, 7, prefix), self._number)
        return [event_pb2.Event.FromString(one) for one in made]

    def _check(self, running: list[SourceProcess], end: float) -> None:
        ended = [one for one in running if one.popen is not None and one.popen.poll() not in (None, 0)]
        if ended or time.monotonic() > end:
            raise AssertionError(f"not accepted in time: {[one.tail() for one in ended or running]}")

    def _wait_decided(self, wanted: int, began: float) -> float:
        end = time.monotonic() + _PATIENCE_S
        while self._front.accounting().decided < wanted:
            if time.monotonic() > end:
                raise AssertionError("not decided in time")
            time.sleep(0.05)
        return self._number / (time.monotonic() - began)

    def _texts(self, made: Sequence[event_pb2.Event], schema: str) -> list[bytes]:
        return [as_json(one) if schema == "json" else one.SerializeToString() for one in made]

    def _fill_kafka(
        self, name: str, made: Sequence[event_pb2.Event], schema: str
    ) -> tuple[dict[str, Any], Any]:
        topic = self._kafka.topic(name)
        texts = self._texts(made, schema)
        for partition in range(PARTITIONS):
            self._kafka.produce(topic, texts[partition::PARTITIONS], partition=partition)
        return {
            "KAFKA_BOOTSTRAP": self._kafka.bootstrap,
            "KAFKA_TOPICS": topic,
            "KAFKA_GROUP": topic,
        }, None

    def _fill_redis(
        self, name: str, made: Sequence[event_pb2.Event], schema: str
    ) -> tuple[dict[str, Any], Any]:
        client = redis.Redis.from_url(self._redis.url)
        pipe = client.pipeline(transaction=False)
        for text in self._texts(made, schema):
            pipe.xadd(name, {"event": text})
        pipe.execute()
        return {"REDIS_STREAM": name, "REDIS_URL_FILE": self._folder / "redis-url"}, None

    def _fill_file(
        self, name: str, made: Sequence[event_pb2.Event], schema: str
    ) -> tuple[dict[str, Any], Any]:
        path = self._folder / name
        path.write_bytes(b"".join(text + b"\n" for text in self._texts(made, schema)))
        # Followed, so that its CPU can still be read at the end.
        return {"FILE_PATH": path, "FILE_FOLLOW": "true"}, None

    def _fill_stdin(
        self, name: str, made: Sequence[event_pb2.Event], schema: str
    ) -> tuple[dict[str, Any], Any]:
        path = self._folder / name
        path.write_bytes(b"".join(text + b"\n" for text in self._texts(made, schema)))
        return {}, path.open("rb")


def _cpu_seconds(one: SourceProcess) -> float:
    """User and system time of a running process; that of one that has ended is lost, and 0."""
    if one.popen is None or not one.running:
        return 0.0
    fields = Path(f"/proc/{one.popen.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> int:
    """Parses arguments, measures, prints a table."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.sources",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--events", type=int, default=12_000, help="events a run (default 12,000)")
    parser.add_argument("--only", choices=KINDS, help="one source alone")
    args = parser.parse_args()
    if not 2_000 <= args.events <= 12_000:
        parser.error(
            "--events is 2,000 to 12,000: of more the cluster in memory forgets the first (5 MiB a partition)"
        )
    table = Table(title=f"Sources, {args.events:,} events each")
    for name in ("", "accepted/s", "decided/s", "CPU of the sender, us/event"):
        table.add_column(name, justify="left" if not name else "right")
    with tempfile.TemporaryDirectory(prefix="usher-bench-") as folder, ExitStack() as stack:
        bench = Bench(Path(folder), args.events, stack)
        runs: list[Callable[[], Measured]] = [bench.client]
        for kind in KINDS:
            if args.only not in (None, kind):
                continue
            runs.append(lambda kind=kind: bench.source(kind))  # type: ignore[misc]
            if kind in ("kafka", "redis"):
                runs.append(lambda kind=kind: bench.source(kind, "protobuf"))  # type: ignore[misc]
                runs.append(lambda kind=kind: bench.source(kind, "json", 2))  # type: ignore[misc]
        for run in runs:
            one = run()
            cpu = f"{one.cpu_us:.0f}" if one.cpu_us else "not read"
            table.add_row(one.name, f"{one.accepted_s:,.0f}", f"{one.decided_s:,.0f}", cpu)
            console.log(f"{one.name}: {one.accepted_s:,.0f} accepted/s")
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
