"""Statutory periods: when one that began at a moment runs out.

A period in days or longer ends with the last hour of its last day, UTC, the day of the start not counted
(Regulation (EEC, Euratom) 1182/71, art. 3(1) and (2)); a month without that day ends it on its last day (art.
3(2)(c)). Hours run exactly. Business days are Monday to Friday; public holidays are not modelled, which makes a period
end early rather than late. That a last day on a weekend moves on (art. 3(4)) is not modelled either.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple

Unit = Literal["hours", "calendar_days", "business_days", "calendar_months"]

UNITS: tuple[Unit, ...] = ("hours", "calendar_days", "business_days", "calendar_months")

MAX_NUMBER = 10_000
"""Longest period in any unit, so that its end stays within the calendar."""


class Period(NamedTuple):
    """A length of time as the law states it."""

    number: int
    """1 to MAX_NUMBER."""
    unit: Unit


def last_second(start: int, period: Period) -> int:
    """The last second, since 1970 UTC, that still lies within the period."""
    if period.unit == "hours":
        return start + period.number * 3600
    day = datetime.fromtimestamp(start, UTC).date()
    end = _add(day, period)
    following = datetime.combine(end + timedelta(days=1), datetime.min.time(), UTC)
    return int(following.timestamp()) - 1


def _add(day: date, period: Period) -> date:
    match period.unit:
        case "calendar_days":
            return day + timedelta(days=period.number)
        case "business_days":
            left = period.number
            while left:
                day += timedelta(days=1)
                left -= day.weekday() < 5
            return day
        case _:
            months = day.year * 12 + day.month - 1 + period.number
            year, month = divmod(months, 12)
            return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
