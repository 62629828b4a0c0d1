"""`python -m bench.consent`: what consent costs an event, in CPU microseconds at batches of 256.

    no ledger       EvaluateEvents in process, warm, with a ledger that answers at once that the tenant has no entries
    empty ledger    the same with the database asked: a tenant that keeps no consent here
    full ledger     every viewer has three entries; the events bring no consent of their own
    TC string       every event brings a TC string of some 200 vendors, 64 strings in turn, the cache warm
    new TC string   each event another one: decoded, resolved, evaluated

and, a string: decoding a TC string, a GPP string with TCF and two US sections, a US Privacy string.

Process CPU time, so that the database's threads count; the median of several rounds. Machines are noisy: compare
within a run.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from services.common.consent_strings import decode
from services.common.consent_strings.gpp import GppString, encode_gpp
from services.common.consent_strings.tcf import TcString, encode_tcf
from services.common.db import DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.policy import PolicySetCache, build_default
from services.compliance.ledger_reader import LedgerReader
from services.compliance.servicer import ComplianceServicer, Engines
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import compliance_pb2, consent_pb2
from usher.event.v1 import event_pb2

BATCH = 256
ROUNDS = 7
NOW = 1_767_268_800
PURPOSE = "targeted_advertising"

TC = TcString(
    version=2,
    created=(NOW - 86_400) * 10,
    last_updated=(NOW - 86_400) * 10,
    cmp_id=18,
    cmp_version=1,
    consent_screen=1,
    consent_language="EN",
    vendor_list_version=100,
    policy_version=5,
    purpose_consents=tuple(range(1, 12)),
    vendor_consents=tuple(range(1, 800, 4)),
    vendors_disclosed=tuple(range(1, 800, 2)),
)


class NoLedger:
    """Answers without a database, as if the tenant kept no consent."""

    async def holds_any(self, tenant: str) -> bool:
        return False


def main() -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=40, help="batches of 256 a round")
    arguments = parser.parse_args()
    if not 1 <= arguments.batches <= 10_000:
        parser.error("--batches is 1 to 10,000")
    table = Table("what", "CPU us")
    for name, cost in asyncio.run(measure(arguments.batches)).items():
        table.add_row(f"{name}, an event", f"{cost:.2f}")
    for name, cost in decoding().items():
        table.add_row(f"{name}, a string", f"{cost:.1f}")
    Console().print(table)
    return 0


async def measure(batches: int) -> dict[str, float]:
    """Microseconds an event of each way."""
    with tempfile.TemporaryDirectory(prefix="usher-consent-") as name:
        folder = Path(name)
        policy_set = build_default(folder)
        engines = Engines(PolicySetCache(folder), 50_000)
        database = open_database(DatabaseSettings(url=str(folder / "compliance.db")), schema="compliance")
        migrate(database, "compliance")
        store = ConsentStore(database)
        viewers = [f"user-{number}" for number in range(4 * BATCH)]
        for viewer in viewers:
            await store.record("full", viewer, _records(), "", NOW * 1000)
        fake: Any = NoLedger()
        plain = [_event(viewer) for viewer in viewers]
        texts = [encode_tcf(dataclasses.replace(TC, cmp_version=number)) for number in range(64)]
        strings = [_event(viewer, texts[place % 64]) for place, viewer in enumerate(viewers)]
        found = {}
        for label, consents, tenant, events in (
            ("no ledger", fake, "none", plain),
            ("empty ledger", store, "none", plain),
            ("full ledger", store, "full", plain),
            ("TC string", store, "none", strings),
        ):
            servicer = ComplianceServicer(engines, LedgerReader(consents), CollectorRegistry())
            requests = _requests(tenant, policy_set, events, batches)
            await _run(servicer, requests)
            found[label] = statistics.median([await _run(servicer, requests) for _ in range(ROUNDS)])
        servicer = ComplianceServicer(engines, LedgerReader(store), CollectorRegistry())
        fresh = [
            _event("ann", encode_tcf(dataclasses.replace(TC, cmp_version=number, consent_screen=1 + turn)))
            for turn in range(2)
            for number in range(64, 64 + 2 * BATCH)
        ]
        found["new TC string"] = await _run(
            servicer, _requests("none", policy_set, fresh, len(fresh) // BATCH)
        )
        await database.aclose()
        return found


async def _run(
    servicer: ComplianceServicer, requests: Sequence[compliance_pb2.EvaluateEventsRequest]
) -> float:
    began = time.process_time()
    for request in requests:
        await servicer.EvaluateEvents(request, None)
    return (time.process_time() - began) / (len(requests) * BATCH) * 1e6


def _requests(
    tenant: str, policy_set: str, events: Sequence[bytes], batches: int
) -> list[compliance_pb2.EvaluateEventsRequest]:
    whole = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
    return [
        compliance_pb2.EvaluateEventsRequest(
            tenant=tenant, policy_set=policy_set, events=whole[number % len(whole)]
        )
        for number in range(batches)
    ]


def _event(viewer: str, tcf_string: str = "") -> bytes:
    event = event_pb2.Event(event_id="e", user_id=viewer, event_type="play", region="DE")
    event.event_time.seconds = NOW
    event.privacy.user_residence = "DE"
    event.privacy.purpose = PURPOSE
    event.privacy.legal_basis_claimed = "consent"
    if tcf_string:
        event.privacy.consent.tcf_string = tcf_string
    return event.SerializeToString()


def _records() -> list[consent_pb2.ConsentRecord]:
    records = []
    for days, act in ((90, consent_pb2.CONSENT_ACT_GIVEN), (60, consent_pb2.CONSENT_ACT_WITHDRAWN)):
        record = consent_pb2.ConsentRecord(act=act, purpose=PURPOSE, source="cmp")
        record.effective_time.seconds = NOW - days * 86_400
        records.append(record)
    again = consent_pb2.ConsentRecord(act=consent_pb2.CONSENT_ACT_GIVEN, purpose=PURPOSE, source="cmp")
    again.effective_time.seconds = NOW - 30 * 86_400
    return [*records, again]


def decoding() -> dict[str, float]:
    """Microseconds a string."""
    us = {
        "Version": 1,
        "SaleOptOutNotice": 1,
        "SharingOptOutNotice": 1,
        "SensitiveDataLimitUseNotice": 1,
        "SaleOptOut": 2,
        "SharingOptOut": 2,
        "SensitiveDataProcessing": [0] * 9,
        "KnownChildSensitiveDataConsents": [0, 0],
        "PersonalDataConsents": 0,
        "MspaCoveredTransaction": 2,
        "MspaOptOutOptionMode": 0,
        "MspaServiceProviderMode": 0,
        "GpcSegmentIncluded": True,
        "Gpc": True,
    }
    texts = {
        "TC string": encode_tcf(TC),
        "GPP string": encode_gpp(GppString({2: TC, 8: us})),
        "US Privacy string": "1YNN",
    }
    return {name: _each(lambda text=text: decode(text)) for name, text in texts.items()}  # type: ignore[misc]


def _each(work: Callable[[], object], count: int = 300) -> float:
    began = time.process_time()
    for _ in range(count):
        work()
    return (time.process_time() - began) / count * 1e6


if __name__ == "__main__":
    sys.exit(main())
