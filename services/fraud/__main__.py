"""Run the fraud service: python -m services.fraud"""

from __future__ import annotations

import asyncio

from services.common.clock import SystemClock
from services.common.config import load
from services.common.db import open_database
from services.common.migrations import migrate
from services.common.policy import PolicySetCache
from services.common.server import Service, run, serve
from services.common.telemetry import start_telemetry
from services.fraud.engine import Engines
from services.fraud.memory import Memory
from services.fraud.servicer import FraudServicer
from services.fraud.settings import FraudSettings
from services.fraud.store import RingStore
from services.fraud.store_snapshot import SnapshotMemory
from usher.fraud.v1 import fraud_pb2_grpc


def open_memory(settings: FraudSettings) -> Memory:
    """The memory that the settings ask for."""
    if settings.memory_redis_url is not None:
        # The client takes a good part of a second to import; a laptop's memory is in process.
        from services.fraud.store_redis import RedisMemory

        return RedisMemory(settings.memory_redis_url, allow_volatile=settings.allow_volatile_memory)
    assert settings.snapshot_dir is not None
    return SnapshotMemory(
        settings.snapshot_dir, interval=settings.snapshot_interval, capacity=settings.memory_entries
    )


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
        servicer = FraudServicer(memory, store, database, Engines(PolicySetCache(settings.policy_dir)))

        async def healthy() -> None:
            await asyncio.gather(memory.healthy(), database.ping())

        service = Service(
            fraud_pb2_grpc.add_FraudServiceServicer_to_server, servicer, "usher.fraud.v1.FraudService"
        )
        await serve(settings.server, [service], healthy=healthy, telemetry=telemetry, on_drain=memory.close)


if __name__ == "__main__":
    run(main())
