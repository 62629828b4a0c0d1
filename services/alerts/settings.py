"""Settings of alerts: USHER_ALERTS_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.alerts.grouping import DEFAULT_WINDOW_SECONDS
from services.common.config import optional_secret
from services.common.db import DatabaseSettings
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings


@dataclass(frozen=True)
class DeliverySettings:
    """How tellings go out. Durations are in seconds."""

    batch: int = 100
    """Deliveries taken at a time, 1 to 1,000."""
    poll_seconds: float = 1.0
    """How often the store is looked at where no call wakes the loop: for retries and for other processes' rows."""
    claim_seconds: float = 10.0
    """How long a taken delivery is left alone by others: after a crash it goes out this much later."""
    timeout_seconds: float = 5.0
    """Longest single delivery; at most half a claim, or another process would repeat it meanwhile."""

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.batch <= 1_000:
            problems.append("batch must be from 1 to 1,000")
        for name in ("poll_seconds", "claim_seconds", "timeout_seconds"):
            if not getattr(self, name) > 0:
                problems.append(f"{name} must be above 0")
        if self.timeout_seconds > self.claim_seconds / 2:
            problems.append("timeout_seconds must be at most half of claim_seconds")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class AlertsSettings:
    """Everything that `python -m services.alerts` reads."""

    server: ServerSettings
    database: DatabaseSettings
    window_seconds: float = DEFAULT_WINDOW_SECONDS
    """Messages this far apart, by event time, still make one alert; 1 to 86,400."""
    entity_key: str | None = optional_secret()
    """Key of the hash that stands for a user in logs. Without it a key is drawn at each start, and lines of two
    runs cannot be linked."""
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        if not 1 <= self.window_seconds <= 86_400:
            raise ValueError("window_seconds must be from 1 to 86,400")
