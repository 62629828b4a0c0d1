"""`python -m bench.compliance`: what the law costs an event, in CPU microseconds at batches of 256.

Traffic is mixed: viewers of the simulator in many countries (with their consents, minors and withdrawals), and among
them, one in eight, the worked cases of all regulations, so that transfers, requests, breaches and sales are there too.
Events do not repeat; their legal signatures do, as a brand's events share few combinations of facts.

    warm      EvaluateEvents in process over new events, the cache warm from as many others; with its hit rate
    all hits  the same batches again
    ledger    the same once more, every second viewer with an entry in the consent ledger
    without   events parsed, facts read and packs applied for each, no cache

Medians of several rounds where events may be sent again; machines are noisy, so `reference` tells how fast this one is:
parsing the same events.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from bench.traffic import events
from services.common.db import DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.policy import PolicySetCache, build_default
from services.compliance.cases import read_cases
from services.compliance.evaluate import Law
from services.compliance.facts import is_own_right, read_facts
from services.compliance.ledger_reader import LedgerReader
from services.compliance.servicer import ComplianceServicer, Engines
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import compliance_pb2, consent_pb2
from usher.event.v1 import event_pb2

BATCH = 256
BUDGET_WARM_US = 6.0
BUDGET_WITHOUT_US = 60.0
ROUNDS = 7
CASES = Path(__file__).resolve().parent.parent / "tests" / "data"


def mixed(count: int) -> list[bytes]:
    """`count` serialised events: seven of the simulator's and then a worked case, round and round."""
    cases = [
        case.event
        for file in ("regulation_cases.yaml", "further_cases.yaml")
        for case in read_cases((CASES / file).read_bytes())
    ]
    ordinary = events(5_000, 11, "law")
    found: list[bytes] = []
    while len(found) < count:
        found += islice(ordinary, 7)
        event = event_pb2.Event()
        event.CopyFrom(cases[len(found) // 8 % len(cases)])
        event.event_id = f"case-{len(found)}"
        found.append(event.SerializeToString(deterministic=True))
    return found[:count]


async def warm(servicer: ComplianceServicer, policy_set: str, traffic: list[bytes]) -> float:
    """CPU microseconds an event of the servicer's own work."""
    requests = [
        compliance_pb2.EvaluateEventsRequest(
            tenant="bench", policy_set=policy_set, events=traffic[start : start + BATCH]
        )
        for start in range(0, len(traffic), BATCH)
    ]
    began = time.process_time()
    for request in requests:
        await servicer.EvaluateEvents(request, None)
    return (time.process_time() - began) / len(traffic) * 1e6


async def consented(ledger: ConsentStore, traffic: list[bytes]) -> None:
    """Records an agreement of every second viewer."""
    viewers = sorted({event_pb2.Event.FromString(item).user_id for item in traffic} - {""})
    given = consent_pb2.ConsentRecord(act=consent_pb2.CONSENT_ACT_GIVEN, purpose="analytics", source="cmp")
    given.effective_time.FromJsonString("2020-01-01T00:00:00Z")
    for viewer in viewers[::2]:
        await ledger.record("bench", viewer, [given], "", 1_767_225_600_000)


def cpu(work: Callable[[], object], count: int) -> float:
    """CPU microseconds an event of a piece of work over `count` events."""
    began = time.process_time()
    work()
    return (time.process_time() - began) / count * 1e6


def measure(batches: int) -> dict[str, float]:
    """All figures, in microseconds of CPU an event, and the hit rate of the measured batches."""
    with tempfile.TemporaryDirectory(prefix="usher-law-") as name:
        folder = Path(name)
        policy_set = build_default(folder)
        engines = Engines(PolicySetCache(folder), 50_000)
        database = open_database(DatabaseSettings(url=str(folder / "compliance.db")), schema="compliance")
        migrate(database, "compliance")
        ledger = ConsentStore(database)
        servicer = ComplianceServicer(engines, LedgerReader(ledger), CollectorRegistry())
        traffic = mixed(BATCH * batches)
        half = len(traffic) // 2
        # As the services do at start (services/common/server.py).
        gc.collect()
        gc.freeze()
        gc.set_threshold(100_000, 50, 1_000)
        asyncio.run(warm(servicer, policy_set, traffic[:half]))
        engine = asyncio.run(engines.get(policy_set))
        before = engine.cache.statistics
        first = asyncio.run(warm(servicer, policy_set, traffic[half:]))
        after = engine.cache.statistics
        hits, misses = after.hits - before.hits, after.misses - before.misses
        alike = after.alike - before.alike
        again = [asyncio.run(warm(servicer, policy_set, traffic[half:])) for _ in range(ROUNDS)]
        asyncio.run(consented(ledger, traffic[half:]))
        asyncio.run(warm(servicer, policy_set, traffic[half:]))
        told = [asyncio.run(warm(servicer, policy_set, traffic[half:])) for _ in range(ROUNDS)]
        law = engine.law
        database.dispose()
    return {
        "warm": first,
        "all_hits": statistics.median(again),
        "ledger": statistics.median(told),
        "hit_rate": hits / (hits + misses),
        "alike_rate": alike / (hits + misses),
        **without_cache(law, traffic[: BATCH * 8]),
    }


def without_cache(law: Law, traffic: list[bytes]) -> dict[str, float]:
    """What reading facts and applying the packs costs for every event."""
    parsed = [event_pb2.Event.FromString(item) for item in traffic]

    def read() -> list[object]:
        return [read_facts(event, "", own_right=is_own_right(event.event_type)) for event in parsed]

    facts = [read_facts(event, "", own_right=is_own_right(event.event_type)) for event in parsed]
    count = len(traffic)
    parsing = [
        cpu(lambda: [event_pb2.Event.FromString(item) for item in traffic], count) for _ in range(ROUNDS)
    ]
    reading = [cpu(read, count) for _ in range(ROUNDS)]
    applying = [cpu(lambda: [law.evaluate(item) for item in facts], count) for _ in range(ROUNDS)]
    parse, reads, applies = (statistics.median(figures) for figures in (parsing, reading, applying))
    return {"reference": parse, "facts": reads, "packs": applies, "without": parse + reads + applies}


def main() -> int:
    """Measures, prints a table and one JSON line; 1 where a budget is not met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--batches", type=int, default=160, help="batches of 256; half of them warm the cache"
    )
    figures = measure(parser.parse_args().batches)
    table = Table("what", "us an event", "budget", title="Compliance: CPU an event at batches of 256")
    table.add_row(
        f"warm cache, {figures['hit_rate']:.1%} hits", f"{figures['warm']:.1f}", f"{BUDGET_WARM_US:g}"
    )
    table.add_row("all hits", f"{figures['all_hits']:.1f}", "")
    table.add_row("all hits, half of the viewers in the ledger", f"{figures['ledger']:.1f}", "")
    table.add_row("without the cache", f"{figures['without']:.1f}", f"{BUDGET_WITHOUT_US:g}")
    table.add_row("  of it: parsing (the reference)", f"{figures['reference']:.1f}", "")
    table.add_row("  of it: reading facts", f"{figures['facts']:.1f}", "")
    table.add_row("  of it: applying packs", f"{figures['packs']:.1f}", "")
    console = Console(stderr=True)
    console.print(table)
    console.print(
        f"hit rate {figures['hit_rate']:.1%} by the exact signature, {figures['alike_rate']:.1%} more by the coarse one"
    )
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return int(figures["warm"] > BUDGET_WARM_US or figures["without"] > BUDGET_WITHOUT_US)


if __name__ == "__main__":
    sys.exit(main())
