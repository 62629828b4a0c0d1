"""Run the compliance service: python -m services.compliance"""

from __future__ import annotations

import asyncio
import os

from services.common.clock import SystemClock
from services.common.config import load
from services.common.db import open_database
from services.common.migrations import migrate
from services.common.policy import PolicySetCache
from services.common.policy_sets import policy_set_service, warm_up
from services.common.server import Service, run, serve
from services.common.telemetry import start_telemetry
from services.compliance import faults
from services.compliance.ledger_reader import LedgerReader
from services.compliance.records import Records
from services.compliance.servicer import ComplianceServicer, Engines
from services.compliance.servicer_consents import ConsentServicer
from services.compliance.settings import ComplianceSettings
from services.compliance.store_consents import ConsentStore
from usher.compliance.v1 import compliance_pb2_grpc, consent_pb2_grpc


async def main() -> None:
    """Serves until told to stop."""
    faults.arm(os.environ)
    settings = load(ComplianceSettings, prefix="USHER_COMPLIANCE_")
    telemetry = start_telemetry("compliance", settings.telemetry)
    async with open_database(
        settings.database, schema="compliance", application="usher-compliance"
    ) as database:
        await asyncio.to_thread(migrate, database, "compliance")
        engines = Engines(PolicySetCache(settings.policy_dir), settings.cached_signatures)
        await warm_up(engines.get, settings.policy_dir, telemetry)
        consents = ConsentStore(database)
        reader = LedgerReader(consents)
        services = [
            Service(
                compliance_pb2_grpc.add_ComplianceServiceServicer_to_server,
                ComplianceServicer(engines, reader, telemetry.registry),
                "usher.compliance.v1.ComplianceService",
            ),
            Service(
                consent_pb2_grpc.add_ConsentServiceServicer_to_server,
                ConsentServicer(consents, telemetry.registry, SystemClock()),
                "usher.compliance.v1.ConsentService",
            ),
            policy_set_service(engines.get),
        ]
        everything = Records(settings, consents, reader.forget, database, telemetry, SystemClock())
        async with everything as records:
            services += records.services
            await serve(settings.server, services, healthy=records.healthy, telemetry=telemetry)


if __name__ == "__main__":
    run(main())
