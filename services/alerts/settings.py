"""Settings of alerts: USHER_ALERTS_* in the environment."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from services.common.client import ClientSettings
from services.common.config import optional_secret
from services.common.db import DatabaseSettings
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings

DEFAULT_RULES = Path(__file__).parent / "defaults" / "alerting.yaml"


@dataclass(frozen=True)
class DeliverySettings:
    """How tellings go out. Durations are in seconds."""

    in_flight: int = 16
    """Deliveries under way at once through one channel, 1 to 256."""
    attempts: int = 12
    """Tries of one delivery before it is a dead letter, 1 to 50."""
    retry_factor: float = 1.0
    """Stretches the waits between tries (2 s, three times as long each time, at most 4 h); tests shrink them."""
    allow_networks: tuple[str, ...] = ()
    """Networks (10.1.0.0/16) that webhooks may be called in although they are not public; without any, none."""
    dead_after_seconds: float = 300.0
    """A channel that has failed for so long without getting through raises an alert of its own."""
    poll_seconds: float = 1.0
    """How often the store is looked at where no call wakes the loop: for retries and for other processes' rows."""
    claim_seconds: float = 20.0
    """How long a taken delivery is left alone by others: after a crash it goes out this much later."""
    timeout_seconds: float = 10.0
    """Longest single delivery; at most half a claim, or another process would repeat it meanwhile."""

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.in_flight <= 256:
            problems.append("in_flight must be from 1 to 256")
        if not 1 <= self.attempts <= 50:
            problems.append("attempts must be from 1 to 50")
        for network in self.allow_networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                problems.append(f"allow_networks: {network} is no network")
        for name in (
            "poll_seconds",
            "claim_seconds",
            "timeout_seconds",
            "retry_factor",
            "dead_after_seconds",
        ):
            if not getattr(self, name) > 0:
                problems.append(f"{name} must be above 0")
        if self.timeout_seconds > self.claim_seconds / 2:
            problems.append("timeout_seconds must be at most half of claim_seconds")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class RetentionSettings:
    """How long what is over is kept, in days."""

    messages_days: int = 30
    """Ids of messages, by which a repeat is known, at least 7: so long a sender's outbox may hold back a message that
    was taken already (its process died before it noted so) without the alert's count rising for it."""
    deliveries_days: int = 90
    """The log of deliveries that arrived, were called off or were given up: dead letters can be replayed so long."""
    alerts_days: int = 365
    """Alerts and incidents since they were resolved or called a false alarm, at least `messages_days`: so long a repeat
    tells nobody again. What nobody ended stays."""

    def __post_init__(self) -> None:
        problems = []
        if not 7 <= self.messages_days <= 3_650:
            problems.append("messages_days must be from 7 to 3,650")
        if not 1 <= self.deliveries_days <= 3_650:
            problems.append("deliveries_days must be from 1 to 3,650")
        if not self.messages_days <= self.alerts_days <= 36_500:
            problems.append("alerts_days must be from messages_days to 36,500")
        if problems:
            raise ValueError("; ".join(problems))


@dataclass(frozen=True)
class AlertsSettings:
    """Everything that `python -m services.alerts` reads."""

    server: ServerSettings
    database: DatabaseSettings
    rules_file: Path = DEFAULT_RULES
    """Alerting rules (docs/alerting.md); what is shipped unless set."""
    ingest: ClientSettings | None = None
    """Where labels go; without it resolving writes none, and says so at start."""
    entity_key: str | None = optional_secret()
    """Key of the hash that stands for a user in logs. Without it a key is drawn at each start, and lines of two
    runs cannot be linked."""
    delivery: DeliverySettings = field(default_factory=DeliverySettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)
