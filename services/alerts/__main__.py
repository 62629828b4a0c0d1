"""Run the alerts service: python -m services.alerts"""

from __future__ import annotations

import asyncio
import os

from services.alerts import faults
from services.alerts.app import Alerts
from services.alerts.settings import AlertsSettings
from services.alerts.store_subject import AlertsSubjects
from services.common.clock import SystemClock
from services.common.config import load
from services.common.db import open_database
from services.common.erased import ErasedRows
from services.common.migrations import migrate
from services.common.server import Service, run, serve
from services.common.subject_data import subject_data
from services.common.telemetry import start_telemetry
from usher.alerts.v1 import alerts_pb2_grpc


async def main() -> None:
    faults.arm(os.environ)
    settings = load(AlertsSettings, prefix="USHER_ALERTS_")
    telemetry, clock = start_telemetry("alerts", settings.telemetry), SystemClock()
    async with open_database(settings.database, schema="alerts", application="usher-alerts") as database:
        await asyncio.to_thread(migrate, database, "alerts")
        subjects = AlertsSubjects(database, ErasedRows(database))
        await subjects.start()
        async with Alerts(settings, database, telemetry, clock) as alerts:
            await serve(
                settings.server,
                [
                    Service(
                        alerts_pb2_grpc.add_AlertsServiceServicer_to_server,
                        alerts.servicer,
                        "usher.alerts.v1.AlertsService",
                    ),
                    subject_data(subjects, clock),
                ],
                healthy=subjects.healthy,
                telemetry=telemetry,
                on_drain=alerts.drain,
            )


if __name__ == "__main__":
    run(main())
