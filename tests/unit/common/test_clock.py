from __future__ import annotations

import time

import pytest

from services.common.clock import ManualClock, SystemClock


def test_the_system_clock_counts_milliseconds_since_the_epoch() -> None:
    before = time.time()
    now = SystemClock().now_ms()
    after = time.time()

    assert int(before * 1000) <= now <= after * 1000 + 1


def test_a_manual_clock_moves_when_told_and_never_back() -> None:
    clock = ManualClock(1_000)
    clock.advance(250)

    assert clock.now_ms() == 1_250
    with pytest.raises(ValueError, match="0 ms or more"):
        clock.advance(-1)
