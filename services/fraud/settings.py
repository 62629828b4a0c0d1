"""Settings of fraud: USHER_FRAUD_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.common.config import optional_secret
from services.common.db import DatabaseSettings
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


@dataclass(frozen=True)
class FraudSettings:
    """Everything that `python -m services.fraud` reads."""

    server: ServerSettings
    database: DatabaseSettings
    """Rings and their lineage."""
    policy_dir: Path
    """Store of policy sets."""
    memory_redis_url: str | None = optional_secret()
    """Redis or Valkey that holds the memory (USHER_FRAUD_MEMORY_REDIS_URL_FILE). None: in this process."""
    snapshot_dir: Path | None = None
    """Where the memory in process is saved. Required without Redis."""
    snapshot_interval: float = 60.0
    """Seconds between snapshots, 1 to 3,600."""
    memory_entries: int = 1_000_000
    """Entries of each table of a tenant's memory in process; the oldest leave. An entry takes 0.2 to 1.5 KB."""
    allow_volatile_memory: bool = False
    """Development only: accepts a Redis that may evict or forget state."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        problems = []
        if (self.memory_redis_url is None) == (self.snapshot_dir is None):
            problems.append(
                "set exactly one of snapshot_dir (memory in process) and memory_redis_url_file (Redis)"
            )
        if not 1 <= self.snapshot_interval <= 3600:
            problems.append("snapshot_interval is from 1 to 3600 seconds")
        if self.memory_entries < 1_000:
            problems.append("memory_entries is 1000 or more")
        if problems:
            raise ValueError("; ".join(problems))
