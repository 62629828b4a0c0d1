"""Settings of compliance: USHER_COMPLIANCE_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.common.client import ClientSettings
from services.common.db import DatabaseSettings
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


@dataclass(frozen=True)
class RecordsSettings:
    """Subject requests, breaches, evidence."""

    keys_dir: Path | None = None
    """Folder of `ledger.key` and `signing.key`, made on first use; unless set beside the SQLite database, or in the
    PostgreSQL database, for all replicas."""
    ledger_copy: Path | None = None
    """A second copy of the erasure ledger, appended to: keep it apart from the backups of the databases, because it says
    what must be erased again when one is put back. Beside the SQLite database unless set."""
    sweep_seconds: float = 0.5
    """How often what is due is looked for."""
    erase_timeout: float = 600.0
    """Seconds for one call that erases or tells one subject's data."""
    settle_seconds: float = 0.5
    """Between erasing and looking whether anything is left: what was under way has arrived by then."""
    longest_retry_seconds: float = 300.0
    """An erasure that could not be completed is tried again after 1 second, then 2, 4, ... at most this."""

    retention_tenants: tuple[str, ...] = ()
    """Tenants for whom the retention job runs by itself. None: only when it is asked for."""
    retention_hours: float = 24.0
    """How often."""

    def __post_init__(self) -> None:
        for name in ("sweep_seconds", "erase_timeout", "longest_retry_seconds", "retention_hours"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is above 0")


@dataclass(frozen=True)
class ComplianceSettings:
    """Everything that `python -m services.compliance` reads."""

    server: ServerSettings
    database: DatabaseSettings
    policy_dir: Path
    """Store of policy sets."""
    cached_signatures: int = 20_000
    """Legal signatures a policy set whose verdicts are kept: about 1 KB each and 4 KB at most, and up to twice as
    many while a generation ages."""
    ingest: ClientSettings | None = None
    """The services that subject requests are fulfilled in; all four or none."""
    scoring: ClientSettings | None = None
    fraud: ClientSettings | None = None
    alerts: ClientSettings | None = None
    records: RecordsSettings = field(default_factory=RecordsSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        if self.cached_signatures < 1:
            raise ValueError("cached_signatures is 1 or more")
        peers = (self.ingest, self.scoring, self.fraud, self.alerts)
        if any(peers) and not all(peers):
            raise ValueError("set the targets of ingest, scoring, fraud and alerts, or none of them")
