"""Which memory a process of fraud has."""

from __future__ import annotations

from services.fraud.memory import Memory
from services.fraud.settings import FraudSettings
from services.fraud.store_snapshot import SnapshotMemory


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
