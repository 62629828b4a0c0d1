"""Settings of scoring: USHER_SCORING_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.common.client import ClientSettings
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


@dataclass(frozen=True)
class ScoringSettings:
    """Everything that `python -m services.scoring` reads."""

    server: ServerSettings
    policy_dir: Path
    """Store of policy sets."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
    alerts: ClientSettings | None = None
    """Who is told of drift; without it drift is shown as a metric and by GetDrift alone."""
    drift_seconds: float = 60.0
    """How often drift is looked at."""
    drift_tenant: str = "dev"
    """Whose people are told: features of all tenants are looked at together."""
