"""The records of compliance, put together: stores, keys, peers, the worker, the servicers."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.common import signed
from services.common.background import Background
from services.common.clock import Clock
from services.common.db import Database
from services.common.erased import KEY_BYTES, ErasedRows
from services.common.errors import PolicySetUnknown, Unavailable
from services.common.policy import PolicySetCache
from services.common.server import Service
from services.common.shipped import shipped_policy_set
from services.common.subject_data import subject_data
from services.common.telemetry import Telemetry
from services.compliance.duties import Facts, read_facts
from services.compliance.fulfil import Fulfilment, read_copy
from services.compliance.peers import Peers
from services.compliance.servicer_records import (
    BreachServicer,
    EvidenceServicer,
    RequestServicer,
    RetentionServicer,
    Shared,
)
from services.compliance.settings import ComplianceSettings
from services.compliance.store_consents import ConsentStore
from services.compliance.store_records import RecordStore
from services.compliance.store_subject import ComplianceSubjects
from services.compliance.sweep import Sweep
from usher.compliance.v1 import records_pb2_grpc
from usher.policy.v1 import policy_pb2

_KEPT_SETS = 4
_PACKS = Path(__file__).parent / "packs"


class Law:
    """The facts of the packs: of the policy set that is in force, else of those that ship."""

    def __init__(self, peers: Peers, sets: PolicySetCache) -> None:
        self._peers = peers
        self._sets = sets
        self._facts: OrderedDict[str, tuple[Facts, ...]] = OrderedDict()

    async def facts(self) -> tuple[Facts, ...]:
        """As read from the packs; read once a policy set."""
        name = await self._peers.policy_set()
        if name not in self._facts:
            parts = await asyncio.to_thread(self.packs, name)
            self._facts[name] = await asyncio.to_thread(read_facts, parts)
            while len(self._facts) > _KEPT_SETS:
                self._facts.popitem(last=False)
        return self._facts[name]

    def packs(self, policy_set: str) -> dict[str, bytes]:
        """The packs of a policy set by name; those that ship where the set is not here. Blocks."""
        try:
            found = self._sets.get(policy_set or shipped_policy_set())
            return found.parts(policy_pb2.PART_KIND_REGULATION_PACK)
        except PolicySetUnknown:
            return {path.stem: path.read_bytes() for path in sorted(_PACKS.glob("*.yaml"))}


class Records:
    """Everything beside the evaluation of events. An async context manager."""

    def __init__(
        self,
        settings: ComplianceSettings,
        consents: ConsentStore,
        forget: Callable[[str, str], None],
        database: Database,
        telemetry: Telemetry,
        clock: Clock,
    ) -> None:
        options = settings.records
        self._database = database
        self._clock = clock
        self._log = telemetry.logger("records")
        self._store = RecordStore(database)
        key, signing, copy = _keys(settings, database, self._store)
        peers = {
            "alerts": settings.alerts,
            "fraud": settings.fraud,
            "scoring": settings.scoring,
            "ingest": settings.ingest,
        }
        self._peers = Peers(peers, options.erase_timeout, telemetry)
        self._rows = ErasedRows(database)
        self._key = key
        self._copy = copy
        self._own = ComplianceSubjects(self._store, consents, forget, self._rows, key)
        law = Law(self._peers, PolicySetCache(settings.policy_dir))
        fulfilment = Fulfilment(
            store=self._store,
            peers=self._peers,
            own=self._own,
            key=key,
            signing=signing,
            ledger_copy=copy,
            settle_seconds=options.settle_seconds,
            longest_retry_seconds=options.longest_retry_seconds,
            clock=clock,
            telemetry=telemetry,
        )
        shared = Shared(self._store, self._peers, law.facts, law.packs, key, signing, clock)
        retention = RetentionServicer(shared)
        self._sweep = Sweep(
            store=self._store,
            fulfilment=fulfilment,
            peers=self._peers,
            facts=law.facts,
            retain=partial(
                retention.run_due, options.retention_tenants, round(options.retention_hours * 3_600_000)
            ),
            seconds=options.sweep_seconds,
            clock=clock,
            telemetry=telemetry,
        )
        self._servicers: list[tuple[Any, object, str]] = [
            (
                records_pb2_grpc.add_SubjectRequestServiceServicer_to_server,
                RequestServicer(shared, fulfilment, self._own),
                "SubjectRequestService",
            ),
            (records_pb2_grpc.add_BreachServiceServicer_to_server, BreachServicer(shared), "BreachService"),
            (
                records_pb2_grpc.add_RetentionServiceServicer_to_server,
                retention,
                "RetentionService",
            ),
            (
                records_pb2_grpc.add_EvidenceServiceServicer_to_server,
                EvidenceServicer(shared, self._own),
                "EvidenceService",
            ),
        ]
        self._background = Background(telemetry.logger("sweep"))

    @property
    def services(self) -> list[Service]:
        """What to host."""
        return [
            *(Service(add, one, f"usher.compliance.v1.{name}") for add, one, name in self._servicers),
            subject_data(self._own, self._clock),
        ]

    async def __aenter__(self) -> Records:
        run = self._database.run
        await run(self._rows.look)
        if self._copy is not None:
            adopted = await run(self._store.adopt, await asyncio.to_thread(read_copy, self._copy))
            if adopted:
                self._log.warning("the erasure ledger was older than its copy", extra={"entries": adopted})
        # Its own rows first: nothing is served before.
        state = await self._database.read(self._rows.state)
        missing = [
            entry
            for entry in await self._database.read(self._store.ledger, 0, 1_000_000)
            if state.restored or entry.sequence > state.applied_sequence
        ]
        if missing or state.restored:
            await self._own.reapply(self._key, missing, complete=True)
        if self._database.dialect == "sqlite":
            await run(self._store.wake, self._clock.now_ms())
        self._background.start(self._sweep.tasks())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._background.stop()
        await self._sweep.stop()
        await self._peers.close()

    async def healthy(self) -> None:
        """Returns when requests can be taken in. Raises Unavailable (ERASURES_BEHIND, CHORE_FAILED), FailedPrecondition."""
        await self._database.ping()
        if self._rows.restored:
            raise Unavailable("ERASURES_BEHIND", "the erasure ledger is not applied yet")
        self._background.check()


def _keys(
    settings: ComplianceSettings, database: Database, store: RecordStore
) -> tuple[bytes, Ed25519PrivateKey, Path | None]:
    """The ledger's key, the signing key, and where the copy of the ledger is."""
    options = settings.records
    beside = None if database.path is None else database.path.parent
    copy = options.ledger_copy or (None if beside is None else beside / "erasures.jsonl")
    folder = options.keys_dir or beside
    if folder is not None:
        secret = signed.load_or_make_secret(folder / "ledger.key")
        return secret, signed.load_or_make_key(folder / "signing.key"), copy
    secret = store.key("ledger", os.urandom(KEY_BYTES))
    pem = store.key("signing", signed.private_pem(Ed25519PrivateKey.generate()))
    return secret, signed.read_private_pem(pem), copy
