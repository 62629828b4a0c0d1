"""Settings of scoring: USHER_SCORING_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


@dataclass(frozen=True)
class ScoringSettings:
    """Everything that `python -m services.scoring` reads."""

    server: ServerSettings
    policy_dir: Path
    """Store of policy sets."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
