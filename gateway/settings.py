"""Settings of the gateway, from `USHER_GATEWAY_*`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from services.common.client import ClientSettings
from services.common.config import ConfigError, optional_secret
from services.common.telemetry import TelemetrySettings
from services.common.transport import MAX_MESSAGE_BYTES, is_loopback

TENANT = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""A streaming brand's name, as ingest takes it."""


@dataclass(frozen=True)
class GatewaySettings:
    """Where the gateway listens, whom it calls, and its limits. Durations are in seconds."""

    ingest: ClientSettings
    """`USHER_GATEWAY_INGEST_TARGET` says where ingest is."""
    compliance: ClientSettings | None = None
    """Where compliance is; without it the routes of consents, rights, breaches and evidence are not there."""
    alerts: ClientSettings | None = None
    """Where alerts is; without it the routes of alerts and incidents are not there."""
    fraud: ClientSettings | None = None
    """Where fraud is; without it the routes of rings and addresses are not there."""
    scoring: ClientSettings | None = None
    """Where scoring is; without it the routes of drift, segments and features are not there."""
    host: str = "127.0.0.1"
    """Address to listen on: loopback only, as nothing here authenticates callers."""
    port: int = 8000
    """0 takes a free one."""
    default_tenant: str = "dev"
    """Tenant of requests without the header X-Usher-Tenant."""
    request_timeout: float = 2.0
    """From the first byte of a request to its answer; what is left of it goes with the gRPC call."""
    file_timeout: float = 600.0
    """For an export, an evidence document or a run of the retention job."""
    health_timeout: float = 0.8
    max_body_bytes: int = MAX_MESSAGE_BYTES
    max_in_flight: int = 256
    """Requests running at once at most; more are answered 503."""
    max_connections: int = 1_024
    """Connections open at once at most; more are answered 503."""
    keys_required: bool = False
    """Whether the routes of senders (/events, /api/v1/...) need an API key. Without it one that is shown is judged all the
    same."""
    rates_redis_url: str | None = optional_secret()
    """Redis that shares the routes' limits between gateways (USHER_GATEWAY_RATES_REDIS_URL_FILE). None: each for itself."""
    max_streams: int = 16
    """Streams of decisions open at once at most; more are answered 429. They do not count as running requests."""
    drain_notice: float = 0.2
    """Between "not ready" on /healthz and refusing connections."""
    drain_grace: float = 10.0
    """How long running requests may take to complete."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        problems = []
        if not is_loopback(self.host):
            problems.append(
                f"host {self.host} is beyond this machine, and no authentication is configured: set it to "
                "127.0.0.1 and let a proxy that authenticates callers stand before it"
            )
        if not 0 <= self.port <= 65535:
            problems.append("port is 0 to 65535")
        if not TENANT.fullmatch(self.default_tenant):
            problems.append("default_tenant is 1 to 63 characters of a-z, 0-9 and -, not beginning with -")
        for name in (
            "request_timeout",
            "file_timeout",
            "health_timeout",
            "max_body_bytes",
            "max_in_flight",
            "max_connections",
            "max_streams",
        ):
            if getattr(self, name) <= 0:
                problems.append(f"{name} is above 0")
        for name in ("drain_notice", "drain_grace"):
            if getattr(self, name) < 0:
                problems.append(f"{name} is 0 or more")
        if problems:
            raise ConfigError(problems)
