"""The circuit breaker: closed, open, half-open."""

from __future__ import annotations

import pytest

from client.breaker import CircuitBreaker


def test_it_opens_after_failures_in_a_row_and_not_before() -> None:
    breaker = CircuitBreaker(3, 2.0)
    for _ in range(2):
        assert breaker.try_call(0.0)
        breaker.failed(0.0)
    breaker.succeeded()
    for _ in range(2):
        breaker.failed(0.0)
        assert breaker.try_call(0.0)
    breaker.failed(0.0)
    assert breaker.is_open(0.0)
    assert not breaker.try_call(1.9)


def test_half_open_one_call_is_tried_and_decides() -> None:
    breaker = CircuitBreaker(1, 2.0)
    breaker.failed(10.0)
    assert not breaker.try_call(11.9)
    assert breaker.try_call(12.0)
    # One at a time.
    assert not breaker.try_call(12.0)
    assert breaker.is_open(12.0)
    breaker.failed(12.5)
    assert not breaker.try_call(14.4)
    assert breaker.try_call(14.5)
    breaker.succeeded()
    assert breaker.try_call(14.5)
    assert breaker.try_call(14.5)


@pytest.mark.parametrize(("failures", "seconds"), [(0, 1.0), (1, 0.0)])
def test_settings_that_make_no_sense(failures: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        CircuitBreaker(failures, seconds)
