"""`python -m bench.fraud`: what fraud's memory costs, in process and in Redis.

    python -m bench.fraud                             in process, a graph of 2,000,000 edges
    python -m bench.fraud --edges 200000              smaller
    python -m bench.fraud --redis --edges 200000      the same events on a Redis-compatible server, in process beside it

Prints a JSON line a figure: microseconds an event on known and on new edges (batches of 256, the memory alone), bytes an
edge, seconds to save and to load a snapshot, and the worst event of one address with a million accounts and one device
with a hundred thousand. With --redis a durable server of this machine (valkey, append-only file, fsync every second) is
started and ended; told are wall time, CPU of the service and of the server, round trips a batch and bytes an edge, and how
often the memory in process does the same meanwhile. Times are of this machine as it is: beside them stands a fixed loop to
compare by.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import redis

from services.fraud.memory import Sighting, pack_place
from services.fraud.memory_process import TenantMemory
from services.fraud.store_graph import RedisGraph
from services.fraud.store_redis import RedisMemory
from services.fraud.store_snapshot import SnapshotMemory
from tests.servers import RedisServer

NOW = 1_795_348_800_000
BATCH = 256


def sighting(number: int, account: int, device: int, time_ms: int) -> Sighting:
    """A heartbeat of an account at home: a device, a card, an address, hence three edges."""
    place = pack_place(time_ms, f"e{number}", account % 900_000, account % 1_800_000, 20, 0x4445, 3320)
    address = f"10.{account >> 16 & 255}.{account >> 8 & 255}.{account & 255}"
    return Sighting(
        f"e{number}",
        f"u{account}",
        f"d{device}",
        f"p{account}",
        address,
        "",
        time_ms,
        place,
        stream=f"s{account}",
    )


def tell(name: str, value: float, unit: str) -> None:
    """Prints one figure."""
    print(json.dumps({"figure": name, "value": round(value, 3), "unit": unit}), flush=True)


def per_event(memory: TenantMemory, events: list[Sighting]) -> float:
    """Microseconds of CPU an event, in batches."""
    started = time.process_time()
    for start in range(0, len(events), BATCH):
        for event in events[start : start + BATCH]:
            memory.observe(event)
    return (time.process_time() - started) / len(events) * 1e6


def visits(memory: TenantMemory, together: int, accounts: int = 20_000) -> float:
    """Microseconds an event on known edges where so many accounts share each address, on their fifth day there."""
    day = 86_400_000

    def visit(number: int, time_ms: int) -> Sighting:
        account = number % accounts
        group = account // together
        address = f"10.{group >> 16 & 255}.{group >> 8 & 255}.{group & 255}"
        return sighting(number, account, account, time_ms)._replace(address=address)

    for number in range(5 * accounts):
        memory.observe(visit(number, NOW + number // accounts * day + number % accounts))
    events = [visit(5 * accounts + n, NOW + 4 * day + 10**6 + n) for n in range(accounts)]
    return per_event(memory, events)


def yardstick() -> float:
    """Nanoseconds of one step of a fixed loop."""
    started = time.process_time()
    table: dict[int, int] = {}
    for number in range(1_000_000):
        table[number & 4095] = number
    return (time.process_time() - started) * 1e3


def crowd(memory: TenantMemory, accounts: int, *, device: bool) -> float:
    """Milliseconds of the slowest event of many accounts on one device or at one address."""
    worst = 0.0
    for number in range(accounts):
        event = sighting(number, number, number, NOW + number)
        shared = {"device": "kiosk"} if device else {"address": "100.64.0.1"}
        event = event._replace(
            event_id=f"c{device}{number}", user=f"c{number}", payment="", stream="", **shared
        )
        started = time.process_time()
        memory.observe(event)
        worst = max(worst, time.process_time() - started)
    return worst * 1e3


def known_edges(accounts: int) -> list[Sighting]:
    """Events of accounts on devices, cards and addresses that they are known to use."""
    return [
        sighting(10**8 + n, n * 7919 % accounts, n * 7919 % accounts, NOW + 10**7 + n) for n in range(51_200)
    ]


def new_edges(accounts: int) -> list[Sighting]:
    """Events of accounts on new devices, two accounts a device: two edges and a tie for two events."""
    return [
        sighting(2 * 10**8 + n, n * 7919 % accounts, n // 2 + 10**8, NOW + 2 * 10**7 + n)
        for n in range(25_600)
    ]


def filling(accounts: int) -> Iterator[Sighting]:
    """Events that make four edges an account."""
    return (sighting(n, n % accounts, n, NOW + n) for n in range(2 * accounts))


class Cost(NamedTuple):
    """What events cost, microseconds each."""

    wall: float
    service: float
    server: float
    calls: float
    """Round trips a batch."""


async def on_redis(memory: RedisMemory, server: Any, events: list[Sighting]) -> Cost:
    """Observes events in batches."""

    def used() -> tuple[float, int]:
        cpu, calls = server.info("cpu"), server.info("commandstats")
        scripts = sum(
            row["calls"] for name, row in calls.items() if name in ("cmdstat_evalsha", "cmdstat_eval")
        )
        return cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"], scripts

    before, called = used()
    wall, service = time.perf_counter(), time.process_time()
    for start in range(0, len(events), BATCH):
        part = events[start : start + BATCH]
        await memory.observe("bench", part, committed_through_ms=0, batch_time_ms=NOW)
    wall, service = time.perf_counter() - wall, time.process_time() - service
    after, calls = used()
    each = 1e6 / len(events)
    batches = len(events) / BATCH
    return Cost(wall * each, service * each, (after - before) * each, (calls - called) / batches)


async def compare(edges: int) -> int:
    """The memory in Redis beside the one in process, on the same events."""
    accounts = edges // 4
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    tell("yardstick", yardstick(), "ns a step")
    with RedisServer(durable=True) as process:
        server: Any = redis.Redis.from_url(process.url)
        server.config_set("appendfsync", "everysec")
        server.config_set("auto-aof-rewrite-percentage", 0)
        memory = RedisMemory(process.url, timeout=30)
        await memory.open()
        beside = TenantMemory(1 << 23)
        before = server.info("memory")["used_memory"]
        events = filling(accounts)
        while part := list(islice(events, 10_000)):
            await memory.restore("bench", part, complete_through_ms=0)
            for event in part:
                beside.observe(event)
        grown = server.info("memory")["used_memory"] - before
        tell("edges", 4 * accounts, "edges")
        tell("memory of the server", grown / (4 * accounts), "bytes an edge, accounts and streams with it")
        for name, asked in (("known edges", known_edges(accounts)), ("new edges", new_edges(accounts))):
            cost = await on_redis(memory, server, asked)
            here = per_event(beside, asked)
            tell(f"{name}: wall", cost.wall, "us an event")
            tell(f"{name}: CPU of the service", cost.service, "us an event")
            tell(f"{name}: CPU of the server", cost.server, "us an event")
            tell(f"{name}: round trips", cost.calls, "a batch")
            tell(f"{name}: in process", here, "us of CPU an event")
            tell(f"{name}: wall in Redis", cost.wall / here, "times in process")
        await memory.close()
        graph = RedisGraph(process.url)
        started, cpu = time.perf_counter(), server.info("cpu")["used_cpu_user_main_thread"]
        with graph:
            read = graph.edges("bench", lambda _: None)
        tell("sweep: reading it", time.perf_counter() - started, "s")
        tell("sweep: CPU of the server", server.info("cpu")["used_cpu_user_main_thread"] - cpu, "s")
        tell("sweep: edges that are shared", len(read.account), "edges")
        server.close()
    return 0


async def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", type=int, default=2_000_000)
    parser.add_argument("--redis", action="store_true", help="on a Redis-compatible server as well")
    options = parser.parse_args()
    if options.redis:
        return await compare(options.edges)
    accounts = options.edges // 4
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    tell("yardstick", yardstick(), "ns a step")
    with tempfile.TemporaryDirectory(prefix="usher-fraud-") as folder:
        held = SnapshotMemory(Path(folder), capacity=1 << 23)
        memory = held.tenant("bench")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for event in list(filling(accounts)):
            memory.observe(event)
        edges = sum(
            len(users)
            for table in ("devices", "payments", "addresses")
            for shard in memory.tables[table].shards
            for users in shard.values()
        )
        gc.freeze()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        tell("edges", edges, "edges")
        tell("memory", grown * 1024 / edges, "bytes an edge, accounts and streams with it")
        tell("known edges", per_event(memory, known_edges(accounts)), "us an event")
        tell("new edges", per_event(memory, new_edges(accounts)), "us an event")
        started = time.perf_counter()
        await held.save()
        tell("save", time.perf_counter() - started, "s")
        memory.tables.clear()
        held.tenants.clear()
        started = time.perf_counter()
        again = SnapshotMemory(Path(folder), interval=3600, capacity=1 << 23)
        again._load()
        tell("restart", time.perf_counter() - started, "s")
        again.tenants.clear()
    for name, together in (("a home of 4", 4), ("an office of 40", 40), ("a gateway of 5,000", 5000)):
        tell(f"known edges, {name}", visits(TenantMemory(1 << 23), together), "us an event")
    crowded = TenantMemory(1 << 23)
    tell("one address, 1,000,000 accounts: slowest event", crowd(crowded, 1_000_000, device=False), "ms")
    tell("members kept of it", len(crowded.tables["addresses"].get("100.64.0.1")), "accounts")
    tell("accounts tied by it", len(crowded.components), "accounts")
    crowded = TenantMemory(1 << 23)
    tell("one device, 100,000 accounts: slowest event", crowd(crowded, 100_000, device=True), "ms")
    tell("accounts tied by it", len(crowded.components), "accounts")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
