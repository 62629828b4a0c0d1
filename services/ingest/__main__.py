"""Run the front door: python -m services.ingest"""

from __future__ import annotations

import os

from services.common.config import load
from services.common.server import Service, run, serve
from services.common.telemetry import start_telemetry
from services.ingest import faults
from services.ingest.app import Ingest
from services.ingest.servicer import INGEST, POLICY, add_ingest_to_server
from services.ingest.servicer_control import LABELS, LISTS
from services.ingest.settings import IngestSettings
from usher.ingest.v1 import labels_pb2_grpc, lists_pb2_grpc
from usher.policy.v1 import policy_pb2_grpc


async def main() -> None:
    """Settings, telemetry, the parts, serve."""
    faults.arm(os.environ)
    settings = load(IngestSettings, prefix="USHER_INGEST_")
    telemetry = start_telemetry("ingest", settings.telemetry)
    async with Ingest(settings, telemetry) as ingest:
        await serve(
            settings.server,
            [
                Service(add_ingest_to_server, ingest.servicer, INGEST),
                ingest.subjects,
                Service(policy_pb2_grpc.add_PolicyServiceServicer_to_server, ingest.policy_servicer, POLICY),
                Service(labels_pb2_grpc.add_LabelServiceServicer_to_server, ingest.label_servicer, LABELS),
                Service(lists_pb2_grpc.add_ListServiceServicer_to_server, ingest.list_servicer, LISTS),
            ],
            healthy=ingest.healthy,
            telemetry=telemetry,
            on_drain=ingest.drain,
        )


if __name__ == "__main__":
    run(main())
