"""Runs sources as processes of their own, for tests and drills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from services.common.event_json import event_to_json
from tests.harness import ROOT, _die_with_parent
from usher.event.v1 import event_pb2


class SourceProcess:
    """One source. `settings` are USHER_SOURCE_* without that prefix."""

    def __init__(
        self, folder: Path, ingest: str, kind: str, settings: Mapping[str, Any], name: str = ""
    ) -> None:
        self.name = name or kind
        self.log = folder / f"source-{self.name}.log"
        env = {key: value for key, value in os.environ.items() if not key.startswith("USHER_")}
        env |= {
            "GRPC_ENABLE_FORK_SUPPORT": "false",
            "USHER_SOURCE_KIND": kind,
            "USHER_SOURCE_INGEST_TARGET": ingest,
            # Long: on a busy machine slow is not away.
            "USHER_SOURCE_INGEST_TIMEOUT": "20",
            "USHER_SOURCE_INSTANCE": self.name,
        }
        self.env = env | {f"USHER_SOURCE_{key}": str(value) for key, value in settings.items()}
        self.popen: subprocess.Popen[bytes] | None = None

    def start(self, extra: Mapping[str, str] | None = None, stdin: Any = subprocess.DEVNULL) -> None:
        """Starts it; `extra` holds for this run only."""
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-P", "-m", "services.ingest.sources"],
                cwd=ROOT,
                env={**self.env, **(extra or {})},
                stdin=stdin,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,
            )

    @property
    def running(self) -> bool:
        return self.popen is not None and self.popen.poll() is None

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60.0) -> int:
        """Sends a signal and returns the exit status."""
        assert self.popen is not None
        if self.popen.poll() is None:
            self.popen.send_signal(number)
        return self.popen.wait(timeout)

    def wait(self, timeout: float = 60.0) -> int:
        """The exit status of a source that ends by itself."""
        assert self.popen is not None
        return self.popen.wait(timeout)

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


def as_json(event: event_pb2.Event) -> bytes:
    """An event as a line of JSON."""
    return orjson.dumps(event_to_json(event))
