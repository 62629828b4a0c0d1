"""Run the front door: python -m services.ingest"""

from __future__ import annotations

import os

from services.common.config import load
from services.common.server import run, serve
from services.common.telemetry import start_telemetry
from services.ingest import faults
from services.ingest.app import Ingest
from services.ingest.settings import IngestSettings


async def main() -> None:
    """Settings, telemetry, the parts, serve."""
    faults.arm(os.environ)
    settings = load(IngestSettings, prefix="USHER_INGEST_")
    telemetry = start_telemetry("ingest", settings.telemetry)
    async with Ingest(settings, telemetry) as ingest:
        await serve(
            settings.server,
            ingest.services,
            healthy=ingest.healthy,
            telemetry=telemetry,
            on_drain=ingest.drain,
            authorise=ingest.authorise,
        )


if __name__ == "__main__":
    run(main())
