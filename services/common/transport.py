"""Limits and timings both ends of a connection must agree on, in one place.

A client that pings more often than its server allows is sent away with `too_many_pings`; a message that one
side may send and the other may not receive fails late. So neither side states these numbers itself.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from services.common.config import ConfigError

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Largest message either side sends or receives.

gRPC's own default, stated so that both ends change together.
"""

KEEPALIVE_TIME_MS = 30_000
KEEPALIVE_TIMEOUT_MS = 10_000
# Below the clients' interval, with room for a ping that left late and the next that left on time.
KEEPALIVE_MIN_INTERVAL_MS = KEEPALIVE_TIME_MS // 2

MAX_SOCKET_PATH_BYTES = 103
"""Longest path of a unix socket: sun_path holds 104 bytes on macOS, 108 on Linux, with a final zero."""

HEALTH_SERVICE = "grpc.health.v1.Health"

ChannelOptions = list[tuple[str, int | str]]


@dataclass(frozen=True)
class TlsSettings:
    """Files (PEM) of one service's identity. Both sides of every TLS connection present a certificate."""

    certificate: Path
    key: Path
    ca: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        """Returns (certificate, key, ca). Raises ConfigError naming each file that cannot be read."""
        contents: list[bytes] = []
        problems: list[str] = []
        for role, path in (("certificate", self.certificate), ("key", self.key), ("ca", self.ca)):
            try:
                contents.append(path.read_bytes())
            except OSError as error:
                problems.append(
                    f"tls {role}: cannot read {path} ({error.strerror}): name a readable PEM file"
                )
        if problems:
            raise ConfigError(problems)
        return contents[0], contents[1], contents[2]


def message_and_keepalive_options(max_message_bytes: int) -> ChannelOptions:
    """Returns the options that server and client share."""
    return [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def split_host_port(address: str) -> tuple[str, int]:
    """Splits "host:port" or "[v6]:port". Raises ValueError when it is neither."""
    host, separator, port_text = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{address!r}: write an IPv6 address in brackets, as [::1]:8443")
    if not separator or not host or not port_text.isascii() or not port_text.isdigit():
        raise ValueError(f"{address!r} is not host:port")
    port = int(port_text)
    if port > 65535:
        raise ValueError(f"{address!r}: the port is above 65535")
    return host, port


def is_loopback(host: str) -> bool:
    """Says whether a host is this machine only.

    Names other than "localhost" count as remote: they may resolve to anything.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
