"""Settings of ingest: USHER_INGEST_* in the environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from services.common.client import ClientSettings
from services.common.config import optional_secret
from services.common.db import DatabaseSettings
from services.common.places import SHIPPED
from services.common.rates import Rate, parse_rate
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings
from services.ingest.security import FAILING, FIELD_GROUPS


@dataclass(frozen=True)
class PipelineSettings:
    """How events flow."""

    max_batch: int = 256
    """Events a batch, 1 to 2,000."""
    batches_in_flight: int = 2
    """Batches between look-up and commit at once. A third was measured to gain nothing."""
    max_call_events: int = 2_000
    max_queued_events: int = 20_000
    """Events waiting for a batch, of all tenants; beyond it calls are refused with a delay. One tenant alone gets four
    fifths of it (services/ingest/fair_queue.py)."""
    max_queued_bytes: int = 256 << 20
    """Bytes of the events waiting for a batch, and of those in calls that are being taken in."""
    max_inbox_events: int = 1_000_000
    """Events accepted at the Submit door and not yet decided, of all tenants and processes."""
    oldest_pending_alert_seconds: float = 60.0
    """An event that waits longer, here or at a source, is told to alerts."""
    disk_reserve_bytes: int = 256 << 20
    """With less room on the disk of a SQLite database nothing is taken in, so that what was accepted can be decided. 0: not
    watched."""
    profile_cache: int = 50_000
    """Profiles kept in memory, about 1.5 kB each."""
    receipt_retention_days: int = 30
    """A live event older than this is refused as TOO_OLD."""
    late_after_seconds: int = 900
    """A live event older than this counts as LATE."""
    old_after_days: int = 7
    """A live event older than this is decided COLD, without touching profile or graph."""
    max_attempts: int = 20
    """Times a batch is decided again after losing a race, before its events are refused with UNAVAILABLE."""
    enforcing_tenants: tuple[str, ...] = ()
    """Tenants that enforce unless a mode was set; all others observe."""
    refresh_seconds: float = 2.0
    """How often modes and the policy set in force are read; a switch takes effect everywhere within twice this."""
    restore_days: float = 30.0
    """How far back fraud's memory is restored after a loss of everything: as long as its ties count."""
    attacks_fail: tuple[str, ...] = tuple(sorted(FAILING))
    """Groups of fields in which what looks like an attack fails the event: error_code, subscription_plan, metadata_name,
    metadata_value, user_agent. In the others it is marked in the decision. Identifiers always fail."""
    poison_retries: int = 2
    """Times an event that met a defect is tried again alone, after 50 ms and twice as long each time, and then failed."""
    failed_retention_days: int = 90
    """Failed events older than this are deleted."""
    breaker_seconds: float = 1.0
    """After a service timed out, calls to it are skipped for this long."""

    def __post_init__(self) -> None:
        if not 1 <= self.max_batch <= self.max_call_events:
            raise ValueError("max_batch must be from 1 to max_call_events")
        if not 1 <= self.batches_in_flight <= 8:
            raise ValueError("batches_in_flight must be from 1 to 8")
        if not 0 <= self.poison_retries <= 10:
            raise ValueError("poison_retries must be from 0 to 10")
        if self.failed_retention_days < 1:
            raise ValueError("failed_retention_days must be at least 1")
        unknown = set(self.attacks_fail) - set(FIELD_GROUPS)
        if unknown:
            raise ValueError(
                f"attacks_fail takes {', '.join(FIELD_GROUPS)}; it has {', '.join(sorted(unknown))}"
            )
        if self.max_queued_events < self.max_call_events:
            raise ValueError("max_queued_events must be at least max_call_events")
        if self.max_queued_bytes < 8 << 20:
            raise ValueError("max_queued_bytes is at least 8388608, two calls")
        if self.max_inbox_events < self.max_call_events:
            raise ValueError("max_inbox_events must be at least max_call_events")
        if self.oldest_pending_alert_seconds <= 0 or self.disk_reserve_bytes < 0:
            raise ValueError("oldest_pending_alert_seconds is above 0, disk_reserve_bytes 0 or more")
        if self.refresh_seconds <= 0 or self.refresh_seconds > 2.5:
            raise ValueError(
                "refresh_seconds must be above 0 and at most 2.5: a switch has 5 seconds to take effect"
            )


@dataclass(frozen=True)
class SenderSettings:
    """Who may send, and how much."""

    keys_required: bool = False
    """Whether backends need an API key besides their certificate. Without it a key that is shown is still judged."""
    requests_per_minute: int = 10_000
    """Requests a minute of a key that has no rate of its own: requests, not events."""
    quota: str = ""
    """Events of any tenant without a quota of its own, such as `60000/minute` or `50000000/day`; empty: no limit."""
    tenant_quotas: tuple[str, ...] = ()
    """Quotas of single tenants: `acme=100000/minute,beta=1000000/day`."""
    rates_redis_url: str | None = optional_secret()
    """Redis that shares the rates, and the acts that list entries limit, between processes
    (USHER_INGEST_SENDERS_RATES_REDIS_URL_FILE). None: each for itself."""

    def __post_init__(self) -> None:
        if not 1 <= self.requests_per_minute <= 10_000_000:
            raise ValueError("requests_per_minute is 1 to 10,000,000")
        self.quotas()

    def quotas(self) -> dict[str, Rate]:
        """Quota by tenant; under "" that of all others, where there is one. Raises ValueError."""
        found = {"": parse_rate(self.quota)} if self.quota else {}
        for one in self.tenant_quotas:
            tenant, separator, rate = one.partition("=")
            if not separator or not tenant:
                raise ValueError(f"{one[:40]!r} is no quota of a tenant: write acme=100000/minute")
            found[tenant] = parse_rate(rate)
        return found


@dataclass(frozen=True)
class IngestSettings:
    """Everything that `python -m services.ingest` reads."""

    server: ServerSettings
    database: DatabaseSettings
    compliance: ClientSettings
    scoring: ClientSettings
    fraud: ClientSettings
    alerts: ClientSettings
    policy_dir: Path
    policy_set: str = ""
    """Put in force at start where none is yet: an id, or `shipped`, the set that this release ships."""
    failed_keys: str | None = optional_secret()
    """Keys that encrypt the payloads of failed events at rest, a line each: `<key id>:<32 bytes in base64>`; the first
    seals, all open. USHER_INGEST_FAILED_KEYS_FILE names the file. Without it they are kept as they are."""
    places_dir: Path = SHIPPED
    """Folder of GeoIP and reputation data, with its places.json; what is shipped unless set."""
    places_on_error: Literal["refuse", "leave_out"] = "refuse"
    """What is done at start about a file of it that is missing or corrupt: `refuse` to start, or `leave_out` that file, told
    by log and metric; its places are then unknown, never guessed."""
    places_reload_seconds: float = 30.0
    """How often the folder is looked at for changed files, 1 to 3,600."""
    pipeline: PipelineSettings = field(default_factory=PipelineSettings)
    senders: SenderSettings = field(default_factory=SenderSettings)
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        if not 1 <= self.places_reload_seconds <= 3600:
            raise ValueError("places_reload_seconds must be from 1 to 3,600")
