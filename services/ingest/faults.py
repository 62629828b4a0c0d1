"""Crash points: named places at which a test may kill this process, to prove that nothing is lost there.

Set USHER_FAULTS=1 and USHER_CRASH_AT=<point>[:<n>] to have the process kill itself (SIGKILL, so that nothing is
flushed or cleaned up) the n-th time it passes the point. Without USHER_FAULTS=1 the variable is refused at start.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence

POINTS = (
    "check.after",
    "accept.before_commit",
    "accept.after_commit",
    "look_up.before",
    "look_up.after",
    "ask.before",
    "ask.after",
    "decide.before",
    "decide.after",
    "commit.before",
    "commit.inside",
    "commit.after",
    "answer.before",
    "tell.before",
    "tell.after",
)
SOURCE_POINTS = ("deliver.before", "settle.before", "settle.after")
"""Those of a source's process: a batch was read; it has its endings; that was noted at the source."""

_at: str | None = None
_countdown = 0


def arm(env: Mapping[str, str], points: Sequence[str] = POINTS) -> None:
    """Reads the variables. Raises ValueError for an unknown point, or a point set without USHER_FAULTS=1."""
    global _at, _countdown
    text = env.get("USHER_CRASH_AT")
    if not text:
        return
    if env.get("USHER_FAULTS") != "1":
        raise ValueError("USHER_CRASH_AT is for tests: set USHER_FAULTS=1 to allow it, or unset it")
    point, _, count = text.partition(":")
    if point not in points:
        raise ValueError(f"USHER_CRASH_AT names {point!r}; the points are {', '.join(points)}")
    _at, _countdown = point, int(count or "1")


def crash_point(point: str) -> None:
    """Kills the process here if a test asked for it."""
    global _countdown
    if _at is None or _at != point:
        return
    _countdown -= 1
    if _countdown <= 0:
        os.kill(os.getpid(), signal.SIGKILL)
