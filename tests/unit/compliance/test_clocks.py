"""Statutory periods, against dates counted by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.compliance.clocks import Period, Unit, last_second


def second(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("start", "number", "unit", "last"),
    [
        ("2026-10-01T00:00:00", 1, "calendar_months", "2026-11-01T23:59:59"),
        ("2026-10-01T23:59:59", 1, "calendar_months", "2026-11-01T23:59:59"),
        # No 31 in the month of the end: its last day (Reg. 1182/71 art. 3(2)(c)).
        ("2026-01-31T10:00:00", 1, "calendar_months", "2026-02-28T23:59:59"),
        ("2028-01-31T10:00:00", 1, "calendar_months", "2028-02-29T23:59:59"),
        ("2026-01-31T10:00:00", 3, "calendar_months", "2026-04-30T23:59:59"),
        ("2026-12-15T10:00:00", 1, "calendar_months", "2027-01-15T23:59:59"),
        ("2024-11-22T12:00:00", 24, "calendar_months", "2026-11-22T23:59:59"),
        ("2026-10-13T00:00:00", 45, "calendar_days", "2026-11-27T23:59:59"),
        ("2026-11-16T08:00:00", 72, "hours", "2026-11-19T08:00:00"),
        # Friday 20 November 2026: Monday, Tuesday, Wednesday.
        ("2026-11-20T12:00:00", 3, "business_days", "2026-11-25T23:59:59"),
        ("2026-11-21T12:00:00", 1, "business_days", "2026-11-23T23:59:59"),
        ("2026-11-02T12:00:00", 15, "business_days", "2026-11-23T23:59:59"),
    ],
)
def test_last_second(start: str, number: int, unit: Unit, last: str) -> None:
    assert last_second(second(start), Period(number, unit)) == second(last)
