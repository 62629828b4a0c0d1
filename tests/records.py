"""Compliance with all it serves, in this process, beside one small service that answers for the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc

import services.compliance
from services.common.client import ClientSettings
from services.common.clock import SystemClock
from services.common.db import Database, DatabaseSettings, open_database
from services.common.migrations import migrate
from services.common.policy import Part, PolicySetCache, write_policy_set
from services.common.server import ServerSettings, Service, start_server
from services.common.telemetry import Telemetry, TelemetrySettings
from services.compliance.ledger_reader import LedgerReader
from services.compliance.records import Records
from services.compliance.servicer import ComplianceServicer, Engines
from services.compliance.servicer_consents import ConsentServicer
from services.compliance.settings import ComplianceSettings, RecordsSettings
from services.compliance.store_consents import ConsentStore
from usher.alerts.v1 import alerts_pb2, alerts_pb2_grpc
from usher.compliance.v1 import compliance_pb2_grpc, consent_pb2_grpc
from usher.decision.v1 import decision_pb2
from usher.ingest.v1 import (
    enforcement_pb2,
    enforcement_pb2_grpc,
    ingest_pb2,
    ingest_pb2_grpc,
    labels_pb2,
    labels_pb2_grpc,
)
from usher.policy.v1 import policy_pb2, policy_pb2_grpc
from usher.subject.v1 import subject_pb2, subject_pb2_grpc

PACKS = Path(services.compliance.__file__).parent / "packs"


class Ingest(
    ingest_pb2_grpc.IngestServiceServicer,
    policy_pb2_grpc.PolicyServiceServicer,
    labels_pb2_grpc.LabelServiceServicer,
    subject_pb2_grpc.SubjectDataServiceServicer,
    alerts_pb2_grpc.AlertsServiceServicer,
    enforcement_pb2_grpc.EnforcementServiceServicer,
):
    """What compliance asks of the other services, answered by one."""

    def __init__(self, policy_set: str) -> None:
        self.policy_set = policy_set
        self.retained: list[subject_pb2.ApplyRetentionRequest] = []
        self.broken = False
        self.raised = asyncio.Event()
        self.labels: list[labels_pb2.Label] = []
        self.told: list[alerts_pb2.AlertMessage] = []

    async def GetActivePolicySet(self, request: Any, context: Any) -> policy_pb2.GetActivePolicySetResponse:
        return policy_pb2.GetActivePolicySetResponse(manifest={"policy_set": self.policy_set})

    async def ListDecisions(self, request: Any, context: Any) -> ingest_pb2.ListDecisionsResponse:
        one = decision_pb2.Decision(event_id="e1", tenant="dev", policy_set=self.policy_set)
        one.decided_time.FromJsonString("2026-03-01T00:00:00Z")
        return ingest_pb2.ListDecisionsResponse(decisions=[one])

    async def ListEnforcements(self, request: Any, context: Any) -> enforcement_pb2.ListEnforcementsResponse:
        return enforcement_pb2.ListEnforcementsResponse()

    async def RecordLabels(
        self, request: labels_pb2.RecordLabelsRequest, context: Any
    ) -> labels_pb2.RecordLabelsResponse:
        self.labels += request.labels
        recorded = labels_pb2.LabelResult(status=labels_pb2.LABEL_STATUS_RECORDED)
        return labels_pb2.RecordLabelsResponse(results=[recorded] * len(request.labels))

    async def ApplyRetention(
        self, request: subject_pb2.ApplyRetentionRequest, context: Any
    ) -> subject_pb2.ApplyRetentionResponse:
        self.retained.append(request)
        if self.broken:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the disk is full")
        return subject_pb2.ApplyRetentionResponse(
            counts=[
                {"store": one.store, "jurisdiction": one.jurisdiction, "rows": 3} for one in request.rules
            ]
        )

    async def ExportSubjectData(
        self, request: Any, context: Any
    ) -> AsyncIterator[subject_pb2.ExportSubjectDataResponse]:
        yield subject_pb2.ExportSubjectDataResponse(store="rows", json_lines=b'{"a":1}\n')

    async def GetErasureState(self, request: Any, context: Any) -> subject_pb2.GetErasureStateResponse:
        return subject_pb2.GetErasureStateResponse()

    async def RaiseAlerts(
        self, request: alerts_pb2.RaiseAlertsRequest, context: Any
    ) -> alerts_pb2.RaiseAlertsResponse:
        self.told += request.messages
        self.raised.set()
        return alerts_pb2.RaiseAlertsResponse()


HOSTED = (
    (ingest_pb2_grpc.add_IngestServiceServicer_to_server, "usher.ingest.v1.IngestService"),
    (policy_pb2_grpc.add_PolicyServiceServicer_to_server, "usher.policy.v1.PolicyService"),
    (labels_pb2_grpc.add_LabelServiceServicer_to_server, "usher.ingest.v1.LabelService"),
    (subject_pb2_grpc.add_SubjectDataServiceServicer_to_server, "usher.subject.v1.SubjectDataService"),
    (
        enforcement_pb2_grpc.add_EnforcementServiceServicer_to_server,
        "usher.ingest.v1.EnforcementService",
    ),
    (alerts_pb2_grpc.add_AlertsServiceServicer_to_server, "usher.alerts.v1.AlertsService"),
)


class Served(NamedTuple):
    """What is served."""

    target: str
    """Of compliance."""
    ingest: Ingest
    ingest_target: str
    database: Database


@asynccontextmanager
async def served_records(folder: Path, **records: Any) -> AsyncIterator[Served]:
    """Serves it under a folder with a short path; `records` are fields of RecordsSettings."""
    policies = folder / "policies"
    parts = [
        Part(policy_pb2.PART_KIND_REGULATION_PACK, path.stem, path.read_bytes())
        for path in PACKS.glob("*.yaml")
    ]
    ingest = Ingest(write_policy_set(policies, parts))
    telemetry = Telemetry("test", TelemetrySettings(), None)
    hosted = [Service(add, ingest, name) for add, name in HOSTED]
    at = ServerSettings(f"unix:{folder}/i.sock", drain_notice=0.0)
    async with (
        start_server(at, hosted, healthy=always, telemetry=Telemetry("i", TelemetrySettings(), None)) as peer,
        open_database(DatabaseSettings(url=f"{folder}/c.db"), schema="compliance") as database,
    ):
        await peer.wait_serving()
        await asyncio.to_thread(migrate, database, "compliance")
        there = ClientSettings(peer.target, timeout=60.0)
        own = ServerSettings(f"unix:{folder}/c.sock", drain_notice=0.0)
        settings = ComplianceSettings(
            server=own,
            database=DatabaseSettings(url=f"{folder}/c.db"),
            policy_dir=policies,
            ingest=there,
            scoring=there,
            fraud=there,
            alerts=there,
            records=RecordsSettings(**records),
        )
        consents = ConsentStore(database)
        reader = LedgerReader(consents)
        engines = Engines(PolicySetCache(policies), 1_000)
        law = Service(
            compliance_pb2_grpc.add_ComplianceServiceServicer_to_server,
            ComplianceServicer(engines, reader, telemetry.registry),
            "usher.compliance.v1.ComplianceService",
        )
        acts = Service(
            consent_pb2_grpc.add_ConsentServiceServicer_to_server,
            ConsentServicer(consents, telemetry.registry, SystemClock()),
            "usher.compliance.v1.ConsentService",
        )
        async with (
            Records(settings, consents, reader.forget, database, telemetry, SystemClock()) as records,
            start_server(
                own, [law, acts, *records.services], healthy=records.healthy, telemetry=telemetry
            ) as server,
        ):
            await server.wait_serving()
            yield Served(server.target, ingest, peer.target, database)


async def always() -> None:
    """Ready."""
