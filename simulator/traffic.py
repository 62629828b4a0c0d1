"""The stream of labelled events: `generate`, and `write_lines` for files.

Deterministic: the same arguments give the same bytes in every process. Only `random.Random.seed(int)` and
`.random()` are used, whose sequences Python keeps between releases; no clock, no locale, no hash.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from random import Random
from typing import BinaryIO

from simulator import scenarios as play
from simulator.population import (
    DAY_MS,
    MEAN_SESSIONS_PER_DAY,
    Viewer,
    make_population,
)
from simulator.scenarios import JOURNEYS, SCENARIOS
from simulator.sessions import EVENTS_PER_SESSION, Label, Step, Window, life, local_time
from usher.event.v1 import event_pb2

__all__ = ["SCENARIOS", "Label", "generate", "write_lines"]

MAX_SESSIONS_PER_DAY = 8.0
"""Sessions a viewer and day, on average, beyond which traffic would no longer look like people."""

_LATEST_MS = 4_102_444_800_000  # 2100-01-01


def generate(
    seed: int,
    users: int,
    days: float,
    start_ms: int,
    scenarios: Sequence[str] | None = None,
    rate: float | None = None,
) -> Iterator[tuple[event_pb2.Event, Label]]:
    """Yields events in the order of their time, each with what it truly is.

    `seed` is 0 or more. `users` is the number of viewers, 1 to 1,000,000 (accounts of rings come on top).
    `days` is the simulated time from `start_ms` (milliseconds since 1970, UTC), above 0. `scenarios` are
    names of `SCENARIOS` and `JOURNEYS`: None for all of SCENARIOS, empty for ordinary traffic only; each happens at
    least once, though a very short time may end before it shows. `rate` asks for a mean number of ordinary
    events a second of simulated time; None keeps the viewers' natural rhythm (about 21 events a viewer and day). Memory
    grows with `users`, not with `days`.

    Raises ValueError, before the first event, for arguments outside these bounds, for too few users for the
    scenarios, and for a rate that these users cannot make.
    """
    names = _checked(seed, users, days, start_ms, scenarios)
    window = Window(start_ms, start_ms + round(days * DAY_MS))
    factor = _factor(users, rate)
    return _events(seed, users, window, names, factor)


def write_lines(
    traffic: Iterable[tuple[event_pb2.Event, Label]],
    out: BinaryIO,
    event_json: Callable[[event_pb2.Event], bytes],
    labels: BinaryIO | None = None,
) -> int:
    """Writes an event a line, and its label a line into `labels`; returns the number of events.

    `event_json` gives one event's JSON without a line break: the mesh's own mapping is the caller's to bring.
    """
    count = 0
    for event, label in traffic:
        count += 1
        out.write(event_json(event) + b"\n")
        if labels is not None:
            line = {"event_id": event.event_id, **label._asdict()}
            labels.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    return count


def _checked(seed: int, users: int, days: float, start_ms: int, scenarios: Sequence[str] | None) -> list[str]:
    if seed < 0:
        raise ValueError(f"seed must be 0 or more, not {seed}")
    if not 1 <= users <= 1_000_000:
        raise ValueError(f"users must be from 1 to 1,000,000, not {users}")
    if not (math.isfinite(days) and days > 0):
        raise ValueError(f"days must be above 0, not {days}")
    if not (start_ms >= 0 and start_ms + days * DAY_MS <= _LATEST_MS):
        raise ValueError("the simulated time must lie in the years 1970 to 2099")
    wanted = set(SCENARIOS if scenarios is None else scenarios)
    known = (*SCENARIOS, *JOURNEYS)
    unknown = sorted(wanted - set(known))
    if unknown:
        raise ValueError(f"no scenario is called {', '.join(unknown)}; there are {', '.join(known)}")
    names = [name for name in known if name in wanted]
    needed = sum(name not in ("ring", "credential_stuffing") for name in names)
    if users < needed:
        raise ValueError(f"{len(names)} scenarios need {needed} users or more, not {users}")
    return names


def _factor(users: int, rate: float | None) -> float:
    if rate is None:
        return 1.0
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be above 0, not {rate}")
    sessions = rate * 86_400 / (users * EVENTS_PER_SESSION)
    if sessions > MAX_SESSIONS_PER_DAY:
        least = math.ceil(rate * 86_400 / (MAX_SESSIONS_PER_DAY * EVENTS_PER_SESSION))
        raise ValueError(f"{users} viewers cannot make {rate:g} events a second; {least} could")
    return sessions / MEAN_SESSIONS_PER_DAY


def _events(
    seed: int, users: int, window: Window, names: list[str], factor: float
) -> Iterator[tuple[event_pb2.Event, Label]]:
    actors = _actors(seed, users, window, names, factor)
    # One entry an actor, so that (time, actor) decides alone and the order is the same everywhere.
    heap: list[tuple[int, int, Step, Iterator[Step]]] = []
    for number, actor in enumerate(actors):
        first = next(actor, None)
        if first is not None:
            heap.append((first.time_ms, number, first, actor))
    heapq.heapify(heap)
    prefix = f"{seed}:{window.start_ms}:".encode()
    count = 0
    while heap:
        time_ms, number, step, actor = heap[0]
        if time_ms >= window.end_ms:
            # The earliest of all lies beyond the end.
            return
        if time_ms >= window.start_ms:
            count += 1
            yield _event(step, blake2b(prefix + b"%d" % count, digest_size=12).hexdigest()), step.label
        following = next(actor, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.time_ms, number, following, actor))


def _event(step: Step, event_id: str) -> event_pb2.Event:
    event = event_pb2.Event.FromString(step.viewer.template(step.variant))
    device = step.device
    event.event_id = event_id
    event.event_type = step.event_type
    event.device_id = device.device_id
    event.user_agent = device.user_agent
    event.metadata_json = device.metadata_json
    event.ip_address = step.address
    seconds, milliseconds = divmod(step.time_ms, 1000)
    event.event_time.seconds = seconds
    event.event_time.nanos = milliseconds * 1_000_000
    if step.content_id:
        event.content_id = step.content_id
    if step.session_id:
        event.session_id = step.session_id
    if step.stream_id:
        event.stream_id = step.stream_id
    if step.volume is not None:
        event.data_volume_bytes = step.volume
    if step.error_code:
        event.error_code = step.error_code
    if step.payment:
        event.payment_fingerprint = step.payment
    return event


def _actors(seed: int, users: int, window: Window, names: list[str], factor: float) -> list[Iterator[Step]]:
    """Returns everyone who acts: a life a viewer, then the scenarios' actors, in a fixed order."""
    rng = Random(seed)
    order = list(range(users))
    for last in range(users - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        order[last], order[other] = order[other], order[last]
    chosen = _choose(order, users, window, names)
    roles = {index: name for name in play.COMPLIANCE_ROLES for index in chosen.get(name, ())}
    viewers = make_population(rng, users, window.start_ms, roles)
    actors: list[Iterator[Step]] = []
    extra: list[Iterator[Step]] = []
    attackers = 0

    def own() -> Random:
        nonlocal attackers
        attackers += 1
        return Random(seed << 32 | 1 << 31 | attackers)

    for index in chosen.get("travel", ()):
        viewers[index].trip = play.plan_trip(own(), viewers[index], window)
        viewers[index].sessions_per_day = max(viewers[index].sessions_per_day, 2.0)
    for index in chosen.get("vpn", ()):
        viewers[index].vpn = play.vpn_address(own())
        viewers[index].sessions_per_day = max(viewers[index].sessions_per_day, 1.2)
    for index in chosen.get("consent_withdrawn", ()):
        _plan_withdrawal(own(), viewers[index], window)
        extra.append(play.withdrawal(viewers[index]))
    for index in chosen.get("flight", ()):
        viewers[index].trip = trip = play.plan_flight(own(), viewers[index], window)
        viewers[index].sessions_per_day = max(viewers[index].sessions_per_day, 2.0)
        extra.append(play.flight(own(), viewers[index], trip))
    for name, attack in play.ATTACKS.items():
        extra.extend(attack(own(), viewers[index], window) for index in chosen.get(name, ()))
    for index in chosen.get("sharing", ()):
        extra.extend(play.sharing(own(), viewers[index], window))
    if "hotel" in chosen:
        extra.extend(play.hotel(own(), [viewers[index] for index in chosen["hotel"]], window))
    if "credential_stuffing" in names:
        for _ in range(play.instances("credential_stuffing", users, window.span_ms)):
            extra.append(play.credential_stuffing(own(), viewers, window))
    if "ring" in names:
        next_index = users
        for _ in range(play.instances("ring", users, window.span_ms)):
            members, lives = play.ring(own(), next_index, window)
            next_index += len(members)
            extra.extend(lives)
    shared = Random()
    for index, viewer in enumerate(viewers):
        actors.append(life(shared, seed << 20 | index, viewer, window, factor))
    return actors + extra


def _choose(order: list[int], users: int, window: Window, names: list[str]) -> dict[str, list[int]]:
    """Returns the viewers of each scenario that has viewers of its own; no viewer is in two."""
    own = [name for name in names if name not in ("ring", "credential_stuffing")]
    chosen: dict[str, list[int]] = {name: [order[number]] for number, name in enumerate(own)}
    free = len(own)
    for name in own:
        more = min(play.instances(name, users, window.span_ms) - 1, users - free)
        chosen[name].extend(order[free : free + more])
        free += more
    return chosen


def _plan_withdrawal(rng: Random, viewer: Viewer, window: Window) -> None:
    day = int(rng.random() * max(1, window.span_ms // (2 * DAY_MS)))
    viewer.withdrawn_ms = local_time(rng, viewer, window.start_ms + day * DAY_MS)
    if viewer.withdrawn_ms >= window.end_ms:
        viewer.withdrawn_ms = window.start_ms + int(rng.random() * 0.4 * window.span_ms)
