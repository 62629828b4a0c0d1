"""Days that count: when a period that a law states ends. Pure.

A period in days, business days or months begins the day after the event and ends with its last day (Regulation (EEC,
Euratom) 1182/71, art. 3(1) and (2)(b) and (c)); hours run exactly. Where Union law sets the period, a last day that is
a Saturday, Sunday or public holiday moves to the next working day (art. 3(4)), and a period of two days or more holds at
least two working days (art. 3(5)). Elsewhere nothing moves: an answer is due early rather than late. Days are those of
UTC. Public holidays come from the `holidays` package, by country and, where it knows it, subdivision.
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import holidays

HOURS, CALENDAR_DAYS, BUSINESS_DAYS, CALENDAR_MONTHS = (
    "hours",
    "calendar_days",
    "business_days",
    "calendar_months",
)
UNITS = (HOURS, CALENDAR_DAYS, BUSINESS_DAYS, CALENDAR_MONTHS)
# Saturday and Sunday, as everywhere that the shipped packs reach.
_REST_DAYS = (6, 7)


class Period(NamedTuple):
    """A length of time as a law states it."""

    number: int
    unit: str

    def __str__(self) -> str:
        return f"{self.number} {self.unit}"


@lru_cache(maxsize=256)
def _holidays(country: str, subdivision: str, year: int) -> frozenset[date]:
    try:
        return frozenset(holidays.country_holidays(country, subdiv=subdivision or None, years=year))
    except NotImplementedError:
        # A subdivision, or a country, that the package does not know.
        return _holidays(country, "", year) if subdivision else frozenset()


def is_business_day(day: date, jurisdiction: str) -> bool:
    """Whether a day is neither a Saturday, a Sunday nor a public holiday there. `jurisdiction` is "NL" or "US-CA"."""
    country, _, subdivision = jurisdiction.partition("-")
    return day.isoweekday() not in _REST_DAYS and day not in _holidays(country, subdivision, day.year)


def due_ms(start_ms: int, period: Period, jurisdiction: str, *, union_law: bool) -> int:
    """The last millisecond (Unix, UTC) within a period that began at `start_ms`.

    Raises ValueError for an unknown unit or a number below 0.
    """
    if period.unit not in UNITS or period.number < 0:
        raise ValueError(f"{period} is no period")
    if period.unit == HOURS:
        return start_ms + period.number * 3_600_000
    first = datetime.fromtimestamp(start_ms / 1000, UTC).date()
    last = _last_day(first, period, jurisdiction)
    if union_law:
        while not is_business_day(last, jurisdiction):
            last += timedelta(days=1)
        if (last - first).days >= 2:
            working = sum(
                is_business_day(first + timedelta(days=after), jurisdiction)
                for after in range(1, (last - first).days + 1)
            )
            while working < 2:
                last += timedelta(days=1)
                working += is_business_day(last, jurisdiction)
    return _end_of(last)


def _end_of(day: date) -> int:
    following = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    return int(following.timestamp()) * 1000 - 1


def _last_day(first: date, period: Period, jurisdiction: str) -> date:
    if period.unit == CALENDAR_DAYS:
        return first + timedelta(days=period.number)
    if period.unit == CALENDAR_MONTHS:
        months = first.year * 12 + first.month - 1 + period.number
        year, month = divmod(months, 12)
        return date(year, month + 1, min(first.day, calendar.monthrange(year, month + 1)[1]))
    day, left = first, period.number
    while left:
        day += timedelta(days=1)
        left -= is_business_day(day, jurisdiction)
    return day
