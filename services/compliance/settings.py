"""Settings of compliance: USHER_COMPLIANCE_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.common.db import DatabaseSettings
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


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
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        if self.cached_signatures < 1:
            raise ValueError("cached_signatures is 1 or more")
