"""Options that every sink has, and secrets in files."""

from __future__ import annotations

from pathlib import Path

from cli.console import UnusableError
from cli.home import Home
from cli.sinks.encoding import Encoding


class Common:
    """Options that every sink has."""

    def __init__(
        self,
        kind: str,
        name: str | None,
        home: Path,
        target: str | None,
        tenant: str,
        encoding: Encoding,
        from_now: bool,
        key_file: Path | None,
        tls: Path | None,
        metrics: str | None,
        metrics_beyond_loopback: bool,
    ) -> None:
        self.name = name or kind
        self.target = target or Home(home).target("ingest")
        self.tenant = tenant
        self.encoding = encoding
        self.from_now = from_now
        self.key = None if key_file is None else read_secret(key_file)
        self.tls = tls
        self.metrics = metrics
        self.metrics_beyond_loopback = metrics_beyond_loopback


def read_secret(path: Path) -> str:
    """What a file holds. Raises UnusableError where it cannot be read or is empty."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableError(f"{path} cannot be read: {error}") from None
    if not text:
        raise UnusableError(f"{path} is empty: write the secret into it")
    return text
