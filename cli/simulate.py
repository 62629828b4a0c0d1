"""`usher simulate`: labelled traffic from a seed, as JSON lines on stdout."""

from __future__ import annotations

import datetime
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

import orjson

from cli.console import EXIT_OK, UnusableError, say
from services.common.errors import InvalidArgument
from services.common.event_json import event_to_json, parse_time
from simulator.sessions import Label
from simulator.traffic import SCENARIOS, generate, write_lines
from usher.event.v1 import event_pb2

_DAY_MS = 86_400_000
_PROGRESS_SECONDS = 5.0


def simulate(
    *,
    seed: int,
    users: int,
    days: float,
    rate: float | None,
    scenarios: str,
    start: str | None,
    labels: str | None,
) -> int:
    """Writes the events to stdout and the labels to a file; returns the exit status.

    The same arguments, `start` among them, write the same bytes. Raises UnusableError for arguments that make
    no traffic.
    """
    start_ms = start_of(start, days, time.time_ns() // 1_000_000)
    try:
        traffic = generate(seed, users, days, start_ms, chosen(scenarios), rate)
    except ValueError as error:
        raise UnusableError(str(error)) from None
    began = _text(start_ms)
    say(f"seed {seed}, {users:,} viewers, {days:g} days from {began}")
    with ExitStack() as stack:
        out = None
        if labels is not None:
            try:
                out = stack.enter_context(open(labels, "wb"))
            except OSError as error:
                raise UnusableError(f"cannot write {labels}: {error.strerror}") from None
        counts: Counter[str] = Counter()
        events = write_lines(_watched(traffic, start_ms, days, counts), sys.stdout.buffer, _json, out)
    told = ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items())) or "none"
    say(f"{events:,} events; of scenarios: {told}")
    if start is None:
        say(f"write the same again with --start {began}")
    return EXIT_OK


def chosen(scenarios: str) -> list[str] | None:
    """Reads `all`, `none` or names with commas between them; None stands for all."""
    if scenarios == "all":
        return None
    names = [name.strip() for name in scenarios.split(",") if name.strip()]
    if names == ["none"]:
        return []
    if not names:
        raise UnusableError(f"--scenarios is all, none, or some of {', '.join(SCENARIOS)}")
    return names


def start_of(text: str | None, days: float, now_ms: int) -> int:
    """Milliseconds since 1970 of a date or an RFC 3339 time; None: so many whole days back that the traffic
    ends at the latest with yesterday.
    """
    if text is None:
        back = -(-days // 1) if 0 < days < 100_000 else 0
        return max(0, (now_ms // _DAY_MS - int(back)) * _DAY_MS)
    try:
        if len(text) == 10:
            day = datetime.date.fromisoformat(text)
            return (day - datetime.date(1970, 1, 1)).days * _DAY_MS
        seconds, nanos = parse_time(text)
    except (ValueError, InvalidArgument):
        raise UnusableError(
            f"--start {text!r} is neither a date (2026-11-01) nor an RFC 3339 time with an offset"
        ) from None
    return seconds * 1000 + nanos // 1_000_000


def _watched(
    traffic: Iterable[tuple[event_pb2.Event, Label]], start_ms: int, days: float, counts: Counter[str]
) -> Iterator[tuple[event_pb2.Event, Label]]:
    """Counts the events of each scenario, and says every few seconds how far the simulated time has come."""
    due = time.monotonic() + _PROGRESS_SECONDS
    for number, (event, label) in enumerate(traffic):
        if number % 1000 == 0 and time.monotonic() >= due:
            due = time.monotonic() + _PROGRESS_SECONDS
            reached = (event.event_time.seconds * 1000 - start_ms) / _DAY_MS
            say(f"{number:,} events, day {reached:.1f} of {days:g}")
        if label.scenario:
            counts[label.scenario] += 1
        yield event, label


def _json(event: event_pb2.Event) -> bytes:
    return orjson.dumps(event_to_json(event))


def _text(time_ms: int) -> str:
    moment = datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC)
    return moment.isoformat(timespec="milliseconds" if time_ms % 1000 else "seconds").replace("+00:00", "Z")
