"""A circuit breaker: after some failures in a row calls are not tried for a while, then one is, to see. Pure.

Closed, open and half-open as in M. Nygard, Release It! (2nd ed., 2018), "Circuit Breaker". Time is the caller's, monotonic.
"""

from __future__ import annotations


class CircuitBreaker:
    """Says whether a call may be tried."""

    def __init__(self, failures: int, open_seconds: float) -> None:
        """Opens after `failures` in a row (1 or more), for `open_seconds` (above 0)."""
        if failures < 1 or open_seconds <= 0:
            raise ValueError("failures is 1 or more and open_seconds above 0")
        self._most = failures
        self._open_seconds = open_seconds
        self._failures = 0
        self._opened: float | None = None
        self._probing = False

    def is_open(self, now: float) -> bool:
        """Whether calls are not tried at this time."""
        return self._opened is not None and (self._probing or now < self._opened + self._open_seconds)

    def try_call(self, now: float) -> bool:
        """Whether a call may be made now; its end must be told. Half-open, one call may at a time."""
        if self._opened is None:
            return True
        if self.is_open(now):
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        """Tells that a call was answered."""
        self._failures, self._opened, self._probing = 0, None, False

    def failed(self, now: float) -> None:
        """Tells that a call was not answered."""
        self._failures += 1
        if self._failures >= self._most or self._probing:
            self._opened, self._probing = now, False
