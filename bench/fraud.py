"""`python -m bench.fraud`: what fraud's memory in process costs.

    python -m bench.fraud                    a graph of 2,000,000 edges
    python -m bench.fraud --edges 200000     smaller

Prints a JSON line a figure: microseconds an event on known and on new edges (batches of 256, the memory alone), bytes an
edge, seconds to save and to load a snapshot, and the worst event of one address with a million accounts and one device
with a hundred thousand. Times are of this machine as it is: beside them stands a fixed loop to compare by.
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
from pathlib import Path

from services.fraud.memory import Sighting, pack_place
from services.fraud.memory_process import TenantMemory
from services.fraud.store_snapshot import SnapshotMemory

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


async def main() -> int:
    """Runs from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edges", type=int, default=2_000_000)
    options = parser.parse_args()
    accounts = options.edges // 4
    gc.freeze()
    gc.set_threshold(100_000, 50, 1000)
    tell("yardstick", yardstick(), "ns a step")
    with tempfile.TemporaryDirectory(prefix="usher-fraud-") as folder:
        held = SnapshotMemory(Path(folder), capacity=1 << 23)
        memory = held.tenant("bench")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        filling = [sighting(n, n % accounts, n, NOW + n) for n in range(2 * accounts)]
        for event in filling:
            memory.observe(event)
        edges = sum(
            len(users)
            for table in ("devices", "payments", "addresses")
            for shard in memory.tables[table].shards
            for users in shard.values()
        )
        del filling
        gc.freeze()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        tell("edges", edges, "edges")
        tell("memory", grown * 1024 / edges, "bytes an edge, accounts and streams with it")
        known = [
            sighting(10**8 + n, n * 7919 % accounts, n * 7919 % accounts, NOW + 10**7 + n)
            for n in range(51_200)
        ]
        tell("known edges", per_event(memory, known), "us an event")
        fresh = [
            sighting(2 * 10**8 + n, n * 7919 % accounts, n // 2 + 10**8, NOW + 2 * 10**7 + n)
            for n in range(25_600)
        ]
        tell("new edges", per_event(memory, fresh), "us an event")
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
