"""The ordinary day of a viewer: when he watches, on what, and what the player and the account report."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from simulator.places import Network
from simulator.population import (
    BASIC,
    CONSENT_MISSING,
    CONSENT_WITHDRAWN,
    DAY_MS,
    HOUR_MS,
    MINOR_PROFILED,
    MINUTE_MS,
    PERSONALISED,
    Device,
    Viewer,
)


class Label(NamedTuple):
    """What an event truly is."""

    scenario: str
    """The scenario it is part of; empty for ordinary traffic."""
    abusive: bool
    """Whether the platform would want to stop or look at it."""
    compliance: str
    """Why its data are processed unlawfully: "consent_missing", "consent_withdrawn" or "minor"; or empty."""


ORDINARY = Label("", False, "")


class Step(NamedTuple):
    """One event to come, before it is written out."""

    time_ms: int
    viewer: Viewer
    event_type: str
    device: Device
    address: str
    label: Label
    variant: int = BASIC
    content_id: str = ""
    volume: int | None = None
    error_code: str = ""
    session_id: str = ""
    stream_id: str = ""
    payment: str = ""


class Window(NamedTuple):
    """The simulated time, [start_ms, end_ms)."""

    start_ms: int
    end_ms: int

    @property
    def span_ms(self) -> int:
        return self.end_ms - self.start_ms


# Relative likelihood of watching by local hour: asleep, a small morning peak, the evening.
_HOURS = (4, 2, 1, 1, 1, 1, 2, 4, 5, 4, 4, 4, 5, 5, 5, 5, 6, 8, 11, 15, 18, 18, 14, 9)
_HOUR_TABLE = tuple(hour for hour, weight in enumerate(_HOURS) for _ in range(weight))
_TITLES = 4000
_ERRORS = ("PLAYER_STALLED", "MANIFEST_TIMEOUT", "DRM_LICENSE_DENIED", "HTTP_503", "DECODER_FAILED")
HEARTBEAT_MS = 5 * MINUTE_MS
"""Distance of a stream's heartbeats."""
_BYTES_PER_MS = {"tv": 1500, "phone": 350, "tablet": 600, "browser": 800, "script": 800}

EVENTS_PER_SESSION = 13.7
"""Events of an ordinary session, on average; counted over seeds 0 to 9 (600 viewers, 3 days)."""


def pick_content(rng: Random) -> str:
    """Returns a title; a few are watched by many, most by few."""
    position = rng.random()
    return f"title-{int(position * position * position * _TITLES):04d}"


def stream(
    rng: Random, step: Step, duration_ms: int, *, interrupt: bool = True, share_of_pauses: float = 0.25
) -> Iterator[Step]:
    """Yields the play, heartbeats, pauses and stop of one stream that begins with `step`."""
    stream_id = f"stream-{int(rng.random() * (1 << 48)):012x}"
    step = step._replace(
        event_type="play", stream_id=stream_id, content_id=step.content_id or pick_content(rng)
    )
    yield step
    bytes_per_ms = _BYTES_PER_MS[step.device.kind] * (0.7 + rng.random() * 0.6)
    now = step.time_ms
    end = now + duration_ms
    while now + HEARTBEAT_MS < end:
        now += HEARTBEAT_MS + int((rng.random() - 0.5) * 4000)
        volume = int(bytes_per_ms * HEARTBEAT_MS)
        yield step._replace(time_ms=now, event_type="heartbeat", volume=volume)
        chance = rng.random()
        if chance < 0.01 and interrupt:
            now += 1 + int(rng.random() * 60_000)
            code = _ERRORS[int(rng.random() * len(_ERRORS))]
            yield step._replace(time_ms=now, event_type="error", error_code=code)
        elif chance < share_of_pauses * 0.4:
            now += 1 + int(rng.random() * 60_000)
            yield step._replace(time_ms=now, event_type="seek")
        elif chance < share_of_pauses:
            now += 1 + int(rng.random() * 60_000)
            yield step._replace(time_ms=now, event_type="pause")
            now += 10_000 + int(rng.random() * 300_000)
            yield step._replace(time_ms=now, event_type="play")
            end = max(end, now)
    now = max(now, end) + 1
    yield step._replace(time_ms=now, event_type="stop", volume=int(bytes_per_ms * 60_000))


def local_time(rng: Random, viewer: Viewer, day_start_ms: int) -> int:
    """Returns a time within 24 hours from `day_start_ms` that suits the viewer's daily rhythm, in UTC."""
    hour = (_HOUR_TABLE[int(rng.random() * len(_HOUR_TABLE))] + viewer.night_hours) % 24
    wanted = hour * HOUR_MS + int(rng.random() * HOUR_MS) - viewer.place.utc_offset_minutes * MINUTE_MS
    return day_start_ms + (wanted - day_start_ms) % DAY_MS


def life(rng: Random, key: int, viewer: Viewer, window: Window, factor: float) -> Iterator[Step]:
    """Yields the ordinary events of a viewer in time order.

    `rng` is shared with other viewers: it is seeded from `key` and the day before each use and never drawn
    from across a `yield`, so that a viewer keeps no generator of his own. `factor` multiplies the sessions a
    day.
    """
    free_at = window.start_ms
    day = 0
    while (day_start := window.start_ms + day * DAY_MS) < window.end_ms:
        rng.seed(key << 20 | day << 6)
        wanted = 2 * viewer.sessions_per_day * factor * rng.random()
        count = int(wanted) + (rng.random() < wanted - int(wanted))
        starts = sorted(local_time(rng, viewer, day_start) for _ in range(min(count, 48)))
        for number, wanted_start in enumerate(starts, 1):
            start = max(wanted_start, free_at)
            if start >= window.end_ms:
                break
            rng.seed(key << 20 | day << 6 | number)
            steps = _session(rng, viewer, start)
            if steps:
                free_at = steps[-1].time_ms + MINUTE_MS
                yield from steps
        day += 1


def _session(rng: Random, viewer: Viewer, start: int) -> list[Step]:
    """Returns one visit to the service; empty while the viewer is on the way."""
    device = viewer.devices[int(rng.random() * len(viewer.devices))]
    address, label, away = viewer.home_address, ORDINARY, False
    trip = viewer.trip
    if trip is not None:
        if trip.leave_ms <= start < trip.arrive_ms or trip.return_ms <= start < trip.home_ms:
            return []
        away = trip.arrive_ms <= start < trip.return_ms
    if away and trip is not None:
        portable = [item for item in viewer.devices if item.kind != "tv"]
        device = portable[int(rng.random() * len(portable))]
        # One hotel for the whole stay.
        address = trip.place.home.address((trip.arrive_ms % 9973) / 9973)
        label = Label("travel", False, "")
    elif device.kind == "phone" and rng.random() < 0.35:
        address = carrier(viewer.place.home).address(rng.random())
    if viewer.vpn and not away and rng.random() < 0.5:
        address, label = viewer.vpn, Label("vpn", False, "")

    variant = PERSONALISED if viewer.age >= 18 and rng.random() < 0.25 else BASIC
    variant, label = _lawfulness(rng, viewer, start, variant, label)
    session_id = f"session-{int(rng.random() * (1 << 48)):012x}"
    lawful = label._replace(scenario="" if label.compliance else label.scenario, compliance="")
    base = Step(start, viewer, "access", device, address, label, variant, session_id=session_id)
    now = start
    steps: list[Step] = []
    if rng.random() < 0.18:
        while rng.random() < 0.12:
            steps.append(base._replace(time_ms=now, event_type="login_failed", variant=BASIC, label=lawful))
            now += 4000 + int(rng.random() * 30_000)
        steps.append(base._replace(time_ms=now, event_type="login"))
        now += 2000 + int(rng.random() * 20_000)
    elif rng.random() < 0.15:
        steps.append(base._replace(time_ms=now, event_type="token_refresh"))
        now += 500 + int(rng.random() * 3000)
    for _ in range(int(rng.random() * 4)):
        steps.append(base._replace(time_ms=now, event_type="access", content_id=pick_content(rng)))
        now += 5000 + int(rng.random() * 60_000)
    chance = rng.random()
    if chance < 0.02 and device.kind in ("phone", "tablet"):
        # For the journey: a handful of titles, one after the other.
        for _ in range(2 + int(rng.random() * 7)):
            volume = int((0.3 + rng.random() * 1.7) * 1e9)
            steps.append(
                base._replace(time_ms=now, event_type="download", content_id=pick_content(rng), volume=volume)
            )
            now += 60_000 + int(rng.random() * 240_000)
    elif chance < 0.035:
        kind = "payment_failed" if rng.random() < 0.08 else "purchase"
        steps.append(
            base._replace(time_ms=now, event_type=kind, content_id=pick_content(rng), payment=viewer.payment)
        )
        now += 10_000 + int(rng.random() * 60_000)
    elif chance < 0.045:
        kinds = ("profile_change", "password_change", "device_add", "email_change", "mfa_enroll")
        kind = kinds[int(rng.random() * rng.random() * len(kinds))]
        steps.append(base._replace(time_ms=now, event_type=kind, variant=BASIC, label=lawful))
        now += 10_000 + int(rng.random() * 60_000)
    minutes = 8 + rng.random() * rng.random() * 130
    steps.extend(stream(rng, base._replace(time_ms=now), int(minutes * MINUTE_MS)))
    if rng.random() < 0.06:
        steps.append(
            base._replace(time_ms=steps[-1].time_ms + 3000, event_type="logout", variant=BASIC, label=lawful)
        )
    return steps


def carrier(home: Network) -> Network:
    """Returns the addresses of a place that its telephones share."""
    return Network(home.base + home.size - 18, 16)


def _lawfulness(rng: Random, viewer: Viewer, start: int, variant: int, label: Label) -> tuple[int, Label]:
    """Returns what the session's data are processed for, and the label that goes with it."""
    if viewer.role == "consent_missing" and rng.random() < 0.7:
        return CONSENT_MISSING, label._replace(scenario="consent_missing", compliance="consent_missing")
    if viewer.role == "minors" and rng.random() < 0.7:
        return MINOR_PROFILED, label._replace(scenario="minors", compliance="minor")
    if viewer.role == "consent_withdrawn" and start >= viewer.withdrawn_ms:
        return CONSENT_WITHDRAWN, label._replace(scenario="consent_withdrawn", compliance="consent_withdrawn")
    return variant, label
