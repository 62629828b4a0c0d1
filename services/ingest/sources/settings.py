"""Settings of a source: USHER_SOURCE_* in the environment."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from services.common.client import ClientSettings
from services.common.config import optional_secret
from services.common.server import ServerSettings
from services.common.telemetry import TelemetrySettings
from services.common.transport import is_loopback, split_host_port

OURS = (
    "auto.offset.reset",
    "bootstrap.servers",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.partition.eof",
    "group.id",
    "group.protocol",
)
"""Properties of Kafka's client that the settings, or the guarantee, decide."""

_REDIS_URL = re.compile(r"(redis|rediss|unix)://.+")


@dataclass(frozen=True)
class KafkaSettings:
    """A consumer group of Kafka."""

    bootstrap: str
    """Brokers: `host:port`, comma-separated."""
    topics: tuple[str, ...]
    group: str = "usher"
    group_protocol: Literal["consumer", "classic"] = "consumer"
    """`consumer` is the protocol of KIP-848 (Kafka 4.0); `classic` is for older brokers."""
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that has committed nothing."""
    properties: str | None = optional_secret()
    """Further properties of librdkafka, a line each, `name=value`: security.protocol, sasl.*, ssl.*. The file that
    USHER_SOURCE_KAFKA_PROPERTIES_FILE names, since it may hold a password."""
    plaintext: bool = False
    """Whether brokers beyond this machine may be spoken to without TLS."""

    def __post_init__(self) -> None:
        properties = self.parsed()
        taken = sorted(set(properties) & set(OURS))
        if taken:
            raise ValueError(f"the properties hold {', '.join(taken)}, which settings decide: take them out")
        encrypted = properties.get("security.protocol", "plaintext").lower() in ("ssl", "sasl_ssl")
        if not encrypted and not self.plaintext:
            for broker in self.bootstrap.split(","):
                host, _ = split_host_port(broker.strip())
                if not is_loopback(host):
                    raise ValueError(
                        f"broker {broker.strip()} is beyond this machine and the properties say no "
                        "security.protocol=SSL or SASL_SSL: set it, or PLAINTEXT=true where the network is trusted"
                    )

    def parsed(self) -> dict[str, str]:
        """The further properties by name. Raises ValueError for a line that is none."""
        found: dict[str, str] = {}
        for number, line in enumerate((self.properties or "").splitlines(), 1):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            name, separator, value = text.partition("=")
            if not separator or not name.strip():
                raise ValueError(f"line {number} of the properties is no name=value")
            found[name.strip()] = value.strip()
        return found


@dataclass(frozen=True)
class RedisSettings:
    """A consumer group of a Redis stream."""

    stream: str
    url: str | None = optional_secret()
    """`rediss://user:password@host:port/0`, in the file that USHER_SOURCE_REDIS_URL_FILE names. Without it:
    Redis on this machine, 127.0.0.1:6379."""
    group: str = "usher"
    start: Literal["earliest", "latest"] = "earliest"
    """Where a group begins that is not there yet."""
    field: str = "event"
    """The field of an entry that holds the event; `content-type` beside it may say what it is."""
    claim_seconds: float = 60.0
    """An entry that another consumer has held for longer without acknowledging it is taken over."""
    plaintext: bool = False
    """Whether a Redis beyond this machine may be spoken to without TLS."""

    def __post_init__(self) -> None:
        if self.claim_seconds < 1:
            raise ValueError("claim_seconds is 1 or more")
        url = self.address
        if not _REDIS_URL.fullmatch(url):
            raise ValueError("the Redis URL is redis://..., rediss://... or unix://...")
        if url.startswith("redis://") and not self.plaintext:
            host, _ = split_host_port(url.removeprefix("redis://").partition("/")[0].rpartition("@")[2])
            if not is_loopback(host):
                raise ValueError(
                    f"Redis at {host} is beyond this machine: use rediss://, or PLAINTEXT=true where the network is "
                    "trusted"
                )

    @property
    def address(self) -> str:
        """The URL in force."""
        return self.url or "redis://127.0.0.1:6379/0"


@dataclass(frozen=True)
class FileSettings:
    """A file of JSON lines."""

    path: Path
    follow: bool = False
    """Whether to wait for more at its end, and to go on with the file that takes its place when it is rotated."""
    position: Path | None = None
    """Where the position is kept; None: beside the file, under its name and `.position`."""


@dataclass(frozen=True)
class SourceSettings:
    """Everything that `python -m services.ingest.sources` reads."""

    kind: Literal["kafka", "redis", "file", "stdin"]
    ingest: ClientSettings
    tenant: str = "dev"
    name: str = ""
    """Name under which it reports; its kind unless set."""
    instance: str = ""
    """Which process under that name, and its name in a consumer group; the host's name unless set. Two processes that
    run at the same time need two."""
    schema: Literal["json", "protobuf"] = "json"
    """What records are that do not say so themselves."""
    api_key: str | None = optional_secret()
    """In the file that USHER_SOURCE_API_KEY_FILE names: needs the right to submit."""
    batch_events: int = 256
    """Records a call at most, 1 to 2,000."""
    batches_in_flight: int = 8
    """Batches that are read and not yet settled, 1 to 64; of one partition or stream one call at a time."""
    report_seconds: float = 5.0
    drain_seconds: float = 20.0
    """How long what was read may take to be settled when the process is asked to stop."""
    kafka: KafkaSettings | None = None
    redis: RedisSettings | None = None
    file: FileSettings | None = None
    server: ServerSettings | None = None
    """Health and metrics; None: none."""
    telemetry: TelemetrySettings = field(default_factory=TelemetrySettings)

    def __post_init__(self) -> None:
        problems = []
        if self.kind != "stdin" and getattr(self, self.kind) is None:
            wanted = {"kafka": "KAFKA_BOOTSTRAP", "redis": "REDIS_STREAM", "file": "FILE_PATH"}[self.kind]
            problems.append(f"a source of kind {self.kind} needs {wanted}")
        if not 1 <= self.batch_events <= 2_000:
            problems.append("batch_events is 1 to 2,000")
        if not 1 <= self.batches_in_flight <= 64:
            problems.append("batches_in_flight is 1 to 64")
        if self.report_seconds <= 0 or self.drain_seconds < 0:
            problems.append("report_seconds is above 0, drain_seconds 0 or more")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def reported_name(self) -> str:
        """The name in reports."""
        return self.name or self.kind

    @property
    def reported_instance(self) -> str:
        """Which process in reports, within what a report may hold."""
        text = re.sub(r"[^A-Za-z0-9._-]", "-", self.instance or socket.gethostname())
        return text[:64].lstrip("._-") or "source"
