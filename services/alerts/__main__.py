"""Run the alerts service: python -m services.alerts"""

from __future__ import annotations

import asyncio
import os
import secrets

from services.alerts import faults
from services.alerts.channels import LogChannel
from services.alerts.delivery import Deliverer
from services.alerts.servicer import AlertsServicer
from services.alerts.settings import AlertsSettings
from services.alerts.store import AlertStore
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
    telemetry = start_telemetry("alerts", settings.telemetry)
    clock = SystemClock()
    async with open_database(settings.database, schema="alerts", application="usher-alerts") as database:
        await asyncio.to_thread(migrate, database, "alerts")
        key = settings.entity_key.encode() if settings.entity_key else secrets.token_bytes(32)
        channels = {"log": LogChannel(telemetry.logger("channel.log"), key)}
        store = AlertStore(database, channels=list(channels), window_seconds=settings.window_seconds)
        deliverer = Deliverer(store, channels, settings.delivery, telemetry=telemetry, clock=clock)
        servicer = AlertsServicer(store, deliverer, telemetry=telemetry, clock=clock)
        subjects = AlertsSubjects(database, ErasedRows(database))
        await subjects.start()
        deliverer.start()
        await serve(
            settings.server,
            [
                Service(
                    alerts_pb2_grpc.add_AlertsServiceServicer_to_server,
                    servicer,
                    "usher.alerts.v1.AlertsService",
                ),
                subject_data(subjects, clock),
            ],
            healthy=subjects.healthy,
            telemetry=telemetry,
            on_drain=deliverer.stop,
        )


if __name__ == "__main__":
    run(main())
