"""Crash points of compliance: see services/ingest/faults.py, whose rules these follow.

Set USHER_FAULTS=1 and USHER_CRASH_AT=<point>[:<n>] to have the process kill itself the n-th time it passes the point.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

POINTS = (
    "erasure.begun",
    "erasure.entered",
    "erasure.after.alerts",
    "erasure.after.fraud",
    "erasure.after.scoring",
    "erasure.after.ingest",
    "erasure.after.compliance",
    "erasure.verified",
    "erasure.certified",
)

_at: str | None = None
_countdown = 0


def arm(env: Mapping[str, str]) -> None:
    """Reads the variables. Points of other services are theirs. Raises ValueError for a point without USHER_FAULTS=1."""
    global _at, _countdown
    point, _, count = (env.get("USHER_CRASH_AT") or "").partition(":")
    if point not in POINTS:
        return
    if env.get("USHER_FAULTS") != "1":
        raise ValueError("USHER_CRASH_AT is for tests: set USHER_FAULTS=1 to allow it, or unset it")
    _at, _countdown = point, int(count or "1")


def crash_point(point: str) -> None:
    """Kills the process here if a test asked for it."""
    global _countdown
    if _at is None or _at != point:
        return
    _countdown -= 1
    if _countdown <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
