"""Wall time as the contracts carry it: milliseconds since 1970-01-01T00:00:00Z.

Wall time says when something happened. How long something took is measured with `time.monotonic`.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of wall time, so that domain code and tests share no hidden clock."""

    def now_ms(self) -> int:
        """Returns the milliseconds since the Unix epoch, UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        return utc_now_ms()


class ManualClock:
    """A clock that moves only when told to."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, milliseconds: int) -> None:
        """Moves the clock forward. Raises ValueError for a negative step: wall time is not turned back."""
        if milliseconds < 0:
            raise ValueError(f"a clock advances by 0 ms or more, not {milliseconds}")
        self._now_ms += milliseconds


def utc_now_ms() -> int:
    """Returns the current wall time in milliseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1_000_000
