"""When the retention job is due by itself."""

from __future__ import annotations

import pytest

from services.compliance.retention import is_due
from usher.compliance.v1.records_pb2 import RetentionRun

HOUR = 3_600_000
NOW = 1_795_000_000_000


def run(hours_ago: float, *, dry: bool = False, failure: str = "") -> RetentionRun:
    made = RetentionRun(tenant="acme", dry_run=dry, failure=failure)
    made.started_time.FromMilliseconds(NOW - round(hours_ago * HOUR))
    return made


@pytest.mark.parametrize(
    ("runs", "due"),
    [
        ([], True),
        ([run(23.9)], False),
        ([run(24)], True),
        ([run(1, dry=True), run(25)], True),
        ([run(1, dry=True), run(2)], False),
        ([run(0.5, failure="UNAVAILABLE"), run(30)], False),
        ([run(1.5, failure="UNAVAILABLE"), run(30)], True),
        ([run(1.5, failure="UNAVAILABLE"), run(5)], False),
        ([run(2, failure="UNAVAILABLE"), run(3, failure="UNAVAILABLE")], True),
    ],
)
def test_once_a_day_and_an_hour_after_a_failure(runs: list[RetentionRun], due: bool) -> None:
    assert is_due(runs, NOW, 24 * HOUR) is due
