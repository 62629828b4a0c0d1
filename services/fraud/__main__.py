"""Run the fraud service: python -m services.fraud"""

from __future__ import annotations

import asyncio

from services.common.clock import SystemClock
from services.common.config import load
from services.common.db import open_database
from services.common.erased import ErasedRows
from services.common.migrations import migrate
from services.common.policy import PolicySetCache
from services.common.policy_sets import policy_set_service, warm_up
from services.common.server import Service, run, serve
from services.common.subject_data import subject_data
from services.common.telemetry import start_telemetry
from services.fraud.engine import Engines
from services.fraud.ringbook import RingBook
from services.fraud.servicer import FraudServicer
from services.fraud.settings import FraudSettings
from services.fraud.store import RingStore
from services.fraud.store_memory import open_memory
from services.fraud.store_subject import FraudSubjects
from usher.fraud.v1 import fraud_pb2_grpc


async def main() -> None:
    """Serves until told to stop."""
    settings = load(FraudSettings, prefix="USHER_FRAUD_")
    telemetry = start_telemetry("fraud", settings.telemetry)
    async with open_database(settings.database, schema="fraud") as database:
        await asyncio.to_thread(migrate, database, "fraud")
        store = RingStore(database, SystemClock())
        await database.run(store.open)
        memory = open_memory(settings)
        await memory.open()
        book = RingBook(memory, store, database)
        await book.start()
        engines = Engines(PolicySetCache(settings.policy_dir))
        await warm_up(engines.get, settings.policy_dir, telemetry)
        servicer = FraudServicer(memory, store, database, engines, book)
        subjects = FraudSubjects(memory, store, book, database, ErasedRows(database))
        await subjects.start()

        services = [
            Service(
                fraud_pb2_grpc.add_FraudServiceServicer_to_server, servicer, "usher.fraud.v1.FraudService"
            ),
            policy_set_service(engines.get),
            subject_data(subjects, SystemClock()),
        ]
        await serve(
            settings.server, services, healthy=subjects.healthy, telemetry=telemetry, on_drain=memory.close
        )


if __name__ == "__main__":
    run(main())
