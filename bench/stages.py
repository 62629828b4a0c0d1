"""CPU microseconds an event by stage at batches of 256, in this process: each stage's own work, without its hop.

What the processes of a running mesh spend beyond the sum of these is hops (gRPC, protobuf at the borders, the event loop)
and telemetry; `measure` splits it so when it is given the CPU of the processes in a batch run.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from bench.traffic import events
from services.common.clock import SystemClock
from services.common.db import DatabaseSettings, open_database
from services.common.event_types import event_class
from services.common.migrations import migrate
from services.common.policy import PolicySetCache, build_default
from services.compliance.ledger_reader import LedgerReader
from services.compliance.servicer import ComplianceServicer
from services.compliance.servicer import Engines as ComplianceEngines
from services.compliance.store_consents import ConsentStore
from services.fraud.engine import Engines as FraudEngines
from services.fraud.ringbook import RingBook
from services.fraud.servicer import FraudServicer
from services.fraud.store import RingStore
from services.fraud.store_snapshot import SnapshotMemory
from services.ingest import check, receipts
from services.ingest.records import NO_PROFILE, Commit, Decided, Profile, ProfileChange
from services.ingest.stores import open_store
from services.scoring.engine import Engines as ScoringEngines
from services.scoring.servicer import ScoringServicer
from usher.compliance.v1 import compliance_pb2
from usher.event.v1 import event_pb2
from usher.fraud.v1 import fraud_pb2
from usher.ingest.v1 import ingest_pb2
from usher.scoring.v1 import scoring_pb2

BATCH = 256
WARM = 20
BATCHES = 60
USERS = 20_000
TENANT = "bench"


def measure(process_us: Mapping[str, float] | None = None) -> dict[str, float]:
    """Own work of each stage; with the processes' CPU of a batch run also hops and the rest."""
    costs = asyncio.run(_measure())
    if process_us is not None:
        own = costs["compliance"] + costs["fraud"] + costs["scoring"]
        callee = process_us["compliance"] + process_us["fraud"] + process_us["scoring"]
        costs["hops"] = max(0.0, callee - own)
        rest = process_us["ingest"] - costs["ingest"] - costs["commit"] + process_us["alerts"]
        costs["telemetry and the rest"] = max(0.0, rest)
        costs["client"] = process_us["client"]
    return costs


async def _measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="usher-stages-") as name:
        folder = Path(name)
        policy_set = build_default(folder / "policy")
        sets = PolicySetCache(folder / "policy")
        source = events(USERS, 7, "stage")
        batches = [[next(source) for _ in range(BATCH)] for _ in range(WARM + BATCHES)]
        costs: dict[str, float] = {}

        payloads = []
        with Stage() as ingest:
            for batch in batches[WARM:]:
                for serialised in ingest_pb2.EventBatch.FromString(
                    ingest_pb2.EventBatch(tenant=TENANT, events=batch).SerializeToString()
                ).events:
                    payloads.append(_take(serialised))
        costs["ingest"] = ingest.per_event

        ledger = open_database(DatabaseSettings(url=str(folder / "compliance.db")), schema="compliance")
        migrate(ledger, "compliance")
        compliance = ComplianceServicer(
            ComplianceEngines(sets, 50_000), LedgerReader(ConsentStore(ledger)), CollectorRegistry()
        )
        evaluate = [
            compliance_pb2.EvaluateEventsRequest(tenant=TENANT, policy_set=policy_set, events=batch)
            for batch in batches
        ]
        costs["compliance"] = await _serve(compliance.EvaluateEvents, evaluate)
        await ledger.aclose()

        database = open_database(DatabaseSettings(url=str(folder / "fraud.db")), schema="fraud")
        migrate(database, "fraud")
        rings = RingStore(database, SystemClock())
        await database.run(rings.open)
        memory = SnapshotMemory(folder / "fraud", interval=3600, capacity=1_000_000)
        await memory.open()
        book = RingBook(memory, rings, database)
        fraud = FraudServicer(memory, rings, database, FraudEngines(sets), book)
        now_ms = time.time_ns() // 1_000_000
        assess = [
            fraud_pb2.AssessEventsRequest(
                tenant=TENANT, policy_set=policy_set, events=batch, batch_time_ms=now_ms
            )
            for batch in batches
        ]
        costs["fraud"] = await _serve(fraud.AssessEvents, assess)
        await memory.close()
        await database.aclose()

        scoring = ScoringServicer(ScoringEngines(sets))
        costs["scoring"] = await _score(scoring, batches, policy_set)
        costs["commit"] = _commit(folder, batches)
        return costs


class Stage:
    """Process CPU of a block, an event."""

    def __enter__(self) -> Stage:
        self._started = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.per_event = (time.process_time() - self._started) / (BATCHES * BATCH) * 1e6


def _take(serialised: bytes) -> bytes:
    event = event_pb2.Event.FromString(serialised)
    check.examine(event, time.time_ns() // 1_000_000)
    check.normalise(event)
    payload = event.SerializeToString(deterministic=True)
    receipts.event_key(TENANT, event.event_id)
    receipts.user_key(TENANT, event.user_id)
    receipts.device_hash(event.device_id)
    receipts.fingerprint(payload)
    event_class(event.event_type)
    return payload


async def _serve(handler: Any, requests: list[Any]) -> float:
    for request in requests[:WARM]:
        await _retried(handler, request)
    with Stage() as stage:
        for request in requests[WARM:]:
            await handler(request, None)
    return stage.per_event


async def _retried(handler: Any, request: Any) -> Any:
    # The first call of a policy set is told that it is being loaded.
    from services.common.errors import PolicySetUnknown

    for _ in itertools.count():
        try:
            return await handler(request, None)
        except PolicySetUnknown:
            await asyncio.sleep(0.05)
    return None


async def _score(scoring: ScoringServicer, batches: list[list[bytes]], policy_set: str) -> float:
    profiles: dict[str, bytes] = {}
    spent = 0.0
    for number, batch in enumerate(batches):
        users = [event_pb2.Event.FromString(event).user_id for event in batch]
        distinct = list(dict.fromkeys(users))
        place = {user: index for index, user in enumerate(distinct)}
        request = scoring_pb2.DecideEventsRequest(
            tenant=TENANT,
            policy_set=policy_set,
            events=batch,
            profiles=[profiles.get(user, b"") for user in distinct],
            profile_of=[place[user] for user in users],
            item_flags=[0] * BATCH,
            compliance_risk=[0.0] * BATCH,
            verdict_flags=[0] * BATCH,
            modes=[2] * 8,
            signals=[0.0] * (12 * BATCH),
            signal_width=12,
        )
        started = time.process_time()
        answer = await _retried(scoring.DecideEvents, request)
        if number >= WARM:
            spent += time.process_time() - started
        for user, body in zip(distinct, answer.profiles, strict=True):
            profiles[user] = body or profiles.get(user, b"")
    return spent / (BATCHES * BATCH) * 1e6


def _commit(folder: Path, batches: list[list[bytes]]) -> float:
    database = open_database(DatabaseSettings(url=str(folder / "ingest.db")), schema="ingest")
    migrate(database, "ingest")
    store = open_store(database)
    profiles: dict[bytes, Profile] = {}
    commits = []
    for batch in batches:
        commit = Commit()
        for serialised in batch:
            event = event_pb2.Event.FromString(serialised)
            user = receipts.user_key(TENANT, event.user_id)
            commit.decided.append(
                Decided(
                    receipts.event_key(TENANT, event.event_id),
                    receipts.fingerprint(serialised),
                    TENANT,
                    user,
                    event.event_time.seconds * 1000,
                    1,
                    1,
                    0,
                    serialised,
                    b"x" * 600,
                    False,
                    True,
                )
            )
        commits.append(commit)
    spent = 0.0
    for number, commit in enumerate(commits):
        for user in dict.fromkeys(one.user_key for one in commit.decided):
            p = profiles.get(user, NO_PROFILE)
            commit.profiles.append(
                ProfileChange(user, p.row_id, p.version, b"dddd", b"", b"p" * 1024, p.last_position)
            )
        started = time.process_time()
        store.look_up([one.key for one in commit.decided], [])
        done = store.commit(commit)
        store.maintain(0)
        if number >= WARM:
            spent += time.process_time() - started
        profiles.update(done.profiles)
    database.dispose()
    return spent / (BATCHES * BATCH) * 1e6
