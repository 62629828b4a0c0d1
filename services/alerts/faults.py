"""Crash points: named places at which a test may kill this process, to prove that nothing is lost there.

Set USHER_FAULTS=1 and USHER_CRASH_AT=<point> to have the process kill itself (SIGKILL, so that nothing is
flushed or cleaned up) when it reaches the point. Without USHER_FAULTS=1 a point of this service is refused at
start; points of other services are left to them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

from services.common.config import ConfigError

POINTS = (
    "alerts.raise.before_commit",
    "alerts.raise.after_commit",
    "alerts.deliver.claimed",
    "alerts.deliver.sent",
)

_at: str | None = None


def arm(env: Mapping[str, str]) -> None:
    """Reads the variables. Raises ConfigError for an unknown point of this service, or without USHER_FAULTS=1."""
    global _at
    point = env.get("USHER_CRASH_AT", "")
    if not point.startswith("alerts."):
        return
    if env.get("USHER_FAULTS") != "1":
        raise ConfigError(
            ["USHER_CRASH_AT is for tests: set USHER_FAULTS to 1 to allow it, or unset USHER_CRASH_AT"]
        )
    if point not in POINTS:
        raise ConfigError([f"USHER_CRASH_AT names no point of alerts: set it to one of {', '.join(POINTS)}"])
    _at = point


def crash_point(point: str) -> None:
    """Kills the process here if a test asked for it."""
    if _at == point:
        os.kill(os.getpid(), signal.SIGKILL)
